"""Takes log lines to files, stderr and syslog without ever stopping the daemon (libqb: lib/log_thread.c).

The daemon only appends to a bounded queue; one thread writes. A disk that is full or slow, a missing syslog
and a reader that has stopped reading cost lines, which are counted, never time and never an exception.
Before start() and after stop() lines are written by the caller.
"""

import contextlib
import errno
import os
import queue
import socket
import threading
import time
from typing import NamedTuple, Protocol

QUEUE_BYTES_MAX = 512_000  # libqb's bound
RETRY_INTERVAL_S = 5.0  # how long a syslog that fails is left alone
SYSLOG_SEND_TIMEOUT_S = 1.0
STACK_BYTES = 256 * 1024  # locked memory: the default of 8 MiB is a lot


class Target(Protocol):
    """Where lines go. write() and close() never raise."""

    failures: int

    def write(self, line: bytes) -> None: ...

    def close(self) -> None: ...


class FileTarget:
    """A log file, opened for append. Raises OSError only when it is made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failures = 0
        self._fd = _open(path)

    def write(self, line: bytes) -> None:
        self.failures += not _write_all(self._fd, line + b"\n")

    def reopen(self) -> bool:
        """Open the path again, after a rotation. The old file stays in use if that fails."""
        try:
            fd = _open(self.path)
        except OSError:
            self.failures += 1
            return False
        # dup2 keeps the number: the writing thread cannot meet a closed or a foreign descriptor.
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)


class StderrTarget:
    """The daemon's standard error."""

    def __init__(self, fd: int = 2) -> None:
        self.failures = 0
        self._fd = fd

    def write(self, line: bytes) -> None:
        self.failures += not _write_all(self._fd, line + b"\n")

    def close(self) -> None:
        """Nothing: the descriptor is not ours."""


class SyslogTarget:
    """The local syslog socket. Lines come complete: `<30>Nov 22 07:38:38 corosync[97]: ...`."""

    def __init__(self, path: str = "/dev/log") -> None:
        self.failures = 0
        self._path = path
        self._socket: socket.socket | None = None
        self._retry_at_s = 0.0

    def write(self, line: bytes) -> None:
        if self._retry_at_s and time.monotonic() < self._retry_at_s:
            self.failures += 1
            return
        # The second try is for a syslog that was restarted: the old socket leads nowhere.
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = self._connect()
                self._socket.send(line)
            except OSError:
                self._drop_socket()
            else:
                self._retry_at_s = 0.0
                return
        self.failures += 1
        self._retry_at_s = time.monotonic() + RETRY_INTERVAL_S

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        connection.settimeout(SYSLOG_SEND_TIMEOUT_S)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        self._drop_socket()


class _Job(NamedTuple):
    target: Target
    line: bytes | None  # None: close the target


class LogWriter:
    """The queue and its thread. One producer: the daemon's main thread."""

    def __init__(self, queue_bytes_max: int = QUEUE_BYTES_MAX) -> None:
        self.lost = 0  # lines that found the queue full
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._queue_bytes_max = queue_bytes_max
        # Each is changed by one thread only, so that no lock is needed.
        self._bytes_in = 0
        self._bytes_out = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; from here on write() only queues. Call it after the last fork."""
        if self._thread is not None:
            return
        previous = threading.stack_size(STACK_BYTES)
        try:
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            thread.start()
        finally:
            threading.stack_size(previous)
        self._thread = thread

    def write(self, target: Target, line: bytes) -> bool:
        """Queue a line; False if it was lost because the queue is full."""
        if self._thread is None:
            target.write(line)
            return True
        if self._bytes_in - self._bytes_out + len(line) > self._queue_bytes_max:
            self.lost += 1
            return False
        self._bytes_in += len(line)
        self._queue.put(_Job(target, line))
        return True

    def close_target(self, target: Target) -> None:
        """Close a target behind the lines that were queued for it."""
        if self._thread is None:
            target.close()
        else:
            self._queue.put(_Job(target, None))

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Write what is queued and end the thread; False if it could not be done in time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._queue.put(None)
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.line is None:
                job.target.close()
            else:
                job.target.write(job.line)
                self._bytes_out += len(job.line)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o666)


def _write_all(fd: int, line: bytes) -> bool:
    """Write the line; False if the system refused, or took only a part of it twice."""
    for _ in range(2):
        try:
            written = os.write(fd, line)
        except OSError as fault:
            if fault.errno == errno.EINTR:
                continue
            return False
        if written == len(line):
            return True
        line = line[written:]
    return False
