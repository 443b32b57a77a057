"""Handlers that run inside the signal (pycorosync/daemon/signal_action.py)."""

import signal
import subprocess
import sys

import pytest

from pycorosync.daemon.signal_action import handle_at_once

PROGRAM = """
import os, signal
from pycorosync.daemon.signal_action import SA_RESETHAND, handle_at_once
handle_at_once(signal.SIGUSR1, lambda number, info, context: print(number, info != 0, flush=True), {flags})
for _ in range(2):
    os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize(("flags", "times", "status"), [("0", 2, 0), ("SA_RESETHAND", 1, -signal.SIGUSR1)])
def test_it_is_called_every_time_or_once(flags: str, times: int, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(flags=flags)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (f"{signal.SIGUSR1:d} True\n" * times, status), done.stderr


def test_what_cannot_be_handled_is_refused() -> None:
    with pytest.raises(OSError, match="sigaction"):
        handle_at_once(signal.SIGKILL, lambda *_: None)
