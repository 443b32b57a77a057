"""What clients and nodes say to each other about the configuration of the running cluster
(corosync: include/corosync/ipc_cfg.h, and the req_exec_cfg_* structures of exec/cfg.c).
Layouts and meanings: protocol/cfg.md.
"""

from enum import IntEnum
from typing import Final

from construct import Aligned, Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from pycorosync.services.service import (
    REQUEST_HEADER,
    REQUEST_HEADER_LAYOUT,
    RESPONSE_HEADER,
    RESPONSE_HEADER_LAYOUT,
)
from pycorosync.wire.fixed import Fixed

SERVICE_ID: Final = 1
SERVICE_NAME: Final = "cfg"

NAME_MAX: Final = 256  # bytes of a cs_name_t's value
HOST_MAX: Final = 256  # bytes of an address as text
LINKS_MAX: Final = 8
INTERFACES_MAX: Final = 16
INTERFACE_NAME_MAX: Final = 128
INTERFACE_STATUS_MAX: Final = 512
ADDRESS_SIZE: Final = 16  # of one address in NODE_ADDRS, whatever its family
STATUS_VERSION_1: Final = 1


class CfgRequest(IntEnum):
    """Ids of requests."""

    RING_STATUS_GET = 0
    RING_REENABLE = 1
    KILL_NODE = 2
    TRY_SHUTDOWN = 3
    REPLY_TO_SHUTDOWN = 4
    GET_NODE_ADDRS = 5
    LOCAL_GET = 6
    RELOAD_CONFIG = 7
    REOPEN_LOG_FILES = 8
    NODE_STATUS_GET = 9
    TRACK_START = 10
    TRACK_STOP = 11


class CfgResponse(IntEnum):
    """Ids of responses; TEST_SHUTDOWN is an event. They do not follow the ids of the requests."""

    RING_STATUS_GET = 0
    RING_REENABLE = 1
    TRACK_START = 2
    TRACK_STOP = 3
    KILL_NODE = 8
    TRY_SHUTDOWN = 9
    TEST_SHUTDOWN = 10
    GET_NODE_ADDRS = 11
    LOCAL_GET = 12
    REPLY_TO_SHUTDOWN = 13
    RELOAD_CONFIG = 14
    REOPEN_LOG_FILES = 15
    NODE_STATUS_GET = 16


class CfgExec(IntEnum):
    """Functions of the messages between nodes."""

    RING_REENABLE = 0  # nobody sends it any more
    KILL_NODE = 1
    SHUTDOWN = 2
    RELOAD_CONFIG = 3
    CRYPTO_RECONFIG = 4


class ShutdownFlag(IntEnum):
    """How a client asks for the end of the local node (corosync_cfg_shutdown_flags_t)."""

    REQUEST = 0  # if nobody minds
    REGARDLESS = 1  # ask, but whatever the answers are
    IMMEDIATE = 2  # do not even ask


class CryptoPhase(IntEnum):
    """The steps of a change of keys, which every node takes for itself once all have loaded them."""

    ACTIVATE = 1
    CLEANUP = 2


# --- clients' requests. A client sends the size of the C structure, which may be rounded up behind this.

EMPTY_REQUEST = REQUEST_HEADER
NODE_REQUEST = Fixed("NodeRequest", Struct("header" / REQUEST_HEADER_LAYOUT, "node_id" / Int32ul))
KILL_NODE_REQUEST = Fixed(
    "KillNodeRequest",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "node_id" / Aligned(8, Int32ul),
        "reason_length" / Int16ul,  # cs_name_t: counts the NUL
        "reason" / Bytes(NAME_MAX),
    ),
)
TRY_SHUTDOWN_REQUEST = Fixed("TryShutdown", Struct("header" / REQUEST_HEADER_LAYOUT, "flags" / Int32ul))
REPLY_TO_SHUTDOWN_REQUEST = Fixed(
    "ReplyToShutdown", Struct("header" / REQUEST_HEADER_LAYOUT, "response" / Int32ul)
)
NODE_STATUS_REQUEST = Fixed(
    "NodeStatusRequest",
    Struct("header" / REQUEST_HEADER_LAYOUT, "node_id" / Aligned(8, Int32ul), "version" / Int32ul),
)
TRACK_START_REQUEST = Fixed("TrackStart", Struct("header" / REQUEST_HEADER_LAYOUT, "flags" / Int8ul))

