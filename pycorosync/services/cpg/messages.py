"""What clients and nodes say to each other about process groups (corosync: include/corosync/ipc_cpg.h,
and the req_exec_cpg_* structures of exec/cpg.c). Layouts and meanings: protocol/cpg.md.
"""

from enum import IntEnum, IntFlag
from typing import Final

from construct import Aligned, Bytes, Int32sl, Int32ul, Int64ul, Struct

from pycorosync.errors import MalformedMessage
from pycorosync.services.service import REQUEST_HEADER_LAYOUT, RESPONSE_HEADER_LAYOUT
from pycorosync.types import ServiceId
from pycorosync.wire.fixed import Fixed

SERVICE_ID: Final[ServiceId] = 2
SERVICE_NAME: Final = "cpg"
NAME_MAX: Final = 128  # bytes of a group's name (CPG_MAX_NAME_LENGTH)
MEMBERS_MAX: Final = 128  # addresses that libcpg has room for in one list (CPG_MEMBERS_MAX)
NODES_MAX: Final = 384  # PROCESSOR_COUNT_MAX
ZERO_COPY_PATH_MAX: Final = 128
MESSAGE_MAX: Final = 1024 * 1024  # bytes that one multicast may carry (IPC_REQUEST_SIZE)
FRAGMENT_MAX: Final = MESSAGE_MAX - 1024  # libcpg sends more than this in parts


class CpgRequest(IntEnum):
    """Ids of requests."""

    JOIN = 0
    LEAVE = 1
    MCAST = 2
    MEMBERSHIP = 3
    LOCAL_GET = 4
    ITERATION_INITIALIZE = 5
    ITERATION_NEXT = 6
    ITERATION_FINALIZE = 7
    FINALIZE = 8
    ZERO_COPY_ALLOC = 9
    ZERO_COPY_FREE = 10
    ZERO_COPY_EXECUTE = 11
    PARTIAL_MCAST = 12


class CpgResponse(IntEnum):
    """Ids of responses and of events; they do not follow the ids of the requests."""

    JOIN = 0
    LEAVE = 1
    MCAST = 2  # the answer to ZERO_COPY_EXECUTE
    MEMBERSHIP = 3
    CONFCHG = 4  # event
    DELIVER = 5  # event
    LOCAL_GET = 7
    ITERATION_INITIALIZE = 9
    ITERATION_NEXT = 10
    ITERATION_FINALIZE = 11
    FINALIZE = 12
    TOTEM_CONFCHG = 13  # event
    PARTIAL_DELIVER = 17  # event
    PARTIAL_SEND = 18


class CpgExec(IntEnum):
    """Functions of the messages between nodes."""

    PROCJOIN = 0
    PROCLEAVE = 1
    JOINLIST = 2
    MCAST = 3
    DOWNLIST_OLD = 4
    DOWNLIST = 5
    PARTIAL_MCAST = 6


class Reason(IntEnum):
    """Why a process has joined or left; UNDEFINED in lists of members."""

    UNDEFINED = 0
    JOIN = 1
    LEAVE = 2
    NODEDOWN = 3
    NODEUP = 4
    PROCDOWN = 5


class Part(IntEnum):
    """Which part of a message that is longer than FRAGMENT_MAX."""

    FIRST = 1
    CONTINUED = 2
    LAST = 3


class Iteration(IntEnum):
    """What an iteration lists."""

    NAMES = 1
    ONE_GROUP = 2
    ALL = 3


class ModelFlags(IntFlag):
    """Flags of a join by a client of model 1."""

    DELIVER_INITIAL_TOTEM_CONF = 1


class Guarantee(IntEnum):
    """What a sender may ask for. Compatibility: carried and ignored, every message is delivered as AGREED."""

    UNORDERED = 0
    FIFO = 1
    AGREED = 2
    SAFE = 3


GROUP_NAME: Final = Struct("length" / Aligned(8, Int32ul), "value" / Bytes(NAME_MAX))
_ADDRESS: Final = Struct(
    "node_id" / Aligned(8, Int32ul), "pid" / Aligned(8, Int32ul), "reason" / Aligned(8, Int32ul)
)
# The second half means something to the sender's process only.
_SOURCE: Final = Struct("node_id" / Aligned(8, Int32ul), "connection" / Int64ul)


