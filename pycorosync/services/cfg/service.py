"""Configuration of the running cluster: state of links, shutdown, reload, the end of other nodes
(corosync: exec/cfg.c). Specification: protocol/cfg.md.

How a reload goes: a client's request is multicast, so that every node reads its own files. Its delivery sets
`config.totemconfig_reload_in_progress` and asks the node with ReadConfiguration. The node then calls
on_configuration_unreadable(), or on_configuration_read() before its first change and on_reloaded() after the
last. Only then is the client answered.

Compatibility: corosync forgets to reset `config.totemconfig_reload_in_progress` and to set
`config.reload_status` when the file cannot be parsed; we do both.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from pycorosync.cmap.store import ValueType
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError
from pycorosync.log import subsystem
from pycorosync.services.cfg import messages, status
from pycorosync.services.cfg.messages import CfgExec, CfgRequest, CfgResponse, CryptoPhase, ShutdownFlag
from pycorosync.services.cfg.shutdown import ShutdownVote, Vote
from pycorosync.services.outputs import (
    Multicast,
    ReadConfiguration,
    ReconfigureCrypto,
    ReopenLogs,
    Respond,
    SendEvent,
    StopDaemon,
)
from pycorosync.services.service import NO_BODY, RESPONSE_HEADER, ClientInfo, Delivery, Request, Service
from pycorosync.services.service import NodeView as View
from pycorosync.types import ClientId, NodeId

LOG = subsystem("CFG")
TOTEM_LOG = subsystem("TOTEM")

SHUTDOWN_TIMEOUT_KEY: Final = "cfg.shutdown_timeout"
SHUTDOWN_TIMEOUT_MS: Final = 5000
NS_IN_MS: Final = 1_000_000
# What exit(-1) leaves of COROSYNC_FATAL_ERROR_EXIT; the log line shows it with its sign.
KILLED_STATUS: Final = -1

RELOAD_IN_PROGRESS: Final = "config.reload_in_progress"
TOTEM_RELOAD_IN_PROGRESS: Final = "config.totemconfig_reload_in_progress"
RELOAD_STATUS: Final = "config.reload_status"
RELOAD_ERROR: Final = "config.reload_error_message"
# Ours alone: why the last reload was refused. corosync tells its log only.
RELOAD_REFUSAL: Final = "config.reload_refusal"


class _Client:
    """One connection."""

    __slots__ = ("reloading", "tracking", "tried")

    def __init__(self) -> None:
        self.tracking = False  # wants to be asked about shutdowns
        self.tried = False  # has asked for one itself
        self.reloading = False  # waits for the end of a reload


class CfgService(Service):
    """Service 1."""

    ID: ClassVar = messages.SERVICE_ID
    NAME: ClassVar = messages.SERVICE_NAME
    TITLE: ClassVar = "corosync configuration service"

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._clients: dict[ClientId, _Client] = {}
        self._shutdown: ShutdownVote | None = None
        self._reading = False  # between ReadConfiguration and its end
        self._read_again = False  # another reload was delivered meanwhile
        self._waiting: list[ClientId] = []  # for the reload that is going on
        self._waiting_next: list[ClientId] = []  # for the one after it

    # --- clients

    def on_client(self, info: ClientInfo, now_ns: int) -> None:
        self._clients[info.client] = _Client()

    def on_client_gone(self, client: ClientId, now_ns: int) -> None:
        if self._shutdown and self._shutdown.originator == client:
            self._shutdown = None
        self._stop_tracking(client)
        self._clients.pop(client, None)

    def refuse(self, client: ClientId, response_id: int, code: CsError) -> None:
        """As in Service, with the id that this service's response to the request has."""
        super().refuse(client, RESPONSE_IDS.get(response_id, response_id), code)

    def _answer(self, client: ClientId, response: CfgResponse, code: CsError = CsError.OK) -> None:
        self.outputs.append(Respond(client, RESPONSE_HEADER.encode(response, RESPONSE_HEADER.size, code)))

    # --- questions about this node and its links

    def _ring_status_get(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        self.outputs.append(Respond(client, status.ring_status(self.view)))

    def _ring_reenable(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        raise ClientError(CsError.NOT_SUPPORTED)

    def _get_node_addrs(self, client: ClientId, record: Any, _message: Any, _now_ns: int) -> None:
        self.outputs.append(Respond(client, status.node_addrs(self.view, record.node_id)))

    def _local_get(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        size = messages.LOCAL_GET_RESPONSE.size
        response = messages.LOCAL_GET_RESPONSE.encode(
            CfgResponse.LOCAL_GET, size, CsError.OK, self.view.node_id
        )
        self.outputs.append(Respond(client, response))

    def _node_status_get(self, client: ClientId, record: Any, _message: Any, _now_ns: int) -> None:
        response, error = status.node_status(self.view, record.node_id, record.version)
        if error is CsError.FAILED_OPERATION:
            TOTEM_LOG.warning("knet_handle_get_host_status(%d) failed: -1", record.node_id)
        self.outputs.append(Respond(client, response))

    # --- log files

    def _reopen_log_files(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        LOG.debug("Reopening logging files")
        self.outputs.append(ReopenLogs())
        self._answer(client, CfgResponse.REOPEN_LOG_FILES)

    # --- killing a node

    def _kill_node(self, client: ClientId, record: Any, _message: Any, _now_ns: int) -> None:
        if self.view.cmap.get_str(f"runtime.members.{record.node_id}.status") != "joined":
            raise ClientError(CsError.NOT_EXIST)
        # The client's buffer may hold anything behind the end of the text.
        reason = record.reason.partition(b"\0")[0]
        length = min(record.reason_length, messages.NAME_MAX)
        self._multicast(
            messages.KILL_NODE_EXEC.encode(
                messages.exec_id(CfgExec.KILL_NODE),
                messages.KILL_NODE_EXEC.size,
                record.node_id,
                length,
                reason,
            )
        )
        self._answer(client, CfgResponse.KILL_NODE)

    def _delivered_kill_node(
        self, node_id: NodeId, record: Any, _message: Any, _order: str, _now_ns: int
    ) -> None:
        LOG.debug("request to kill node %d (us=%d)", record.node_id, self.view.node_id)
        if record.node_id == self.view.node_id:
            reason = record.reason.partition(b"\0")[0].decode(errors="backslashreplace")
            LOG.notice("Killed by node %d : %s", node_id, reason)
            self.outputs.append(StopDaemon(KILLED_STATUS, leave=False))

    # --- shutting down the local node

    def _track_start(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        state = self._clients[client]
        if not state.tracking:
            state.tracking = True
            if self._shutdown:
                # A newcomer is asked too.
                self._shutdown.ask(client)
                self._send_test_shutdown([client], self._shutdown.flags, CsError.OK)
        self._answer(client, CfgResponse.TRACK_START)

    def _track_stop(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        if self._shutdown and self._shutdown.originator == client:
            self._shutdown = None
        self._stop_tracking(client)
        self._answer(client, CfgResponse.TRACK_STOP)

    def _stop_tracking(self, client: ClientId) -> None:
        state = self._clients.get(client)
        if state and state.tracking:
            state.tracking = False
            if self._shutdown:
                self._shutdown.leave(client)
                self._decide_shutdown()

    def _try_shutdown(self, client: ClientId, record: Any, _message: Any, now_ns: int) -> None:
        if record.flags == ShutdownFlag.IMMEDIATE:
            self._multicast_shutdown()
            self._answer(client, CfgResponse.TRY_SHUTDOWN)
            return
        if self._shutdown:
            raise ClientError(CsError.EXIST)
        self._clients[client].tried = True
        voters = [other for other, state in self._clients.items() if state.tracking and other != client]
        if not voters:
            self._answer(client, CfgResponse.TRY_SHUTDOWN)
            self._multicast_shutdown()
            return
        self._shutdown = ShutdownVote(client, record.flags, now_ns + self._shutdown_timeout_ns())
        for voter in voters:
            self._shutdown.ask(voter)
        self._send_test_shutdown(voters, record.flags, CsError.OK)

    def _shutdown_timeout_ns(self) -> int:
        entry = self.view.cmap.get(SHUTDOWN_TIMEOUT_KEY)
        if entry is None or entry.kind is not ValueType.UINT32:
            return SHUTDOWN_TIMEOUT_MS * NS_IN_MS
        return int(entry.value) * NS_IN_MS

    def _reply_to_shutdown(self, client: ClientId, record: Any, _message: Any, _now_ns: int) -> None:
        if not self._shutdown:
            raise ClientError(CsError.ACCESS)
        self._shutdown.answer(client, Vote.YES if record.response else Vote.NO)
        self._decide_shutdown()
        self._answer(client, CfgResponse.REPLY_TO_SHUTDOWN)

    def _decide_shutdown(self) -> None:
        """End the vote if everybody has answered."""
        vote = self._shutdown
        if vote is None or vote.decision is None:
            return
        self._shutdown = None
        agreed = vote.decision
        self._answer(vote.originator, CfgResponse.TRY_SHUTDOWN, CsError.OK if agreed else CsError.BUSY)
        if agreed:
            self._multicast_shutdown()
        counts = (vote.count(Vote.YES), vote.count(Vote.NO))
        LOG.debug("shutdown decision is: (yes count: %d, no count: %d) flags=%x", *counts, vote.flags)

    def _multicast_shutdown(self) -> None:
        """Tell every node that we go; we do go when it comes back to us."""
        header = messages.exec_id(CfgExec.SHUTDOWN), messages.SHUTDOWN_EXEC.size
        self._multicast(messages.SHUTDOWN_EXEC.encode(*header))

    def _send_test_shutdown(self, clients: Iterable[ClientId], flags: int, code: CsError) -> None:
        size = messages.TEST_SHUTDOWN_EVENT.size
        event = messages.TEST_SHUTDOWN_EVENT.encode(CfgResponse.TEST_SHUTDOWN, size, code, flags)
        self.outputs += [SendEvent(client, event, NO_BODY) for client in clients]

    def _delivered_shutdown(
        self, node_id: NodeId, _record: Any, _message: Any, _order: str, _now_ns: int
    ) -> None:
        LOG.notice("Node %d was shut down by sysadmin", node_id)
        if node_id == self.view.node_id:
            self.outputs.append(StopDaemon(0))

    # --- reload

    def _reload_config(self, client: ClientId, _record: Any, _message: Any, _now_ns: int) -> None:
        if self._clients[client].reloading:
            raise ClientError(CsError.BUSY)
        self._clients[client].reloading = True
        header = messages.exec_id(CfgExec.RELOAD_CONFIG), messages.RELOAD_EXEC.size
        self._multicast(messages.RELOAD_EXEC.encode(*header, self.view.node_id, client))

    def _delivered_reload_config(
        self, node_id: NodeId, record: Any, _message: Any, _order: str, _now_ns: int
    ) -> None:
        LOG.notice("Config reload requested by node %d", node_id)
        waiting = self._waiting_next if self._reading else self._waiting
        state = self._clients.get(record.source_client)
        if node_id == self.view.node_id and state and state.reloading:
            waiting.append(record.source_client)
        if self._reading:
            # One more reading, after this one, serves everybody who asked since it began.
            self._read_again = True
        else:
            self._start_reading()

    def _start_reading(self) -> None:
        self._reading, self._read_again = True, False
        self.view.cmap.set_u8(TOTEM_RELOAD_IN_PROGRESS, 1)
        self.view.cmap.delete(RELOAD_ERROR)
        self.view.cmap.delete(RELOAD_REFUSAL)
        self.outputs.append(ReadConfiguration())

    def on_configuration_unreadable(self, text: str, now_ns: int) -> None:
        """The node could not parse its files: nothing has changed."""
        LOG.error("Unable to reload config file: %s", text)
        self.view.cmap.set_str(RELOAD_REFUSAL, text)
        self._finish_reload(CsError.INVALID_PARAM, crypto_changed=False)

    def on_configuration_read(self, now_ns: int) -> None:
        """The files are parsed and the node begins to change keys: those who watch them wait for the end."""
        self.view.cmap.set_u8(RELOAD_IN_PROGRESS, 1)

    def on_reloaded(
        self, result: CsError, now_ns: int, *, crypto_changed: bool = False, refusal: str = ""
    ) -> None:
        """The node has applied its files, or refused to (it has logged why).

        `crypto_changed`: new keys are loaded; they come into use when every node's word of it is delivered.
        """
        if refusal:
            self.view.cmap.set_str(RELOAD_REFUSAL, refusal)
        self._finish_reload(result, crypto_changed=crypto_changed)

    def _finish_reload(self, result: CsError, *, crypto_changed: bool) -> None:
        cmap = self.view.cmap
        cmap.set_i32(RELOAD_STATUS, result)
        cmap.set_u8(TOTEM_RELOAD_IN_PROGRESS, 0)
        # Not there before the first file that could be parsed.
        if RELOAD_IN_PROGRESS in cmap:
            cmap.set_u8(RELOAD_IN_PROGRESS, 0)
        if crypto_changed:
            self._multicast_crypto(CryptoPhase.ACTIVATE)
        for client in self._waiting:
            if state := self._clients.get(client):
                state.reloading = False
                self._answer(client, CfgResponse.RELOAD_CONFIG, result)
        self._waiting, self._waiting_next = self._waiting_next, []
        self._reading = False
        if self._read_again:
            self._start_reading()

    # --- new keys

    def _multicast_crypto(self, phase: CryptoPhase) -> None:
        header = messages.exec_id(CfgExec.CRYPTO_RECONFIG), messages.CRYPTO_RECONFIG_EXEC.size
        self._multicast(messages.CRYPTO_RECONFIG_EXEC.encode(*header, phase))

    def _delivered_crypto_reconfig(
        self, node_id: NodeId, record: Any, _message: Any, _order: str, _now_ns: int
    ) -> None:
        if node_id != self.view.node_id or record.phase not in tuple(CryptoPhase):
            return
        LOG.debug("Crypto reconfiguration phase %d", record.phase)
        self.outputs.append(ReconfigureCrypto(record.phase))
        if record.phase == CryptoPhase.ACTIVATE:
            self._multicast_crypto(CryptoPhase.CLEANUP)

    def _delivered_ring_reenable(
        self, _node_id: NodeId, _record: Any, _message: Any, _order: str, _now_ns: int
    ) -> None:
        """Meant for redundant rings of corosync 1 and 2; has no effect."""

    def _multicast(self, message: bytes) -> None:
        self.outputs.append(Multicast(message, NO_BODY))

    # --- time

    def next_deadline(self) -> int | None:
        return self._shutdown.deadline_ns if self._shutdown else None

    def on_timer(self, now_ns: int) -> None:
        vote = self._shutdown
        if vote is None or now_ns < vote.deadline_ns:
            return
        vote.expire()
        self._decide_shutdown()
        # Compatibility: corosync tells those trackers only that have once asked for a shutdown themselves.
        told = [client for client, state in self._clients.items() if state.tracking and state.tried]
        self._send_test_shutdown(told, vote.flags, CsError.TIMEOUT)

    REQUESTS: ClassVar = {
        CfgRequest.RING_STATUS_GET: Request(_ring_status_get, messages.EMPTY_REQUEST, needs_ring=True),
        CfgRequest.RING_REENABLE: Request(_ring_reenable, messages.EMPTY_REQUEST, needs_ring=True),
        CfgRequest.KILL_NODE: Request(_kill_node, messages.KILL_NODE_REQUEST, needs_ring=True),
        CfgRequest.TRY_SHUTDOWN: Request(_try_shutdown, messages.TRY_SHUTDOWN_REQUEST, needs_ring=True),
        CfgRequest.REPLY_TO_SHUTDOWN: Request(
            _reply_to_shutdown, messages.REPLY_TO_SHUTDOWN_REQUEST, needs_ring=True
        ),
        CfgRequest.GET_NODE_ADDRS: Request(_get_node_addrs, messages.NODE_REQUEST, needs_ring=False),
        CfgRequest.LOCAL_GET: Request(_local_get, messages.EMPTY_REQUEST, needs_ring=False),
        CfgRequest.RELOAD_CONFIG: Request(_reload_config, messages.EMPTY_REQUEST, needs_ring=True),
        CfgRequest.REOPEN_LOG_FILES: Request(_reopen_log_files, messages.EMPTY_REQUEST, needs_ring=False),
        CfgRequest.NODE_STATUS_GET: Request(_node_status_get, messages.NODE_STATUS_REQUEST, needs_ring=False),
        CfgRequest.TRACK_START: Request(_track_start, messages.TRACK_START_REQUEST, needs_ring=True),
        CfgRequest.TRACK_STOP: Request(_track_stop, messages.EMPTY_REQUEST, needs_ring=True),
    }
    DELIVERIES: ClassVar = {
        CfgExec.RING_REENABLE: Delivery(_delivered_ring_reenable, messages.EMPTY_REQUEST),
        CfgExec.KILL_NODE: Delivery(_delivered_kill_node, messages.KILL_NODE_EXEC),
        CfgExec.SHUTDOWN: Delivery(_delivered_shutdown, messages.SHUTDOWN_EXEC),
        CfgExec.RELOAD_CONFIG: Delivery(_delivered_reload_config, messages.RELOAD_EXEC),
        CfgExec.CRYPTO_RECONFIG: Delivery(_delivered_crypto_reconfig, messages.CRYPTO_RECONFIG_EXEC),
    }


# What the answer to each request is called.
RESPONSE_IDS: Final[dict[int, int]] = {request: CfgResponse[request.name] for request in CfgRequest}
