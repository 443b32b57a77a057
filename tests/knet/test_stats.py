"""Every figure of the stats map has a source here."""

from pycorosync.cmap.stats import KNET_HANDLE, KNET_LINK, stats_of
from pycorosync.knet.stats import HandleStats, LinkStats


def test_links_have_every_figure() -> None:
    found = {name: value for name, _, value in stats_of("x", KNET_LINK, LinkStats(tx_ping_retries=3))}
    assert found["x.rx_total_retries"] == 3
    assert found["x.latency_min"] == 2**32 - 1


def test_the_handle_has_every_figure() -> None:
    found = {name: value for name, _, value in stats_of("x", KNET_HANDLE, HandleStats())}
    assert len(found) == 22
    assert found["x.tx_crypt_time_min"] == 2**64 - 1


def test_totals() -> None:
    stats = LinkStats(
        tx_data_packets=1, tx_ping_packets=2, tx_pong_packets=4, tx_pmtu_packets=8, rx_data_packets=16,
        rx_ping_packets=32, rx_pong_packets=64, rx_pmtu_packets=128, tx_data_bytes=1, tx_pmtu_bytes=2,
        rx_ping_bytes=4, rx_pong_bytes=8, tx_data_errors=1, tx_pong_errors=2, tx_data_retries=5,
    )  # fmt: skip
    assert (stats.tx_total_packets, stats.rx_total_packets) == (15, 240)
    assert (stats.tx_total_bytes, stats.rx_total_bytes) == (3, 12)
    assert (stats.tx_total_errors, stats.rx_total_retries) == (3, 5)


def test_measuring_and_clearing() -> None:
    stats = HandleStats()
    for count, duration_ns in enumerate((10, 20, 60)):
        stats.measure("tx_crypt", duration_ns, count)
    assert (stats.tx_crypt_time_min, stats.tx_crypt_time_max, stats.tx_crypt_time_ave) == (10, 60, 30)
    stats.clear()
    assert stats == HandleStats()
