"""A life of a cluster made up from one seed: its size and configuration, then faults and clients at random,
then peace, after which everybody must be in one ring and agree on everything.

    python -m tests.simulator.chaos SEED         replays one with all debug lines; FROM SEEDS: a campaign
"""

import argparse
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from pycorosync.totem.messages import MessageType
from pycorosync.types import NodeId
from tests.simulator.aim import Aim, Hole
from tests.simulator.checkers import check, check_one_quorate
from tests.simulator.clients import CpgClient
from tests.simulator.cluster import GROUPS, Cluster, Setup
from tests.simulator.host import SimulatedHost
from tests.simulator.network import MS, US

SIZES: Final = (
    8,
    30,
    100,
    300,
    1000,
    1400,
    5000,
    20_000,
    65_400,
    66_000,
    200_000,
    900_000,
    1_047_552,
    1_048_600,
)
HUGE: Final = 1_500_000
# How long the trouble lasts: some timeouts, but not longer than needed.
TOKENS, SHORTEST_MS, LONGEST_MS = 12, 2500, 9000
# What aimed losses are aimed at.
KINDS: Final = (
    frozenset((MessageType.MCAST,)),
    frozenset((MessageType.MCAST,)),
    frozenset((MessageType.ORF_TOKEN,)),
    frozenset((MessageType.COMMIT_TOKEN,)),
    frozenset((MessageType.JOIN,)),
    frozenset((MessageType.JOIN, MessageType.MERGE_DETECT)),
    frozenset((MessageType.HOLD_CANCEL,)),
    frozenset((MessageType.ORF_TOKEN, MessageType.COMMIT_TOKEN)),
)


def make_setup(rng: random.Random) -> Setup:
    transport = rng.choices(("knet", "udpu", "udp"), (6, 3, 1))[0]
    token_ms = rng.choice((200, 300, 300, 500, 1000, 3000))
    totem: list[tuple[str, str]] = []
    if rng.random() < 0.2:
        totem.append(("send_join", str(rng.choice((20, 80)))))
    if rng.random() < 0.2:
        totem.append(("consensus", str(token_ms * rng.choice((2, 3)))))
    if rng.random() < 0.1:
        totem.append(("join", str(rng.choice((100, 200)))))
    if rng.random() < 0.1:
        totem.append(("fail_recv_const", str(rng.choice((20, 100)))))
    if rng.random() < 0.2:
        totem.append(("cancel_token_hold_on_retransmit", "yes"))
    if transport == "knet" and rng.random() < 0.2:
        totem.append(("link_mode", rng.choice(("active", "rr", "passive"))))
    if rng.random() < 0.1:
        totem.append(("window_size", "20"))
    quorum: list[tuple[str, str]] = []
    nodes = rng.choice((2, 3, 3, 3, 4, 4, 5, 5, 6, 7))
    if rng.random() < 0.2:
        quorum.append(("auto_tie_breaker", "1"))
    if rng.random() < 0.2:
        quorum.append(("wait_for_all", "1"))
    if rng.random() < 0.1 and nodes > 2 and not (nodes % 2 and quorum):
        quorum.append(("last_man_standing", "1"))
    return Setup(
        nodes=nodes,
        transport=transport,
        links=rng.choice((1, 2)) if transport == "knet" else 1,
        crypto=transport == "knet" and rng.random() < 0.25,
        token_ms=token_ms,
        totem=tuple(totem),
        quorum=tuple(quorum),
        drift_ppm=rng.choice((0, 0, 200)),
    )


def make_small_setup(rng: random.Random) -> Setup:
    """Few nodes with short timeouts: most happens in the least time."""
    transport = rng.choice(("udpu", "udpu", "udpu", "udpu", "udpu", "knet"))
    return Setup(nodes=rng.choice((3, 3, 4)), transport=transport, token_ms=rng.choice((200, 300)))


