"""The Python library of the cpg service (pycorosync/client/cpg.py)."""

import asyncio
import os
from random import Random

import pytest

from pycorosync.client import session
from pycorosync.client.connection import LibraryError
from pycorosync.client.cpg import (
    Address,
    Assembly,
    Change,
    Cpg,
    Iteration,
    Member,
    Membership,
    Message,
    Reason,
    RingChange,
)
from pycorosync.cs_error import CsError
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.messages import FRAGMENT_MAX, CpgRequest, CpgResponse, Part
from tests.client.cpg_daemon import FakeDaemon
from tests.client.stand_in import error_of
from tests.vectors import vectors

ME = Member(1, os.getpid())


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    made = FakeDaemon(nodes=2)
    monkeypatch.setattr(session, "Connection", made.connect)
    monkeypatch.setattr("pycorosync.client.cpg.time.sleep", lambda _: None)
    return made


def test_without_a_daemon(daemon: FakeDaemon) -> None:
    daemon.running = False
    assert error_of(Cpg) is CsError.LIBRARY


def test_join_talk_leave(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        cpg.join("g")
        assert cpg.receive() == Change(b"g", (ME,), (), (Address(*ME, Reason.JOIN),))
        cpg.mcast(b"hello")
        assert cpg.receive() == Message(b"g", ME, b"hello")
        other = daemon.cluster.joined(2, 7)
        assert cpg.receive() == Change(b"g", (ME, Member(2, 7)), (), (Address(2, 7, Reason.JOIN),))
        assert cpg.members("g") == [ME, Member(2, 7)]
        cpg.leave("g")
        assert cpg.receive() == Change(b"g", (Member(2, 7),), (Address(*ME, Reason.LEAVE),), ())
        assert cpg.receive(0) is None
    assert other.heard()[-1] == f"g is 2:7, left 1:{ME.pid}/2"


def test_closing_is_leaving(daemon: FakeDaemon) -> None:
    other = daemon.cluster.joined(2, 7)
    cpg = Cpg()
    cpg.join(b"g")
    cpg.close()
    cpg.close()
    assert other.heard()[-1] == f"g is 2:7, left 1:{ME.pid}/5"


def test_questions(daemon: FakeDaemon) -> None:
    daemon.cluster.joined(2, 7, b"crmd\0")
    with Cpg() as cpg:
        cpg.join(b"g")
        assert cpg.local_node_id() == 1
        assert cpg.members(b"none") == []
        mine, other = Membership(b"g", *ME), Membership(b"crmd\0", 2, 7)
        assert list(cpg.iterate()) == [other, mine]
        assert list(cpg.iterate(Iteration.NAMES)) == [Membership(b"crmd\0", 0, 0), Membership(b"g", 0, 0)]
        assert list(cpg.iterate(Iteration.ONE_GROUP, "g")) == [mine]


def test_an_iteration_that_is_not_finished_is_given_up(daemon: FakeDaemon) -> None:
    daemon.cluster.joined(2, 7)
    daemon.cluster.joined(2, 8)
    with Cpg() as cpg:
        iteration = cpg.iterate()
        next(iteration)
        del iteration
        numbers = [int.from_bytes(each[:4], "little") for each in daemon.connections[0].sent]
    assert numbers[-1] == CpgRequest.ITERATION_FINALIZE


def test_errors_are_raised(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        assert error_of(lambda: cpg.leave("g")) is CsError.NOT_EXIST
        assert error_of(lambda: cpg.join("x" * 129)) is CsError.NAME_TOO_LONG
        cpg.join("g")
        assert error_of(lambda: cpg.join("g")) is CsError.EXIST
        daemon.refusals = [CsError.TRY_AGAIN]
        assert error_of(lambda: cpg.leave("g")) is CsError.TRY_AGAIN
        daemon.connections[0].flow_control = 2
        assert cpg.flow_controlled
        assert error_of(lambda: cpg.mcast(b"x")) is CsError.TRY_AGAIN


def test_join_and_leave_are_repeated_while_the_daemon_is_busy(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        daemon.refusals = [CsError.BUSY, CsError.BUSY]
        cpg.join("g")
        daemon.refusals = [CsError.BUSY]
        cpg.leave("g")
        assert daemon.refusals == []


def test_the_first_ring_comes_if_asked_for(daemon: FakeDaemon) -> None:
    with Cpg(initial_ring=True) as cpg:
        cpg.join("g")
        assert isinstance(cpg.receive(), Change)
        ring = cpg.receive()
        assert isinstance(ring, RingChange)
        assert ring.members == (1, 2)


@pytest.mark.parametrize("size", [FRAGMENT_MAX, FRAGMENT_MAX + 1, 2 * FRAGMENT_MAX, 3 * FRAGMENT_MAX + 17])
def test_long_messages_arrive_whole(daemon: FakeDaemon, size: int) -> None:
    data = Random(size).randbytes(size)
    with Cpg() as cpg:
        cpg.join("g")
        cpg.receive()
        daemon.refusals = [CsError.TRY_AGAIN] if size > FRAGMENT_MAX else []
        cpg.mcast(data)
        assert daemon.refusals == []
        assert cpg.receive() == Message(b"g", ME, data)
        assert cpg.receive(0) is None


def test_a_daemon_that_stays_busy_ends_a_long_message(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        cpg.join("g")
        daemon.refusals = [CsError.TRY_AGAIN] * 1000
        assert error_of(lambda: cpg.mcast(bytes(FRAGMENT_MAX + 1))) is CsError.TRY_AGAIN
        daemon.refusals = []


def test_dispatch_calls_what_was_asked_for(daemon: FakeDaemon) -> None:
    heard: list[object] = []
    with Cpg(heard.append, heard.append, None, initial_ring=True) as cpg:
        cpg.join("g")
        cpg.mcast(b"x")
        assert cpg.dispatch() == 3
        assert cpg.dispatch() == 0
    assert [type(event) for event in heard] == [Change, Message]


def test_events_iterate(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        cpg.join("g")
        cpg.mcast(b"x")
        events = cpg.events()
        assert isinstance(next(events), Change)
        assert isinstance(next(events), Message)


def test_events_for_asyncio(daemon: FakeDaemon) -> None:
    async def collect() -> list[object]:
        found: list[object] = []
        with Cpg() as cpg:
            cpg.join("g")
            async for event in cpg.events_async():
                found.append(event)
                if len(found) == 3:
                    break
                cpg.mcast(b"more")
        return found

    assert [type(event) for event in asyncio.run(collect())] == [Change, Message, Message]


# --- what a daemon says


def test_events_of_a_real_daemon(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        inbox = daemon.connections[0].client.events
        inbox += [
            vector.data
            for vector in vectors("cpg")
            if vector.file == "events.txt" and "PARTIAL" not in vector.name
        ]
        kinds = []
        while (event := cpg.receive(0)) is not None:
            kinds.append(type(event))
    assert kinds == [Change, RingChange, Message, Change]


def part(kind: Part, data: bytes, whole: int, *, sender: Member = ME) -> bytes:
    layout = messages.PARTIAL_DELIVER_EVENT
    head = layout.encode(
        CpgResponse.PARTIAL_DELIVER, layout.size + len(data), 1, 1, b"g", whole, len(data), *sender, kind
    )
    return head + data


def test_parts_of_several_senders_mix() -> None:
    assembly, other = Assembly(), Member(2, 5)
    assert assembly.add(part(Part.FIRST, b"ab", 4)) is None
    assert assembly.add(part(Part.FIRST, b"12", 4, sender=other)) is None
    assert assembly.add(part(Part.LAST, b"cd", 4)) == Message(b"g", ME, b"abcd")
    assert assembly.add(part(Part.LAST, b"34", 4, sender=other)) == Message(b"g", other, b"1234")


def test_what_does_not_add_up_is_dropped() -> None:
    assembly = Assembly()
    assert assembly.add(part(Part.CONTINUED, b"ab", 4)) is None  # joined in the middle
    assert assembly.add(part(Part.LAST, b"ab", 4)) is None
    assembly.add(part(Part.FIRST, b"abc", 4))
    assert assembly.add(part(Part.LAST, b"de", 4)) is None  # too long
    assembly.add(part(Part.FIRST, b"ab", 4))
    assert assembly.add(part(Part.LAST, b"c", 4)) is None  # too short
    assembly.add(part(Part.FIRST, b"ab", 4))
    assembly.add(part(Part.FIRST, b"cd", 4))  # the first was interrupted
    assert assembly.add(part(Part.LAST, b"ef", 4)) == Message(b"g", ME, b"cdef")
    assembly.add(part(Part.FIRST, b"ab", 4))
    assembly.forget(ME)
    assert assembly.add(part(Part.LAST, b"cd", 4)) is None


def broken_events() -> list[bytes]:
    """Real events, damaged: cut short at every length, or with counts that are too large."""
    events = [vector.data for vector in vectors("cpg") if vector.file == "events.txt"]
    cut = [event[:length] for event in events for length in range(0, len(event) - 4, 7)]
    grown = []
    for event in events:
        for place in (24, 160, 168, 176, 40):
            grown.append(event[:place] + b"\xff\xff\xff\x7f" + event[place + 4 :])
    return cut + grown


def test_broken_events_raise_library_errors_only(daemon: FakeDaemon) -> None:
    with Cpg() as cpg:
        inbox = daemon.connections[0].client.events
        refused = 0
        for event in broken_events():
            inbox.append(event)
            try:
                cpg.receive(0)
            except LibraryError:
                refused += 1
            inbox.clear()
        inbox.append((99).to_bytes(24, "little"))
        assert error_of(lambda: cpg.receive(0)) is CsError.LIBRARY
    assert refused > 50
