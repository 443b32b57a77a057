"""The simulator and its rules find faults in the core. `make planted` shows it for all of planted.py."""

from collections.abc import Callable

import pytest

from tests.simulator import planted, test_scenarios
from tests.simulator.chaos import Chaos, report_of
from tests.simulator.planted import lives_until_found

LIVES = 12  # most are found by the first or second
SOON_FOUND = (
    planted.delivers_past_a_hole, planted.recovers_nothing, planted.says_it_has_all,
    planted.takes_all_for_companions, planted.never_lowers_the_aru, planted.releases_what_others_lack,
    planted.takes_foreign_messages, planted.talks_after_leaving, planted.leaves_without_its_name,
    planted.lets_new_messages_overtake, planted.does_not_wait_for_barriers,
    planted.tells_another_config_version, planted.speaks_for_another,
)  # fmt: skip


@pytest.mark.parametrize("fault", SOON_FOUND, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(fault: Callable[[pytest.MonkeyPatch], None]) -> None:
    assert lives_until_found(fault, lives=LIVES) is not None


@pytest.mark.parametrize(
    ("fault", "scenario", "argument"),
    [
        (
            planted.begins_with_the_stored_number,
            test_scenarios.test_lowest_node_restarts_before_the_others_give_it_up,
            1100,
        ),
        (planted.leaves_without_its_name, test_scenarios.test_a_leave_costs_no_timeout, 3),
        (
            planted.mixes_fragments,
            test_scenarios.test_a_node_that_starts_gets_the_middle_of_a_long_message,
            "udpu",
        ),
        (planted.recovers_nothing, test_scenarios.test_many_messages_are_recovered, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_scenario_sees_what_it_is_named_for(
    fault: Callable[[pytest.MonkeyPatch], None], scenario: Callable[..., None], argument: object
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises(AssertionError):
            scenario() if argument is None else scenario(argument)


@pytest.mark.parametrize("seed", range(1, 4))
def test_nothing_is_found_where_there_is_no_fault(seed: int) -> None:
    assert report_of(Chaos(seed, dense=True)) is None
