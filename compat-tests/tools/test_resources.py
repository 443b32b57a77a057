"""mon and wd of both on the same host, with a watchdog that notes what is asked of it."""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from lab.engine import CONF

HERE = Path(__file__).parent
LOG = "/var/log/corosync/corosync.log"
LOADED = """resources {
  watchdog_device: /run/watchdog
  watchdog_timeout: 2
  system {
    memory_used {
      max: 90
      recovery: none
    }
    load_15min {
      max: 0.000001
      recovery: none
    }
  }
}
"""


def start(engine: Engine, host: Host, resources: str) -> Process:
    """The daemon with the test's watchdog before it."""
    library = host.directory / "dog.so"
    source = str(HERE / "dog.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-o", str(library), source, "-ldl"], check=True)
    host.write(CONF, resources)
    host.shell("touch /run/watchdog")
    process = host.spawn("env", f"LD_PRELOAD={library}", *engine.daemon("-f", "-c", CONF))
    engine.wait_ready(host, process)
    return process


def lines(host: Host) -> list[str]:
    """What mon and wd have logged, in the order of the alphabet: samples come a moment later with us."""
    text = host.path(LOG).read_text()
    found = re.findall(r"corosync (\w+ +\[(?:MON|WD) *\] .*)", text)
    return sorted(found)


def asked(host: Host) -> list[str]:
    """What the watchdog was told but for the tickling."""
    return host.shell("grep -Ev 'support|tickle' /run/dog").stdout.splitlines()


def keys(host: Host) -> dict[str, str]:
    text = host.run("/usr/sbin/corosync-cmapctl", "resources.").stdout
    return dict(re.findall(r"^resources\.(\S+) (\(\w+\) = .*)$", text, re.MULTILINE))


def loaded(engine: Engine) -> dict[str, object]:
    """One life with both services at work."""
    story: dict[str, object] = {}
    with Lab(hosts=1) as lab:
        host = lab[1]
        process = start(engine, host, corosync_conf(lab, logging={"debug": "on"}) + LOADED)
        wait_until(lambda: host.shell("cat /run/dog").stdout.count("tickle") >= 3, "three ticklings")
        host.shell("corosync-cmapctl -s resources.watchdog_timeout u32 3")
        host.shell("corosync-cmapctl -s resources.watchdog_timeout u32 1")
        host.shell("corosync-cmapctl -s resources.system.memory_used.max str 0")
        for name in ("load_15min", "memory_used"):
            failed = f'none resource "{name}" failed'
            wait_until(lambda text=failed: text in host.path(LOG).read_text(), failed)  # type: ignore[misc]
        host.shell("corosync-cmapctl -s resources.system.memory_used.max str abc")
        story["keys"] = keys(host)
        story["status"] = process.stop()
        story["log"] = lines(host)
        story["asked"] = asked(host)
        story["closed"] = host.shell("cat /run/watchdog").stdout
    return story


@cache
def real() -> dict[str, object]:
    return loaded(REAL)


def number(text: object) -> float:
    return float(str(text).rpartition(" ")[2])


@pytest.mark.long
def test_both_watch_the_host_alike() -> None:
    found, wanted = loaded(OURS), dict(real())
    for story in (found, wanted):
        values = story["keys"]
        assert isinstance(values, dict)
        story["memory"] = number(values.pop("system.memory_used.current"))
        story["load"] = number(values.pop("system.load_15min.current"))
        for name in ("memory_used", "load_15min"):
            # ns since the machine was started
            assert number(values.pop(f"system.{name}.last_updated")) > 1e9
    assert abs(number(found.pop("memory")) - number(wanted.pop("memory"))) <= 3
    assert abs(number(found.pop("load")) - number(wanted.pop("load"))) < 5
    assert found == wanted
    assert found["closed"] == "V"


@pytest.mark.parametrize("engine", [OURS, pytest.param(REAL, marks=pytest.mark.long)], ids=repr)
def test_a_process_that_fails_stops_the_tickling(engine: Engine) -> None:
    with Lab(hosts=1) as lab:
        host = lab[1]
        resources = "resources {\n  watchdog_device: /run/watchdog\n  watchdog_timeout: 2\n}\n"
        process = start(engine, host, corosync_conf(lab) + resources)
        for key, value in (("recovery", "str quit"), ("poll_period", "u64 500"), ("last_updated", "u64 1")):
            host.shell(f"corosync-cmapctl -s resources.process.77.{key} {value}")
        host.shell("corosync-cmapctl -s resources.process.77.state str running")
        wait_until(lambda: "NOT tickling the watchdog!" in host.path(LOG).read_text(), "the tickling to end")
        log = host.path(LOG).read_text()
        assert re.search(r"error +\[WD    \] last_updated \d+ ms too late, period:500\.\n", log)
        assert 'crit    [WD    ] quit resource "77" failed!\n' in log
        assert re.search(r"alert +\[WD    \] NOT tickling the watchdog!\n", log)
        process.kill()
        # Not closed: a real watchdog would reset the host now.
        assert host.shell("cat /run/watchdog").stdout == ""


@pytest.mark.long
@pytest.mark.parametrize("device", ["/run/none", "off", "/run"])
def test_a_device_that_is_not_there(device: str) -> None:
    said = {}
    for engine in (REAL, OURS):
        with Lab(hosts=1) as lab:
            resources = f"resources {{\n  watchdog_device: {device}\n}}\n"
            start(engine, lab[1], corosync_conf(lab) + resources)
            said[engine] = lines(lab[1])
    assert said[OURS] == said[REAL]
    assert any(shlex.quote(device) in line or "disabled" in line for line in said[REAL])
