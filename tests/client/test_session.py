"""What the five libraries have in common (pycorosync/client/session.py)."""

import asyncio
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from construct import Int8ul, Int32ul, Struct

from pycorosync.client import session
from pycorosync.client.cfg import Cfg
from pycorosync.client.cmap import Cmap
from pycorosync.client.connection import Connection
from pycorosync.client.cpg import Cpg, Message
from pycorosync.client.quorum import Quorum
from pycorosync.client.session import DispatchingSession, Session, cut, decode, node_ids, records, text_of
from pycorosync.client.votequorum import Votequorum
from pycorosync.cs_error import CsError
from pycorosync.services.service import REQUEST_HEADER, REQUEST_HEADER_LAYOUT, RESPONSE_HEADER
from pycorosync.wire.fixed import Fixed
from tests.client.stand_in import Inbox, error_of
from tests.daemon.served import Served, served

ODD = Fixed("Odd", Struct("header" / REQUEST_HEADER_LAYOUT, "flag" / Int8ul))
WORD = Fixed("Word", Struct("value" / Int32ul))
NOTHING_TO_TELL = b"-"


class Scripted(Inbox):
    """Stands in for a connection: answers every request with `code`, and has the events that it is given."""

    def __init__(self, *events: bytes) -> None:
        super().__init__()
        self.requests: list[bytes] = []
        self.code = int(CsError.OK)
        self.timeouts: list[float | None] = []
        for event in events:
            self.arrived(event)

    def request(self, message: bytes) -> bytes:
        self.requests.append(message)
        return RESPONSE_HEADER.encode(0, RESPONSE_HEADER.size, self.code)

    def receive_event(self, timeout_s: float | None = None) -> bytes | None:
        self.timeouts.append(timeout_s)
        return super().receive_event(timeout_s)


class Plain(DispatchingSession[bytes]):
    """The least that a session can be; calls `heard` for events that are not b"quiet"."""

    SERVICE: ClassVar = "plain"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []

    def _event(self, data: bytes) -> bytes | None:
        return None if data == NOTHING_TO_TELL else data

    def _callback(self, event: bytes) -> Callable[[Any], None] | None:
        return None if event == b"quiet" else self.heard.append

    def ask(self, *arguments: Any, body: bytes = b"") -> bytes:
        return self._ask(*arguments, body=body)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Plain, Scripted]]]:
    made: list[Plain] = []

    def connect(*events: bytes) -> tuple[Plain, Scripted]:
        connection = Scripted(*events)
        names: list[str] = []

        def opened(name: str) -> Connection:
            names.append(name)
            return cast(Connection, connection)

        monkeypatch.setattr(session, "Connection", opened)
        made.append(Plain())
        assert names == ["plain"]
        return made[-1], connection

    yield connect
    for each in made:
        each.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served() as running:
        monkeypatch.setattr(session, "Connection", lambda name: Connection(running.prefix + name))
        yield running


Connect = Callable[..., tuple[Plain, Scripted]]


# --- questions


def test_requests_announce_the_size_that_c_structures_have(connect: Connect) -> None:
    plain, connection = connect()
    plain.ask(7, ODD, 1)
    plain.ask(8, REQUEST_HEADER, body=b"abc")
    assert connection.requests == [
        REQUEST_HEADER.encode(7, 24) + b"\1" + bytes(7),
        REQUEST_HEADER.encode(8, 19) + b"abc",
    ]


@pytest.mark.parametrize(
    ("number", "code"), [(6, CsError.TRY_AGAIN), (12, CsError.NOT_EXIST), (4711, CsError.LIBRARY)]
)
def test_an_answer_that_refuses_is_raised(connect: Connect, number: int, code: CsError) -> None:
    plain, connection = connect()
    connection.code = number
    assert error_of(lambda: plain.ask(1, REQUEST_HEADER)) is code


# --- events


def test_receive_passes_over_what_is_nothing_to_tell(connect: Connect) -> None:
    plain, connection = connect(NOTHING_TO_TELL, b"a", NOTHING_TO_TELL)
    assert plain.receive() == b"a"
    assert plain.receive(0) is None
    assert connection.timeouts == [None, None, 0, 0]


