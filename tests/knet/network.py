"""Knet engines in virtual time on a network that delays, loses, repeats, reorders and cuts, from one seed."""

import errno
import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from pycorosync.knet.crypto import CryptoSettings
from pycorosync.knet.engine import Knet
from pycorosync.knet.link import LinkSettings
from pycorosync.knet.outputs import Kind, LinkDown, LinkUp, Output, Received, SendDatagram, SendDatagrams
from pycorosync.knet.settings import CompressionSettings, KnetSettings, LinkMode

MS = 1_000_000
S = 1000 * MS
START_NS = 5 * S
IP_AND_UDP = 28
CLEAR = CryptoSettings()


def key(seed: int, size: int = 256) -> bytes:
    return random.Random(seed).randbytes(size)


def crypto(cipher: str = "aes256", hash: str = "sha256", seed: int = 1) -> CryptoSettings:
    return CryptoSettings("nss", cipher, hash, key(seed))


def frame(body: bytes = b"", target: int = 0) -> bytes:
    """A totem frame as far as knet knows one."""
    return b"\x70\xc0\x03\x01\x02" + bytes(4) + target.to_bytes(4, "little") + body


def link_settings(number: int = 0, priority: int = 1, ip_version: int = 4) -> LinkSettings:
    """corosync's defaults for three nodes."""
    return LinkSettings(number, ip_version, priority, 912 * MS, 1825 * MS, 30, 2)


def address(node: int, link: int) -> tuple[str, int]:
    return f"10.0.{link}.{node}", 5405 + link


def settings(
    node: int,
    nodes: int,
    links: int = 1,
    mode: LinkMode = LinkMode.PASSIVE,
    compression: CompressionSettings | None = None,
    priorities: Mapping[int, int] | None = None,
    manual_mtu: int = 0,
) -> KnetSettings:
    priorities = priorities or {}
    return KnetSettings(
        node_id=node,
        mode=mode,
        links=tuple(link_settings(number, priorities.get(number, 1)) for number in range(links)),
        peers={
            peer: {number: address(peer, number) for number in range(links)}
            for peer in range(1, nodes + 1)
            if peer != node
        },
        pmtud_interval_ns=30 * S,
        manual_mtu=manual_mtu,
        compression=compression or CompressionSettings(),
    )


@dataclass
class Path:
    """How one link treats datagrams, in both directions and between all nodes."""

    delay_ns: int = MS // 10
    jitter_ns: int = 0
    loss: float = 0.0
    repeat: float = 0.0
    mtu: int = 1500  # larger IP packets vanish
    kernel_mtu: int = 1500  # larger ones cannot be sent
    kernel_tells: bool = True  # what it would send
    cut: set[frozenset[int]] = field(default_factory=set)  # pairs of nodes


@dataclass
class Node:
    knet: Knet
    received: list[tuple[int, bytes]] = field(default_factory=list)
    events: list[Output] = field(default_factory=list)


