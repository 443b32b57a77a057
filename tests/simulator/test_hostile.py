"""A little of what `make packets` does at length."""

import pytest

from tests.simulator.hostile import NETWORKS, campaign


@pytest.mark.parametrize("name", NETWORKS)
def test_hostile_packets(name: str) -> None:
    campaign(name, 1500, 1)
