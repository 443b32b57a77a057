"""The search alone; whole discoveries are in test_engine.py."""

import pytest

from pycorosync.knet.crypto import Overhead
from pycorosync.knet.link import Link, data_mtu
from pycorosync.knet.messages import encode_size
from pycorosync.knet.outputs import Kind, MtuChanged
from pycorosync.knet.pmtud import PROBES_MAX, Discovery, Search, Verdict
from tests.knet.network import MS, S, link_settings

AES = Overhead(16, 16, 32)


def link(number: int = 0, ip_version: int = 4) -> Link:
    return Link(link_settings(number, ip_version=ip_version), 2, ("there", number), Overhead())


def search(path_mtu: int, overhead: Overhead, kernel_mtu: int = 0, ip_version: int = 4) -> tuple[int, int]:
    """What is found, and with how many probes."""
    one = Search(link(ip_version=ip_version), overhead)
    verdict, probes = Verdict.PROBE, 0
    while verdict is Verdict.PROBE:
        probes += 1
        if kernel_mtu and one.size > kernel_mtu:
            verdict = one.on_too_large(kernel_mtu)
            continue
        one.on_sent(0)
        verdict = one.on_reply() if one.size <= path_mtu else one.on_timeout()
    assert verdict is Verdict.FOUND
    return one.data_mtu, probes


@pytest.mark.parametrize("overhead", [Overhead(), AES, Overhead(0, 0, 20), Overhead(16, 16, 64)])
@pytest.mark.parametrize("ip_version", [4, 6])
def test_the_largest_size_is_found(overhead: Overhead, ip_version: int) -> None:
    settings = link_settings(ip_version=ip_version)
    for path_mtu in [*range(570, 640), 1280, 1300, 1400, 1492, *range(1480, 1520), 8999, 9000, 65_535]:
        found, probes = search(path_mtu, overhead, ip_version=ip_version)
        assert found == data_mtu(path_mtu, settings, overhead), path_mtu
        assert probes <= 40


def test_the_kernel_shortens_it() -> None:
    assert search(1500, Overhead(), kernel_mtu=1500) == (1446, 2)
    assert search(1500, AES, kernel_mtu=1500) == (1397, 2)
    found, probes = search(1300, AES, kernel_mtu=1500)
    assert found == data_mtu(1300, link_settings(), AES)
    assert probes <= 20


def test_a_kernel_that_contradicts_itself_does_not_keep_it_going() -> None:
    one = Search(link(), Overhead())
    for kernel_mtu in (70_000, 65_535, 9000, 9000, 20_000, 0, 10):
        one.on_too_large(kernel_mtu)
    for _ in range(100):
        if one.on_too_large(0) is Verdict.FOUND:
            return
    pytest.fail("no end")


def test_a_path_that_answers_at_random_ends_too() -> None:
    for pattern in range(64):
        one = Search(link(), Overhead())
        verdict, step = Verdict.PROBE, 0
        while verdict is Verdict.PROBE:
            one.on_sent(0)
            verdict = one.on_reply() if pattern >> step % 6 & 1 else one.on_timeout()
            step += 1
            assert step <= 2 * PROBES_MAX


class Bench:
    """A discovery of two links, and what it does."""

    def __init__(self, manual_mtu: int = 0) -> None:
        self.links = [link(0), link(1)]
        self.outputs: list[MtuChanged] = []
        self.probes: list[tuple[int, bytes]] = []
        self.validity: list[int] = []
        self.discovery = Discovery(
            1,
            lambda: self.links,
            lambda kind, one, packet: (
                self.probes.append((one.number, packet)) if kind is Kind.PMTUD else None
            ),
            lambda one: self.validity.append(one.number),
            self.outputs.append,
        )
        self.discovery.interval_ns = 30 * S
        self.discovery.manual_mtu = manual_mtu

    def up(self, number: int, now_ns: int = 0) -> None:
        self.links[number].rise()
        self.discovery.reset(Overhead())
        self.discovery.start(self.links[number], now_ns)

    def reply(self, number: int, size: int, now_ns: int = 0) -> None:
        self.discovery.on_reply(self.links[number], encode_size(size), now_ns)

    def too_large(self, number: int, kernel_mtu: int) -> None:
        self.discovery.on_too_large(self.links[number], kernel_mtu, 0, probe=True)


def test_fragments_grow_when_all_links_are_known() -> None:
    bench = Bench()
    for number in (0, 1):
        bench.up(number)
        bench.too_large(number, 1500)
    bench.reply(0, 1500)
    assert bench.discovery.data_mtu == 482
    bench.reply(1, 1400)  # not what was asked
    assert bench.discovery.data_mtu == 482
    bench.reply(1, 1500)
    assert bench.outputs == [MtuChanged(1446)]
    assert [number for number, _ in bench.probes] == [0, 0, 1, 1]
    assert bench.discovery.next_deadline() is None


def test_a_link_that_goes_down_holds_up_nobody() -> None:
    bench = Bench()
    for number in (0, 1):
        bench.up(number)
        bench.too_large(number, 1500)
    bench.reply(0, 1500)
    bench.links[1].fall()
    bench.discovery.stop(bench.links[1])
    assert bench.discovery.data_mtu == 1446
    bench.reply(1, 1500)
    assert bench.links[1].mtu == 522


def test_searches_are_repeated_by_the_clock() -> None:
    bench = Bench()
    bench.up(0)
    bench.too_large(0, 1500)
    bench.reply(0, 1500, 5 * S)
    bench.discovery.on_heartbeat(34 * S)
    assert len(bench.probes) == 2
    bench.discovery.on_heartbeat(35 * S)
    assert len(bench.probes) == 3
    bench.discovery.on_heartbeat(36 * S)
    assert len(bench.probes) == 3, "one at a time"


def test_an_unanswered_probe_is_sent_again() -> None:
    bench = Bench()
    bench.up(0)
    bench.too_large(0, 1500)
    assert bench.discovery.next_deadline() == 1825 * MS
    bench.discovery.on_timer(1825 * MS - 1)
    assert len(bench.probes) == 2
    bench.discovery.on_timer(1825 * MS)
    assert bench.probes[2] == bench.probes[1]
    bench.reply(0, 1500, 2 * S)
    assert bench.discovery.data_mtu == 1446


def test_by_hand() -> None:
    bench = Bench(manual_mtu=1200)
    bench.up(0)
    assert bench.discovery.data_mtu == 1146
    bench.discovery.on_heartbeat(100 * S)
    assert bench.probes == []


def test_data_that_is_too_large_starts_a_search() -> None:
    bench = Bench()
    bench.up(0)
    bench.too_large(0, 1500)
    bench.reply(0, 1500)
    bench.discovery.on_too_large(bench.links[0], 1000, 0, probe=False)
    assert bench.discovery.data_mtu == 522
    assert len(bench.probes) == 3


def test_a_link_too_narrow_is_told_of() -> None:
    bench = Bench()
    bench.up(0)
    bench.too_large(0, 400)
    bench.reply(0, 400)
    assert bench.validity == [0]
    assert not bench.links[0].usable
    assert bench.discovery.data_mtu == 482
    bench.discovery.on_heartbeat(2 * S)
    assert len(bench.probes) == 3, "it is tried again soon"