class Network:
    def __init__(
        self,
        nodes: int,
        links: int = 1,
        seed: int = 1,
        crypto: CryptoSettings = CLEAR,
        change: Callable[[KnetSettings], KnetSettings] = lambda one: one,
        mode: LinkMode = LinkMode.PASSIVE,
    ) -> None:
        self.rng = random.Random(seed)
        self.now_ns = START_NS
        self.paths = {number: Path() for number in range(links)}
        self.nodes: dict[int, Node] = {}
        self.dead: set[int] = set()
        self.sent: list[tuple[int, int, int, Kind, bytes]] = []  # source, destination, link, kind, payload
        self.keep_sent = False
        self._flying: list[tuple[int, int, int, int, int, bytes]] = []
        self._order = count()
        self._where = {
            address(node, link): node for node in range(1, nodes + 1) for link in range(len(self.paths))
        }
        for number in range(1, nodes + 1):
            self.start(number, change(settings(number, nodes, links, mode)), crypto)

    def start(self, number: int, config: KnetSettings, crypto: CryptoSettings = CLEAR) -> Knet:
        """Start a node, or start it anew."""
        self.dead.discard(number)
        knet = Knet(config, crypto, self.rng.randbytes)
        self.nodes[number] = Node(knet)
        knet.start(self.now_ns)
        self.act(number)
        return knet

    def kill(self, number: int) -> None:
        self.dead.add(number)

    def __getitem__(self, number: int) -> Knet:
        return self.nodes[number].knet

    # --- what the shell does

    def act(self, number: int) -> None:
        """Do what the engine wants; sending may make it want more."""
        node = self.nodes[number]
        while node.knet.outputs:
            outputs, node.knet.outputs = node.knet.outputs, []
            for output in outputs:
                if isinstance(output, SendDatagram):
                    self._send(number, output.link, output.address, output.kind, bytes(output.payload))
                elif isinstance(output, SendDatagrams):
                    for buffers in output.datagrams:
                        self._send(number, output.link, output.address, Kind.DATA, b"".join(buffers))
                elif isinstance(output, Received):
                    node.received.append((output.node_id, bytes(output.payload)))
                else:
                    node.events.append(output)

    def _send(self, source: int, link: int, to: object, kind: Kind, payload: bytes) -> None:
        path = self.paths[link]
        size = len(payload) + IP_AND_UDP
        if size > path.kernel_mtu:
            told = path.kernel_mtu if path.kernel_tells else 0
            self.nodes[source].knet.on_send_error(link, to, kind, errno.EMSGSIZE, told, self.now_ns)
            return
        destination = self._where[to]  # type: ignore[index]
        if self.keep_sent:
            self.sent.append((source, destination, link, kind, payload))
        if size > path.mtu or frozenset((source, destination)) in path.cut:
            return
        for _ in range(1 + (self.rng.random() < path.repeat)):
            if self.rng.random() >= path.loss:
                at = self.now_ns + path.delay_ns + (path.jitter_ns and self.rng.randrange(path.jitter_ns))
                heapq.heappush(self._flying, (at, next(self._order), source, destination, link, payload))

    # --- time

    def run(self, duration_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True as soon as `until` is."""
        end_ns = self.now_ns + duration_ns
        while not until():
            alive = [number for number in self.nodes if number not in self.dead]
            due = [(self[number].next_deadline() or 0, number) for number in alive]
            next_ns = min([deadline for deadline, _ in due] + [at for at, *_ in self._flying[:1]])
            if next_ns > end_ns:
                self.now_ns = end_ns
                return until()
            self.now_ns = max(self.now_ns, next_ns)
            if self._flying and self._flying[0][0] <= self.now_ns:
                _, _, source, destination, link, payload = heapq.heappop(self._flying)
                if destination not in self.dead:
                    self[destination].receive(link, address(source, link), payload, self.now_ns)
                    self.act(destination)
                continue
            for deadline, number in due:
                if deadline <= self.now_ns:
                    self[number].on_timer(self.now_ns)
                    self.act(number)
        return True

    def all_reachable(self) -> bool:
        alive = [number for number in self.nodes if number not in self.dead]
        return all(self[one].is_reachable(other) for one in alive for other in alive)

    def settled(self) -> bool:
        """Everybody reaches everybody, and nobody searches for the size of packets."""
        tick = all(node.knet._discovery.next_deadline() is None for node in self.nodes.values())
        return self.all_reachable() and tick

    def form(self) -> "Network":
        assert self.run(20 * S, self.settled)
        return self

    def send(self, source: int, message: bytes, to: int = 0) -> bool:
        sent = self[source].send(message, to, self.now_ns)
        self.act(source)
        return sent

    def received(self, node: int, source: int) -> list[bytes]:
        return [message for origin, message in self.nodes[node].received if origin == source]

    def ups(self, node: int) -> list[tuple[int, int]]:
        return [(event.node_id, event.link) for event in self.nodes[node].events if isinstance(event, LinkUp)]

    def downs(self, node: int) -> list[tuple[int, int]]:
        events = self.nodes[node].events
        return [(event.node_id, event.link) for event in events if isinstance(event, LinkDown)]


def with_links(config: KnetSettings, *links: LinkSettings) -> KnetSettings:
    return replace(config, links=links)
