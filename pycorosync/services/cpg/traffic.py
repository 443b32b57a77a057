"""The two steps that every multicast takes through cpg: from a client's request to a message of the ring, and
from the ring's message to events (corosync: message_handler_req_lib_cpg_mcast and
message_handler_req_exec_cpg_mcast in exec/cpg.c).

These run once for each message, everything else in cpg once for each change. So they stand alone, and
remember the heads that they have made: a sender's messages differ in length only, and often not even in that.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.cpg.groups import Group
from pycorosync.services.cpg.messages import (
    DELIVER_EVENT,
    MCAST,
    MCAST_REQUEST,
    SERVICE_ID,
    CpgExec,
    CpgRequest,
    CpgResponse,
    group_name,
)
from pycorosync.services.stream import Stream
from pycorosync.types import ClientId, NodeId

_REQUEST_BYTES: Final = 40  # MCAST_REQUEST.size
_HEAD_BYTES: Final = 184  # MCAST.size, and DELIVER_EVENT.size
_FUNCTION: Final = SERVICE_ID << 16 | int(CpgExec.MCAST)
_DELIVER: Final = int(CpgResponse.DELIVER)
_OK: Final = int(CsError.OK)
_ROUTES_MAX: Final = 1024
_decode_request = MCAST_REQUEST.unpack_native
_encode_head = MCAST.encode_native
_decode_head = MCAST.unpack_native
_encode_event = DELIVER_EVENT.encode_native


class Sender:
    """A client that may send."""

    __slots__ = ("head", "name", "pid", "size")

    def __init__(self, name: bytes, pid: int) -> None:
        self.name = name
        self.pid = pid
        self.size = -1  # of the message that `head` was made for
        self.head = b""


class Route:
    """What the head of a ring's message means here."""

    __slots__ = ("end", "event_head", "name", "node_id")

    def __init__(self, node_id: NodeId, name: bytes, end: int, event_head: bytes) -> None:
        self.node_id = node_id
        self.name = name
        self.end = end  # of the message, which may have padding behind it
        self.event_head = event_head


class Traffic(Stream):
    """CpgService says who may send; `groups` says who receives."""

    def __init__(
        self,
        node_id: NodeId,
        groups: Mapping[bytes, Group],
        on_refused: Callable[[ClientId, int], None],
        on_stranger: Callable[[NodeId], None],
    ) -> None:
        """`on_refused(client, request_bytes)`: a request was dropped; `on_stranger`: so was a delivery."""
        super().__init__(int(CpgRequest.MCAST), _FUNCTION)
        self._node_id = node_id
        self._groups = groups
        self._on_refused = on_refused
        self._on_stranger = on_stranger
        self._senders: dict[ClientId, Sender] = {}
        self._routes: dict[bytes, Route] = {}

    def allow(self, client: ClientId, name: bytes, pid: int) -> None:
        """A client may multicast to its group from now on."""
        self._senders[client] = Sender(name, pid)

    def forbid(self, client: ClientId) -> None:
        """It may not."""
        self._senders.pop(client, None)

    def outgoing(self, client: ClientId, request: memoryview, size: int) -> tuple[bytes, memoryview] | None:
        sender = self._senders.get(client)
        if sender is None or size < _REQUEST_BYTES:
            self._on_refused(client, size)
            return None
        length: int = _decode_request(request)[4]
        end = _REQUEST_BYTES + length
        if end > size:
            self._on_refused(client, size)
            return None
        if length != sender.size:
            sender.head = self.head(client, sender.name, sender.pid, length)
            sender.size = length
        self.sent += 1
        return sender.head, request[_REQUEST_BYTES:end]

    def head(self, client: ClientId, name: bytes, pid: int, length: int) -> bytes:
        """The head of a client's message of `length` bytes."""
        return _encode_head(
            _FUNCTION, _HEAD_BYTES + length, len(name), name, length, pid, self._node_id, client
        )

    def deliver(self, node_id: NodeId, message: memoryview) -> None:
        if len(message) < _HEAD_BYTES:
            raise MalformedMessage(f"a multicast of {len(message)} bytes")
        self.received += 1
        head = bytes(message[:_HEAD_BYTES])
        route = self._routes.get(head)
        if route is None or route.node_id != node_id:
            route = self._learn(node_id, head, message)
        self._emit(route, message)

    def deliver_as(self, node_id: NodeId, name: bytes, pid: int, length: int, message: memoryview) -> None:
        """The same for a head that has been decoded: one in the other byte order."""
        self._emit(_route(node_id, name, pid, length, message), message)

    def _emit(self, route: Route, message: memoryview) -> None:
        end = route.end
        if end > len(message):
            raise MalformedMessage(f"a multicast of {end} bytes in {len(message)}")
        group = self._groups.get(route.name)
        if group is None or not group.receivers:
            return
        if route.node_id not in group.nodes:
            self._on_stranger(route.node_id)
            return
        event_head, body = route.event_head, message[_HEAD_BYTES:end]
        for client in group.receivers:
            self.events.append((client, event_head, body))

    def _learn(self, node_id: NodeId, head: bytes, message: memoryview) -> Route:
        _, _, name_length, name, length, pid, _, _ = _decode_head(head)
        route = _route(node_id, group_name(name_length, name), pid, length, message)
        if len(self._routes) >= _ROUTES_MAX:
            self._routes.clear()
        self._routes[head] = route
        return route


def _route(node_id: NodeId, name: bytes, pid: int, length: int, message: memoryview) -> Route:
    end = _HEAD_BYTES + length
    if end > len(message):
        raise MalformedMessage(f"a multicast of {length} bytes in {len(message)}")
    event_head = _encode_event(_DELIVER, end, _OK, len(name), name, length, node_id, pid)
    return Route(node_id, name, end, event_head)
