"""Where log lines go and what they look like (corosync: exec/logsys.c, exec/logconfig.c).

    logfile   Nov 22 07:38:38.536 [97] n1 corosync notice  [MAIN  ] text
    stderr    Nov 22 07:38:38.536 notice  [MAIN  ] text
    syslog    corosync[97]:   [MAIN  ] text

`timestamp` decides the first field, `fileline` and `function_name` add ` file:function:line` behind the
subsystem. Lines to stderr use the log file's threshold. Syslog gets debug lines as info and trace lines as
debug, as libqb does, because most syslogs drop debug. Lines of every level go to the flight recorder.

Compatibility: with `timestamp: off` corosync prints the level in the log file directly behind `corosync`;
we print a blank between the two. A change at run time that names a bad value is refused as a whole and
logged; corosync drops what comes after that value, and says nothing.
"""

import logging
import os
import socket
import sys
import time
from contextlib import suppress
from types import FrameType

from pycorosync import log
from pycorosync.config.host import HostFacts, Lookup
from pycorosync.config.logs import read_logging
from pycorosync.config.model import Debug, LoggingConfig, LogTarget
from pycorosync.daemon.flight_recorder import FlightRecorder, store
from pycorosync.daemon.log_writer import FileTarget, LogWriter, StderrTarget, SyslogTarget, Target
from pycorosync.errors import Fault

LINE_CHARACTERS_MAX = 4096
NOTHING = log.EMERG + 1  # a threshold that no line reaches
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# level -> (name padded to 7, priority in syslog's numbers after libqb's bump)
LEVELS = {
    log.EMERG: ("emerg  ", 0), log.ALERT: ("alert  ", 1), log.CRIT: ("crit   ", 2), log.ERROR: ("error  ", 3),
    log.WARNING: ("warning", 4), log.NOTICE: ("notice ", 5), log.INFO: ("info   ", 6),
    log.DEBUG: ("debug  ", 6), log.TRACE: ("trace  ", 7),
}  # fmt: skip

# The names of corosync's configuration.
PRIORITIES = {
    "emerg": log.EMERG, "alert": log.ALERT, "crit": log.CRIT, "err": log.ERROR, "warning": log.WARNING,
    "notice": log.NOTICE, "info": log.INFO, "debug": log.DEBUG,
}  # fmt: skip
DEBUG_LEVELS = {Debug.OFF: None, Debug.ON: log.DEBUG, Debug.TRACE: log.TRACE}
# As syslog numbers them.
FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
    "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip

MAIN = log.subsystem("MAIN")
ROOT = logging.getLogger("corosync")


class LogConfigError(Exception):
    """The logging section cannot be put into force; the text is corosync's."""


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

    def __init__(self, name: str, where: LogTarget, file: FileTarget | None) -> None:
        self.field = f"[{name[:6]:<6}]"
        self.file = file if where.to_logfile else None
        self.stderr = where.to_stderr
        self.syslog = where.to_syslog
        self.facility = FACILITIES[where.syslog_facility]
        # What debug asks for replaces both thresholds; stderr shares the log file's.
        debug = DEBUG_LEVELS[where.debug]
        self.file_threshold = PRIORITIES[where.logfile_priority] if debug is None else debug
        self.syslog_threshold = PRIORITIES[where.syslog_priority] if debug is None else debug
        wanted = [self.syslog_threshold] if self.syslog else []
        if self.stderr or self.file:
            wanted.append(self.file_threshold)
        self.level = min(wanted, default=NOTHING)


