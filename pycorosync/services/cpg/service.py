"""Closed process groups: who is in a group, and its messages in one order everywhere (corosync: exec/cpg.c).

Specification: protocol/cpg.md. Membership changes are messages in the total order too: a process is in a
group from the delivery of its join to the delivery of its leave, on every node at the same place.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final

from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError, MalformedMessage
from pycorosync.log import DEBUG, ERROR, subsystem
from pycorosync.services.cpg import encode, messages
from pycorosync.services.cpg.clients import RULES, Client, Listing, SharedBuffer, State
from pycorosync.services.cpg.groups import Groups, Process
from pycorosync.services.cpg.messages import (
    MCAST,
    MCAST_REQUEST,
    MEMBERS_MAX,
    MESSAGE_MAX,
    NAME_MAX,
    SERVICE_ID,
    SERVICE_NAME,
    CpgExec,
    CpgRequest,
    CpgResponse,
    Iteration,
    ModelFlags,
    Part,
    Reason,
    group_name,
)
from pycorosync.services.cpg.sync import Synchronization
from pycorosync.services.cpg.traffic import Traffic
from pycorosync.services.cpg.zero_copy import NoSharedBuffers, SharedBuffers
from pycorosync.services.outputs import Multicast, Respond, SendEvent
from pycorosync.services.service import ClientInfo, Delivery, NodeView, Request, Service, SyncStart
from pycorosync.types import ClientId, NodeId

LOG = subsystem("CPG")

LISTINGS_MAX: Final = 256  # iterations that a client may have open
BUFFERS_MAX: Final = 4096  # zero-copy buffers that a client may have; each costs the daemon a descriptor
# A shared buffer begins with its header and the head of a multicast request.
_REQUEST_AT: Final = messages.ZERO_COPY_HEADER.size
_MESSAGE_AT: Final = _REQUEST_AT + MCAST_REQUEST.size


class CpgService(Service):
    """Service 2."""

    ID = SERVICE_ID
    NAME = SERVICE_NAME
    TITLE = "corosync cluster closed process group service v1.01"
    SYNCHRONIZES = True

    def __init__(self, view: NodeView, shared_buffers: SharedBuffers | None = None) -> None:
        """`shared_buffers` is the shell's port for zero-copy sending; without one it is NOT_SUPPORTED."""
        super().__init__(view)
        self.shared_buffers: SharedBuffers = shared_buffers or NoSharedBuffers()
        self.dropped_multicasts = 0  # requests whose lengths do not fit; their senders wait for no answer
        self._clients: dict[ClientId, Client] = {}  # the oldest first
        self._groups = Groups()
        self._sync = Synchronization(view.node_id)
        self._handles = count(1)  # of iterations
        self._strangers: set[NodeId] = set()  # senders without a member that the log has named
        self._traffic = Traffic(
            view.node_id, self._groups.by_name, self._on_refused_multicast, self._ignore_stranger
        )
        self.stream = self._traffic

    # --- multicasts: those that can go at once take the way of `stream`

    def _mcast(self, client_id: ClientId, _request: Any, message: memoryview, _now_ns: int) -> None:
        parts = self._traffic.outgoing(client_id, message, len(message))
        if parts is not None:
            self.outputs.append(Multicast(*parts))

    def _on_mcast(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        """One in the other byte order: `stream` takes those in ours."""
        traffic = self._traffic
        name = group_name(head.group_length, head.group_value)
        traffic.deliver_as(node_id, name, head.pid, head.message_bytes, message)
        self.outputs += [SendEvent(*event) for event in traffic.events]
        traffic.events = []

    def _on_refused_multicast(self, client_id: ClientId, request_bytes: int) -> None:
        client = self._clients[client_id]
        if client.may_send:
            self.dropped_multicasts += 1
            LOG.debug("client %d: a multicast does not fit into its %d bytes", client_id, request_bytes)
        else:
            self._complain(client)

    def _complain(self, client: Client) -> None:
        LOG.log(
            DEBUG if client.complained else ERROR,
            "*** %d can't mcast to group %s state:%s, error:%d",
            client.id,
            encode.printable(client.group),
            client.state.name,
            RULES[client.state].send,
        )
        client.complained = True

    def _ignore_stranger(self, node_id: NodeId) -> None:
        if node_id not in self._strangers:
            self._strangers.add(node_id)
            LOG.warning("Unknown node -> we will not deliver message")

    # --- messages in parts

    def _partial_mcast(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        client = self._clients[client_id]
        start, size = messages.PARTIAL_MCAST_REQUEST.size, request.fragment_bytes
        if size > len(message) - start:
            raise MalformedMessage("a part is longer than its request")
        error = RULES[client.state].send
        if error is not CsError.OK:
            self._complain(client)
        if request.part == Part.FIRST:
            client.changes_at_first_part = client.changes
            client.bytes_to_come = request.message_bytes
        if client.changes != client.changes_at_first_part:
            # Those who joined in between have no first part.
            error = CsError.INTERRUPT
        elif error is CsError.OK:
            error = _count_part(client, request)
        if error is CsError.OK:
            head = messages.PARTIAL_MCAST.encode(
                SERVICE_ID << 16 | CpgExec.PARTIAL_MCAST,
                messages.PARTIAL_MCAST.size + size,
                len(client.group),
                client.group,
                request.message_bytes,
                size,
                client.pid,
                request.part,
                self.view.node_id,
                client.id,
            )
            self.outputs.append(Multicast(head, message[start : start + size]))
        self._respond(client_id, CpgResponse.PARTIAL_SEND, error)

    def _on_part(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        name, size = group_name(head.group_length, head.group_value), head.fragment_bytes
        start = messages.PARTIAL_MCAST.size
        if size > len(message) - start:
            raise MalformedMessage(f"a part of {size} bytes in {len(message)}")
        group = self._groups.get(name)
        if not group.receivers:
            return
        if node_id not in group.nodes:
            self._ignore_stranger(node_id)
            return
        event = messages.PARTIAL_DELIVER_EVENT.encode(
            CpgResponse.PARTIAL_DELIVER,
            messages.PARTIAL_DELIVER_EVENT.size + size,
            CsError.OK,
            len(name),
            name,
            head.message_bytes,
            size,
            node_id,
            head.pid,
            head.part,
        )
        body = message[start : start + size]
        self.outputs += [SendEvent(client, event, body) for client in group.receivers]

    # --- clients come and go

    def on_client(self, info: ClientInfo, now_ns: int) -> None:
        LOG.debug("lib_init_fn: conn=%d", info.client)
        self._clients[info.client] = Client(info.client, info.uid)

    def on_client_gone(self, client_id: ClientId, now_ns: int) -> None:
        LOG.debug("exit_fn for conn=%d", client_id)
        client = self._clients.pop(client_id, None)
        if client is None:
            return
        self._traffic.forbid(client_id)
        for buffer in client.buffers.values():
            self.shared_buffers.close(buffer.handle)
        if RULES[client.state].departs:
            self._send_process(CpgExec.PROCLEAVE, client, Reason.PROCDOWN)
        self._update_receivers(client.group)

    def _enter(self, client: Client, state: State) -> None:
        """The only way into a state."""
        group = client.group
        if state is State.UNJOINED:
            client.group, client.pid = b"", 0
        client.state = state
        client.may_send = RULES[state].send is CsError.OK
        if client.may_send:
            self._traffic.allow(client.id, client.group, client.pid)
        else:
            self._traffic.forbid(client.id)
        client.complained = False
        self._update_receivers(group)

    def _update_receivers(self, name: bytes) -> None:
        self._groups.set_receivers(
            name,
            (
                client.id
                for client in reversed(self._clients.values())
                if client.group == name and RULES[client.state].receives and not client.finalized
            ),
        )

    # --- requests

    def _join(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        client = self._clients[client_id]
        error = self._refusal_of_join(client, request)
        if error is CsError.OK:
            client.group = bytes(request.group_value[: request.group_length])
            client.pid = request.pid
            client.wants_ring = bool(request.flags & ModelFlags.DELIVER_INITIAL_TOTEM_CONF)
            self._enter(client, State.JOIN_STARTED)
        # The client knows that it may join before it hears that it has.
        self._respond(client_id, CpgResponse.JOIN, error)
        if error is CsError.OK:
            self._send_process(CpgExec.PROCJOIN, client, Reason.JOIN)

    def _refusal_of_join(self, client: Client, request: Any) -> CsError:
        if request.group_length > NAME_MAX:
            return CsError.NAME_TOO_LONG
        name = request.group_value[: request.group_length]
        for other in self._clients.values():
            if (
                other.state is not State.UNJOINED
                and not other.finalized
                and (other.pid, other.group) == (request.pid, name)
            ):
                return CsError.EXIST
        if Process(self.view.node_id, request.pid, name) in self._groups:
            return CsError.TRY_AGAIN  # an earlier client's leave is still on its way
        if RULES[client.state].join is CsError.OK and len(self._groups.members(name)) >= MEMBERS_MAX:
            # Compatibility: corosync lets it in, and every member's libcpg writes past its lists.
            return CsError.NO_SPACE
        return RULES[client.state].join

    def _leave(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        LOG.debug("got leave request on %d", client_id)
        client = self._clients[client_id]
        error = RULES[client.state].leave
        if error is CsError.OK and group_name(request.group_length, request.group_value) != client.group:
            # Compatibility: corosync lets a process of any name and pid leave any group; the connection
            # then counts as gone while its own group keeps it for good.
            error = CsError.NOT_EXIST
        if error is CsError.OK:
            self._enter(client, State.LEAVE_STARTED)
        self._respond(client_id, CpgResponse.LEAVE, error)
        if error is CsError.OK:
            self._send_process(CpgExec.PROCLEAVE, client, Reason.LEAVE)

    def _finalize(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        LOG.debug("cpg finalize for conn=%d", client_id)
        client = self._clients[client_id]
        client.finalized = True
        self._update_receivers(client.group)
        self._respond(client_id, CpgResponse.FINALIZE, CsError.OK)

    def _membership(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        members = self._groups.members(group_name(request.group_length, request.group_value))
        self.outputs.append(Respond(client_id, encode.membership(members)))

    def _local_get(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        self.outputs.append(Respond(client_id, encode.local_get(self.view.node_id)))

    # --- iterations

    def _iteration_initialize(
        self, client_id: ClientId, request: Any, message: memoryview, now_ns: int
    ) -> None:
        LOG.debug("cpg iteration initialize")
        listings = self._clients[client_id].listings
        if request.kind not in set(Iteration):
            raise ClientError(CsError.INVALID_PARAM)
        if len(listings) >= LISTINGS_MAX:
            raise ClientError(CsError.NO_MEMORY)
        kind = Iteration(request.kind)
        name = group_name(request.group_length, request.group_value) if kind is Iteration.ONE_GROUP else b""
        handle = next(self._handles)
        listings[handle] = Listing(self._groups.listing(kind, name))
        self.outputs.append(Respond(client_id, encode.iteration_started(handle)))

    def _iteration_next(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        LOG.debug("cpg iteration next")
        error, entry = CsError.OK, Process(0, 0, b"")
        listing = self._clients[client_id].listings.get(request.handle)
        if listing is None:
            error = CsError.LIBRARY
        elif listing.position == len(listing.processes):
            # Compatibility: one that goes on asking begins again.
            error, listing.position = CsError.NO_SECTIONS, 0
        else:
            entry = listing.processes[listing.position]
            listing.position += 1
        self.outputs.append(Respond(client_id, encode.iteration_entry(error, entry)))

    def _iteration_finalize(
        self, client_id: ClientId, request: Any, message: memoryview, now_ns: int
    ) -> None:
        LOG.debug("cpg iteration finalize")
        known = self._clients[client_id].listings.pop(request.handle, None)
        self._respond(
            client_id, CpgResponse.ITERATION_FINALIZE, CsError.LIBRARY if known is None else CsError.OK
        )

    # --- zero copy

    def _zero_copy_alloc(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        client = self._clients[client_id]
        path = request.path.split(b"\0", 1)[0]
        LOG.debug("path: %s", path.decode(errors="replace"))
        # Compatibility: the answers to alloc and free carry id 0, and libcpg does not look at their error.
        # A client that goes on finds no address in its buffer, and learns of it when it sends.
        if not _MESSAGE_AT <= request.map_bytes < 1 << 31:
            raise ClientError(CsError.INVALID_PARAM)
        buffers = self.shared_buffers
        # Opened first in every case: that takes the file's name away, which the client never does.
        handle = buffers.open(path, request.map_bytes, client.uid)
        try:
            if len(client.buffers) >= BUFFERS_MAX:
                raise ClientError(CsError.NO_RESOURCES)
            head = messages.ZERO_COPY_HEADER.encode(request.map_bytes, handle)
            buffers.write(handle, head, 0)
        except ClientError:
            buffers.close(handle)
            raise
        client.buffers[handle] = SharedBuffer(handle, request.map_bytes)
        self._respond(client_id, 0, CsError.OK)

    def _zero_copy_free(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        LOG.debug(" free'ing")
        buffer = self._clients[client_id].buffers.pop(request.server_address, None)
        if buffer is None:
            raise ClientError(CsError.NOT_EXIST)
        self.shared_buffers.close(buffer.handle)
        self._respond(client_id, 0, CsError.OK)

    def _zero_copy_execute(self, client_id: ClientId, request: Any, message: memoryview, now_ns: int) -> None:
        client = self._clients[client_id]
        if (error := RULES[client.state].send) is not CsError.OK:
            self._respond(client_id, CpgResponse.MCAST, error)
            return
        buffer = client.buffers.get(request.server_address)
        if buffer is None:
            raise ClientError(CsError.INVALID_PARAM)
        inner = self.shared_buffers.read(buffer.handle, MCAST_REQUEST.size, _REQUEST_AT)
        size = MCAST_REQUEST.decode(inner).message_bytes
        if size > min(buffer.size - _MESSAGE_AT, MESSAGE_MAX):
            raise ClientError(CsError.INVALID_PARAM)
        body = self.shared_buffers.read(buffer.handle, size, _MESSAGE_AT)
        head = self._traffic.head(client_id, client.group, client.pid, size)
        self.outputs.append(Multicast(head, body))
        self._respond(client_id, CpgResponse.MCAST, CsError.OK)

    # --- processes join and leave

    def _send_process(self, function: CpgExec, client: Client, reason: Reason) -> None:
        process = client.process(self.view.node_id)
        self.outputs.append(Multicast(*encode.process_change(function, process, reason)))

    def _on_procjoin(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        process = Process(node_id, head.pid, group_name(head.group_length, head.group_value))
        self._log_process("procjoin", process)
        self._sync.on_join(process)
        if self._groups.add(process):
            self._notify(process.group, joined=[process], reason=Reason.JOIN)

    def _on_procleave(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        process = Process(node_id, head.pid, group_name(head.group_length, head.group_value))
        self._log_process("procleave", process)
        self._sync.on_leave(process)
        # Compatibility: corosync also announces the departure of one that is no member (any more).
        if self._groups.remove(process):
            self._notify(process.group, left=[process], reason=head.reason)
        if node_id == self.view.node_id:
            self._finish_leave(process)

    def _finish_leave(self, process: Process) -> None:
        """Compatibility: corosync forgets this step, so one who left hears its group until it disconnects."""
        for client in self._clients.values():
            if client.state is State.LEAVE_STARTED and client.process(process.node_id) == process:
                self._enter(client, State.UNJOINED)

    def _notify(
        self, name: bytes, *, joined: Sequence[Process] = (), left: Sequence[Process] = (), reason: int
    ) -> None:
        """Tell the local clients of a group who has come or gone; `reason` is that of all of them."""
        local = {process for process in joined if process.node_id == self.view.node_id}
        for client in self._clients.values():
            if client.state is State.JOIN_STARTED and client.process(self.view.node_id) in local:
                self._enter(client, State.JOINED)
        group = self._groups.get(name)
        if group.receivers:
            head, body = encode.confchg(name, group.members, left, joined, reason)
            for client_id in group.receivers:
                self.outputs.append(SendEvent(client_id, head, body))
                self._clients[client_id].changes += 1
        self._tell_ring_to_new()

    # --- the ring's configuration

    def _tell_ring_to_new(self) -> None:
        """The first ring event of those who asked for one with their join."""
        for client in reversed(self._clients.values()):
            if client.wants_ring and not client.told_ring and not client.finalized:
                client.told_ring = True
                self._tell_ring([client.id])

    def _tell_ring(self, clients: Iterable[ClientId]) -> None:
        head, body = encode.ring_event(self._sync.ring_id, self._sync.members)
        self.outputs += [SendEvent(client, head, body) for client in clients]

    # --- synchronization

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        self._sync.begin(start)

    def sync_process(self, now_ns: int) -> bool:
        self.outputs.append(Multicast(*encode.downlist(len(self._sync.members), self._sync.left)))
        ours = [process for process in self._groups if process.node_id == self.view.node_id]
        if ours:
            self.outputs.append(Multicast(*encode.joinlist(ours)))
        return True

    def sync_activate(self, now_ns: int) -> None:
        old_members = len(self._sync.members)
        listed, alive, left_nodes = self._sync.finish()
        LOG.debug("my downlist: members(old:%d left:%d)", old_members, len(left_nodes))
        self._strangers.clear()
        down = self._groups.remove_where(lambda process: process.node_id in left_nodes)
        self._notify_each_group(
            down, lambda name, gone: self._notify(name, left=gone, reason=Reason.NODEDOWN)
        )
        up = [process for process in listed if self._groups.add(process)]
        self._notify_each_group(up, lambda name, come: self._notify(name, joined=come, reason=Reason.NODEUP))
        # Processes that went while we could not hear it.
        lost = [each for each in self._groups if each.node_id != self.view.node_id and each not in alive]
        for process in lost:
            self._groups.remove(process)
            self._notify(process.group, left=[process], reason=Reason.PROCDOWN)
        self._tell_ring([client.id for client in reversed(self._clients.values()) if not client.finalized])

    def _notify_each_group(
        self, processes: list[Process], notify: Callable[[bytes, list[Process]], None]
    ) -> None:
        """One event for each group, however many of its processes are concerned."""
        by_group: dict[bytes, list[Process]] = {}
        for process in processes:
            by_group.setdefault(process.group, []).append(process)
        for name, concerned in sorted(by_group.items()):
            for process in concerned:
                self._log_process("sync", process)
            notify(name, concerned)

    def sync_abort(self) -> None:
        self._sync.abort()

    def _on_joinlist(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        LOG.debug("got joinlist message from node %d", node_id)
        if head.header_size != len(message):
            raise MalformedMessage(f"a joinlist of {head.header_size} bytes in {len(message)}")
        processes = [
            Process(node_id, entry.pid, group_name(entry.group_length, entry.group_value))
            for entry in messages.JOINLIST_ENTRY.iterate(message[messages.JOINLIST.size :], order)
        ]
        if not self._sync.on_joinlist(node_id, processes):
            LOG.debug("the joinlist of node %d belongs to no synchronization", node_id)

    def _on_downlist(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        LOG.debug("downlist left_list: %d received", head.left)
        self._sync.on_downlist(node_id)

    def _on_old_list(self, node_id: NodeId, head: Any, message: memoryview, order: str, now_ns: int) -> None:
        LOG.debug("downlist OLD from node %d", node_id)

    # --- small things

    def _respond(self, client: ClientId, response_id: int, error: CsError) -> None:
        self.outputs.append(Respond(client, encode.plain(response_id, error)))

    def _log_process(self, what: str, process: Process) -> None:
        if LOG.enabled(DEBUG):
            addresses = self.view.transport.addresses(process.node_id)
            where = "".join(f"r({link}) ip({address}) " for link, address in enumerate(addresses) if address)
            LOG.debug(
                "got %s message from cluster node %d (%s) for pid %d",
                what,
                process.node_id,
                where,
                process.pid,
            )


def _count_part(client: Client, request: Any) -> CsError:
    """Whether a part fits into what its first part announced: receivers' libcpg does not look."""
    if request.fragment_bytes > client.bytes_to_come:
        return CsError.INVALID_PARAM
    client.bytes_to_come -= request.fragment_bytes
    if request.part == Part.LAST and client.bytes_to_come:
        return CsError.INVALID_PARAM
    return CsError.OK


CpgService.REQUESTS = {
    CpgRequest.JOIN: Request(CpgService._join, messages.JOIN_REQUEST, needs_ring=True),
    CpgRequest.LEAVE: Request(CpgService._leave, messages.LEAVE_REQUEST, needs_ring=True),
    CpgRequest.MCAST: Request(CpgService._mcast, MCAST_REQUEST, needs_ring=True, answers=False),
    CpgRequest.MEMBERSHIP: Request(CpgService._membership, messages.MEMBERSHIP_REQUEST, needs_ring=False),
    CpgRequest.LOCAL_GET: Request(CpgService._local_get, messages.PLAIN_REQUEST, needs_ring=False),
    CpgRequest.ITERATION_INITIALIZE: Request(
        CpgService._iteration_initialize, messages.ITERATION_INITIALIZE_REQUEST, needs_ring=False
    ),
    CpgRequest.ITERATION_NEXT: Request(
        CpgService._iteration_next, messages.ITERATION_REQUEST, needs_ring=False
    ),
    CpgRequest.ITERATION_FINALIZE: Request(
        CpgService._iteration_finalize, messages.ITERATION_REQUEST, needs_ring=False
    ),
    CpgRequest.FINALIZE: Request(CpgService._finalize, messages.PLAIN_REQUEST, needs_ring=True),
    CpgRequest.ZERO_COPY_ALLOC: Request(
        CpgService._zero_copy_alloc, messages.ZERO_COPY_ALLOC_REQUEST, needs_ring=True
    ),
    CpgRequest.ZERO_COPY_FREE: Request(
        CpgService._zero_copy_free, messages.ZERO_COPY_FREE_REQUEST, needs_ring=True
    ),
    CpgRequest.ZERO_COPY_EXECUTE: Request(
        CpgService._zero_copy_execute, messages.ZERO_COPY_EXECUTE_REQUEST, needs_ring=True
    ),
    CpgRequest.PARTIAL_MCAST: Request(
        CpgService._partial_mcast, messages.PARTIAL_MCAST_REQUEST, needs_ring=True
    ),
}

CpgService.DELIVERIES = {
    CpgExec.PROCJOIN: Delivery(CpgService._on_procjoin, messages.PROCJOIN),
    CpgExec.PROCLEAVE: Delivery(CpgService._on_procleave, messages.PROCJOIN),
    CpgExec.JOINLIST: Delivery(CpgService._on_joinlist, messages.JOINLIST),
    CpgExec.MCAST: Delivery(CpgService._on_mcast, MCAST),
    CpgExec.DOWNLIST_OLD: Delivery(CpgService._on_old_list, messages.DOWNLIST_OLD),
    CpgExec.DOWNLIST: Delivery(CpgService._on_downlist, messages.DOWNLIST),
    CpgExec.PARTIAL_MCAST: Delivery(CpgService._on_part, messages.PARTIAL_MCAST),
}
