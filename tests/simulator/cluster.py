"""Whole nodes with the network between them and clients on them, in one process and in virtual time,
from one seed.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from pycorosync.client.quorum import QuorumChanged
from pycorosync.services.service import SyncStart
from pycorosync.totem.states import State
from pycorosync.types import NodeId, RingId
from tests.simulator.aim import Aim, Hole, Marksman
from tests.simulator.clients import CpgClient, QuorumWatcher, Reloader
from tests.simulator.host import Daemon, SimulatedHost
from tests.simulator.network import MS, Network, S, Schedule
from tests.simulator.trace import ClientTrace, Log, RingKey

GROUPS = (b"red", b"green", b"blue")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the configuration file says."""

    nodes: int = 3
    transport: str = "knet"
    links: int = 1
    crypto: bool = False
    token_ms: int = 1000
    totem: tuple[tuple[str, str], ...] = ()  # further options
    quorum: tuple[tuple[str, str], ...] = ()
    drift_ppm: int = 0

    def text(self, config_version: int = 1) -> str:
        totem = {
            "version": "2",
            "cluster_name": "sim",
            "transport": self.transport,
            "token": str(self.token_ms),
            "token_coefficient": "0",
            "config_version": str(config_version),
        }
        if self.crypto:
            totem |= {"crypto_cipher": "aes256", "crypto_hash": "sha256"}
        totem |= dict(self.totem)
        lines = ["totem {", *(f"  {key}: {value}" for key, value in totem.items())]
        if self.transport == "udp":
            lines += ["  interface {", "    mcastaddr: 239.192.1.1", "    mcastport: 5405", "  }"]
        lines += ["}", "nodelist {"]
        for node_id in range(1, self.nodes + 1):
            lines += ["  node {", f"    name: n{node_id}", f"    nodeid: {node_id}"]
            lines += [f"    ring{link}_addr: 10.{link}.0.{node_id}" for link in range(self.links)]
            lines.append("  }")
        lines += ["}", "quorum {", "  provider: corosync_votequorum"]
        lines += [f"  {key}: {value}" for key, value in self.quorum]
        lines += ["}", "logging {", "  to_syslog: no", "  to_stderr: no", "}"]
        return "\n".join(lines) + "\n"