def group_name(length: int, value: bytes) -> bytes:
    """The name's own bytes; what follows them in the field is whatever lay in the sender's memory."""
    if length > NAME_MAX:
        raise MalformedMessage(f"a group's name has {length} bytes")
    return value[:length]


# --- requests and responses

PLAIN_REQUEST: Final = Fixed("CpgPlainRequest", Struct("header" / REQUEST_HEADER_LAYOUT))
PLAIN_RESPONSE: Final = Fixed("CpgPlainResponse", Struct("header" / RESPONSE_HEADER_LAYOUT))
JOIN_REQUEST: Final = Fixed(
    "CpgJoin",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "pid" / Aligned(8, Int32ul),
        "flags" / Aligned(8, Int32ul),
    ),
)
assert JOIN_REQUEST.size == 168
LEAVE_REQUEST: Final = Fixed(
    "CpgLeave",
    Struct("header" / REQUEST_HEADER_LAYOUT, "group" / GROUP_NAME, "pid" / Aligned(8, Int32ul)),
)
assert LEAVE_REQUEST.size == 160

# Compatibility: the two multicasts begin with the 24 bytes of a response, not the 16 of a request.
MCAST_REQUEST: Final = Fixed(
    "CpgMcastRequest",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "guarantee" / Aligned(8, Int32ul),
        "message_bytes" / Aligned(8, Int32ul),
    ),
)
assert MCAST_REQUEST.size == 40
PARTIAL_MCAST_REQUEST: Final = Fixed(
    "CpgPartialMcastRequest",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "guarantee" / Aligned(8, Int32ul),
        "message_bytes" / Aligned(8, Int32ul),
        "fragment_bytes" / Aligned(8, Int32ul),
        "part" / Aligned(8, Int32ul),
    ),
)
assert PARTIAL_MCAST_REQUEST.size == 56

MEMBERSHIP_REQUEST: Final = Fixed(
    "CpgMembership", Struct("header" / REQUEST_HEADER_LAYOUT, "group" / GROUP_NAME)
)
assert MEMBERSHIP_REQUEST.size == 152
MEMBERSHIP_RESPONSE: Final = Fixed(  # the list behind it always has room for NODES_MAX addresses
    "CpgMembershipResponse", Struct("header" / RESPONSE_HEADER_LAYOUT, "count" / Aligned(8, Int32ul))
)
assert MEMBERSHIP_RESPONSE.size == 32
ADDRESS: Final = Fixed("CpgAddress", _ADDRESS)
assert ADDRESS.size == 24
LOCAL_GET_RESPONSE: Final = Fixed(
    "CpgLocalGetResponse", Struct("header" / RESPONSE_HEADER_LAYOUT, "node_id" / Aligned(8, Int32ul))
)
assert LOCAL_GET_RESPONSE.size == 32

ITERATION_INITIALIZE_REQUEST: Final = Fixed(
    "CpgIterationInitialize",
    Struct("header" / REQUEST_HEADER_LAYOUT, "group" / GROUP_NAME, "kind" / Aligned(8, Int32ul)),
)
assert ITERATION_INITIALIZE_REQUEST.size == 160
ITERATION_INITIALIZE_RESPONSE: Final = Fixed(
    "CpgIterationInitializeResponse", Struct("header" / RESPONSE_HEADER_LAYOUT, "handle" / Int64ul)
)
assert ITERATION_INITIALIZE_RESPONSE.size == 32
ITERATION_REQUEST: Final = Fixed(  # ITERATION_NEXT and ITERATION_FINALIZE
    "CpgIteration", Struct("header" / REQUEST_HEADER_LAYOUT, "handle" / Int64ul)
)
assert ITERATION_REQUEST.size == 24
ITERATION_NEXT_RESPONSE: Final = Fixed(
    "CpgIterationNextResponse",
    Struct("header" / RESPONSE_HEADER_LAYOUT, "group" / GROUP_NAME, "node_id" / Int32ul, "pid" / Int32ul),
)
assert ITERATION_NEXT_RESPONSE.size == 168

