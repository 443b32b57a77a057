"""What the knet engine asks of its surroundings, and what it tells: values in one ordered list."""

from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from pycorosync.record import Record
from pycorosync.types import Buffer, NodeId

# Where a peer's link ends. The engine compares addresses and prints them, nothing more: whoever owns the
# sockets gives the same value in the configuration and as a datagram's source.
Address: TypeAlias = Hashable

# What the kernel takes in one call for UDP_SEGMENT (generic segmentation offload).
GSO_SEGMENTS_MAX: Final = 64
GSO_BYTES_MAX: Final = 65507


class Kind(Enum):
    """What a datagram is, for statistics, and for what it means if it cannot be sent."""

    DATA = "data"
    PING = "ping"
    PONG = "pong"
    PMTUD = "pmtu"


class Datagrams:
    """The fragments of one message, made once for every peer and link that they go to.

    `buffers` holds them in order; each `per_datagram` consecutive buffers are one datagram, to be gathered by
    sendmsg. All datagrams have `segment_size` bytes, except that the last may be shorter. Nothing is changed
    after they were put out.
    """

    __slots__ = ("buffers", "per_datagram", "segment_size", "size")

    def __init__(self, buffers: list[Buffer], per_datagram: int) -> None:
        self.buffers = buffers
        self.per_datagram = per_datagram
        self.segment_size = last = sum([len(buffer) for buffer in buffers[:per_datagram]])
        count = len(buffers) // per_datagram
        if count > 1:
            last = sum([len(buffer) for buffer in buffers[-per_datagram:]])
        self.size = (count - 1) * self.segment_size + last

    def __len__(self) -> int:
        """How many datagrams."""
        return len(self.buffers) // self.per_datagram

    def __iter__(self) -> Iterator[list[Buffer]]:
        """The buffers of each datagram, for one sendmsg each."""
        step = self.per_datagram
        return (self.buffers[start : start + step] for start in range(0, len(self.buffers), step))

    def batches(self) -> Iterator[list[Buffer]]:
        """The buffers of as many datagrams as one sendmsg with UDP_SEGMENT = `segment_size` takes."""
        count = max(1, min(GSO_SEGMENTS_MAX, GSO_BYTES_MAX // self.segment_size)) * self.per_datagram
        return (self.buffers[start : start + count] for start in range(0, len(self.buffers), count))


class SendDatagram(Record):
    """Send one datagram from the socket of `link`."""

    __match_args__ = ("kind", "link", "address", "payload")
    __slots__ = __match_args__

    def __init__(self, kind: Kind, link: int, address: Address, payload: Buffer) -> None:
        self.kind = kind
        self.link = link
        self.address = address
        self.payload = payload


class SendDatagrams(Record):
    """Send these datagrams in order from the socket of `link`. Several outputs may share one `datagrams`."""

    __match_args__ = ("link", "address", "datagrams")
    __slots__ = __match_args__

    def __init__(self, link: int, address: Address, datagrams: Datagrams) -> None:
        self.link = link
        self.address = address
        self.datagrams = datagrams


class Received(Record):
    """A message, from another node or from ourselves. The buffer is nobody else's, or never changes."""

    __match_args__ = ("node_id", "payload")
    __slots__ = __match_args__

    def __init__(self, node_id: NodeId, payload: Buffer) -> None:
        self.node_id = node_id
        self.payload = payload


class LinkUp(NamedTuple):
    node_id: NodeId
    link: int


class LinkDown(NamedTuple):
    node_id: NodeId
    link: int


class HostReachable(NamedTuple):
    """The first usable link to a node has come up."""

    node_id: NodeId


class HostUnreachable(NamedTuple):
    """The last usable link to a node has gone down, or the node was taken out of the configuration."""

    node_id: NodeId


class MtuChanged(NamedTuple):
    """From now on messages are cut into fragments of `data_mtu` bytes."""

    data_mtu: int


Output = (
    SendDatagram | SendDatagrams | Received | LinkUp | LinkDown | HostReachable | HostUnreachable | MtuChanged
)
