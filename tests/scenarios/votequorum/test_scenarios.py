"""Each votequorum scenario in virtual time: what every node shows is what real corosync's nodes showed."""

from pathlib import Path

import pytest

from tests.scenarios.votequorum.script import HERE, Player, Scenario, scenarios
from tests.scenarios.votequorum.simulated import SimulatedStage

NUMBER_MIN = 60


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    recorded = Scenario.read(path)
    with SimulatedStage(recorded.hosts).open() as stage:
        seen = Player(stage).play(recorded, compare=True)
    assert seen.text() == recorded.as_seen(ours=True)


def test_there_are_enough() -> None:
    assert len(scenarios()) >= NUMBER_MIN


def test_a_recording_can_be_read_and_written() -> None:
    for path in scenarios():
        assert Scenario.read(path).text() == path.read_text()


def test_a_difference_is_seen() -> None:
    recorded = Scenario.read(HERE / "one-node.txt")
    recorded.steps[1].shown = ["1: something else"]
    with SimulatedStage(1).open() as stage:
        assert Player(stage).play(recorded, compare=True).text() != recorded.as_seen(ours=True)