ZERO_COPY_ALLOC_REQUEST: Final = Fixed(
    "CpgZeroCopyAlloc",
    Struct("header" / REQUEST_HEADER_LAYOUT, "map_bytes" / Int64ul, "path" / Bytes(ZERO_COPY_PATH_MAX)),
)
assert ZERO_COPY_ALLOC_REQUEST.size == 152
ZERO_COPY_FREE_REQUEST: Final = Fixed(
    "CpgZeroCopyFree",
    Struct("header" / REQUEST_HEADER_LAYOUT, "map_bytes" / Int64ul, "server_address" / Int64ul),
)
assert ZERO_COPY_FREE_REQUEST.size == 32
ZERO_COPY_EXECUTE_REQUEST: Final = Fixed(
    "CpgZeroCopyExecute", Struct("header" / REQUEST_HEADER_LAYOUT, "server_address" / Int64ul)
)
assert ZERO_COPY_EXECUTE_REQUEST.size == 24
# What a shared buffer begins with; a request as MCAST_REQUEST and the message follow.
ZERO_COPY_HEADER: Final = Fixed(
    "CpgZeroCopyHeader", Struct("map_bytes" / Aligned(8, Int32sl), "server_address" / Int64ul)
)
assert ZERO_COPY_HEADER.size == 16

# --- events

DELIVER_EVENT: Final = Fixed(
    "CpgDeliver",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "message_bytes" / Aligned(8, Int32ul),
        "node_id" / Aligned(8, Int32ul),
        "pid" / Aligned(8, Int32ul),
    ),
)
assert DELIVER_EVENT.size == 184
PARTIAL_DELIVER_EVENT: Final = Fixed(
    "CpgPartialDeliver",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "message_bytes" / Aligned(8, Int32ul),
        "fragment_bytes" / Aligned(8, Int32ul),
        "node_id" / Aligned(8, Int32ul),
        "pid" / Aligned(8, Int32ul),
        "part" / Aligned(8, Int32ul),
    ),
)
assert PARTIAL_DELIVER_EVENT.size == 200
# Compatibility: the counts are members, joined, left, but the lists behind them are members, left, joined.
CONFCHG_EVENT: Final = Fixed(
    "CpgConfchg",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "members" / Aligned(8, Int32ul),
        "joined" / Aligned(8, Int32ul),
        "left" / Aligned(8, Int32ul),
    ),
)
assert CONFCHG_EVENT.size == 184
# Compatibility: the node ids start right behind the count, where C's padding would be, while header.size
# counts that padding too: the event ends with four bytes that mean nothing.
TOTEM_CONFCHG_EVENT: Final = Fixed(
    "CpgTotemConfchg",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "ring" / Struct("representative" / Aligned(8, Int32ul), "seq" / Int64ul),
        "members" / Int32ul,
    ),
)
assert TOTEM_CONFCHG_EVENT.size == 44
TOTEM_CONFCHG_TAIL: Final = b"\0\0\0\0"

# --- between nodes

PROCJOIN: Final = Fixed(  # and PROCLEAVE
    "CpgProcjoin",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "pid" / Aligned(8, Int32ul),
        "reason" / Aligned(8, Int32ul),
    ),
)
assert PROCJOIN.size == 168
JOINLIST: Final = Fixed(  # as many JOINLIST_ENTRY follow as header.size has room for
    "CpgJoinlist", Struct("header" / RESPONSE_HEADER_LAYOUT)
)
assert JOINLIST.size == 24
JOINLIST_ENTRY: Final = Fixed("CpgJoinlistEntry", Struct("pid" / Aligned(8, Int32ul), "group" / GROUP_NAME))
assert JOINLIST_ENTRY.size == 144
MCAST: Final = Fixed(
    "CpgMcast",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "message_bytes" / Aligned(8, Int32ul),
        "pid" / Aligned(8, Int32ul),
        "source" / _SOURCE,
    ),
)
assert MCAST.size == 184
PARTIAL_MCAST: Final = Fixed(
    "CpgPartialMcast",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "group" / GROUP_NAME,
        "message_bytes" / Aligned(8, Int32ul),
        "fragment_bytes" / Aligned(8, Int32ul),
        "pid" / Aligned(8, Int32ul),
        "part" / Aligned(8, Int32ul),
        "source" / _SOURCE,
    ),
)
assert PARTIAL_MCAST.size == 200
DOWNLIST_OLD: Final = Fixed("CpgDownlistOld", Struct("header" / REQUEST_HEADER_LAYOUT))
DOWNLIST: Final = Fixed(  # NODES_MAX node ids follow, of which the first `left` count
    "CpgDownlist",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT, "old_members" / Aligned(8, Int32ul), "left" / Aligned(8, Int32ul)
    ),
)
assert DOWNLIST.size == 32
