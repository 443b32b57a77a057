"""Both corosync-notifyd on one host, told of the same events: their log, D-Bus signals, and SNMP traps."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until

# Other clients are those that the test itself needs, and both of them.
TOLD = re.compile(r"ip:|quorate|quorum|link|corosync-cpgtoo")
USAGES = ("-h", "", "-z", "-m", "-o", "-f", "-f -o", "-f -l", "-f -o -l", "-l", "-f -x -l", "-fln")


def bus_of(host: Host) -> Process:
    """A system bus, and a client that prints its signals."""
    host.shell("mkdir -p /run/dbus && dbus-daemon --config-file=/usr/share/dbus-1/system.conf --fork")
    client = host.spawn("dbus-monitor", "--system", "interface=org.corosync")
    wait_until(lambda: "member=NameAcquired" in client.output(), "the bus to answer")
    return client


def manager_of(host: Host) -> Process:
    """An SNMP manager that prints the traps."""
    options = ("-f", "-Lo", "-On", "-m", "", "-C", "--disableAuthorization=yes", "-F", "%P|%v\n")
    process = host.spawn("snmptrapd", *options, "udp:127.0.0.1:162")
    wait_until(lambda: host.shell("ss -Hlnu sport = 162").stdout, "the manager to listen")
    return process


def notifyd(engine: Engine, host: Host, *options: str) -> Process:
    process = host.spawn(*engine.tool("corosync-notifyd"), "-f", "-o", *options)

    def listens() -> bool:
        # It has told of a client that came after it.
        host.run("/usr/sbin/corosync-cmapctl", "-g", "totem.version")
        return "corosync-cmapct is now connected" in process.output() or not process.running

    wait_until(listens, "corosync-notifyd to listen")
    assert process.running, process.output()
    return process


@contextmanager
def scene(daemon: Engine) -> Iterator[tuple[Lab, dict[Engine, Process], Process, Process]]:
    """A host with a bus, a manager and both daemons; a second host for something to happen."""
    with Lab(hosts=2) as lab:
        host = lab[1]
        daemon.start(host, corosync_conf(lab))
        bus, manager = bus_of(host), manager_of(host)
        both = {
            engine: notifyd(engine, host, "-d", "-m", "127.0.0.1", "-c", repr(engine))
            for engine in (REAL, OURS)
        }
        yield lab, both, bus, manager


def happen(lab: Lab, both: dict[Engine, Process]) -> None:
    """A node comes, a client of ours comes and goes, an odd state is set, the node dies."""

    def told(text: str) -> None:
        wait_until(lambda: all(text in one.output() for one in both.values()), f"both to tell: {text}")

    conf = corosync_conf(lab)
    peer = REAL.start(lab[2], conf)
    told("] ip:10.77.0.2 joined")
    told("] is now quorate")
    told("link 0 to node 2 is now operational")
    lab[1].run("/usr/sbin/corosync-cpgtool")
    told(".corosync-cpgtoo is now disconnected from corosync")
    lab[1].run("/usr/sbin/corosync-cmapctl", "-s", "runtime.members.2.status", "str", "odd %d state")
    told("odd %d state")
    peer.kill()
    told("link 0 to node 2 is now disconnected")
    told("] has lost quorum")
    told("] ip:10.77.0.2 left")


def log_of(process: Process) -> list[str]:
    """What it has told of the second node and of one client. The services are heard in no fixed order."""
    return sorted(line for line in process.output().splitlines() if TOLD.search(line))


def signals_of(bus: Process, sender: str) -> list[str]:
    """The signals of one sender, without the clients, which the log has shown."""
    found = re.findall(rf"sender={sender} .*?path=(\S+; \S+ member=\w+)\n((?:   .*\n)*)", bus.output())
    return sorted(f"{place} {text}" for place, text in found if "ConnectionState" not in place)


@pytest.mark.parametrize("daemon", [OURS, pytest.param(REAL, marks=pytest.mark.long)], ids=repr)
def test_both_tell_the_same(daemon: Engine) -> None:
    with scene(daemon) as (lab, both, bus, manager):
        happen(lab, both)
        assert log_of(both[OURS]) == log_of(both[REAL])
        senders = sorted(set(re.findall(r"sender=(:1\.\d+) ", bus.output())))
        signals = [signals_of(bus, sender) for sender in senders if signals_of(bus, sender)]
        assert len(signals) == 2
        assert signals[0] == signals[1]
        assert len(signals[0]) >= 7
        # The last to come, in no fixed order either.
        for word in ("left", "not quorate", "disconnected"):
            wait_until(lambda text=f'"{word}"': manager.output().count(text) >= 2, f"traps about {word}")  # type: ignore[misc]
        traps = {engine: traps_of(manager, engine) for engine in both}
        assert traps[OURS] == traps[REAL]
        assert len(traps[OURS]) >= 7
        # The daemon goes: so do they, with a word.
        statuses, last = set(), set()
        lab[1].run("/usr/sbin/corosync-cfgtool", "-H")
        for process in both.values():
            statuses.add(process.wait())
            last.add(re.findall(r"\[error\] (.*)", process.output())[-1])
        assert statuses == {1}
        assert last <= {f"Could not dispatch {name} events. Error 2" for name in ("cmap", "quorum")}


def traps_of(manager: Process, engine: Engine) -> list[str]:
    """The traps of one community, without their time."""
    lines = [line for line in manager.output().splitlines() if f"community {engine!r}" in line]
    return sorted(re.sub(r"Timeticks: \([^\t]*", "Timeticks", line.partition("|")[2]) for line in lines)


@pytest.mark.long
def test_names_and_numbers(our_host: Host) -> None:
    """-n shows the address, without it the name is looked up; a signal ends it well."""
    options = {"named": (), "numeric": ("-n",)}
    for engine in (REAL, OURS):
        for kind, more in options.items():
            process = notifyd(engine, our_host, *more)
            our_host.run("/usr/sbin/corosync-cmapctl", "-s", "runtime.members.1.status", "str", kind)
            wait_until(lambda p=process, k=kind: f" {k}\n" in p.output(), "the change to be told")  # type: ignore[misc]
            name = "n1" if kind == "named" else "10.77.0.1"
            assert f"[notice] {name}[1] ip:10.77.0.1 {kind}\n" in process.output()
            assert process.stop() == 0


def test_options_and_what_goes_wrong_without_a_daemon() -> None:
    with Lab(hosts=1) as lab:
        answers = {}
        for engine in (REAL, OURS):
            engine.install_tools(lab[1])
            for options in USAGES:
                done = lab[1].shell(f"corosync-notifyd {options}")
                err = "".join(line for line in done.stderr.splitlines(True) if not line.startswith("[debug]"))
                answers[engine, options] = (done.returncode, done.stdout, err)
        for options in USAGES:
            assert answers[OURS, options] == answers[REAL, options], options


@pytest.mark.long
def test_without_a_bus_or_a_manager_it_goes_on(our_host: Host) -> None:
    said = {}
    for engine in (REAL, OURS):
        process = notifyd(engine, our_host, "-d", "-s")
        assert process.running
        said[engine] = re.findall(r"\[error\] (dbus_bus_get: |Could not send|configured)", process.output())
        assert process.stop() == 0
    # The distribution's tells nobody that it reaches no bus.
    assert said == {REAL: ["configured"], OURS: ["configured", "dbus_bus_get: "]}


# A /dev of one's own, with a syslog that prints what it gets.
SYSLOG = """
mkdir -p /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs lab /dev
for file in /run/dev/*; do ln -s "$file" /dev/; done
/usr/bin/python3 -u -c '
import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
while True:
    print("SYSLOG", log.recv(4096).decode())
' &
until [ -S /dev/log ]; do sleep 0.1; done
exec "$@"
"""


@pytest.mark.long
def test_the_system_log(our_host: Host) -> None:
    lines = {}
    for engine in (REAL, OURS):
        command = [*engine.tool("corosync-notifyd"), "-f", "-l", "-n"]
        process = our_host.spawn("unshare", "-m", "sh", "-c", SYSLOG, "sh", *command)

        def told(text: str, process: Process = process) -> bool:
            our_host.run("/usr/sbin/corosync-cmapctl", "-s", "runtime.members.1.status", "str", text)
            return f"] ip:10.77.0.1 {text}" in process.output()

        wait_until(lambda t=told: t("once") or t("twice"), "a line in the system log")  # type: ignore[misc]
        found = re.findall(r"SYSLOG (<\d+>).{16}(notifyd)\[\d+\](: .* ip:.*)", process.output())
        lines[engine] = found[0][:2], re.sub("once|twice", "<state>", found[0][2])
        process.stop()
    assert lines[OURS] == lines[REAL] == (("<29>", "notifyd"), ": [notice] 10.77.0.1[1] ip:10.77.0.1 <state>")
