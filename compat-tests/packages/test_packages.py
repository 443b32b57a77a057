"""Our packages on Debian 12 and 13: they take the place of the distribution's corosync under its Pacemaker, a
running cluster moves over node by node and back, and nothing that is the administrator's is lost.

Not part of `make test`: `make test-packages`. Takes half an hour, of which most is the making of two
installations at the first time.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from lab import REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from lab.engine import AUTHKEY, CONF, TEST_KEY
from lab.pacemaker import LIMIT_S, Pacemaker, crm_mon

from packages.roots import apt, packages, root_of, with_network

pytestmark = pytest.mark.packages

INSTALLED = Engine("installed", ["/usr/sbin/corosync"])
KEPT = (CONF, AUTHKEY, "/etc/default/corosync")
DEFAULTS = 'COROSYNC_OPTIONS=""\n# the administrator was here\n'


@pytest.fixture(scope="module")
def ours() -> Path:
    return packages("bookworm")


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.deb"))


def bring(host: Host, folder: Path, *names: str) -> list[str]:
    """Copy packages (by default: the engine and its library) to a host; what apt-get has to be told."""
    place = host.path("/root/packages")
    place.mkdir(exist_ok=True)
    found = []
    for package in files_of(folder):
        if package.name.partition("_")[0] in (names or ("pycorosync", "python3-pycorosync")):
            shutil.copyfile(package, place / package.name)
            found.append(f"/root/packages/{package.name}")
    return found


def status_of(host: Host, package: str) -> str:
    found = host.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package).stdout.strip()
    return found or "un"


def installed_packages(host: Host) -> set[str]:
    text = host.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n", check=True).stdout
    return {line.split()[1] for line in text.splitlines() if line.startswith("ii")}


def swap(host: Host, *what: str) -> tuple[set[str], set[str]]:
    """apt-get install; returns (removed, added)."""
    before = installed_packages(host)
    apt(host, "install", *what)
    after = installed_packages(host)
    return before - after, after - before


class Node:
    """A host with its cluster engine and Pacemaker."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.engine: Process | None = None
        self.pacemaker: Pacemaker | None = None

    def start(self, engine: Engine = INSTALLED) -> None:
        self.engine = self.host.spawn(*engine.daemon("-f"))
        engine.wait_ready(self.host, self.engine)
        self.pacemaker = Pacemaker(self.host)

    def stop(self) -> None:
        """As `pcs cluster stop` does: Pacemaker first."""
        assert self.pacemaker is not None
        assert self.engine is not None
        assert self.pacemaker.stop() == 0
        self.host.run("corosync-cfgtool", "-H", "--force", check=True)
        assert self.engine.wait() == 0

    def version(self) -> str:
        return self.host.run("corosync", "-v", check=True).stdout

    def kept(self) -> dict[str, bytes]:
        """The administrator's files, and the state."""
        paths = [self.host.path(path) for path in KEPT]
        paths += sorted(self.host.path("/var/lib/corosync").glob("ringid_*"))
        return {path.name: path.read_bytes() for path in paths}


class Cluster(NamedTuple):
    lab: Lab
    nodes: list[Node]

    def start(self, engine: Engine) -> None:
        """All at once: a node alone may not become ready."""
        for node in self.nodes:
            node.engine = node.host.spawn(*engine.daemon("-f"))
        for node in self.nodes:
            assert node.engine is not None
            engine.wait_ready(node.host, node.engine)
            node.pacemaker = Pacemaker(node.host)
        self.wait_whole()

    def wait_whole(self) -> None:
        names = [node.host.name for node in self.nodes]
        for node in self.nodes:
            assert node.pacemaker is not None
            node.pacemaker.wait_online(*names)


def configured(lab: Lab) -> Cluster:
    """Its hosts have a configuration and a key; nothing runs."""
    conf = corosync_conf(lab, crypto=True)
    for host in lab.hosts:
        host.write(CONF, conf)
        host.path(AUTHKEY).write_bytes(TEST_KEY)
        host.path(AUTHKEY).chmod(0o400)
    return Cluster(lab, [Node(host) for host in lab.hosts])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three hosts on which the distribution's corosync and Pacemaker run."""
    with Lab(3, links=2, root=root_of("bookworm")) as lab:
        cluster = configured(lab)
        for host in lab.hosts:
            host.write("/etc/default/corosync", DEFAULTS)
        cluster.start(REAL)
        pacemaker = cluster.nodes[0].pacemaker
        assert pacemaker is not None
        pacemaker.add_dummy()
        wait_until(pacemaker.where, "the resource to run", LIMIT_S)
        yield cluster


