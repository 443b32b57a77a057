"""Clients of a simulated daemon, as libcorosync would behave: they write requests into a bounded ring, wait
for answers, hold back under flow control, and send what is long in parts.
"""

import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pycorosync.client.cpg import Assembly, Change, Member, Message, _change, _message, _ring_change
from pycorosync.client.quorum import NodeListChanged, QuorumChanged, event_of
from pycorosync.cs_error import CsError
from pycorosync.services.cfg import messages as cfg
from pycorosync.services.cpg import messages as cpg
from pycorosync.services.cpg.messages import FRAGMENT_MAX, CpgRequest, CpgResponse, ModelFlags, Part
from pycorosync.services.quorum import messages as quorum
from pycorosync.services.service import RESPONSE_HEADER, ClientInfo
from tests.simulator.network import MS
from tests.simulator.trace import ClientTrace, Delivered, Ring, Sent

if TYPE_CHECKING:
    from tests.simulator.host import Daemon

CPG_ID: Final = 2
QUORUM_ID: Final = 3
RING_BYTES: Final = 2 << 20  # of a client's request ring
RETRY_NS: Final = 3 * MS
_POOL: Final = random.Random("contents").randbytes(1 << 21)
_HEAD_BYTES: Final = 24


def contents(sender: Member, number: int, size: int) -> bytes:
    """A message that can be told from every other one, and from one whose parts were mixed up."""
    head = b"%d %d %d " % (sender.node_id, sender.pid, number)
    head = head.ljust(_HEAD_BYTES, b".") if size >= _HEAD_BYTES else head
    start = (number * 7919 + sender.pid * 104729) % (len(_POOL) // 4)
    return (head + _POOL[start : start + size])[: max(size, len(head))]


class Client:
    """One connection: requests go in order, and at most one of them waits for its answer."""

    def __init__(self, daemon: "Daemon", service_id: int, pid: int) -> None:
        """Raises ConnectionRefusedError when the daemon does not take it."""
        self.daemon = daemon
        self.pid = pid
        self.id = daemon.next_client_id()
        self.info = ClientInfo(self.id, service_id, pid, 0, 0)
        self.ring: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self.ring_bytes = 0
        self.waits = False
        self.gone = False
        if daemon.leave_by_ns is not None:
            raise ConnectionRefusedError("the daemon is about to end")
        if error := daemon.node.may_connect(self.info):
            raise ConnectionRefusedError(error, "refused")
        daemon.clients[self.id] = self
        daemon.node.on_client(self.info, daemon.clock())

    def write(self, message: bytes, taken: Callable[[], None] | None = None) -> None:
        """Put a request into the ring; `taken` is called when the daemon has accepted it."""
        self.ring.append((message, taken))
        self.ring_bytes += len(message)
        self.daemon.stir(self)

    def offer(self) -> bool:
        """Let the daemon take what it can; False when it is stuck."""
        while self.ring:
            message, taken = self.ring[0]
            node, daemon = self.daemon.node, self.daemon
            view = memoryview(message)
            if not node.on_request(self.id, self.info.service_id, view, daemon.clock(), daemon.counters):
                return False
            self.ring.popleft()
            self.ring_bytes -= len(message)
            if taken is not None:
                taken()
        return True

    def close(self) -> None:
        """The process ends. What it has written is taken as far as possible, as the daemon does."""
        if self.gone:
            return
        self.offer()
        self.gone = True
        self.daemon.clients.pop(self.id, None)
        self.daemon.node.on_client_gone(self.info, self.daemon.clock())
        self.daemon.wake()

    def on_response(self, payload: bytes) -> None:
        raise NotImplementedError

    def on_event(self, payload: bytes) -> None:
        raise NotImplementedError


class QuorumWatcher(Client):
    """Tracks quorum with the newer events."""

    def __init__(self, daemon: "Daemon", pid: int) -> None:
        super().__init__(daemon, QUORUM_ID, pid)
        self.decisions: list[QuorumChanged] = []
        self.lists: list[NodeListChanged] = []
        layout = quorum.MODEL_REQUEST
        self.write(layout.encode(quorum.QuorumRequest.MODEL_GET_TYPE, layout.size, quorum.Model.V1))
        layout = quorum.TRACK_START_REQUEST
        self.write(layout.encode(quorum.QuorumRequest.TRACK_START, layout.size, quorum.TrackFlags(3)))

    def on_response(self, payload: bytes) -> None:
        assert RESPONSE_HEADER.decode(payload).error == CsError.OK

    def on_event(self, payload: bytes) -> None:
        event = event_of(payload)
        if isinstance(event, QuorumChanged):
            self.decisions.append(event)
            self.daemon.host.cluster.on_decision(self.daemon, event)
        else:
            self.lists.append(event)


class CpgClient(Client):
    """A member of one process group."""

    def __init__(self, daemon: "Daemon", pid: int, group: bytes) -> None:
        super().__init__(daemon, CPG_ID, pid)
        self.group = group
        self.me = Member(daemon.host.node_id, pid)
        self.trace = ClientTrace(self.me.node_id, pid, group)
        self.members: tuple[Member, ...] = ()
        self.joined = False  # the daemon has accepted our join
        self.leaving = False  # it has been told to leave
        self.interrupted = 0
        self._assembly = Assembly()
        self._tasks: deque[Callable[[], bool]] = deque()  # each returns False to be tried again later
        self._answer: Callable[[CsError], None] | None = None
        self._next_number = 0
        self._retry_planned = False

    # --- what it does, in order

    def join(self) -> None:
        layout = cpg.JOIN_REQUEST
        flags = ModelFlags.DELIVER_INITIAL_TOTEM_CONF
        message = layout.encode(CpgRequest.JOIN, layout.size, len(self.group), self.group, self.pid, flags)

        def done(error: CsError) -> None:
            assert error is CsError.OK, error
            self.joined = True

        self._tasks.append(lambda: self._ask(message, done))
        self.go_on()

    def leave(self) -> None:
        layout = cpg.LEAVE_REQUEST
        message = layout.encode(CpgRequest.LEAVE, layout.size, len(self.group), self.group, self.pid)

        def done(error: CsError) -> None:
            if error is CsError.BUSY:  # our join is still on its way
                self._tasks.appendleft(lambda: self._ask(message, done))
                self._plan_retry()
                return
            assert error is CsError.OK, error

        self.leaving = True
        self._tasks.append(lambda: self._ask(message, done))
        self.go_on()

    def send(self, size: int) -> None:
        """One message of about `size` bytes."""
        self._tasks.append(lambda: self._start_message(size))
        self.go_on()

    @property
    def idle(self) -> bool:
        """Everything that it was told to do is done."""
        return not self._tasks and not self.waits and not self.ring

    # --- how

    def go_on(self) -> None:
        while self._tasks and not self.waits and not self.gone:
            if not self._tasks[0]():
                self._plan_retry()
                return
            self._tasks.popleft()

    def _plan_retry(self) -> None:
        if not self._retry_planned and not self.gone:
            self._retry_planned = True
            self.daemon.host.cluster.schedule.after(RETRY_NS, self._retry)

    def _retry(self) -> None:
        self._retry_planned = False
        if self.daemon.alive and not self.gone:
            if self.daemon.host.paused:
                self._plan_retry()
            else:
                self.go_on()

    def _ask(self, message: bytes, done: Callable[[CsError], None]) -> bool:
        """Ask until the answer is not TRY_AGAIN."""

        def answered(error: CsError) -> None:
            if error is CsError.TRY_AGAIN:
                self._tasks.appendleft(lambda: self._ask(message, done))
                self._plan_retry()
            else:
                done(error)

        self.waits, self._answer = True, answered
        self.write(message)
        return True

    def _start_message(self, size: int) -> bool:
        number = self._next_number
        data = contents(self.me, number, size)
        if len(data) > FRAGMENT_MAX:
            self._next_number += 1
            self._send_part(number, data, 0)
            return True
        if self.daemon.flow_level(CPG_ID) or self.ring_bytes + len(data) > RING_BYTES:
            return False
        self._next_number += 1
        layout = cpg.MCAST_REQUEST
        head = layout.encode(CpgRequest.MCAST, layout.size + len(data), 0, 0, len(data))
        self.write(head + data, lambda: self.trace.sent.append(Sent(number, len(data))))
        return True

    def _send_part(self, number: int, data: bytes, start: int) -> bool:
        part = data[start : start + FRAGMENT_MAX]
        end = start + len(part)
        kind = Part.FIRST if not start else Part.LAST if end == len(data) else Part.CONTINUED
        layout = cpg.PARTIAL_MCAST_REQUEST
        head = layout.encode(
            CpgRequest.PARTIAL_MCAST, layout.size + len(part), 0, 0, len(data), len(part), kind
        )

        def done(error: CsError) -> None:
            if error is CsError.INTERRUPT:
                self.interrupted += 1
            else:
                assert error is CsError.OK, error
                if kind is Part.LAST:
                    self.trace.sent.append(Sent(number, len(data)))
                else:
                    self._tasks.appendleft(lambda: self._send_part(number, data, end))

        return self._ask(head + part, done)

    # --- what it hears

    def on_response(self, payload: bytes) -> None:
        assert self._answer is not None
        answer, self._answer, self.waits = self._answer, None, False
        answer(CsError(RESPONSE_HEADER.decode(payload).error))
        if not self._retry_planned:
            self.go_on()

    def on_event(self, payload: bytes) -> None:
        kind = RESPONSE_HEADER.decode(payload).id
        if kind == CpgResponse.DELIVER:
            self._on_message(_message(payload))
        elif kind == CpgResponse.PARTIAL_DELIVER:
            if whole := self._assembly.add(payload):
                self._on_message(whole)
        elif kind == CpgResponse.CONFCHG:
            change = _change(payload)
            for gone in change.left:
                self._assembly.forget(Member(gone.node_id, gone.pid))
            self._on_change(change)
        else:
            assert kind == CpgResponse.TOTEM_CONFCHG
            ring = _ring_change(payload)
            key = self.daemon.host.cluster.ring_key(ring.ring_id)
            self.trace.entries.append(Ring(key, ring.members))

    def _on_message(self, message: Message) -> None:
        assert message.group == self.group
        words = message.data[:40].split(b" ", 3)
        sender, number = Member(int(words[0]), int(words[1])), int(words[2])
        assert sender == message.sender, (sender, message.sender)
        size = len(message.data)
        assert message.data == contents(sender, number, size), f"{self.trace}: {sender} {number} is damaged"
        self.trace.entries.append(Delivered(sender, number, size))

    def _on_change(self, change: Change) -> None:
        assert change.group == self.group
        self.members = change.members
        self.trace.entries.append(change)


class Reloader(Client):
    """`corosync-cfgtool -R`."""

    def __init__(self, daemon: "Daemon", pid: int) -> None:
        super().__init__(daemon, cfg.SERVICE_ID, pid)
        self.result: CsError | None = None

    def reload(self) -> None:
        layout = cpg.PLAIN_REQUEST
        self.write(layout.encode(cfg.CfgRequest.RELOAD_CONFIG, layout.size))

    def on_response(self, payload: bytes) -> None:
        self.result = CsError(RESPONSE_HEADER.decode(payload).error)

    def on_event(self, payload: bytes) -> None:
        raise AssertionError(payload)
