"""The table of a connection's states."""

from pycorosync.cs_error import CsError
from pycorosync.services.cpg.clients import RULES, State


def test_every_state_has_its_rules() -> None:
    assert set(RULES) == set(State)


def test_a_connection_is_busy_or_refused_while_a_request_is_under_way() -> None:
    assert RULES[State.JOIN_STARTED].leave is CsError.BUSY
    assert RULES[State.LEAVE_STARTED].join is CsError.BUSY


def test_a_member_that_goes_without_a_leave_is_one_that_has_not_begun_to_leave() -> None:
    assert {state for state in State if RULES[state].departs} == {State.JOIN_STARTED, State.JOINED}
