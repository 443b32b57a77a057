"""What clients and nodes say to the votequorum service (corosync: include/corosync/ipc_votequorum.h and
the structures at the top of exec/votequorum.c).

Layouts and meanings: protocol/votequorum.md.
"""

from enum import IntEnum, IntFlag
from typing import Final

from construct import Aligned, Bytes, Int8ul, Int32ul, Int64ul, Padding, Struct

from pycorosync.services.service import REQUEST_HEADER_LAYOUT, RESPONSE_HEADER_LAYOUT
from pycorosync.wire.fixed import Fixed

SERVICE_ID: Final = 5
SERVICE_NAME: Final = "votequorum"
DEVICE_NODE_ID: Final = 0  # stands for the quorum device
DEVICE_NAME_SIZE: Final = 255  # with the NUL at the end
EXTRA_INFO_MAX: Final = 4096  # bytes


class VoteRequest(IntEnum):
    """Ids of requests."""

    GET_INFO = 0
    SET_EXPECTED = 1
    SET_VOTES = 2
    TRACK_START = 3
    TRACK_STOP = 4
    DEVICE_REGISTER = 5
    DEVICE_UNREGISTER = 6
    DEVICE_UPDATE = 7
    DEVICE_POLL = 8
    DEVICE_MASTER_WINS = 9
    SET_EXTRA_INFO = 10  # this and the next are not in 3.1.9 yet
    GET_EXTRA_INFO = 11


class VoteResponse(IntEnum):
    """Ids of responses and of events; STATUS answers every request but GET_INFO and GET_EXTRA_INFO."""

    STATUS = 0
    GET_INFO = 1
    QUORUM_NOTIFICATION = 3
    EXPECTED_VOTES_NOTIFICATION = 4
    NODE_LIST_NOTIFICATION = 5
    GET_EXTRA_INFO = 6
    EXTRA_INFO_NOTIFICATION = 7


class Info(IntFlag):
    """Flags in the answer to GET_INFO."""

    TWO_NODE = 1
    QUORATE = 2
    WAIT_FOR_ALL = 4
    LAST_MAN_STANDING = 8
    AUTO_TIE_BREAKER = 16
    ALLOW_DOWNSCALE = 32
    DEVICE_REGISTERED = 64
    DEVICE_ALIVE = 128
    DEVICE_CAST_VOTE = 256
    DEVICE_MASTER_WINS = 512
    HAS_EXTRA_INFO = 1024


class NodeState(IntEnum):
    """Where a node that was seen once is now."""

    MEMBER = 1
    DEAD = 2
    LEAVING = 3


class NodeFlags(IntFlag):
    """What a node says of itself in NODE_INFO. The numbers differ from those of Info."""

    NONE = 0
    QUORATE = 1
    LEAVING = 2
    WAIT_FOR_ALL = 4  # still waiting for all
    FIRST = 8  # has seen no other node since it started
    DEVICE_REGISTERED = 16
    DEVICE_ALIVE = 32
    DEVICE_CAST_VOTE = 64
    DEVICE_MASTER_WINS = 128
    EXTRA_INFO_SET = 256


class Function(IntEnum):
    """Messages between nodes."""

    NODE_INFO = 0
    RECONFIGURE = 1
    DEVICE_REGISTRATION = 2
    DEVICE_RENAME = 3
    EXTRA_INFO = 4  # older nodes drop it


class Parameter(IntEnum):
    """What RECONFIGURE changes."""

    EXPECTED_VOTES = 1
    NODE_VOTES = 2
    CANCEL_WAIT_FOR_ALL = 3


class Registration(IntEnum):
    """What DEVICE_REGISTRATION says."""

    UNREGISTER = 0
    REGISTER = 1


# --- requests

PLAIN_REQUEST: Final = Fixed("VotePlainRequest", Struct("header" / REQUEST_HEADER_LAYOUT))
GET_INFO_REQUEST: Final = Fixed(
    "VoteGetInfo", Struct("header" / REQUEST_HEADER_LAYOUT, "node_id" / Aligned(8, Int32ul))
)
SET_EXPECTED_REQUEST: Final = Fixed(
    "VoteSetExpected", Struct("header" / REQUEST_HEADER_LAYOUT, "expected_votes" / Aligned(8, Int32ul))
)
SET_VOTES_REQUEST: Final = Fixed(
    "VoteSetVotes", Struct("header" / REQUEST_HEADER_LAYOUT, "votes" / Int32ul, "node_id" / Int32ul)
)
TRACK_START_REQUEST: Final = Fixed(
    "VoteTrackStart",
    Struct("header" / REQUEST_HEADER_LAYOUT, "context" / Int64ul, "flags" / Aligned(8, Int32ul)),
)
# For DEVICE_REGISTER and DEVICE_UNREGISTER.
DEVICE_NAME_REQUEST: Final = Fixed(
    "VoteDeviceName", Struct("header" / REQUEST_HEADER_LAYOUT, "name" / Bytes(DEVICE_NAME_SIZE), Padding(1))
)
DEVICE_UPDATE_REQUEST: Final = Fixed(
    "VoteDeviceUpdate",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "old_name" / Bytes(DEVICE_NAME_SIZE),
        "new_name" / Bytes(DEVICE_NAME_SIZE),
        Padding(2),
    ),
)
DEVICE_POLL_REQUEST: Final = Fixed(
    "VoteDevicePoll",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "name" / Bytes(DEVICE_NAME_SIZE),
        Padding(1),
        "cast_vote" / Aligned(8, Int32ul),
        "representative" / Aligned(8, Int32ul),
        "ring_seq" / Int64ul,
    ),
)
DEVICE_MASTER_WINS_REQUEST: Final = Fixed(
    "VoteDeviceMasterWins",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "name" / Bytes(DEVICE_NAME_SIZE),
        Padding(1),
        "allow" / Aligned(8, Int32ul),
    ),
)
# Followed by the information; `size` in the header counts four bytes more, C's padding of the structure.
SET_EXTRA_INFO_REQUEST: Final = Fixed(
    "VoteSetExtraInfo", Struct("header" / REQUEST_HEADER_LAYOUT, "length" / Int32ul)
)
GET_EXTRA_INFO_REQUEST: Final = Fixed(
    "VoteGetExtraInfo", Struct("header" / REQUEST_HEADER_LAYOUT, "node_id" / Aligned(8, Int32ul))
)
assert SET_EXTRA_INFO_REQUEST.size == 20
assert GET_EXTRA_INFO_REQUEST.size == 24
assert GET_INFO_REQUEST.size == SET_EXPECTED_REQUEST.size == SET_VOTES_REQUEST.size == 24
assert TRACK_START_REQUEST.size == 32
assert DEVICE_NAME_REQUEST.size == 272
assert DEVICE_UPDATE_REQUEST.size == 528
assert DEVICE_POLL_REQUEST.size == 296
assert DEVICE_MASTER_WINS_REQUEST.size == 280

