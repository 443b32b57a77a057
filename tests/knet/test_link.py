"""One link's rules, by the clock."""

import pytest

from pycorosync.knet.crypto import Overhead
from pycorosync.knet.link import Link, Pong, data_mtu, on_wire_size, smallest_data_mtu
from tests.knet.network import MS, S, link_settings

NOW = 100 * S


def link() -> Link:
    return Link(link_settings(), 2, "there", Overhead())


def pong(one: Link, now_ns: int, latency_us: int = 500) -> Pong:
    return one.on_pong(now_ns - latency_us * 1000, now_ns)


def test_the_third_pong_raises_it() -> None:
    one = link()
    assert [pong(one, NOW + number * S) for number in range(3)] == [Pong.COUNTED, Pong.COUNTED, Pong.RAISES]
    one.rise()
    assert pong(one, NOW + 3 * S) is Pong.KEEPS
    assert one.usable
    assert one.status().up_count == 1


def test_pings_are_due_at_once_and_then_each_interval() -> None:
    one = link()
    assert one.ping_is_due(NOW)
    one.on_ping_sent(NOW)
    assert not one.ping_is_due(NOW + 911 * MS)
    assert one.ping_is_due(NOW + 912 * MS)


def test_silence_counts_only_after_something_was_heard() -> None:
    one = link()
    assert not one.is_silent(NOW)
    pong(one, NOW)
    one.on_ping_sent(NOW + S)
    assert not one.is_silent(NOW + 18_250 * MS - 1)
    assert one.is_silent(NOW + 18_250 * MS)


def test_nobody_is_silent_who_has_not_been_asked() -> None:
    """A ping timeout may be shorter than a heartbeat, and whoever was paused has not asked."""
    one = link()
    pong(one, NOW)
    later = NOW + 100 * S
    assert not one.is_silent(later)
    one.on_ping_sent(later)
    assert not one.is_silent(later), "it was asked just now"
    assert one.is_silent(later + 1)
    pong(one, later + 1)
    assert not one.is_silent(later + 2)


def test_patience_shrinks_to_the_ping_timeout_and_twice_the_latency() -> None:
    one = link()
    pong(one, NOW, latency_us=3000)
    patience = []
    for _ in range(12):
        one.adjust_patience()
        patience.append(one.patience_ns)
    assert patience == [1825 * MS * times + 6 * MS for times in (9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1)]
    one.rise()
    assert one.fall()
    assert one.patience_ns == 1831 * MS, "only the next second gives new patience"
    one.adjust_patience()
    assert one.patience_ns == 1825 * MS * 9 + 6 * MS


def test_a_fall_asks_for_three_pongs_again() -> None:
    one = link()
    assert not one.fall(), "it was not up"
    for number in range(3):
        pong(one, NOW + number)
    one.rise()
    one.refused = True
    assert one.fall()
    assert (one.connected, one.refused, one.received_pongs, one.status().down_count) == (False, False, 0, 1)
    assert not one.is_silent(NOW + 1000 * S)
    assert pong(one, NOW + 5 * S) is Pong.COUNTED


@pytest.mark.parametrize("sent_ns", [NOW - 1826 * MS, NOW + 1, -(2**63), 2**63, 0])
def test_pongs_that_are_late_or_invented_count_for_nothing_but_life(sent_ns: int) -> None:
    one = link()
    for _ in range(10):
        assert one.on_pong(sent_ns, NOW) is Pong.LATE
    assert one.latency_us == 0
    assert one.received_pongs == 0
    one.on_ping_sent(NOW + S)
    assert one.is_silent(NOW + 19 * S)


def test_latency_is_a_running_mean_of_so_many_samples() -> None:
    one = link()
    for latency_us in (100, 200, 601):
        pong(one, NOW, latency_us)
    assert one.latency_us == (150 * 2 + 601) // 3
    for _ in range(1000):
        pong(one, NOW, 1000)
    stats = one.status()
    assert stats.latency_samples == 30
    assert 960 <= stats.latency_ave <= 1000
    assert (stats.latency_min, stats.latency_max) == (100, stats.latency_ave)


def test_a_link_slower_than_patience_does_not_rise() -> None:
    one = link()
    for _ in range(20):
        one.adjust_patience()
    one._patience_ns = 400_000
    assert pong(one, NOW, latency_us=500) is Pong.KEEPS
    assert one.received_pongs == 0


@pytest.mark.parametrize(
    ("ip_version", "mtu", "clear", "sealed"),
    [
        (4, 1500, 1446, 1397),
        (4, 576, 522, 469),
        (6, 1500, 1426, 1365),
        (6, 1280, 1206, 1157),
        (4, 9000, 8946, 8885),
    ],
)
def test_sizes(ip_version: int, mtu: int, clear: int, sealed: int) -> None:
    settings = link_settings(ip_version=ip_version)
    aes = Overhead(16, 16, 32)
    assert data_mtu(mtu, settings, Overhead()) == clear
    assert data_mtu(mtu, settings, aes) == sealed
    assert on_wire_size(clear, settings, Overhead()) == mtu
    assert on_wire_size(sealed, settings, aes) <= mtu < on_wire_size(sealed + 1, settings, aes)


def test_the_size_before_anything_is_known() -> None:
    assert smallest_data_mtu(Overhead()) == 482
    assert Link(link_settings(), 2, "there", Overhead(16, 16, 32)).mtu == 469


def test_clearing() -> None:
    one = link()
    pong(one, NOW)
    one.rise()
    one.clear_stats()
    stats = one.status()
    assert (stats.connected, stats.enabled, stats.mtu, stats.up_count, stats.latency_min) == (
        1,
        1,
        522,
        0,
        2**32 - 1,
    )
