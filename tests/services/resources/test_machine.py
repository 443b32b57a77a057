"""The states of a resource (pycorosync/services/resources/machine.py)."""

import logging

import pytest

from pycorosync.log import subsystem
from pycorosync.services.resources.machine import (
    CONFIG_CHANGED,
    FAILED,
    FAILURE,
    RUNNING,
    STOPPED,
    TABLE,
    Machine,
)

STATES = (STOPPED, RUNNING, FAILED)


@pytest.mark.parametrize("event", [CONFIG_CHANGED, FAILURE])
@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_only_what_is_in_the_table_happens(
    before: str, after: str, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine("x", subsystem("MON"))
    machine.state = before
    changes = after in TABLE[before, event] and before != after
    with caplog.at_level(logging.INFO, "corosync.MON"):
        assert machine.enter(event, after) == changes
    assert machine.state == (after if changes else before)
    line = f'Fsm:x event "{event}", state "{before}" --> "{after}"'
    assert caplog.messages == ([line] if changes else [])


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {(state, event) for state in STATES for event in (CONFIG_CHANGED, FAILURE)}
