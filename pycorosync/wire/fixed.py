"""Messages declared once with construct and coded with struct, in either byte order.

A declaration such as

    MERGE_DETECT = Fixed("MergeDetect", Struct("header" / HEADER, "sender" / Int32ul, "ring_id" / RING_ID))

is flattened at import: nested fields become `ring_id_seq`, `Aligned(8, ...)` becomes padding that is sent as
zeros and ignored on receipt. construct's own parser is about eighty times slower and never runs per message.
The byte order written in the declaration is only a notation; `order` of each call decides.
"""

import struct
from collections import namedtuple
from collections.abc import Iterator
from typing import Any, Final

import construct

from pycorosync.errors import MalformedMessage
from pycorosync.types import Buffer

LITTLE: Final = "<"
BIG: Final = ">"
NATIVE: Final = "<" if struct.pack("=H", 1) == b"\x01\x00" else ">"


class Fixed:
    """A message, or the head of one, that has a fixed size."""

    __slots__ = (
        "_big",
        "_little",
        "encode_big",
        "encode_foreign",
        "encode_native",
        "layout",
        "name",
        "pack_native",
        "record",
        "size",
        "unpack_big",
        "unpack_little",
        "unpack_native",
    )

    def __init__(self, name: str, layout: construct.Struct) -> None:
        fields = list(_flatten(layout))
        self.name = name
        self.layout = layout
        self.record: Any = namedtuple(name, [field for field, _ in fields if field])  # type: ignore[misc]
        text = "".join(code for _, code in fields)
        self._little, self._big = struct.Struct(LITTLE + text), struct.Struct(BIG + text)
        self.size = self._little.size
        native = self._little if NATIVE == LITTLE else self._big
        # The data path binds these: (buffer, offset) -> tuple, (buffer, offset, *values), (*values) -> bytes.
        self.unpack_native = native.unpack_from
        self.pack_native = native.pack_into
        self.encode_native = native.pack
        # The same where the byte order is another, or that of whoever has sent it.
        self.unpack_little = self._little.unpack_from
        self.unpack_big = self._big.unpack_from
        self.encode_big = self._big.pack
        self.encode_foreign = (self._big if NATIVE == LITTLE else self._little).pack

    def decode(self, data: Buffer, offset: int = 0, order: str = NATIVE) -> Any:
        """The record at `offset`; raises MalformedMessage when fewer than `size` bytes are there."""
        codec = self._little if order == LITTLE else self._big
        try:
            return self.record._make(codec.unpack_from(data, offset))
        except struct.error as fault:
            raise self.too_short(data, offset) from fault

    def too_short(self, data: Buffer, offset: int = 0) -> MalformedMessage:
        """The error for a buffer in which the record has no room."""
        return MalformedMessage(f"{self.name} needs {self.size} bytes, has {len(data) - offset}")

    def encode(self, *values: Any, order: str = NATIVE) -> bytes:
        """The bytes of the values, given in the order of the declaration; padding is zero."""
        return (self._little if order == LITTLE else self._big).pack(*values)

    def iterate(self, data: Buffer, order: str = NATIVE) -> Iterator[Any]:
        """Every record of an array that fills `data`; raises MalformedMessage for a broken last item."""
        codec = self._little if order == LITTLE else self._big
        try:
            yield from map(self.record._make, codec.iter_unpack(data))
        except struct.error as fault:
            raise MalformedMessage(
                f"array of {self.name}: {len(data)} bytes is no multiple of {self.size}"
            ) from fault


def _flatten(layout: construct.Struct, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(field name, struct code) of each leaf; padding has an empty name."""
    for field in layout.subcons:
        name, kind = prefix + (field.name or ""), field
        while isinstance(kind, construct.Renamed):
            kind = kind.subcon
        yield from _flatten_field(name, kind)


def _flatten_field(name: str, kind: Any) -> Iterator[tuple[str, str]]:
    match kind:
        case construct.Struct():
            yield from _flatten(kind, name + "_")
        case construct.Aligned():
            inner = kind.subcon
            yield from _flatten_field(name, inner)
            if padding := -inner.sizeof() % kind.modulus:
                yield "", f"{padding}x"
        case construct.FormatField():
            yield name, kind.fmtstr[1:]
        case construct.Bytes():
            yield name, f"{kind.length}s"
        case construct.Padded():
            yield "", f"{kind.length}x"
        case _:
            raise TypeError(f"{name}: {kind} has no fixed size that struct can code")
