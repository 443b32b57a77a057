"""Records behave like named tuples: equality, patterns, repr."""

import pytest

from pycorosync.record import Record


class Point(Record):
    __match_args__ = ("x", "y")
    __slots__ = __match_args__

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class Vector(Point):
    __slots__ = ()


def test_they_are_equal_if_all_fields_are() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)


@pytest.mark.parametrize("other", [Vector(1, 2), (1, 2), None])
def test_another_kind_is_never_equal(other: object) -> None:
    assert Point(1, 2) != other


def test_patterns_take_the_fields_in_order() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("no match")


def test_they_print_their_fields() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_they_have_no_room_for_others() -> None:
    with pytest.raises(AttributeError):
        Point(1, 2).z = 3  # type: ignore[attr-defined]
