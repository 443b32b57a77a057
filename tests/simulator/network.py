"""A network in virtual time that delays, loses, repeats, reorders, corrupts and cuts, in each direction of
each link between two hosts by itself. All chance comes from one seed.

Datagrams of one direction keep their order unless `reorder` strikes. What a host has not read stays in its
socket's buffer, up to a bound. A host without a daemon answers with an ICMP refusal.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple

from pycorosync.types import NodeId

US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000
PORT: Final = 5405
MTU: Final = 1500
IP_AND_UDP: Final = 28
SOCKET_BYTES: Final = 8 << 20

Host = tuple[str, int]  # as sockets name an address


def address(node_id: NodeId, link: int) -> Host:
    return f"10.{link}.0.{node_id}", PORT + link


class Datagram(NamedTuple):
    """What waits in a socket."""

    link: int
    source: Host
    payload: bytes


@dataclass(slots=True)
class Path:
    """One direction of one link between two hosts."""

    delay_ns: int = 100 * US
    jitter_ns: int = 40 * US
    loss: float = 0.0
    large_loss: float = 0.0  # of datagrams above 1000 bytes, besides `loss`
    duplicate: float = 0.0
    reorder: float = 0.0  # chance to be overtaken
    reorder_ns: int = 5 * MS
    corrupt: float = 0.0
    cut: bool = False
    last_arrival_ns: int = 0

    @property
    def is_faulty(self) -> bool:
        return bool(self.loss or self.large_loss or self.duplicate or self.reorder or self.corrupt)

    def mend(self) -> None:
        """As new."""
        self.delay_ns, self.jitter_ns = 100 * US, 40 * US
        self.loss = self.large_loss = self.duplicate = self.reorder = self.corrupt = 0.0
        self.cut = False


class Inbox:
    """The sockets of one host."""

    def __init__(self) -> None:
        self.datagrams: list[Datagram] = []
        self.bytes = 0
        self.overflows = 0

    def put(self, datagram: Datagram) -> None:
        if self.bytes > SOCKET_BYTES:
            self.overflows += 1
            return
        self.bytes += len(datagram.payload) + 700  # what the kernel counts besides
        self.datagrams.append(datagram)

    def take(self, limit: int) -> list[Datagram]:
        taken, self.datagrams = self.datagrams[:limit], self.datagrams[limit:]
        self.bytes -= sum(len(datagram.payload) + 700 for datagram in taken)
        return taken


class Schedule:
    """What will happen, in order of time; what is planned first happens first."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()

    def at(self, at_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._heap, (at_ns, next(self._numbers), action, arguments))

    def after(self, delay_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now_ns + delay_ns, action, *arguments)

    @property
    def next_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Let the next thing happen."""
        at_ns, _, action, arguments = heapq.heappop(self._heap)
        self.now_ns = max(self.now_ns, at_ns)
        action(*arguments)


class Network:
    """Carries datagrams between hosts. `arrive(node_id, datagrams)` and `refuse(node_id, link, address)` are
    the hosts' ends; `alive(node_id)` says whether a daemon listens there.
    """

    def __init__(
        self,
        schedule: Schedule,
        rng: random.Random,
        arrive: Callable[[NodeId, list[Datagram]], None],
        refuse: Callable[[NodeId, int, Host], None],
        alive: Callable[[NodeId], bool],
    ) -> None:
        self.sent = 0
        self._schedule = schedule
        self._rng = rng
        self._arrive = arrive
        self._refuse = refuse
        self._alive = alive
        self._paths: dict[tuple[NodeId, NodeId, int], Path] = defaultdict(Path)
        self._where: dict[Host, tuple[NodeId, int]] = {}
        self._hosts: list[NodeId] = []
        self.drop: Callable[[NodeId, NodeId, int, bytes], bool] | None = None

    def add(self, node_id: NodeId, links: int) -> None:
        self._hosts.append(node_id)
        for link in range(links):
            self._where[address(node_id, link)] = (node_id, link)

    def path(self, source: NodeId, target: NodeId, link: int = 0) -> Path:
        return self._paths[source, target, link]

    def paths(self) -> Iterable[Path]:
        return self._paths.values()

    # --- faults

    def cut(self, source: NodeId, target: NodeId, links: Iterable[int], *, cut: bool = True) -> None:
        """One direction."""
        for link in links:
            self.path(source, target, link).cut = cut

    def partition(self, sides: Iterable[Iterable[NodeId]], links: Iterable[int]) -> None:
        """Only hosts of the same side hear each other."""
        side_of = {node_id: number for number, side in enumerate(sides) for node_id in side}
        links = list(links)
        for source in side_of:
            for target in side_of:
                if source != target:
                    self.cut(source, target, links, cut=side_of[source] != side_of[target])

    def mend(self) -> None:
        for path in self._paths.values():
            path.mend()

    # --- traffic

    def send(self, source: NodeId, link: int, to: Host, payloads: list[bytes]) -> None:
        """To one host, or to all if the address is nobody's: a multicast group."""
        self.sent += len(payloads)
        found = self._where.get(to)
        if found is not None:
            self._send(source, found[0], link, to, payloads)
            return
        for target in self._hosts:
            if target != source:
                self._send(source, target, link, to, payloads)

    def _send(self, source: NodeId, target: NodeId, link: int, to: Host, payloads: list[bytes]) -> None:
        path = self._paths[source, target, link]
        if path.cut:
            return
        if self.drop is not None:
            payloads = [each for each in payloads if not self.drop(source, target, link, each)]
        rng, now_ns = self._rng, self._schedule.now_ns
        origin = address(source, link)
        at_ns = now_ns + path.delay_ns + (int(rng.random() * path.jitter_ns) if path.jitter_ns else 0)
        at_ns = path.last_arrival_ns = max(at_ns, path.last_arrival_ns)
        if not path.is_faulty:
            together = [Datagram(link, origin, payload) for payload in payloads]
        else:
            together = []
            for payload in payloads:
                if rng.random() < path.loss or (len(payload) > 1000 and rng.random() < path.large_loss):
                    continue
                if path.corrupt and rng.random() < path.corrupt:
                    payload = self._corrupted(payload)
                datagram = Datagram(link, origin, payload)
                if path.duplicate and rng.random() < path.duplicate:
                    later_ns = at_ns + rng.randrange(1, path.reorder_ns)
                    self._schedule.at(later_ns, self._land, source, target, link, to, [datagram])
                if path.reorder and rng.random() < path.reorder:
                    later_ns = at_ns + rng.randrange(1, path.reorder_ns)
                    self._schedule.at(later_ns, self._land, source, target, link, to, [datagram])
                else:
                    together.append(datagram)
        if together:
            self._schedule.at(at_ns, self._land, source, target, link, to, together)

    def _corrupted(self, payload: bytes) -> bytes:
        changed = bytearray(payload)
        if not changed:
            return payload
        if self._rng.random() < 0.2:
            return bytes(changed[: self._rng.randrange(len(changed))])
        changed[self._rng.randrange(len(changed))] ^= 1 << self._rng.randrange(8)
        return bytes(changed)

    def _land(self, source: NodeId, target: NodeId, link: int, to: Host, datagrams: list[Datagram]) -> None:
        if self._alive(target):
            self._arrive(target, datagrams)
        elif to in self._where:
            back = self._paths[target, source, link]
            if not back.cut and self._rng.random() >= back.loss:
                self._schedule.after(back.delay_ns, self._refuse, source, link, to)