def test_the_packages_are_built_without_errors(ours: Path) -> None:
    assert not [line for line in (ours / "report").read_text().splitlines() if line.startswith("E:")]


def test_a_running_cluster_moves_over_node_by_node(cluster: Cluster, ours: Path) -> None:
    for node in cluster.nodes:
        assert not node.host.run("sh", "-c", "command -v gcc cc c++ make").stdout, "there is a compiler"
        assert "pycorosync" not in node.version()
        node.stop()
        before = node.kept()
        files = bring(node.host, ours)
        plan = with_network(node.host, "apt-get", "-s", "install", *files).stdout
        assert re.findall(r"^Remv (\S+)", plan, re.MULTILINE) == ["corosync"]
        removed, added = swap(node.host, *files)
        assert removed == {"corosync"}
        assert {"pycorosync", "python3-pycorosync"} <= added
        assert node.kept() == before
        assert "pycorosync" in node.version()
        node.start()
        cluster.wait_whole()  # with nodes of both kinds
        assert cluster.nodes[0].pacemaker is not None
        assert cluster.nodes[0].pacemaker.where(), "the resource stopped"


def test_pacemaker_and_its_shells_see_the_whole_cluster(cluster: Cluster) -> None:
    for node in cluster.nodes:
        host = node.host
        assert "Online: [ n1 n2 n3 ]" in crm_mon(host)
        assert "Quorate:          Yes" in host.run("corosync-quorumtool", "-s", check=True).stdout
        assert "n1" in host.run("crm", "status", check=True).stdout
        assert "Online: [ n1 n2 n3 ]" in host.run(
            "pcs", "status", "nodes", "corosync", check=False
        ).stdout or ("Online: n1 n2 n3" in host.run("pcs", "status", "nodes", "corosync").stdout)
        assert "Expected votes:   3" in host.run("pcs", "quorum", "status", check=True).stdout


def test_the_key_is_rotated_while_the_cluster_runs(cluster: Cluster) -> None:
    new = bytes(reversed(TEST_KEY))
    for node in cluster.nodes:
        node.host.path(AUTHKEY).chmod(0o600)
        node.host.path(AUTHKEY).write_bytes(new)
        node.host.path(AUTHKEY).chmod(0o400)
    one, two, _ = cluster.nodes
    one.host.run("corosync-cfgtool", "-R", check=True)
    assert "= 1\n" in one.host.run("corosync-cmapctl", "-g", "config.reload_status", check=True).stdout
    # Who starts now knows the new key only.
    two.stop()
    two.start()
    cluster.wait_whole()
    assert "disconnected" not in one.host.run("corosync-cfgtool", "-s", check=True).stdout


def test_scripts_find_the_process_by_its_name(cluster: Cluster) -> None:
    host = cluster.lab[1]
    pid = host.path("/run/corosync.pid").read_text().strip()
    assert host.run("pidof", "corosync").stdout.split() == [pid]
    assert host.run("pgrep", "-x", "corosync").stdout.split() == [pid]
    assert host.run("ps", "-o", "comm=,args=", "-p", pid).stdout.split() == ["corosync", "corosync", "-f"]
    assert host.run("ps", "-C", "corosync", "-o", "pid=").stdout.split() == [pid]
    assert host.run("/etc/init.d/corosync", "status").stdout == f"corosync is running (pid {pid})\n"


def test_a_user_who_is_let_in_may_use_the_tools_and_the_library(cluster: Cluster) -> None:
    host = cluster.lab[1]
    ask = ("setpriv", "--reuid=hacluster", "--regid=haclient", "--clear-groups")
    # Pacemaker has let its group in.
    assert "Quorate:          Yes" in host.run(*ask, "corosync-quorumtool", "-s", check=True).stdout
    program = "from pycorosync.client.quorum import Quorum; print(Quorum().is_quorate())"
    assert host.run(*ask, "/usr/bin/python3", "-I", "-c", program, check=True).stdout == "True\n"
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    assert host.run(*nobody, "corosync-quorumtool", "-s").returncode == 1


