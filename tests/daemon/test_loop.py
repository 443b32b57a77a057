"""The event loop (pycorosync/daemon/loop.py)."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from pycorosync.daemon.loop import READ_AND_DRAINED, Loop


class Turns:
    """Counts the loop's turns; `answers` are the deadlines that they return, then the loop stops."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.times: list[int] = []
        self.loop = Loop(self)

    def __call__(self, now_ns: int) -> int | None:
        self.times.append(now_ns)
        if not self.answers:
            self.loop.stop()
            return None
        return self.answers.pop(0)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def reader(end: socket.socket, found: list[bytes]) -> Callable[[int, int], None]:
    return lambda _events, _now_ns: found.append(end.recv(100))


def test_what_arrives_is_called_back_before_the_turn(pair: tuple[socket.socket, socket.socket]) -> None:
    turns = Turns(None)
    found: list[bytes] = []
    turns.loop.add(pair[0].fileno(), reader(pair[0], found))
    pair[1].send(b"x")
    turns.loop.run()
    assert found == [b"x"]
    assert len(turns.times) == 2


def test_a_deadline_that_has_passed_means_at_once_and_none_is_forgotten() -> None:
    turns = Turns(0, time.monotonic_ns() - 1, time.monotonic_ns())
    turns.loop.run()
    assert len(turns.times) == 4


def test_a_deadline_is_waited_for() -> None:
    deadline_ns = time.monotonic_ns() + 20_000_000
    turns = Turns(deadline_ns)
    turns.loop.run()
    assert turns.times[1] >= deadline_ns - 1_000_000  # epoll rounds to milliseconds


def test_a_callback_that_another_has_removed_is_not_called() -> None:
    turns = Turns(None)
    left, right = socket.socketpair()
    other_left, other_right = socket.socketpair()
    called: list[str] = []

    def on_first(_events: int, _now_ns: int) -> None:
        called.append("one")
        for end in (left, other_left):
            turns.loop.remove(end.fileno())

    for end in (left, other_left):
        turns.loop.add(end.fileno(), on_first)
    for end in (right, other_right):
        end.send(b"x")
    turns.loop.run()
    assert called == ["one"]
    for end in (left, right, other_left, other_right):
        end.close()


def test_removing_what_is_not_watched_is_no_fault(pair: tuple[socket.socket, socket.socket]) -> None:
    turns = Turns()
    turns.loop.remove(pair[0].fileno())
    turns.loop.run()


def test_room_is_told_once_each_time_it_is_made(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    turns = Turns(0, 0, 0)
    told: list[int] = []
    turns.loop.add(sender.fileno(), lambda events, _now_ns: told.append(events), READ_AND_DRAINED)
    turns.loop.run()
    assert [bool(events & select.EPOLLOUT) for events in told] == [True]
    while True:
        try:
            sender.send(bytes(1000))
        except BlockingIOError:
            break
    turns.answers = [0, 0]
    turns.loop.run()
    assert len(told) == 1
    while True:
        try:
            receiver.recv(100_000)
        except BlockingIOError:
            break
    turns.answers = [0, 0]
    turns.loop.run()
    assert len(told) == 2


def test_events_can_be_changed(pair: tuple[socket.socket, socket.socket]) -> None:
    turns = Turns(0)
    found: list[bytes] = []
    turns.loop.add(pair[0].fileno(), reader(pair[0], found))
    turns.loop.change(pair[0].fileno(), 0)
    pair[1].send(b"x")
    turns.loop.run()
    assert found == []


def test_an_interrupted_wait_is_no_fault() -> None:
    def poll(_timeout: float | None) -> list[tuple[int, int]]:
        raise OSError(errno.EINTR, os.strerror(errno.EINTR))

    assert Loop._wait(poll, None) == []


def test_other_faults_of_the_wait_are_told() -> None:
    def poll(_timeout: float | None) -> list[tuple[int, int]]:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    with pytest.raises(OSError, match="Bad file"):
        Loop._wait(poll, None)
