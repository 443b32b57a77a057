"""The last act before a fault ends the process (pycorosync/daemon/crash.py)."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, signal, threading
from pycorosync.daemon.crash import before_a_crash
{before}
before_a_crash({act})
{fault}
"""
SAY = "lambda: print('written', flush=True)"


def crash(fault: str, act: str = SAY, before: str = "") -> "subprocess.CompletedProcess[str]":
    program = PROGRAM.format(fault=fault, act=act, before=before)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("ctypes.string_at(8)", signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGSEGV)", signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGABRT)", signal.SIGABRT),
        ("os.abort()", signal.SIGABRT),
        ("ctypes.CDLL(None).abort()", signal.SIGABRT),
        (
            "t = threading.Thread(target=lambda: ctypes.string_at(8)); t.start(); t.join()",
            signal.SIGSEGV,
        ),
    ],
)
def test_the_last_act_comes_once_and_the_signal_ends_the_process(fault: str, number: int) -> None:
    done = crash(fault)
    assert (done.returncode, done.stdout) == (-number, "written\n"), done.stderr


def test_a_fault_in_the_last_act_changes_nothing() -> None:
    for act in ("lambda: 1 / 0", "lambda: ctypes.string_at(8)"):
        assert crash("ctypes.string_at(8)", act).returncode == -signal.SIGSEGV


def test_a_last_act_that_hangs_is_ended() -> None:
    before = "from pycorosync.daemon import crash\ncrash.LIMIT_S = 1\n"
    act = "lambda: threading.Lock().acquire() and threading.Event().wait()"
    assert crash("ctypes.string_at(8)", act, before).returncode == -signal.SIGALRM
