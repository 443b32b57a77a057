"""What the logging section says, as checked values (corosync: exec/logconfig.c).

Read from the cmap keys `logging.*`, at start and again after every change of one of them. The top level holds
for every subsystem; a `logger_subsys` section overrides it for one.

Compatibility: as with corosync, a `logger_subsys` section without `debug` means `debug: off` for that
subsystem, whatever the top level says. Unlike corosync, a section's to_stderr and to_syslog count for that
subsystem only (corosync ignores them), and a section without syslog_facility leaves the top level's alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from pycorosync import log

# The names of corosync's configuration, as syslog numbers them.
FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
    "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
PRIORITIES = {
    "alert": log.ALERT, "crit": log.CRIT, "debug": log.DEBUG, "emerg": log.EMERG, "err": log.ERROR,
    "error": log.ERROR, "info": log.INFO, "notice": log.NOTICE, "warning": log.WARNING,
}  # fmt: skip
ON_OFF = {"on": True, "off": False}
YES_NO = {"yes": True, "on": True, "no": False, "off": False}
DEBUG_LEVELS = {"off": None, "on": log.DEBUG, "trace": log.TRACE}
TIMESTAMPS = {name: name for name in ("off", "on", "hires")}

T = TypeVar("T")

SECTION = "logging."
SUBSYSTEM_SECTION = "logging.logger_subsys."


class LogConfigError(Exception):
    """The logging section cannot be used; the text follows `parse error in config: `."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where the lines of one subsystem go, and from which level on (levels of pycorosync.log)."""

    to_stderr: bool = True
    to_syslog: bool = True
    to_logfile: bool = False
    logfile: str | None = None
    facility: int = FACILITIES["daemon"]
    syslog_level: int = log.INFO
    logfile_level: int = log.INFO
    debug: int | None = None  # the level that debug asks for, which replaces both others

    @property
    def file_threshold(self) -> int:
        """For the log file and stderr."""
        return self.logfile_level if self.debug is None else self.debug

    @property
    def syslog_threshold(self) -> int:
        return self.syslog_level if self.debug is None else self.debug


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The whole logging section."""

    top: Destinations
    subsystems: Mapping[str, Destinations]
    timestamp: str = "hires"  # one of TIMESTAMPS
    fileline: bool = False
    function_name: bool = False
    blackbox: bool = True
    warnings: tuple[str, ...] = ()  # to be logged once the settings are in force

    def of(self, subsystem: str) -> Destinations:
        return self.subsystems.get(subsystem, self.top)


def read_settings(values: Mapping[str, str], logfile_in_use: str | None = None) -> LogSettings:
    """The settings that the string keys `logging.*` in `values` describe.

    `logfile_in_use`: kept when no `logging.logfile` is given, as after the key's deletion at run time.
    Raises LogConfigError for the first value that is not allowed.
    """
    fileline = _choice(values, "logging.fileline", ON_OFF, False)
    function_name = _choice(values, "logging.function_name", ON_OFF, False)
    timestamp = _choice(values, "logging.timestamp", TIMESTAMPS, "hires")
    blackbox = _choice(values, "logging.blackbox", ON_OFF, True)
    warnings: list[str] = []
    top = _section(values, "logging", Destinations(logfile=logfile_in_use), warnings)
    subsystems = {
        name: _section(values, SUBSYSTEM_SECTION + name, top, warnings) for name in _subsystem_names(values)
    }
    return LogSettings(top, subsystems, timestamp, fileline, function_name, blackbox, tuple(warnings))


def _subsystem_names(values: Mapping[str, str]) -> list[str]:
    names = []
    for key in sorted(values):
        if key.startswith(SUBSYSTEM_SECTION):
            name, _, item = key.removeprefix(SUBSYSTEM_SECTION).partition(".")
            if name and item == "subsys":
                names.append(name)
    return names


def _choice(values: Mapping[str, str], key: str, allowed: Mapping[str, T], default: T) -> T:
    """What a key's value means, or the default if the key is absent."""
    text = values.get(key)
    if text is None:
        return default
    if text not in allowed:
        raise LogConfigError(f"unknown value for {key.rpartition('.')[2]}")
    return allowed[text]


def _section(
    values: Mapping[str, str], section: str, inherited: Destinations, warnings: list[str]
) -> Destinations:
    """One section's settings over those it inherits."""
    found = replace(inherited, debug=None)

    def flag(option: str, default: bool) -> bool:
        return _choice(values, f"{section}.{option}", YES_NO, default)

    found = replace(
        found, to_stderr=flag("to_stderr", found.to_stderr), to_syslog=flag("to_syslog", found.to_syslog)
    )
    if (facility := values.get(f"{section}.syslog_facility")) is not None:
        if facility not in FACILITIES:
            raise LogConfigError("unknown syslog facility specified")
        found = replace(found, facility=FACILITIES[facility])
    if (level := _priority(values, f"{section}.syslog_level", "syslog level")) is not None:
        warnings.append(_obsolete("syslog_level", "syslog_priority"))
        # At the top level corosync lets the default of syslog_priority override its old name.
        found = found if section == "logging" else replace(found, syslog_level=level)
    if (level := _priority(values, f"{section}.syslog_priority", "syslog priority")) is not None:
        found = replace(found, syslog_level=level)
    found = replace(found, logfile=values.get(f"{section}.logfile", found.logfile))
    if f"{section}.to_file" in values:
        warnings.append(_obsolete("to_file", "to_logfile"))
        to_file = flag("to_file", False)
        # The same: to_logfile's default overrides it at the top level.
        found = found if section == "logging" else replace(found, to_logfile=to_file)
    found = replace(found, to_logfile=flag("to_logfile", found.to_logfile))
    if (level := _priority(values, f"{section}.logfile_priority", "logfile priority")) is not None:
        found = replace(found, logfile_level=level)
    debug = values.get(f"{section}.debug", "off")
    if debug not in DEBUG_LEVELS:
        raise LogConfigError("unknown value for debug")
    return replace(found, debug=DEBUG_LEVELS[debug])


def _priority(values: Mapping[str, str], key: str, what: str) -> int | None:
    text = values.get(key)
    if text is None:
        return None
    if text.lower() not in PRIORITIES:
        raise LogConfigError(f"unknown {what} specified")
    return PRIORITIES[text.lower()]


def _obsolete(option: str, replacement: str) -> str:
    return (
        f"Warning: the {option} config parameter has been obsoleted."
        f" See corosync.conf man page {replacement} directive."
    )
