"""Packets that no honest node would send, thrown at whole nodes: recorded traffic with changes, cut short, in
the other byte order, under other names, from other clusters, from rings of the past.

    python -m tests.simulator.hostile COUNT [SEED]    so many packets against each kind of network

What holds: nothing of it ends a node, makes its memory grow, or keeps the ring down for longer than a lost
token would; where packets are sealed, only old ones that are sent again get through, and they change nothing.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pycorosync.errors import MalformedMessage
from pycorosync.totem.messages import MCAST, Mcast, decode
from pycorosync.types import NodeId
from pycorosync.wire.fixed import BIG
from tests.simulator.cluster import Cluster, Setup
from tests.simulator.network import Datagram, Host, address

NETWORKS: Final = {
    "clear": Setup(nodes=3, token_ms=300),
    "sealed": Setup(nodes=3, token_ms=300, crypto=True),
    "udpu": Setup(nodes=3, token_ms=300, transport="udpu"),
}
KNET_HEADER: Final = 14
BATCH: Final = 50  # packets at once; the nodes have a moment to themselves in between
RECORDED_MAX: Final = 4000
GROWTH_MAX_KB: Final = 8192


class Record(NamedTuple):
    source: NodeId
    target: NodeId
    link: int
    payload: bytes


class Tape:
    """Traffic of a cluster, of several rings: it forms, talks, breaks up and merges."""

    def __init__(self, cluster: Cluster) -> None:
        self.records: list[Record] = []
        self._cluster = cluster
        self._where = {address(node_id, 0): node_id for node_id in cluster.hosts}
        self._send = cluster.network.send

    def __enter__(self) -> "Tape":
        setattr(self._cluster.network, "send", self._listen)  # noqa: B010
        return self

    def __exit__(self, *_what: object) -> None:
        setattr(self._cluster.network, "send", self._send)  # noqa: B010

    def _listen(self, source: NodeId, link: int, to: Host, payloads: list[bytes]) -> None:
        target = self._where.get(to, 0)
        if len(self.records) < RECORDED_MAX:
            self.records += [Record(source, target, link, bytes(payload)) for payload in payloads]
        self._send(source, link, to, payloads)

    def thin_out(self) -> None:
        """Fewer of what there is most of, so that rare packets have their turn."""
        seen: Counter[object] = Counter()
        kept = []
        for record in self.records:
            key = (
                record.payload[:5] if record.payload[:1] == b"\x70" else record.payload[:2],
                len(record.payload),
            )
            seen[key] += 1
            if seen[key] <= 12:
                kept.append(record)
        self.records = kept


def live(cluster: Cluster) -> None:
    """A life with all kinds of packets in it."""
    cluster.start()
    cluster.form()
    clients = [cluster.client(node_id) for node_id in cluster.hosts]
    for size in (10, 500, 3000, 70_000):
        for client in clients:
            client.send(size)
    cluster.quiesce()
    cluster.partition([1], [2, 3])
    cluster.form(1)
    cluster.form(2, 3)
    cluster.heal()
    cluster.form()
    cluster.host(3).stop()
    cluster.form(1, 2)
    cluster.start(3)
    cluster.form()
    for node_id in cluster.hosts:
        if not cluster.daemon(node_id).cpg_clients():
            cluster.client(node_id).send(1500)
    cluster.reload(1)
    cluster.quiesce()


# --- how a packet is changed


def flip(rng: random.Random, packet: bytes) -> bytes:
    """A few bits, most of them in the headers."""
    changed = bytearray(packet)
    for _ in range(rng.choice((1, 1, 2, 8))):
        end = len(changed) if rng.random() < 0.3 else min(len(changed), 80)
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(rng: random.Random, packet: bytes) -> bytes:
    """A number is another one, of those that are apt to do harm."""
    changed = bytearray(packet)
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(
        (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 64) - 1)
    )
    at = rng.randrange(min(len(changed), 80))
    changed[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    return bytes(changed[: len(packet)])


def cut_short(rng: random.Random, packet: bytes) -> bytes:
    return packet[: rng.randrange(len(packet))]


def lengthen(rng: random.Random, packet: bytes) -> bytes:
    return packet + rng.randbytes(rng.choice((1, 4, 16, 1400)))


def splice(rng: random.Random, packet: bytes) -> bytes:
    at = rng.randrange(len(packet))
    return packet[:at] + rng.randbytes(rng.randrange(1, 40)) + packet[at + rng.randrange(20) :]


def rename(rng: random.Random, packet: bytes) -> bytes:
    """Another sender in the headers."""
    changed = bytearray(packet)
    node_id = rng.choice((0, 1, 2, 3, 4, 77, 65535, 0xFFFFFFFF))
    at = 0 if changed[:2] == b"\x70\xc0" else KNET_HEADER
    if at and len(changed) > 4:
        changed[2:4] = (node_id & 0xFFFF).to_bytes(2, "big")
    if rng.random() < 0.7 and len(changed) > at + 17:
        changed[at + 5 : at + 9] = changed[at + 13 : at + 17] = node_id.to_bytes(4, "little")
    return bytes(changed)


def turn_round(_rng: random.Random, packet: bytes) -> bytes:
    """The same message from a machine of the other byte order."""
    at = 0 if packet[:2] == b"\x70\xc0" else KNET_HEADER
    try:
        _, message = decode(packet[at:])
    except (MalformedMessage, IndexError):
        return packet[:at] + packet[at:][::-1]
    if isinstance(message, Mcast):
        head = MCAST.encode(*MCAST.decode(packet[at : at + MCAST.size]), order=BIG)
        return packet[:at] + head + packet[at + MCAST.size :]
    return packet[:at] + message.encode(BIG)


def noise(rng: random.Random, _packet: bytes) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 5, 25, 45, 57, 100, 1400)))


CHANGES: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    flip, flip, flip, overwrite, overwrite, cut_short, lengthen, splice, rename, turn_round, noise,
)  # fmt: skip


# --- the attack


class Attack:
    """A cluster at work, and somebody on its network."""

    def __init__(self, setup: Setup, seed: int) -> None:
        self.rng = random.Random(f"hostile {seed}")
        self.cluster = Cluster(seed, setup)
        self.sent = 0
        with self.cluster.log.installed(), Tape(self.cluster) as tape:
            live(self.cluster)
        tape.thin_out()
        self.records = [record for record in tape.records if record.payload]

    def rings(self) -> int:
        return len(self.cluster.rings)

    def throw(self, packets: Iterator[tuple[NodeId, Datagram]]) -> None:
        """In batches, with the ring going on between them."""
        count = 0
        for target, datagram in packets:
            daemon = self.cluster.hosts[target].daemon
            assert daemon is not None, f"node {target} is gone"
            self.cluster.hosts[target].arrive([datagram])
            count += 1
            if count % BATCH == 0:
                self.cluster.run(1)
        self.sent += count
        self.cluster.run(1)

    def changed(self, count: int) -> Iterator[tuple[NodeId, Datagram]]:
        for _ in range(count):
            record = self.rng.choice(self.records)
            payload = self.rng.choice(CHANGES)(self.rng, record.payload)
            yield self._aimed(record, payload)

    def _aimed(self, record: Record, payload: bytes) -> tuple[NodeId, Datagram]:
        target = record.target or self.rng.choice([n for n in self.cluster.hosts if n != record.source])
        source = address(record.source, record.link)
        if self.rng.random() < 0.1:
            source = self.rng.choice((address(target, 0), ("192.0.2.9", 5405), (source[0], 1234)))
        return target, Datagram(record.link, source, payload)

    def every_truncation(self) -> Iterator[tuple[NodeId, Datagram]]:
        """Of one packet of each size, cut at each place of its first 200 bytes."""
        some = {len(record.payload): record for record in self.records}
        for record in some.values():
            for length in range(min(len(record.payload), 200)):
                yield self._aimed(record, record.payload[:length])

    def again(self, records: list[Record], count: int) -> Iterator[tuple[NodeId, Datagram]]:
        """As they were recorded: in rings that are no more, or in another cluster."""
        for _ in range(count):
            record = self.rng.choice(records)
            yield self._aimed(record, record.payload)

    def calm(self) -> None:
        """Peace: the ring forms, and everything that must hold of the traces holds."""
        cluster = self.cluster
        with cluster.log.installed():
            cluster.run(2 * (cluster.setup.token_ms + cluster.consensus_ms))
            if not cluster.setup.crypto:
                # A forged message may have taken the place of one that a synchronization waits for: nobody
                # can tell it from that one, and the next membership ends it.
                cluster.host(3).stop()
                cluster.run(2 * (cluster.setup.token_ms + cluster.consensus_ms))
                cluster.start(3)
            cluster.form()
            for node_id in cluster.hosts:
                if not cluster.daemon(node_id).cpg_clients():
                    cluster.client(node_id)
            for client in cluster.cpg_clients:
                if client.daemon.alive and not client.gone and not client.leaving:
                    client.send(100)
            cluster.quiesce()


def strangers(name: str, seed: int) -> list[Record]:
    """Traffic of another cluster with the same addresses: with another key, if there is one."""
    cluster = Cluster(seed + 1, NETWORKS[name])
    for host in cluster.hosts.values():
        host.key = bytes(reversed(host.key))
    with cluster.log.installed(), Tape(cluster) as tape:
        live(cluster)
    tape.thin_out()
    return [record for record in tape.records if record.payload]


def resident_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def campaign(name: str, count: int, seed: int) -> str:
    """Everything against one kind of network; a line on how it went. Raises AssertionError."""
    attack = Attack(NETWORKS[name], seed)
    others = strangers(name, seed)
    attack.calm()
    sealed = attack.cluster.setup.crypto
    with attack.cluster.log.installed():
        before = attack.rings()
        attack.throw(attack.again(attack.records, min(count, 20_000) // 4))
        assert attack.rings() == before, "packets of the past broke the ring up"
        attack.throw(attack.every_truncation())
        middle_kb, done = 0, 0
        while done < count:
            step = min(count - done, 20_000)
            attack.throw(attack.changed(step))
            attack.throw(attack.again(others, step // 20))
            done += step
            middle_kb = middle_kb or (resident_kb() if done * 4 >= count else 0)
    if sealed:
        assert attack.rings() == before, "a changed packet got through the seal"
    attack.calm()
    grown_kb = resident_kb() - middle_kb
    # Reassembly, windows and caches are full by a quarter of the way.
    assert grown_kb < GROWTH_MAX_KB, f"{grown_kb} kB grown"
    return f"{name}: {attack.sent} packets, {attack.rings() - before} new rings, {grown_kb} kB grown"


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for name in NETWORKS:
        begin = time.monotonic()
        print(campaign(name, count, seed), f"in {time.monotonic() - begin:.0f} s (seed {seed})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
