"""What clients and the cmap service say to each other, and the service to its peers
(corosync: include/corosync/ipc_cmap.h, exec/cmap.c).

Layouts and meanings: protocol/cmap.md. The map's types and the bytes of values are those of
pycorosync.cmap.values; clients take them from here.
"""

from enum import IntEnum
from typing import Any, Final

from construct import Aligned, Bytes, Int8ul, Int16ul, Int32sl, Int64ul, Padded, Struct

from pycorosync.cmap.values import Entry, TrackEvent, Value, ValueType, checked, decode, encode
from pycorosync.services.service import REQUEST_HEADER_LAYOUT, RESPONSE_HEADER_LAYOUT
from pycorosync.wire.fixed import Fixed

__all__ = ["Entry", "TrackEvent", "Value", "ValueType", "checked", "decode", "encode"]

SERVICE_NAME: Final = "cmap"
NAME_FIELD_BYTES: Final = 256


class CmapRequest(IntEnum):
    """Ids of requests."""

    SET = 0
    DELETE = 1
    GET = 2
    ADJUST_INT = 3
    ITER_INIT = 4
    ITER_NEXT = 5
    ITER_FINALIZE = 6
    TRACK_ADD = 7
    TRACK_DELETE = 8
    SET_CURRENT_MAP = 9


class CmapResponse(IntEnum):
    """Ids of responses, and of the one event."""

    SET = 0
    DELETE = 1
    GET = 2
    ADJUST_INT = 3
    ITER_INIT = 4
    ITER_NEXT = 5
    ITER_FINALIZE = 6
    TRACK_ADD = 7
    TRACK_DELETE = 8
    NOTIFY = 9  # event
    SET_CURRENT_MAP = 10


class CmapMap(IntEnum):
    """Which map a connection works on."""

    DEFAULT = 0
    STATS = 1


class CmapExec(IntEnum):
    """Functions between the nodes' services."""

    MCAST = 0


class McastReason(IntEnum):
    """Why a node announces its keys."""

    SYNC = 0
    NEW_CONFIG_VERSION = 1


# mar_name_t: the text ends at its first zero; only whether `length` is zero matters to the daemon.
NAME_LAYOUT: Final = Struct("length" / Aligned(8, Int16ul), "value" / Bytes(NAME_FIELD_BYTES))

KEY_REQUEST: Final = Fixed("CmapKeyRequest", Struct("header" / REQUEST_HEADER_LAYOUT, "key" / NAME_LAYOUT))
assert KEY_REQUEST.size == 280  # DELETE, ITER_INIT (the key is a prefix)

# Followed by the value.
SET_REQUEST: Final = Fixed(
    "CmapSet",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "key" / NAME_LAYOUT,
        "value_bytes" / Int64ul,
        "kind" / Aligned(8, Int8ul),
    ),
)
assert SET_REQUEST.size == 296

# value_bytes: the room that the client has; 0 asks for type and length alone.
GET_REQUEST: Final = Fixed(
    "CmapGet", Struct("header" / REQUEST_HEADER_LAYOUT, "key" / NAME_LAYOUT, "value_bytes" / Int64ul)
)
assert GET_REQUEST.size == 288

# Followed by as many bytes as the request had room for: the value, then zeros.
GET_RESPONSE: Final = Fixed(
    "CmapGetResponse",
    Struct("header" / RESPONSE_HEADER_LAYOUT, "value_bytes" / Int64ul, "kind" / Aligned(8, Int8ul)),
)
assert GET_RESPONSE.size == 40

ADJUST_REQUEST: Final = Fixed(
    "CmapAdjustInt",
    Struct("header" / REQUEST_HEADER_LAYOUT, "key" / NAME_LAYOUT, "step" / Aligned(8, Int32sl)),
)
assert ADJUST_REQUEST.size == 288

HANDLE_REQUEST: Final = Fixed(
    "CmapHandleRequest", Struct("header" / REQUEST_HEADER_LAYOUT, "handle" / Int64ul)
)
assert HANDLE_REQUEST.size == 24  # ITER_NEXT, ITER_FINALIZE, TRACK_DELETE

