"""A host of the simulated cluster: its clock, its disk, and the daemon that runs on it, if one does.

The daemon's surroundings behave as daemon/shell.py does: datagrams first, then clients, then time, then the
outputs in order. Work takes time, during which datagrams wait.
"""

import errno
import random
import zlib
from collections.abc import Callable
from ipaddress import ip_address
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from pycorosync.cmap.stats import StatsMap
from pycorosync.config.host import HostFacts, LocalAddress
from pycorosync.config.load import load
from pycorosync.knet.outputs import Kind, SendDatagram, SendDatagrams
from pycorosync.node.assembly import build_services
from pycorosync.node.node import Node
from pycorosync.node.outputs import ConfigureSockets, Ready, SaveRingId, SetFlowControl
from pycorosync.node.reconfiguration import ConfigurationFiles
from pycorosync.services.cpg.messages import CpgExec
from pycorosync.services.cpg.service import CpgService
from pycorosync.services.cpg.zero_copy import NoSharedBuffers
from pycorosync.services.outputs import (
    DisconnectClient,
    DumpFlightData,
    ReadConfiguration,
    ReopenLogs,
    Respond,
    SendEvent,
    SendEvents,
    StopDaemon,
    StoreExpectedVotes,
)
from pycorosync.services.service import NodeView, SyncStart
from pycorosync.services.stream import Stream
from pycorosync.types import ClientId, NodeId
from tests.simulator.clients import Client, CpgClient
from tests.simulator.network import IP_AND_UDP, MS, MTU, US, Datagram, Host, Inbox
from tests.simulator.trace import Installed, NodeTrace, Ordered, Synchronized
from tests.simulator.wire import Sentry

if TYPE_CHECKING:
    from tests.simulator.cluster import Cluster

KEY: Final = bytes(range(256))
DATAGRAMS_PER_TURN: Final = 64
TURN_NS: Final = 20 * US
LAST_WORDS_NS: Final = 1_000_000 * US
DATAGRAM_NS: Final = 3 * US
# Messages that belong to processes; lists of a synchronization are not unique.
TRACED: Final = frozenset((CpgExec.PROCJOIN, CpgExec.PROCLEAVE, CpgExec.MCAST, CpgExec.PARTIAL_MCAST))
UNLOAD_ORDER: Final = (5, 0, 1, 2, 3, 4, 6, 7)


class Counters:
    """What a connection counts."""

    def __init__(self) -> None:
        self.invalid_request = 0
        self.overload = 0


class WatchedStream(Stream):
    """Multicasts, and a note of those that are delivered."""

    def __init__(self, traffic: Stream, trace: NodeTrace) -> None:
        super().__init__(traffic.request, traffic.function)
        self._traffic = traffic
        self._trace = trace

    def outgoing(self, client: ClientId, request: memoryview, size: int) -> tuple[bytes, memoryview] | None:
        return self._traffic.outgoing(client, request, size)

    def deliver(self, node_id: NodeId, message: memoryview) -> None:
        function = self.function & 0xFFFF
        self._trace.entries.append(Ordered(node_id, function, zlib.crc32(message), len(message)))
        self._traffic.deliver(node_id, message)
        self.events += self._traffic.events
        self._traffic.events.clear()

    def take_counts(self) -> tuple[int, int]:
        return self._traffic.take_counts()


class WatchedCpg(CpgService):
    """The process groups, and a note of what reaches them."""

    def __init__(self, view: NodeView, host: "SimulatedHost", trace: NodeTrace) -> None:
        super().__init__(view, NoSharedBuffers())
        self._host = host
        self._trace = trace
        # Multicasts do not pass through on_delivery.
        self.stream = WatchedStream(self._traffic, trace)

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        cluster = self._host.cluster
        ring = cluster.on_ring(self._host, start)
        self._trace.entries.append(
            Installed(ring, start.members, start.transitional, cluster.schedule.now_ns)
        )
        super().sync_init(start, now_ns)

    def sync_activate(self, now_ns: int) -> None:
        super().sync_activate(now_ns)
        ring = self._host.cluster.ring_key(self._sync.ring_id)
        self._trace.entries.append(Synchronized(ring, self._host.cluster.schedule.now_ns))

    def on_delivery(
        self, node_id: NodeId, function: int, message: memoryview, order: str, now_ns: int
    ) -> None:
        if function in TRACED:
            self._trace.entries.append(Ordered(node_id, function, zlib.crc32(message), len(message)))
        super().on_delivery(node_id, function, message, order, now_ns)

    def everybody(self) -> list[tuple[NodeId, int, bytes]]:
        return sorted((process.node_id, process.pid, process.group) for process in self._groups)


