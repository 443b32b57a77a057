"""One client of the daemon: requests in, responses and events out, flow control (libqb: lib/ipcs.c, and the
outgoing queue of corosync's exec/ipc_glue.c).

A channel moves the bytes: shared memory (SharedMemoryChannel here) or sockets (daemon/socket_channel.py). The
connection adds what both need: a bounded queue for events that the channel has no room for, and counters.

A client that does not read its events must not stall anyone, itself included: its requests go on being
served, because a client may well wait for an answer while its events pile up. Nor may its backlog throttle
it by flow control, because it may retry without dispatching. So its queue has a bound, and beyond that the
connection ends. Long before, the server takes the client's requests less often, by `backlog_bytes`: one that
sends faster than it reads, and is told of its own messages, comes to a rate that it can bear.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from pycorosync.ipc.ringbuffer import RingBuffer
from pycorosync.types import Buffer

# corosync's own queue has no bound. This one is far beyond what a client that reads at all falls behind.
EVENT_QUEUE_LIMIT_BYTES = 256 * 1024 * 1024


class Channel(Protocol):
    """How bytes reach one client and come from it."""

    def next_request(self) -> memoryview | None:
        """The oldest request, valid until request_done() or put_back(); None if there is none.

        Raises MalformedMessage when the client has broken the channel.
        """

    def request_done(self) -> None:
        """The request has been used."""

    def put_back(self) -> None:
        """The request could not be taken now: it stays the next one."""

    def write_response(self, payload: Buffer) -> bool:
        """False if there is no room: the client has not read its earlier answers."""

    def write_event(self, head: Buffer, body: Buffer) -> bool:
        """False if there is no room now."""

    def set_flow_control(self, level: int) -> None:
        """Tell the client library what it may send: 0 anything, 1 nothing, 2 no multicasts."""


class SharedMemoryChannel:
    """Three rings. Every event is announced by one byte on the client's socket; the shell sends them."""

    __slots__ = (
        "_event",
        "_request",
        "_response",
        "announcements",
        "next_request",
        "put_back",
        "request_done",
    )

    def __init__(self, request: RingBuffer, response: RingBuffer, event: RingBuffer) -> None:
        self._request, self._response, self._event = request, response, event
        self.announcements = 0  # events written and not yet announced
        self.next_request: Callable[[], memoryview | None] = request.peek
        self.request_done: Callable[[], None] = request.reclaim
        self.put_back: Callable[[], None] = request.put_back

    def write_response(self, payload: Buffer) -> bool:
        return self._response.write(payload, b"")

    def write_event(self, head: Buffer, body: Buffer) -> bool:
        if self._event.write(head, body):
            self.announcements += 1
            return True
        return False

    def set_flow_control(self, level: int) -> None:
        self._request.flow_control = level


class Counters:
    """What stats.ipcs.serviceS.PID.CONNECTION.* shows."""

    __slots__ = (
        "dispatched",
        "flow_control",
        "flow_control_count",
        "invalid_request",
        "overload",
        "queued",
        "recv_retries",
        "requests",
        "responses",
        "send_retries",
        "sent",
    )

    def __init__(self) -> None:
        self.clear()
        self.flow_control = 0

    def clear(self) -> None:
        """Back to zero, as `corosync-cmapctl -C ipc` asks; states stay."""
        self.dispatched = self.flow_control_count = self.invalid_request = self.overload = 0
        self.queued = self.recv_retries = self.requests = self.responses = 0
        self.send_retries = self.sent = 0


class Connection:
    """A client, over whatever channel. `overflowed` tells that its event queue has passed the bound."""

    __slots__ = (
        "_limit_bytes",
        "_queue",
        "_queued_bytes",
        "_write_event",
        "channel",
        "counters",
        "overflowed",
    )

    def __init__(self, channel: Channel, *, limit_bytes: int = EVENT_QUEUE_LIMIT_BYTES) -> None:
        self.channel = channel
        self.counters = Counters()
        self.overflowed = False
        self._write_event = channel.write_event
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._limit_bytes = limit_bytes

    @property
    def queueing(self) -> bool:
        """Whether events wait for room in the channel."""
        return bool(self._queue)

    @property
    def backlog_bytes(self) -> int:
        """How much waits for room in the channel."""
        return self._queued_bytes

    def respond(self, payload: Buffer) -> bool:
        """Answer a request; False if the client has stopped reading its answers (the answer is lost)."""
        if self.channel.write_response(payload):
            self.counters.responses += 1
            return True
        self.counters.send_retries += 1
        return False

    def send_event(self, head: Buffer, body: Buffer) -> None:
        """Tell the client something, now or when it has made room."""
        counters = self.counters
        if not self._queue and self._write_event(head, body):
            counters.dispatched += 1
            counters.sent += 1
            return
        size = len(head) + len(body)
        if self._queued_bytes + size > self._limit_bytes:
            self.overflowed = True
            return
        if not self._queue:
            counters.queued = counters.sent = 0
        self._queue.append(b"".join((head, body)))
        self._queued_bytes += size
        counters.queued += 1

    def flush(self) -> bool:
        """Move waiting events into the channel; True when none is left."""
        queue, counters = self._queue, self.counters
        while queue:
            if not self._write_event(queue[0], b""):
                counters.send_retries += 1
                return False
            self._queued_bytes -= len(queue.popleft())
            counters.dispatched += 1
            counters.sent += 1
            counters.queued -= 1
        return True

    def drop_events(self) -> None:
        """Forget the events that wait: the client is gone."""
        self._queue.clear()
        self._queued_bytes = 0

    def set_flow_control(self, level: int) -> None:
        """What the client library may send from now on; see Channel."""
        counters = self.counters
        if counters.flow_control != level:
            counters.flow_control = level
            counters.flow_control_count += 1
            self.channel.set_flow_control(level)
