"""Derived values of the ring's configuration."""

from pycorosync.totem.config import RingConfig


def test_defaults_are_corosyncs_for_two_nodes() -> None:
    config = RingConfig()
    assert (config.token_ms, config.consensus_ms, config.token_retransmit_ms, config.token_hold_ms) == (
        3000, 3600, 714, 561,
    )  # fmt: skip
    assert config.token_warning_ms == 2250
    assert config.heartbeat_ms == 0


def test_heartbeat_is_off_when_it_would_be_slower_than_the_token() -> None:
    assert RingConfig(heartbeat_failures_allowed=2).heartbeat_ms == 2 * 714 + 50
    assert RingConfig(heartbeat_failures_allowed=5).heartbeat_ms == 0