class Daemon:
    """One life of a daemon."""

    def __init__(self, host: "SimulatedHost", life: int) -> None:
        self.host = host
        self.alive = True
        self.clients: dict[int, Client] = {}
        self.counters = Counters()
        self.inbox = Inbox()
        self.ready = False
        self.leave_by_ns: int | None = None  # while the services' last words go out
        self.trace = NodeTrace(host.node_id, life)
        self._client_ids = count(1)
        self._flow: dict[int, int] = {}
        self._unread: set[int] = set()  # who has written since we last looked
        self._stalled: set[int] = set()  # whose request was turned down
        cluster = host.cluster
        self.nodes_configured = host.text.count("nodeid:")
        configuration = load(host.text, "corosync.conf", host=host.facts())
        rng = random.Random(f"{cluster.seed} {host.node_id} {life}")
        self.node: Node = Node(configuration, host.stored_ring_seq, rng, rng.randbytes)
        stats = StatsMap()
        self.sentry = Sentry(self)
        self.node.add_stats(stats)
        now_ns = self.clock()
        for service in build_services(self.node.view, stats, NoSharedBuffers(), host.stored_votes, now_ns):
            if isinstance(service, CpgService):
                self.cpg = service = WatchedCpg(self.node.view, host, self.trace)
            self.node.load(service, now_ns)
        self.node.publish_controls()
        self.node.start(now_ns)

    def clock(self) -> int:
        return self.host.local_ns(self.host.cluster.schedule.now_ns)

    def next_client_id(self) -> int:
        return next(self._client_ids)

    def flow_level(self, service_id: int) -> int:
        return self._flow.get(service_id, 0)

    def wake(self) -> None:
        """Have a turn as soon as possible."""
        self.host.wake_at(self.host.cluster.schedule.now_ns)

    def stir(self, client: Client) -> None:
        """A client has written a request."""
        self._unread.add(client.id)
        self.wake()

    # --- a turn of the loop

    def turn(self) -> int | None:
        """Do what there is to do; returns when the next turn is wanted, on the host's clock."""
        node, now_ns = self.node, self.clock()
        datagrams = self.inbox.take(DATAGRAMS_PER_TURN)
        for link, source, payload in datagrams:
            node.on_datagram(link, source, payload, now_ns)
        self._serve_clients()
        node.run(now_ns)
        self._carry_out()
        if not self.alive:
            return None
        self._serve_clients()
        if self.leave_by_ns is not None and (not node.has_unsent or now_ns >= self.leave_by_ns):
            self.host.leave()
            return None
        if self.inbox.datagrams or (self._stalled and node.accepts_messages) or node.outputs:
            return now_ns
        deadlines = (node.next_deadline(), self.leave_by_ns)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _serve_clients(self) -> None:
        ready, self._unread = self._unread - self._stalled, set()
        if self._stalled and self.node.accepts_messages:
            ready, self._stalled = ready | self._stalled, set()
            self.node.forget_turned_down()
        for number in sorted(ready):
            client = self.clients.get(number)
            if client is not None and not client.offer():
                self._stalled.add(number)

    def _carry_out(self) -> None:
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                if self.host.fuse_burns():
                    return
                ACTIONS[type(output)](self, output)

    def _send(self, output: SendDatagram) -> None:
        self._put_on_wire(output.kind, output.link, output.address, [bytes(output.payload)])

    def _send_fragments(self, output: SendDatagrams) -> None:
        payloads = [b"".join(buffers) for buffers in output.datagrams]
        self._put_on_wire(Kind.DATA, output.link, output.address, payloads)

    def _put_on_wire(self, kind: Kind, link: int, to: Any, payloads: list[bytes]) -> None:
        # With udp and udpu the kernel cuts what is too long; knet forbids it.
        knet = self.host.cluster.setup.transport == "knet"
        if knet and max(map(len, payloads)) + IP_AND_UDP > MTU:
            self.node.on_send_error(link, to, kind, errno.EMSGSIZE, MTU, self.clock())
            return
        self.host.cluster.network.send(self.host.node_id, link, to, payloads)

    def _respond(self, output: Respond) -> None:
        if client := self.clients.get(output.client):
            client.on_response(bytes(output.payload))

    def _send_events(self, output: SendEvents) -> None:
        for event in output.events:
            self._send_event(SendEvent(*event))

    def _send_event(self, output: SendEvent) -> None:
        if client := self.clients.get(output.client):
            client.on_event(bytes(output.head) + bytes(output.body))

    def _save_ring_id(self, output: SaveRingId) -> None:
        self.host.save_ring_seq(output.seq)
        self.trace.stored = output.seq

    def _store_votes(self, output: StoreExpectedVotes) -> None:
        self.host.stored_votes = output.votes

    def _set_flow_control(self, output: SetFlowControl) -> None:
        self._flow[output.service_id] = output.level

    def _on_ready(self, _output: Ready) -> None:
        if not self.ready:
            self.ready = True
            self.host.cluster.on_ready(self)

    def _read_configuration(self, _output: ReadConfiguration) -> None:
        self.nodes_configured = self.host.text.count("nodeid:")
        files = ConfigurationFiles(self.host.text.encode(), "corosync.conf", self.host.facts(), ())
        self.node.reload(files, self.clock())

    def _stop(self, output: StopDaemon) -> None:
        self.host.cluster.log.add(f"daemon asks to be stopped: {output}")
        self.host.stop(leave=output.leave)

    def _ignore(self, _output: object) -> None:
        """Nothing to be done here."""

    def _disconnect(self, output: DisconnectClient) -> None:
        raise AssertionError(output)

    def unload(self) -> None:
        """End the services, and then the clients."""
        now_ns = self.clock()
        self.leave_by_ns = now_ns + LAST_WORDS_NS
        for service_id in UNLOAD_ORDER:
            if self.node.unload(service_id, now_ns):
                self._carry_out()
                for client in list(self.clients.values()):
                    if client.info.service_id == service_id:
                        client.close()

    def leave(self) -> None:
        """Say goodbye to the ring."""
        self.node.leave(self.clock())
        self._carry_out()

    # --- for tests

    def cpg_clients(self) -> list[CpgClient]:
        return [client for client in self.clients.values() if isinstance(client, CpgClient)]


