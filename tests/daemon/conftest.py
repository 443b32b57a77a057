"""What the tests of the daemon share."""

import logging
from collections.abc import Iterator

import pytest

from pycorosync import log

_SWITCHES = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing", "raiseExceptions")


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """A LogSystem takes over the process's loggers: afterwards they are as before."""
    saved = {name: getattr(logging, name) for name in _SWITCHES}
    yield
    log.record_with(None)
    root = logging.getLogger("corosync")
    root.handlers[:] = []
    root.propagate = True
    for name in log.SUBSYSTEMS:
        logging.getLogger(f"corosync.{name}").setLevel(logging.NOTSET)
    for name, value in saved.items():
        setattr(logging, name, value)
