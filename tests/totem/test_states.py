"""States, reasons, and the completeness of the matrix."""

import pytest

from pycorosync.totem.messages import MessageType
from pycorosync.totem.ring import MATRIX, ON_TIMER, SingleRing
from pycorosync.totem.states import GatherReason, State
from pycorosync.totem.timers import Timer


@pytest.mark.parametrize("state", State)
def test_every_message_has_its_cell_in_every_state(state: State) -> None:
    assert set(MATRIX[state]) == set(MessageType)


def test_every_timer_has_its_handler() -> None:
    assert set(ON_TIMER) == set(Timer)


def test_offline_means_deaf() -> None:
    assert set(MATRIX[State.OFFLINE].values()) == {SingleRing._ignore}


def test_reasons_read_as_corosyncs() -> None:
    assert GatherReason.TOKEN_LOST_IN_OPERATIONAL.text == "The token was lost in the OPERATIONAL state."
    assert (GatherReason.INTERFACE_CHANGE, GatherReason.INTERFACE_CHANGE.text) == (15, "interface change")
    assert all(reason.text for reason in GatherReason)
