"""The distribution's Pacemaker, pcs and crmsh on a cluster of one: one script for both implementations."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from lab.pacemaker import LIMIT_S, Pacemaker, crm_mon


@dataclass
class Cluster:
    host: Host
    engine: Engine
    daemon: Process
    pacemaker: Pacemaker


@pytest.fixture(scope="module", params=[pytest.param(REAL, marks=pytest.mark.long), OURS], ids=repr)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """n1 online, with one Dummy resource that runs."""
    engine = request.param
    with Lab(hosts=1) as lab:
        daemon = engine.start(lab[1], corosync_conf(lab))
        engine.install_tools(lab[1])
        pacemaker = Pacemaker(lab[1])
        pacemaker.wait_online()
        pacemaker.add_dummy()
        pacemaker.wait_where("n1")
        yield Cluster(lab[1], engine, daemon, pacemaker)


def test_the_node_is_online_and_coordinates(cluster: Cluster) -> None:
    text = crm_mon(cluster.host)
    assert "Online: [ n1 ]" in text
    assert "Current DC: n1" in text
    assert "partition with quorum" in text


def test_every_daemon_of_pacemaker_joins_its_group(cluster: Cluster) -> None:
    text = cluster.host.run("corosync-cpgtool").stdout
    for name in ("crmd", "attrd", "stonith-ng", "cib"):
        assert f"{name}\\x00" in text
    assert text.count("(10.77.0.1)") == 4


def test_ban_and_clear(cluster: Cluster) -> None:
    cluster.pacemaker.run("crm_resource", "--resource", "demo", "--ban", "--node", "n1")
    cluster.pacemaker.wait_where("")
    cluster.pacemaker.run("crm_resource", "--resource", "demo", "--clear")
    cluster.pacemaker.wait_where("n1")


def test_standby_and_back(cluster: Cluster) -> None:
    cluster.pacemaker.run("crm_standby", "--node", "n1", "--update", "on")
    cluster.pacemaker.wait_where("")
    cluster.pacemaker.run("crm_standby", "--node", "n1", "--delete")
    cluster.pacemaker.wait_where("n1")


def test_pcs_and_crmsh_show_the_cluster(cluster: Cluster) -> None:
    status = cluster.host.run("pcs", "status", "--full")
    assert status.returncode == 0, status.stderr
    assert "Node n1 (1): online" in status.stdout
    quorum = cluster.host.run("pcs", "quorum", "status")
    assert quorum.returncode == 0, quorum.stderr
    assert "Quorate:          Yes" in quorum.stdout
    status = cluster.host.run("crm", "status")
    assert status.returncode == 0, status.stderr
    assert "Online: [ n1 ]" in status.stdout


def test_pacemaker_vetoes_an_orderly_shutdown(cluster: Cluster) -> None:
    done = cluster.host.run("corosync-cfgtool", "-H")
    assert "Could not shutdown (error = 10)" in done.stderr
    assert done.returncode == 0
    assert cluster.daemon.running


def test_other_users_are_kept_out_and_hacluster_is_let_in(cluster: Cluster) -> None:
    question = "/usr/sbin/corosync-cmapctl -g totem.version"
    refused = cluster.host.shell(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {question}")
    assert refused.returncode == 1
    assert "CS_ERR_ACCESS" in refused.stderr
    # Pacemaker has set uidgid.gid.<haclient> in the map.
    allowed = cluster.host.shell(f"setpriv --reuid=hacluster --regid=haclient --clear-groups {question}")
    assert allowed.stdout == "totem.version (u32) = 2\n", allowed.stderr


def test_survives_a_crash_and_restart_of_the_daemon(cluster: Cluster) -> None:
    cluster.daemon.kill()
    # What the crash left in /dev/shm and /run must not be in the way.
    conf = cluster.host.path("/etc/corosync/corosync.conf").read_text()
    cluster.daemon = cluster.engine.start(cluster.host, conf)
    if not cluster.pacemaker.process.running:
        cluster.pacemaker = Pacemaker(cluster.host)
    cluster.pacemaker.wait_online()
    cluster.pacemaker.wait_where("n1")


def test_stops_in_order(cluster: Cluster) -> None:
    # Last: ends the cluster.
    assert cluster.pacemaker.stop() == 0
    groups = "corosync-cpgtool -n"
    wait_until(
        lambda: cluster.host.shell(groups).stdout.strip() in ("", "Group Name"), "groups to be empty", LIMIT_S
    )
    done = cluster.host.run("corosync-cfgtool", "-H")
    assert done.returncode == 0, done.stderr
    assert cluster.daemon.wait() == 0
