"""The port of a simulated host (pycorosync/services/resources/host.py)."""

import pytest

from pycorosync.services.resources.host import HostResources, NoHost


def test_nothing_is_known_and_nothing_done() -> None:
    host: HostResources = NoHost()
    assert host.memory_used_percent() < 0
    assert host.load_15min() < 0
    host.reboot()
    host.power_off()
    with pytest.raises(FileNotFoundError):
        host.open_watchdog("/dev/watchdog")
