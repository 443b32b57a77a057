"""Timers: what follows from what, to the millisecond, and which limits hold."""

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.config.model import MapEntry
from pycorosync.config.timers import read_timers, timer_entries, timer_faults
from pycorosync.types import signed
from tests.config.sample import FakeMap, as_map

U32, I32, STRING = ValueType.UINT32, ValueType.INT32, ValueType.STRING
DEFAULTS = {
    "block_unlisted_ips": 1,
    "cancel_token_hold_on_retransmit": 0,
    "consensus": 3600,
    "downcheck": 1000,
    "fail_recv_const": 2500,
    "heartbeat_failures_allowed": 0,
    "hold": 561,
    "join": 50,
    "knet_compression_level": 0,
    "knet_compression_model": "none",
    "knet_compression_threshold": 0,
    "knet_mtu": 0,
    "knet_pmtud_interval": 30,
    "max_messages": 17,
    "max_network_delay": 50,
    "merge": 200,
    "miss_count_const": 5,
    "send_join": 0,
    "seqno_unchanged_const": 30,
    "token": 3000,
    "token_retransmit": 714,
    "token_retransmits_before_loss_const": 4,
    "token_warning": 75,
    "window_size": 50,
}


def options(**values: int | str) -> FakeMap:
    entries: list[MapEntry] = [
        (f"totem.{name}", STRING if isinstance(value, str) else U32, value) for name, value in values.items()
    ]
    return FakeMap(entries)


def runtime(entries: FakeMap, nodes: int = 2, deleted: str | None = None) -> dict[str, object]:
    prefix = "runtime.config.totem."
    found = as_map(timer_entries(read_timers(entries, nodes, deleted)))
    return {key.removeprefix(prefix): value for key, value in found.items()}


def complaints(**values: int) -> list[str]:
    entries = options(**values)
    return [text for _, text in timer_faults(read_timers(entries, 2), entries)]


def test_defaults() -> None:
    assert runtime(options()) == DEFAULTS


@pytest.mark.parametrize(
    ("token", "nodes", "expected"),
    [
        (1000, 2, (1000, 238, 180, 1200)),
        (3000, 3, (3650, 869, 685, 4380)),
        (3000, 11, (8850, 2107, 1675, 10620)),
        (5001, 2, (5001, 1190, 942, 6001)),
        (20000001, 2, (20000001, 4761905, 3809514, 24000002)),  # through single precision
        (4294967295, 2, (4294967295, 1022611260, 818088998, 2147483648)),  # an int that overflowed
        (4294967295, 3, (649, 154, 113, 778)),  # a sum that overflowed
    ],
)
def test_timeouts_that_follow_from_the_token(token: int, nodes: int, expected: tuple[int, ...]) -> None:
    found = runtime(options(token=token), nodes)
    names = ("token", "token_retransmit", "hold", "consensus")
    assert tuple(found[name] for name in names) == expected


def test_the_coefficient_counts_from_the_third_node_on() -> None:
    entries = options(token=1000, token_coefficient=100)
    assert [runtime(entries, nodes)["token"] for nodes in (0, 1, 2, 3, 5)] == [1000, 1000, 1000, 1100, 1300]
    assert runtime(options(token_coefficient=0), 9)["token"] == 3000


def test_what_is_set_is_not_derived() -> None:
    found = runtime(
        options(token_retransmit=500, hold=20, consensus=4000, token_retransmits_before_loss_const=10)
    )
    assert (found["token_retransmit"], found["hold"], found["consensus"]) == (500, 20, 4000)
    assert runtime(options(token_retransmits_before_loss_const=10))["token_retransmit"] == 294


@pytest.mark.parametrize("name", ["token", "join", "consensus", "window_size", "knet_pmtud_interval", "hold"])
def test_zero_means_the_default(name: str) -> None:
    assert runtime(options(**{name: 0})) == DEFAULTS


@pytest.mark.parametrize("name", ["token_warning", "send_join", "heartbeat_failures_allowed"])
def test_zero_means_zero(name: str) -> None:
    assert runtime(options(**{name: 0})) == DEFAULTS | {name: 0}


def test_a_deleted_option_counts_no_more() -> None:
    entries = options(token=1000, block_unlisted_ips="no")
    assert runtime(entries, deleted="totem.token") == DEFAULTS | {"block_unlisted_ips": 0}
    assert runtime(entries, deleted="totem.block_unlisted_ips")["block_unlisted_ips"] == 1


@pytest.mark.parametrize(("word", "value"), [("yes", 1), ("no", 0), ("on", 1), ("0", 1), ("", 1)])
def test_a_word_that_is_neither_yes_nor_no_is_the_default(word: str, value: int) -> None:
    assert runtime(options(block_unlisted_ips=word))["block_unlisted_ips"] == value


def test_compression() -> None:
    entries = FakeMap(
        [
            ("totem.knet_compression_model", STRING, "zlib"),
            ("totem.knet_compression_level", I32, -3),
            ("totem.knet_compression_threshold", U32, 100),
        ]
    )
    found = runtime(entries)
    assert (found["knet_compression_model"], found["knet_compression_level"]) == ("zlib", -3)
    assert found["knet_compression_threshold"] == 100


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"max_network_delay": 29}, "The max_network_delay parameter (29 ms) may not be less than (30 ms)."),
        ({"token": 29}, "The token timeout parameter (29 ms) may not be less than (30 ms)."),
        ({"token_warning": 101}, "The token warning parameter (101%) must be between 0 (disabled) and 100."),
        (
            {"token_warning": 4294967295},
            "The token warning parameter (-1%) must be between 0 (disabled) and 100.",
        ),
        ({"token": 125}, "Not appropriate token or token_retransmits_before_loss_const value set"),
        (
            {"token_retransmit": 29},
            "The token retransmit timeout parameter (29 ms) may not be less than (30 ms).",
        ),
        ({"hold": 13}, "The token hold timeout parameter (13 ms) may not be less than (14 ms)."),
        ({"join": 29}, "The join timeout parameter (29 ms) may not be less than (30 ms)."),
        ({"consensus": 29}, "The consensus timeout parameter (29 ms) may not be less than (30 ms)."),
        (
            {"consensus": 49},
            "The consensus timeout parameter (49 ms) may not be less than join timeout (50 ms).",
        ),
        (
            {"join": 4000000000},
            "The consensus timeout parameter (3600 ms) may not be less than join timeout (-294967296 ms).",
        ),
        ({"merge": 29}, "The merge timeout parameter (29 ms) may not be less than (30 ms)."),
        ({"downcheck": 29}, "The downcheck timeout parameter (29 ms) may not be less than (30 ms)."),
    ],
)
def test_limits(values: dict[str, int], complaint: str) -> None:
    assert complaints(**values)[0] == complaint


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"token": 130},
        {"max_network_delay": 30},
        {"token_warning": 100},
        {"token_retransmit": 30},
        {"hold": 14},
        {"join": 30},
        {"consensus": 50},
        {"merge": 30},
        {"downcheck": 30},
    ],
)
def test_at_its_limit_an_option_is_good(values: dict[str, int]) -> None:
    assert complaints(**values) == []


def test_numbers_are_printed_as_signed() -> None:
    assert [signed(number) for number in (0, 2**31 - 1, 2**31, 2**32 - 1)] == [0, 2**31 - 1, -(2**31), -1]
