"""Closed process groups from Python (corosync: lib/cpg.c). Specification: protocol/cpg.md."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple

from pycorosync.client.connection import LibraryError
from pycorosync.client.session import DispatchingSession, cut, decode, node_ids, records
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
from pycorosync.types import Buffer, NodeId, RingId

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

_GOODBYE_S: Final = 5.0
# Bytes of half-received messages; corosync's daemons let a sender have one under way.
_ASSEMBLY_MAX: Final = 1 << 30


class _Patience(NamedTuple):
    """How often a request is repeated that is answered with `code`."""

    code: CsError
    pause_s: float
    attempts: float


# As libcpg does.
_WHILE_BUSY: Final = _Patience(CsError.BUSY, pause_s=0.001, attempts=math.inf)
_FOR_A_PART: Final = _Patience(CsError.TRY_AGAIN, pause_s=0.01, attempts=100)


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


class Cpg(DispatchingSession[Event]):
    """A connection to the local daemon, in one group at most. Every method raises LibraryError(CsError).

    Names of groups are bytes (at most 128), or text that is sent as UTF-8.
    """

    SERVICE: ClassVar = messages.SERVICE_NAME

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
        super().__init__()

    # --- the group

    def join(self, group: bytes | str) -> None:
        """Become a member; the Change that says so is the first event. EXIST if we are in a group already.

        TRY_AGAIN while the daemon synchronizes, or still has to tell the others of an earlier leave.
        """
        self._ask_again(
            _WHILE_BUSY, CpgRequest.JOIN, messages.JOIN_REQUEST, *_name(group), os.getpid(), self._flags
        )

    def leave(self, group: bytes | str) -> None:
        """Stop being a member; the Change that says so is the last event of the group."""
        self._ask_again(_WHILE_BUSY, CpgRequest.LEAVE, messages.LEAVE_REQUEST, *_name(group), os.getpid())

    def _ask_again(self, patience: _Patience, *request: Any, body: Buffer = b"") -> None:
        attempts = patience.attempts
        while True:
            try:
                self._ask(*request, body=body)
                return
            except LibraryError as fault:
                attempts -= 1
                if fault.code is not patience.code or attempts <= 0:
                    raise
            time.sleep(patience.pause_s)

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
        for start in range(0, len(data), FRAGMENT_MAX):
            part = data[start : start + FRAGMENT_MAX]
            is_last = start + len(part) == len(data)
            kind = Part.FIRST if not start else Part.LAST if is_last else Part.CONTINUED
            fields = (0, guarantee, len(data), len(part), kind)
            request = messages.PARTIAL_MCAST_REQUEST
            self._ask_again(_FOR_A_PART, CpgRequest.PARTIAL_MCAST, request, *fields, body=part)

    @property
    def flow_controlled(self) -> bool:
        """Whether mcast() would be answered with TRY_AGAIN."""
        return self._connection.flow_control != 0

    # --- questions

    def local_node_id(self) -> NodeId:
        """The id of the node that we run on."""
        answer = self._ask(CpgRequest.LOCAL_GET, messages.PLAIN_REQUEST)
        node_id: NodeId = decode(messages.LOCAL_GET_RESPONSE, answer).node_id
        return node_id

    def members(self, group: bytes | str) -> list[Member]:
        """Who is in a group, which need not be ours; empty if there is none of that name."""
        answer = self._ask(CpgRequest.MEMBERSHIP, messages.MEMBERSHIP_REQUEST, *_name(group))
        head = decode(messages.MEMBERSHIP_RESPONSE, answer)
        found = records(ADDRESS, answer, messages.MEMBERSHIP_RESPONSE.size, head.count)
        return [Member(each.node_id, each.pid) for each in found]

    def iterate(self, kind: Iteration = Iteration.ALL, group: bytes | str = b"") -> Iterator[Membership]:
        """Groups of the whole cluster, as they are now. `group` belongs to Iteration.ONE_GROUP.

        Compatibility: corosync's order, see protocol/cpg.md.
        """
        request = messages.ITERATION_INITIALIZE_REQUEST
        answer = self._ask(CpgRequest.ITERATION_INITIALIZE, request, *_name(group), kind)
        return self._entries(decode(messages.ITERATION_INITIALIZE_RESPONSE, answer).handle)

    def _entries(self, handle: int) -> Iterator[Membership]:
        request = messages.ITERATION_REQUEST
        for answer in self._walk(CpgRequest.ITERATION_NEXT, CpgRequest.ITERATION_FINALIZE, request, handle):
            entry = decode(messages.ITERATION_NEXT_RESPONSE, answer)
            yield Membership(_group(entry), entry.node_id, entry.pid)

    # --- events

    def _callback(self, event: Event) -> Callable[[Any], None] | None:
        return self._callbacks[type(event)]

    def _event(self, data: bytes) -> Event | None:
        # None for a part of a message that is not complete.
        match decode(RESPONSE_HEADER, data).id:
            case CpgResponse.DELIVER:
                return _message(data)
            case CpgResponse.PARTIAL_DELIVER:
                return self._assembly.add(data)
            case CpgResponse.CONFCHG:
                change = _change(data)
                for gone in change.left:
                    self._assembly.forget(Member(gone.node_id, gone.pid))
                return change
            case CpgResponse.TOTEM_CONFCHG:
                return _ring_change(data)
        raise LibraryError(CsError.LIBRARY)

    def close(self) -> None:
        """Disconnect; the others see a member leave with Reason.PROCDOWN. May be called twice."""
        request = messages.PLAIN_REQUEST
        # A daemon that is gone or busy sees the end of the connection all the same.
        with suppress(LibraryError):
            self._connection.request(request.encode(CpgRequest.FINALIZE, request.size), timeout_s=_GOODBYE_S)
        self._connection.close()


class Assembly:
    """Puts messages together that were sent in parts, one at a time from each sender."""

    def __init__(self) -> None:
        self._parts: dict[Member, bytearray] = {}

    def add(self, chunk: bytes) -> Message | None:
        """The message that this part completes, or None. One that does not add up is dropped."""
        head = decode(messages.PARTIAL_DELIVER_EVENT, chunk)
        part = cut(chunk, messages.PARTIAL_DELIVER_EVENT.size, head.fragment_bytes)
        sender = Member(head.node_id, head.pid)
        if head.part == Part.FIRST:
            # One that was under way was interrupted; its sender knows.
            self._parts[sender] = bytearray()
        data = self._parts.get(sender)
        if data is None:
            return None  # we joined after its first part
        data += part
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


def _name(group: bytes | str) -> tuple[int, bytes]:
    raw = group.encode() if isinstance(group, str) else group
    if len(raw) > NAME_MAX:
        raise LibraryError(CsError.NAME_TOO_LONG)
    return len(raw), raw


def _group(record: Any) -> bytes:
    try:
        return group_name(record.group_length, record.group_value)
    except MalformedMessage as fault:
        raise LibraryError(CsError.LIBRARY) from fault


def _message(chunk: bytes) -> Message:
    head = decode(messages.DELIVER_EVENT, chunk)
    data = cut(chunk, messages.DELIVER_EVENT.size, head.message_bytes)
    return Message(_group(head), Member(head.node_id, head.pid), data)


def _change(chunk: bytes) -> Change:
    head = decode(messages.CONFCHG_EVENT, chunk)
    count = head.members + head.left + head.joined
    found = [Address(*each) for each in records(ADDRESS, chunk, messages.CONFCHG_EVENT.size, count)]
    joined_at = head.members + head.left
    return Change(
        _group(head),
        tuple(Member(each.node_id, each.pid) for each in found[: head.members]),
        tuple(found[head.members : joined_at]),
        tuple(found[joined_at:]),
    )


def _ring_change(chunk: bytes) -> RingChange:
    head = decode(messages.TOTEM_CONFCHG_EVENT, chunk)
    members = node_ids(chunk, messages.TOTEM_CONFCHG_EVENT.size, head.members)
    return RingChange(RingId(head.ring_representative, head.ring_seq), members)
