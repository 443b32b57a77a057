"""Every state of states.py with every combination of daemon and tools: the answers of real corosync."""

import pytest

from golden.run import COMBINATIONS, compare, differences
from golden.stage import Answer, Combination
from golden.states import STATES

CASES = [(name, combination) for name in STATES for combination in COMBINATIONS]
QUICK = "00-nodaemon"


def cases() -> list[object]:
    return [
        pytest.param(
            name,
            combination,
            id=f"{name}-{combination.daemon}-daemon-{combination.tools}-tools",
            marks=[] if name == QUICK else [pytest.mark.long],
        )
        for name, combination in CASES
    ]


@pytest.mark.parametrize(("name", "combination"), cases())
def test_a_state_looks_alike(name: str, combination: Combination) -> None:
    answers, different = compare(name, combination)
    print(f"{len(answers) - len(different)} of {len(answers)} answers equal")
    assert not different, "\n\n".join(different.values())


def test_a_difference_is_found() -> None:
    one, other = (Answer("n1$ x", "a\n"),), (Answer("n1$ x", "b\n"),)
    assert differences(one, one) == {}
    assert "+b" in differences(one, other)[0]
