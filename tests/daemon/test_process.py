"""The daemon as a process (pycorosync/daemon/process.py)."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pycorosync.daemon.process import (
    ExitStatus,
    PidFile,
    StartError,
    enter_state_directory,
    log_exit,
)

REPOSITORY = Path(__file__).parents[2]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with this checkout on its path."""
    command = [sys.executable, "-c", script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def lock_in_another_process(path: Path) -> str:
    script = (
        "import sys; from pycorosync.daemon.process import PidFile, StartError\n"
        "try:\n    PidFile(sys.argv[1]).acquire(1)\n"
        "except StartError as fault:\n    print(int(fault.status), fault.text)\n"
    )
    return run(script, str(path)).stdout.strip()


def test_the_pid_file_holds_the_pid_and_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "corosync.pid"
    path.write_text("123456789\nleft behind by a crash\n")
    path.chmod(0o640)
    file = PidFile(str(path))
    file.acquire(4321)
    # Reading it here would drop the lock: a process loses it with any descriptor of the file.
    assert lock_in_another_process(path) == "18 Another Corosync instance is already running."
    assert path.read_text() == "4321\n"
    file.release()
    assert not path.exists()
    assert lock_in_another_process(path) == ""


def test_a_new_pid_file_is_not_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "corosync.pid"
    file = PidFile(str(path))
    umask = os.umask(0)
    try:
        file.acquire(1)
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o640
    file.release()


def test_a_pid_file_in_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        PidFile(str(tmp_path / "none" / "pid")).acquire(1)
    assert caught.value.status == 17
    assert caught.value.text == "Corosync Executive couldn't create lock file."


def test_a_pid_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.symlink_to("/dev/full")
    with pytest.raises(StartError) as caught:
        PidFile(str(path)).acquire(1)
    assert caught.value.status == 17
    assert caught.value.text.startswith("Corosync Executive couldn't truncate lock file. Error was ")


def test_another_trouble_with_the_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(StartError) as caught:
        PidFile(str(tmp_path / "pid")).acquire(1)
    assert caught.value.status == 17
    assert caught.value.text == "Corosync Executive couldn't acquire lock. Error was No locks available"


def test_tools_find_the_process_by_its_name() -> None:
    script = (
        "import sys; from pycorosync.daemon.process import set_process_name\n"
        "done = set_process_name(sys.argv[1:])\n"
        "print(done, open('/proc/self/comm').read().strip())\n"
        "print(open('/proc/self/cmdline').read().split(chr(0)))\n"
    )
    result = run(script, "-f", "-c", "/etc/corosync/corosync.conf")
    first, second = result.stdout.splitlines()
    assert first == "True corosync"
    words = [word for word in eval(second) if word]
    assert words == ["corosync", "-f", "-c", "/etc/corosync/corosync.conf"]


def test_a_name_longer_than_the_room_for_it_is_cut() -> None:
    script = (
        "from pycorosync.daemon.process import set_process_name\n"
        "old = len(open('/proc/self/cmdline').read())\n"
        "set_process_name(['x' * 5000])\n"
        "line = open('/proc/self/cmdline').read()\n"
        "print(old == len(line), line.startswith('corosync' + chr(0) + 'xxx'), line[-1] == chr(0))\n"
    )
    assert run(script).stdout == "True True True\n"


def test_a_daemon_leaves_its_parent_its_session_and_its_terminal(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pycorosync.daemon.process import daemonize\n"
        "parent = os.getpid(); print('parsed'); daemonize()\n"
        "with open(sys.argv[1] + '.new', 'w') as file:\n"
        "    links = [os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]\n"
        "    print(os.getpid() != parent, os.getsid(0) == os.getpid(), *links, file=file)\n"
        "os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
    )
    path = tmp_path / "child"
    # A pipe that only the child's copies keep open tells when it has ended.
    reader, writer = os.pipe()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", script, str(path)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, pass_fds=[writer], check=False
    )
    os.close(writer)
    assert (result.returncode, result.stdout, result.stderr) == (0, "parsed\n", "")
    os.read(reader, 1)
    os.close(reader)
    assert path.read_text().split() == ["True", "True", "/dev/null", "/dev/null", "/dev/null"]


def test_the_state_directory_becomes_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    enter_state_directory(str(tmp_path))
    assert Path.cwd() == tmp_path
    with pytest.raises(StartError) as caught:
        enter_state_directory(str(tmp_path / "none"))
    assert caught.value.status == 16
    assert caught.value.text == (
        f"Cannot chdir to state directory {tmp_path / 'none'}. No such file or directory"
    )
    with pytest.raises(StartError):
        enter_state_directory("a\0b")


def test_the_last_line_tells_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "corosync.MAIN")
    log_exit(ExitStatus.OK)
    log_exit(ExitStatus.MAIN_CONFIG, "main.c:1417")
    log_exit(ExitStatus.KILLED, "cfg.c:566")
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first == "Corosync Cluster Engine exiting normally"
    assert second == "Corosync Cluster Engine exiting with status 8 at main.c:1417."
    assert third == "Corosync Cluster Engine exiting with status -1 at cfg.c:566."
