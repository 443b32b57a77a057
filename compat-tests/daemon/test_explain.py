"""What `corosync -t` has beyond corosync: reasons that are never kept back, --explain, --against-running."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import OURS, REAL, Engine, Host, Lab, corosync_conf

from daemon.runs import CONF, once, prepare
from daemon.test_configurations import CASES, QUICK


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab(hosts=1, links=2) as lab:
        yield lab[1]


def cases() -> Iterator[object]:
    for path in CASES:
        yield pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else [pytest.mark.long])


@pytest.mark.parametrize("path", list(cases()))
def test_an_explanation_ends_as_the_real_check_does(path: Path, host: Host) -> None:
    prepare(host, path.read_bytes())
    real, ours = once(REAL, host, "-t"), once(OURS, host, "-t", "--explain")
    assert ours.status == (8 if real.status < 0 or real.status > 128 else real.status)
    assert ours.stdout.splitlines()[-1].endswith(f"exit status {ours.status}")
    assert ("error: " in ours.stdout) == (ours.status != 0)
    assert ours.stderr == ""


@pytest.mark.parametrize("option", ["transport: kent", "token: 5"])
def test_a_refusal_is_never_silent(option: str, host: Host) -> None:
    text = f"totem {{\n  version: 2\n  {option}\n}}\nlogging {{\n  to_stderr: no\n  to_syslog: no\n}}\n"
    prepare(host, text.encode())
    real, ours = once(REAL, host, "-t"), once(OURS, host, "-t")
    assert (real.status, real.stderr) == (8, "")
    assert ours.status == 8
    assert ours.stderr.startswith(("Invalid transport", "parse error in config: "))


@pytest.mark.parametrize("engine", [REAL, OURS], ids=repr)
def test_a_file_against_a_running_daemon(engine: Engine) -> None:
    with Lab(hosts=2) as lab:
        host = lab[1]
        process = engine.start(host, corosync_conf(lab))
        same = once(OURS, host, "-t", "--against-running")
        assert (same.status, same.stdout) == (0, "The running daemon has this configuration.\n")
        changed = corosync_conf(lab, totem={"token": 5000, "cluster_name": "x"}, quorum={"wait_for_all": 1})
        host.write(CONF, changed)
        told = once(OURS, host, "--against-running").stdout
        assert told == (
            "quorum.wait_for_all: - => 1: needs a restart; a reload only shows the new value\n"
            "totem.cluster_name: lab => x: needs a restart; a reload says that it cannot be changed\n"
            "totem.token: - => 5000: applied by a reload\n"
            "3 differences, 2 of them need a restart\n"
        )
        assert host.run("/usr/sbin/corosync-cfgtool", "-R").returncode == 0
        told = once(OURS, host, "--against-running").stdout
        # A reload has put what only a start reads into the map, so that only the name is left to see.
        assert told.splitlines()[-1] == "1 difference, 1 of them need a restart"
        assert process.stop() == 0
        assert once(OURS, host, "--against-running").status == 1
