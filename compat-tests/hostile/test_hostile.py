"""Hostile local clients: the daemon lives, serves others meanwhile, and keeps nothing of them afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from bench.run import LOAD, compile_load, fields, rss_mb
from lab import OURS, Host, Lab, Process, corosync_conf, wait_until

HERE = Path(__file__).resolve().parent
LIMIT_S = 600

# name, how often, by how many megabytes a second run may leave the daemon larger than the first did, and why
CASES = [
    ("random_requests", 100_000, 16, "keys that the requests set stay in cmap"),
    ("unread_responses", 20_000, 4, ""),
    ("setup_deaths", 600, 4, ""),
    ("churn", 1000, 4, ""),
    ("crowd", 200, 4, ""),
    ("half_open_crowd", 200, 4, ""),
    ("scribble", 500, 4, ""),
    ("scribble_semaphores", 100, 4, ""),
    ("truncate", 60, 4, ""),
    ("full_shm", 16, 4, ""),
    ("never_reads", 60_000, 16, "undelivered events are queued, up to a bound"),
    ("stranger", 50, 4, ""),
    ("eavesdropper", 5, 4, ""),
]


class Target(NamedTuple):
    host: Host
    daemon: Process


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Target]]:
    """One daemon for all attacks, as long as it lives."""
    program = compile_load(tmp_path_factory.mktemp("load"))
    with Lab(hosts=1) as lab:
        daemon = OURS.start(lab[1], corosync_conf(lab))
        destination = lab[1].path(LOAD)
        destination.write_bytes(program.read_bytes())
        destination.chmod(0o755)
        yield [Target(lab[1], daemon)]


@pytest.fixture
def target(running: list[Target]) -> Target:
    """The daemon; a new one if the last attack ended it, so that each attack is judged by itself."""
    host, daemon = running[0]
    if not daemon.running:
        host.shell("rm -rf /dev/shm/*")
        conf = host.path("/etc/corosync/corosync.conf").read_text()
        running[0] = Target(host, OURS.start(host, conf))
    return running[0]


def run_attack(target: Target, name: str, count: int, seed: int = 1) -> str:
    """One attack, while an honest client sends itself messages; returns what the attack printed."""
    witness = target.host.spawn(LOAD, "watch", "64", "0", "0")
    wait_until(lambda: "watching" in witness.output() or not witness.running, "the witness to join")
    done = target.host.run(
        "/usr/bin/env", "python3", str(HERE / "attacks.py"), name, str(count), str(seed), limit_s=LIMIT_S
    )
    log = target.host.path("/var/log/corosync/corosync.log").read_text(errors="replace")[-2000:]
    assert target.daemon.running, (
        f"the daemon ended with {target.daemon.wait()}:\n{target.daemon.output()}{log}"
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{log}"
    status = witness.stop()
    assert status == 0, f"the witness ended with {status}: {witness.output()}"
    served = fields(witness.output().splitlines()[-1])
    assert served["samples"] > 0
    print(f"{done.stdout.strip()}\n  meanwhile: {witness.output().splitlines()[-1]}")
    return done.stdout


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def shm_files(host: Host) -> list[str]:
    names = host.shell("find /dev/shm -type f").stdout.split()
    return [name for name in names if "blackbox" not in name]


@pytest.mark.parametrize(("name", "count", "growth_mb", "why"), CASES, ids=[case[0] for case in CASES])
def test_the_daemon_withstands(target: Target, name: str, count: int, growth_mb: int, why: str) -> None:
    run_attack(target, name, count, seed=2)
    wait_until(lambda: not shm_files(target.host), "every connection's files to be gone")
    memory, files = rss_mb(target.daemon.pid), open_files(target.daemon.pid)
    printed = run_attack(target, name, count)
    wait_until(lambda: not shm_files(target.host), "every connection's files to be gone")
    wait_until(lambda: open_files(target.daemon.pid) <= files, "every connection's descriptors to be closed")
    after = rss_mb(target.daemon.pid)
    print(f"  RSS {memory:.1f} MB before, {after:.1f} MB after")
    assert after - memory <= growth_mb, f"grew by {after - memory:.1f} MB ({why or 'nothing to keep'})"
    if name == "stranger":
        assert "EACCES" in printed
        assert "let in" not in printed
    if name == "eavesdropper":
        assert "readable 0" in printed
    fresh = target.host.run("corosync-quorumtool", "-s")
    assert fresh.returncode == 0, fresh.stderr
