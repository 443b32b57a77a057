"""A simulated ring for the cpg service: total order, partitions, synchronization step by step."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pycorosync.cmap.store import Store
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError, MalformedMessage
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.messages import CpgRequest, CpgResponse, Iteration, Part, group_name
from pycorosync.services.cpg.service import CpgService
from pycorosync.services.outputs import Multicast, Respond, SendEvent
from pycorosync.services.service import REQUEST_HEADER, ClientInfo, LinkStatus, NodeView, SyncStart
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import LITTLE


class NoNetwork:
    """A transport that knows no addresses."""

    name = "knet"

    def addresses(self, node_id: NodeId) -> list[str]:
        return []

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        return []

    def reachable(self, node_id: NodeId) -> bool:
        return True


class Memory:
    """Shared buffers in memory: `files` is what clients have made."""

    def __init__(self) -> None:
        self.files: dict[bytes, bytearray] = {}
        self.open_files: dict[int, bytearray] = {}
        self.count = 0

    def open(self, path: bytes, size: int, uid: int) -> int:
        file = self.files.pop(path, None)
        if file is None or len(file) < size:
            raise ClientError(CsError.ACCESS)
        self.count += 1
        self.open_files[self.count] = file
        return self.count

    def write(self, handle: int, data: Any, offset: int) -> None:
        self.open_files[handle][offset : offset + len(data)] = data

    def read(self, handle: int, size: int, offset: int) -> memoryview:
        data = bytes(self.open_files[handle][offset : offset + size])
        if len(data) != size:
            raise ClientError(CsError.INVALID_PARAM)
        return memoryview(data)

    def close(self, handle: int) -> None:
        del self.open_files[handle]


@dataclass
class Node:
    """One service, its clients' mail, and what it has multicast but the ring has not yet taken."""

    service: CpgService
    ring: RingId
    clients: dict[int, "Client"] = field(default_factory=dict)
    unsent: list[bytes] = field(default_factory=list)

    def collect(self) -> None:
        for output in self.service.outputs:
            match output:
                case Multicast(head, body):
                    self.unsent.append(bytes(head) + bytes(body))
                case Respond(client, payload):
                    self.clients[client].responses.append(bytes(payload))
                case SendEvent(client, head, body):
                    self.clients[client].events.append(bytes(head) + bytes(body))
                case _:
                    raise AssertionError(output)
        self.service.outputs.clear()


