"""Several rings in one process: a network in virtual time, and the part of the node that a ring needs.

Everything that is left to chance comes from one seed. A member synchronizes as the real node does: after a
regular configuration it sends one message on the synchronization's lane, and goes back to the normal lane
when everybody's has come.
"""

import heapq
import random
import struct
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from pycorosync.totem.config import MS, RingConfig
from pycorosync.totem.outputs import (
    Broadcast,
    Deliver,
    MembershipChanged,
    MembershipKind,
    RingInstalled,
    SaveRingId,
    SendToken,
)
from pycorosync.totem.packing import GROUP_SYNC, Packer, Unpacker
from pycorosync.totem.ring import SingleRing
from pycorosync.totem.states import State
from pycorosync.types import Buffer, RingId

FAST = RingConfig(
    token_ms=300, token_retransmit_ms=71, token_hold_ms=47, consensus_ms=360, join_ms=50, merge_ms=200
)
BARRIER = struct.Struct("=IQ")


class Delivered(NamedTuple):
    """One message as the services above would see it, with the ring in which it came."""

    ring_id: RingId
    node_id: int
    message: bytes


class Member:
    """A node: ring, packer, unpacker, and what came out."""

    def __init__(
        self, network: "Network", node_id: int, config: RingConfig, payload: int, stored: int
    ) -> None:
        self.network = network
        self.node_id = node_id
        self.stored = stored
        self.packer = Packer(payload)
        self.unpacker = Unpacker()
        self.ring = SingleRing(config, node_id, stored, self.packer, random.Random(node_id))
        self.changes: list[MembershipChanged] = []
        self.delivered: list[Delivered] = []
        self.log: list[Delivered | MembershipChanged] = []
        self.waiting_for: set[int] | None = None  # members whose barrier has not come yet
        self.installed_ring_id = self.ring.ring_id

    @property
    def synchronized(self) -> bool:
        return self.ring.state is State.OPERATIONAL and self.waiting_for is None and bool(self.changes)

    @property
    def members(self) -> tuple[int, ...]:
        return self.ring.members

    def send(self, message: bytes) -> bool:
        """Send as a client would: refused during synchronization, when only that may send."""
        if self.waiting_for is not None:
            return False
        taken = self.packer.add(message)
        self.ring.wake(self.network.now_ns)
        self.settle()
        return taken

    def settle(self) -> None:
        """Carry out outputs until there are none."""
        while self.ring.outputs:
            outputs, self.ring.outputs = self.ring.outputs, []
            for output in outputs:
                self._carry_out(output)
        if not self.packer.idle:
            self.ring.wake(self.network.now_ns)
            if self.ring.outputs:
                self.settle()

    def _carry_out(self, output: object) -> None:
        match output:
            case Broadcast(frame, loop_back):
                self.network.broadcast(self.node_id, frame, loop_back)
            case SendToken(node_id, frame):
                self.network.unicast(self.node_id, node_id, frame)
            case Deliver(node_id, payload, order):
                for group, message in self.unpacker.feed(node_id, payload, order):
                    self._on_message(node_id, group, bytes(message))
            case SaveRingId(ring_id):
                assert ring_id.seq > self.stored, (ring_id, self.stored)
                self.stored = ring_id.seq
            case MembershipChanged():
                self._on_membership(output)
            case RingInstalled(ring_id):
                assert ring_id == self.installed_ring_id
            case _:
                raise AssertionError(output)

    def _on_membership(self, change: MembershipChanged) -> None:
        self.changes.append(change)
        self.log.append(change)
        self.unpacker.drop(change.left)
        if change.kind is MembershipKind.TRANSITIONAL:
            self.packer.begin_sync()
            return
        self.installed_ring_id = change.ring_id
        self.unpacker.begin_sync()
        self.waiting_for = set(change.members)
        assert self.packer.add(BARRIER.pack(*change.ring_id), group=GROUP_SYNC)

    def _on_message(self, node_id: int, group: bytes, message: bytes) -> None:
        if group != GROUP_SYNC:
            delivered = Delivered(self.installed_ring_id, node_id, message)
            self.delivered.append(delivered)
            self.log.append(delivered)
            return
        if BARRIER.unpack(message) == self.installed_ring_id and self.waiting_for is not None:
            self.waiting_for.discard(node_id)
            if not self.waiting_for:
                self.waiting_for = None
                self.packer.end_sync()
                self.unpacker.end_sync()


