"""The watchdog service's keys and words."""

import logging

import pytest

from pycorosync.services.resources.mon import MonService
from pycorosync.services.resources.wd import TIMEOUT_KEY, WdService
from pycorosync.services.service import NodeView
from tests.services.cmap.clients import view


def words(node: NodeView, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.DEBUG, "corosync.WD"):
        WdService(node)
    return caplog.messages


def test_it_says_what_the_real_one_says_by_default(caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    MonService(node)
    assert words(node, caplog) == [
        "Watchdog not enabled by configuration",
        "resource load_15min missing a recovery key.",
        "resource memory_used missing a recovery key.",
        "no resources configured.",
    ]
    assert node.cmap.value(TIMEOUT_KEY) == 6
    assert node.cmap.value("resources.system.load_15min.poll_period") == 3000


@pytest.mark.parametrize(("configured", "used"), [(2, 2), (120, 120), (1, 6), (121, 6), (0, 6)])
def test_the_timeout_has_a_range(configured: int, used: int, caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    node.cmap.set_u32(TIMEOUT_KEY, configured)
    complaint = ["Set watchdog_timeout is out of range (2..120).", "use default value 6 seconds."]
    assert words(node, caplog)[:2] == (
        complaint
        if configured != used
        else ["Watchdog not enabled by configuration", "no resources configured."]
    )
    assert node.cmap.value(TIMEOUT_KEY) == used


def test_a_later_timeout_out_of_range_is_undone() -> None:
    node = view()
    WdService(node)
    node.cmap.set_u32(TIMEOUT_KEY, 30)
    node.cmap.set_u32(TIMEOUT_KEY, 300)
    assert node.cmap.value(TIMEOUT_KEY) == 30
    node.cmap.set_str(TIMEOUT_KEY, "5")
    assert node.cmap.value(TIMEOUT_KEY) == 30


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("off", "Watchdog disabled by configuration"),
        ("", "Watchdog disabled by configuration"),
        (
            "/dev/watchdog",
            "Watchdog /dev/watchdog is configured, but watchdogs are not supported: not opened",
        ),
    ],
)
def test_the_device(device: str, line: str, caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    node.cmap.set_str("resources.watchdog_device", device)
    assert words(node, caplog)[0] == line


def test_resources_with_recovery_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    node.cmap.set_str("resources.system.x.recovery", "watchdog")
    node.cmap.set_str("resources.system.x.state", "running")
    assert words(node, caplog)[1:] == ["resource x has a recovery key, but resources are not checked"]
    assert node.cmap.value("resources.system.x.poll_period") == 6000


def test_resources_that_come_later(caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    words(node, caplog)
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "corosync.WD"):
        node.cmap.set_u64("resources.process.7.poll_period", 100)
        node.cmap.set_str("resources.process.7.state", "running")
        node.cmap.set_str("resources.other.7.state", "running")
        node.cmap.set_str("resources.process.state", "running")
    assert caplog.messages == [
        "Could NOT use poll_period:100 ms for resource 7",
        "resource 7 missing a recovery key.",
    ]