class Client:
    """A connection, with requests as libcpg makes them."""

    def __init__(self, cluster: "Cluster", node_id: NodeId, number: int, pid: int) -> None:
        self.cluster, self.node_id, self.number, self.pid = cluster, node_id, number, pid
        self.responses: list[bytes] = []
        self.events: list[bytes] = []

    def send(self, message: bytes) -> None:
        """Hand a request over; its number is in its first bytes."""
        node = self.cluster.nodes[self.node_id]
        number = REQUEST_HEADER.decode(message).id
        stream = node.service.stream
        if stream is not None and number == stream.request:
            parts = stream.outgoing(self.number, memoryview(message), len(message))
            node.unsent += [b"".join(parts)] if parts is not None else []
        else:
            node.service.on_request(self.number, number, memoryview(message), 0)
        node.collect()

    def ask(self, number: CpgRequest, layout: Any, *fields: Any, body: bytes = b"") -> bytes:
        self.send(layout.encode(number, layout.size + len(body), *fields) + body)
        return self.responses.pop()

    def error(self, number: CpgRequest, layout: Any, *fields: Any, body: bytes = b"") -> CsError:
        answer = messages.PLAIN_RESPONSE.decode(self.ask(number, layout, *fields, body=body))
        return CsError(answer.header_error)

    def join(self, group: bytes, flags: int = 0) -> CsError:
        return self.error(CpgRequest.JOIN, messages.JOIN_REQUEST, len(group), group, self.pid, flags)

    def leave(self, group: bytes) -> CsError:
        return self.error(CpgRequest.LEAVE, messages.LEAVE_REQUEST, len(group), group, self.pid)

    def mcast(self, data: bytes) -> None:
        layout = messages.MCAST_REQUEST
        self.send(layout.encode(CpgRequest.MCAST, layout.size + len(data), 0, 2, len(data)) + data)

    def mcast_part(self, data: bytes, whole: int, part: Part) -> CsError:
        fields = (0, 2, whole, len(data), part)
        return self.error(CpgRequest.PARTIAL_MCAST, messages.PARTIAL_MCAST_REQUEST, *fields, body=data)

    def finalize(self) -> CsError:
        return self.error(CpgRequest.FINALIZE, messages.PLAIN_REQUEST)

    def members(self, group: bytes) -> list[str]:
        answer = self.ask(CpgRequest.MEMBERSHIP, messages.MEMBERSHIP_REQUEST, len(group), group)
        count = messages.MEMBERSHIP_RESPONSE.decode(answer).count
        return addresses(answer, messages.MEMBERSHIP_RESPONSE.size, count)

    def iterate(self, kind: int = Iteration.ALL, group: bytes = b"") -> list[str]:
        """`group@node:pid` of each entry."""
        layout = messages.ITERATION_INITIALIZE_REQUEST
        answer = self.ask(CpgRequest.ITERATION_INITIALIZE, layout, len(group), group, kind)
        handle = messages.ITERATION_INITIALIZE_RESPONSE.decode(answer).handle
        found: list[str] = []
        while True:
            answer = self.ask(CpgRequest.ITERATION_NEXT, messages.ITERATION_REQUEST, handle)
            entry = messages.ITERATION_NEXT_RESPONSE.decode(answer)
            if entry.header_error != CsError.OK:
                assert entry.header_error == CsError.NO_SECTIONS
                break
            found.append(f"{name(entry)}@{entry.node_id}:{entry.pid}")
        assert self.error(CpgRequest.ITERATION_FINALIZE, messages.ITERATION_REQUEST, handle) is CsError.OK
        return found

    def vanish(self) -> None:
        """The connection ends, orderly or not."""
        node = self.cluster.nodes[self.node_id]
        node.service.on_client_gone(self.number, 0)
        node.collect()

    def heard(self) -> list[str]:
        """Every event since the last call, as text."""
        found = [describe(event) for event in self.events]
        self.events.clear()
        return found


class Cluster:
    """Nodes, each alone at first. `settle` brings messages to everyone in the sender's ring."""

    def __init__(self, nodes: int) -> None:
        self.nodes: dict[NodeId, Node] = {}
        self.members: dict[NodeId, tuple[NodeId, ...]] = {}  # of each node's present ring
        self.malformed = 0
        self._clients = 0
        self._rings = 0
        for node_id in range(1, nodes + 1):
            self.boot(node_id)

    def boot(self, node_id: NodeId) -> None:
        """Start a node, again perhaps: a new process that knows nothing."""
        view = NodeView(node_id=node_id, cmap=Store(), transport=NoNetwork())
        self.nodes[node_id] = Node(CpgService(view, Memory()), RingId(0, 0))
        self.members[node_id] = (node_id,)
        self.form([node_id])

    def client(self, node_id: NodeId, pid: int) -> Client:
        self._clients += 1
        client = Client(self, node_id, self._clients, pid)
        node = self.nodes[node_id]
        node.clients[client.number] = client
        node.service.on_client(ClientInfo(client.number, CpgService.ID, pid, 0, 0), 0)
        node.collect()
        return client

    def joined(self, node_id: NodeId, pid: int, group: bytes = b"g", flags: int = 0) -> Client:
        """A client that is a member."""
        client = self.client(node_id, pid)
        assert client.join(group, flags) is CsError.OK
        self.settle()
        return client

    # --- the ring

    def settle(self) -> None:
        """Deliver everything that was multicast, and what that causes."""
        while any(node.unsent for node in self.nodes.values()):
            for node_id, node in self.nodes.items():
                unsent, node.unsent = node.unsent, []
                for message in unsent:
                    self.deliver(node_id, message)

    def deliver(self, sender: NodeId, message: bytes, to: Iterable[NodeId] | None = None) -> None:
        """One message to every member of its sender's ring."""
        function = REQUEST_HEADER.decode(message).id & 0xFFFF
        for node_id in self.members[sender] if to is None else to:
            node = self.nodes[node_id]
            try:
                node.service.on_delivery(sender, function, memoryview(message), LITTLE, 0)
            except MalformedMessage:
                self.malformed += 1
            node.collect()

    def form(self, members: Iterable[NodeId]) -> None:
        """A new ring, synchronized to the end."""
        self.begin(members)
        self.exchange(members)
        self.activate(members)

    def begin(self, members: Iterable[NodeId]) -> None:
        """A new configuration: each node is told who came with it from its last ring."""
        members = tuple(sorted(members))
        self._rings += 1
        ring = RingId(members[0], 4 * self._rings)
        before = {node_id: self.nodes[node_id].ring for node_id in members}
        for node_id in members:
            together = tuple(other for other in members if before[other] == before[node_id])
            if before[node_id] == RingId(0, 0):
                together = (node_id,)
            node = self.nodes[node_id]
            node.ring = ring
            self.members[node_id] = members
            node.service.sync_init(SyncStart(ring, members, together), 0)
            node.collect()

    def exchange(self, members: Iterable[NodeId]) -> None:
        """Each node sends what it has to say, and everyone gets it."""
        for node_id in members:
            assert self.nodes[node_id].service.sync_process(0)
            self.nodes[node_id].collect()
        self.settle()

    def activate(self, members: Iterable[NodeId]) -> None:
        """The barrier has been reached."""
        for node_id in members:
            self.nodes[node_id].service.sync_activate(0)
            self.nodes[node_id].collect()

    def abort(self, members: Iterable[NodeId]) -> None:
        for node_id in members:
            self.nodes[node_id].service.sync_abort()


