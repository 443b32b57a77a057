"""One cluster node without I/O: clients' requests and the ring's frames in, outputs for the shell out
(corosync: exec/main.c, exec/service.c, the gate of exec/ipc_glue.c).

The shell (daemon/, or a simulator) calls the verbs below with its clock, then carries out `outputs` in order.
Between a request and what it causes there is no socket, no clock, no thread.

    client request --> service --> Multicast --> Packer --> SingleRing --> Broadcast, SendToken
                          |                                     |
                  Respond, SendEvent <-- service <-- Unpacker <-- Deliver

This is the only place where the outputs of one layer become the input of another.
"""

import errno
import struct
from collections import deque
from typing import Any, Protocol

from pycorosync.cmap.stats import StatsMap
from pycorosync.config.model import Configuration, TotemConfig
from pycorosync.cs_error import CsError
from pycorosync.deadlines import first_of
from pycorosync.knet.crypto import Entropy
from pycorosync.knet.outputs import Address, Kind, Received, SendDatagram, SendDatagrams
from pycorosync.log import subsystem
from pycorosync.node import controls, credentials, members
from pycorosync.node.assembly import build_network, build_store, ring_config
from pycorosync.node.counters import MessageCounters
from pycorosync.node.deliveries import Deliveries
from pycorosync.node.network import frame_payload_bytes
from pycorosync.node.outbox import Outbox
from pycorosync.node.outputs import (
    FLOW_GO,
    FLOW_STOP_MULTICASTS,
    ConfigureSockets,
    NodeOutput,
    Ready,
    SaveRingId,
    SetFlowControl,
)
from pycorosync.node.reconfiguration import ConfigurationFiles, Reconfiguration
from pycorosync.node.stats import register
from pycorosync.services.cfg.service import CfgService
from pycorosync.services.outputs import (
    DumpFlightData,
    Multicast,
    QuorumChanged,
    ReconfigureCrypto,
    Respond,
    SendEvents,
)
from pycorosync.services.quorum.service import QuorumService
from pycorosync.services.service import (
    REQUEST_HEADER,
    RESPONSE_HEADER,
    ClientInfo,
    NodeView,
    Service,
)
from pycorosync.services.stream import Event
from pycorosync.services.sync import MulticastSync, SyncCompleted, Synchronizer
from pycorosync.totem import outputs as totem
from pycorosync.totem.packing import GROUP_SYNC, Packer, QueueLevel, Room
from pycorosync.totem.ring import SingleRing
from pycorosync.totem.transitions import RandomSource
from pycorosync.types import Buffer, ClientId, NodeId, ServiceId

LOG = subsystem("MAIN")
SERV = subsystem("SERV")
TOTEM = subsystem("TOTEM")

CMAP_ID: ServiceId = 0
VOTEQUORUM_ID: ServiceId = 5

# Own frames handled in one run before clients get their turn again: bounds a wake-up, not the throughput.
_LOOPBACKS_PER_RUN = 64

ALL_NODES: NodeId = 0

_REQUEST_HEADER_BYTES = REQUEST_HEADER.size
_decode_request_header = REQUEST_HEADER.unpack_native
_decode_number = struct.Struct("=i").unpack_from


class RequestCounters(Protocol):
    """What a connection counts of its requests."""

    invalid_request: int
    overload: int


