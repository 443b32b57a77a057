"""A life of a cluster's quorum made up from one seed: votes, options, a quorum device; then splits, crashes,
stops, starts and reloads at random; then peace, in which everyone must be quorate.

At no moment may two partitions be quorate, unless the configuration itself permits it: see `permits`.

    python -m tests.simulator.quorum_chaos SEED         replays one; FROM SEEDS: a campaign
"""

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pycorosync.client.votequorum import NodeList
from pycorosync.client.votequorum import event_of as vote_event_of
from pycorosync.services.service import TrackFlags
from pycorosync.services.votequorum import messages as votes
from pycorosync.services.votequorum.messages import VoteRequest
from pycorosync.types import NodeId, RingId
from tests.scenarios.votequorum.script import Configuration
from tests.scenarios.votequorum.simulated import SimulatedStage
from tests.simulator.checkers import check_one_quorate
from tests.simulator.clients import Client, Reloader
from tests.simulator.host import Daemon
from tests.simulator.network import MS

DURATION_MS: Final = 60_000
PEACE_MS: Final = 120_000
POLL_MS: Final = 500
# A judge grants a vote only when who had it before must have heard that it has not: token and consensus.
HANDOVER_MS: Final = 6_000
NAME: Final = b"Judge"


def permits(configuration: Configuration) -> str:
    """Why a configuration lets two partitions be quorate; "" if it does not."""
    options, nodes = configuration.quorum, configuration.nodes
    total = sum(configuration.votes.get(node, 1) for node in nodes)
    if options.get("two_node") == "1":
        return "two_node: both halves go on, and a fence race decides"
    if options.get("last_man_standing") == "1":
        # {2, 3, 4} without 1 come to expect three votes; when the partition changes to {1, 2} and {3, 4},
        # node 2 tells node 1 so, and both sides have two of three. Scenario last-man-moves.
        return "last_man_standing: who has shrunk takes its expectation along to a node that has not"
    if 0 < int(options.get("expected_votes", 0)) < total:
        return "expected_votes is less than there are"
    if options.get("auto_tie_breaker_node", "lowest")[0].isdigit() and options.get("wait_for_all") != "1":
        return "auto_tie_breaker_node with a list, without wait_for_all: two halves that start apart"
    return ""


def make_configuration(rng: random.Random) -> Configuration:
    """Any legal one; most of them do not permit two sides."""
    count = rng.choice((1, 2, 2, 3, 3, 4, 4, 5, 6, 7))
    nodes = tuple(range(1, count + 1))
    weights: dict[NodeId, int] = {}
    if rng.random() < 0.25:
        weights = {node: rng.choice((0, 1, 1, 2, 3)) for node in nodes if rng.random() < 0.5}
        if not sum(weights.get(node, 1) for node in nodes):
            weights = {}
    options: dict[str, str] = {}
    if rng.random() < 0.35:
        options["wait_for_all"] = "1"
    if rng.random() < 0.15:
        options["expected_votes_tracking"] = "1"
    kind = rng.choice(("none", "none", "tie", "tie", "device", "device", "two", "last", "down", "expected"))
    total = sum(weights.get(node, 1) for node in nodes)
    if kind == "tie":
        options["auto_tie_breaker"] = "1"
        if rng.random() < 0.6:
            several = " ".join(map(str, rng.sample(nodes, rng.randrange(1, count + 1))))
            options["auto_tie_breaker_node"] = rng.choice(("lowest", "highest", several))
    elif kind == "device" and count > 1:
        options |= {"device.model": "net", "device.votes": str(rng.choice((1, max(1, total - 1))))}
        options.pop("expected_votes_tracking", None)
    elif kind == "two" and count == 2:
        options["two_node"] = "1"
    elif kind == "last":
        options |= {"last_man_standing": "1", "last_man_standing_window": "5000"}
    elif kind == "down":
        options["allow_downscale"] = "1"
    elif kind == "expected":
        options["expected_votes"] = str(rng.randrange(1, total + 3))
    return Configuration(nodes=nodes, votes=weights, quorum=options)