class Network:
    """Delivers frames between members after a short, random time; loses what `drop` says."""

    def __init__(self, seed: int, config: RingConfig = FAST, payload: int = 65446, loss: float = 0.0) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.config = config
        self.payload = payload
        self.loss = loss
        self.now_ns = 1_000_000_000
        self.members: dict[int, Member] = {}
        self.stored: dict[int, int] = {}
        self.drop: Callable[[int, int, Buffer], bool] = lambda _source, _target, _frame: False
        self._cut: set[frozenset[int]] = set()
        self._events: list[tuple[int, int, int, Buffer]] = []
        self._numbers = count()

    def start(self, *node_ids: int) -> None:
        for node_id in node_ids:
            member = Member(self, node_id, self.config, self.payload, self.stored.get(node_id, 0))
            self.members[node_id] = member
            member.ring.start(self.now_ns)
            member.settle()

    def crash(self, node_id: int) -> None:
        member = self.members.pop(node_id)
        self.stored[node_id] = member.stored

    def leave(self, node_id: int) -> None:
        member = self.members[node_id]
        member.ring.leave(self.now_ns)
        member.settle()
        self.crash(node_id)

    def partition(self, *sides: set[int]) -> None:
        """Only nodes of the same side hear each other."""
        everybody = set().union(*sides)
        self._cut = {
            frozenset((a, b)) for a in everybody for b in everybody
            if a != b and not any({a, b} <= side for side in sides)
        }  # fmt: skip

    def heal(self) -> None:
        self._cut.clear()

    def broadcast(self, source: int, frame: Buffer, loop_back: bool) -> None:
        for node_id in sorted(self.members):
            if node_id != source:
                self._send(source, node_id, frame)
        if loop_back:
            self._schedule(0, source, frame)

    def unicast(self, source: int, target: int, frame: Buffer) -> None:
        if target == source:
            self._schedule(0, target, frame)
        elif target in self.members:
            self._send(source, target, frame)

    def _send(self, source: int, target: int, frame: Buffer) -> None:
        lost = frozenset((source, target)) in self._cut or self.rng.random() < self.loss
        if not lost and not self.drop(source, target, frame):
            self._schedule(self.rng.randrange(50_000, 150_000), target, frame)

    def _schedule(self, delay_ns: int, target: int, frame: Buffer) -> None:
        # A copy, as a network makes: what the sender does with its buffer later must not matter.
        heapq.heappush(self._events, (self.now_ns + delay_ns, next(self._numbers), target, bytes(frame)))

    def step(self) -> None:
        """Go to the next event and let it happen."""
        timers = [
            (deadline, node_id)
            for node_id, member in self.members.items()
            if (deadline := member.ring.next_deadline()) is not None
        ]
        due = min(timers, default=None)
        if self._events and (due is None or self._events[0][0] <= due[0]):
            at_ns, _, target, frame = heapq.heappop(self._events)
            self.now_ns = max(self.now_ns, at_ns)
            if (member := self.members.get(target)) is not None:
                member.ring.receive(frame, self.now_ns)
                member.settle()
            return
        assert due is not None, "nothing will ever happen again"
        self.now_ns = max(self.now_ns, due[0])
        member = self.members[due[1]]
        member.ring.on_timer(self.now_ns)
        member.settle()

    def run_until(self, condition: Callable[[], bool], within_ms: int = 10_000) -> None:
        end_ns = self.now_ns + within_ms * MS
        while not condition():
            assert self.now_ns < end_ns, f"not within {within_ms} ms; seed {self.seed}\n{self.describe()}"
            self.step()

    def run(self, duration_ms: int) -> None:
        end_ns = self.now_ns + duration_ms * MS
        while self.now_ns < end_ns:
            self.step()

    def formed(self, *node_ids: int) -> Callable[[], bool]:
        """Whether exactly these are one synchronized ring."""

        def condition() -> bool:
            nodes = [self.members[node_id] for node_id in node_ids]
            rings = {node.ring.ring_id for node in nodes}
            return len(rings) == 1 and all(
                n.synchronized and n.members == tuple(sorted(node_ids)) for n in nodes
            )

        return condition

    def form(self, *node_ids: int, within_ms: int = 10_000) -> None:
        self.run_until(self.formed(*node_ids), within_ms)

    def describe(self) -> str:
        return "\n".join(
            f"{node_id}: {member.ring.state.name} {member.ring.ring_id} members={member.members} "
            f"proc={sorted(member.ring.proc)} waiting_for={member.waiting_for}"
            for node_id, member in sorted(self.members.items())
        )
