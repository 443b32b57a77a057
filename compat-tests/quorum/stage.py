"""Votequorum scenarios in the lab: daemons of either implementation, watched with corosync-quorumtool."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence

from lab import Engine, Lab, Process, wait_until
from lab.conf import LOGFILE
from lab.host import CHECKOUT, environment

from tests.scenarios.votequorum.script import Configuration, Status, together

TOKEN_MS = 1500
LOOK_S = 0.5
STEADY_LOOKS = 4  # so many times the same: nothing changes any more
LIMIT_S = 150.0
COMPARE_LIMIT_S = 60.0
FIELDS = {
    "expected": r"^Expected votes: +(\d+)",
    "highest": r"^Highest expected: +(\d+)",
    "total": r"^Total votes: +(\d+)",
    "quorum": r"^Quorum: +(\d+)",
}
# As in quorumtool's list: id, votes, the device's letters, name.
MEMBER = re.compile(r"^ +(\d+) +(\d+) (?: *(NR|[AN,VMW]{6,11}) )?\S+(?: \(local\))?$", re.M)
DEVICE = re.compile(r"^ +0 +(\d+) {12}(.+)$", re.M)
Members = dict[int, tuple[int, ...]]


class LabStage:
    """The stage: node K is host K of the lab. `engines` names the implementation of each."""

    def __init__(self, lab: Lab, engines: dict[int, Engine]) -> None:
        self.lab = lab
        self.engines = engines
        self.daemons: dict[int, Process] = {}
        self.devices: dict[int, subprocess.Popen[str]] = {}
        self.conf = ""

    def clear(self) -> None:
        """Make ready for another scenario."""
        for device in self.devices.values():
            device.kill()
            device.communicate()
        self.devices.clear()
        for daemon in self.daemons.values():
            daemon.kill()
        self.daemons.clear()
        self.lab.heal()
        for host in self.lab.hosts:
            host.shell("rm -rf /var/lib/corosync/* /dev/shm/qb-*")

    # --- life

    def configure(self, configuration: Configuration) -> None:
        self.conf = (
            f"totem {{\n  version: 2\n  cluster_name: lab\n  token: {TOKEN_MS}\n  token_coefficient: 0\n"
            f"  config_version: {configuration.version}\n}}\n"
            + configuration.sections(lambda node: self.lab[node].address())
            + f"logging {{\n  to_logfile: yes\n  logfile: {LOGFILE}\n  to_syslog: no\n  to_stderr: no\n}}\n"
        )
        for host in self.lab.hosts:
            host.write("/etc/corosync/corosync.conf", self.conf)

    def start(self, nodes: Sequence[int]) -> dict[int, str]:
        started = {}
        for node in nodes:
            log = self.lab[node].path(LOGFILE)
            log.unlink(missing_ok=True)
            started[node] = self.engines[node].start(self.lab[node], self.conf, False)
        ended: dict[int, str] = {}
        for node, daemon in started.items():
            text = wait_until(lambda n=node, d=daemon: self._fate(n, d), f"n{node} to start or end", LIMIT_S)  # type: ignore[misc]
            if text.startswith("ended"):
                ended[node] = text
            else:
                self.daemons[node] = daemon
        return ended

    def _fate(self, node: int, daemon: Process) -> str:
        if not daemon.running:
            log = self.lab[node].path(LOGFILE).read_text(errors="replace")
            reasons = re.findall(r"failed to load for reason '(.*?)'", log)
            return f"ended {daemon.wait()} {reasons[0] if reasons else log[-300:]}"
        key = f"runtime.members.{node}.status"
        done = self.lab[node].run("/usr/sbin/corosync-cmapctl", "-g", key)
        return "runs" if done.returncode == 0 else ""

    def stop(self, node: int) -> None:
        self.daemons.pop(node).stop()

    def crash(self, node: int) -> None:
        self.daemons.pop(node).kill()

    def split(self, sides: Sequence[Sequence[int]]) -> None:
        self.lab.heal()
        side = {node: i for i, members in enumerate(sides) for node in members}
        for a, b in ((a, b) for a in side for b in side if a < b and side[a] != side[b]):
            self.lab.cut(a, b)

    def wait(self, ms: int) -> None:
        time.sleep(ms / 1000)

    # --- clients

    def _tool(self, node: int, name: str, *arguments: str) -> str:
        done = self.lab[node].run(f"/usr/sbin/corosync-{name}", *arguments)
        found = re.search(r"CS_ERR_\w+", done.stdout + done.stderr)
        if done.returncode == 0:
            return "CS_OK"
        return found[0] if found else f"status {done.returncode}"

    def reload(self, node: int) -> str:
        return self._tool(node, "cfgtool", "-R")

    def set_expected(self, node: int, votes: int) -> str:
        return self._tool(node, "quorumtool", "-e", str(votes))

    def set_votes(self, node: int, about: int, votes: int) -> str:
        return self._tool(node, "quorumtool", "-n", str(about), "-v", str(votes))

    def set_key(self, node: int, key: str, kind: str, value: str) -> str:
        return self._tool(node, "cmapctl", "-s", key, kind, value)

    def unregister(self, node: int) -> str:
        return self._tool(node, "quorumtool", "-f")

    def device(self, node: int, order: str) -> str:
        if order.startswith("register"):
            if old := self.devices.pop(node, None):
                old.kill()
                old.communicate()
            self.devices[node] = subprocess.Popen(
                self.lab[node].inside([sys.executable, "-m", "quorum.device"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment({"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'compat-tests'}"}),
                start_new_session=True,
            )
        device = self.devices[node]
        assert device.stdin is not None
        assert device.stdout is not None
        device.stdin.write(order + "\n")
        device.stdin.flush()
        return device.stdout.readline().strip()

    # --- what is seen

    def look(self, members: Members, wanted: Sequence[str] | None) -> list[str]:
        if wanted is not None:
            return self._look_for(members, list(wanted))
        before: dict[int, str] = {}
        steady = 0
        deadline = time.monotonic() + LIMIT_S
        while True:
            seen, rings = self._see(members)
            steady = steady + 1 if seen == before and rings else 0
            before = seen
            if steady >= STEADY_LOOKS:
                return together({node: text.partition("@")[0] for node, text in seen.items()})
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected rings {set(members.values())}, seen {seen}")
            time.sleep(LOOK_S)

    def _look_for(self, members: Members, wanted: list[str]) -> list[str]:
        """What is wanted, if it is seen twice; otherwise what is there at last."""
        deadline = time.monotonic() + COMPARE_LIMIT_S
        matches = 0
        while True:
            seen, rings = self._see(members)
            lines = together({node: text.partition("@")[0] for node, text in seen.items()})
            matches = matches + 1 if rings and lines == wanted else 0
            if matches > 1 or time.monotonic() > deadline:
                return lines
            time.sleep(LOOK_S)

    def _see(self, members: Members) -> tuple[dict[int, str], bool]:
        """What each node shows, with its ring behind an @; and whether the rings are the expected ones."""
        seen, ring_ids, whole = {}, {}, True
        for node, expected in members.items():
            if not self.daemons[node].running:
                raise RuntimeError(f"n{node} ended with {self.daemons[node].wait()}")
            done = self.lab[node].run("/usr/sbin/corosync-quorumtool", "-s")
            ring = re.search(r"^Ring ID: +(\S+)", done.stdout, re.M)
            status = status_of(done.stdout, done.returncode)
            if status is None or ring is None:
                seen[node], whole = f"? {done.returncode} {done.stderr}", False
                continue
            ids = tuple(int(member.partition(":")[0]) for member in status.members)
            whole = whole and ids == expected and ring_ids.setdefault(expected, ring[1]) == ring[1]
            seen[node] = f"{status}@{ring[1]}"
        return seen, whole


def status_of(text: str, exit_status: int) -> Status | None:
    """What quorumtool -s printed; None if it could not."""
    found = {name: re.search(pattern, text, re.M) for name, pattern in FIELDS.items()}
    flags = re.search(r"^Flags: +(.*)$", text, re.M)
    quorate = re.search(r"^Quorate: +(\w+)", text, re.M)
    if not all(found.values()) or flags is None or quorate is None:
        return None
    device = DEVICE.search(text)
    lines = [
        line for line in text.partition("Membership information")[2].splitlines() if not DEVICE.match(line)
    ]
    members = MEMBER.findall("\n".join(lines))
    return Status(
        exit_status=exit_status,
        quorate=quorate[1] == "Yes",
        blocked="Activity blocked" in text,
        flags=tuple(flags[1].split()),
        members=tuple(":".join(word for word in member if word) for member in members),
        device=f"{device[1]} {device[2]}" if device else "",
        **{name: int(match[1]) for name, match in found.items() if match},
    )
