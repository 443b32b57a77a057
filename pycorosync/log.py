"""Loggers with corosync's subsystems and levels; where lines go is the shell's business (daemon/logging.py).

corosync's levels are syslog's; two of them Python does not have: notice (the usual level of membership
lines) and trace (below debug).
"""

import logging
from collections.abc import Callable

EMERG, ALERT = 70, 60
CRIT, ERROR, WARNING = logging.CRITICAL, logging.ERROR, logging.WARNING
NOTICE = 25
INFO, DEBUG = logging.INFO, logging.DEBUG
TRACE = 5

# Every subsystem of corosync's logging {} section, as printed in a line's [FIELD].
SUBSYSTEMS = (
    "MAIN", "SERV", "TOTEM", "KNET", "CFG", "CMAP", "CPG", "QUORUM", "VOTEQ", "SYNC", "QB", "PLOAD", "MON",
    "WD", "APIDEF",
)  # fmt: skip


# Is given every line: subsystem, level, text and its arguments.
Recorder = Callable[[str, int, str, tuple[object, ...]], None]
_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """From now on `recorder` gets the lines of every level, wanted by a target or not; None ends it."""
    global _recorder
    _recorder = recorder


class SubsystemLogger:
    """The face that engines log through. Arguments are %-formatted only if somebody wants the line."""

    __slots__ = ("_logger", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger = logging.getLogger(f"corosync.{name}")

    def log(self, level: int, text: str, *args: object) -> None:
        if _recorder is not None:
            _recorder(self._name, level, text, args)
        self._logger.log(level, text, *args)

    def enabled(self, level: int) -> bool:
        return _recorder is not None or self._logger.isEnabledFor(level)

    def error(self, text: str, *args: object) -> None:
        self.log(ERROR, text, *args)

    def warning(self, text: str, *args: object) -> None:
        self.log(WARNING, text, *args)

    def notice(self, text: str, *args: object) -> None:
        self.log(NOTICE, text, *args)

    def info(self, text: str, *args: object) -> None:
        self.log(INFO, text, *args)

    def debug(self, text: str, *args: object) -> None:
        self.log(DEBUG, text, *args)

    def trace(self, text: str, *args: object) -> None:
        self.log(TRACE, text, *args)


def subsystem(name: str) -> SubsystemLogger:
    """The logger of one of SUBSYSTEMS."""
    if name not in SUBSYSTEMS:
        raise ValueError(f"{name} is not a subsystem")
    return SubsystemLogger(name)
