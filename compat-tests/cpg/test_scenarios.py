"""Unmodified libcpg clients must be told the same by both implementations, in the same order."""

import difflib
from functools import cache
from pathlib import Path

import pytest
from cpg.stage import Stage
from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until

SCENARIOS = Path(__file__).with_name("scenarios")
ONE_HOST = sorted(path.stem for path in (SCENARIOS / "one").glob("*.txt"))
THREE_HOSTS = sorted(path.stem for path in (SCENARIOS / "three").glob("*.txt"))


@cache
def transcripts(engine: Engine, folder: str, hosts: int) -> dict[str, list[str]]:
    """Every scenario of a folder, played in one cluster."""
    with Lab(hosts=hosts) as lab:
        conf = corosync_conf(lab)
        daemons: dict[Host, Process] = {}

        def boot(host: Host) -> None:
            daemons[host] = engine.start(host, conf)

        for host in lab.hosts:
            boot(host)
        wait_until(lambda: _members(lab[1]) == hosts, "the ring to form")
        played = {}
        for path in sorted((SCENARIOS / folder).glob("*.txt")):
            played[path.stem] = Stage(lab, lambda host: _crash(daemons[host]), boot).play(path)
            wait_until(lambda: _members(lab[1]) == hosts, "the ring to be whole again")
            wait_until(
                lambda: not lab[1].run("/usr/sbin/corosync-cpgtool", "-n").stdout, "groups to be empty"
            )
        return played


def _crash(daemon: Process) -> None:
    daemon.kill()


def _members(host: Host) -> int:
    return host.run("/usr/sbin/corosync-cmapctl", "runtime.members").stdout.count("= joined")


def compare(name: str, folder: str, hosts: int) -> None:
    expected = transcripts(REAL, folder, hosts)[name]
    found = transcripts(OURS, folder, hosts)[name]
    assert expected == found, "\n".join(
        difflib.unified_diff(expected, found, "real", "ours", lineterm="", n=4)
    )


@pytest.mark.parametrize("name", ONE_HOST)
def test_one_host(name: str) -> None:
    compare(name, "one", 1)


@pytest.mark.long
@pytest.mark.parametrize("name", THREE_HOSTS)
def test_three_hosts(name: str) -> None:
    compare(name, "three", 3)