class Bailiff(Client):
    """The judge's device on one node: tells the judge of each ring, and polls with what it decides."""

    def __init__(self, daemon: Daemon, judge: "Judge") -> None:
        super().__init__(daemon, votes.SERVICE_ID, 500)
        self.judge = judge
        self.ring_id = RingId(0, 0)
        self.members: tuple[NodeId, ...] = ()
        layout = votes.TRACK_START_REQUEST
        self.write(layout.encode(VoteRequest.TRACK_START, layout.size, 0, TrackFlags(3)))
        register = votes.DEVICE_NAME_REQUEST
        self.write(register.encode(VoteRequest.DEVICE_REGISTER, register.size, NAME))

    def on_response(self, payload: bytes) -> None:
        pass

    def on_event(self, payload: bytes) -> None:
        event = vote_event_of(payload)
        if isinstance(event, NodeList):
            self.ring_id, self.members = event.ring_id, event.members
            self.judge.decide()
            self.poll()

    def poll(self) -> None:
        if self.daemon.alive and not self.gone:
            layout = votes.DEVICE_POLL_REQUEST
            vote = int(self.judge.favours(self))
            self.write(layout.encode(VoteRequest.DEVICE_POLL, layout.size, NAME, vote, *self.ring_id))


class Judge:
    """What corosync-qnetd is, without its network: one ring at a time has the vote."""

    def __init__(self, life: "QuorumLife") -> None:
        self.life = life
        self.bailiffs: dict[NodeId, Bailiff] = {}
        self.ring: RingId | None = None  # the one that has the vote, and its nodes
        self.members: tuple[NodeId, ...] = ()
        self.granted_ns = 0
        self.present = True

    def favours(self, bailiff: Bailiff) -> bool:
        now_ns = self.life.stage.cluster.now_ns
        return self.present and bailiff.ring_id == self.ring and now_ns >= self.granted_ns

    def decide(self) -> None:
        """Prefer the ring that has most nodes, then the lowest."""
        alive = [each for each in self.bailiffs.values() if each.daemon.alive and not each.gone]
        rings = {each.ring_id: each.members for each in alive if each.members}
        best = max(rings, key=lambda ring: (len(rings[ring]), -min(rings[ring])), default=None)
        if best is None or best == self.ring:
            return
        # The same side in a new ring keeps its vote; otherwise the loser must hear of it first.
        if not set(rings[best]) >= set(self.members) or not self.members:
            self.granted_ns = self.life.stage.cluster.now_ns + HANDOVER_MS * MS
        self.ring, self.members = best, rings[best]
        for each in alive:
            each.poll()

    def tick(self) -> None:
        """Poll on all nodes; start the device's daemon where it is missing."""
        if self.present and self.ring is None:
            self.decide()  # it was away, and the rings may be those that it knew
        cluster = self.life.stage.cluster
        for node_id, host in cluster.hosts.items():
            bailiff = self.bailiffs.get(node_id)
            if host.daemon is None or not host.daemon.ready:
                continue
            if bailiff is None or bailiff.daemon is not host.daemon:
                try:
                    self.bailiffs[node_id] = Bailiff(host.daemon, self)
                except ConnectionRefusedError:
                    continue
            elif self.present:
                bailiff.poll()
        cluster.schedule.after(POLL_MS * MS, self.tick)


@dataclass
class Action:
    """What may happen, and how often."""

    weight: int
    act: Callable[[], None]


