"""Lines to their targets without stopping the daemon (pycorosync/daemon/log_writer.py)."""

import os
import socket
import threading
from pathlib import Path

from pycorosync.daemon.log_writer import FileTarget, LogWriter, StderrTarget, SyslogTarget


class Gate:
    """A target that holds the writing thread until it is opened."""

    def __init__(self) -> None:
        self.failures = 0
        self.lines: list[bytes] = []
        self.closed = False
        self.open = threading.Event()

    def write(self, line: bytes) -> None:
        self.open.wait(10)
        self.lines.append(line)

    def close(self) -> None:
        self.closed = True


def test_lines_arrive_in_order_and_stop_waits_for_them(tmp_path: Path) -> None:
    writer, target = LogWriter(), FileTarget(str(tmp_path / "log"))
    writer.write(target, b"before")
    writer.start()
    for number in range(100):
        assert writer.write(target, b"%d" % number)
    assert writer.stop()
    writer.write(target, b"after")
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert lines == [b"before", *[b"%d" % number for number in range(100)], b"after"]


def test_a_full_queue_loses_lines_and_counts_them() -> None:
    writer, gate = LogWriter(queue_bytes_max=100), Gate()
    writer.start()
    kept = [writer.write(gate, b"x" * 30) for _ in range(5)]
    assert kept == [True, True, True, False, False]
    assert writer.lost == 2
    gate.open.set()
    assert writer.stop()
    assert len(gate.lines) == 3


def test_a_target_is_closed_behind_its_last_line() -> None:
    writer, gate = LogWriter(), Gate()
    writer.start()
    writer.write(gate, b"last")
    writer.close_target(gate)
    assert not gate.closed
    gate.open.set()
    assert writer.stop()
    assert gate.closed
    assert gate.lines == [b"last"]


def test_a_stuck_target_does_not_hold_up_the_end() -> None:
    writer, gate = LogWriter(), Gate()
    writer.start()
    writer.write(gate, b"stuck")
    assert not writer.stop(timeout_s=0.01)
    gate.open.set()


def test_a_full_disk_is_counted() -> None:
    target = FileTarget("/dev/full")
    target.write(b"line")
    assert target.failures == 1
    target.close()
    target.write(b"closed")
    assert target.failures == 2


def test_reopening_follows_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    target = FileTarget(str(path))
    target.write(b"old")
    path.rename(tmp_path / "log.1")
    target.write(b"still old")
    assert target.reopen()
    target.write(b"new")
    assert (tmp_path / "log.1").read_text() == "old\nstill old\n"
    assert path.read_text() == "new\n"


def test_a_failed_reopening_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "dir" / "log"
    path.parent.mkdir()
    target = FileTarget(str(path))
    path.parent.rename(tmp_path / "moved")
    assert not target.reopen()
    target.write(b"line")
    assert (tmp_path / "moved" / "log").read_text() == "line\n"
    assert target.failures == 1


def test_stderr_without_a_reader_is_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    target = StderrTarget(writer)
    target.write(b"line")
    assert target.failures == 1
    os.close(writer)


def listener(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(path))
    return server


def test_syslog_is_found_again_after_its_restart(tmp_path: Path) -> None:
    path = tmp_path / "dev-log"
    target = SyslogTarget(str(path))
    with listener(path) as server:
        target.write(b"<30>one")
        assert server.recv(100) == b"<30>one"
    path.unlink()
    with listener(path) as server:
        target.write(b"<30>two")
        assert server.recv(100) == b"<30>two"
    assert target.failures == 0
    target.close()


def test_a_missing_syslog_is_counted_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "dev-log"
    target = SyslogTarget(str(path))
    target.write(b"<30>one")
    assert target.failures == 1
    with listener(path) as server:
        server.setblocking(False)
        target.write(b"<30>two")
        assert target.failures == 2
