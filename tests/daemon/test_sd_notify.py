"""Telling systemd (pycorosync/daemon/sd_notify.py)."""

import os
import socket
from pathlib import Path

import pytest

from pycorosync.daemon.sd_notify import READY, notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_state_reaches_the_socket(tmp_path: Path, kind: str) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@pycorosync-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if kind == "abstract" else name)
        manager.setblocking(False)
        assert notify(READY, {"NOTIFY_SOCKET": name})
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "@"}, {"NOTIFY_SOCKET": "tcp:1"}]
)
def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    assert not notify(READY, environment)


def test_a_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    assert not notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notify(READY, {"NOTIFY_SOCKET": "/" + "x" * 500})
