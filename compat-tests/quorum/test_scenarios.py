"""Votequorum scenarios on our daemons and on mixed rings: each node shows what real corosync showed.

`make quorum` carries out all of them, several at a time.
"""

import pytest
from lab import Lab

from quorum.record import difference, play
from tests.scenarios.votequorum.script import HERE, Scenario, scenarios

CORE = [
    ("o", "two-node-downscale"),
    ("ro", "wait-for-all-joiner"),
    ("o", "device-votes"),
    ("o", "many-votes"),
]
# Both kinds in one ring must agree; those whose recording is not what ours shows are left out.
MIXED = [path.stem for path in scenarios() if not any(step.because for step in Scenario.read(path).steps)]


def cases() -> list[object]:
    found: list[object] = [pytest.param(kinds, name, id=f"{kinds}-{name}") for kinds, name in CORE]
    for kinds in ("o", "ro", "or"):
        names = MIXED if len(kinds) > 1 else [path.stem for path in scenarios()]
        found += [
            pytest.param(kinds, name, id=f"{kinds}-{name}", marks=pytest.mark.long)
            for name in names
            if (kinds, name) not in CORE
        ]
    return found


@pytest.mark.parametrize(("kinds", "name"), cases())
def test_scenario(kinds: str, name: str) -> None:
    scenario = Scenario.read(HERE / f"{name}.txt")
    with Lab(hosts=scenario.hosts) as lab:
        seen = play(lab, kinds, scenario, compare=True)
    report = difference(scenario, seen, kinds)
    assert not report, report
