"""corosync-cfgtool against recorded output of the real one (pycorosync/tools/cfgtool.py)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from pycorosync.client import session
from pycorosync.client.cfg import Cfg, ShutdownRequested
from pycorosync.client.cmap import Entry, Item
from pycorosync.client.connection import LibraryError
from pycorosync.cmap.store import Store
from pycorosync.cs_error import CsError
from pycorosync.services.service import LinkStatus
from pycorosync.tools import cfgtool
from pycorosync.types import NodeId
from tests.client.cfg_daemon import FakeDaemon
from tests.services.cfg.fakes import FakeTransport
from tests.tools.recorded import DATA, Run, runs


class RecordedTransport(FakeTransport):
    """The network of the recordings."""

    def __init__(self, name: str = "knet", links: int = 2, mtu: int = 1397) -> None:
        super().__init__(name, links=links)
        self.mtu = mtu
        self.address_of = {
            node_id: [address.replace("10.0", "10.79") for address in addresses]
            for node_id, addresses in self.address_of.items()
        }

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        return [link._replace(mtu=self.mtu) for link in super().links(node_id)]


class FakeCmap:
    """The client of the map, on the daemon's own."""

    store = Store()
    running = True

    def __init__(self) -> None:
        if not self.running:
            raise LibraryError(CsError.LIBRARY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def entry(self, key: str) -> Entry:
        found = self.store.get(key)
        if found is None:
            raise LibraryError(CsError.NOT_EXIST)
        return found

    def get(self, key: str) -> object:
        return self.entry(key).value

    def items(self, prefix: str) -> Iterator[Item]:
        return (Item(key, entry.kind, 0) for key, entry in self.store.items(prefix))


def install(monkeypatch: pytest.MonkeyPatch, transport: FakeTransport | None = None) -> FakeDaemon:
    """Let the tool talk to a stand-in."""
    daemon = FakeDaemon(transport or RecordedTransport())
    monkeypatch.setattr(session, "Connection", daemon.connect)
    monkeypatch.setattr(cfgtool, "Cmap", FakeCmap)
    monkeypatch.setattr(FakeCmap, "store", daemon.view.cmap)
    if daemon.view.transport.name != "knet":
        daemon.view.cmap.set_str("totem.transport", daemon.view.transport.name)
    return daemon


def state(monkeypatch: pytest.MonkeyPatch, name: str) -> FakeDaemon:
    """The state that a recording was made in."""
    if name.startswith("14-"):
        return install(monkeypatch, RecordedTransport(name.removeprefix("14-"), links=1, mtu=1410))
    daemon = install(monkeypatch)
    if name == "00-nodaemon":
        daemon.running = False
    if name == "02-1of2-plain":
        assert isinstance(daemon.view.transport, RecordedTransport)
        daemon.view.transport.down = {(2, 0), (2, 1)}
    return daemon


ALL = [run for path in sorted((DATA / "cfgtool").glob("*.txt")) for run in runs(f"cfgtool/{path.name}")]


def test_the_recordings_are_there() -> None:
    assert len(ALL) > 35
    assert {Path(run.state).name for run in ALL} == {
        "00-nodaemon", "01-2of2-plain", "02-1of2-plain", "14-udp", "14-udpu",
    }  # fmt: skip


@pytest.mark.parametrize("run", ALL, ids=str)
def test_as_recorded(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    state(monkeypatch, run.state)
    status = cfgtool.main(list(run.arguments))
    assert (status, *capsys.readouterr()) == (run.status, run.stdout, run.stderr)


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cfgtool.main(list(arguments))
    return (status, *capsys.readouterr())


def test_a_shutdown_that_is_refused_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    with Cfg() as tracker:
        tracker.track_start()
        expected = (0, "Shutting down corosync\n", "Could not shutdown (error = 10)\n")
        assert output(capsys, "-H") == expected


def test_a_forced_shutdown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = install(monkeypatch)
    with Cfg() as tracker:
        tracker.track_start()
        assert output(capsys, "--force", "-H") == (0, "Shutting down corosync\n", "")
        assert tracker.receive(0) == ShutdownRequested(1)
    assert len(daemon.stopped) == 1


def test_a_busy_daemon_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)

    def busy(*_: object) -> None:
        raise LibraryError(CsError.TRY_AGAIN)

    monkeypatch.setattr(Cfg, "try_shutdown", busy)
    assert output(capsys, "-H") == (0, "Shutting down corosync\n", "Could not shutdown (error = 6)\n")
    assert naps == [1.0] * 30


def test_a_reload_that_fails_returns_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch).reload_result = CsError.INVALID_PARAM
    text = "Could not reload configuration. Error CS_ERR_INVALID_PARAM\n"
    assert output(capsys, "-R") == (7, "Reloading corosync.conf...\n", text)