# --- responses and events

GET_INFO_RESPONSE: Final = Fixed(
    "VoteInfo",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "node_id" / Int32ul,
        "state" / Int32ul,
        "votes" / Int32ul,
        "expected_votes" / Int32ul,
        "highest_expected" / Int32ul,
        "total_votes" / Int32ul,
        "quorum" / Int32ul,
        "flags" / Int32ul,
        "device_votes" / Int32ul,
        "device_name" / Bytes(DEVICE_NAME_SIZE),
        Padding(5),
    ),
)
# Followed by NODE_STATE records.
QUORUM_NOTIFICATION: Final = Fixed(
    "VoteQuorumNotification",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "quorate" / Aligned(8, Int32ul),
        "context" / Int64ul,
        "nodes" / Aligned(8, Int32ul),
    ),
)
NODE_STATE: Final = Fixed("VoteNodeState", Struct("node_id" / Int32ul, "state" / Int32ul))
# Followed by u32 node ids.
NODE_LIST_NOTIFICATION: Final = Fixed(
    "VoteNodeListNotification",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "context" / Int64ul,
        "representative" / Aligned(8, Int32ul),
        "ring_seq" / Int64ul,
        "nodes" / Aligned(8, Int32ul),
    ),
)
EXPECTED_VOTES_NOTIFICATION: Final = Fixed(
    "VoteExpectedVotesNotification",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "context" / Int64ul,
        "expected_votes" / Aligned(8, Int32ul),
    ),
)
# Followed by the information, then by four bytes that mean nothing, as in the request.
GET_EXTRA_INFO_RESPONSE: Final = Fixed(
    "VoteExtraInfo", Struct("header" / RESPONSE_HEADER_LAYOUT, "length" / Int32ul)
)
# Followed by the information.
EXTRA_INFO_NOTIFICATION: Final = Fixed(
    "VoteExtraInfoNotification",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "context" / Int64ul,
        "node_id" / Aligned(8, Int32ul),
        "length" / Aligned(8, Int32ul),
    ),
)
EXTRA_INFO_PADDING: Final = 4
assert GET_EXTRA_INFO_RESPONSE.size == 28
assert EXTRA_INFO_NOTIFICATION.size == 48
assert GET_INFO_RESPONSE.size == 320
assert QUORUM_NOTIFICATION.size == 48
assert NODE_LIST_NOTIFICATION.size == 56
assert EXPECTED_VOTES_NOTIFICATION.size == 40

# --- between nodes

NODE_INFO: Final = Fixed(
    "NodeInfo",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "node_id" / Int32ul,
        "votes" / Int32ul,
        "expected_votes" / Int32ul,
        "flags" / Int32ul,
    ),
)
RECONFIGURE: Final = Fixed(
    "Reconfigure",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "node_id" / Int32ul,
        "value" / Int32ul,
        "parameter" / Int8ul,
        Padding(7),
    ),
)
DEVICE_REGISTRATION: Final = Fixed(
    "DeviceRegistration",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "operation" / Int32ul,
        "name" / Bytes(DEVICE_NAME_SIZE),
        Padding(5),
    ),
)
DEVICE_RENAME: Final = Fixed(
    "DeviceRename",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "old_name" / Bytes(DEVICE_NAME_SIZE),
        "new_name" / Bytes(DEVICE_NAME_SIZE),
        Padding(2),
    ),
)
# Followed by the information.
EXTRA_INFO: Final = Fixed(
    "ExtraInfo", Struct("header" / REQUEST_HEADER_LAYOUT, "node_id" / Int32ul, "length" / Int32ul)
)
assert EXTRA_INFO.size == 24
assert NODE_INFO.size == RECONFIGURE.size == 32
assert DEVICE_REGISTRATION.size == 280
assert DEVICE_RENAME.size == 528


def name_in(field: bytes) -> bytes | None:
    """The name in a field of DEVICE_NAME_SIZE bytes; what stands behind its NUL means nothing.

    None if there is no NUL: such a name is too long for everyone else.
    """
    name, nul, _ = field.partition(b"\0")
    return name if nul else None


def shown(name: bytes) -> str:
    """A name as log lines have it."""
    return name.decode("utf-8", "replace")
