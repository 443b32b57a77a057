"""The messages of a ring by number."""

import pytest

from pycorosync.totem.messages import ORIGINAL, Mcast
from pycorosync.totem.window import WINDOW_MAX, Window
from pycorosync.types import RingId


def message(seq: int) -> Mcast:
    return Mcast(1, 1, seq & 0xFFFFFFFF, RingId(1, 5), ORIGINAL, b"", "<")


def filled(*numbers: int, start: int = 0) -> Window:
    window = Window(start)
    for number in numbers:
        assert window.add(message(number))
    return window


def numbers(messages: list[Mcast]) -> list[int]:
    return [message.seq for message in messages]


def test_aru_stops_at_the_first_hole_and_jumps_when_it_is_filled() -> None:
    window = filled(1, 2, 4, 5)
    assert (window.aru, window.high_seq) == (2, 5)
    assert numbers(window.take_contiguous()) == [1, 2]
    assert window.take_contiguous() == []
    window.add(message(3))
    assert window.aru == 5
    assert numbers(window.take_contiguous()) == [3, 4, 5]


def test_duplicates_and_strangers_are_not_kept() -> None:
    window = filled(1, 2)
    assert not window.add(message(2))
    assert not window.add(message(WINDOW_MAX + 1))
    assert window.add(message(WINDOW_MAX))
    window.take_contiguous()
    window.release(2)
    assert not window.add(message(2))
    assert len(window) == 1


def test_nothing_is_released_before_it_was_delivered() -> None:
    window = filled(1, 2, 3)
    window.release(3)
    assert len(window) == 3
    window.take_contiguous()
    window.release(2)
    assert (len(window), window.released, window.get(3)) == (1, 2, message(3))
    window.release(1)
    assert window.released == 2


def test_the_rest_skips_holes() -> None:
    window = filled(1, 3, 5)
    window.take_contiguous()
    assert numbers(window.take_rest()) == [3, 5]
    assert window.delivered == 5


def test_missing_numbers_are_wanted_after_some_visits() -> None:
    window = filled(1, 3)
    assert [window.missing(5, 30, 3) for _ in range(3)] == [[], [], [2, 4, 5]]
    window.add(message(2))
    assert window.missing(5, 30, 3) == [4, 5]
    assert window.missing(5, 1, 3) == [4]


def test_messages_between() -> None:
    assert numbers(filled(1, 2, 4, 5).between(1, 4)) == [2, 4]


@pytest.mark.parametrize("start", [0x7FFFFFF0, 0xFFFFFFF0])
def test_numbers_wrap(start: int) -> None:
    window = Window(start)
    for step in range(1, 40):
        assert window.add(message(start + step))
    assert window.aru == window.high_seq == (start + 39) & 0xFFFFFFFF
    assert len(window.take_contiguous()) == 39
    window.release((start + 20) & 0xFFFFFFFF)
    assert len(window) == 19
    assert not window.add(message(start + 20))
    assert window.add(message(start + 41))
    assert window.missing((start + 41) & 0xFFFFFFFF, 30, 1) == [(start + 40) & 0xFFFFFFFF]
