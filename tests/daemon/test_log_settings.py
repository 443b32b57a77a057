"""What the logging section means (pycorosync/daemon/log_settings.py)."""

import pytest

from pycorosync import log
from pycorosync.daemon.log_settings import Destinations, LogConfigError, read_settings


def test_an_empty_section_logs_to_stderr_and_syslog_from_info_on() -> None:
    settings = read_settings({})
    assert settings.top == Destinations(to_stderr=True, to_syslog=True, to_logfile=False)
    assert settings.top.facility == 3
    assert settings.top.file_threshold == settings.top.syslog_threshold == log.INFO
    assert (settings.timestamp, settings.fileline, settings.blackbox) == ("hires", False, True)


def test_a_subsystem_overrides_the_top_level() -> None:
    settings = read_settings(
        {
            "logging.to_stderr": "no",
            "logging.to_logfile": "yes",
            "logging.logfile": "/var/log/a",
            "logging.syslog_facility": "local3",
            "logging.logfile_priority": "warning",
            "logging.logger_subsys.QUORUM.subsys": "QUORUM",
            "logging.logger_subsys.QUORUM.logfile": "/var/log/b",
            "logging.logger_subsys.QUORUM.syslog_priority": "CRIT",
            "logging.logger_subsys.QUORUM.debug": "trace",
        }
    )
    quorum, main = settings.of("QUORUM"), settings.of("MAIN")
    assert main is settings.top
    assert (main.logfile, main.file_threshold, main.syslog_threshold) == ("/var/log/a", log.WARNING, log.INFO)
    assert (quorum.logfile, quorum.to_logfile, quorum.to_stderr) == ("/var/log/b", True, False)
    assert (quorum.file_threshold, quorum.syslog_threshold) == (log.TRACE, log.TRACE)
    assert quorum.facility == main.facility == 19


def test_a_subsystem_section_without_debug_switches_it_off() -> None:
    values = {"logging.debug": "on", "logging.logger_subsys.KNET.subsys": "KNET"}
    settings = read_settings(values)
    assert settings.of("CPG").file_threshold == log.DEBUG
    assert settings.of("KNET").file_threshold == log.INFO


def test_a_section_that_does_not_name_its_subsystem_is_no_section() -> None:
    settings = read_settings({"logging.logger_subsys.KNET.debug": "on"})
    assert settings.subsystems == {}


def test_the_logfile_in_use_is_kept_when_its_key_is_gone() -> None:
    assert read_settings({}, "/var/log/a").top.logfile == "/var/log/a"
    assert read_settings({"logging.logfile": "/b"}, "/var/log/a").top.logfile == "/b"


def test_obsolete_names_warn_and_lose_against_the_defaults_of_their_successors() -> None:
    settings = read_settings({"logging.to_file": "yes", "logging.syslog_level": "debug"})
    assert not settings.top.to_logfile
    assert settings.top.syslog_level == log.INFO
    assert settings.warnings == (
        "Warning: the syslog_level config parameter has been obsoleted."
        " See corosync.conf man page syslog_priority directive.",
        "Warning: the to_file config parameter has been obsoleted."
        " See corosync.conf man page to_logfile directive.",
    )


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("logging.to_stderr", "unknown value for to_stderr"),
        ("logging.to_logfile", "unknown value for to_logfile"),
        ("logging.timestamp", "unknown value for timestamp"),
        ("logging.fileline", "unknown value for fileline"),
        ("logging.function_name", "unknown value for function_name"),
        ("logging.blackbox", "unknown value for blackbox"),
        ("logging.debug", "unknown value for debug"),
        ("logging.syslog_facility", "unknown syslog facility specified"),
        ("logging.syslog_priority", "unknown syslog priority specified"),
        ("logging.logfile_priority", "unknown logfile priority specified"),
        ("logging.logger_subsys.CPG.to_syslog", "unknown value for to_syslog"),
    ],
)
def test_a_bad_value_is_named_as_corosync_names_it(key: str, text: str) -> None:
    values = {"logging.logger_subsys.CPG.subsys": "CPG", key: "perhaps"}
    with pytest.raises(LogConfigError, match=f"^{text}$"):
        read_settings(values)