ACTIONS: Final[dict[type, Callable[[Daemon, Any], None]]] = {
    SendDatagram: Daemon._send,
    SendDatagrams: Daemon._send_fragments,
    Respond: Daemon._respond,
    SendEvent: Daemon._send_event,
    SendEvents: Daemon._send_events,
    SaveRingId: Daemon._save_ring_id,
    StoreExpectedVotes: Daemon._store_votes,
    SetFlowControl: Daemon._set_flow_control,
    Ready: Daemon._on_ready,
    ReadConfiguration: Daemon._read_configuration,
    StopDaemon: Daemon._stop,
    DisconnectClient: Daemon._disconnect,
    ConfigureSockets: Daemon._ignore,
    ReopenLogs: Daemon._ignore,
    DumpFlightData: Daemon._ignore,
}


class SimulatedHost:
    """What outlives a daemon."""

    def __init__(self, cluster: "Cluster", node_id: NodeId, offset_ns: int, drift_ppm: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.daemon: Daemon | None = None
        self.stored_ring_seq = 0
        self.stored_votes = 0
        self.text = cluster.text  # of corosync.conf
        self.key = KEY  # in authkey
        self.lives = 0
        self.forgets = 0  # how often it has lost numbers of rings that it had
        self.paused = False
        self.slowness = 1  # how many times longer everything takes
        self.fuse: int | None = None  # crash before so many more outputs have been carried out
        self.lives_traced: list[NodeTrace] = []
        self.wake_ns: int | None = None
        self._offset_ns = offset_ns
        self._drift_ppm = drift_ppm
        self._busy_until_ns = 0

    def facts(self) -> HostFacts:
        addresses = tuple(
            LocalAddress(ip_address(f"10.{link}.0.{self.node_id}")) for link in range(self.cluster.links)
        )
        return HostFacts(f"n{self.node_id}", addresses, key_files={"/etc/corosync/authkey": self.key})

    # --- time

    def local_ns(self, now_ns: int) -> int:
        """The monotonic clock."""
        return now_ns + now_ns * self._drift_ppm // 1_000_000 + self._offset_ns

    def _global_ns(self, local_ns: int) -> int:
        """When the clock will show this, or a little later."""
        return -(-(local_ns - self._offset_ns) * 1_000_000 // (1_000_000 + self._drift_ppm)) + 1

    def wake_at(self, at_ns: int) -> None:
        """A turn at this time, or earlier."""
        if self.daemon is None or self.paused:
            return
        at_ns = max(at_ns, self._busy_until_ns)
        if self.wake_ns is None or at_ns < self.wake_ns:
            self.wake_ns = at_ns

    def turn(self) -> None:
        daemon, cluster = self.daemon, self.cluster
        assert daemon is not None
        now_ns = cluster.schedule.now_ns
        count = min(len(daemon.inbox.datagrams), DATAGRAMS_PER_TURN)
        self._busy_until_ns = now_ns + (TURN_NS + DATAGRAM_NS * count) * self.slowness
        self.wake_ns = None
        cluster.log.node_id, cluster.log.now_ns = self.node_id, now_ns
        state = daemon.node._ring.state
        deadline = daemon.turn()
        cluster.log.node_id = 0
        if daemon.node._ring.state is not state:
            cluster.on_state(self)
        if deadline is not None:
            self.wake_at(self._global_ns(deadline) if deadline else 0)

    # --- the network

    def arrive(self, datagrams: list[Datagram]) -> None:
        if self.daemon is not None:
            for datagram in datagrams:
                self.daemon.inbox.put(datagram)
            self.wake_at(self.cluster.schedule.now_ns)

    def refuse(self, link: int, to: Host) -> None:
        if self.daemon is not None and not self.paused:
            self.daemon.node.on_network_error(link, to, errno.ECONNREFUSED)

    # --- life

    def start(self, busy_ms: int | None = None) -> None:
        """Begin a new life; `busy_ms`: for so long what comes waits in the sockets. By default it varies."""
        if self.daemon is not None:
            return
        self.lives += 1
        self.paused, self._busy_until_ns = False, 0
        self.cluster.log.node_id = self.node_id
        self.cluster.log.add(f"start, stored ring sequence {self.stored_ring_seq}")
        self.daemon = Daemon(self, self.lives)
        self.lives_traced.append(self.daemon.trace)
        wait_ms = self.cluster.rng.choice((0, 1, 60)) if busy_ms is None else busy_ms
        self._busy_until_ns = self.cluster.schedule.now_ns + wait_ms * MS
        self.wake_at(self._busy_until_ns)
        self.cluster.log.node_id = 0

    def save_ring_seq(self, seq: int) -> None:
        assert seq > self.stored_ring_seq, f"node {self.node_id} stores {seq} after {self.stored_ring_seq}"
        self.stored_ring_seq = seq
        if self.daemon is not None and self.daemon.node._ring.ring_id.representative == self.node_id:
            self.cluster.name_ring(self.daemon.node._ring.ring_id)

    @property
    def is_leaving(self) -> bool:
        """Whether its daemon has been stopped, and still has something to say."""
        return self.daemon is not None and self.daemon.leave_by_ns is not None

    def crash(self) -> None:
        """Its daemon is gone at once; whatever it was about to send is not sent."""
        if self.daemon is None:
            return
        self.cluster.log.add(f"crash of node {self.node_id}")
        if self.daemon.node._ring.ring_id.seq > self.stored_ring_seq + 1:
            self.forgets += 1  # it had a ring that it has not stored: nobody has heard of it
        self.daemon.alive = False
        self.daemon.clients.clear()
        self.daemon = self.wake_ns = self.fuse = None

    def fuse_burns(self) -> bool:
        """Whether the daemon crashes now, between one output and the next."""
        if self.fuse is None or self.daemon is None:
            return False
        self.fuse -= 1
        if self.fuse > 0:
            return False
        self.crash()
        return True

    def stop(self, *, leave: bool = True) -> None:
        """An orderly end, as by SIGTERM."""
        daemon = self.daemon
        if daemon is None or self.is_leaving:
            return
        if not leave:
            self.crash()
            return
        self.cluster.log.add(f"stop of node {self.node_id}")
        daemon.unload()
        if daemon.node.has_unsent:
            daemon.wake()
        else:
            self.leave()

    def leave(self) -> None:
        """The rest of the orderly end."""
        if self.daemon is not None:
            self.daemon.leave()
        self.crash()

    def wipe(self) -> None:
        """Lose the state directory."""
        self.stored_ring_seq = self.stored_votes = 0
        self.forgets += 1

    def pause(self) -> None:
        if self.daemon is not None and not self.paused:
            self.cluster.log.add(f"pause of node {self.node_id}")
            self.paused, self.wake_ns = True, None

    def resume(self) -> None:
        if self.paused:
            self.cluster.log.add(f"node {self.node_id} goes on")
            self.paused = False
            self.wake_at(self.cluster.schedule.now_ns)
