"""The first of two deadlines, either of which may be missing."""

import pytest

from pycorosync.deadlines import first_of


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [(None, None, None), (5, None, 5), (None, 5, 5), (3, 5, 3), (5, 3, 3), (0, 7, 0)],
)
def test_none_is_never_first(one: int | None, other: int | None, first: int | None) -> None:
    assert first_of(one, other) == first
