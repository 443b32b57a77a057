"""Good configurations with a mistake or two in them, made from a seed: both daemons judge and end alike.

`corosync -t` judges each, then the daemon is started with it and stopped when it serves; as in
test_configurations.py. A failure names its seed: `python3 -m config.generator SEED` prints the file.
"""

import difflib
import os

import pytest
from config.generator import mutant
from lab import OURS, REAL, Lab
from masking import mask

from daemon.test_configurations import transcript

FIRST = int(os.environ.get("SEED", "1000"))
SLICE, SLICES = 10, 15
# An assertion or a lost pointer of the real one; ours must refuse, with a text.
CRASHES = ("status 134", "status 139", "status -6", "status -11")


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(FIRST + SLICE * number, marks=[pytest.mark.long] if number else [])
        for number in range(SLICES)
    ],
)
def test_mutants_are_judged_alike(first: int) -> None:
    reports = []
    with Lab(hosts=1, links=2) as lab:
        for seed in range(first, first + SLICE):
            real, ours = (
                mask("mutants", "\n".join(transcript(engine, lab[1], mutant(seed)))).splitlines()
                for engine in (REAL, OURS)
            )
            if real[0] in CRASHES:
                assert ours[0] == "status 8", f"seed {seed}: real ends with {real[0]}, ours with {ours[0]}"
                continue
            if real != ours:
                lines = difflib.unified_diff(real, ours, f"real, seed {seed}", "ours", lineterm="", n=1)
                reports.append("\n".join(lines))
    assert not reports, "\n\n".join(reports)
