"""Deadlines."""

from pycorosync.totem.timers import Timer, Timers


def test_expired_timers_come_out_in_order_and_once() -> None:
    timers = Timers()
    assert timers.next_deadline() is None
    timers.set(Timer.TOKEN, 30)
    timers.set(Timer.JOIN, 10)
    timers.set(Timer.MERGE_DETECT, 20)
    assert timers.next_deadline() == 10
    assert timers.pop_expired(9) is None
    assert [timers.pop_expired(25) for _ in range(3)] == [Timer.JOIN, Timer.MERGE_DETECT, None]
    assert timers.runs(Timer.TOKEN)
    assert timers.next_deadline() == 30


def test_setting_again_moves_the_deadline() -> None:
    timers = Timers()
    timers.set(Timer.TOKEN, 10)
    timers.set(Timer.TOKEN, 40)
    assert timers.deadline(Timer.TOKEN) == 40
    assert timers.pop_expired(10) is None


def test_cancelled_timers_do_not_expire() -> None:
    timers = Timers()
    for timer in Timer:
        timers.set(timer, 1)
    timers.cancel(*(timer for timer in Timer if timer is not Timer.JOIN))
    timers.cancel(Timer.TOKEN)
    assert [timers.pop_expired(2), timers.pop_expired(2)] == [Timer.JOIN, None]
    timers.set(Timer.TOKEN, 1)
    timers.clear()
    assert timers.next_deadline() is None