HANDLE_RESPONSE: Final = Fixed(
    "CmapHandleResponse", Struct("header" / RESPONSE_HEADER_LAYOUT, "handle" / Int64ul)
)
assert HANDLE_RESPONSE.size == 32  # ITER_INIT, TRACK_ADD; TRACK_DELETE gives back the client's own handle

ITER_NEXT_RESPONSE: Final = Fixed(
    "CmapIterNextResponse",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "key" / NAME_LAYOUT,
        "value_bytes" / Int64ul,
        "kind" / Aligned(8, Int8ul),
    ),
)
assert ITER_NEXT_RESPONSE.size == 304

# own_handle: what the client wants to find in each notification.
TRACK_ADD_REQUEST: Final = Fixed(
    "CmapTrackAdd",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "key" / NAME_LAYOUT,
        "events" / Aligned(8, Int32sl),
        "own_handle" / Int64ul,
    ),
)
assert TRACK_ADD_REQUEST.size == 296

MAP_REQUEST: Final = Fixed(
    "CmapSetCurrentMap", Struct("header" / REQUEST_HEADER_LAYOUT, "map" / Aligned(8, Int32sl))
)
assert MAP_REQUEST.size == 24

# Followed by the new value, then the old one. A value that there is not has type 0 and length 0.
NOTIFY_EVENT: Final = Fixed(
    "CmapNotify",
    Struct(
        "header" / RESPONSE_HEADER_LAYOUT,
        "own_handle" / Int64ul,
        "key" / NAME_LAYOUT,
        "event" / Aligned(8, Int32sl),
        "new_kind" / Aligned(8, Int8ul),
        "old_kind" / Aligned(8, Int8ul),
        "new_bytes" / Int64ul,
        "old_bytes" / Int64ul,
    ),
)
assert NOTIFY_EVENT.size == 336

# What a refused request is answered with: the ordinary response's size, zeros behind the header.
RESPONSE_SHAPE: Final[dict[int, tuple[CmapResponse, int]]] = {
    CmapRequest.SET: (CmapResponse.SET, 24),
    CmapRequest.DELETE: (CmapResponse.DELETE, 24),
    CmapRequest.GET: (CmapResponse.GET, GET_RESPONSE.size),
    CmapRequest.ADJUST_INT: (CmapResponse.ADJUST_INT, 24),
    CmapRequest.ITER_INIT: (CmapResponse.ITER_INIT, HANDLE_RESPONSE.size),
    CmapRequest.ITER_NEXT: (CmapResponse.ITER_NEXT, ITER_NEXT_RESPONSE.size),
    CmapRequest.ITER_FINALIZE: (CmapResponse.ITER_FINALIZE, 24),
    CmapRequest.TRACK_ADD: (CmapResponse.TRACK_ADD, HANDLE_RESPONSE.size),
    CmapRequest.TRACK_DELETE: (CmapResponse.TRACK_DELETE, HANDLE_RESPONSE.size),
    CmapRequest.SET_CURRENT_MAP: (CmapResponse.SET_CURRENT_MAP, 24),
}

# --- between nodes

# Followed by `items` items.
MCAST: Final = Fixed(
    "CmapMcast",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "reason" / Aligned(8, Int8ul),
        "items" / Aligned(8, Int8ul),
        "reserved" / Padded(16, Bytes(0)),
    ),
)
assert MCAST.size == 48

# Followed by the value, padded to a multiple of 8 bytes. kind 0: the sender has no such key.
MCAST_ITEM: Final = Fixed(
    "CmapMcastItem",
    Struct("key" / NAME_LAYOUT, "kind" / Aligned(8, Int8ul), "value_bytes" / Int64ul),
)
assert MCAST_ITEM.size == 280


def name_fields(text: str) -> tuple[int, bytes]:
    """The two fields of a NAME_LAYOUT. The text has at most 255 bytes."""
    raw = text.encode("utf-8", "surrogateescape")
    return len(raw), raw


def name_text(value: bytes) -> str:
    """The text in the second field of a NAME_LAYOUT."""
    return value.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def key_of(record: Any) -> str:
    """The key that a request, response or event is about."""
    return name_text(record.key_value)
