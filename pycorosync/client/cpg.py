"""Closed process groups from Python (corosync: lib/cpg.c). Specification: protocol/cpg.md."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from pycorosync.client.connection import Connection, LibraryError, events_async
from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.messages import (
    ADDRESS,
    FRAGMENT_MAX,
    NAME_MAX,
    CpgRequest,
    CpgResponse,
    Guarantee,
    Iteration,
    ModelFlags,
    Part,
    Reason,
    group_name,
)
from pycorosync.services.service import RESPONSE_HEADER
from pycorosync.types import NodeId, RingId

__all__ = [
    "Address",
    "Change",
    "Cpg",
    "Event",
    "Guarantee",
    "Iteration",
    "Member",
    "Membership",
    "Message",
    "Reason",
    "RingChange",
]

_BUSY_PAUSE_S: Final = 0.001
_PART_PAUSE_S: Final = 0.01
_PART_ATTEMPTS: Final = 100
_GOODBYE_S: Final = 5.0
# Bytes of half-received messages; corosync's daemons let a sender have one under way.
_ASSEMBLY_MAX: Final = 1 << 30
_NODE_ID: Final = 4


class Member(NamedTuple):
    """A process in a group."""

    node_id: NodeId
    pid: int


class Address(NamedTuple):
    """A process that has joined or left, and why."""

    node_id: NodeId
    pid: int
    reason: int  # a Reason, unless a newer daemon knows more of them


class Membership(NamedTuple):
    """A line of an iteration; node id and pid are 0 where only names were asked for."""

    group: bytes
    node_id: NodeId
    pid: int


class Message(NamedTuple):
    """A multicast, whole, at its place in the order."""

    group: bytes
    sender: Member
    data: bytes


class Change(NamedTuple):
    """Who is in the group from here on, and who has left and joined."""

    group: bytes
    members: tuple[Member, ...]
    left: tuple[Address, ...]
    joined: tuple[Address, ...]


class RingChange(NamedTuple):
    """A new configuration of the ring; comes after the changes of groups that it caused."""

    ring_id: RingId
    members: tuple[NodeId, ...]


Event = Message | Change | RingChange


class Cpg:
    """A connection to the local daemon, in one group at most. Every method raises LibraryError(CsError).

    Names of groups are bytes (at most 128), or text that is sent as UTF-8.
    """

    def __init__(
        self,
        on_message: Callable[[Message], None] | None = None,
        on_change: Callable[[Change], None] | None = None,
        on_ring: Callable[[RingChange], None] | None = None,
        *,
        initial_ring: bool = False,
    ) -> None:
        """The functions are what dispatch() calls. `initial_ring`: a RingChange shall follow the join."""
        self._callbacks: dict[type, Callable[[Any], None] | None] = {
            Message: on_message,
            Change: on_change,
            RingChange: on_ring,
        }
        self._flags = ModelFlags.DELIVER_INITIAL_TOTEM_CONF if initial_ring else ModelFlags(0)
        self._assembly = Assembly()
        self._connection = Connection("cpg")

    # --- the group

    def join(self, group: bytes | str) -> None:
        """Become a member; the Change that says so is the first event. EXIST if we are in a group already.

        TRY_AGAIN while the daemon synchronizes, or still has to tell the others of an earlier leave.
        """
        request = messages.JOIN_REQUEST
        length, name = _name(group)
        self._ask_until_free(
            request.encode(CpgRequest.JOIN, request.size, length, name, os.getpid(), self._flags)
        )

    def leave(self, group: bytes | str) -> None:
        """Stop being a member; the Change that says so is the last event of the group."""
        request = messages.LEAVE_REQUEST
        length, name = _name(group)
        self._ask_until_free(request.encode(CpgRequest.LEAVE, request.size, length, name, os.getpid()))

    def _ask_until_free(self, message: bytes) -> None:
        while True:
            try:
                self._ask(message)
                return
            except LibraryError as fault:
                if fault.code is not CsError.BUSY:
                    raise
            time.sleep(_BUSY_PAUSE_S)

    def mcast(self, data: bytes, guarantee: Guarantee = Guarantee.AGREED) -> None:
        """Send to every member of our group, ourselves included.

        TRY_AGAIN when the ring is busy: dispatch events and send again. Compatibility: one who is in no
        group is not told that nothing was sent, except for messages that are sent in parts. INTERRUPT: the
        group has changed while a long message was being sent, and nobody gets it.
        """
        if len(data) > FRAGMENT_MAX:
            self._mcast_parts(memoryview(data), guarantee)
            return
        request = messages.MCAST_REQUEST
        head = request.encode(CpgRequest.MCAST, request.size + len(data), 0, guarantee, len(data))
        self._connection.send(head + data, flow_control_max=2)

    def _mcast_parts(self, data: memoryview, guarantee: Guarantee) -> None:
        request = messages.PARTIAL_MCAST_REQUEST
        for start in range(0, len(data), FRAGMENT_MAX):
            part = data[start : start + FRAGMENT_MAX]
            is_last = start + len(part) == len(data)
            kind = Part.FIRST if not start else Part.LAST if is_last else Part.CONTINUED
            head = request.encode(
                CpgRequest.PARTIAL_MCAST, request.size + len(part), 0, guarantee, len(data), len(part), kind
            )
            self._send_part(head + part)

    def _send_part(self, message: bytes) -> None:
        for _ in range(_PART_ATTEMPTS):
            try:
                self._ask(message)
                return
            except LibraryError as fault:
                if fault.code is not CsError.TRY_AGAIN:
                    raise
            time.sleep(_PART_PAUSE_S)
        raise LibraryError(CsError.TRY_AGAIN)

    @property
    def flow_controlled(self) -> bool:
        """Whether mcast() would be answered with TRY_AGAIN."""
        return self._connection.flow_control != 0

    # --- questions

    def local_node_id(self) -> NodeId:
        """The id of the node that we run on."""
        request = messages.PLAIN_REQUEST
        answer = self._ask(request.encode(CpgRequest.LOCAL_GET, request.size))
        node_id: NodeId = _decode(messages.LOCAL_GET_RESPONSE, answer).node_id
        return node_id

    def members(self, group: bytes | str) -> list[Member]:
        """Who is in a group, which need not be ours; empty if there is none of that name."""
        request = messages.MEMBERSHIP_REQUEST
        answer = self._ask(request.encode(CpgRequest.MEMBERSHIP, request.size, *_name(group)))
        head = _decode(messages.MEMBERSHIP_RESPONSE, answer)
        found = _addresses(answer, messages.MEMBERSHIP_RESPONSE.size, head.count)
        return [Member(each.node_id, each.pid) for each in found]

    def iterate(self, kind: Iteration = Iteration.ALL, group: bytes | str = b"") -> Iterator[Membership]:
        """Groups of the whole cluster, as they are now. `group` belongs to Iteration.ONE_GROUP.

        Compatibility: corosync's order, see protocol/cpg.md.
        """
        request = messages.ITERATION_INITIALIZE_REQUEST
        answer = self._ask(request.encode(CpgRequest.ITERATION_INITIALIZE, request.size, *_name(group), kind))
        return self._entries(_decode(messages.ITERATION_INITIALIZE_RESPONSE, answer).handle)

    def _entries(self, handle: int) -> Iterator[Membership]:
        try:
            while True:
                try:
                    yield self._next(handle)
                except LibraryError as fault:
                    if fault.code is CsError.NO_SECTIONS:
                        return
                    raise
        finally:
            # Its answer says nothing that the caller could use.
            with suppress(LibraryError):
                self._ask(_iteration(CpgRequest.ITERATION_FINALIZE, handle))

    def _next(self, handle: int) -> Membership:
        entry = _decode(
            messages.ITERATION_NEXT_RESPONSE, self._ask(_iteration(CpgRequest.ITERATION_NEXT, handle))
        )
        return Membership(_group(entry), entry.node_id, entry.pid)

    # --- events

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when time is over."""
        while True:
            chunk = self._connection.receive_event(timeout_s)
            if chunk is None:
                return None
            event = self._event(chunk)
            if event is not None:
                return event

    def events(self) -> Iterator[Event]:
        """Events as they come; waits for each."""
        while (event := self.receive()) is not None:
            yield event

    def events_async(self) -> AsyncIterator[Event]:
        """Events as they come, for `async for`."""
        return events_async(self._connection, lambda: self.receive(0))

    def dispatch(self, timeout_s: float | None = 0) -> int:
        """Wait at most so long for an event, then call the functions for all that are there."""
        count = 0
        while (event := self.receive(timeout_s)) is not None:
            callback = self._callbacks[type(event)]
            if callback is not None:
                callback(event)
            count += 1
            timeout_s = 0
        return count

    def _event(self, chunk: bytes) -> Event | None:
        """None for a part of a message that is not complete."""
        match _decode(RESPONSE_HEADER, chunk).id:
            case CpgResponse.DELIVER:
                return _message(chunk)
            case CpgResponse.PARTIAL_DELIVER:
                return self._assembly.add(chunk)
            case CpgResponse.CONFCHG:
                change = _change(chunk)
                for gone in change.left:
                    self._assembly.forget(Member(gone.node_id, gone.pid))
                return change
            case CpgResponse.TOTEM_CONFCHG:
                return _ring_change(chunk)
        raise LibraryError(CsError.LIBRARY)

    # --- the connection

    def fileno(self) -> int:
        """Readable when an event is waiting, or the daemon has gone."""
        return self._connection.fileno()

    def close(self) -> None:
        """Disconnect; the others see a member leave with Reason.PROCDOWN. May be called twice."""
        request = messages.PLAIN_REQUEST
        # A daemon that is gone or busy sees the end of the connection all the same.
        with suppress(LibraryError):
            self._connection.request(request.encode(CpgRequest.FINALIZE, request.size), timeout_s=_GOODBYE_S)
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, message: bytes) -> bytes:
        """Send a request, wait for its response, and return that if it says OK."""
        response = self._connection.request(message)
        error = _decode(RESPONSE_HEADER, response).error
        if error != CsError.OK:
            raise LibraryError(CsError(error) if error in _CODES else CsError.LIBRARY)
        return response


