"""Timers that start without a clock (pycorosync/services/resources/timer.py)."""

from pycorosync.services.resources.timer import Timer


def test_it_counts_from_the_first_look_at_the_clock() -> None:
    timer = Timer()
    assert timer.next_deadline() is None
    assert not timer.expired(100)
    timer.start(10)
    assert timer.next_deadline() == 0
    assert not timer.expired(100)
    assert timer.next_deadline() == 110
    assert not timer.expired(109)
    assert timer.expired(110)
    assert not timer.expired(111)
    assert timer.next_deadline() is None


def test_at_once_again_and_never() -> None:
    timer = Timer()
    timer.start(0)
    assert timer.expired(5)
    timer.start(10)
    timer.expired(5)
    timer.start(20)
    assert not timer.expired(15)
    assert timer.next_deadline() == 35
    timer.stop()
    assert not timer.expired(1000)
