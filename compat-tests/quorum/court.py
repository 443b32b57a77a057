"""A cluster with a quorum device: the distribution's corosync-qdevice on each node, its corosync-qnetd on one
host more, TLS certificates between them, and a watcher on each node.
"""

import re
import sys
import time
from collections.abc import Iterable

from lab import Engine, Lab, Process, wait_until
from lab.host import CHECKOUT

from quorum.sides import Reign, conflicts, reigns
from quorum.stage import LabStage, status_of
from tests.scenarios.votequorum.script import Configuration, Status

CLUSTER = "lab"
QNETD = "/etc/corosync/qnetd"
QDEVICE_NET = "/etc/corosync/qdevice/net"
LIMIT_S = 150.0
WATCH = (sys.executable, "-m", "quorum.watch")
PATHS = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'compat-tests'}"}


class Court:
    """The last host of the lab judges, the others are the cluster."""

    def __init__(self, lab: Lab, engines: dict[int, Engine], device: dict[str, str]) -> None:
        self.lab = lab
        self.nodes = tuple(range(1, len(lab.hosts)))
        self.judge = lab.hosts[-1]
        self.stage = LabStage(lab, engines)
        device = {"model": "net", "net.host": self.judge.address(), "net.tls": "required", **device}
        self.configuration = Configuration(
            nodes=self.nodes, quorum={f"device.{key}": value for key, value in device.items()}
        )
        self.qnetd: Process | None = None
        self.qdevices: dict[int, Process] = {}
        self._watchers: list[tuple[int, Process]] = []

    # --- certificates

    def certify(self) -> None:
        """As corosync-qdevice(8) tells: the judge's authority signs one certificate for the cluster."""
        judge = self.judge
        judge.run("corosync-qnetd-certutil", "-i", check=True)
        authority = judge.path(f"{QNETD}/nssdb/qnetd-cacert.crt").read_bytes()
        for node in self.nodes:
            host = self.lab[node]
            host.shell(f"mkdir -p {QDEVICE_NET}")
            host.path("/etc/corosync/qnetd-cacert.crt").write_bytes(authority)
            host.run(
                "corosync-qdevice-net-certutil", "-i", "-c", "/etc/corosync/qnetd-cacert.crt", check=True
            )
        first = self.lab[1]
        first.run("corosync-qdevice-net-certutil", "-r", "-n", CLUSTER, check=True)
        request = first.path(f"{QDEVICE_NET}/nssdb/qdevice-net-node.crq").read_bytes()
        judge.path("/etc/corosync/node.crq").write_bytes(request)
        judge.run("corosync-qnetd-certutil", "-s", "-c", "/etc/corosync/node.crq", "-n", CLUSTER, check=True)
        certificate = judge.path(f"{QNETD}/nssdb/cluster-{CLUSTER}.crt").read_bytes()
        first.path("/etc/corosync/cluster.crt").write_bytes(certificate)
        first.run("corosync-qdevice-net-certutil", "-M", "-c", "/etc/corosync/cluster.crt", check=True)
        bundle = first.path(f"{QDEVICE_NET}/nssdb/qdevice-net-node.p12").read_bytes()
        for node in self.nodes[1:]:
            host = self.lab[node]
            host.path("/etc/corosync/node.p12").write_bytes(bundle)
            host.run("corosync-qdevice-net-certutil", "-m", "-c", "/etc/corosync/node.p12", check=True)

    # --- daemons

    def start(self, *nodes: int) -> None:
        self.stage.configure(self.configuration)
        ended = self.stage.start(nodes or self.nodes)
        assert not ended, ended
        for node in nodes or self.nodes:
            self._watchers.append((node, self.lab[node].spawn(*WATCH, env=PATHS)))

    def crash(self, *nodes: int) -> None:
        for node in nodes:
            self.stage.crash(node)
            if device := self.qdevices.pop(node, None):
                device.kill()

    def start_qnetd(self) -> None:
        self.judge.shell("mkdir -p /run/corosync-qnetd")
        self.qnetd = self.judge.spawn("corosync-qnetd", "-f", "-d")

    def kill_qnetd(self) -> None:
        assert self.qnetd is not None
        self.qnetd.kill()

    def start_qdevices(self, *nodes: int) -> None:
        for node in nodes or self.nodes:
            self.lab[node].shell("mkdir -p /run/corosync-qdevice")
            self.qdevices[node] = self.lab[node].spawn("corosync-qdevice", "-f", "-d")

    def stop_qdevices(self, *nodes: int) -> None:
        for node in nodes or tuple(self.qdevices):
            self.qdevices.pop(node).stop()

    def split(self, *sides: Iterable[int], from_judge: Iterable[int] = ()) -> None:
        """Sides of the cluster; and who does not reach the judge."""
        self.stage.split([tuple(side) for side in sides])
        for node in from_judge:
            self.lab.cut(node, self.judge.number)

    def heal(self) -> None:
        self.lab.heal()

    def reload(self) -> None:
        self.stage.configure(self.configuration)
        assert self.stage.reload(self.nodes[0]) == "CS_OK"

    def close(self) -> None:
        self.stage.clear()

    # --- what is seen

    def status(self, node: int) -> Status | None:
        done = self.lab[node].run("/usr/sbin/corosync-quorumtool", "-s")
        return status_of(done.stdout, done.returncode)

    def wait(self, quorate: Iterable[int], blocked: Iterable[int] = (), device: str = "") -> None:
        """Until exactly the nodes of `quorate` are quorate, those of `blocked` not; `device`: its letters."""
        wanted = dict.fromkeys(quorate, True) | dict.fromkeys(blocked, False)

        def reached() -> bool:
            for node, is_quorate in wanted.items():
                status = self.status(node)
                if status is None or status.quorate is not is_quorate:
                    return False
                own = next((member for member in status.members if member.startswith(f"{node}:")), "")
                if device and is_quorate and not own.endswith(device):
                    return False
            return True

        try:
            wait_until(reached, f"quorum as {wanted} {device}", LIMIT_S)
        except TimeoutError as error:
            seen = {node: str(self.status(node)) for node in wanted}
            logs = {node: process.output()[-1500:] for node, process in self.qdevices.items()}
            raise TimeoutError(f"{error}: {seen}\n{logs}") from None

    def wait_members(self, *sides: Iterable[int]) -> None:
        """Until each side is a ring of its own."""
        wanted = {node: tuple(side) for side in sides for node in side}

        def reached() -> bool:
            for node, side in wanted.items():
                status = self.status(node)
                if status is None:
                    return False
                ids = tuple(int(re.split(":", member)[0]) for member in status.members)
                if ids != side:
                    return False
            return True

        wait_until(reached, f"rings {sides}", LIMIT_S)

    def quorate_nodes(self) -> set[int]:
        """Who is quorate, once two looks in a row agree."""
        before: set[int] | None = None
        while True:
            now = {n for n in self.stage.daemons if (status := self.status(n)) is not None and status.quorate}
            if now == before:
                return now
            before = now
            time.sleep(1)

    def two_sides(self) -> list[tuple[Reign, Reign]]:
        """Moments at which two sides were quorate, since the beginning."""
        end_s = time.monotonic()
        by_node: dict[int, list[Reign]] = {}
        for node, watcher in self._watchers:
            by_node.setdefault(node, []).extend(reigns(node, watcher.output().splitlines(), end_s))
        assert all(by_node.values()), "a watcher has seen nothing"
        return conflicts(by_node)
