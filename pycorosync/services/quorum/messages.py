"""What clients and the quorum service say to each other (corosync: include/corosync/ipc_quorum.h).

Layouts and meanings: protocol/quorum.md.
"""

from enum import IntEnum
from typing import Final

from construct import Aligned, Int32ul, Int64ul, Struct

from pycorosync.services.service import REQUEST_HEADER_LAYOUT, RESPONSE_HEADER_LAYOUT
from pycorosync.services.service import TrackFlags as TrackFlags
from pycorosync.wire.fixed import Fixed

SERVICE_NAME: Final = "quorum"


class QuorumRequest(IntEnum):
    """Ids of requests."""

    GET_QUORATE = 0
    TRACK_START = 1
    TRACK_STOP = 2
    GET_TYPE = 3
    MODEL_GET_TYPE = 4


class QuorumResponse(IntEnum):
    """Ids of responses and of events; they do not follow the ids of the requests."""

    GET_QUORATE = 0
    TRACK_START = 1
    TRACK_STOP = 2
    NOTIFICATION = 3  # event of model 0
    GET_TYPE = 4
    MODEL_GET_TYPE = 5
    V1_QUORUM = 6  # events of model 1
    V1_NODE_LIST = 7


class Model(IntEnum):
    """Which events a client understands."""

    V0 = 0
    V1 = 1


class QuorumType(IntEnum):
    """FREE: nobody decides, the node is always quorate; SET: a provider decides."""

    FREE = 0
    SET = 1


PLAIN_REQUEST: Final = Fixed("QuorumPlainRequest", Struct("header" / REQUEST_HEADER_LAYOUT))
TRACK_START_REQUEST: Final = Fixed(
    "QuorumTrackStart", Struct("header" / REQUEST_HEADER_LAYOUT, "flags" / Aligned(8, Int32ul))
)
assert TRACK_START_REQUEST.size == 24
MODEL_REQUEST: Final = Fixed(
    "QuorumModelGetType", Struct("header" / REQUEST_HEADER_LAYOUT, "model" / Aligned(8, Int32ul))
)
assert MODEL_REQUEST.size == 24

# The answers to GET_QUORATE, GET_TYPE and MODEL_GET_TYPE: one number.
NUMBER_RESPONSE: Final = Fixed(
    "QuorumNumberResponse", Struct("header" / RESPONSE_HEADER_LAYOUT, "value" / Aligned(8, Int32ul))
)
assert NUMBER_RESPONSE.size == 32

# Compatibility: the lists of these events start right behind the last number, where C's padding would be,
# while header.size counts that padding too. So each event ends with four bytes that mean nothing.
NOTIFICATION: Final = Fixed(
    "QuorumNotification",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "quorate" / Aligned(8, Int32ul),
        "ring_seq" / Int64ul,
        "members" / Int32ul,
    ),
)
assert NOTIFICATION.size == 44
V1_QUORUM: Final = Fixed(
    "QuorumV1Notification",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "quorate" / Aligned(8, Int32ul),
        "representative" / Aligned(8, Int32ul),
        "ring_seq" / Int64ul,
        "members" / Int32ul,
    ),
)
assert V1_QUORUM.size == 52
# Followed by the members, then those who joined, then those who left.
V1_NODE_LIST: Final = Fixed(
    "QuorumV1NodeList",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "representative" / Aligned(8, Int32ul),
        "ring_seq" / Int64ul,
        "members" / Aligned(8, Int32ul),
        "joined" / Aligned(8, Int32ul),
        "left" / Int32ul,
    ),
)
assert V1_NODE_LIST.size == 60
LIST_TAIL: Final = b"\0\0\0\0"