def test_the_notifier_and_the_simulator_come_in_packages_of_their_own(cluster: Cluster, ours: Path) -> None:
    host = cluster.lab[1]
    for tool in ("corosync-notifyd", "corosync-vqsim"):
        assert host.run("sh", "-c", f"command -v {tool}").returncode
    removed, added = swap(host, *bring(host, ours, "pycorosync-notifyd", "pycorosync-vqsim"))
    assert not removed
    assert {"pycorosync-notifyd", "pycorosync-vqsim"} <= added
    notifier = host.spawn("corosync-notifyd", "-f", "-o")

    def tells() -> bool:
        host.run("corosync-cmapctl", "-g", "totem.version")
        return "corosync-cmapct is now connected" in notifier.output() or not notifier.running

    wait_until(tells, "corosync-notifyd to tell of a client")
    assert notifier.running, notifier.output()
    assert notifier.stop() == 0
    shown = host.run("corosync-vqsim", text="show\nexit\n")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^0:1: q=1 ring=\[1\.\w+\] nodes=\[1 2 3\]$", shown.stdout, re.MULTILINE)
    removed, _ = swap(host, "corosync-notifyd-", "pycorosync-notifyd-", "pycorosync-vqsim-")
    assert removed == {"pycorosync-notifyd", "pycorosync-vqsim"}


def test_manual_pages_are_shown_without_warnings(cluster: Cluster) -> None:
    host = cluster.lab[1]
    apt(host, "install", "man-db")
    pages = [
        path
        for path in host.path("/usr/share/man").glob("man?/*")
        if re.match("corosync|cmap_k|votequ", path.name)
    ]
    assert len(pages) >= 11
    for page in pages:
        shown = "/" + str(page.relative_to(host.path("/")))
        done = host.run("man", "--warnings", "-l", shown, env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        assert (done.returncode, done.stderr) == (0, ""), shown
        assert "SEE ALSO" in done.stdout


def test_purging_the_other_package_leaves_a_running_node_alone(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    assert node.engine is not None
    before = {name: data for name, data in node.kept().items() if not name.startswith("ringid")}
    assert status_of(node.host, "corosync") == "rc"
    with_network(node.host, "dpkg", "--purge", "corosync")
    assert status_of(node.host, "corosync") == "un"
    assert node.kept() == before
    # The number of the next ring is stored again, though the folder has gone.
    cluster.nodes[1].stop()
    wait_until(
        lambda: list(node.host.path("/var/lib/corosync").glob("ringid_*")), "the ring's number to be stored"
    )
    assert node.engine.running
    cluster.nodes[1].start()
    cluster.wait_whole()


def test_the_distributions_corosync_comes_back(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    node.stop()
    before = node.kept()
    removed, added = swap(node.host, "corosync")
    assert removed == {"pycorosync"}
    assert added - {"corosync"} == set()
    assert node.kept() == before
    assert "pycorosync" not in node.version()
    # What is left of our package goes, and takes nothing with it.
    with_network(node.host, "dpkg", "--purge", "pycorosync")
    assert node.kept() == before
    assert not with_network(node.host, "dpkg-divert", "--list", "*corosync*").stdout
    node.start(REAL)
    cluster.wait_whole()


def test_the_purge_of_the_last_engine_leaves_the_key_only(cluster: Cluster) -> None:
    node = cluster.nodes[2]
    node.stop()
    with_network(node.host, "dpkg", "--purge", "corosync")
    with_network(node.host, "dpkg", "--force-depends", "--purge", "pycorosync")
    left = [node.host.path(path) for path in (*KEPT, "/var/lib/corosync", "/var/log/corosync")]
    assert [path.name for path in left if path.exists()] == ["authkey"]


def test_a_host_that_never_had_corosync_gets_a_configuration_that_works(ours: Path) -> None:
    with Lab(1, root=root_of("bookworm")) as lab:
        host = lab[1]
        apt(host, "purge", "corosync", "pacemaker", "corosync-qdevice")
        apt(host, "install", *bring(host, ours))
        process = host.spawn("/usr/sbin/corosync", "-f")
        INSTALLED.wait_ready(host, process)
        assert "Quorate:          Yes" in host.run("corosync-quorumtool", "-s", check=True).stdout
        assert process.stop() == 0
        # And through the init script.
        host.run("/etc/init.d/corosync", "start", check=True)
        assert host.run("/etc/init.d/corosync", "status").returncode == 0
        host.run("/etc/init.d/corosync", "restart", check=True)
        host.run("/etc/init.d/corosync", "stop", check=True)
        assert host.run("/etc/init.d/corosync", "status").returncode == 3


def test_debian_13_runs_its_pacemaker_on_it() -> None:
    folder = packages("trixie")
    assert not [line for line in (folder / "report").read_text().splitlines() if line.startswith("E:")]
    with Lab(3, links=2, root=root_of("trixie")) as lab:
        for host in lab.hosts:
            removed, _ = swap(host, *bring(host, folder))
            assert removed == {"corosync"}
        configured(lab).start(INSTALLED)
        assert "Pacemaker 3." in lab[1].run("pacemakerd", "--version").stdout
        assert "Online: [ n1 n2 n3 ]" in crm_mon(lab[1])
