"""The five packets of knet, wire version 1 (libknet: onwire.h; protocol/knet.md).

Node ids and sequence numbers are big-endian whoever sends them. The timestamp of a ping and the size in a
PMTUD probe are in the order of the node that made them, which alone interprets them: they come back as they
were.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

from construct import Bytes, Int8sb, Int8ub, Int16ub, Int64sl, Padding, Struct

from pycorosync.errors import MalformedMessage
from pycorosync.types import Buffer, NodeId
from pycorosync.wire.fixed import NATIVE, Fixed

VERSION: Final = 1
LINKS_MAX: Final = 8
NODE_ID_MAX: Final = 65535
PAYLOAD_MAX: Final = 65536  # bytes of one message of the user, here a totem frame
FRAGMENTS_MAX: Final = 255
DATA_SIZE: Final = 14  # the header of data
CORE_SIZE: Final = 4  # version, type and node: what every packet begins with
ALL_HEADERS_SIZE: Final = 26  # what knet reserves for headers when it computes with sizes: those of a ping


DATA_TYPE: Final = 0x00  # a plain number for the data path


class PacketType(IntEnum):
    DATA = DATA_TYPE
    PING = 0x81
    PONG = 0x82
    PMTUD = 0x83  # path MTU discovery: a probe
    PMTUD_REPLY = 0x84


HEADER = Struct(
    "version" / Int8ub,
    "type" / Int8ub,
    "node_id" / Int16ub,  # of the sender
    "max_version" / Int8ub,  # 0 from every library 1.x, where it is a pad
    Padding(1),
)
DATA = Fixed(
    "Data",
    Struct(
        "header" / HEADER,
        "seq" / Int16ub,  # of the message: its fragments and its copies to others have the same; never 0
        "compression" / Int8ub,  # model of the whole message, 0 = none
        Padding(1),
        "broadcast" / Int8ub,  # 1 = meant for everybody
        "fragment_count" / Int8ub,
        "fragment_number" / Int8ub,  # from 1; 0 if there is only one
        "channel" / Int8sb,  # 0 is corosync's
    ),
)
PING = Fixed(  # and pong
    "Ping",
    Struct(
        "header" / HEADER,
        "link" / Int8ub,
        "timestamp" / Bytes(16),
        "seq" / Int16ub,  # of the last data, 0 before there was any
        "timed" / Int8ub,  # 1 = sent by the clock, 0 = because of the sequence number
    ),
)
PMTUD = Fixed(  # and reply; a probe is followed by zeros up to its size
    "Pmtud",
    Struct("header" / HEADER, "link" / Int8ub, "size" / Bytes(2)),
)
TIMESTAMP = Fixed("Timespec", Struct("seconds" / Int64sl, "nanoseconds" / Int64sl))
assert (DATA.size, PING.size, PMTUD.size, TIMESTAMP.size) == (DATA_SIZE, 26, 9, 16)

_LAYOUTS: Final = {
    PacketType.DATA: DATA,
    PacketType.PING: PING,
    PacketType.PONG: PING,
    PacketType.PMTUD: PMTUD,
    PacketType.PMTUD_REPLY: PMTUD,
}


class Packet(NamedTuple):
    """Any packet, for tools and tests; the data path reads its fields directly."""

    type: PacketType
    record: Any  # of DATA, PING or PMTUD
    body: bytes  # user data of DATA, the zeros of a probe

    def encode(self) -> bytes:
        return _LAYOUTS[self.type].encode_big(*self.record) + self.body


def decode(packet: Buffer) -> Packet:
    """A packet that was opened, if it was sealed. Raises MalformedMessage."""
    if len(packet) < CORE_SIZE:
        raise MalformedMessage(f"{len(packet)} bytes")
    if packet[0] != VERSION:
        raise MalformedMessage(f"version {packet[0]}")
    try:
        kind = PacketType(packet[1])
    except ValueError as fault:
        raise MalformedMessage(f"type {packet[1]:#x}") from fault
    layout = _LAYOUTS[kind]
    return Packet(kind, layout.decode(packet, order=">"), bytes(packet[layout.size :]))


def encode_ping(node_id: NodeId, link: int, now_ns: int, seq: int, *, timed: bool) -> bytes:
    """`seq` is that of the last data sent."""
    timestamp = TIMESTAMP.encode_native(*divmod(now_ns, 1_000_000_000))
    return PING.encode_big(VERSION, PacketType.PING, node_id, 0, link, timestamp, seq, timed)


def encode_probe(node_id: NodeId, link: int, on_wire_size: int, length: int) -> bytes:
    """A PMTUD probe of `length` bytes that says how large it is with everything around it."""
    head = PMTUD.encode_big(VERSION, PacketType.PMTUD, node_id, 0, link, encode_size(on_wire_size))
    return head.ljust(length, b"\0")


def encode_size(on_wire_size: int) -> bytes:
    """The size in a probe, as it comes back in the reply."""
    return on_wire_size.to_bytes(2, "little" if NATIVE == "<" else "big")


def answer(packet: Buffer, node_id: NodeId) -> bytes:
    """The pong or PMTUD reply to a ping or probe, which is complete: its own bytes with our node id."""
    size, kind = (
        (PING.size, PacketType.PONG) if packet[1] == PacketType.PING else (PMTUD.size, PacketType.PMTUD_REPLY)
    )
    return bytes((VERSION, kind, node_id >> 8, node_id & 0xFF)) + bytes(packet[CORE_SIZE:size])


def sent_at(timestamp: bytes) -> int:
    """When we sent the ping whose timestamp this is, in ns; nonsense if a peer invented it."""
    seconds, nanoseconds = TIMESTAMP.unpack_native(timestamp, 0)
    return int(seconds * 1_000_000_000 + nanoseconds)
