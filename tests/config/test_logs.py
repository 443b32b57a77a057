"""The logging section: defaults, what subsystems inherit, and bad values."""

from dataclasses import replace

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.config.logs import read_logging
from pycorosync.config.model import Debug, LoggingConfig, MapEntry, Phase
from pycorosync.errors import Fault
from tests.config.sample import FakeMap, conf, host, loaded, refused


def logging(*lines: str) -> LoggingConfig:
    return loaded(section(*lines)).logging


def section(*lines: str) -> str:
    body = "\n".join(lines)
    return conf(rest=f"logging {{\n{body}\n}}\n")


def complaint(*lines: str) -> str:
    refusal = refused(section(*lines), replace(host(), log_faults={"/none": "Is a directory (21)"}))
    assert refusal.phase is Phase.LOGGING
    return refusal.faults[0].text


def test_defaults() -> None:
    found = logging()
    assert (found.timestamp, found.fileline, found.function_name, found.blackbox) == (
        "hires",
        False,
        False,
        True,
    )
    top = found.target
    assert top.syslog_facility == "daemon"
    assert (top.to_stderr, top.to_syslog, top.to_logfile, top.logfile) == (True, True, False, None)
    assert (top.syslog_priority, top.logfile_priority, top.debug) == ("info", "info", Debug.OFF)
    assert found.of("CPG") is top


def test_what_is_set() -> None:
    found = logging(
        "to_stderr: no", "to_syslog: off", "to_logfile: on", "logfile: /l", "logfile_priority: ERROR",
        "syslog_priority: Crit", "syslog_facility: local3", "debug: trace", "timestamp: on", "fileline: on",
        "function_name: on", "blackbox: off",
    )  # fmt: skip
    assert (found.timestamp, found.fileline, found.function_name, found.blackbox) == ("on", True, True, False)
    top = found.target
    assert top.syslog_facility == "local3"
    assert (top.to_stderr, top.to_syslog, top.to_logfile, top.logfile) == (False, False, True, "/l")
    assert (top.logfile_priority, top.syslog_priority, top.debug) == ("err", "crit", Debug.TRACE)


def test_a_subsystem_inherits_all_but_debug() -> None:
    found = logging(
        "debug: on", "to_stderr: no", "syslog_priority: err", "syslog_facility: local1",
        "logger_subsys {", "subsys: CPG", "to_stderr: yes", "logfile: /c", "}",
        "logger_subsys {", "subsys: CFG", "syslog_facility: user", "}",
    )  # fmt: skip
    own = found.of("CPG")
    assert (own.to_stderr, own.to_syslog, own.syslog_priority, own.logfile) == (True, True, "err", "/c")
    assert own.debug is Debug.OFF
    assert own.syslog_facility == "local1"
    assert found.of("CFG").syslog_facility == "user"
    assert found.of("VOTEQ").debug is Debug.ON


def test_old_names_bring_a_warning_and_do_little() -> None:
    found = logging("to_file: yes", "syslog_level: err", "logger_subsys {", "subsys: A", "to_file: yes", "}")
    assert not found.target.to_logfile
    assert found.target.syslog_priority == "info"
    assert found.of("A").to_logfile
    assert found.warnings == (
        "Warning: the syslog_level config parameter has been obsoleted. "
        "See corosync.conf man page syslog_priority directive.",
        "Warning: the to_file config parameter has been obsoleted. "
        "See corosync.conf man page to_logfile directive.",
        "Warning: the to_file config parameter has been obsoleted. "
        "See corosync.conf man page to_logfile directive.",
    )
    assert loaded(section("to_file: no")).warnings == found.warnings[1:2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("fileline: yes", "unknown value for fileline"),
        ("function_name: 1", "unknown value for function_name"),
        ("timestamp: no", "unknown value for timestamp"),
        ("blackbox: yes", "unknown value for blackbox"),
        ("to_stderr: maybe", "unknown value for to_stderr"),
        ("to_syslog:", "unknown value for to_syslog"),
        ("to_logfile: 1", "unknown value for to_logfile"),
        ("to_file: 1", "unknown value for to_file"),
        ("syslog_facility: local8", "unknown syslog facility specified"),
        ("syslog_facility: DAEMON", "unknown syslog facility specified"),
        ("syslog_level: x", "unknown syslog level specified"),
        ("syslog_priority: trace", "unknown syslog priority specified"),
        ("logfile_priority: x", "unknown logfile priority specified"),
        ("debug: yes", "unknown value for debug"),
        ("logfile: /none", "Can't open logfile '/none' for reason: Is a directory (21)"),
    ],
)
def test_bad_values(line: str, reason: str) -> None:
    assert complaint(line) == f"parse error in config: {reason}."


def test_a_subsystem_is_judged_like_the_top() -> None:
    assert complaint("logger_subsys {", "subsys: A", "debug: x", "}") == (
        "parse error in config: unknown value for debug."
    )
    # These belong to the top level only.
    assert logging("logger_subsys {", "subsys: A", "timestamp: x", "}").timestamp == "hires"


def test_the_running_map_can_be_read_too() -> None:
    keys: list[MapEntry] = [
        ("logging.debug", ValueType.STRING, "on"),
        ("logging.syslog_facility", ValueType.STRING, "x"),
        ("logging.to_stderr", ValueType.UINT8, 0),  # not a word: not set
    ]
    faults: list[Fault] = []
    found = read_logging(FakeMap(keys), host(), "", faults).target
    assert (found.debug, found.syslog_facility, found.to_stderr) == (Debug.ON, "daemon", True)
    assert [fault.line for fault in faults] == [0]


def test_all_faults_of_the_section_come_together() -> None:
    refusal = refused(section("debug: x", "to_stderr: x"))
    assert [fault.line for fault in refusal.faults] == [19, 18]


def test_the_number_and_names_of_subsystems_are_bounded() -> None:
    expected = "parse error in config: unable to create new logging subsystem."

    def sections(count: int) -> list[str]:
        return [f"logger_subsys {{\nsubsys: S{number}\n}}" for number in range(count)]

    assert len(logging(*sections(17)).subsystems) == 17  # fifteen are there from the beginning
    assert complaint(*sections(18)) == expected
    assert complaint(f"logger_subsys {{\nsubsys: {'s' * 64}\n}}") == expected
    assert len(logging(f"logger_subsys {{\nsubsys: {'s' * 63}\n}}").subsystems) == 1