def name(record: Any) -> str:
    return group_name(record.group_length, record.group_value).decode("latin-1")


def addresses(data: bytes, start: int, count: int, *, reasons: bool = False) -> list[str]:
    """node:pid of each, with its reason."""
    items = messages.ADDRESS.iterate(data[start : start + count * messages.ADDRESS.size])
    return [f"{item.node_id}:{item.pid}" + (f"/{item.reason}" if reasons else "") for item in items]


def describe(event: bytes) -> str:
    """An event in a line."""
    match messages.PLAIN_RESPONSE.decode(event).header_id:
        case CpgResponse.DELIVER:
            head = messages.DELIVER_EVENT.decode(event)
            assert head.header_size == len(event) == messages.DELIVER_EVENT.size + head.message_bytes
            return f"{name(head)} {head.node_id}:{head.pid} says {event[messages.DELIVER_EVENT.size :]!r}"
        case CpgResponse.PARTIAL_DELIVER:
            head = messages.PARTIAL_DELIVER_EVENT.decode(event)
            size = messages.PARTIAL_DELIVER_EVENT.size
            assert head.header_size == len(event) == size + head.fragment_bytes
            sender = f"{head.node_id}:{head.pid}"
            return f"{name(head)} {sender} part {head.part} of {head.message_bytes}: {event[size:]!r}"
        case CpgResponse.CONFCHG:
            head = messages.CONFCHG_EVENT.decode(event)
            start, width = messages.CONFCHG_EVENT.size, messages.ADDRESS.size
            assert head.header_size == len(event)
            members = addresses(event, start, head.members)
            left = addresses(event, start + width * head.members, head.left, reasons=True)
            joined = addresses(event, start + width * (head.members + head.left), head.joined, reasons=True)
            text = f"{name(head)} is {' '.join(members) or 'empty'}"
            text += f", left {' '.join(left)}" if left else ""
            return text + (f", joined {' '.join(joined)}" if joined else "")
        case CpgResponse.TOTEM_CONFCHG:
            head = messages.TOTEM_CONFCHG_EVENT.decode(event)
            start = messages.TOTEM_CONFCHG_EVENT.size
            assert head.header_size == len(event) == start + 4 * head.members + 4
            return f"ring {list(memoryview(event)[start : start + 4 * head.members].cast('I'))}"
    raise AssertionError(event[:24])
