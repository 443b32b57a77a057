"""corosync-notifyd's options, and what it makes of the daemon's events (pycorosync/tools/notifyd.py)."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pycorosync.client import session
from pycorosync.client.connection import LibraryError
from pycorosync.client.quorum import Event, Model, QuorumChanged, TrackFlags
from pycorosync.cmap.store import ValueType
from pycorosync.cs_error import CsError
from pycorosync.tools import notifyd
from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, NotifyEvent, QuorumEvent
from pycorosync.tools.notifyd import Failure, Log, Settings, Watcher, main, read_settings
from pycorosync.types import RingId
from tests.client.cmap_daemon import FakeDaemon

RING = RingId(0, 4)


class FakeQuorum:
    """The quorum client."""

    events: list[Event]
    fault: LibraryError | None = None

    def __init__(self, model: Model) -> None:
        if self.fault:
            raise self.fault
        assert model is Model.V0
        self.events = []
        FakeQuorum.last = self

    last: "FakeQuorum"

    def __enter__(self) -> "FakeQuorum":
        return self

    def __exit__(self, *_: object) -> None: ...

    def fileno(self) -> int:
        return 1_000_000

    def track_start(self, flags: TrackFlags) -> None:
        assert flags is TrackFlags.CHANGES_ONLY

    def receive(self, _timeout_s: float) -> Event | None:
        return self.events.pop(0) if self.events else None


class FakeCfg:
    """The cfg client."""

    def __enter__(self) -> "FakeCfg":
        return self

    def __exit__(self, *_: object) -> None: ...

    def local_node_id(self) -> int:
        return 1


class Collector:
    """A notifier."""

    def __init__(self) -> None:
        self.events: list[NotifyEvent] = []

    def notify(self, event: NotifyEvent) -> None:
        self.events.append(event)

    def close(self) -> None: ...


class Setting:
    """A watcher of a daemon that is not one."""

    def __init__(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.daemon = FakeDaemon()
        self.now_ns = 0
        self.cmap = self.daemon.cmap
        monkeypatch.setattr(session, "Connection", self.daemon.connect)
        monkeypatch.setattr(notifyd, "Quorum", FakeQuorum)
        monkeypatch.setattr(notifyd, "Cfg", FakeCfg)
        monkeypatch.setattr(socket, "gethostname", lambda: "here")
        monkeypatch.setattr(socket, "getnameinfo", lambda address, _flags: (f"name-of-{address[0]}", ""))
        self.figures: dict[str, tuple[ValueType, int | str]] = {
            "stats.knet.node2.link0.connected": (ValueType.UINT8, 1)
        }
        self.daemon.stats.add(lambda: [(key, *value) for key, value in self.figures.items()])
        self.heard = Collector()
        self.settings = Settings()
        self.watcher = Watcher(self.settings, Log(prints=False), [self.heard])
        self.watcher.connect(stack)

    def events(self) -> list[NotifyEvent]:
        self.now_ns += 10**12
        self.daemon.service.on_timer(self.now_ns)
        self.daemon.pump()
        for descriptor in self.watcher.descriptors:
            self.watcher.dispatch(descriptor)
        found, self.heard.events = self.heard.events, []
        return found


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(stack, monkeypatch)


@pytest.fixture(autouse=True)
def no_syslog(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []
    monkeypatch.setattr("syslog.syslog", lambda _priority, text: written.append(text))
    monkeypatch.setattr("syslog.openlog", lambda *_: None)
    return written


def test_members(setting: Setting, no_syslog: list[str]) -> None:
    setting.cmap.set_str("runtime.members.2.ip", "r(0) ip(192.0.2.1) r(1) ip(fd77::2) ")
    setting.cmap.set_str("runtime.members.2.status", "joined")
    setting.cmap.set_u32("runtime.members.2.join_count", 2)
    assert setting.events() == [NodeEvent("name-of-fd77::2", 2, "joined", "fd77::2")]
    setting.settings.numeric = True
    setting.cmap.set_str("runtime.members.2.status", "left")
    assert setting.events() == [NodeEvent("fd77::2", 2, "left", "fd77::2")]
    setting.cmap.set_str("runtime.members.3.status", "joined")  # without an address
    setting.cmap.set_str("runtime.members.4.ip", "nonsense")
    setting.cmap.set_str("runtime.members.4.status", "joined")
    assert setting.events() == []
    assert no_syslog == ["[error] ip_str: nonsense"]


def test_an_address_without_a_name(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, no_syslog: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getnameinfo", refuse)
    setting.cmap.set_str("runtime.members.2.ip", "r(0) ip(192.0.2.1) ")
    setting.cmap.set_str("runtime.members.2.status", "joined")
    assert setting.events() == [NodeEvent("192.0.2.1", 2, "joined", "192.0.2.1")]
    assert no_syslog == ["[error] error looking up 192.0.2.1 : Temporary failure in name resolution"]


def test_quorum(setting: Setting) -> None:
    heard = []
    for quorate in (True, True, False):
        FakeQuorum.last.events = [QuorumChanged(quorate, RING, (1,))]
        heard += setting.events()
    assert heard == [QuorumEvent("here", 1, "quorate"), QuorumEvent("here", 1, "not quorate")]


def test_clients_and_links_come_and_go(setting: Setting) -> None:
    key = "stats.ipcs.service0.77.0x55.procname"
    setting.figures[key] = (ValueType.STRING, "crm_mon")
    setting.figures["stats.ipcs.service0.77.0x55.queued"] = (ValueType.UINT32, 0)
    assert setting.events() == [ClientEvent("here", 1, "0x55.77.crm_mon", "connected")]
    del setting.figures[key]
    setting.figures["stats.knet.node3.link1.connected"] = (ValueType.UINT8, 0)
    assert setting.events() == [ClientEvent("here", 1, "0x55.77.crm_mon", "disconnected")]
    setting.figures["stats.knet.node3.link1.connected"] = (ValueType.UINT8, 1)
    setting.figures["stats.knet.node2.link0.connected"] = (ValueType.UINT8, 0)
    assert setting.events() == [
        LinkEvent("here", 1, 2, 0, "disconnected"),
        LinkEvent("here", 1, 3, 1, "operational"),
    ]
    del setting.figures["stats.knet.node3.link1.connected"]
    assert setting.events() == []
    assert list(setting.watcher._links) == ["stats.knet.node2.link0.connected"]


def test_a_daemon_that_goes_or_is_busy(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(code: CsError) -> None:
        def refuse(*_: object) -> None:
            raise LibraryError(code)

        monkeypatch.setattr(FakeQuorum, "receive", refuse)

    receive(CsError.TRY_AGAIN)
    assert setting.events() == []
    receive(CsError.LIBRARY)
    with pytest.raises(Failure, match=r"^Could not dispatch quorum events\. Error 2$"):
        setting.events()


def test_without_quorum_the_rest_is_told(monkeypatch: pytest.MonkeyPatch, no_syslog: list[str]) -> None:
    monkeypatch.setattr(FakeQuorum, "fault", LibraryError(CsError.NOT_EXIST))
    with ExitStack() as stack:
        setting = Setting(stack, monkeypatch)
        assert len(setting.watcher.descriptors) == 2
    assert no_syslog == ["[error] Could not connect to corosync(quorum)"]


# --- the command line


def test_options() -> None:
    assert read_settings(["-flsn", "-c", "x"]) == Settings(
        foreground=True, log=True, snmp=True, numeric=True, community="x"
    )
    assert read_settings(["-om", "h", "-d"]) == Settings(
        log=True, print_events=True, snmp=True, dbus=True, manager="h"
    )


@pytest.mark.parametrize(
    ("arguments", "log", "err"),
    [
        ([], "no event type enabled, see corosync-notifyd -h, exiting.", ""),
        (["-f"], "no event type enabled, see corosync-notifyd -h, exiting.", ""),
        (
            ["-o"],
            "configured to print to stdout and run in the background, exiting",
            "[error] configured to print to stdout and run in the background, exiting\n",
        ),
        (["-fl"], "Failed to initialize the cmap API. Error 2", ""),
        (
            ["-fo"],
            "Failed to initialize the cmap API. Error 2",
            "[error] Failed to initialize the cmap API. Error 2\n",
        ),
    ],
)
def test_what_ends_it_at_once(
    arguments: list[str],
    log: str,
    err: str,
    no_syslog: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(_name: str) -> None:
        raise LibraryError(CsError.LIBRARY)

    monkeypatch.setattr(session, "Connection", refuse)
    assert main(arguments) == 1
    assert no_syslog == [f"[error] {log}"]
    assert capsys.readouterr() == ("", err)


@pytest.mark.parametrize("arguments", [["-h"], ["-z"], ["-m"]])
def test_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(notifyd.USAGE + "\n")


@pytest.mark.parametrize(
    ("option", "module", "package", "what"),
    [("-d", "notify_dbus", "jeepney", "DBus signals"), ("-s", "notify_snmp", "pyasn1", "SNMP traps")],
)
def test_a_missing_library_is_named(
    option: str,
    module: str,
    package: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_syslog: list[str],
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"pycorosync.tools.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["-f", option]) == 1
    text = f'{what} need the Python package {package} (see the extra "notify"), exiting.'
    assert capsys.readouterr().err == f"corosync-notifyd: {text}\n"
    assert no_syslog == [f"[error] {text}"]


def test_both_traps_and_signals_are_doubted(no_syslog: list[str]) -> None:
    notifyd.check(Settings(snmp=True, dbus=True), Log(prints=False))
    assert no_syslog == ["[error] configured to send snmp traps and dbus signals - are you sure?."]


def test_systemd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"\0pycorosync-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:])
        notifyd._tell_systemd()
        assert manager.recv(100) == b"READY=1"
