"""The daemon as a process: exit statuses, background, pid file, name, directory (corosync: exec/main.c).

Every function here raises StartError with the status and the log line that corosync has for the case; main
logs the line, and ends the process.
"""

import ctypes
import errno
import fcntl
import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NoReturn

from pycorosync import log

PID_FILE = "/run/corosync.pid"
PROCESS_NAME = "corosync"
LOCK_SOURCE = "main.c:1590"

PR_SET_NAME = 15
PR_SET_MM = 35
PR_SET_MM_ARG_END = 9
# Fields of /proc/self/stat behind the command's closing parenthesis, counted from 0.
STAT_ARG_START, STAT_ARG_END = 45, 46

LOG = log.subsystem("MAIN")


class ExitStatus(IntEnum):
    """What the process ends with (corosync: enum e_corosync_done in exec/util.h)."""

    OK = 0
    USAGE = 1
    FORK = 4
    LOG_CONFIG = 7
    MAIN_CONFIG = 8
    LOG_SETUP = 9
    ICMAP = 12
    INIT_SERVICES = 13
    FATAL = 15
    STATE_DIRECTORY = 16
    ACQUIRE_LOCK = 17
    ALREADY_RUNNING = 18
    NULL_REDIRECT = 19
    SERVICE_ENGINE_INIT = 20
    STORE_RING_ID = 21
    STATS = 22
    PLOAD = 99
    KILLED = -1  # by another node; the shell sees 255


class StartError(Exception):
    """The daemon cannot start or go on.

    `text`: the line to log, if it has not been logged already. `source`: the place in corosync (3.1.7) that
    the last line of the log names; operators and support look for it.
    """

    def __init__(self, status: ExitStatus, text: str, source: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.source = source


def log_exit(status: ExitStatus, source: str = "") -> None:
    """The last line of every run."""
    if status is ExitStatus.OK:
        LOG.notice("Corosync Cluster Engine exiting normally")
    else:
        LOG.error("Corosync Cluster Engine exiting with status %d at %s.", status, source)


# --- background


def daemonize() -> None:
    """Go on in a child of its own session, with /dev/null for standard input, output and error.

    The parent exits with 0 at once: as with corosync, it does not wait to learn whether the child succeeds.
    Must come before any thread is started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = os.fork()
    except OSError as fault:
        raise StartError(ExitStatus.FORK, "", "main.c:441") from fault
    if child:
        _leave_parent()
    os.setsid()
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if null > 2:
            os.close(null)
    except OSError as fault:
        raise StartError(ExitStatus.NULL_REDIRECT, "", "main.c:461") from fault


def _leave_parent() -> NoReturn:
    os._exit(ExitStatus.OK)


# --- one instance only


class PidFile:
    """The pid file, whose write lock says that a daemon runs. One left behind by a crash is reused."""

    def __init__(self, path: str = PID_FILE) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, pid: int) -> None:
        """Lock the file and write `PID\\n`. After daemonize(): the lock belongs to its taker."""
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as fault:
            text = "Corosync Executive couldn't create lock file."
            raise StartError(ExitStatus.ACQUIRE_LOCK, text, LOCK_SOURCE) from fault
        try:
            self._lock()
        except StartError:
            self._close()
            raise
        try:
            self._step("truncate lock file", lambda: os.ftruncate(self._fd, 0))
            self._step("write pid to lock file", lambda: os.pwrite(self._fd, b"%d\n" % pid, 0))
        except StartError:
            self.release()
            raise

    def _lock(self) -> None:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno in (errno.EAGAIN, errno.EACCES):
                text = "Another Corosync instance is already running."
                raise StartError(ExitStatus.ALREADY_RUNNING, text, LOCK_SOURCE) from fault
            raise self._failure("acquire lock", fault) from fault

    def _step(self, what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as fault:
            raise self._failure(what, fault) from fault

    def _failure(self, what: str, fault: OSError) -> StartError:
        text = f"Corosync Executive couldn't {what}. Error was {fault.strerror}"
        return StartError(ExitStatus.ACQUIRE_LOCK, text, LOCK_SOURCE)

    def release(self) -> None:
        """Remove the file, at a clean exit. The lock goes with the descriptor."""
        self._close()
        try:
            os.unlink(self.path)
        except OSError as fault:
            LOG.debug("pid file %s: %s", self.path, fault.strerror)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


# --- name


def set_process_name(arguments: Sequence[str], name: str = PROCESS_NAME) -> bool:
    """Make ps, pidof, pgrep -x and killall find `name`: the kernel's name and the command line.

    `arguments` are those after the program's name. The argument area of the process is overwritten in place
    rather than executing the interpreter again under another name, which would confuse its search for the
    standard library. /proc/PID/exe stays the interpreter. False if the system did not let us.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    named = bool(libc.prctl(PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)[:15]), 0, 0, 0) == 0)
    area = _argument_area()
    if area is None:
        return False
    start, size = area
    line = b"".join(os.fsencode(word) + b"\0" for word in (name, *arguments))
    if len(line) > size:
        line = line[: size - 1] + b"\0"
    ctypes.memmove(start, line.ljust(size, b"\0"), size)
    # Without the privilege for this, the command line only ends in some empty arguments.
    end = ctypes.c_ulong(start + len(line))
    libc.prctl(PR_SET_MM, ctypes.c_ulong(PR_SET_MM_ARG_END), end, ctypes.c_ulong(0), ctypes.c_ulong(0))
    return named


def _argument_area() -> tuple[int, int] | None:
    """(address, size) of the memory behind /proc/self/cmdline."""
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[STAT_ARG_START]), int(fields[STAT_ARG_END])
        with open("/proc/self/cmdline", "rb") as file:
            size = len(file.read())
    except (OSError, IndexError, ValueError):
        return None
    # Trust the numbers only if they describe what the kernel shows.
    if start <= 0 or end - start != size or not size:
        return None
    return start, size


# --- state directory


def enter_state_directory(path: str) -> None:
    """Make it the working directory, where a core dump would go."""
    try:
        os.chdir(path)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        text = f"Cannot chdir to state directory {path}. {reason}"
        raise StartError(ExitStatus.STATE_DIRECTORY, text, "main.c:1411") from fault
