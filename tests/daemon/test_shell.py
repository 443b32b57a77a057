"""What the shell does in each turn of its loop."""

from pathlib import Path

import pytest

from pycorosync.daemon.client_server import ClientServer
from pycorosync.daemon.logging import LogSystem
from pycorosync.daemon.shell import Shell
from tests.nodes import SimulatedNode

SECOND = 1_000_000_000


def test_a_daemon_that_never_waits_has_not_paused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    simulated = SimulatedNode()
    simulated.start()
    shell = Shell(simulated.node, "", LogSystem(), str(tmp_path))
    simulated.node.outputs.clear()
    monkeypatch.setattr(ClientServer, "has_pending", True)
    now_ns = 1000 * SECOND
    for _ in range(100):
        assert shell._turn(now_ns) == 0
        now_ns += SECOND // 10
    assert not list(shell._pauses.misses())
    shell._turn(now_ns + 10 * SECOND)
    assert list(shell._pauses.misses())
    for end in (shell._signals, shell._signal_writer):
        end.close()