class Assembly:
    """Puts messages together that were sent in parts, one at a time from each sender."""

    def __init__(self) -> None:
        self._parts: dict[Member, bytearray] = {}

    def add(self, chunk: bytes) -> Message | None:
        """The message that this part completes, or None. One that does not add up is dropped."""
        head = _decode(messages.PARTIAL_DELIVER_EVENT, chunk)
        start = messages.PARTIAL_DELIVER_EVENT.size
        if head.fragment_bytes > len(chunk) - start:
            raise LibraryError(CsError.LIBRARY)
        sender = Member(head.node_id, head.pid)
        if head.part == Part.FIRST:
            # One that was under way was interrupted; its sender knows.
            self._parts[sender] = bytearray()
        data = self._parts.get(sender)
        if data is None:
            return None  # we joined after its first part
        data += chunk[start : start + head.fragment_bytes]
        if len(data) > min(head.message_bytes, _ASSEMBLY_MAX):
            del self._parts[sender]
            return None
        if head.part != Part.LAST:
            return None
        del self._parts[sender]
        return Message(_group(head), sender, bytes(data)) if len(data) == head.message_bytes else None

    def forget(self, sender: Member) -> None:
        """A sender has left: what it had begun will not be finished."""
        self._parts.pop(sender, None)


_CODES: Final = frozenset(CsError)


