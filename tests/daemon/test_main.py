"""From the command line to the exit status (pycorosync/daemon/main.py), the machine being left alone."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pycorosync.daemon import main as module
from pycorosync.daemon.command_line import USAGE
from pycorosync.daemon.configuration import read_configuration
from pycorosync.daemon.main import main
from pycorosync.daemon.process import ExitStatus, PidFile, StartError
from pycorosync.errors import ConfigError, Fault

CONFIGURATION = """
totem {{
  version: 2
}}
nodelist {{
  node {{
    nodeid: 1
    ring0_addr: 127.0.0.1
  }}
}}
logging {{
  to_syslog: no
  timestamp: off
}}
system {{
  state_dir: {state}
}}
"""
NORMALLY = "notice  [MAIN  ] Corosync Cluster Engine exiting normally\n"


def exiting(status: int, source: str) -> str:
    return f"error   [MAIN  ] Corosync Cluster Engine exiting with status {status} at {source}.\n"


class Machine:
    """A configuration file in a directory, and a daemon that leaves the machine alone."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.state.mkdir()
        self.file = directory / "corosync.conf"
        self.pid_file = directory / "corosync.pid"
        self.steps: list[str] = []
        self.start_fault: Exception | None = None
        self.run_fault: Exception | None = None
        self.configure()

    def configure(self, *changes: tuple[str, str]) -> None:
        text = CONFIGURATION.format(state=self.state)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    def run(self, *options: str) -> int:
        return main(["-c", str(self.file), *options])


class Shell:
    """Stands for the real one, which serves until it is asked to stop."""

    machine: Machine

    def __init__(self, *_arguments: object) -> None:
        self.machine.steps.append("shell")

    def start(self) -> None:
        self.machine.steps.append("start")
        if self.machine.start_fault:
            raise self.machine.start_fault

    def run(self) -> None:
        self.machine.steps.append("run")
        if self.machine.run_fault:
            raise self.machine.run_fault


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_restored: None) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("apply_scheduling", "daemonize", "set_process_name", "lock_memory", "remove_stale"):
        monkeypatch.setattr(module, name, lambda *_arguments, name=name: found.steps.append(name))
    monkeypatch.setattr(module, "PidFile", lambda: PidFile(str(found.pid_file)))
    monkeypatch.setattr(Shell, "machine", found, raising=False)
    monkeypatch.setattr(module, "Shell", Shell)
    monkeypatch.setattr("socket.getnameinfo", lambda address, _flags: (address[0], "0"))
    monkeypatch.setattr("gc.freeze", lambda: None)
    return found


@pytest.fixture(autouse=True)
def interrupt() -> Iterator[None]:
    """main() gives SIGINT its default action."""
    saved = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    signal.signal(signal.SIGINT, saved)


def test_a_wrong_option_shows_the_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-z"]) == 1
    assert capfd.readouterr() == ("", f"corosync: invalid option -- 'z'\n{USAGE}")


def test_the_version_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-v"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("Corosync Cluster Engine, version '3.1.")
    assert err == ""


def test_a_path_that_is_too_long(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "x" * 5000]) == 1
    assert capfd.readouterr() == ("", "Config file path too long.\n")


