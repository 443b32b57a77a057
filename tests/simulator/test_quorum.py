"""Lives of a cluster's quorum made up at random. `make simquorum SEEDS=n SEED=first` runs more of them."""

import random

import pytest

from tests.simulator.quorum_chaos import failure_of, make_configuration, permits

SEEDS = range(1, 13)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_life(seed: int) -> None:
    report = failure_of(seed)
    assert report is None, report


def test_most_lives_are_strict() -> None:
    rng = random.Random(1)
    strict = sum(not permits(make_configuration(rng)) for _ in range(1000))
    assert 500 < strict < 950
