"""What `corosync -t --explain` and `--against-running` print (pycorosync/daemon/explanation.py)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pycorosync.client.connection import LibraryError
from pycorosync.config.entries import EntryMap
from pycorosync.cs_error import CsError
from pycorosync.daemon import explanation
from pycorosync.daemon.configuration import read_configuration
from pycorosync.daemon.main import main
from tests.daemon.test_main import Machine


@pytest.fixture(autouse=True)
def interrupt() -> Iterator[None]:
    """main() gives SIGINT its default action."""
    saved = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, saved)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path)


def run(machine: Machine, capfd: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str], str]:
    status = main(["-c", str(machine.file), *options])
    said = capfd.readouterr()
    return status, said.out.splitlines(), said.err


def running(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon runs with the configuration that the file has now."""
    entries = EntryMap()
    for key, kind, value in read_configuration(str(machine.file)).entries:
        entries.set(key, kind, value)
    monkeypatch.setattr(explanation, "_running_keys", lambda: entries)


def test_a_good_file(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    status, lines, errors = run(machine, capfd, "--explain")
    assert (status, errors) == (0, "")
    assert lines[-1].startswith("0 errors, ")
    assert lines[-1].endswith("exit status 0")


def test_a_faulty_file(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.configure(("version: 2", "version: 3\n  token: 5"), ("timestamp: off", "tmestamp: off"))
    status, lines, errors = run(machine, capfd, "-t", "--explain")
    assert (status, errors) == (8, "")
    assert f"{machine.file}:4: error: totem.token: The token timeout parameter (5 ms) may not" in lines[3]
    assert "    suggestion: timestamp" in lines
    assert lines[-1].startswith("2 errors, 1 warning, ")


def test_no_file(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.file.unlink()
    status, lines, _ = run(machine, capfd, "--explain")
    assert status == 8
    assert lines == [f"{machine.file}: error: Can't read file {machine.file}: No such file or directory"]


def test_no_state_directory(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.state.rmdir()
    status, lines, _ = run(machine, capfd, "--explain")
    assert status == 16
    assert "error: system.state_dir: " in lines[0]


def test_nothing_to_compare_with(
    machine: Machine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> EntryMap:
        raise LibraryError(CsError.LIBRARY)

    monkeypatch.setattr(explanation, "_running_keys", fail)
    status, lines, errors = run(machine, capfd, "--against-running")
    assert (status, lines) == (1, [])
    assert errors == "There is no running daemon to compare with: CS_ERR_LIBRARY\n"


def test_differences(
    machine: Machine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running(machine, monkeypatch)
    assert run(machine, capfd, "--against-running") == (0, ["The running daemon has this configuration."], "")
    machine.configure(("version: 2", "version: 2\n  token: 5000\n  cluster_name: x"))
    status, lines, _ = run(machine, capfd, "--against-running")
    assert (status, lines) == (
        0,
        [
            "totem.cluster_name: - => x: needs a restart; a reload says that it cannot be changed",
            "totem.token: - => 5000: applied by a reload",
            "2 differences, 1 of them need a restart",
        ],
    )


def test_a_file_that_cannot_be_used(
    machine: Machine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running(machine, monkeypatch)
    machine.configure(("version: 2", "version: 3"))
    status, lines, _ = run(machine, capfd, "--against-running")
    assert status == 8
    assert "error: totem.version: " in lines[0]
    assert lines[-1] == "The file cannot be used: a reload would change nothing."


def test_a_reload_that_would_be_refused(
    machine: Machine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = "127.0.0.1\n  }\n  node {\n    nodeid: 2\n    ring0_addr: 127.0.0.2"
    machine.configure(("127.0.0.1", second))
    running(machine, monkeypatch)
    machine.configure(("127.0.0.1", second.replace("127.0.0.2", "127.0.0.3")))
    status, lines, _ = run(machine, capfd, "--against-running")
    assert status == 0
    assert lines[0] == "A reload of this file would be refused, and change nothing:"
