"""Circular order of 32-bit numbers."""

import pytest

from pycorosync.totem.sequence import distance, earlier, precedes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (0, 1),
        (1, 16385),
        (0xFFFFFFFF, 0),
        (0xFFFFFFF0, 5),
        (0x7FFFFFFF, 0x80000000),
        (0x80000000, 0x80000001),
    ],
)
def test_order(first: int, second: int) -> None:
    assert precedes(first, second)
    assert not precedes(second, first)
    assert not precedes(first, first)
    assert earlier(first, second) == earlier(second, first) == first


def test_distance_goes_forward_over_the_end() -> None:
    assert distance(0xFFFFFFFE, 3) == 5
    assert distance(3, 0xFFFFFFFE) == 0xFFFFFFFB
