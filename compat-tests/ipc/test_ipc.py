"""Programs on the distribution's client libraries must see the same from either implementation."""

import difflib
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from lab.host import environment

HERE = Path(__file__).resolve().parent
LIMIT_S = 240

# script -> how many nodes the cluster has
SCRIPTS = {
    "cmap_script": 1,
    "cfg_script vote": 1,
    "cfg_script end": 1,
    "quorum_script alone": 1,
    "votequorum_script alone": 1,
}
LONG_SCRIPTS = {"quorum_script pair": 2, "votequorum_script pair": 2}


def members(host: Host) -> int:
    return host.run("/usr/sbin/corosync-cmapctl", "runtime.members").stdout.count("= joined")


class Stagehand:
    """Does for a script what a client cannot: stop, kill and start the daemons of other nodes."""

    def __init__(self, lab: Lab, engine: Engine) -> None:
        self.lab, self.engine = lab, engine
        self.conf = corosync_conf(lab)
        self.daemons: dict[int, Process] = {}
        for host in lab.hosts:
            self.start(host.number)
        wait_until(lambda: all(members(host) == len(lab.hosts) for host in lab.hosts), "the ring to form")

    def start(self, number: int) -> None:
        self.daemons[number] = self.engine.start(self.lab[number], self.conf)

    def do(self, action: str) -> None:
        verb, number = action.split()
        {
            "start": self.start,
            "stop": lambda node: self.daemons[node].stop(),
            "kill": lambda node: self.daemons[node].kill(),
        }[verb](int(number))


def play(stagehand: Stagehand, script: str) -> list[str]:
    """Run a script on n1 to its end; its output."""
    name, *arguments = script.split()
    process = subprocess.Popen(
        stagehand.lab[1].inside([sys.executable, str(HERE / f"{name}.py"), *arguments]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment({"PYTHONPATH": str(HERE)}),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # A script that hangs is ended, and its transcript says so.
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("@ "):
            stagehand.do(line[2:].strip())
            with suppress(BrokenPipeError):
                process.stdin.write("done\n")
                process.stdin.flush()
    watchdog.cancel()
    process.stdin.close()
    process.stdout.close()
    lines.append(f"status {process.wait(LIMIT_S)}")
    return lines


@cache
def transcript(engine: Engine, script: str) -> list[str]:
    with Lab(hosts=(SCRIPTS | LONG_SCRIPTS)[script]) as lab:
        return play(Stagehand(lab, engine), script)


@pytest.mark.parametrize(
    "script", [*SCRIPTS, *(pytest.param(script, marks=pytest.mark.long) for script in LONG_SCRIPTS)]
)
def test_clients_are_told_the_same(script: str) -> None:
    expected, found = transcript(REAL, script), transcript(OURS, script)
    assert expected[-1] == "status 0", "\n".join(expected[-20:])
    print(f"{len(expected)} lines")
    assert expected == found, "\n".join(
        difflib.unified_diff(expected, found, "real", "ours", lineterm="", n=3)
    )


def test_a_failed_instance_is_restarted(tmp_path: Path) -> None:
    program = tmp_path / "sam"
    subprocess.run(["gcc", "-Wall", "-o", str(program), str(HERE / "sam.c"), "-lsam", "-lcmap"], check=True)
    told = {}
    for engine in (REAL, OURS):
        with Lab(hosts=1) as lab:
            engine.start(lab[1], corosync_conf(lab))
            target = lab[1].path("/var/log/sam")
            target.write_bytes(program.read_bytes())
            target.chmod(0o755)
            told[engine.name] = lab[1].run("/var/log/sam", limit_s=LIMIT_S)
    assert "instance 3" in told["real"].stdout
    assert told["real"].stdout == told["ours"].stdout
    assert told["real"].returncode == told["ours"].returncode
