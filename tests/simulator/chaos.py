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
from typing import Final

from pycorosync.types import NodeId
from tests.simulator.checkers import check, check_one_quorate
from tests.simulator.clients import CpgClient
from tests.simulator.cluster import GROUPS, Cluster, Setup
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


def make_setup(rng: random.Random) -> Setup:
    transport = rng.choices(("knet", "udpu", "udp"), (6, 3, 1))[0]
    token_ms = rng.choice((300, 500, 1000, 1000, 3000))
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
    nodes = rng.choice((2, 3, 3, 3, 4, 4, 5, 6, 9))
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


class Chaos:
    """The one who does it to the cluster."""

    def __init__(self, seed: int, *, duration_ms: int = 25_000) -> None:
        self.rng = random.Random(f"chaos {seed}")
        self.cluster = Cluster(seed, make_setup(self.rng))
        self.duration_ms = duration_ms
        self.peaceful = False
        self.healed_in_ms = 0
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
        ]
        # Some runs do without some kinds of trouble: others get deeper there.
        kept = [pair for pair in weights if pair[0] >= 6 or self.rng.random() < 0.75]
        self._weights = [weight for weight, _ in kept]
        self._actions = [action for _, action in kept]
        self._pace_ms = self.rng.choice((100, 300, 800))
        # Trouble in the middle of a synchronization.
        self._at_rings = self.rng.choice((0.0, 0.05, 0.3))
        self.cluster.on_new_ring = self._on_new_ring
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
            cluster.form()
            check(cluster)

    def _boot(self) -> None:
        for node_id in self.cluster.hosts:
            delay_ms = self.rng.choice((0, 0, self.rng.randrange(3000)))
            self.cluster.schedule.after(delay_ms * MS, self.cluster.hosts[node_id].start)

    def _act(self) -> None:
        check_one_quorate(self.cluster)
        if self.peaceful:
            return
        self.rng.choices(self._actions, self._weights)[0]()
        self.cluster.schedule.after(int(self.rng.expovariate(1 / self._pace_ms) * MS), self._act)

    def _on_new_ring(self) -> None:
        if not self.peaceful and self.rng.random() < self._at_rings:
            action = self.rng.choice((self._crash, self._partition, self._heal, self._pause, self._connect))
            delay_us = self.rng.choice((0, 100, 400, 1000, 3000, 50_000))
            self.cluster.schedule.after(self.rng.randrange(1, 2 + delay_us) * US, self._strike, action)

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
            host.start()

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
                size = self.rng.choice(SIZES if self.rng.random() < 0.3 else SIZES[:7])
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

    def _slow(self) -> None:
        self.cluster.hosts[self._somebody()].slowness = self.rng.choice((1, 10, 300))

    def _reload(self) -> None:
        """Only where all can hear it: a node with an older file may not join."""
        cluster = self.cluster
        ready = [node_id for node_id in cluster.alive if cluster.daemon(node_id).ready]
        if len(ready) < len(cluster.hosts) or not cluster.formed(*ready) or ready != cluster.alive:
            return
        setup = cluster.setup
        if self.rng.random() < 0.5:
            setup = replace(setup, token_ms=setup.token_ms + self.rng.choice((-10, 0, 100)))
        cluster.log.add("reload")
        cluster.reload(self.rng.choice(ready), setup)


# --- campaigns


def failure_of(seed: int, duration_ms: int = 25_000) -> str | None:
    """None, or a report that lets a reader begin."""
    chaos = Chaos(seed, duration_ms=duration_ms)
    try:
        chaos.run()
    except Exception as fault:
        lines = "\n".join(list(chaos.cluster.log.lines)[-60:])
        place = "".join(traceback.format_exception(fault)[-3:])
        return (
            f"seed {seed}: {chaos.cluster.setup}\n{lines}\n{place}{chaos.cluster.describe()}\n"
            f"replay: SIM_DEBUG=1 SIM_ECHO=1 python -m tests.simulator.chaos {seed} --duration {duration_ms}"
        )
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int, help="the first")
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--duration", type=int, default=25_000, help="of the trouble, in milliseconds")
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
