"""Keys and values of stats.srp and stats.pg."""

from pycorosync.totem.config import MS
from pycorosync.totem.packing import Packer
from pycorosync.totem.stats import UINT8, UINT32, UINT64, RingStats, packer_entries

WIDTHS = {
    "avg_backlog_calc": UINT32, "avg_token_workload": UINT32, "continuous_gather": UINT32,
    "continuous_sendmsg_failures": UINT32, "firewall_enabled_or_nic_failure": UINT8, "mtt_rx_token": UINT32,
}  # fmt: skip
COUNTERS = [
    "commit_entered",
    "commit_token_lost",
    "consensus_timeouts",
    "gather_entered",
    "gather_token_lost",
    "mcast_retx",
    "mcast_rx",
    "mcast_tx",
    "memb_commit_token_rx",
    "memb_commit_token_tx",
    "memb_join_rx",
    "memb_join_tx",
    "memb_merge_detect_rx",
    "memb_merge_detect_tx",
    "operational_entered",
    "operational_token_lost",
    "orf_token_rx",
    "orf_token_tx",
    "recovery_entered",
    "recovery_token_lost",
    "rx_msg_dropped",
    "time_since_token_last_received",
    "token_hold_cancel_rx",
    "token_hold_cancel_tx",
]


def values(stats: RingStats, now_ms: int) -> dict[str, int]:
    return {key.removeprefix("stats.srp."): value for key, _, value in stats.entries(now_ms * MS)}


def test_keys_and_types_are_corosyncs() -> None:
    expected = {f"stats.srp.{name}": UINT64 for name in COUNTERS}
    expected |= {f"stats.srp.{name}": width for name, width in WIDTHS.items()}
    assert {key: kind for key, kind, _ in RingStats().entries(0)} == expected


def test_token_times() -> None:
    stats = RingStats()
    for at_ms, backlog in ((100, 0), (110, 4), (130, 8)):
        visit = stats.token_received(at_ms * MS)
        visit.tx_ms = at_ms + 3
        visit.backlog = backlog
    found = values(stats, 150)
    assert found["mtt_rx_token"] == 15
    assert found["avg_token_workload"] == 3
    assert found["avg_backlog_calc"] == 6
    assert found["time_since_token_last_received"] == 20


def test_repeated_failure_looks_like_a_firewall() -> None:
    stats = RingStats()
    stats.continuous_gather = 3
    assert not stats.suspects_firewall
    stats.continuous_gather = 4
    assert stats.suspects_firewall
    stats.clear()
    assert values(stats, 0)["firewall_enabled_or_nic_failure"] == 0


def test_packer_keys() -> None:
    packer = Packer(65446)
    packer.reserve(10)
    assert list(packer_entries(packer)) == [
        ("stats.pg.msg_queue_avail", UINT32, 62), ("stats.pg.msg_reserved", UINT32, 2),
    ]  # fmt: skip