class Chaos:
    """The one who does it to the cluster."""

    def __init__(self, seed: int, *, duration_ms: int = 0, dense: bool = False) -> None:
        """`dense`: a small cluster to which as much as possible happens in a short time."""
        self.seed = seed
        self.rng = random.Random(f"chaos {seed}")
        self.cluster = Cluster(seed, make_small_setup(self.rng) if dense else make_setup(self.rng))
        token_ms = self.cluster.setup.token_ms
        self.duration_ms = duration_ms or min(max(TOKENS * token_ms, SHORTEST_MS), LONGEST_MS)
        self.peaceful = False
        self.healed_in_ms = 0
        self._dense = dense
        weights: list[tuple[int, Callable[[], None]]] = [
            (20, self._send),
            (6, self._connect),
            (2, self._leave),
            (2, self._die),
            (3, self._crash),
            (2, self._stop),
            (6, self._start),
            (3, self._pause),
            (3, self._partition),
            (3, self._cut),
            (4, self._heal),
            (4, self._spoil),
            (1, self._slow),
            (1, self._reload),
            (4, self._aim),
            (4, self._make_hole),
        ]
        # Some runs do without some kinds of trouble: others get deeper there.
        kept = [pair for pair in weights if pair[0] >= 6 or self.rng.random() < 0.75]
        self._weights = [weight for weight, _ in kept]
        self._actions = [action for _, action in kept]
        self._pace_ms = token_ms * self.rng.choice((0.1, 0.3, 0.7))
        # Trouble in the middle of a synchronization, and while a ring is being formed.
        self._at_rings = self.rng.choice((0.0, 0.05, 0.3))
        self._at_states = self.rng.choice((0.0, 0.02, 0.1))
        if dense:
            self._pace_ms, self._at_rings, self._at_states = 0.15 * token_ms, 0.2, 0.05
        self.cluster.on_new_ring = self._on_new_ring
        self.cluster.on_state = self._on_state
        self.cluster.on_quorum = lambda: check_one_quorate(self.cluster)

    def run(self) -> None:
        """Raises AssertionError when something is wrong."""
        cluster = self.cluster
        with cluster.log.installed():
            self._boot()
            cluster.schedule.after(0, self._act)
            cluster.run(self.duration_ms)
            self.peaceful = True
            self._make_peace()
            self.healed_in_ms = cluster.form()
            cluster.quiesce()
            # Links that came up late may have broken the ring once more.
            cluster.form()
            cluster.run(1000)
            check(cluster)

    def _boot(self) -> None:
        for node_id in self.cluster.hosts:
            delay_ms = self.rng.choice((0, 0, self.rng.randrange(3000)))
            self.cluster.schedule.after(delay_ms * MS, self.cluster.hosts[node_id].start)

    def _act(self) -> None:
        check_one_quorate(self.cluster)
        if self.peaceful:
            return
        if self._dense and self.rng.random() < 0.8:
            self._round()
        else:
            self.rng.choices(self._actions, self._weights)[0]()
        self.cluster.schedule.after(int(self.rng.expovariate(1 / self._pace_ms) * MS), self._act)

    def _on_new_ring(self) -> None:
        if not self.peaceful and self.rng.random() < self._at_rings:
            action = self.rng.choice((self._crash, self._partition, self._heal, self._pause, self._connect))
            delay_us = self.rng.choice((0, 100, 400, 1000, 3000, 50_000))
            self.cluster.schedule.after(self.rng.randrange(1, 2 + delay_us) * US, self._strike, action)

    def _on_state(self, host: SimulatedHost) -> None:
        """A node's ring is in another state than before."""
        if self.peaceful or self.rng.random() >= self._at_states:
            return
        action = self.rng.choice((self._burn, self._burn, self._pause, self._partition, self._cut, self._aim))
        if action == self._burn:
            self._burn(host)
        else:
            action()

    def _burn(self, host: SimulatedHost | None = None) -> None:
        """Crash between two of the next outputs."""
        host = host or self.cluster.hosts[self._somebody()]
        if host.daemon is None:
            return
        host.fuse = self.rng.randrange(1, 12)
        self.cluster.schedule.after(self.rng.randrange(1, 1000) * MS, self._restart, host.node_id)

    def _strike(self, action: Callable[[], None]) -> None:
        if not self.peaceful:
            action()

    def _make_peace(self) -> None:
        cluster = self.cluster
        cluster.heal()
        for host in cluster.hosts.values():
            host.slowness = 1
            host.fuse = None
            host.resume()
        self._revive()

    def _revive(self) -> None:
        """Whoever is down comes back, those too that were stopped and still had something to say."""
        self.cluster.start()
        self.cluster.schedule.after(300 * MS, self._revive)

    # --- whom

    def _somebody(self) -> NodeId:
        return self.rng.choice(list(self.cluster.hosts))

    def _some_client(self) -> CpgClient | None:
        clients = [
            client
            for client in self.cluster.cpg_clients
            if client.daemon.alive and not client.gone and not client.daemon.host.paused
        ]
        return self.rng.choice(clients) if clients else None

    # --- what

    def _connect(self) -> None:
        host = self.cluster.hosts[self._somebody()]
        if host.daemon is None or host.paused or len(host.daemon.cpg_clients()) > 4:
            return
        try:
            self.cluster.client(host.node_id, self.rng.choice(GROUPS[:2]))
        except ConnectionRefusedError:
            return

    def _people(self) -> None:
        """A client on every node."""
        for host in self.cluster.hosts.values():
            daemon = host.daemon
            if daemon is not None and daemon.ready and not host.paused and not daemon.cpg_clients():
                self.cluster.client(host.node_id, GROUPS[0])

    def _send(self) -> None:
        client = self._some_client()
        if client is None:
            self._connect()
            return
        if client.leaving:
            return
        kind = self.rng.random()
        if kind < 0.03:
            client.send(HUGE)
        elif kind < 0.3:
            for _ in range(self.rng.randrange(30)):
                client.send(self.rng.choice(SIZES[:5]))
        else:
            for _ in range(self.rng.randrange(1, 4)):
                size = self.rng.choice(SIZES if self.rng.random() < 0.1 else SIZES[:8])
                client.send(max(8, size - self.rng.choice((0, 0, self.rng.randrange(300)))))

    def _leave(self) -> None:
        client = self._some_client()
        if client is not None and not client.leaving and client.daemon.alive:
            client.leave()

    def _die(self) -> None:
        if client := self._some_client():
            client.close()

    def _crash(self) -> None:
        host = self.cluster.hosts[self._somebody()]
        if self.rng.random() < 0.4:
            host.fuse = self.rng.randrange(1, 100)
            return
        host.crash()
        if self.rng.random() < 0.1:
            host.wipe()
        if self.rng.random() < 0.4:  # before anybody has noticed
            self.cluster.schedule.after(self.rng.randrange(300) * MS, self._restart, host.node_id)

    def _restart(self, node_id: NodeId) -> None:
        self.cluster.hosts[node_id].start()

    def _stop(self) -> None:
        host = self.cluster.hosts[self._somebody()]
        if not host.paused:
            host.stop()

    def _start(self) -> None:
        down = [host for host in self.cluster.hosts.values() if host.daemon is None]
        if down:
            self.rng.choice(down).start()

    def _pause(self) -> None:
        host = self.cluster.hosts[self._somebody()]
        host.pause()
        token_ms = self.cluster.setup.token_ms
        length_ms = self.rng.choice((token_ms // 3, token_ms, 3 * token_ms, 6 * token_ms))
        self.cluster.schedule.after(int(length_ms * (0.5 + self.rng.random())) * MS, host.resume)

    def _partition(self) -> None:
        sides: list[list[NodeId]] = [[], [], []]
        count = self.rng.choice((2, 2, 3))
        for node_id in self.cluster.hosts:
            sides[self.rng.randrange(count)].append(node_id)
        self.cluster.partition(*sides)

    def _cut(self) -> None:
        source, target = self._somebody(), self._somebody()
        if source == target:
            return
        links = range(self.cluster.links) if self.rng.random() < 0.6 else [0]
        self.cluster.log.add(f"cut from {source} to {target} on {list(links)}")
        self.cluster.network.cut(source, target, links)
        if self.rng.random() < 0.5:
            self.cluster.network.cut(target, source, links)

    def _heal(self) -> None:
        self.cluster.heal()

    def _spoil(self) -> None:
        """Some paths get bad."""
        rng = self.rng
        everywhere = rng.random() < 0.3
        for source in self.cluster.hosts:
            for target in self.cluster.hosts:
                for link in range(self.cluster.links):
                    if source == target or not (everywhere or rng.random() < 0.2):
                        continue
                    path = self.cluster.network.path(source, target, link)
                    path.loss = rng.choice((0, 0.001, 0.01, 0.05, 0.2))
                    path.large_loss = rng.choice((0, 0, 0, 0.05, 0.5))
                    path.duplicate = rng.choice((0, 0, 0.01, 0.1))
                    path.reorder = rng.choice((0, 0, 0.01, 0.1))
                    path.delay_ns = rng.choice((50 * US, 100 * US, MS, 10 * MS, 60 * MS))
                    path.jitter_ns = rng.choice((0, 40 * US, path.delay_ns))
                    if self.cluster.setup.crypto:
                        path.corrupt = rng.choice((0, 0, 0.01))

    def _some_nodes(self) -> frozenset[NodeId]:
        """One or two; none stands for all."""
        count = self.rng.choice((0, 1, 1, 2))
        return frozenset(self._somebody() for _ in range(count))

    def _while(self) -> int:
        """Until when a fault lasts: a short time, or longer than a ring does without its token."""
        token_ms = self.cluster.setup.token_ms
        length_ms = self.rng.choice((token_ms // 10, token_ms // 2, 2 * token_ms, 4 * token_ms))
        return self.cluster.now_ns + length_ms * MS

    def _aim(self) -> None:
        """Frames of some kind are lost."""
        rng = self.rng
        aim = Aim(
            self._while(),
            rng.choice(KINDS),
            rng.choice((0.1, 0.5, 0.9, 1.0)),
            self._some_nodes(),
            self._some_nodes(),
            copies_only=rng.random() < 0.2,
        )
        self.cluster.aim(aim)

    def _make_hole(self) -> None:
        """Some messages do not reach somebody, who has something to say itself; soon the ring breaks up."""
        rng, cluster = self.rng, self.cluster
        target = self._somebody()
        until_ns = cluster.now_ns + 3 * cluster.setup.token_ms * MS
        cluster.aim(Hole(until_ns, target, skip=rng.randrange(3), count=rng.choice((1, 1, 3))))
        for client in cluster.cpg_clients:
            if client.daemon.alive and not client.gone and not client.leaving:
                for _ in range(rng.randrange(4)):
                    cluster.schedule.after(
                        rng.randrange(3 * MS), client.send, rng.choice((8, 200, 200, 3000))
                    )
        if rng.random() < 0.5:  # the copies, too, are lost, or come twice
            aim = Aim(until_ns, KINDS[0], 0.5, targets=frozenset((target,)), copies_only=True)
            cluster.aim(aim)
        cluster.schedule.after(
            rng.choice((1000, 2000, 5000, 30_000)) * US, self._strike, partial(self._break_up, target)
        )

    def _break_up(self, target: NodeId) -> None:
        """The ring ends: for one of several reasons, with or without this node."""
        rng, cluster = self.rng, self.cluster
        rest = [node_id for node_id in cluster.hosts if node_id != target]
        match rng.randrange(6):
            case 0:
                cluster.partition([target], rest)
            case 1 | 2:
                length_ns = int(cluster.setup.token_ms * MS * 1.1)
                cluster.aim(Aim(cluster.now_ns + length_ns, frozenset((MessageType.ORF_TOKEN,))))
            case 3:
                victim = cluster.hosts[rng.choice(rest)]
                victim.crash()
                cluster.schedule.after(rng.choice((0, 300)) * MS, self._restart, victim.node_id)
            case 4:
                self._partition()
            case _:
                self._pause()

    def _round(self) -> None:
        """Put the cluster right, or, where it is, attack it."""
        cluster = self.cluster
        formed = [host for host in cluster.hosts.values() if host.daemon is not None and not host.paused]
        views = [host.daemon.node.view for host in formed if host.daemon is not None]
        if len(views) < len(cluster.hosts) or not all(
            len(v.members) > 1 and not v.synchronizing for v in views
        ):
            if self.rng.random() < 0.3:
                cluster.heal()
                self._start()
                for host in cluster.hosts.values():
                    host.resume()
            return
        self._people()
        if self.rng.random() < 0.3:
            for path in cluster.network.paths():
                path.duplicate, path.reorder_ns = self.rng.choice((0, 0.3)), 500 * US
        self._make_hole()

    def _slow(self) -> None:
        self.cluster.hosts[self._somebody()].slowness = self.rng.choice((1, 10, 300))

    def _reload(self) -> None:
        """Only where all can hear it: a node with an older file may not join."""
        cluster = self.cluster
        ready = [node_id for node_id in cluster.alive if cluster.daemon(node_id).ready]
        if len(ready) < len(cluster.hosts) or not cluster.formed(*ready) or ready != cluster.alive:
            return
        if any(host.is_leaving for host in cluster.hosts.values()):
            return
        setup = cluster.setup
        if self.rng.random() < 0.5:
            setup = replace(setup, token_ms=setup.token_ms + self.rng.choice((-10, 0, 100)))
        cluster.log.add("reload")
        cluster.reload(self.rng.choice(ready), setup)


# --- campaigns


def failure_of(seed: int, duration_ms: int = 0) -> str | None:
    """None, or a report that lets a reader begin."""
    report = report_of(Chaos(seed, duration_ms=duration_ms))
    replay = f"replay: SIM_DEBUG=1 SIM_ECHO=1 python -m tests.simulator.chaos {seed} --duration {duration_ms}"
    return report and f"{report}\n{replay}"


def report_of(chaos: Chaos) -> str | None:
    """Live this life; None, or what went wrong."""
    try:
        chaos.run()
    except Exception as fault:
        lines = "\n".join(list(chaos.cluster.log.lines)[-60:])
        place = "".join(traceback.format_exception(fault)[-3:])
        return f"seed {chaos.seed}: {chaos.cluster.setup}\n{lines}\n{place}{chaos.cluster.describe()}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int, help="the first")
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--duration", type=int, default=0, help="of the trouble, in milliseconds")
    options = parser.parse_args()
    failed = []
    begin = time.monotonic()
    for seed in range(options.seed, options.seed + options.count):
        report = failure_of(seed, options.duration)
        if report:
            failed.append(seed)
            print(
                report if len(failed) <= int(os.environ.get("SIM_REPORTS", "3")) else report.splitlines()[0]
            )
            print(report.splitlines()[-1], flush=True)
        if (seed - options.seed + 1) % 25 == 0:
            print(f"{seed - options.seed + 1} seeds, failed: {failed}", flush=True)
    wall = time.monotonic() - begin
    print(f"{options.count} seeds in {wall:.1f} s, failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
