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


def test_who_died_before_it_heard_of_a_ring_has_nothing_to_agree_with() -> None:
    assert check([parse("a", A, True), parse("b", B, True), parse("c", "i 3 30\ns 1 9\n", False)]) == []


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


def test_who_went_another_way_may_have_heard_another_thing() -> None:
    """The one daemon was in a ring that broke up before its members had synchronized."""
    heard = "r 1 20 1 2\nv 1:10 2:20\n"
    log = "A new membership (1.4) was formed. Members\n{}A new membership (1.14) was formed. Members\n"
    there = parse("a", A + heard, True, log.format(""))
    same = parse("b", B.replace("d 1 10 2 8\n", "") + heard, True, log.format(""))
    assert any("1.4 to 1.20" in fault for fault in check([there, same]))
    other_way = log.format("A new membership (1.10) was formed. Members\n")
    assert check([there, parse("b", B.replace("d 1 10 2 8\n", "") + heard, True, other_way)]) == []


FORMED = "A new membership (1.{:x}) was formed. Members\n"
SENDER = """i 1 10
r 1 8 1 3
v 1:10 3:30
s 3 70000
d 1 10 3 70000
s 4 9
d 1 10 4 9
s 5 8
d 1 10 5 8
s 6 8
d 1 10 6 8
r 1 12 1 3
v 1:10 3:30
"""
RECEIVER = """i 3 30
r 3 5 3
v 3:30
r 1 8 1 3
v 1:10 3:30
d 1 10 5 8
d 1 10 6 8
r 1 12 1 3
v 1:10 3:30
"""


@pytest.mark.parametrize(
    ("came_from", "receiver", "good"),
    [
        (
            5,
            RECEIVER,
            True,
        ),  # the end of message 3, and 4 in the same packet, came to one who had no beginning
        (4, RECEIVER, False),  # it had been with the sender before
        (5, RECEIVER.replace("d 1 10 5 8\n", ""), True),  # 5 may have been in that packet too
        (5, RECEIVER.replace("d 1 10 5 8\n", "d 1 10 4 9\n"), False),
    ],
)
def test_who_comes_late_lacks_what_had_begun(came_from: int, receiver: str, good: bool) -> None:
    log = FORMED.format(8) + FORMED.format(12)
    there = parse("a", SENDER, True, FORMED.format(4) + log)
    other = parse("c", receiver, True, FORMED.format(came_from) + log)
    found = [fault for fault in check([there, other]) if "not at both" in fault]
    assert (found == []) is good
