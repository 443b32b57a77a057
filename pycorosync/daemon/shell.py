"""The interpreter of a node's outputs: everything the node decides and cannot do itself
(corosync: the rest of exec/main.c).
"""

import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from pycorosync.cmap.stats import ScheduleMisses, StatsMap
from pycorosync.cmap.store import Change, TrackEvent
from pycorosync.config.model import Transport
from pycorosync.daemon import sd_notify
from pycorosync.daemon.client_server import ClientServer
from pycorosync.daemon.configuration import read_for_reload
from pycorosync.daemon.expected_votes_file import ExpectedVotesFile
from pycorosync.daemon.host_resources import Machine
from pycorosync.daemon.logging import LogSystem
from pycorosync.daemon.loop import Loop
from pycorosync.daemon.pause import PauseDetector
from pycorosync.daemon.process import ExitStatus, StartError
from pycorosync.daemon.ring_id_file import RingIdFile
from pycorosync.daemon.sigbus import SigbusGuard
from pycorosync.daemon.udp import LinkSockets
from pycorosync.daemon.zero_copy import ZeroCopyBuffers
from pycorosync.deadlines import first_of
from pycorosync.knet.outputs import SendDatagram, SendDatagrams
from pycorosync.log import subsystem
from pycorosync.node.assembly import build_services
from pycorosync.node.node import Node
from pycorosync.node.outputs import ConfigureSockets, Ready, SaveRingId, SetFlowControl
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

LOG = subsystem("MAIN")
SERV = subsystem("SERV")

_LAST_WORDS_NS = 1_000_000_000
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Which services go first when the daemon stops: votequorum, cmap, cfg, cpg, quorum, pload, mon, wd.
_UNLOAD_ORDER = (5, 0, 1, 2, 3, 4, 6, 7)
# The place in corosync (3.1.7) that the log of a killed node names.
_KILLED_SOURCE = "cfg.c:566"


