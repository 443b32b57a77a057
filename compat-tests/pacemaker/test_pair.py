"""The distribution's Pacemaker on a cluster of two: one script for both implementations."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from lab import OURS, REAL, Engine, Lab, Process, corosync_conf, wait_until
from lab.pacemaker import LIMIT_S, Pacemaker, crm_mon


class Cluster(NamedTuple):
    lab: Lab
    engine: Engine
    daemons: list[Process]
    pacemakers: list[Pacemaker]


pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=[REAL, OURS], ids=repr)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """n1 and n2 online, with one Dummy resource that runs."""
    engine = request.param
    with Lab(hosts=2) as lab:
        conf = corosync_conf(lab, quorum={"two_node": 1, "wait_for_all": 0})
        daemons = [engine.start(host, conf) for host in lab.hosts]
        for host in lab.hosts:
            engine.install_tools(host)
        pacemakers = [Pacemaker(host) for host in lab.hosts]
        for pacemaker in pacemakers:
            pacemaker.wait_online("n1", "n2")
        pacemakers[0].add_dummy()
        wait_until(lambda: pacemakers[0].where(), "the resource to run", LIMIT_S)
        yield Cluster(lab, engine, daemons, pacemakers)


def test_nodes_come_online_and_choose_a_coordinator(cluster: Cluster) -> None:
    for host in cluster.lab.hosts:
        text = crm_mon(host)
        assert "Online: [ n1 n2 ]" in text
        assert "partition with quorum" in text


def test_every_daemon_of_pacemaker_joins_its_group(cluster: Cluster) -> None:
    text = cluster.lab[1].run("corosync-cpgtool", "-e").stdout
    for name in ("crmd", "attrd", "stonith-ng", "cib"):
        assert f"{name}\\x00" in text or f"{name}\0" in text
    assert text.count("(10.77.0.1)") == text.count("(10.77.0.2)") == 4


def test_move_ban_and_clear(cluster: Cluster) -> None:
    one = cluster.pacemakers[0]
    one.run("crm_resource", "--resource", "demo", "--move", "--node", "n2")
    one.wait_where("n2")
    one.run("crm_resource", "--resource", "demo", "--clear")
    one.run("crm_resource", "--resource", "demo", "--ban", "--node", "n2")
    one.wait_where("n1")
    one.run("crm_resource", "--resource", "demo", "--clear")


def test_standby_and_back(cluster: Cluster) -> None:
    one = cluster.pacemakers[0]
    home = one.where()
    other = "n2" if home == "n1" else "n1"
    one.run("crm_standby", "--node", home, "--update", "on")
    one.wait_where(other)
    one.run("crm_standby", "--node", home, "--delete")
    wait_until(lambda: "Online: [ n1 n2 ]" in crm_mon(cluster.lab[1]), "both nodes online again", LIMIT_S)


def test_pcs_and_crmsh_show_the_cluster(cluster: Cluster) -> None:
    host = cluster.lab[1]
    status = host.run("pcs", "status", "--full")
    assert status.returncode == 0, status.stderr
    assert "n1 (1)" in status.stdout
    assert "Online:" in status.stdout or "online" in status.stdout
    quorum = host.run("pcs", "quorum", "status")
    assert quorum.returncode == 0, quorum.stderr
    assert "Quorate:          Yes" in quorum.stdout
    status = host.run("crm", "status")
    assert status.returncode == 0, status.stderr
    assert "Online: [ n1 n2 ]" in status.stdout


def test_pacemaker_vetoes_an_orderly_shutdown(cluster: Cluster) -> None:
    done = cluster.lab[1].run("corosync-cfgtool", "-H")
    assert "Could not shutdown (error = 10)" in done.stderr
    assert done.returncode == 0
    assert cluster.daemons[0].running


def test_survives_a_crash_and_restart_of_the_daemon(cluster: Cluster) -> None:
    host = cluster.lab[2]
    cluster.daemons[1].kill()
    wait_until(lambda: "Online: [ n1 ]" in crm_mon(cluster.lab[1]), "n1 to see that n2 is gone", LIMIT_S)
    cluster.pacemakers[0].wait_where("n1")
    # pacemakerd keeps trying; what a crash left in /dev/shm and /run must not be in the way.
    cluster.daemons[1] = cluster.engine.start(host, host.path("/etc/corosync/corosync.conf").read_text())
    if not cluster.pacemakers[1].process.running:
        cluster.pacemakers[1] = Pacemaker(host)
    for pacemaker in cluster.pacemakers:
        pacemaker.wait_online("n1", "n2")


def test_stops_in_order(cluster: Cluster) -> None:
    # Last: ends the cluster.
    assert cluster.pacemakers[1].stop() == 0
    wait_until(lambda: "OFFLINE: [ n2 ]" in crm_mon(cluster.lab[1]), "n1 to see n2's Pacemaker stop", LIMIT_S)
    done = cluster.lab[2].run("corosync-cfgtool", "-H")
    assert done.returncode == 0, done.stderr
    assert cluster.daemons[1].wait() == 0
    joined = "runtime.members.2.status (str) = left"
    wait_until(lambda: joined in cluster.lab[1].run("corosync-cmapctl").stdout, "n1 to see n2 leave", LIMIT_S)
