"""Loggers of subsystems."""

import logging

import pytest

from pycorosync import log


def test_every_level_reaches_the_logger_of_its_subsystem(caplog: pytest.LogCaptureFixture) -> None:
    logger = log.subsystem("CPG")
    with caplog.at_level(log.TRACE, "corosync.CPG"):
        for level in ("error", "warning", "notice", "info", "debug", "trace"):
            getattr(logger, level)("text %d", 1)
    assert [record.levelno for record in caplog.records] == [40, 30, 25, 20, 10, 5]
    assert {(record.name, record.getMessage()) for record in caplog.records} == {("corosync.CPG", "text 1")}


def test_a_line_that_nobody_wants_is_not_formatted() -> None:
    logger = log.subsystem("WD")
    logging.getLogger("corosync.WD").setLevel(log.ERROR)

    class Unprintable:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    logger.info("%s", Unprintable())
    assert not logger.enabled(log.INFO)
    logging.getLogger("corosync.WD").setLevel(logging.NOTSET)


def test_a_subsystem_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="NOPE"):
        log.subsystem("NOPE")
