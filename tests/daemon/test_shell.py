"""The interpreter of the node's outputs (pycorosync/daemon/shell.py)."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pycorosync.cmap.store import Store
from pycorosync.config.host import Lookup
from pycorosync.daemon.client_server import ClientServer
from pycorosync.daemon.logging import LogSystem
from pycorosync.daemon.process import ExitStatus, StartError
from pycorosync.daemon.shell import _ANY_CHANGE, ACTIONS, Shell
from pycorosync.node.node import Node
from pycorosync.node.outputs import Ready, SaveRingId
from pycorosync.services import outputs
from pycorosync.services.outputs import (
    DumpFlightData,
    ReadConfiguration,
    ReopenLogs,
    StopDaemon,
    StoreExpectedVotes,
)
from tests.nodes import SimulatedNode

SECOND = 1_000_000_000
NOW = 1000 * SECOND
# What the node deals with itself.
NOT_FOR_THE_SHELL = {
    outputs.Multicast,
    outputs.QuorumChanged,
    outputs.FinishRequest,
    outputs.ReconfigureCrypto,
}


class FakeLog(LogSystem):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[object] = []
        self.reopened = 0

    def change(self, running: Lookup) -> None:
        entry = running.get("logging.debug")
        self.changes.append(entry.value if entry else None)

    def reopen(self) -> None:
        self.reopened += 1


class Fixture:
    """A shell with a node whose services are loaded; no socket of a service is open."""

    def __init__(self, directory: Path) -> None:
        self.simulated = SimulatedNode()
        self.simulated.start()
        self.node = self.simulated.node
        self.node.outputs.clear()
        self.log = FakeLog()
        self.shell = Shell(self.node, str(directory / "corosync.conf"), self.log, str(directory))

    @property
    def cmap(self) -> Store:
        return self.node.view.cmap

    def carry_out(self, *wanted: object) -> None:
        self.node.outputs += wanted  # type: ignore[arg-type]
        self.shell._carry_out(NOW)

    def close(self) -> None:
        for end in (self.shell._signals, self.shell._signal_writer):
            end.close()


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[Fixture]:
    found = Fixture(tmp_path)
    yield found
    found.close()


def test_a_daemon_that_never_waits_has_not_paused(monkeypatch: pytest.MonkeyPatch, fixture: Fixture) -> None:
    shell = fixture.shell
    monkeypatch.setattr(ClientServer, "has_pending", True)
    now_ns = NOW
    for _ in range(100):
        assert shell._turn(now_ns) == 0
        now_ns += SECOND // 10
    assert not list(shell._pauses.misses())
    shell._turn(now_ns + 10 * SECOND)
    assert list(shell._pauses.misses())


def test_every_output_of_the_services_is_carried_out_by_somebody() -> None:
    for output in (*outputs.Output.__args__, SaveRingId, Ready):
        assert (output in ACTIONS) != (output in NOT_FOR_THE_SHELL), output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_stops_the_node_in_corosyncs_order(
    fixture: Fixture, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    caplog.set_level("INFO", "corosync")
    shell = fixture.shell
    shell._signal_writer.send(bytes([number, number]))
    shell._on_signals(0, NOW)
    lines = [f"{record.name.rpartition('.')[2]} {record.getMessage()}" for record in caplog.records]
    assert [line for line in lines if line.startswith(("MAIN", "SERV"))] == [
        "MAIN Node was shut down by a signal",
        "SERV Unloading all Corosync service engines.",
        "SERV Service engine unloaded: corosync vote quorum service v1.0",
        "SERV Service engine unloaded: corosync configuration map access",
        "SERV Service engine unloaded: corosync configuration service",
        "SERV Service engine unloaded: corosync cluster closed process group service v1.01",
        "SERV Service engine unloaded: corosync cluster quorum service v0.1",
        "SERV Service engine unloaded: corosync profile loading service",
        "SERV Service engine unloaded: corosync resource monitoring service",
        "SERV Service engine unloaded: corosync watchdog service",
        "MAIN Node was shut down by a signal",
    ]


def test_signals_are_caught_as_corosync_catches_them(fixture: Fixture) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2, signal.SIGPIPE)
    untouched = (signal.SIGHUP, signal.SIGUSR1, signal.SIGSEGV, signal.SIGABRT)
    saved = {number: signal.getsignal(number) for number in (*numbers, *untouched)}
    try:
        fixture.shell._catch_signals()
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
        assert all(signal.getsignal(number) is saved[number] for number in untouched)
        os.kill(os.getpid(), signal.SIGUSR2)
        fixture.shell._on_signals(0, NOW)
        assert not fixture.shell._stopping
        os.kill(os.getpid(), signal.SIGTERM)
        fixture.shell._on_signals(0, NOW)
        assert fixture.shell._stopping
    finally:
        signal.set_wakeup_fd(-1)
        for number, action in saved.items():
            signal.signal(number, action)


def test_the_operator_stops_the_node_in_the_same_way(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "corosync")
    fixture.carry_out(StopDaemon(0))
    # What is put out in the same turn, as the message that tells the others, must leave first.
    assert not fixture.shell._stopping
    fixture.shell._turn(NOW)
    assert "Unloading all Corosync service engines." in caplog.messages
    assert fixture.shell._stopping


def test_a_node_that_another_has_killed_ends_at_once(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "corosync")
    sent = len(fixture.node.outputs)
    with pytest.raises(StartError) as caught:
        fixture.carry_out(StopDaemon(-1, leave=False))
    assert (caught.value.status, caught.value.text) == (ExitStatus.KILLED, "")
    assert caplog.messages == []
    assert len(fixture.node.outputs) == sent
    assert not fixture.shell._stopping


def test_readiness_is_told_to_systemd(
    fixture: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        fixture.carry_out(Ready())
        assert manager.recv(100) == b"READY=1"
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_what_must_survive_is_stored(fixture: Fixture, tmp_path: Path) -> None:
    fixture.carry_out(SaveRingId(0x10), StoreExpectedVotes(5))
    assert int.from_bytes((tmp_path / "ringid_1").read_bytes(), "little") == 0x10
    assert int.from_bytes((tmp_path / "ev_tracking").read_bytes(), "little") == 5


def test_a_ring_id_that_cannot_be_stored_ends_the_node_before_what_comes_after(
    fixture: Fixture, tmp_path: Path
) -> None:
    (tmp_path / "ringid_1").mkdir()
    with pytest.raises(StartError) as caught:
        fixture.carry_out(SaveRingId(0x10), StoreExpectedVotes(5))
    assert caught.value.status == ExitStatus.STORE_RING_ID
    assert not (tmp_path / "ev_tracking").exists()


def test_a_changed_key_changes_the_log_but_a_reload_does_so_once(fixture: Fixture) -> None:
    cmap, log = fixture.cmap, fixture.log
    cmap.track("logging.", _ANY_CHANGE, fixture.shell._on_logging_changed)
    cmap.set_str("logging.debug", "on")
    assert log.changes == ["on"]
    cmap.delete("logging.debug")
    assert log.changes == ["on", None]
    cmap.set_u8("config.reload_in_progress", 1)
    cmap.set_str("logging.debug", "trace")
    assert log.changes == ["on", None]
    cmap.set_u8("config.reload_in_progress", 0)
    fixture.carry_out(ReadConfiguration())
    assert log.changes == ["on", None, "trace"]


def test_a_reload_hands_over_the_files_or_why_not(
    fixture: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[object] = []
    monkeypatch.setattr(fixture.node, "reload", lambda files, _now_ns: handed.append(files))
    fixture.carry_out(ReadConfiguration())
    assert handed == [f"Can't read file {tmp_path}/corosync.conf: No such file or directory"]
    (tmp_path / "corosync.conf").write_text("totem {\n  version: 2\n}\n")
    monkeypatch.setattr("socket.getnameinfo", lambda address, _flags: (address[0], "0"))
    fixture.carry_out(ReadConfiguration())
    assert getattr(handed[1], "text", None) == b"totem {\n  version: 2\n}\n"


def test_logs_are_reopened_and_a_dump_does_no_harm(fixture: Fixture) -> None:
    fixture.carry_out(ReopenLogs(), DumpFlightData())
    assert fixture.log.reopened == 1


def test_the_services_get_their_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A node of its own, to which start() adds the services.
    simulated = SimulatedNode()
    node = Node(simulated.configuration, 0, Random(1), Random(1).randbytes)
    shell = Shell(node, "", FakeLog(), str(tmp_path))
    opened: list[tuple[int, str]] = []
    monkeypatch.setattr(ClientServer, "listen", lambda _self, *service: opened.append(service))
    monkeypatch.setattr(Shell, "_catch_signals", lambda _self: None)
    monkeypatch.setattr("pycorosync.daemon.shell.SigbusGuard.install", lambda _self: None)
    shell.start()
    assert opened == [(0, "cmap"), (1, "cfg"), (2, "cpg"), (5, "votequorum"), (3, "quorum")]
    assert list(node.services) == [0, 1, 2, 4, 6, 7, 5, 3]
    assert node.view.cmap.get_str("runtime.blackbox.dump_state") == "no"
    for end in (shell._signals, shell._signal_writer):
        end.close()
