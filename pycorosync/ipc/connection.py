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

from pycorosync.ipc.ringbuffer import RingBuffer
from pycorosync.types import Buffer

# corosync's own queue has no bound. This one is far beyond what a client that reads at all falls behind.
EVENT_QUEUE_LIMIT_BYTES = 256 * 1024 * 1024


class Channel:
    """How bytes reach one client and come from it."""

    __slots__ = ()

    def next_request(self) -> memoryview | None:
        """The oldest request, valid until request_done() or put_back(); None if there is none.

        Raises MalformedMessage when the client has broken the channel.
        """
        raise NotImplementedError

    def request_done(self) -> None:
        """The request has been used."""
        raise NotImplementedError

    def put_back(self) -> None:
        """The request could not be taken now: it stays the next one."""
        raise NotImplementedError

    def write_response(self, payload: Buffer) -> bool:
        """False if there is no room: the client has not read its earlier answers."""
        raise NotImplementedError

    def write_event(self, head: Buffer, body: Buffer) -> bool:
        """False if there is no room now."""
        raise NotImplementedError

    def has_much_room(self) -> bool:
        """Whether more events than a few are worth a try."""
        return True

    def set_flow_control(self, level: int) -> None:
        """Tell the client library what it may send: 0 anything, 1 nothing, 2 no multicasts."""
        raise NotImplementedError


class SharedMemoryChannel(Channel):
    """Three rings."""

    __slots__ = ("event", "request", "response")

    def __init__(self, request: RingBuffer, response: RingBuffer, event: RingBuffer) -> None:
        self.request, self.response, self.event = request, response, event

    def next_request(self) -> memoryview | None:
        return self.request.peek()

    def request_done(self) -> None:
        self.request.reclaim()

    def put_back(self) -> None:
        self.request.put_back()

    def write_response(self, payload: Buffer) -> bool:
        return self.response.write(payload, b"")

    def write_event(self, head: Buffer, body: Buffer) -> bool:
        return self.event.write(head, body)

    def has_much_room(self) -> bool:
        return self.event.has_much_room()

    def set_flow_control(self, level: int) -> None:
        self.request.flow_control = level


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
    """A client, over whatever channel.

    `overflowed` tells that its event queue has passed the bound. Every event is announced by one byte on the
    client's socket (shared memory only); `unannounced` counts those that are not yet, and the shell, which
    sends the bytes, tells how many went by `announced`.
    """

    __slots__ = (
        "_limit_bytes",
        "_queue",
        "_queued_bytes",
        "channel",
        "counters",
        "overflowed",
        "unannounced",
    )

    def __init__(self, channel: Channel, *, limit_bytes: int = EVENT_QUEUE_LIMIT_BYTES) -> None:
        self.channel = channel
        self.counters = Counters()
        self.overflowed = False
        self.unannounced = 0
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
        if not self._queue and self.channel.write_event(head, body):
            self.unannounced += 1
            return
        size = len(head) + len(body)
        if self._queued_bytes + size > self._limit_bytes:
            self.overflowed = True
            return
        counters = self.counters
        if not self._queue:
            counters.queued = counters.sent = 0
        self._queue.append(b"".join((head, body)))
        self._queued_bytes += size
        counters.queued += 1

    def announced(self, count: int) -> None:
        """So many events have been announced."""
        self.unannounced -= count
        self.counters.dispatched += count
        self.counters.sent += count

    def next_request(self) -> memoryview | None:
        """See Channel, as for the two that follow."""
        return self.channel.next_request()

    def request_done(self) -> None:
        self.channel.request_done()

    def put_back(self) -> None:
        self.channel.put_back()

    def flush(self) -> bool:
        """Move waiting events into the channel; True when none is left.

        A ring that is nearly full is left alone until its reader has made more room, of which we are told as
        long as it has anything to read. Otherwise a slow reader would be served event by event.
        """
        queue, counters = self._queue, self.counters
        if not self.channel.has_much_room():
            return not queue
        while queue:
            if not self.channel.write_event(queue[0], b""):
                counters.send_retries += 1
                return False
            self._queued_bytes -= len(queue.popleft())
            self.unannounced += 1
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
