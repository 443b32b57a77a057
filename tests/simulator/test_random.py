"""Lives of clusters made up at random. `make sim SEEDS=n SEED=first` runs more of them."""

import pytest

from tests.simulator.chaos import failure_of

SEEDS = range(1, 7)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_life(seed: int) -> None:
    report = failure_of(seed, duration_ms=8_000)
    assert report is None, report
