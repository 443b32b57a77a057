"""The checker of delivery logs finds what it must find."""

import pytest

from mixed.checker import check, parse

A = """i 1 10
r 1 4 1 2
v 1:10 2:20
s 1 8
d 1 10 1 8
d 2 20 1 9
s 2 8
d 1 10 2 8
"""
B = """i 2 20
r 1 4 1 2
v 1:10 2:20
s 1 9
d 1 10 1 8
d 2 20 1 9
d 1 10 2 8
"""


def faults(one: str, other: str) -> list[str]:
    return check([parse("a", one, True), parse("b", other, True)])


def test_equal_logs_are_good() -> None:
    assert faults(A, B) == []


def test_who_joined_later_has_the_later_part() -> None:
    assert faults(A, B.replace("d 1 10 1 8\n", "")) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("d 1 10 1 8\nd 2 20 1 9\n", "d 2 20 1 9\nd 1 10 1 8\n", "where"),
        ("d 1 10 2 8\n", "", "not at both"),
        ("d 1 10 2 8\n", "d 1 10 2 8\nd 1 10 2 8\n", "#2 after #2"),
        ("d 1 10 1 8\nd 2 20 1 9\n", "d 2 20 1 9\nd 1 10 1 8\nd 1 10 3 8\n", "#3 follows #1"),
        ("d 1 10 2 8\n", "d 1 10 2 7\n", "never sent"),
        ("d 2 20 1 9\n", "", "never came back"),
        ("d 1 10 2 8\n", "d 1 10 2 8\nx changed its bytes 9\n", "changed its bytes"),
    ],
)
def test_a_fault_is_found(old: str, new: str, found: str) -> None:
    assert old in B
    assert any(found in fault for fault in faults(A, B.replace(old, new)))


def test_a_gap_is_allowed_while_the_sender_was_away() -> None:
    away = B.replace("d 1 10 2 8\n", "r 2 8 2\nv 2:20\nl 1:10\nr 1 12 1 2\nv 1:10 2:20\nd 1 10 4 8\n")
    there = A.replace("d 1 10 2 8\n", "r 1 8 1\nv 1:10\nl 2:20\nd 1 10 2 8\ns 3 8\nd 1 10 3 8\ns 4 8\n")
    there += "r 1 12 1 2\nv 1:10 2:20\nd 1 10 4 8\n"
    assert faults(there, away) == []
    assert any("#4 follows #1" in fault for fault in faults(there, away.replace("l 1:10\n", "")))
