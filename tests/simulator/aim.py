"""Losses that are aimed: frames of some kinds, or one message to one receiver, however often it is sent."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pycorosync.totem.messages import MCAST, RECOVERY_COPY, MessageType
from pycorosync.types import NodeId

_KNET_HEADER: Final = 14
_MAGIC: Final = b"\x70\xc0"


class Frame(NamedTuple):
    """What can be told of a frame at first sight."""

    type: int
    encapsulated: int
    seq: int  # of an mcast, else 0


def frame_in(datagram: bytes) -> Frame | None:
    """The frame that a clear datagram carries or begins; None for pings, later fragments, sealed ones."""
    at = 0
    if datagram[:2] != _MAGIC:
        if datagram[:2] != b"\x01\x00" or datagram[8:9] != b"\0" or datagram[12] > 1:
            return None
        at = _KNET_HEADER
        if datagram[at : at + 2] != _MAGIC:
            return None
    kind = datagram[at + 3]
    seq = int.from_bytes(datagram[at + 17 : at + 21], "little") if kind == MessageType.MCAST else 0
    return Frame(kind, datagram[at + 4], seq)


@dataclass
class Aim:
    """One rule, which holds until `until_ns`. No sources or no targets: all of them."""

    until_ns: int
    types: frozenset[int]
    chance: float = 1.0
    sources: frozenset[NodeId] = frozenset()
    targets: frozenset[NodeId] = frozenset()
    copies_only: bool = False  # of mcasts, those that bring old messages into a new ring

    def hits(self, source: NodeId, target: NodeId, frame: Frame, rng: random.Random) -> bool:
        if frame.type not in self.types or (self.copies_only and frame.encapsulated != RECOVERY_COPY):
            return False
        if (self.sources and source not in self.sources) or (self.targets and target not in self.targets):
            return False
        return rng.random() < self.chance


@dataclass
class Hole:
    """The next message that `target` would get never reaches it in this form, whoever sends it."""

    until_ns: int
    target: NodeId
    skip: int = 0  # so many come through before
    seq: int = 0
    count: int = 1  # so many in a row

    def hits(self, source: NodeId, target: NodeId, frame: Frame, rng: random.Random) -> bool:
        if target != self.target or frame.type != MessageType.MCAST or frame.encapsulated == RECOVERY_COPY:
            return False
        if not self.seq:
            if self.skip > 0:
                self.skip -= 1
                return False
            self.seq = frame.seq
        return self.seq <= frame.seq < self.seq + self.count


@dataclass
class Marksman:
    """Decides for each datagram; a network's `drop`."""

    rng: random.Random
    clock: Callable[[], int]
    rules: list[Aim | Hole] = field(default_factory=list)
    dropped: int = 0

    def __call__(self, source: NodeId, target: NodeId, _link: int, datagram: bytes) -> bool:
        now_ns = self.clock()
        self.rules = [rule for rule in self.rules if rule.until_ns > now_ns]
        frame = frame_in(datagram)
        if frame is None or not any(rule.hits(source, target, frame, self.rng) for rule in self.rules):
            return False
        self.dropped += 1
        return True


assert MCAST.size == 45
