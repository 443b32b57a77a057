"""A client may truncate what it shares with us; nobody else's SIGBUS is swallowed."""

import signal
import subprocess
import sys

import pytest

SURVIVES = """
import contextlib, os
from pycorosync.errors import MalformedMessage
from pycorosync.daemon.sigbus import SigbusGuard
from pycorosync.ipc.shared_memory import RingFile, ring_name
guard = SigbusGuard()
guard.install()
ring = RingFile.create(ring_name(os.getpid(), 1, 2), 1048576, os.getuid(), os.getgid())
guard.guard(ring.mappings)
ring.ring.write(bytes(1000), bytes(3000))
os.truncate(ring.path + "-{what}", 0)
for _ in range(3):
    ring.ring.write(bytes(1000), bytes(100000))
    with contextlib.suppress(MalformedMessage):
        ring.ring.peek()
assert len(guard.severed) == 1, guard.severed
guard.forget(ring.mappings)
assert not guard.severed
ring.close()
print("alive")
"""

DIES = """
import os
from pycorosync.daemon.sigbus import SigbusGuard
from pycorosync.ipc.shared_memory import map_once
guard = SigbusGuard()
guard.install()
fd = os.memfd_create("x")
os.truncate(fd, 4096)
mapping = map_once(fd, 4096)
os.truncate(fd, 0)
mapping.view[0]
"""


def _run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("what", ["header", "data"])
def test_a_truncated_ring_becomes_private_zeros(what: str) -> None:
    done = _run(SURVIVES.replace("{what}", what))
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_any_other_bad_access_still_ends_the_process() -> None:
    assert _run(DIES).returncode == -signal.SIGBUS


SENT = """
import os, signal
from pycorosync.daemon.sigbus import SigbusGuard
guard = SigbusGuard()
guard.install()
os.kill(os.getpid(), signal.SIGBUS)
"""


def test_a_signal_that_somebody_sends_ends_the_process() -> None:
    assert _run(SENT).returncode == -signal.SIGBUS
