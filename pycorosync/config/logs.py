"""The logging section: what is logged where, with defaults and subsystems (corosync: exec/logconfig.c).

The top level holds for every subsystem; a `logger_subsys` section overrides it for one. Read from the file at
start, and from the running map after every change of one of its keys.

Compatibility: as with corosync, a `logger_subsys` section without `debug` means `debug: off` for that
subsystem, whatever the top level says. Unlike corosync, a section's to_stderr, to_syslog and syslog_facility
count for that subsystem only: corosync ignores the first two, and lets every section set the one facility
that it has, to daemon if the section names none.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pycorosync.config.entries import EntryMap
from pycorosync.config.grammar import byte_length
from pycorosync.config.host import HostFacts, Lookup, get_string
from pycorosync.config.model import Debug, LoggingConfig, LogTarget
from pycorosync.errors import Fault

PRIORITIES: Final = ("alert", "crit", "debug", "emerg", "err", "error", "info", "notice", "warning")
FACILITIES: Final = (
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp",
    *(f"local{number}" for number in range(8)),
)  # fmt: skip
SWITCHES: Final = {"yes": True, "on": True, "no": False, "off": False}
SUBSYSTEM_NAME_MAX: Final = 64  # bytes, with a zero at the end
# Subsystems that corosync has before it reads the file, and how many there may be.
KNOWN_SUBSYSTEMS: Final = frozenset(
    ("QB", "APIDEF", "CFG", "CMAP", "CPG", "MAIN", "MON", "PLOAD", "QUORUM", "SERV", "STATS", "SYNC", "VOTEQ",
     "YKD", "WD")
)  # fmt: skip
SUBSYSTEMS_MAX: Final = 32
DEFAULTS: Final = LogTarget(
    to_stderr=True,
    to_syslog=True,
    to_logfile=False,
    logfile=None,
    logfile_priority="info",
    syslog_priority="info",
    syslog_facility="daemon",
    debug=Debug.OFF,
)

_SUBSYSTEM_KEY: Final = re.compile(r"logging\.logger_subsys\.([^.]+)\.subsys")


class _Reader:
    def __init__(self, entries: Lookup, host: HostFacts, filename: str, faults: list[Fault]) -> None:
        self._entries = entries
        self._host = host
        self._filename = filename
        self._faults = faults
        self.warnings: list[str] = []

    def fault(self, reason: str, key: str) -> None:
        text = f"parse error in config: {reason}."
        line = self._entries.line(key) if isinstance(self._entries, EntryMap) else 0
        self._faults.append(Fault(self._filename, line, text))

    def word(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """One of the choices, else a fault."""
        value = get_string(self._entries, f"logging.{key}")
        if value is None or value in choices:
            return default if value is None else value
        self.fault(f"unknown value for {key}", f"logging.{key}")
        return default

    def _switch(self, path: str, key: str, inherited: bool) -> bool:
        value = get_string(self._entries, f"{path}.{key}")
        if value is None:
            return inherited
        if value not in SWITCHES:
            self.fault(f"unknown value for {key}", f"{path}.{key}")
        return SWITCHES.get(value, inherited)

    def _priority(self, path: str, key: str, what: str, inherited: str) -> str:
        value = get_string(self._entries, f"{path}.{key}")
        if value is None:
            return inherited
        if value.lower() not in PRIORITIES:
            self.fault(f"unknown {what} specified", f"{path}.{key}")
            return inherited
        return "err" if value.lower() == "error" else value.lower()

    def _obsolete(self, path: str, key: str, instead: str) -> None:
        """Warn. Compatibility: at a start corosync does so before its log works, so nobody sees it."""
        if get_string(self._entries, f"{path}.{key}") is not None:
            self.warnings.append(
                f"Warning: the {key} config parameter has been obsoleted. "
                f"See corosync.conf man page {instead} directive."
            )

    def _facility(self, path: str, inherited: str) -> str:
        value = get_string(self._entries, f"{path}.syslog_facility")
        if value is None:
            return inherited
        if value not in FACILITIES:
            self.fault("unknown syslog facility specified", f"{path}.syslog_facility")
            return inherited
        return value

    def _logfile(self, path: str, inherited: str | None) -> str | None:
        value = get_string(self._entries, f"{path}.logfile")
        if value is None:
            return inherited
        reason = self._host.log_faults.get(value)
        if reason is not None:
            self.fault(f"Can't open logfile '{value}' for reason: {reason}", f"{path}.logfile")
        return value

    def _debug(self, path: str) -> Debug:
        value = get_string(self._entries, f"{path}.debug")
        if value is None:
            return Debug.OFF  # also for a subsystem when debug is on above it
        if value not in ("trace", "on", "off"):
            self.fault("unknown value for debug", f"{path}.debug")
            return Debug.OFF
        return Debug(value)

    def target(self, path: str, above: LogTarget, *, top: bool = False) -> LogTarget:
        """What holds under a path, in the order in which corosync looks at options."""
        to_stderr = self._switch(path, "to_stderr", above.to_stderr)
        to_syslog = self._switch(path, "to_syslog", above.to_syslog)
        facility = self._facility(path, above.syslog_facility)
        self._obsolete(path, "syslog_level", "syslog_priority")
        syslog_priority = self._priority(path, "syslog_level", "syslog level", above.syslog_priority)
        # At the top a missing syslog_priority is set to info, whatever the obsolete option says.
        inherited = "info" if top else syslog_priority
        syslog_priority = self._priority(path, "syslog_priority", "syslog priority", inherited)
        logfile = self._logfile(path, above.logfile)
        self._obsolete(path, "to_file", "to_logfile")
        to_logfile = self._switch(path, "to_file", above.to_logfile)
        # At the top a missing to_logfile turns the file off, whatever the obsolete option says.
        to_logfile = self._switch(path, "to_logfile", False if top else to_logfile)
        return replace(
            above,
            to_stderr=to_stderr,
            to_syslog=to_syslog,
            to_logfile=to_logfile,
            logfile=logfile,
            syslog_priority=syslog_priority,
            syslog_facility=facility,
            logfile_priority=self._priority(
                path, "logfile_priority", "logfile priority", above.logfile_priority
            ),
            debug=self._debug(path),
        )

    def subsystems(self) -> Iterator[tuple[str, str]]:
        """Name and path of each subsystem with a section."""
        names = set(KNOWN_SUBSYSTEMS)
        for key in self._entries.keys("logging.logger_subsys."):
            match = _SUBSYSTEM_KEY.fullmatch(key)
            if match is None:
                continue
            names.add(match[1])
            if byte_length(match[1]) >= SUBSYSTEM_NAME_MAX or len(names) > SUBSYSTEMS_MAX:
                self.fault("unable to create new logging subsystem", key)
                return
            yield match[1], f"logging.logger_subsys.{match[1]}"


def log_files(entries: Lookup) -> list[str]:
    """Files that the logging section wants to be opened."""
    found = [get_string(entries, "logging.logfile")]
    found += [
        get_string(entries, key) for key in entries.keys("logging.logger_subsys.") if key.endswith(".logfile")
    ]
    return [path for path in dict.fromkeys(found) if path is not None]


def read_logging(entries: Lookup, host: HostFacts, filename: str, faults: list[Fault]) -> LoggingConfig:
    """The logging section; faults as corosync prints them."""
    read = _Reader(entries, host, filename, faults)
    fileline = read.word("fileline", ("on", "off"), "off")
    function_name = read.word("function_name", ("on", "off"), "off")
    timestamp = read.word("timestamp", ("on", "hires", "off"), "hires")
    blackbox = read.word("blackbox", ("on", "off"), "on")
    target = read.target("logging", DEFAULTS, top=True)
    subsystems = {name: read.target(path, target) for name, path in read.subsystems()}
    return LoggingConfig(
        target=target,
        subsystems=subsystems,
        timestamp=timestamp,
        fileline=fileline == "on",
        function_name=function_name == "on",
        blackbox=blackbox == "on",
        warnings=tuple(read.warnings),
    )
