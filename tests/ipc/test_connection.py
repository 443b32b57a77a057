"""A client's connection: events wait their turn, and a backlog has a bound."""

from pycorosync.ipc.connection import Channel, Connection, SharedMemoryChannel
from tests.ipc.memory import ring_pair


class SlowChannel(Channel):
    """A channel with room for a number of events."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.events: list[bytes] = []
        self.responses: list[bytes] = []
        self.flow_control = 0

    def next_request(self) -> memoryview | None:
        return None

    def request_done(self) -> None: ...

    def put_back(self) -> None: ...

    def write_response(self, payload: bytes | bytearray | memoryview) -> bool:
        if self.room:
            self.responses.append(bytes(payload))
        return bool(self.room)

    def write_event(self, head: bytes | bytearray | memoryview, body: bytes | bytearray | memoryview) -> bool:
        if len(self.events) >= self.room:
            return False
        self.events.append(bytes(head) + bytes(body))
        return True

    def set_flow_control(self, level: int) -> None:
        self.flow_control = level


def test_events_that_find_no_room_come_later_in_order() -> None:
    channel = SlowChannel(2)
    connection = Connection(channel)
    for number in range(5):
        connection.send_event(b"e%d" % number, b"!")
    assert channel.events == [b"e0!", b"e1!"]
    assert connection.queueing
    assert not connection.flush()
    channel.room = 10
    connection.send_event(b"e5", b"!")
    assert connection.flush()
    assert channel.events == [b"e%d!" % number for number in range(6)]
    assert connection.unannounced == 6
    connection.announced(6)
    assert (connection.counters.dispatched, connection.counters.queued) == (6, 0)


def test_a_waiting_event_does_not_follow_its_buffer() -> None:
    channel = SlowChannel(0)
    connection = Connection(channel)
    body = bytearray(b"before")
    connection.send_event(b"", memoryview(body))
    body[:] = b"after!"
    channel.room = 1
    connection.flush()
    assert channel.events == [b"before"]


def test_a_client_that_never_reads_is_marked_and_its_memory_bounded() -> None:
    connection = Connection(SlowChannel(0), limit_bytes=1000)
    for _ in range(100):
        connection.send_event(b"x" * 100, b"")
    assert connection.overflowed
    assert connection.counters.queued == 10


def test_an_answer_that_finds_no_room_is_counted() -> None:
    connection = Connection(SlowChannel(0))
    assert not connection.respond(b"answer")
    assert (connection.counters.responses, connection.counters.send_retries) == (0, 1)


def test_flow_control_is_told_once_per_change() -> None:
    channel = SlowChannel(1)
    connection = Connection(channel)
    for level in (0, 2, 2, 0, 1):
        connection.set_flow_control(level)
    assert channel.flow_control == 1
    assert (connection.counters.flow_control, connection.counters.flow_control_count) == (1, 3)


def test_clearing_keeps_the_state() -> None:
    connection = Connection(SlowChannel(1))
    connection.set_flow_control(2)
    connection.respond(b"")
    connection.counters.clear()
    assert (connection.counters.responses, connection.counters.flow_control) == (0, 2)


def test_events_go_through_the_ring_and_are_owed_an_announcement() -> None:
    with (
        ring_pair(1000) as (request, _, _, _),
        ring_pair(1000) as (response, _, _, _),
        ring_pair(1000) as (event, client, _, _),
    ):
        channel = SharedMemoryChannel(request, response, event)
        connection = Connection(channel)
        connection.send_event(b"a", b"b")
        connection.send_event(b"c", b"")
        assert connection.unannounced == 2
        chunk = client.peek()
        assert chunk is not None
        assert bytes(chunk) == b"ab"
        channel.set_flow_control(1)
        assert request.flow_control == 1


def test_the_backlog_of_a_client_that_is_gone_is_dropped() -> None:
    connection = Connection(SlowChannel(0))
    connection.send_event(b"x" * 100, b"")
    assert connection.backlog_bytes == 100
    connection.drop_events()
    assert (connection.backlog_bytes, connection.queueing) == (0, False)


def test_a_ring_is_filled_again_when_its_reader_has_made_much_room() -> None:
    with (
        ring_pair(1000) as (request, _, _, _),
        ring_pair(1000) as (response, _, _, _),
        ring_pair(8000) as (event, client, _, _),
    ):
        connection = Connection(SharedMemoryChannel(request, response, event))
        sent = 0
        while connection.backlog_bytes < 4000:
            connection.send_event(b"%4d" % sent, b"x" * 996)
            sent += 1
        connection.announced(connection.unannounced)
        received = refills = 0
        while received < sent:
            assert client.peek() is not None
            client.reclaim()
            received += 1
            connection.flush()
            if connection.unannounced:
                assert event.has_much_room() or connection.unannounced > 1
                refills += 1
                connection.announced(connection.unannounced)
        assert client.peek() is None
        assert not connection.queueing
        assert refills < 4, "4 events were waiting, and came one by one"
