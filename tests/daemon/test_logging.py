"""The shape of log lines and where they go (pycorosync/daemon/logging.py)."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pycorosync import log
from pycorosync.cmap.store import Store
from pycorosync.config.host import HostFacts
from pycorosync.config.logs import FACILITIES as FACILITY_NAMES
from pycorosync.config.logs import PRIORITIES as PRIORITY_NAMES
from pycorosync.config.logs import read_logging
from pycorosync.config.model import Debug
from pycorosync.daemon.logging import (
    DEBUG_LEVELS,
    FACILITIES,
    NOTHING,
    PRIORITIES,
    LogConfigError,
    LogSystem,
)
from tests.daemon.flight_data import read

MAIN, QUORUM, CPG = (log.subsystem(name) for name in ("MAIN", "QUORUM", "CPG"))
STAMP = r"[A-Z][a-z][a-z] \d\d \d\d:\d\d:\d\d"


class Setup:
    """A log system whose three targets can be read."""

    def __init__(self, directory: Path) -> None:
        self.logfile = directory / "corosync.log"
        self.stderr = directory / "stderr"
        fd = os.open(self.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.server.bind(str(directory / "dev-log"))
        self.server.setblocking(False)
        self.system = LogSystem(hostname="n1", stderr_fd=fd, syslog_path=str(directory / "dev-log"))
        self.system.install()

    def running(self, values: dict[str, str]) -> Store:
        """The map of a node with these keys of the logging section."""
        store = Store()
        for key, value in ({"to_logfile": "yes", "logfile": str(self.logfile)} | values).items():
            store.set_str(f"logging.{key}", value)
        return store

    def configure(self, **values: str) -> None:
        self.system.configure(read_logging(self.running(values), HostFacts(), "", []))

    def file_lines(self) -> list[str]:
        return self.logfile.read_text().splitlines()

    def stderr_lines(self) -> list[str]:
        return self.stderr.read_text().splitlines()

    def syslog_lines(self) -> list[str]:
        lines = []
        while True:
            try:
                lines.append(self.server.recv(10000).decode())
            except BlockingIOError:
                return lines


@pytest.fixture
def setup(tmp_path: Path, logging_restored: None) -> Iterator[Setup]:
    found = Setup(tmp_path)
    yield found
    found.system.close()
    found.server.close()


def test_nothing_is_logged_before_the_configuration_is_known(setup: Setup) -> None:
    MAIN.error("too early")
    assert setup.stderr_lines() == setup.syslog_lines() == []


def test_a_line_looks_as_corosync_prints_it(setup: Setup) -> None:
    setup.configure()
    MAIN.notice("text %d", 7)
    pid = os.getpid()
    assert re.fullmatch(
        rf"{STAMP}\.\d\d\d \[{pid}\] n1 corosync notice  \[MAIN  \] text 7", setup.file_lines()[0]
    )
    assert re.fullmatch(rf"{STAMP}\.\d\d\d notice  \[MAIN  \] text 7", setup.stderr_lines()[0])
    (line,) = setup.syslog_lines()
    assert re.fullmatch(
        rf"<29>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d corosync\[{pid}\]:   \[MAIN  \] text 7", line
    )


@pytest.mark.parametrize(
    ("options", "stderr", "syslog"),
    [
        ({"timestamp": "off"}, r"warning \[QUORUM\] t", r"]:  [QUORUM] t"),
        ({"timestamp": "on"}, STAMP + r" warning \[QUORUM\] t", r"]:   [QUORUM] t"),
        (
            {"timestamp": "off", "fileline": "on"},
            r"warning \[QUORUM\] test_logging.py:\d+ t",
            None,
        ),
        (
            {"timestamp": "off", "function_name": "on"},
            r"warning \[QUORUM\] test_options_shape_the_line t",
            None,
        ),
        (
            {"timestamp": "off", "function_name": "on", "fileline": "on"},
            r"warning \[QUORUM\] test_logging.py:test_options_shape_the_line:\d+ t",
            None,
        ),
    ],
)
def test_options_shape_the_line(
    setup: Setup, options: dict[str, str], stderr: str, syslog: str | None
) -> None:
    setup.configure(**options)
    QUORUM.warning("t")
    assert re.fullmatch(stderr, setup.stderr_lines()[0])
    (line,) = setup.syslog_lines()
    assert syslog is None or line.endswith(syslog)


def test_levels_become_syslog_priorities_with_the_bump_for_debug(setup: Setup) -> None:
    setup.configure(debug="trace", syslog_facility="local0")
    for level in (
        log.EMERG,
        log.ALERT,
        log.CRIT,
        log.ERROR,
        log.WARNING,
        log.NOTICE,
        log.INFO,
        log.DEBUG,
        log.TRACE,
    ):
        MAIN.log(level, "t")
    priorities = [int(line[1 : line.index(">")]) - (16 << 3) for line in setup.syslog_lines()]
    assert priorities == [0, 1, 2, 3, 4, 5, 6, 6, 7]
    names = [line.split()[0] for line in (text[20:] for text in setup.stderr_lines())]
    assert names == ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug", "trace"]


def test_thresholds_and_targets_differ_by_subsystem(setup: Setup, tmp_path: Path) -> None:
    other = tmp_path / "cpg.log"
    setup.configure(
        **{
            "to_stderr": "no",
            "syslog_priority": "error",
            "logger_subsys.CPG.subsys": "CPG",
            "logger_subsys.CPG.logfile": str(other),
            "logger_subsys.CPG.debug": "on",
            "logger_subsys.CPG.to_syslog": "no",
        }
    )
    CPG.debug("cpg debug")
    MAIN.debug("main debug")
    MAIN.info("main info")
    MAIN.error("main error")
    assert [line.rpartition("] ")[2] for line in setup.file_lines()] == ["main info", "main error"]
    assert [line.rpartition("] ")[2] for line in other.read_text().splitlines()] == ["cpg debug"]
    assert [line.rpartition("] ")[2] for line in setup.syslog_lines()] == ["main error"]
    assert setup.stderr_lines() == []


def test_levels_without_a_target_are_not_even_formatted(setup: Setup) -> None:
    setup.configure(to_stderr="no", to_syslog="no", to_logfile="no", blackbox="off")
    assert logging.getLogger("corosync.MAIN").level == NOTHING
    assert not MAIN.enabled(log.EMERG)


def test_a_change_at_run_time_takes_effect(setup: Setup) -> None:
    setup.configure(to_stderr="no", to_syslog="no")
    CPG.debug("first")
    setup.configure(to_stderr="no", to_syslog="no", debug="on", timestamp="off")
    CPG.debug("second")
    assert setup.file_lines() == [f"[{os.getpid()}] n1 corosync debug   [CPG   ] second"]


def test_a_bad_change_is_logged_and_changes_nothing(setup: Setup) -> None:
    setup.configure(timestamp="off", to_syslog="no")
    setup.system.change(setup.running({"timestamp": "on", "to_logfile": "maybe"}))
    setup.system.change(setup.running({"timestamp": "on", "logfile": "/nonexistent/dir/log"}))
    complaint = "error   [MAIN  ] Unable to change the logging configuration: "
    assert setup.stderr_lines() == [
        complaint + "parse error in config: unknown value for to_logfile.",
        complaint + "Can't open logfile '/nonexistent/dir/log' for reason: No such file or directory (2)",
    ]


def test_the_logfile_in_use_is_kept_when_its_key_is_deleted(setup: Setup) -> None:
    setup.configure(timestamp="off", to_stderr="no")
    running = setup.running({"timestamp": "off", "to_stderr": "no"})
    running.delete("logging.logfile")
    setup.system.change(running)
    MAIN.info("still here")
    assert [line.rpartition("] ")[2] for line in setup.file_lines()] == ["still here"]


def test_a_subsystem_may_have_a_facility_of_its_own(setup: Setup) -> None:
    setup.configure(
        **{
            "syslog_facility": "local3",
            "logger_subsys.CPG.subsys": "CPG",
            "logger_subsys.CPG.syslog_facility": "local5",
            "logger_subsys.QUORUM.subsys": "QUORUM",
        }
    )
    for subsystem in (MAIN, CPG, QUORUM):
        subsystem.error("t")
    facilities = [int(line[1 : line.index(">")]) >> 3 for line in setup.syslog_lines()]
    assert facilities == [19, 21, 19]


def test_every_word_of_the_configuration_means_something() -> None:
    assert set(FACILITY_NAMES) == set(FACILITIES)
    assert set(PRIORITY_NAMES) - {"error"} == set(PRIORITIES)  # error is read as err
    assert set(DEBUG_LEVELS) == set(Debug)


def test_last_words_reach_stderr_and_syslog_without_a_configuration(setup: Setup) -> None:
    setup.system.last_words("Can't read file x: No such file or directory")
    assert setup.stderr_lines() == ["Can't read file x: No such file or directory"]
    (line,) = setup.syslog_lines()
    assert re.fullmatch(
        rf"<27>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d corosync\[{os.getpid()}\]: Can't read file x: .*", line
    )


def test_a_logfile_that_cannot_be_opened_is_refused(setup: Setup) -> None:
    with pytest.raises(LogConfigError) as caught:
        setup.configure(logfile="/nonexistent/dir/log")
    assert str(caught.value) == (
        "Can't open logfile '/nonexistent/dir/log' for reason: No such file or directory (2)"
    )
    settings = read_logging(setup.running({}), HostFacts(), "", [])
    with pytest.raises(LogConfigError):
        setup.system.configure(replace(settings, target=replace(settings.target, logfile="a\0b")))


def test_reopening_follows_a_rotation_under_the_thread(setup: Setup, tmp_path: Path) -> None:
    setup.configure(timestamp="off", to_stderr="no", to_syslog="no")
    setup.system.start_thread()
    MAIN.info("old")
    assert setup.system.writer.stop()
    setup.logfile.rename(tmp_path / "rotated")
    setup.system.reopen()
    MAIN.info("new")
    assert setup.file_lines()[0].endswith("new")
    assert len((tmp_path / "rotated").read_text().splitlines()) == 1


def test_a_full_disk_and_a_missing_syslog_are_counted_only(setup: Setup) -> None:
    setup.server.close()
    setup.configure(logfile="/dev/full", to_stderr="no")
    MAIN.info("line")
    assert setup.system.failures == 2
    assert setup.system.broken == 0


def test_a_line_cannot_forge_another(setup: Setup) -> None:
    setup.configure(timestamp="off")
    MAIN.error("one\nerror   [MAIN  ] two\n")
    assert setup.stderr_lines() == ["error   [MAIN  ] one error   [MAIN  ] two"]


def test_a_line_that_cannot_be_formatted_is_counted(setup: Setup) -> None:
    setup.configure()
    MAIN.error("%d", "no number")
    assert setup.system.broken == 1
    assert setup.stderr_lines() == []


def test_every_line_is_recorded_wanted_or_not(setup: Setup, tmp_path: Path) -> None:
    setup.configure(to_stderr="no", to_syslog="no", to_logfile="no")
    assert CPG.enabled(log.TRACE)
    CPG.trace("trace %d", 1)
    MAIN.error("%d", "no number")
    MAIN.error("\ud800%s", "x")
    setup.system.store_flight_data(str(tmp_path))
    lines = read(tmp_path / "fdata")
    assert [(line.priority, line.tag, line.text) for line in lines] == [
        (8, 5, "trace 1"),
        (3, 8, "%d"),
        (3, 8, "?x"),
    ]
    assert {line.function for line in lines} == {"test_every_line_is_recorded_wanted_or_not"}
    assert setup.system.broken == 0  # no target wanted them


def test_the_recorder_goes_off_and_on_with_its_option(setup: Setup, tmp_path: Path) -> None:
    setup.configure(to_stderr="no", to_syslog="no")
    CPG.debug("one")
    setup.configure(to_stderr="no", to_syslog="no", blackbox="off")
    CPG.debug("two")
    assert not CPG.enabled(log.DEBUG)
    setup.system.store_flight_data(str(tmp_path))
    assert "Can't store blackbox file: No such file or directory (2)" in setup.file_lines()[-1]
    setup.configure(to_stderr="no", to_syslog="no")
    CPG.debug("three")
    setup.system.store_flight_data(str(tmp_path))
    assert [line.text for line in read(tmp_path / "fdata")] == ["three"]


def test_no_memory_for_the_recorder(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("pycorosync.daemon.logging.FlightRecorder", refuse)
    setup.configure(to_stderr="no", to_syslog="no")
    text = "Unable to initialize log flight recorder, there will be no blackbox: Cannot allocate memory (12)"
    assert setup.file_lines()[-1].endswith(text)
    CPG.debug("goes nowhere")
