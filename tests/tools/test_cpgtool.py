"""corosync-cpgtool against recorded output of the real one (pycorosync/tools/cpgtool.py)."""

import pytest

from pycorosync.client import session
from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError
from pycorosync.tools import cpgtool
from pycorosync.tools.cpgtool import main, shown_name
from pycorosync.types import NodeId
from tests.client.cpg_daemon import FakeDaemon
from tests.tools.recorded import DATA, Run, runs

PACEMAKER = {
    1: {b"cib\0": 3389, b"stonith-ng\0": 3390, b"attrd\0": 3392, b"crmd\0": 3394},
    2: {b"cib\0": 564, b"stonith-ng\0": 565, b"attrd\0": 567, b"crmd\0": 569},
}
RUNS = [run for path in sorted((DATA / "cpgtool").glob("*.txt")) for run in runs(f"cpgtool/{path.name}")]


class FakeCfg:
    """The cfg client, of which the tool wants addresses only."""

    running = True

    def __init__(self) -> None:
        if not self.running:
            raise LibraryError(CsError.LIBRARY)

    def __enter__(self) -> "FakeCfg":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def node_addresses(self, node_id: NodeId) -> list[str]:
        if node_id > 2:
            raise LibraryError(CsError.NOT_EXIST)
        return [f"10.79.{link}.{node_id}" for link in (0, 1)]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    made = FakeDaemon(nodes=3)
    monkeypatch.setattr(session, "Connection", made.connect)
    monkeypatch.setattr(cpgtool, "Cfg", FakeCfg)
    monkeypatch.setattr("sys.argv", ["/usr/sbin/corosync-cpgtool"])
    return made


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_as_recorded(run: Run, daemon: FakeDaemon, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    daemon.running = run.state != "00-nodaemon"
    nodes = {"30-pacemaker": (1, 2), "30-pacemaker-peer-stopped": (2,)}.get(run.state, ())
    for node_id in nodes:
        processes = PACEMAKER[node_id]
        for group, pid in processes.items():
            daemon.cluster.joined(node_id, pid, group)
    assert main(list(run.arguments)) == run.status
    written = capfdbinary.readouterr()
    assert written.out.decode() == run.stdout
    assert written.err.decode() == run.stderr


def test_there_are_recordings_of_every_option() -> None:
    assert {word for run in RUNS for word in run.arguments} >= {"-d", "-e", "-n", "-h", "-z"}


def test_a_node_without_addresses(daemon: FakeDaemon, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    daemon.cluster.joined(3, 5)
    assert main([]) == 0
    assert capfdbinary.readouterr().out.endswith(b"\t\t         5\t         3 ()\n")


def test_operands_and_empty_delimiters_are_ignored(
    daemon: FakeDaemon, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    daemon.cluster.joined(3, 5)
    assert main(["-n", "-d", "", "operand"]) == 0
    assert capfdbinary.readouterr().out == b"g\n"


def test_only_the_first_byte_of_a_delimiter_counts(
    daemon: FakeDaemon, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    daemon.cluster.joined(3, 5)
    assert main(["-d", "<>"]) == 0
    assert capfdbinary.readouterr().out == b"GRP_NAME<PID<NODEID\ng<5<3\n"


def test_without_the_cfg_service(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(FakeCfg, "running", False)
    assert main([]) == 1
    assert capfdbinary.readouterr().err == b"Could not initialize corosync configuration API error 2\n"


def test_names() -> None:
    assert shown_name(b"a\\b\0 \x7f", escape=True) == b"a\\\\b\\x00 \\x7F"
    assert shown_name(b"\x80\xff", escape=True) == b"\\xFFFFFF80\\xFFFFFFFF"
    assert shown_name(b"a\\b\0\xff", escape=False) == b"a\\b\0\xff"
