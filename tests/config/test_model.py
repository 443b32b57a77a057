"""The values that a configuration is made of."""

from dataclasses import FrozenInstanceError

import pytest

from pycorosync.config.model import CryptoConfig, Phase
from tests.config.sample import conf, loaded, refused


def test_a_configuration_cannot_change() -> None:
    configuration = loaded(conf())
    with pytest.raises(FrozenInstanceError):
        configuration.totem.node_id = 5  # type: ignore[misc]


def test_exit_statuses() -> None:
    assert {phase.label: phase.exit_status for phase in Phase} == {
        "parser": 8,
        "logging": 7,
        "read": 8,
        "validate": 8,
        "start": 8,
        "quorum": 20,
    }


def test_a_refusal_says_all_faults() -> None:
    refusal = refused(conf("token: x; join: y"))
    assert len(refusal.faults) == 2
    assert all(fault.text in str(refusal) for fault in refusal.faults)


def test_a_hash_alone_is_protection() -> None:
    assert CryptoConfig(hash="sha256").enabled
    assert CryptoConfig(cipher="aes256").enabled
    assert not CryptoConfig().enabled
