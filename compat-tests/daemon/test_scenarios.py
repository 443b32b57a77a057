"""Starts, stops and their circumstances: the same shell scripts with either daemon, compared word by word.

Each script of scenarios/ runs on a host of its own after prelude.sh.
"""

import difflib
import shlex
from pathlib import Path

import pytest
from lab import OURS, REAL, Engine, Lab
from lab.engine import AUTHKEY, TEST_KEY
from lab.host import OWN_TOOLS
from masking import mask

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE / "scenarios").glob("*.sh"))
LIMIT_S = 600.0


def transcript(engine: Engine, scenario: Path) -> list[str]:
    with Lab(hosts=1) as lab:
        host = lab[1]
        host.path(AUTHKEY).write_bytes(TEST_KEY)
        if engine is not REAL:
            script = f'#!/bin/sh\nexec {shlex.join(engine.daemon())} "$@"\n'
            host.write(f"{OWN_TOOLS}/corosync", script, 0o755)
        text = (HERE / "prelude.sh").read_text() + scenario.read_text()
        done = host.shell(f"exec 2>&1\n{text}", limit_s=LIMIT_S)
    return mask("corosync -f, in a script", done.stdout).splitlines()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_goes_alike(scenario: Path) -> None:
    real, ours = transcript(REAL, scenario), transcript(OURS, scenario)
    never = [line for line in real + ours if line.startswith("never: ")]
    lines = difflib.unified_diff(real, ours, "real", "ours", lineterm="", n=2)
    assert real == ours, "\n".join(lines)
    assert not never