class QuorumLife:
    """The one who does it to the cluster."""

    def __init__(self, seed: int, *, duration_ms: int = DURATION_MS) -> None:
        self.rng = random.Random(f"quorum {seed}")
        self.configuration = make_configuration(self.rng)
        self.permitted = permits(self.configuration)
        self.stage = SimulatedStage(len(self.configuration.nodes), seed)
        self.duration_ms = duration_ms
        self.peaceful = False
        self.judge = Judge(self) if "device.model" in self.configuration.quorum else None
        self.actions = [
            Action(4, self._split),
            Action(3, self._heal),
            Action(3, self._crash),
            Action(2, self._stop),
            Action(6, self._start),
            Action(1, self._reload),
            Action(1, self._toggle_judge),
        ]
        self.stage.cluster.on_quorum = self._look

    def run(self) -> None:
        """Raises AssertionError when something is wrong."""
        cluster = self.stage.cluster
        with self.stage.open():
            self.stage.configure(self.configuration)
            for node_id in self.configuration.nodes:
                delay_ms = self.rng.choice((0, 0, self.rng.randrange(5000)))
                cluster.schedule.after(delay_ms * MS, self._start_one, node_id)
            if self.judge is not None:
                cluster.schedule.after(0, self.judge.tick)
            cluster.schedule.after(1000 * MS, self._act)
            cluster.run(self.duration_ms)
            self._make_peace()

    def _look(self) -> None:
        if not self.permitted:
            check_one_quorate(self.stage.cluster)

    def _act(self) -> None:
        self._look()
        if self.peaceful:
            return
        weights = [action.weight for action in self.actions]
        self.rng.choices(self.actions, weights)[0].act()
        pause_ms = self.rng.choice((50, 500, 2000, 6000))
        self.stage.cluster.schedule.after(int(self.rng.expovariate(1 / pause_ms) * MS), self._act)

    def _make_peace(self) -> None:
        """All nodes are there and reach each other: they have the majority, and quorum must return."""
        cluster = self.stage.cluster
        self.peaceful = True
        if self.judge is not None:
            self.judge.present = True
        self.stage.split([])
        cluster.await_departures()
        for node_id in self.configuration.nodes:
            self._start_one(node_id)
        total = sum(self.configuration.votes.get(node, 1) for node in self.configuration.nodes)
        expected = int(self.configuration.quorum.get("expected_votes", 0))
        if expected > total and (expected // 2 + 1 > total or "wait_for_all" in self.configuration.quorum):
            return  # the file expects more than there are
        cluster.run_until(self._all_quorate, PEACE_MS, "everyone quorate")

    def _all_quorate(self) -> bool:
        cluster = self.stage.cluster
        return cluster.formed(*self.configuration.nodes) and all(
            cluster.daemon(node_id).node.view.quorate for node_id in self.configuration.nodes
        )

    # --- what

    def _somebody(self) -> NodeId:
        return self.rng.choice(self.configuration.nodes)

    def _split(self) -> None:
        sides: list[list[NodeId]] = [[], [], []]
        count = self.rng.choice((2, 2, 2, 3))
        for node_id in self.configuration.nodes:
            sides[self.rng.randrange(count)].append(node_id)
        self.stage.split([side for side in sides if side])

    def _heal(self) -> None:
        self.stage.split([])

    def _crash(self) -> None:
        self.stage.cluster.host(self._somebody()).crash()

    def _stop(self) -> None:
        self.stage.cluster.host(self._somebody()).stop()

    def _start(self) -> None:
        self._start_one(self._somebody())

    def _start_one(self, node_id: NodeId) -> None:
        self.stage.cluster.host(node_id).start()

    def _reload(self) -> None:
        """Only where all hear it: a part with another configuration is another cluster."""
        cluster = self.stage.cluster
        if not cluster.formed(*self.configuration.nodes):
            return
        self.configuration = replace(self.configuration, version=self.configuration.version + 1)
        self.stage.configure(self.configuration)
        cluster.text = cluster.hosts[self.configuration.nodes[0]].text
        Reloader(cluster.daemon(self._somebody()), 600).reload()

    def _toggle_judge(self) -> None:
        """The device falls silent, or comes back."""
        if self.judge is not None:
            self.judge.present = not self.judge.present
            self.judge.ring, self.judge.members = None, ()


def failure_of(seed: int, duration_ms: int = DURATION_MS) -> str | None:
    """None, or a report that lets a reader begin."""
    life = QuorumLife(seed, duration_ms=duration_ms)
    try:
        life.run()
    except Exception as fault:
        lines = "\n".join(list(life.stage.cluster.log.lines)[-60:])
        place = "".join(traceback.format_exception(fault)[-3:])
        return (
            f"seed {seed}: {life.configuration}\n{lines}\n{place}{life.stage.cluster.describe()}\n"
            f"replay: SIM_DEBUG=1 SIM_ECHO=1 python -m tests.simulator.quorum_chaos {seed}"
        )
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int, help="the first")
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--duration", type=int, default=DURATION_MS, help="of the trouble, in milliseconds")
    options = parser.parse_args()
    failed: list[int] = []
    strict = 0
    begin = time.monotonic()
    for seed in range(options.seed, options.seed + options.count):
        strict += not QuorumLife(seed).permitted
        if report := failure_of(seed, options.duration):
            failed.append(seed)
            print(report, flush=True)
    wall = time.monotonic() - begin
    print(f"{options.count} lives, {strict} of them strict, in {wall:.1f} s, failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