def test_a_reload_that_is_refused_tells_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Cfg) -> None:
        raise LibraryError(CsError.INVALID_PARAM)

    daemon = install(monkeypatch)
    monkeypatch.setattr(Cfg, "reload_config", refuse)
    daemon.view.cmap.set_str("config.reload_refusal", "Configuration is not valid: x")
    status, _, err = output(capsys, "-R")
    assert status == 7
    assert err.splitlines()[1:] == ["Reason: Configuration is not valid: x"]


def test_a_reload_that_was_not_put_to_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = install(monkeypatch)
    monkeypatch.setattr(Cfg, "reload_config", lambda _: None)
    daemon.view.cmap.set_str("config.reload_error_message", "Failed to set knet crypto")
    status, out, err = output(capsys, "-R")
    assert (status, out.splitlines()[-1]) == (
        1,
        "ERROR from reload: Failed to set knet crypto - see syslog for more information",
    )
    assert err == "Errors in appying config, corosync.conf might not match the running system\n"


def test_killing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = install(monkeypatch)
    assert output(capsys, "-k", "1") == (0, "Killing node 1\n", "")
    assert [stop.status for stop in daemon.stopped] == [-1]
    text = "Could not kill node (error = CS_ERR_NOT_EXIST)\n"
    assert output(capsys, "--kill", "9") == (1, "Killing node 9\n", text)


def test_large_node_ids(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    transport = RecordedTransport("udpu", links=1)
    transport.address_of[2**32 - 1] = transport.address_of.pop(2)
    daemon = install(monkeypatch, transport)
    assert "\t\tnodeid: 4294967295:\tconnected\n" in output(capsys, "-s")[1]
    assert "nodeid: 4294967295 reachable\n" in output(capsys, "-n")[1]
    assert output(capsys, "-a", "4294967294")[2] == "Could not get node address for nodeid -2\n"
    daemon.view.cmap.set_u32("nodelist.node.0.nodeid", 2**32 - 2)
    daemon.view.transport.name = "knet"
    error = "Could not get the node status for nodeid -2, the error is: 21\n"
    assert output(capsys, "-s")[2] == error


def test_a_single_node_shows_its_own_link(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = RecordedTransport()
    del transport.address_of[2]
    install(monkeypatch, transport)
    head = "Local node ID 1, transport knet\nLINK ID 0 udp\n\taddr\t= 10.79.0.1\n"
    assert output(capsys, "-s") == (0, f"{head}\tstatus:\n\t\tnodeid:          1:\tlocalhost\n", "")
    assert output(capsys, "-sb") == (0, f"{head}\tstatus\t= n\n", "")


def test_the_transport_of_a_link(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = install(monkeypatch)
    daemon.view.cmap.set_str("totem.interface.1.knet_transport", "sctp")
    assert "LINK ID 1 sctp\n" in output(capsys, "-s")[1]
    assert "   LINK: 1 sctp (10.79.1.1->10.79.1.2)" in output(capsys, "-n")[1]


def test_a_cluster_without_a_nodelist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = install(monkeypatch)
    daemon.view.cmap.delete_all("nodelist.")
    daemon.view.cmap.set_str("nodelist.node.0.nodeid", "1")
    assert output(capsys, "-s") == (1, "", "No nodes found in nodelist\n")


def test_a_daemon_that_goes_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)

    def gone(*_: object) -> int:
        raise LibraryError(CsError.LIBRARY)

    monkeypatch.setattr(Cfg, "reopen_log_files", gone)
    text = "Could not reopen corosync logging files. Error CS_ERR_LIBRARY\n"
    assert output(capsys, "-L") == (2, "", text)
    monkeypatch.setattr(Cfg, "local_node_id", gone)
    assert output(capsys, "-s") == (1, "", "Could not get the local node id, the error is: 2\n")
    monkeypatch.setattr(FakeCmap, "running", False)
    assert output(capsys, "-n") == (1, "", "Could not initialize corosync cmap API error 2\n")
