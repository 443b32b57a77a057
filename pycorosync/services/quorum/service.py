"""Tells clients whether this node is quorate and who is in the cluster (corosync: exec/vsf_quorum.c).

The decision is made elsewhere: by the votequorum service, whose QuorumChanged the node hands to
on_quorum, or by nobody, when no provider is configured; then the node is always quorate.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pycorosync.cs_error import CsError
from pycorosync.errors import ConfigError, Fault
from pycorosync.log import CRIT, subsystem
from pycorosync.services.outputs import Respond, SendEvent
from pycorosync.services.quorum.messages import (
    LIST_TAIL,
    MODEL_REQUEST,
    NOTIFICATION,
    NUMBER_RESPONSE,
    PLAIN_REQUEST,
    SERVICE_NAME,
    TRACK_START_REQUEST,
    V1_NODE_LIST,
    V1_QUORUM,
    Model,
    QuorumRequest,
    QuorumResponse,
    QuorumType,
    TrackFlags,
)
from pycorosync.services.service import (
    RESPONSE_HEADER,
    ClientInfo,
    NodeView,
    Request,
    Service,
    SyncStart,
)
from pycorosync.types import ClientId, NodeId, RingId

LOG = subsystem("QUORUM")
PROVIDERS = frozenset({"corosync_votequorum"})
LOG_LIST_CHARACTERS = 63  # of node ids on one log line


@dataclass(slots=True)
class _Client:
    model: Model = Model.V0
    tracking: bool = False


class QuorumService(Service):
    """Service 3. `start` comes once, before anything else."""

    ID = 3
    NAME = SERVICE_NAME
    TITLE = "corosync cluster quorum service v0.1"
    SYNCHRONIZES = True

    def __init__(self, view: NodeView) -> None:
        super().__init__(view)
        self.quorate = False
        self.type = QuorumType.FREE
        self._members: tuple[NodeId, ...] = ()  # as the provider last said
        self._ring_id = RingId(0, 0)
        self._synced: SyncStart = SyncStart(RingId(0, 0), (), ())  # the last one that began
        self._previous_members: tuple[NodeId, ...] = ()  # of the last one that ended
        self._joined: tuple[NodeId, ...] = ()
        self._left: tuple[NodeId, ...] = ()
        self._clients: dict[ClientId, _Client] = {}

    def start(self) -> str | None:
        """Look for a provider; the name of the one that the node shall start now, or None.

        Raises ConfigError for one that does not exist; the daemon then exits with status 20.
        """
        if "quorum.provider" not in self.view.cmap:
            self.quorate = True
            return None
        provider = self.view.cmap.get_str("quorum.provider")
        LOG.notice("Using quorum provider %s", provider)
        if provider not in PROVIDERS:
            self.provider_failed(provider)
            raise ConfigError([Fault("", 0, "Invalid quorum provider")])
        self.type = QuorumType.SET
        return provider

    def provider_failed(self, provider: str) -> None:
        """The provider has refused its configuration: say so, before the daemon exits."""
        LOG.log(CRIT, "Quorum provider: %s failed to initialize.", provider)

    # --- the provider

    def on_quorum(self, quorate: bool, members: tuple[NodeId, ...], ring_id: RingId, now_ns: int) -> None:
        """The provider has decided, perhaps the same as before."""
        if quorate and not self.quorate:
            LOG.notice("This node is within the primary component and will provide service.")
        elif self.quorate and not quorate:
            LOG.notice("This node is within the non-primary component and will NOT provide any services.")
        self.quorate, self._members, self._ring_id = quorate, members, ring_id
        _log_list("Members", members)
        for client, state in self._clients.items():
            if state.tracking:
                self._send_quorum(client, state)

    # --- synchronization

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        present, together = set(start.members), set(start.transitional)
        left = tuple(node for node in self._previous_members if node not in present or node not in together)
        # A node that left and came back within one change is in both lists.
        known = set(self._previous_members).difference(left)
        joined = tuple(node for node in start.members if node not in known)
        self._synced, self._joined, self._left = start, joined, left
        _log_list("Sync members", start.members)
        if joined:
            _log_list("Sync joined", joined)
        if left:
            _log_list("Sync left", left)

    def sync_activate(self, now_ns: int) -> None:
        self._previous_members = self._synced.members
        for client, state in self._clients.items():
            if state.tracking:
                self._send_node_list(client, state, self._joined, self._left)

    # --- clients

    def on_client(self, info: ClientInfo, now_ns: int) -> None:
        self._clients[info.client] = _Client()

    def on_client_gone(self, client: ClientId, now_ns: int) -> None:
        self._clients.pop(client, None)

    def _get_quorate(self, client: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        self._respond_number(client, QuorumResponse.GET_QUORATE, CsError.OK, int(self.quorate))

    def _track_start(self, client: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        state = self._state(client)
        if request.flags & (TrackFlags.CURRENT | TrackFlags.CHANGES):
            self._send_node_list(client, state, (), ())
            self._send_quorum(client, state)
        error = CsError.EXIST if state.tracking else CsError.OK
        if request.flags & (TrackFlags.CHANGES | TrackFlags.CHANGES_ONLY):
            state.tracking = True
        self._respond(client, QuorumResponse.TRACK_START, error)

    def _track_stop(self, client: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        # Compatibility: stopping what was not started succeeds (corosync-quorumtool relies on it).
        self._state(client).tracking = False
        self._respond(client, QuorumResponse.TRACK_STOP, CsError.OK)

    def _get_type(self, client: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        self._respond_number(client, QuorumResponse.GET_TYPE, CsError.OK, self.type)

    def _model_get_type(self, client: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        error = CsError.OK
        try:
            self._state(client).model = Model(request.model)
        except ValueError:
            LOG.error("quorum_model_type request for unsupported model %u", request.model)
            error = CsError.INVALID_PARAM
        self._respond_number(client, QuorumResponse.MODEL_GET_TYPE, error, self.type)

    def _state(self, client: ClientId) -> _Client:
        return self._clients.setdefault(client, _Client())

    # --- what clients are told

    def _respond(self, client: ClientId, response: QuorumResponse, error: CsError) -> None:
        self.outputs.append(Respond(client, RESPONSE_HEADER.encode(response, RESPONSE_HEADER.size, error)))

    def _respond_number(
        self, client: ClientId, response: QuorumResponse, error: CsError, number: int
    ) -> None:
        payload = NUMBER_RESPONSE.encode(response, NUMBER_RESPONSE.size, error, number)
        self.outputs.append(Respond(client, payload))

    def _send_quorum(self, client: ClientId, state: _Client) -> None:
        members = _node_ids(self._members)
        quorate, (representative, seq), count = int(self.quorate), self._ring_id, len(self._members)
        if state.model is Model.V0:
            size = NOTIFICATION.size + len(members)
            head = NOTIFICATION.encode(QuorumResponse.NOTIFICATION, size, CsError.OK, quorate, seq, count)
        else:
            size = V1_QUORUM.size + len(members)
            head = V1_QUORUM.encode(
                QuorumResponse.V1_QUORUM, size, CsError.OK, quorate, representative, seq, count
            )
        self.outputs.append(SendEvent(client, head, members))

    def _send_node_list(
        self, client: ClientId, state: _Client, joined: Sequence[NodeId], left: Sequence[NodeId]
    ) -> None:
        if state.model is not Model.V1:
            return
        present = self._synced.members
        nodes = _node_ids((*present, *joined, *left))
        head = V1_NODE_LIST.encode(
            QuorumResponse.V1_NODE_LIST,
            V1_NODE_LIST.size + len(nodes),
            CsError.OK,
            *self._synced.ring_id,
            len(present),
            len(joined),
            len(left),
        )
        self.outputs.append(SendEvent(client, head, nodes))

    REQUESTS: ClassVar[dict[int, Request]] = {
        QuorumRequest.GET_QUORATE: Request(_get_quorate, PLAIN_REQUEST, needs_ring=False),
        QuorumRequest.TRACK_START: Request(_track_start, TRACK_START_REQUEST, needs_ring=False),
        QuorumRequest.TRACK_STOP: Request(_track_stop, PLAIN_REQUEST, needs_ring=False),
        QuorumRequest.GET_TYPE: Request(_get_type, PLAIN_REQUEST, needs_ring=False),
        QuorumRequest.MODEL_GET_TYPE: Request(_model_get_type, MODEL_REQUEST, needs_ring=False),
    }


def _node_ids(nodes: Sequence[NodeId]) -> bytes:
    """The list and the tail of an event."""
    return struct.pack(f"={len(nodes)}I", *nodes) + LIST_TAIL


def _log_list(title: str, nodes: Sequence[NodeId]) -> None:
    """`title[count]: 1 2 3`, on as many lines as it takes; a backslash says that more follow."""
    lines = list(_wrapped(nodes))
    for line in lines[:-1]:
        LOG.notice("%s[%d]:%s\\", title, len(nodes), line)
    LOG.notice("%s[%d]:%s", title, len(nodes), lines[-1])


def _wrapped(nodes: Iterable[NodeId]) -> Iterable[str]:
    line = ""
    for node in nodes:
        if len(line) + len(f" {node}") > LOG_LIST_CHARACTERS:
            yield line
            line = ""
        line += f" {node}"
    yield line