class LogSystem(logging.Handler):
    """All logging of the daemon: one handler for the loggers of pycorosync.log.

    Life: install(), configure(), start_thread() after the last fork, then change() when a key has changed and
    reopen() after a rotation; close() at the end. Nothing is logged before configure().
    """

    def __init__(
        self, *, hostname: str | None = None, stderr_fd: int = 2, syslog_path: str = "/dev/log"
    ) -> None:
        super().__init__()
        self.settings: LoggingConfig | None = None
        self.writer = LogWriter()
        self.recorder: FlightRecorder | None = None
        self.broken = 0  # lines that could not even be formatted: our own fault
        self._hostname = hostname or _hostname()
        self._stderr = StderrTarget(stderr_fd)
        self._syslog = SyslogTarget(syslog_path)
        self._files: dict[str, FileTarget] = {}
        self._logfile: str | None = None
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

    def configure(self, settings: LoggingConfig) -> None:
        """Put the settings into force.

        Raises LogConfigError for a log file that cannot be opened: then nothing has changed.
        """
        # A log file whose key was deleted at run time stays in use, as with corosync.
        logfile = settings.target.logfile or self._logfile
        paths = {name: settings.of(name).logfile or logfile for name in log.SUBSYSTEMS}
        wanted = {path for name, path in paths.items() if path and settings.of(name).to_logfile}
        files = {path: self._file(path) for path in sorted(wanted)}
        for path, target in self._files.items():
            if path not in files:
                self.writer.close_target(target)
        self._files = files
        self._logfile = logfile
        self.settings = settings
        for name in log.SUBSYSTEMS:
            route = _Route(name, settings.of(name), files.get(paths[name] or ""))
            self._routes[name] = route
            logging.getLogger(f"corosync.{name}").setLevel(route.level)
        self._switch_recorder(settings.blackbox)

    def _switch_recorder(self, wanted: bool) -> None:
        """Begin or end to record. What was recorded is lost when it ends, as with corosync."""
        if wanted == (self.recorder is not None):
            return
        log.record_with(None)
        if self.recorder is not None:
            self.recorder.close()
            self.recorder = None
            return
        try:
            self.recorder = FlightRecorder()
        except OSError as fault:
            text = "Unable to initialize log flight recorder, there will be no blackbox: %s (%d)"
            MAIN.warning(text, fault.strerror, fault.errno)
        else:
            log.record_with(self._record)

    def _record(self, subsystem: str, level: int, text: str, arguments: tuple[object, ...]) -> None:
        """Every line, before the thresholds are looked at. Never raises."""
        if self.recorder is None:
            return
        frame = _caller()
        function, line = (frame.f_code.co_name, frame.f_lineno) if frame else ("?", 0)
        with suppress(Exception):  # counted when the line is formatted for its targets
            text = text % arguments if arguments else text
        self.recorder.record(subsystem, level, function, line, text, time.time_ns())

    def store_flight_data(self, directory: str) -> None:
        """Write what is recorded to a file there."""
        store(self.recorder, directory)

    def _file(self, path: str) -> FileTarget:
        if path in self._files:
            return self._files[path]
        try:
            return FileTarget(path)
        except (OSError, ValueError) as fault:
            reason, number = (fault.strerror, fault.errno) if isinstance(fault, OSError) else (str(fault), 22)
            raise LogConfigError(f"Can't open logfile '{path}' for reason: {reason} ({number})") from fault

    def change(self, running: Lookup) -> None:
        """configure() from the keys of the running map: a bad value is logged and the old settings stay."""
        faults: list[Fault] = []
        settings = read_logging(running, HostFacts(), "", faults)
        try:
            if faults:
                raise LogConfigError(faults[0].text)
            self.configure(settings)
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

    def last_words(self, text: str) -> None:
        """Why the daemon cannot start, to stderr and syslog: said before the logging section is known."""
        now = time.localtime()
        stamp = f"{MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        head = f"<{FACILITIES['daemon'] << 3 | LEVELS[log.ERROR][1]}>{stamp} corosync[{os.getpid()}]: "
        self._stderr.write(text.encode(errors="surrogateescape"))
        self._syslog.write((head + text).encode(errors="surrogateescape"))

    def is_on_stderr(self, name: str, level: int) -> bool:
        """Whether lines of a subsystem and level go to standard error."""
        route = self._routes.get(name)
        return route is not None and route.stderr and level >= route.file_threshold

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

    def _place(self, settings: LoggingConfig) -> str:
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
