"""The vocabulary of the maps: types of values, their bytes, kinds of change (corosync: part of exec/icmap.c).

A value is named by its type; its bytes are in the machine's own byte order, as clients of the same machine
read them. A string's bytes end with a zero that is counted in its length; the Python value has none.
"""

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple, TypeAlias

from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError
from pycorosync.types import Buffer

VALUE_MAX_BYTES = 16 * 1024  # of what a caller hands over; a string's closing zero may come on top

Value: TypeAlias = int | float | str | bytes


class ValueType(IntEnum):
    """CMAP_VALUETYPE_*."""

    INT8 = 1
    UINT8 = 2
    INT16 = 3
    UINT16 = 4
    INT32 = 5
    UINT32 = 6
    INT64 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    STRING = 11
    BINARY = 12


class TrackEvent(IntFlag):
    """CMAP_TRACK_*; PREFIX only says what a tracker wants, no change carries it."""

    DELETE = 1
    MODIFY = 2
    ADD = 4
    PREFIX = 8


class Entry(NamedTuple):
    """A value together with its type."""

    kind: ValueType
    value: Value


INTEGER_RANGE: dict[ValueType, tuple[int, int]] = {
    ValueType.INT8: (-(2**7), 2**7 - 1),
    ValueType.UINT8: (0, 2**8 - 1),
    ValueType.INT16: (-(2**15), 2**15 - 1),
    ValueType.UINT16: (0, 2**16 - 1),
    ValueType.INT32: (-(2**31), 2**31 - 1),
    ValueType.UINT32: (0, 2**32 - 1),
    ValueType.INT64: (-(2**63), 2**63 - 1),
    ValueType.UINT64: (0, 2**64 - 1),
}

NUMBER_CODEC: dict[ValueType, struct.Struct] = {
    ValueType.INT8: struct.Struct("=b"),
    ValueType.UINT8: struct.Struct("=B"),
    ValueType.INT16: struct.Struct("=h"),
    ValueType.UINT16: struct.Struct("=H"),
    ValueType.INT32: struct.Struct("=i"),
    ValueType.UINT32: struct.Struct("=I"),
    ValueType.INT64: struct.Struct("=q"),
    ValueType.UINT64: struct.Struct("=Q"),
    ValueType.FLOAT: struct.Struct("=f"),
    ValueType.DOUBLE: struct.Struct("=d"),
}


def checked(kind: ValueType, value: Value) -> Value:
    """The value as the map keeps it; raises ClientError(INVALID_PARAM) when it does not fit its type.

    A FLOAT is rounded to the 32 bits that clients will see.
    """
    limits = INTEGER_RANGE.get(kind)
    if limits is not None:
        if isinstance(value, int) and limits[0] <= value <= limits[1]:
            return value
    elif kind is ValueType.STRING:
        if isinstance(value, str) and "\0" not in value and string_size(value) <= VALUE_MAX_BYTES:
            return value
    elif kind is ValueType.BINARY:
        if isinstance(value, bytes | bytearray | memoryview) and len(value) <= VALUE_MAX_BYTES:
            return bytes(value)
    elif isinstance(value, int | float):
        try:
            codec = NUMBER_CODEC[kind]
            number: float = codec.unpack(codec.pack(value))[0]
        except (OverflowError, KeyError):
            pass  # refused below
        else:
            return number
    raise ClientError(CsError.INVALID_PARAM)


def string_size(text: str) -> int:
    """The length of a string in bytes, without the closing zero."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def encode(entry: Entry) -> bytes:
    """The bytes of a value as clients see them; a string's include the closing zero."""
    codec = NUMBER_CODEC.get(entry.kind)
    if codec is not None:
        return codec.pack(entry.value)
    if isinstance(entry.value, str):
        return entry.value.encode("utf-8", "surrogateescape") + b"\0"
    return entry.value if isinstance(entry.value, bytes) else b""


def size(entry: Entry) -> int:
    """len(encode(entry)), without making the bytes."""
    codec = NUMBER_CODEC.get(entry.kind)
    if codec is not None:
        return codec.size
    if isinstance(entry.value, str):
        return string_size(entry.value) + 1
    return len(entry.value) if isinstance(entry.value, bytes) else 0


def decode(kind_number: int, data: Buffer) -> Entry:
    """A value from its bytes; raises ClientError(INVALID_PARAM). How many there may be is for the caller.

    A number must have exactly its type's size. A string ends at its first zero, or at the end of `data`;
    bytes after the zero are a contradiction and refused (icmap: a length may be shorter than the string,
    never longer than string and zero).
    """
    try:
        kind = ValueType(kind_number)
    except ValueError:
        # Compatibility: icmap_set takes an unknown type if its length is 0; no client can use such a key.
        raise ClientError(CsError.INVALID_PARAM) from None
    codec = NUMBER_CODEC.get(kind)
    if codec is not None:
        if len(data) != codec.size:
            raise ClientError(CsError.INVALID_PARAM)
        return Entry(kind, codec.unpack(data)[0])
    raw = bytes(data)
    if kind is ValueType.BINARY:
        return Entry(kind, raw)
    text, _, rest = raw.partition(b"\0")
    if rest:
        raise ClientError(CsError.INVALID_PARAM)
    return Entry(kind, text.decode("utf-8", "surrogateescape"))


def same(old: Entry, new: Entry) -> bool:
    """Whether both have the same type and the same bytes (so NaN equals NaN, and 0.0 is not -0.0)."""
    if old.kind is not new.kind:
        return False
    if old.kind is ValueType.FLOAT or old.kind is ValueType.DOUBLE:
        return encode(old) == encode(new)
    return old.value == new.value


def adjusted(entry: Entry, step: int) -> Entry:
    """An integer entry moved by `step`, wrapping round at the ends of its type as C does.

    Raises ClientError(INVALID_PARAM) for the types that are not integers.
    """
    limits = INTEGER_RANGE.get(entry.kind)
    if limits is None or not isinstance(entry.value, int):
        raise ClientError(CsError.INVALID_PARAM)
    return wrapped(entry.kind, entry.value + step)


def wrapped(kind: ValueType, value: Value) -> Entry:
    """An entry whose integer is cut to its type as C would, for figures that may have outgrown it."""
    limits = INTEGER_RANGE.get(kind)
    if limits is None or not isinstance(value, int):
        return Entry(kind, value)
    lowest, highest = limits
    return Entry(kind, (value - lowest) % (highest - lowest + 1) + lowest)