def test_a_good_configuration_is_told_by_the_status(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    assert machine.run("-t") == 0
    assert capfd.readouterr() == ("", NORMALLY)
    assert machine.steps == []


@pytest.mark.parametrize("option", ["-t", "-f"])
def test_faults_that_come_before_the_log_go_to_stderr(
    machine: Machine, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    machine.configure(("timestamp: off", "timestamp: late"))
    assert machine.run(option) == 7
    machine.configure(("version: 2", "version"))
    assert machine.run(option) == 8
    machine.file.unlink()
    assert machine.run(option) == 8
    assert capfd.readouterr().err.splitlines() == [
        "parse error in config: unknown value for timestamp.",
        f"parser error: {machine.file}:3: Line is not opening or closing section or key value",
        f"Can't read file {machine.file}: No such file or directory",
    ]


@pytest.mark.parametrize("quiet", ["to_stderr: no", "logfile_priority: emerg"])
@pytest.mark.parametrize(("option", "said"), [("-t", True), ("-f", False)])
def test_a_check_never_refuses_without_a_word(
    machine: Machine, capfd: pytest.CaptureFixture[str], quiet: str, option: str, said: bool
) -> None:
    machine.configure(("version: 2", "version: 3"), ("timestamp: off", f"timestamp: off\n  {quiet}"))
    assert machine.run(option) == 8
    reason = "parse error in config: This totem parser can only parse version 2 configurations.\n"
    assert capfd.readouterr() == ("", reason if said else "")


def test_faults_that_come_later_are_logged(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.configure(("version: 2", "version: 3"))
    assert machine.run("-t") == 8
    fault = (
        "error   [MAIN  ] parse error in config: This totem parser can only parse version 2 configurations.\n"
    )
    end = exiting(8, "main.c:1445")
    assert capfd.readouterr().err == fault + end
    assert machine.run("-f") == 8
    lines = capfd.readouterr().err
    assert lines.startswith("notice  [MAIN  ] Corosync Cluster Engine 3.1.7 starting up\n")
    assert lines.endswith(fault + end)


def test_without_a_state_directory_nothing_starts(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.state.rmdir()
    assert machine.run("-t") == 16
    assert capfd.readouterr().err == (
        f"error   [MAIN  ] Cannot chdir to state directory {machine.state}. No such file or directory\n"
        + exiting(16, "main.c:1411")
    )


def test_a_bad_priority_is_found_at_the_start_only(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.configure(("system {", "system {\n  priority: high"))
    assert machine.run("-t") == 0
    capfd.readouterr()
    assert machine.run("-f") == 8
    assert capfd.readouterr().err.endswith(
        "error   [MAIN  ] Priority value high is invalid\n" + exiting(8, "main.c:1487")
    )
    assert machine.steps == []


def test_a_whole_life(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    assert machine.run("-f") == 0
    assert machine.steps == [
        "apply_scheduling",
        "set_process_name",
        "lock_memory",
        "remove_stale",
        "shell",
        "start",
        "run",
    ]
    assert not machine.pid_file.exists()
    assert (machine.state / "ringid_1").read_bytes() == bytes(8)
    assert Path.cwd() == machine.state
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "notice  [MAIN  ] Corosync Cluster Engine 3.1.7 starting up"
    assert "notice  [TOTEM ] Initializing transport (Kronosnet)." in lines
    assert lines[-1] + "\n" == NORMALLY


def test_the_background_comes_after_the_priority_and_before_locks(machine: Machine) -> None:
    # A child inherits the scheduler, but neither locked memory nor the lock of the pid file.
    assert machine.run() == 0
    assert machine.steps[:4] == ["apply_scheduling", "daemonize", "set_process_name", "lock_memory"]


def test_killed_by_another_node_it_leaves_things_as_they_are(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.run_fault = StartError(ExitStatus.KILLED, "", "cfg.c:566")
    assert machine.run("-f") & 0xFF == 255
    assert machine.pid_file.exists()
    assert capfd.readouterr().err.endswith(exiting(-1, "cfg.c:566"))


def test_a_quorum_configuration_that_the_service_refuses(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.start_fault = ConfigError([Fault("corosync.conf", 0, "configuration error: this and that")])
    assert machine.run("-f") == 20
    assert machine.pid_file.exists()
    assert capfd.readouterr().err.endswith(
        "error   [SERV  ] Service engine 'corosync_quorum' failed to load for reason "
        "'configuration error: this and that'\n" + exiting(20, "service.c:356")
    )


def test_a_ring_id_that_cannot_be_stored(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    (machine.state / "ringid_1").mkdir()
    assert machine.run("-f") == 21
    assert capfd.readouterr().err.endswith(
        f"error   [MAIN  ] Couldn't create ringid file '{machine.state}/ringid_1': Is a directory (21)\n"
        + exiting(21, "main.c:683")
    )
    assert "shell" not in machine.steps


def test_a_defect_of_our_own_ends_in_the_log(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.run_fault = ZeroDivisionError("over")
    assert machine.run("-f") == 15
    lines = capfd.readouterr().err.splitlines()
    assert "error   [MAIN  ] ZeroDivisionError: over" in lines
    assert "error   [MAIN  ] Traceback (most recent call last):" in lines
    assert lines[-1] == "error   [MAIN  ] Corosync Cluster Engine exiting with status 15 at main.py."
    assert machine.pid_file.exists()


def test_a_log_file_that_vanishes_between_check_and_use(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = read_configuration
    directory = machine.state / "log"
    directory.mkdir()
    machine.configure(("timestamp: off", f"timestamp: off\n  to_logfile: yes\n  logfile: {directory}/x.log"))

    def read(path: str) -> object:
        configuration = real(path)
        (directory / "x.log").unlink()
        directory.rmdir()
        return configuration

    monkeypatch.setattr(module, "read_configuration", read)
    assert machine.run("-t") == 7
    assert capfd.readouterr().err == (
        f"parse error in config: Can't open logfile '{directory}/x.log' for reason: "
        "No such file or directory (2).\n"
    )
