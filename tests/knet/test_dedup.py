"""The window over sequence numbers, against a model of it, and the recognition of restarts."""

import random

import pytest

from pycorosync.knet.dedup import WINDOW_SIZE, RestartDetector, SequenceWindow, behind


def take(window: SequenceWindow, seq: int) -> bool:
    """As for a message that is delivered."""
    if not window.admits(seq):
        return False
    window.mark(seq)
    return True


def test_each_number_is_admitted_until_it_is_marked() -> None:
    window = SequenceWindow()
    assert window.admits(7)
    assert window.admits(7)
    window.mark(7)
    assert not window.admits(7)


@pytest.mark.parametrize("first", [1, 4095, 4096, 5000, 65535])
def test_the_first_number_may_be_any(first: int) -> None:
    window = SequenceWindow()
    assert take(window, first)
    assert not take(window, first)
    assert window.newest == first


def test_numbers_out_of_order_within_the_window() -> None:
    window = SequenceWindow()
    take(window, 5000)
    for seq in (4999, 3000, 5000 - WINDOW_SIZE + 1):
        assert take(window, seq)
        assert not take(window, seq)
    assert window.newest == 5000


def test_the_window_moves_over_the_wrap() -> None:
    window = SequenceWindow()
    numbers = [*range(65000, 65536), *range(1, 6000)]
    for seq in numbers:
        assert take(window, seq), seq
    for seq in numbers[-4000:]:
        assert not take(window, seq), seq


def test_old_numbers_behind_the_wrap_are_still_known() -> None:
    """libknet before 8328b491 computed their distance the wrong way round."""
    window = SequenceWindow()
    for seq in (65530, 65535, 3):
        take(window, seq)
    assert window.newest == 3
    assert not take(window, 65530)
    assert not take(window, 65535)
    assert take(window, 65534)
    assert window.newest == 3


@pytest.mark.parametrize("far", [5000 + WINDOW_SIZE + 1, 5000 - WINDOW_SIZE, 40000])
def test_a_number_far_away_begins_a_new_window(far: int) -> None:
    window = SequenceWindow()
    take(window, 5000)
    assert take(window, far & 0xFFFF)
    assert window.newest == far & 0xFFFF
    assert take(window, (far - 1) & 0xFFFF)


def test_a_step_over_the_whole_window_forgets_all_of_it() -> None:
    window = SequenceWindow()
    for seq in range(1, WINDOW_SIZE + 1):
        take(window, seq)
    assert take(window, 2 * WINDOW_SIZE)
    assert take(window, WINDOW_SIZE + 1)


@pytest.mark.parametrize("seed", range(5))
def test_against_a_model(seed: int) -> None:
    rng = random.Random(seed)
    window = SequenceWindow()
    newest, delivered = 0, set[int]()
    seq = rng.randrange(1, 65536)
    for _ in range(3000):
        step = rng.choice([1, 1, 1, 2, -1, -3, -50, 100, -4095, 4095, rng.randrange(-70000, 70000)])
        seq = (seq + step) & 0xFFFF or 1
        distance = behind(newest, seq)
        if not newest or WINDOW_SIZE <= distance < 65536 - WINDOW_SIZE:
            newest, delivered = seq, set()
        elif distance >= WINDOW_SIZE:
            newest = seq
            delivered = {one for one in delivered if behind(newest, one) < WINDOW_SIZE}
        assert take(window, seq) is (seq not in delivered), f"seed {seed}"
        delivered.add(seq)
        assert window.newest == newest


def test_a_message_is_begun_once() -> None:
    window = SequenceWindow()
    window.admits(9)
    assert window.begin(9)
    assert not window.begin(9)
    window.admits(9 + WINDOW_SIZE)
    assert window.begin(9 + WINDOW_SIZE)


def test_a_number_comes_round_again() -> None:
    window = SequenceWindow()
    window.admits(9)
    assert window.begin(9)
    for seq in range(10, 9 + WINDOW_SIZE + 1):
        assert take(window, seq)
    assert window.begin(9 + WINDOW_SIZE)


def test_reset() -> None:
    window = SequenceWindow()
    take(window, 9)
    window.begin(9)
    window.reset(0)
    assert take(window, 9)
    assert window.begin(9)


def test_a_timed_ping_with_number_zero_is_a_restart_once() -> None:
    restarts = RestartDetector()
    assert not restarts.is_restart(0, 0, timed=True), "nothing was known before"
    assert not restarts.is_restart(500, 0, timed=True)
    assert restarts.is_restart(0, 0, timed=True)
    assert not restarts.is_restart(0, 0, timed=True), "the same ping on another link"
    assert not restarts.is_restart(7, 0, timed=True)
    assert restarts.is_restart(0, 0, timed=True)


def test_an_untimed_ping_without_data_before_it_is_taken_for_one() -> None:
    restarts = RestartDetector()
    restarts.got_data = True
    assert not restarts.is_restart(8191, 0, timed=False)
    assert not restarts.got_data
    assert not restarts.is_restart(8191, 0, timed=False), "the same ping on another link"
    assert restarts.is_restart(16382, 0, timed=False)
    restarts.got_data = True
    assert not restarts.is_restart(24573, 0, timed=False)


def test_a_number_that_goes_back_on_its_link_is_a_restart() -> None:
    restarts = RestartDetector()
    assert not restarts.is_restart(60_000, 0, timed=True), "the first one that is heard"
    assert not restarts.is_restart(300, 0, timed=True), "it has gone round"
    assert not restarts.is_restart(290, 1, timed=True), "another link may be slower"
    assert restarts.is_restart(5, 0, timed=True)
    assert not restarts.is_restart(6, 1, timed=True), "on the other link the same restart is no second one"
    assert not restarts.is_restart(8, 1, timed=True)
    assert restarts.is_restart(7, 1, timed=True)


def test_pings_by_number_keep_a_busy_link_from_looking_restarted() -> None:
    restarts = RestartDetector()
    for number in (30_000, 38_191, 46_382, 54_573, 62_764):
        restarts.got_data = True
        assert not restarts.is_restart(number, 0, timed=False)
    assert not restarts.is_restart(5_000, 0, timed=True)