# --- responses

LOCAL_GET_RESPONSE = Fixed(
    "LocalGetResponse", Struct("header" / RESPONSE_HEADER_LAYOUT, "node_id" / Aligned(8, Int32ul))
)
NODE_ADDRS_HEAD = Fixed(  # followed by `count` addresses of ADDRESS_SIZE
    "NodeAddrsHead",
    Struct("header" / RESPONSE_HEADER_LAYOUT, "family" / Int32ul, "count" / Int32ul),
)
RING_STATUS_RESPONSE = Fixed(
    "RingStatusResponse",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "count" / Aligned(8, Int32ul),
        "names" / Bytes(INTERFACES_MAX * INTERFACE_NAME_MAX),
        "statuses" / Bytes(INTERFACES_MAX * INTERFACE_STATUS_MAX),
    ),
)
NODE_STATUS_ERROR = Fixed(
    "NodeStatusError", Struct("header" / RESPONSE_HEADER_LAYOUT, "version" / Aligned(8, Int32ul))
)
NODE_STATUS_HEAD = Fixed(  # followed by LINKS_MAX records of LINK_STATUS
    "NodeStatusHead",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "version" / Int32ul,
        "node_id" / Int32ul,
        "reachable" / Int8ul,
        "remote" / Int8ul,
        "external" / Int8ul,
        "onwire_min" / Int8ul,
        "onwire_max" / Int8ul,
        "onwire_version" / Aligned(3, Int8ul),  # pads to the alignment of the links
    ),
)
LINK_STATUS = Fixed(
    "LinkStatus",
    Struct(
        "enabled" / Int8ul,
        "connected" / Int8ul,
        "dynamic_connected" / Aligned(2, Int8ul),
        "mtu" / Int32ul,
        "source" / Bytes(HOST_MAX),
        "destination" / Bytes(HOST_MAX),
    ),
)
TEST_SHUTDOWN_EVENT = Fixed(
    "TestShutdown", Struct("header" / RESPONSE_HEADER_LAYOUT, "flags" / Aligned(8, Int32ul))
)

# --- messages between nodes

SHUTDOWN_EXEC = REQUEST_HEADER
RELOAD_EXEC = Fixed(
    "ReloadExec",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "source_node_id" / Aligned(8, Int32ul),
        "source_client" / Int64ul,  # means something to the sender only
    ),
)
KILL_NODE_EXEC = Fixed(
    "KillNodeExec",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "node_id" / Aligned(8, Int32ul),
        "reason_length" / Aligned(8, Int16ul),  # mar_name_t
        "reason" / Bytes(NAME_MAX),
    ),
)
CRYPTO_RECONFIG_EXEC = Fixed(
    "CryptoReconfigExec", Struct("header" / REQUEST_HEADER_LAYOUT, "phase" / Aligned(8, Int32ul))
)

assert RESPONSE_HEADER.size == 24
assert NODE_ADDRS_HEAD.size == 32
assert RING_STATUS_RESPONSE.size == 10272
assert NODE_STATUS_HEAD.size + LINKS_MAX * LINK_STATUS.size == 4200
assert TEST_SHUTDOWN_EVENT.size == LOCAL_GET_RESPONSE.size == NODE_STATUS_ERROR.size == 32
assert (RELOAD_EXEC.size, KILL_NODE_EXEC.size, CRYPTO_RECONFIG_EXEC.size) == (32, 288, 24)


def exec_id(function: CfgExec) -> int:
    """The id in the header of a message between nodes."""
    return SERVICE_ID << 16 | function
