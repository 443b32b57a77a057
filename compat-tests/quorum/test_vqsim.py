"""The same session with corosync-vqsim of the distribution and with ours: what is shown once all is calm."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest
from lab import Host, Lab
from lab.host import environment

from tests.scenarios.votequorum.script import Configuration

REAL = ["/usr/bin/corosync-vqsim"]
OURS = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'corosync-vqsim'; from pycorosync.tools.vqsim import run; run()",
]
CALM_S = 0.6
PROMPT = "#vqsim> "


class Session:
    """What is configured, and the commands."""

    def __init__(self, nodes: int, commands: str, votes: Mapping[int, int] | None = None, **quorum: object):
        options = {name.replace("__", "."): str(value) for name, value in quorum.items()}
        self.configuration = Configuration(tuple(range(1, nodes + 1)), dict(votes or {}), options)
        self.commands = [command.strip() for command in commands.split(";")]

    def conf(self) -> str:
        return (
            "totem {\n  version: 2\n  cluster_name: lab\n}\n"
            + self.configuration.sections(lambda node: f"10.77.0.{node}")
            + "logging {\n  to_syslog: no\n  to_stderr: no\n}\n"
        )


SESSIONS = {
    "nodes": Session(3, "down 3; down 2; up 2; up 3; up 1; down 9; up 4; down 4; UP 5,6; down 1"),
    "splits": Session(
        5, "split 1:4,5; split 2:1; join 0 1; move 0:1; split 1:1,2 2:3,4; join 1 2 0; split 7:9; join 3"
    ),
    "two_node": Session(
        2, "down 2; up 2; split 1:2; join 0 1; down 1; up 1; down 1; down 2; up 2", two_node=1
    ),
    "wait_for_all": Session(3, "down 3; up 3; split 1:3; join 0 1; split 1:1", wait_for_all=1),
    "tie breaker": Session(
        4, "split 1:3,4; join 0 1; split 1:1,2; join 1 0; down 1; split 2:2", auto_tie_breaker=1
    ),
    "highest": Session(4, "split 1:3,4; join 0 1", auto_tie_breaker=1, auto_tie_breaker_node="highest"),
    "votes": Session(3, "split 1:1; join 0 1; down 1; up 7", {1: 3, 3: 0}),
    # The losers' end is left to the unit tests: the real program does not always see it.
    "autofence": Session(3, "autofence on; AUTOFENCE off; autofence no"),
    "words": Session(
        2, "help; # a comment; ; up; sync maybe; qdevice maybe; assert maybe; timeout 300; nonsense 1"
    ),
    "eight": Session(8, "split 1:1,3,5,7; join 0 1; split 1:8 2:7 3:6; join 3 2 1 0"),
}


class Run:
    """One program on a host, to which commands are given."""

    def __init__(self, host: Host, program: list[str]) -> None:
        self.process = subprocess.Popen(
            host.inside(program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(None),
            start_new_session=True,
        )

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def shown(self) -> list[str]:
        """Each command, with what was printed for `show` behind it, and what was complained of."""
        out, err = self.process.communicate(timeout=60)
        # When a node ends is its own affair.
        ends = [line for line in out.splitlines() if "Quit" in line]
        parts = re.sub(r"^.*Quit .*\n", "", out.replace(PROMPT, f"\n{PROMPT}"), flags=re.M).split(PROMPT)[1:]
        asked = [part for part in parts if part.startswith("show")]
        others = [part.splitlines() for part in parts if part.strip() and not part.startswith("show")]
        said = [[line for line in lines if not line[:1].isdigit()] for lines in others]
        # A slow machine, or the end of the last node, makes the real program complain of its patience.
        errors = [line for line in err.splitlines() if line.startswith("ERR") and "not stable" not in line]
        return (
            [f"{'|'.join(lines)}\n{after}" for lines, after in zip(said, asked, strict=False)] + errors + ends
        )


CORE = "nodes"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == CORE else pytest.mark.long) for name in SESSIONS]
)
def test_the_same_session(name: str) -> None:
    session = SESSIONS[name]
    with Lab(hosts=1) as lab:
        lab[1].write("/etc/corosync/corosync.conf", session.conf())
        runs = [Run(lab[1], program) for program in (REAL, OURS)]
        time.sleep(2 * CALM_S)
        for command in session.commands:
            for line in (command, "show"):
                for run in runs:
                    run.say(line)
                time.sleep(CALM_S)
        real, ours = (run.shown() for run in runs)
    assert len(real) >= len(session.commands) - session.commands.count("")
    assert ours == real
