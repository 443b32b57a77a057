"""Where log lines go and what they look like (corosync: exec/logsys.c, exec/logconfig.c).

    logfile   Nov 22 07:38:38.536 [97] n1 corosync notice  [MAIN  ] text
    stderr    Nov 22 07:38:38.536 notice  [MAIN  ] text
    syslog    corosync[97]:   [MAIN  ] text

`timestamp` decides the first field, `fileline` and `function_name` add ` file:function:line` behind the
subsystem. Lines to stderr use the log file's threshold. Syslog gets debug lines as info and trace lines as
debug, as libqb does, because most syslogs drop debug.

Compatibility: with `timestamp: off` corosync prints the level in the log file directly behind `corosync`;
we print a blank between the two.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from types import FrameType

from pycorosync import log
from pycorosync.daemon.log_settings import SECTION, LogConfigError, LogSettings, read_settings
from pycorosync.daemon.log_writer import FileTarget, LogWriter, StderrTarget, SyslogTarget, Target

LINE_CHARACTERS_MAX = 4096
NOTHING = log.EMERG + 1  # a threshold that no line reaches
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# level -> (name padded to 7, priority in syslog's numbers after libqb's bump)
LEVELS = {
    log.EMERG: ("emerg  ", 0), log.ALERT: ("alert  ", 1), log.CRIT: ("crit   ", 2), log.ERROR: ("error  ", 3),
    log.WARNING: ("warning", 4), log.NOTICE: ("notice ", 5), log.INFO: ("info   ", 6),
    log.DEBUG: ("debug  ", 6), log.TRACE: ("trace  ", 7),
}  # fmt: skip

MAIN = log.subsystem("MAIN")
ROOT = logging.getLogger("corosync")


class _Route:
    """What one subsystem's lines need: thresholds and targets."""

    __slots__ = (
        "facility",
        "field",
        "file",
        "file_threshold",
        "level",
        "stderr",
        "syslog",
        "syslog_threshold",
    )

    def __init__(self, name: str, settings: LogSettings, file: FileTarget | None) -> None:
        where = settings.of(name)
        self.field = f"[{name[:6]:<6}]"
        self.file = file if where.to_logfile else None
        self.stderr = where.to_stderr
        self.syslog = where.to_syslog
        self.facility = where.facility
        self.file_threshold, self.syslog_threshold = where.file_threshold, where.syslog_threshold
        wanted = [self.syslog_threshold] if self.syslog else []
        if self.stderr or self.file:
            wanted.append(self.file_threshold)
        self.level = min(wanted, default=NOTHING)


