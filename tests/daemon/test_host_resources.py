"""What the machine says of itself (pycorosync/daemon/host_resources.py)."""

import fcntl
import os
from pathlib import Path

import pytest

from pycorosync.daemon import host_resources
from pycorosync.daemon.host_resources import INFO, NUMBER, DeviceWatchdog, Machine
from pycorosync.services.resources.host import HostResources


def test_memory_and_swap_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_resources, "MEMINFO", str(tmp_path / "meminfo"))
    host: HostResources = Machine()
    assert host.memory_used_percent() == -1
    (tmp_path / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 300 kB\nCached: 100 kB\nSwapTotal: 500 kB\nSwapFree: 300 kB\n"
    )
    assert host.memory_used_percent() == 53
    (tmp_path / "meminfo").write_text(
        "MemTotal: 0 kB\nMemFree: 0 kB\nCached: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    )
    assert host.memory_used_percent() == -1
    (tmp_path / "meminfo").write_text("nonsense\n")
    assert host.memory_used_percent() == -1


def test_the_machine_itself() -> None:
    assert 0 < Machine().memory_used_percent() <= 100
    assert Machine().load_15min() >= 0


def test_a_load_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", refuse)
    assert Machine().load_15min() == -1


def test_a_file_in_place_of_a_watchdog(tmp_path: Path) -> None:
    path = tmp_path / "dog"
    with pytest.raises(FileNotFoundError):
        Machine().open_watchdog(str(path))
    with pytest.raises(OSError, match="Is a directory"):
        Machine().open_watchdog(str(tmp_path))
    path.touch()
    dog = Machine().open_watchdog(str(path))
    assert (dog.identity, dog.sets_timeout, dog.timeout_s()) == ("", False, None)
    dog.set_timeout(5)
    dog.enable()
    dog.tickle()
    assert path.read_bytes() == b""
    assert dog.close()
    assert path.read_bytes() == b"V"


def test_the_requests_of_a_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[int, bytes]] = []

    def ioctl(_fd: int, number: int, argument: bytes) -> bytes:
        requests.append((number, argument))
        if number == 0x80285700:
            return INFO.pack(0x8180, 1, b"Software Watchdog")
        return NUMBER.pack(60) if number == 0x80045707 else argument

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    dog = DeviceWatchdog(-1)
    assert (dog.identity, dog.sets_timeout, dog.timeout_s()) == ("Software Watchdog", True, 60)
    dog.set_timeout(6)
    dog.enable()
    dog.tickle()
    assert requests == [
        (0x80285700, bytes(40)),
        (0x80045707, bytes(4)),
        (0xC0045706, NUMBER.pack(6)),
        (0x80045704, NUMBER.pack(2)),
        (0x80045705, bytes(4)),
    ]
    assert not dog.close()


def test_the_end_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Library:
        def __init__(self, _name: None) -> None: ...

        def reboot(self, how: object) -> None:
            asked.append(how.value & 0xFFFFFFFF)  # type: ignore[attr-defined]

    monkeypatch.setattr("ctypes.CDLL", Library)
    Machine().reboot()
    Machine().power_off()
    assert asked == [0x01234567, 0x4321FEDC]