class Cluster:
    """Hosts, network, time. What goes wrong anywhere raises; `check` in checkers.py judges the traces."""

    def __init__(self, seed: int, setup: Setup | None = None) -> None:
        self.seed = seed
        self.setup = setup or Setup()
        self.rng = random.Random(seed)
        self.links = self.setup.links
        self.config_version = 1
        self.text = self.setup.text()
        self.log = Log()
        self.schedule = Schedule(1000 * S)
        self.network = Network(
            self.schedule, random.Random(f"network {seed}"), self._arrive, self._refuse, self._is_alive
        )
        self.hosts: dict[NodeId, SimulatedHost] = {}
        self.rings: dict[RingKey, tuple[NodeId, ...]] = {}
        self._names: dict[RingId, RingKey] = {}
        self.clients: list[ClientTrace] = []  # of all cpg clients that ever were
        self.cpg_clients: list[CpgClient] = []
        self.watchers: dict[NodeId, QuorumWatcher] = {}
        self.decisions: list[tuple[NodeId, RingKey, bool, tuple[NodeId, ...], int]] = []
        self.marksman = Marksman(random.Random(f"marksman {seed}"), lambda: self.schedule.now_ns)
        self.on_new_ring: Callable[[], None] = lambda: None
        self.on_state: Callable[[SimulatedHost], None] = lambda _host: None
        self.on_quorum: Callable[[], None] = lambda: None
        self._pids = count(1001)
        for node_id in range(1, self.setup.nodes + 1):
            drift = self.setup.drift_ppm and self.rng.randrange(-self.setup.drift_ppm, self.setup.drift_ppm)
            offset = self.rng.randrange(100 * S)
            self.hosts[node_id] = SimulatedHost(self, node_id, offset, drift)
            self.network.add(node_id, self.links)

    # --- what the network and the daemons tell

    def _arrive(self, node_id: NodeId, datagrams: list[Any]) -> None:
        self.hosts[node_id].arrive(datagrams)

    def _refuse(self, node_id: NodeId, link: int, to: Any) -> None:
        self.hosts[node_id].refuse(link, to)

    def _is_alive(self, node_id: NodeId) -> bool:
        return self.hosts[node_id].daemon is not None

    def ring_key(self, ring_id: RingId) -> RingKey:
        """The ring of this id that was named last, whatever its representative has lost since."""
        if ring_id not in self._names:
            self.name_ring(ring_id)
        return self._names[ring_id]

    def name_ring(self, ring_id: RingId) -> None:
        """Its representative has stored the id, or has it without having stored it."""
        host = self.hosts.get(ring_id.representative)
        self._names[ring_id] = RingKey(ring_id, host.forgets if host else 0)

    def on_ring(self, host: SimulatedHost, start: SyncStart) -> RingKey:
        """A ring's name determines its members, everywhere and for ever."""
        if host.node_id == start.ring_id.representative:
            self.name_ring(start.ring_id)
        key = self.ring_key(start.ring_id)
        if key not in self.rings:
            self.on_new_ring()
        known = self.rings.setdefault(key, start.members)
        assert known == start.members, f"ring {start.ring_id} has {known} and {start.members}"
        assert host.node_id in start.members
        self.log.add(f"ring {start.ring_id} of {start.members}, with us {start.transitional}")
        return key

    def on_ready(self, daemon: Daemon) -> None:
        if daemon.host.is_leaving:
            return  # it is about to end, and takes no client any more
        self.watchers[daemon.host.node_id] = QuorumWatcher(daemon, next(self._pids))

    def on_decision(self, daemon: Daemon, event: QuorumChanged) -> None:
        key = self.ring_key(event.ring_id)
        self.schedule.after(0, self.on_quorum)
        self.decisions.append(
            (daemon.host.node_id, key, event.quorate, event.members, daemon.nodes_configured)
        )

    # --- hosts and clients

    def host(self, node_id: NodeId) -> SimulatedHost:
        return self.hosts[node_id]

    def daemon(self, node_id: NodeId) -> Daemon:
        daemon = self.hosts[node_id].daemon
        assert daemon is not None, f"node {node_id} is down"
        return daemon

    @property
    def alive(self) -> list[NodeId]:
        return [node_id for node_id, host in self.hosts.items() if host.daemon is not None]

    def start(self, *node_ids: NodeId) -> None:
        for node_id in node_ids or tuple(self.hosts):
            self.hosts[node_id].start()

    def await_departures(self) -> None:
        """Whoever was stopped may say what it has to say."""
        hosts = self.hosts.values()
        self.run_until(lambda: not any(host.is_leaving for host in hosts), 5_000, "departures")

    def client(self, node_id: NodeId, group: bytes = GROUPS[0]) -> CpgClient:
        """A new member of a group. Raises ConnectionRefusedError before the daemon is ready."""
        client = CpgClient(self.daemon(node_id), next(self._pids), group)
        self.clients.append(client.trace)
        self.cpg_clients.append(client)
        client.join()
        return client

    def reload(self, node_id: NodeId, setup: Setup | None = None) -> None:
        """The file changes everywhere; one node is asked to have all read it."""
        self.setup = setup or self.setup
        self.config_version += 1
        self.text = self.setup.text(self.config_version)
        for host in self.hosts.values():
            host.text = self.text
        daemon = self.daemon(node_id)
        Reloader(daemon, next(self._pids)).reload()

    # --- faults

    def partition(self, *sides: Iterable[NodeId]) -> None:
        sides_ = [sorted(side) for side in sides]
        self.log.add(f"partition {sides_}")
        self.network.partition(sides_, range(self.links))

    def heal(self) -> None:
        self.log.add("heal")
        self.network.mend()
        self.marksman.rules.clear()
        self.network.drop = None

    def aim(self, rule: Aim | Hole) -> None:
        """Lose frames by a rule."""
        self.log.add(f"{rule}")
        self.marksman.rules.append(rule)
        self.network.drop = self.marksman
        self.schedule.at(rule.until_ns, self._lower)

    def _lower(self) -> None:
        if all(rule.until_ns <= self.now_ns for rule in self.marksman.rules):
            self.network.drop = None

    # --- time

    @property
    def now_ns(self) -> int:
        return self.schedule.now_ns

    def step(self) -> None:
        """Go to what happens next."""
        schedule = self.schedule
        at_ns, due = schedule.next_ns, None
        for host in self.hosts.values():
            wake_ns = host.wake_ns
            if wake_ns is not None and (at_ns is None or wake_ns < at_ns):
                at_ns, due = wake_ns, host
        assert at_ns is not None, "nothing will ever happen again"
        if due is None:
            self.log.now_ns = at_ns
            schedule.step()
        else:
            schedule.now_ns = max(schedule.now_ns, at_ns)
            due.turn()

    def run(self, duration_ms: int) -> None:
        done: list[None] = []
        self.schedule.after(duration_ms * MS, done.append, None)
        while not done:
            self.step()

    def run_until(
        self, condition: Callable[[], bool], within_ms: int, what: str, *, look_every: int = 8
    ) -> int:
        """How many milliseconds it took. `look_every`: after so many steps."""
        begin_ns, steps = self.now_ns, 0
        late: list[None] = []
        self.schedule.after(within_ms * MS, late.append, None)
        while True:
            if steps % look_every == 0 and condition():
                return (self.now_ns - begin_ns) // MS
            assert not late, f"{what}: not within {within_ms} ms\n{self.describe()}"
            self.step()
            steps += 1

    @property
    def patience_ms(self) -> int:
        """Within what time a healed network must have brought one ring."""
        return 5 * (self.setup.token_ms + self.consensus_ms) + 6_000

    @property
    def consensus_ms(self) -> int:
        return int(dict(self.setup.totem).get("consensus", self.setup.token_ms * 12 // 10))

    def formed(self, *node_ids: NodeId) -> bool:
        """Whether exactly these are one ring, and synchronized."""
        rings = set()
        for node_id in node_ids:
            daemon = self.hosts[node_id].daemon
            if daemon is None or daemon.node.view.synchronizing:
                return False
            if daemon.node.view.members != node_ids or daemon.node._ring.state is not State.OPERATIONAL:
                return False
            rings.add(daemon.node.view.ring_id)
        return len(rings) == 1

    def form(self, *node_ids: NodeId, within_ms: int = 0) -> int:
        wanted = tuple(sorted(node_ids or self.alive))
        return self.run_until(
            lambda: self.formed(*wanted), within_ms or self.patience_ms, f"one ring of {wanted}"
        )

    def form_without(self, *node_ids: NodeId) -> int:
        """One ring of those that are up, but for these."""
        return self.form(*(node_id for node_id in self.alive if node_id not in node_ids))

    def quiesce(self) -> None:
        """Wait until all that clients were told to do is done and delivered."""

        def quiet() -> bool:
            return all(client.idle for client in self.cpg_clients if client.daemon.alive and not client.gone)

        self.run_until(quiet, 120_000, "clients have finished")
        self.run(2000)

    def describe(self) -> str:
        lines = []
        for node_id, host in self.hosts.items():
            if host.daemon is None:
                lines.append(f"node {node_id}: down")
                continue
            node = host.daemon.node
            ring, view = node._ring, node.view
            lines.append(
                f"node {node_id}: {ring.state.name} {ring.ring_id} members={view.members} "
                f"proc={sorted(ring.proc)} failed={sorted(ring._candidates.failed)} "
                f"synchronizing={view.synchronizing}/{node._synchronizer.state.name} "
                f"quorate={view.quorate} paused={host.paused} "
                f"sees={[n for n in self.hosts if view.transport.reachable(n)]} "
                f"backlog={node._packer.backlog}"
            )
        return "\n".join(lines)