class LogSystem(logging.Handler):
    """All logging of the daemon: one handler for the loggers of pycorosync.log.

    Life: install(), configure() with the logging.* keys, start_thread() after the last fork, then configure()
    on every change and reopen() after a rotation; close() at the end. Nothing is logged before configure().
    """

    def __init__(
        self, *, hostname: str | None = None, stderr_fd: int = 2, syslog_path: str = "/dev/log"
    ) -> None:
        super().__init__()
        self.settings: LogSettings | None = None
        self.writer = LogWriter()
        self.broken = 0  # lines that could not even be formatted: our own fault
        self._hostname = hostname or _hostname()
        self._stderr = StderrTarget(stderr_fd)
        self._syslog = SyslogTarget(syslog_path)
        self._files: dict[str, FileTarget] = {}
        self._routes: dict[str, _Route] = {}
        self._lost_reported = 0
        self._second = -1
        self._second_text = self._second_syslog = ""

    # --- configuration

    def install(self) -> None:
        """Take over the loggers of every subsystem; they stay silent until configure()."""
        # Python would look for the caller's frame and thread for each line, which we hardly ever print.
        logging._srcfile = None
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
        logging.raiseExceptions = False
        ROOT.propagate = False
        ROOT.handlers[:] = [self]
        for name in log.SUBSYSTEMS:
            logging.getLogger(f"corosync.{name}").setLevel(NOTHING)

    def configure(self, values: Mapping[str, str]) -> None:
        """Put the string keys `logging.*` into force; other keys are ignored.

        Raises LogConfigError for a bad value or a log file that cannot be opened: then nothing has changed.
        """
        in_use = self.settings.top.logfile if self.settings else None
        settings = read_settings({k: v for k, v in values.items() if k.startswith(SECTION)}, in_use)
        wanted = {settings.of(name).logfile for name in log.SUBSYSTEMS if settings.of(name).to_logfile}
        files = {path: self._file(path) for path in sorted(path for path in wanted if path)}
        for path, target in self._files.items():
            if path not in files:
                self.writer.close_target(target)
        self._files = files
        self.settings = settings
        self._routes = {name: self._route(name, settings) for name in log.SUBSYSTEMS}
        for name, route in self._routes.items():
            logging.getLogger(f"corosync.{name}").setLevel(route.level)
        for text in settings.warnings:
            MAIN.warning("%s", text)

    def _file(self, path: str) -> FileTarget:
        if path in self._files:
            return self._files[path]
        try:
            return FileTarget(path)
        except (OSError, ValueError) as fault:
            reason, number = (fault.strerror, fault.errno) if isinstance(fault, OSError) else (str(fault), 22)
            raise LogConfigError(f"Can't open logfile '{path}' for reason: {reason} ({number})") from fault

    def _route(self, name: str, settings: LogSettings) -> _Route:
        return _Route(name, settings, self._files.get(settings.of(name).logfile or ""))

    def change(self, values: Mapping[str, str]) -> None:
        """configure() for a change at run time: a bad value is logged and the old settings stay."""
        try:
            self.configure(values)
        except LogConfigError as fault:
            MAIN.error("Unable to change the logging configuration: %s", fault)

    def reopen(self) -> None:
        """Open every log file again (corosync-cfgtool -L, after a rotation)."""
        for target in self._files.values():
            target.reopen()

    def start_thread(self) -> None:
        """From here on another thread writes. After the last fork."""
        self.writer.start()

    def close(self) -> None:
        """Write what is queued and let go of every target; later lines go nowhere."""
        self.settings = None
        # A thread that is stuck in a target still needs its descriptor: the end of the process closes it.
        if self.writer.stop():
            self._syslog.close()
            for file in self._files.values():
                file.close()
            self._files = {}
        super().close()

    @property
    def failures(self) -> int:
        """Lines that were lost: refused by their target, or because the queue was full."""
        targets: list[Target] = [self._stderr, self._syslog, *self._files.values()]
        return self.writer.lost + sum(target.failures for target in targets)

    # --- lines

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue one line. Never raises."""
        try:
            self._emit(record)
        except Exception:
            self.broken += 1

    def _emit(self, record: logging.LogRecord) -> None:
        settings = self.settings
        route = self._routes.get(record.name.rpartition(".")[2])
        if settings is None or route is None:
            return
        text = _printable(record.getMessage())
        place = route.field + self._place(settings) + " " + text
        level, priority = LEVELS.get(record.levelno, LEVELS[log.INFO])
        if record.levelno >= route.file_threshold and (route.stderr or route.file):
            stamp = self._timestamp(settings.timestamp, record)
            if route.stderr:
                self._write(self._stderr, f"{stamp}{level} {place}")
            if route.file:
                self._write(route.file, f"{stamp}[{os.getpid()}] {self._hostname} corosync {level} {place}")
        if route.syslog and record.levelno >= route.syslog_threshold:
            gap = " " if settings.timestamp == "off" else "  "
            stamp = self._timestamp("syslog", record)
            head = f"<{route.facility << 3 | priority}>{stamp}corosync[{os.getpid()}]: {gap}"
            self._write(self._syslog, head + place)

    def _write(self, target: Target, line: str) -> None:
        data = line[:LINE_CHARACTERS_MAX].encode(errors="surrogateescape")
        if self.writer.write(target, data) and self.writer.lost != self._lost_reported:
            lost, self._lost_reported = self.writer.lost - self._lost_reported, self.writer.lost
            MAIN.warning("%d messages lost", lost)

    def _timestamp(self, kind: str, record: logging.LogRecord) -> str:
        if kind == "off":
            return ""
        second = int(record.created)
        if second != self._second:
            now = time.localtime(second)
            clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
            month = MONTHS[now.tm_mon - 1]
            self._second, self._second_text = second, f"{month} {now.tm_mday:02} {clock}"
            self._second_syslog = f"{month} {now.tm_mday:2} {clock} "
        if kind == "syslog":
            return self._second_syslog
        if kind == "hires":
            return f"{self._second_text}.{int((record.created - second) * 1000):03} "
        return self._second_text + " "

    def _place(self, settings: LogSettings) -> str:
        """` file:function:line`, as far as asked for."""
        if not settings.fileline and not settings.function_name:
            return ""
        frame = _caller()
        name = frame.f_code.co_name if frame else "?"
        if not settings.fileline:
            return f" {name}"
        file, line = (os.path.basename(frame.f_code.co_filename), frame.f_lineno) if frame else ("?", 0)
        return f" {file}:{name}:{line}" if settings.function_name else f" {file}:{line}"


def _caller() -> FrameType | None:
    """The frame that logged: the first outside of the logging modules."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_code.co_filename in _LOGGING_FILES:
        frame = frame.f_back
    return frame


_LOGGING_FILES = frozenset(
    {
        _caller.__code__.co_filename,
        log.subsystem.__code__.co_filename,
        logging.Logger.log.__code__.co_filename,
    }
)


def _printable(text: str) -> str:
    """One line: a trailing newline goes, others would forge lines."""
    text = text.rstrip("\n")
    return text.replace("\n", " ") if "\n" in text else text


def _hostname() -> str:
    try:
        return socket.gethostname() or "localhost"
    except OSError:
        return "localhost"