def _name(group: bytes | str) -> tuple[int, bytes]:
    raw = group.encode() if isinstance(group, str) else group
    if len(raw) > NAME_MAX:
        raise LibraryError(CsError.NAME_TOO_LONG)
    return len(raw), raw


def _iteration(number: CpgRequest, handle: int) -> bytes:
    return messages.ITERATION_REQUEST.encode(number, messages.ITERATION_REQUEST.size, handle)


def _decode(layout: Any, chunk: bytes) -> Any:
    try:
        return layout.decode(chunk)
    except MalformedMessage as fault:
        raise LibraryError(CsError.LIBRARY) from fault


def _group(record: Any) -> bytes:
    try:
        return group_name(record.group_length, record.group_value)
    except MalformedMessage as fault:
        raise LibraryError(CsError.LIBRARY) from fault


def _addresses(chunk: bytes, start: int, count: int) -> list[Address]:
    end = start + count * ADDRESS.size
    if end > len(chunk):
        raise LibraryError(CsError.LIBRARY)
    return [Address(*record) for record in ADDRESS.iterate(chunk[start:end])]


def _message(chunk: bytes) -> Message:
    head = _decode(messages.DELIVER_EVENT, chunk)
    start = messages.DELIVER_EVENT.size
    end = start + head.message_bytes
    if end > len(chunk):
        raise LibraryError(CsError.LIBRARY)
    return Message(_group(head), Member(head.node_id, head.pid), chunk[start:end])


def _change(chunk: bytes) -> Change:
    head = _decode(messages.CONFCHG_EVENT, chunk)
    found = _addresses(chunk, messages.CONFCHG_EVENT.size, head.members + head.left + head.joined)
    joined_at = head.members + head.left
    return Change(
        _group(head),
        tuple(Member(each.node_id, each.pid) for each in found[: head.members]),
        tuple(found[head.members : joined_at]),
        tuple(found[joined_at:]),
    )


def _ring_change(chunk: bytes) -> RingChange:
    head = _decode(messages.TOTEM_CONFCHG_EVENT, chunk)
    start = messages.TOTEM_CONFCHG_EVENT.size
    end = start + head.members * _NODE_ID
    if end > len(chunk):
        raise LibraryError(CsError.LIBRARY)
    members = tuple(memoryview(chunk)[start:end].cast("I"))
    return RingChange(RingId(head.ring_representative, head.ring_seq), members)