class Node:
    """One node; the methods are the shell's verbs, and `outputs` is what it has to carry out, in order."""

    def __init__(
        self, configuration: Configuration, ring_seq: int, rng: RandomSource, entropy: Entropy
    ) -> None:
        """`ring_seq`: the number that the last SaveRingId gave to stable storage, or 0.

        `entropy` returns so many random bytes that nobody can guess. Raises ValueError for crypto or
        compression that is configured and not there.
        """
        totem_config = configuration.totem
        network = build_network(totem_config, entropy)
        view = NodeView(totem_config.node_id, build_store(configuration), network)
        packer = Packer(frame_payload_bytes(totem_config))
        ring = SingleRing(ring_config(totem_config.timers), totem_config.node_id, ring_seq, packer, rng)
        self.outputs: list[NodeOutput] = []
        self.view = view
        self.services: dict[ServiceId, Service] = {}  # in the order in which they were loaded
        self._network = network
        self._ring = ring
        self._packer = packer
        self._synchronizer = Synchronizer(self.services)
        self._clients_allowed = False
        self._loopback: deque[Any] = deque()
        self._counters = MessageCounters()
        self._outbox = Outbox(packer, self._counters)
        self._deliveries = Deliveries(
            self.services, self._counters, self._on_delivered, self._on_sync_message, self._on_events
        )
        self._timed: list[Service] = []  # those that have timers at all
        self._services_due_ns: int | None = None  # the first deadline of `_timed`, unless
        self._services_changed = True  # something but time has reached a service since
        self._flow_levels: dict[ServiceId, int] = {}
        self._flow_reasons = (False, False, 0)  # for which these were set
        self._gather_requested = False
        self._turned_down_bytes = 0
        self._now_ns = 0  # of the last call that came with a time
        self._stats = StatsMap()  # the shell's, once add_stats has brought it
        self._reconfiguration = Reconfiguration(configuration, view, self._apply)

    # --- start and stop

    def load(self, service: Service, now_ns: int) -> None:
        """Add a service, and announce it in the map and the log; the shell then opens its socket."""
        self.services[service.ID] = service
        if service.stream is not None:
            self._deliveries.add_stream(service.stream)
            self._counters.add_stream(service.stream)
        if type(service).next_deadline is not Service.next_deadline:
            self._timed.append(service)
        cmap = self.view.cmap
        cmap.set_str(f"internal_configuration.service.{service.ID}.name", f"corosync_{service.NAME}")
        cmap.set_u32(f"internal_configuration.service.{service.ID}.ver", 0)
        cmap.set_u16(f"runtime.services.{service.NAME}.service_id", service.ID)
        self._counters.announce(cmap, service)
        SERV.notice("Service engine loaded: %s [%d]", service.TITLE, service.ID)
        self._collect(service, now_ns)
        # Compatibility: corosync does not count what a service sends while it starts.
        self._counters.forget_sent()

    def unload(self, service_id: ServiceId, now_ns: int) -> Service | None:
        """Let a service go; the shell then disconnects its clients."""
        self._services_changed = True
        service = self.services.get(service_id)
        if service is not None:
            service.on_unload(now_ns)
            self._collect(service, now_ns)
        return service

    def add_stats(self, stats: StatsMap) -> None:
        """Register what the node's own layers count."""
        self._stats = stats
        register(stats, self._network, self._ring, self._packer, lambda: self._now_ns)

    # --- configuration

    def _apply(self, totem: TotemConfig) -> None:
        self._ring.reconfigure(ring_config(totem.timers))
        self._network.reconfigure(totem, self._now_ns)
        self.outputs.append(ConfigureSockets(self._network.bindings()))

    def reload(self, files: ConfigurationFiles | str, now_ns: int) -> None:
        """The shell's answer to ReadConfiguration: the files, or why they cannot be read."""
        self._services_changed = True
        cfg = self.services.get(CfgService.ID)
        if isinstance(cfg, CfgService):
            self._reconfiguration.reload(files, cfg, now_ns)
            self._collect(cfg, now_ns)

    def publish_controls(self) -> None:
        """Keys through which an operator asks for something."""
        controls.publish(self.view.cmap, lambda: self.outputs.append(DumpFlightData()), self._request_gather)

    def _request_gather(self) -> None:
        self._gather_requested = True

    def start(self, now_ns: int) -> None:
        """Open the links, and begin to look for a ring."""
        self._network.start(now_ns)
        self._reconfiguration.check_nozzle()
        self.outputs.append(ConfigureSockets(self._network.bindings()))
        self._ring.start(now_ns)

    @property
    def has_unsent(self) -> bool:
        """Whether messages of ours wait for the token."""
        return not self._packer.idle

    def leave(self, now_ns: int) -> None:
        """Say goodbye to the ring: the last thing that a node does."""
        self._ring.leave(now_ns)
        self._drain(now_ns)

    # --- clients

    def may_connect(self, info: ClientInfo) -> int:
        """0, or the errno with which a client is refused."""
        if not self._clients_allowed:
            LOG.debug("Denied connection, corosync is not ready")
            return errno.EAGAIN
        if info.service_id not in self.services:
            return errno.ENOSYS
        if credentials.are_accepted(self.view.cmap, info):
            return 0
        LOG.error("Denied connection attempt from %d:%d", info.uid, info.gid)
        return errno.EACCES

    def on_client(self, info: ClientInfo, now_ns: int) -> None:
        """A client has connected to a service."""
        self._services_changed = True
        service = self.services[info.service_id]
        service.on_client(info, now_ns)
        self._stats.refresh()
        self._collect(service, now_ns)

    def on_client_gone(self, info: ClientInfo, now_ns: int) -> None:
        """A client's connection has ended."""
        self._services_changed = True
        service = self.services[info.service_id]
        service.on_client_gone(info.client, now_ns)
        self._stats.refresh()
        if self.view.synchronizing:
            # Compatibility: corosync sends it with the synchronization's messages, so that it overtakes those
            # of the client that still wait: even its join, which leaves a member that nobody is.
            outputs, service.outputs = service.outputs, []
            for output in outputs:
                if type(output) is Multicast:
                    self._outbox.hold(output.head, output.body)
                else:
                    service.outputs.append(output)
        self._collect(service, now_ns)

    def on_request(
        self,
        client: ClientId,
        service_id: ServiceId,
        message: memoryview,
        now_ns: int,
        counters: RequestCounters,
    ) -> bool:
        """A request from a client's ring, whose memory is read now or never.

        False: it cannot be taken before the ring has made progress, and must be offered again. That happens
        only to requests without an answer, which have been accepted as soon as they were written; the others
        are told to try again.
        """
        service = self.services[service_id]
        if len(message) < _REQUEST_HEADER_BYTES:
            return self._refuse(service, client, CsError.INVALID_PARAM, counters)
        number, size = _decode_request_header(message)
        stream = service.stream
        if (
            stream is not None
            and number == stream.request
            and _REQUEST_HEADER_BYTES <= size <= len(message)
            and self._packer.room(size) is Room.FITS
            and not self._outbox.overdue
            and not self.view.synchronizing
        ):
            parts = stream.outgoing(client, message, size)
            if parts is not None:
                self._outbox.add(*parts)  # longer than its request, it may have to wait after all
            return True
        request = service.REQUESTS.get(number)
        if request is None or not _REQUEST_HEADER_BYTES <= size <= len(message):
            answers = request is None or request.answers
            return self._refuse(service, client, CsError.INVALID_PARAM, counters, answers=answers)
        if request.needs_ring:
            room = self._packer.room(size)
            if room is Room.TOO_BIG:
                return self._refuse(service, client, CsError.INVALID_PARAM, counters, answers=request.answers)
            if room is Room.FULL or self.view.synchronizing or self._outbox.overdue:
                if not request.answers:
                    self._turned_down_bytes = max(self._turned_down_bytes, size)
                    return False
                return self._refuse(service, client, CsError.TRY_AGAIN, counters)
        if service_id == CMAP_ID:
            self._now_ns = now_ns
            self.publish_counters()
        self._services_changed = True
        service.on_request(client, number, message[:size], now_ns)
        if service.outputs:
            self._collect(service, now_ns)
        return True

    def _refuse(
        self,
        service: Service,
        client: ClientId,
        code: CsError,
        counters: RequestCounters,
        *,
        answers: bool = True,
    ) -> bool:
        if code is CsError.TRY_AGAIN:
            counters.overload += 1
        else:
            counters.invalid_request += 1
        if answers:
            header = RESPONSE_HEADER.encode(0, RESPONSE_HEADER.size, code)
            self.outputs.append(Respond(client, header))
        else:
            LOG.info("invalid message of client %d to %s", client, service.NAME)
        return True

    @property
    def accepts_messages(self) -> bool:
        """Whether the largest request that on_request has turned down would fit now."""
        if self.view.synchronizing or self.view.queue_is_critical or self._outbox.overdue:
            return False
        return self._packer.room(self._turned_down_bytes) is Room.FITS

    def forget_turned_down(self) -> None:
        """Every request that had been turned down is about to be offered again."""
        self._turned_down_bytes = 0

    # --- time

    def next_deadline(self) -> int | None:
        """When run() is wanted next; 0 stands for at once."""
        if self._loopback or self._deliveries.waiting:
            return 0
        if self._services_changed or self.view.synchronizing:
            self._services_changed = False
            services = [service.next_deadline() for service in self._timed]
            self._services_due_ns = min([due for due in services if due is not None], default=None)
        below = first_of(self._ring.next_deadline(), self._network.next_deadline())
        return first_of(self._services_due_ns, below)

    def run(self, now_ns: int) -> None:
        """Do all that is due: timers, our own frames, messages that wait for the token."""
        self._now_ns = now_ns
        self._drain(now_ns)
        deadline = self._services_due_ns
        if self._services_changed or (deadline is not None and deadline <= now_ns):
            self._run_services(now_ns)
        deadline = self._network.next_deadline()
        if deadline is not None and deadline <= now_ns:
            self._network.on_timer(now_ns)
        deadline = self._ring.next_deadline()
        if deadline is not None and deadline <= now_ns:
            self._ring.on_timer(now_ns)
        if self._gather_requested:
            self._gather_requested = False
            self._ring.force_gather(now_ns)
        if self.view.synchronizing:
            self._synchronizer.go_on(now_ns)
            self._collect_synchronizer(now_ns)
        ring, packer, loopback = self._ring, self._packer, self._loopback
        self._drain(now_ns)
        for _ in range(_LOOPBACKS_PER_RUN):
            if not loopback and not packer.idle:
                ring.wake(now_ns)
                self._drain(now_ns)
            if not loopback:
                break
            ring.receive(loopback.popleft(), now_ns)
            self._drain(now_ns)
            if self.outputs and packer.idle:
                break  # clients get their messages before the token's idle rounds
        if self._outbox.overdue:
            self._outbox.retry()
        self._set_flow_control()
        for service in self.services.values():
            # Trackers of the map speak up whoever changed it.
            if service.outputs:
                self._collect(service, now_ns)

    def _run_services(self, now_ns: int) -> None:
        self._services_changed = True
        for service in self._timed:
            deadline = service.next_deadline()
            if deadline is not None and deadline <= now_ns:
                service.on_timer(now_ns)
                self._collect(service, now_ns)

    # --- the network

    def on_datagram(self, link: int, source: Address, datagram: Buffer, now_ns: int) -> None:
        """A datagram from the socket of a link; `source` is (host, port).

        What it delivers waits for run(), so that the shell can send what is to be sent at once.
        """
        self._network.receive(link, source, datagram, now_ns)
        self._drain_ring(now_ns)

    def on_send_error(
        self, link: int, address: Address, kind: Kind, error: int, kernel_mtu: int, now_ns: int
    ) -> None:
        """A datagram could not be sent: errno, and the MTU that the kernel has told, or 0."""
        self._network.on_send_error(link, address, kind, error, kernel_mtu, now_ns)

    def on_network_error(self, link: int, address: Address, error: int) -> None:
        """The network says that what was sent to `address` went nowhere: errno."""
        self._network.on_network_error(link, address, error)

    # --- the ring

    def _drain(self, now_ns: int) -> None:
        """Carry all outputs of the ring and the network on; a delivery may cause more of them."""
        self._drain_ring(now_ns)
        while self._deliveries.run(now_ns):
            self._drain_ring(now_ns)

    def _drain_ring(self, now_ns: int) -> None:
        """The same, but for what is delivered."""
        ring, network = self._ring, self._network
        while ring.outputs or network.outputs:
            outputs, ring.outputs = ring.outputs, []
            for output in outputs:
                if isinstance(output, totem.Broadcast):
                    network.send(output.frame, ALL_NODES, now_ns, loop_back=output.loop_back)
                elif isinstance(output, totem.SendToken):
                    network.send(output.frame, output.node_id, now_ns)
                elif isinstance(output, totem.Deliver):
                    self._deliveries.put(output)
                elif isinstance(output, totem.MembershipChanged):
                    self._on_membership(output, now_ns)
                elif isinstance(output, totem.SaveRingId):
                    self._on_save_ring_id(output)
                else:
                    for line in output.lines():
                        TOTEM.notice("%s", line)
            if network.outputs:
                self._drain_network(now_ns)

    def _drain_network(self, now_ns: int) -> None:
        """Frames to the ring, datagrams to the shell. Our own frames wait until the ring has returned."""
        outputs, self._network.outputs = self._network.outputs, []
        for output in outputs:
            if isinstance(output, Received):
                if output.node_id == self.view.node_id:
                    self._loopback.append(output.payload)
                else:
                    self._ring.receive(output.payload, now_ns)
            elif isinstance(output, (SendDatagrams, SendDatagram)):
                self.outputs.append(output)

    def _on_delivered(self, service: Service, now_ns: int) -> None:
        self._services_changed = True
        if service.outputs:
            self._collect(service, now_ns)

    def _on_sync_message(self, node_id: NodeId, message: memoryview, order: str, now_ns: int) -> None:
        self._synchronizer.receive(node_id, message, order, now_ns)
        self._collect_synchronizer(now_ns)

    def _on_events(self, events: list[Event]) -> None:
        self.outputs.append(SendEvents(events))

    def _on_save_ring_id(self, output: totem.SaveRingId) -> None:
        self.outputs.append(SaveRingId(output.ring_id.seq))

    def _on_membership(self, change: totem.MembershipChanged, now_ns: int) -> None:
        """A configuration of the ring: transitional (who comes along), then regular (who is there)."""
        self._deliveries.run(now_ns)
        was_synchronizing, self.view.synchronizing = self.view.synchronizing, True
        self.view.ring_id = change.ring_id
        for node_id in change.left:
            members.publish_left(self.view.cmap, node_id)
        self._deliveries.unpacker.drop(change.left)
        for node_id in change.joined:
            members.publish_joined(self.view.cmap, node_id, self.view.transport.addresses(node_id))
        if was_synchronizing:
            self._synchronizer.abort()
        if change.kind is totem.MembershipKind.TRANSITIONAL:
            # Not before: the old ring's last messages may have completed a synchronization.
            self._packer.begin_sync()
            self._outbox.begin_sync()
            self._synchronizer.on_transitional(change.members)
            return
        self.view.members = change.members
        self._network.on_membership(change.members)
        self._deliveries.unpacker.begin_sync()
        self._synchronizer.start(change.ring_id, change.members, now_ns)
        self._collect_synchronizer(now_ns)

    # --- synchronization

    def _collect_synchronizer(self, now_ns: int) -> None:
        """What services have sent during synchronization goes before the synchronizer's own barrier."""
        synchronizer = self._synchronizer
        while True:
            for service in self.services.values():
                if service.outputs:
                    self._collect(service, now_ns)
            if not synchronizer.outputs:
                return
            outputs, synchronizer.outputs = synchronizer.outputs, []
            for output in outputs:
                if isinstance(output, MulticastSync):
                    self._packer.add(output.payload, b"", group=GROUP_SYNC)
                else:
                    self._on_sync_completed(output)

    def _on_sync_completed(self, output: SyncCompleted) -> None:
        LOG.notice("Completed service synchronization, ready to provide service.")
        self.view.synchronizing = False
        self._services_changed = True
        self._packer.end_sync()
        self._deliveries.unpacker.end_sync()
        self._outbox.end_sync()
        self._clients_allowed = True
        self._set_flow_control()
        self.outputs.append(Ready())

    # --- services

    def _collect(self, service: Service, now_ns: int) -> None:
        """Route what a service has asked for: messages to the ring, quorum to its service, the rest out."""
        outputs, service.outputs = service.outputs, []
        for output in outputs:
            if type(output) is Multicast:
                self._outbox.send(output.head, output.body)
            elif type(output) is QuorumChanged:
                self._on_quorum(output, now_ns)
            elif type(output) is ReconfigureCrypto:
                self._network.reconfigure_crypto(output.phase, now_ns)
            else:
                self.outputs.append(output)

    def _on_quorum(self, output: QuorumChanged, now_ns: int) -> None:
        """The provider's decision, at once: clients of both services see it in this order."""
        self.view.quorate = output.quorate
        quorum = self.services.get(QuorumService.ID)
        if isinstance(quorum, QuorumService):
            quorum.on_quorum(output.quorate, output.members, output.ring_id, now_ns)
            self._collect(quorum, now_ns)

    def _set_flow_control(self) -> None:
        """Tell clients to hold back while the send queue is nearly full or services synchronize."""
        critical = self._packer.level() is QueueLevel.CRITICAL
        why = critical, self.view.synchronizing, len(self.services)
        if why == self._flow_reasons:
            return
        self._flow_reasons = why
        self.view.queue_is_critical = critical
        for service_id in self.services:
            stop = critical or (self.view.synchronizing and service_id != VOTEQUORUM_ID)
            level = FLOW_STOP_MULTICASTS if stop else FLOW_GO
            if self._flow_levels.get(service_id, FLOW_GO) != level:
                self._flow_levels[service_id] = level
                self.outputs.append(SetFlowControl(service_id, level))

    def publish_counters(self) -> None:
        """Bring runtime.services.* up to date: called before anyone can look."""
        self._counters.publish(self.view.cmap, self.services)
