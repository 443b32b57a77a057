"""Slices of the reload campaign (campaign.py): 200 legal and 56 illegal changes, ours and mixed rings."""

import pytest

from config.campaign import run

SLICES = [(kinds, seed) for seed in range(1, 9) for kinds in ("ooo", "ror" if seed % 2 else "oro")]


def test_a_few_reloads_under_load() -> None:
    assert run("ooo", seed=1, legal=4, illegal=2) == []


@pytest.mark.long
@pytest.mark.parametrize(("kinds", "seed"), SLICES)
def test_a_ring_under_load_is_reloaded(kinds: str, seed: int) -> None:
    assert run(kinds, seed, legal=25, illegal=7) == []
