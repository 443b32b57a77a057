"""The service under a real systemd: installed over a running corosync, stopped, killed, taken back."""

import shutil
from collections.abc import Iterator

import pytest
from lab import wait_until

from packages.booted import SUITES, Booted
from packages.roots import CHECKOUT, packages, root_of

pytestmark = pytest.mark.packages

KEPT = ("/etc/corosync/corosync.conf", "/etc/corosync/authkey", "/etc/default/corosync")


@pytest.fixture(scope="module", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def container(suite: str) -> Iterator[Booted]:
    """A node of one, on which the distribution's corosync and Pacemaker run as services."""
    with Booted(root_of(suite)) as container:
        shutil.copyfile(CHECKOUT / "conf/corosync.conf", container.path(KEPT[0]))
        container.path(KEPT[1]).write_bytes(bytes(256))
        container.path(KEPT[1]).chmod(0o400)
        container.run("systemctl", "enable", "corosync", "pacemaker", check=True)
        container.run("systemctl", "restart", "corosync", "pacemaker", check=True)
        assert "pycorosync" not in container.run("corosync", "-v").stdout
        yield container


def states(container: Booted, *units: str) -> list[str]:
    return container.run("systemctl", "is-active", *units).stdout.split()


def show(container: Booted, name: str) -> str:
    return container.run("systemctl", "show", "corosync", "--value", "--property", name).stdout.strip()


def kept(container: Booted) -> dict[str, bytes]:
    return {path: container.path(path).read_bytes() for path in KEPT}


def install(container: Booted, *what: str) -> None:
    container.with_network("apt-get", "-y", "install", *what)


def test_it_takes_the_place_of_the_running_service(container: Booted, suite: str) -> None:
    before = kept(container)
    place = container.path("/root/packages")
    place.mkdir()
    for package in packages(suite).glob("*pycorosync_*.deb"):
        shutil.copyfile(package, place / package.name)
    install(container, *(f"/root/packages/{path.name}" for path in sorted(place.iterdir())))
    assert states(container, "corosync") == ["active"]
    assert container.run("systemctl", "is-enabled", "corosync").stdout == "enabled\n"
    assert "pycorosync" in container.run("corosync", "-v").stdout
    assert kept(container) == before
    container.run("systemctl", "start", "pacemaker", check=True)
    assert states(container, "corosync", "pacemaker") == ["active", "active"]
    wait_until(lambda: "Online: [ localhost ]" in container.run("crm_mon", "-1").stdout, "Pacemaker", 120)


def test_the_unit_is_verified_and_shut_in(container: Booted) -> None:
    done = container.run("systemd-analyze", "verify", "--man=no", "corosync.service")
    assert done.returncode == 0
    assert "corosync.service" not in done.stdout + done.stderr
    status = container.path(f"/proc/{show(container, 'MainPID')}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_processes_and_files_are_where_scripts_look_for_them(container: Booted) -> None:
    pid = show(container, "MainPID")
    assert show(container, "Type") == "notify"
    assert show(container, "SubState") == "running"
    assert container.path("/run/corosync.pid").read_text() == f"{pid}\n"
    for command in (
        ("pidof", "corosync"),
        ("pgrep", "-x", "corosync"),
        ("ps", "-C", "corosync", "-o", "pid="),
    ):
        assert container.run(*command).stdout.split() == [pid], command
    assert container.run("ps", "-o", "args=", "-p", pid).stdout == "corosync -f\n"
    log = container.path("/var/log/corosync/corosync.log").read_text()
    assert "Traceback" not in log


def test_stop_leaves_the_cluster_in_an_orderly_way(container: Booted) -> None:
    log = container.path("/var/log/corosync/corosync.log")
    container.run("systemctl", "stop", "corosync", check=True)
    # Pacemaker requires it.
    assert states(container, "corosync", "pacemaker") == ["inactive", "inactive"]
    assert show(container, "Result") == "success"
    lines = log.read_text().splitlines()
    assert any("was shut down by sysadmin" in line for line in lines[-40:])
    assert "exiting normally" in lines[-1]
    assert not container.path("/run/corosync.pid").exists()


def test_start_restart_and_a_crash(container: Booted) -> None:
    container.run("systemctl", "start", "corosync", check=True)
    container.run("systemctl", "restart", "corosync", check=True)
    container.run("kill", "-KILL", show(container, "MainPID"), check=True)
    wait_until(lambda: states(container, "corosync") == ["failed"], "systemd to see that it has died")
    container.run("systemctl", "start", "corosync", check=True)
    assert states(container, "corosync") == ["active"]


def test_a_faulty_configuration_fails_the_start_and_tells_why(container: Booted) -> None:
    path = container.path(KEPT[0])
    good = path.read_text()
    path.write_text(good.replace("version: 2", "version: 1"))
    assert container.run("systemctl", "restart", "corosync").returncode != 0
    assert show(container, "ExecMainStatus") == "8"
    path.write_text(good)
    container.run("systemctl", "start", "corosync", check=True)


def test_the_log_is_rotated(container: Booted) -> None:
    log = container.path("/var/log/corosync/corosync.log")
    container.run("logrotate", "--force", "/etc/logrotate.d/corosync", check=True)
    container.run("systemctl", "start", "pacemaker", check=True)
    assert log.with_suffix(".log.1.gz").exists()
    container.run("corosync-cfgtool", "-R", check=True)
    wait_until(lambda: log.exists() and "reload" in log.read_text(), "the new log to be written")


def test_the_purge_of_the_other_package_does_not_stop_it(container: Booted) -> None:
    before = kept(container)
    pid = show(container, "MainPID")
    container.with_network("dpkg", "--purge", "corosync")
    assert kept(container) == before
    assert (show(container, "MainPID"), states(container, "corosync")) == (pid, ["active"])
    container.run("systemctl", "restart", "corosync", check=True)


def test_the_distributions_corosync_comes_back(container: Booted) -> None:
    before = kept(container)
    # The other package was purged and so sees its configuration for the first time: dpkg asks about it.
    install(container, "-o", "Dpkg::Options::=--force-confold", "corosync")
    assert kept(container) == before
    assert "pycorosync" not in container.run("corosync", "-v").stdout
    assert states(container, "corosync") == ["active"]
