"""The Python library of the cfg service (pycorosync/client/cfg.py)."""

import asyncio

import pytest

from pycorosync.client import session
from pycorosync.client.cfg import Cfg, Interface, ShutdownFlag, ShutdownRequested
from pycorosync.cs_error import CsError
from pycorosync.services.outputs import StopDaemon
from tests.client.cfg_daemon import FakeDaemon
from tests.client.stand_in import error_of
from tests.services.cfg.fakes import FakeTransport


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    made = FakeDaemon()
    monkeypatch.setattr(session, "Connection", made.connect)
    return made


def test_it_connects_to_cfg_and_hangs_up(daemon: FakeDaemon) -> None:
    with Cfg():
        assert daemon.connections[1].name == "cfg"
        assert not daemon.connections[1].closed
    assert daemon.connections[1].closed


def test_without_a_daemon(daemon: FakeDaemon) -> None:
    daemon.running = False
    assert error_of(Cfg) is CsError.LIBRARY


def test_questions(daemon: FakeDaemon) -> None:
    daemon.view.transport = FakeTransport(node_ids=(1, 2, 3))
    with Cfg() as cfg:
        assert cfg.local_node_id() == 1
        assert cfg.node_addresses(0) == ["10.0.0.1", "10.0.1.1"]
        assert cfg.node_addresses(3) == ["10.0.0.3", "10.0.1.3"]
        assert cfg.ring_status() == [Interface("0 10.0.0.1", "n3"), Interface("1 10.0.1.1", "n3")]
        status = cfg.node_status(2)
    assert (status.node_id, status.reachable, status.remote, status.external) == (2, True, False, False)
    assert len(status.links) == 8
    assert status.links[1] == (True, True, False, 1397, "10.0.1.1", "10.0.1.2")
    assert status.links[2] == (False, False, False, 0, "", "")


def test_ipv6_addresses(daemon: FakeDaemon) -> None:
    transport = FakeTransport()
    transport.address_of[2] = ["fd00::2"]
    daemon.view.transport = transport
    with Cfg() as cfg:
        assert cfg.node_addresses(2) == ["fd00::2"]


def test_errors_are_those_of_the_c_library(daemon: FakeDaemon) -> None:
    with Cfg() as cfg:
        assert error_of(lambda: cfg.node_addresses(9)) is CsError.NOT_EXIST
        assert error_of(lambda: cfg.node_status(9)) is CsError.FAILED_OPERATION
        assert error_of(lambda: cfg.kill_node(9, "x")) is CsError.NOT_EXIST
        assert error_of(lambda: cfg.kill_node(1, "x" * 256)) is CsError.NAME_TOO_LONG
        assert error_of(lambda: cfg.reply_to_shutdown(True)) is CsError.ACCESS


def test_killing(daemon: FakeDaemon, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Cfg() as cfg:
        cfg.kill_node(1, "x" * 255)
    assert daemon.stopped == [StopDaemon(-1, leave=False)]
    assert caplog.messages == ["Killed by node 1 : " + "x" * 255]


def test_reload(daemon: FakeDaemon) -> None:
    with Cfg() as cfg:
        cfg.reload_config()
        cfg.reopen_log_files()
        daemon.reload_result = CsError.INVALID_PARAM
        assert error_of(cfg.reload_config) is CsError.INVALID_PARAM


def test_a_shutdown_that_nobody_objects_to(daemon: FakeDaemon) -> None:
    with Cfg() as cfg:
        cfg.try_shutdown()
        cfg.try_shutdown(ShutdownFlag.IMMEDIATE)
    assert daemon.stopped == [StopDaemon(0), StopDaemon(0)]


def test_being_asked(daemon: FakeDaemon) -> None:
    with Cfg() as tracker, Cfg() as other:
        tracker.track_start()
        assert tracker.receive(0) is None
        assert error_of(other.try_shutdown) is CsError.BUSY  # time ran out
        assert tracker.receive(0) == ShutdownRequested(0)
        tracker.track_stop()
        other.try_shutdown()
        assert tracker.receive(0) is None


def test_events_until_the_daemon_has_gone(daemon: FakeDaemon) -> None:
    with Cfg() as tracker, Cfg() as other:
        tracker.track_start()
        other.try_shutdown(ShutdownFlag.REGARDLESS)
        seen: list[ShutdownRequested] = []

        def note() -> None:
            for event in tracker.events():
                seen.append(event)

        assert error_of(note) is CsError.LIBRARY
    assert seen == [ShutdownRequested(1)]


def test_events_in_asyncio(daemon: FakeDaemon) -> None:
    async def first() -> ShutdownRequested:
        async for event in tracker.events_async():
            return event
        raise AssertionError

    with Cfg() as tracker, Cfg() as other:
        tracker.track_start()
        other.try_shutdown(ShutdownFlag.REGARDLESS)
        assert asyncio.run(first()) == ShutdownRequested(1)


def test_an_answer_that_is_cut_off(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cfg() as cfg:
        whole = daemon.connections[1].request
        monkeypatch.setattr(daemon.connections[1], "request", lambda message: whole(message)[:24])
        assert error_of(cfg.local_node_id) is CsError.LIBRARY
        assert error_of(cfg.ring_status) is CsError.LIBRARY
        assert error_of(lambda: cfg.node_status(2)) is CsError.LIBRARY
        assert error_of(lambda: cfg.node_addresses(2)) is CsError.LIBRARY
        monkeypatch.setattr(daemon.connections[1], "request", lambda message: whole(message)[:40])
        assert error_of(lambda: cfg.node_addresses(2)) is CsError.LIBRARY