def test_what_is_nothing_to_tell_does_not_make_a_timeout_longer(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100, 1000, 2))
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    plain, connection = connect(*[NOTHING_TO_TELL] * 3)
    assert plain.receive(5) is None
    assert connection.timeouts == [5, 3, 1, 0]


def test_events_end_with_the_daemon(connect: Connect) -> None:
    plain, _ = connect(b"a", NOTHING_TO_TELL, b"b")
    events = plain.events()
    assert [next(events), next(events)] == [b"a", b"b"]
    assert error_of(lambda: next(events)) is CsError.LIBRARY


def test_dispatch_calls_and_counts(connect: Connect) -> None:
    plain, connection = connect(b"a", NOTHING_TO_TELL, b"quiet", b"b")
    assert plain.dispatch(None) == 3
    assert plain.heard == [b"a", b"b"]
    assert plain.dispatch() == 0
    assert connection.timeouts[0] is None
    assert connection.timeouts[-1] == 0


def test_a_loop_that_ends_early_loses_nothing(connect: Connect) -> None:
    async def one() -> bytes:
        async for event in plain.events_async():
            return event
        raise AssertionError

    plain, _ = connect(b"a", b"b", b"c")
    assert asyncio.run(one()) == b"a"
    assert asyncio.run(one()) == b"b"
    assert plain.receive(0) == b"c"


def test_the_event_loop_is_not_woken_for_what_nobody_waits_for(connect: Connect) -> None:
    async def watch() -> list[bytes]:
        loop = asyncio.get_running_loop()
        seen: list[bytes] = []
        loop.call_soon(connection.arrived, b"a")
        async for event in plain.events_async():
            seen.append(event)
            assert not loop.remove_reader(plain.fileno())  # there was none
            if len(seen) == 2:
                break
            loop.call_soon(connection.arrived, NOTHING_TO_TELL)
            loop.call_soon(connection.arrived, b"b")
        return seen

    plain, connection = connect()
    assert asyncio.run(watch()) == [b"a", b"b"]


def test_a_task_that_is_cancelled_leaves_no_reader(connect: Connect) -> None:
    async def give_up() -> bool:
        task = asyncio.ensure_future(anext(plain.events_async()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return asyncio.get_running_loop().remove_reader(plain.fileno())

    plain, _ = connect()
    assert not asyncio.run(give_up())


# --- the end


def test_a_session_is_closed_behind_its_block_whatever_happens(connect: Connect) -> None:
    plain, connection = connect()

    def fail() -> None:
        with plain as same:
            assert same is plain
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert connection.closed


# --- over real connections


@pytest.mark.parametrize("library", [Cpg, Cmap, Cfg, Quorum, Votequorum])
def test_every_library_is_one(server: Served, library: Callable[[], Session[Any]]) -> None:
    with library() as each:
        assert each.receive(0) is None
        assert os.fstat(each.fileno())
    assert error_of(lambda: each.receive(0)) is CsError.BAD_HANDLE
    each.close()


def test_events_come_to_async_for_in_order(server: Served) -> None:
    async def collect(cpg: Cpg) -> list[bytes]:
        found: list[bytes] = []
        async for event in cpg.events_async():
            if isinstance(event, Message):
                found.append(event.data)
            if len(found) == 50:
                break
        return found

    with Cpg() as cpg:
        cpg.join("test")
        for number in range(50):
            cpg.mcast(b"%d" % number)
        assert asyncio.run(collect(cpg)) == [b"%d" % number for number in range(50)]


# --- bytes


def test_parts_of_a_message() -> None:
    data = bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])
    assert decode(WORD, data, 4).value == 2
    assert cut(data, 8, 4) == b"\3\0\0\0"
    assert cut(data, 12, 0) == b""
    assert [each.value for each in records(WORD, data, 4, 2)] == [2, 3]
    assert node_ids(data, 0, 3) == (1, 2, 3)
    assert text_of(b"n\xff\0rest") == "n\udcff"


@pytest.mark.parametrize(
    "read",
    [
        lambda data: decode(WORD, data, 9),
        lambda data: cut(data, 8, 5),
        lambda data: records(WORD, data, 4, 3),
        lambda data: node_ids(data, 0, 1 << 31),
    ],
)
def test_parts_that_are_not_there(read: Callable[[bytes], object]) -> None:
    assert error_of(lambda: read(bytes(12))) is CsError.LIBRARY