class Shell:
    """Runs one node until it stops."""

    def __init__(
        self, node: Node, configuration_file: str, log_system: LogSystem, state_directory: str
    ) -> None:
        self.node = node
        self._configuration_file = configuration_file
        self._log_system = log_system
        self._state_directory = state_directory
        self._ring_id_file = RingIdFile(state_directory, node.view.node_id)
        self._expected_votes_file = ExpectedVotesFile(state_directory)
        self._guard = SigbusGuard()
        self._loop = Loop(self._turn)
        self._server = ClientServer(
            self._loop,
            node,
            self._guard,
            use_sockets=node.view.cmap.get_str("system.qb_ipc_type") == "socket",
        )
        self._links = LinkSockets(
            self._loop,
            node,
            self._carry_out,
            probes_mtu=node.view.transport.name == Transport.KNET.value,
        )
        self._pauses = PauseDetector(lambda: node.view.cmap.get_int("runtime.config.totem.token"))
        self._stats = StatsMap()
        self._signals, self._signal_writer = socket.socketpair()
        self._stopping = False
        self._stop_wanted = False  # the node has said so
        self._leave_by_ns: int | None = None  # while the services' last words go out

    # --- life

    def start(self) -> None:
        """Load the services and open their sockets. Raises ConfigError, OSError."""
        now_ns = time.monotonic_ns()
        node, stats = self.node, self._stats
        self._guard.install()
        self._catch_signals()
        stats.add(self._server.stats, "stats.ipcs.")
        stats.add_clear("ipc", self._server.clear_stats)
        stats.add(self._pauses.misses, ScheduleMisses.PREFIX)
        stats.add_clear("schedmiss", self._pauses.misses.clear)
        node.add_stats(stats)
        stored_votes = self._expected_votes_file.load()
        for service in build_services(node.view, stats, ZeroCopyBuffers(), stored_votes, now_ns, Machine()):
            node.load(service, now_ns)
            if service.HAS_IPC:
                self._server.listen(service.ID, service.NAME)
        node.publish_controls()
        node.view.cmap.track("logging.", _ANY_CHANGE, self._on_logging_changed)
        node.start(now_ns)

    def run(self) -> None:
        """Serve until the node or a signal stops us. Raises StartError if we cannot go on."""
        self._loop.run()

    def _turn(self, now_ns: int) -> int | None:
        self._server.read_pending(now_ns)
        self.node.run(now_ns)
        self._carry_out(now_ns)
        self._server.flush(now_ns)
        if self._stop_wanted:
            self.stop()
        self._leave_if_done(now_ns)
        # The detector looks in every turn: a busy daemon never waits, and yet it has not paused.
        own = first_of(self._pauses.next_deadline(now_ns), self._leave_by_ns)
        return first_of(own, first_of(self._server.next_deadline(), self.node.next_deadline()))

    def stop(self) -> None:
        """Close the services one by one, leave the ring, and let run() return."""
        if self._stopping:
            return
        self._stopping = True
        now_ns = time.monotonic_ns()
        self._leave_by_ns = now_ns + _LAST_WORDS_NS
        SERV.notice("Unloading all Corosync service engines.")
        for service_id in _UNLOAD_ORDER:
            if service := self.node.unload(service_id, now_ns):
                self._carry_out(now_ns)
                self._server.close_service(service_id, now_ns)
                SERV.notice("Service engine unloaded: %s", service.TITLE)
        self._leave_if_done(now_ns)

    def _leave_if_done(self, now_ns: int) -> None:
        """What services had to say at their end (votequorum: that we leave on purpose) goes out first."""
        if self._leave_by_ns is None or (self.node.has_unsent and now_ns < self._leave_by_ns):
            return
        self._leave_by_ns = None
        self.node.leave(now_ns)
        self._carry_out(now_ns)
        self._links.close()
        self._loop.stop()

    # --- outputs

    def _carry_out(self, now_ns: int) -> None:
        node = self.node
        while node.outputs:
            outputs, node.outputs = node.outputs, []
            for output in outputs:
                if isinstance(output, SendDatagrams):  # not looked up: the most frequent
                    self._links.send_fragments(output, now_ns)
                else:
                    ACTIONS[type(output)](self, output, now_ns)

    def _respond(self, output: Respond, _now_ns: int) -> None:
        self._server.respond(output)

    def _send_event(self, output: SendEvent, _now_ns: int) -> None:
        self._server.send_event(output)

    def _send_events(self, output: SendEvents, _now_ns: int) -> None:
        self._server.send_events(output)

    def _disconnect(self, output: DisconnectClient, now_ns: int) -> None:
        self._server.disconnect(output, now_ns)

    def _set_flow_control(self, output: SetFlowControl, _now_ns: int) -> None:
        self._server.set_flow_control(output.service_id, output.level)

    def _configure_sockets(self, output: ConfigureSockets, _now_ns: int) -> None:
        self._links.configure(output.bindings)

    def _send_datagram(self, output: SendDatagram, now_ns: int) -> None:
        self._links.send(output, now_ns)

    def _save_ring_id(self, output: SaveRingId, _now_ns: int) -> None:
        self._ring_id_file.store(output.seq)

    def _store_expected_votes(self, output: StoreExpectedVotes, _now_ns: int) -> None:
        self._expected_votes_file.store(output.votes)

    def _ready(self, _output: Ready, _now_ns: int) -> None:
        sd_notify.notify(sd_notify.READY)

    def _read_configuration(self, _output: ReadConfiguration, now_ns: int) -> None:
        self.node.reload(read_for_reload(self._configuration_file), now_ns)
        self._log_system.change(self.node.view.cmap)

    def _reopen_logs(self, _output: ReopenLogs, _now_ns: int) -> None:
        self._log_system.reopen()

    def _dump(self, _output: DumpFlightData, _now_ns: int) -> None:
        self._log_system.store_flight_data(self._state_directory)

    def _stop_daemon(self, output: StopDaemon, _now_ns: int) -> None:
        if not output.leave:
            # Killed by another node: nothing more may leave this one, and nothing is put in order.
            raise StartError(ExitStatus.KILLED, "", _KILLED_SOURCE)
        # When all outputs of this turn are out: among them the message by which the others learn why we go.
        self._stop_wanted = True

    # --- signals

    def _catch_signals(self) -> None:
        """Signals arrive as bytes on a socket, in the loop, where they can do no harm."""
        self._signals.setblocking(False)
        self._signal_writer.setblocking(False)
        signal.set_wakeup_fd(self._signal_writer.fileno(), warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGUSR2):
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._loop.add(self._signals.fileno(), self._on_signals)

    def _on_signals(self, _events: int, _now_ns: int) -> None:
        for number in self._signals.recv(64):
            if number in _STOP_SIGNALS:
                LOG.notice("Node was shut down by a signal")
                self.stop()

    # --- logging

    def _on_logging_changed(self, _change: Change) -> None:
        if not self.node.view.cmap.get_int("config.reload_in_progress"):
            self._log_system.change(self.node.view.cmap)


_ANY_CHANGE = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY | TrackEvent.PREFIX

ACTIONS: dict[type, Callable[[Shell, Any, int], None]] = {
    Respond: Shell._respond,
    SendEvent: Shell._send_event,
    SendEvents: Shell._send_events,
    DisconnectClient: Shell._disconnect,
    SetFlowControl: Shell._set_flow_control,
    SaveRingId: Shell._save_ring_id,
    ConfigureSockets: Shell._configure_sockets,
    SendDatagram: Shell._send_datagram,
    StoreExpectedVotes: Shell._store_expected_votes,
    Ready: Shell._ready,
    ReadConfiguration: Shell._read_configuration,
    ReopenLogs: Shell._reopen_logs,
    DumpFlightData: Shell._dump,
    StopDaemon: Shell._stop_daemon,
}
