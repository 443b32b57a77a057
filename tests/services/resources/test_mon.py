"""The keys of monitored resources."""

import logging

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.services.resources.mon import MonService, leading_number
from tests.services.cmap.clients import view


def test_the_keys_of_a_daemon_that_monitors_nothing() -> None:
    node = view()
    service = MonService(node)
    found = {key: (entry.kind, entry.value) for key, entry in node.cmap.items("resources.")}
    assert found == {
        "resources.system.load_15min.current": (ValueType.DOUBLE, 0.0),
        "resources.system.load_15min.last_updated": (ValueType.UINT64, 0),
        "resources.system.load_15min.poll_period": (ValueType.UINT64, 3000),
        "resources.system.load_15min.state": (ValueType.STRING, "stopped"),
        "resources.system.memory_used.current": (ValueType.INT32, 0),
        "resources.system.memory_used.last_updated": (ValueType.UINT64, 0),
        "resources.system.memory_used.poll_period": (ValueType.UINT64, 3000),
        "resources.system.memory_used.state": (ValueType.STRING, "stopped"),
    }
    assert (service.ID, service.NAME, service.HAS_IPC, service.DELIVERIES) == (6, "mon", False, {})


@pytest.mark.parametrize(
    ("text", "kept", "warns"), [("1000", True, False), ("10", True, True), ("abc", False, False)]
)
def test_a_configured_period(text: str, kept: bool, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    node, key = view(), "resources.system.load_15min.poll_period"
    node.cmap.set_str(key, text)
    with caplog.at_level(logging.DEBUG, "corosync.MON"):
        MonService(node)
    assert node.cmap.value(key) == (text if kept else 3000)
    warning = "Could NOT use poll_period:10 ms for resource load_15min"
    assert caplog.messages == ([warning] if warns else [])


def test_monitoring_that_is_wanted_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    node.cmap.set_str("resources.system.load_15min.max", "8")
    with caplog.at_level(logging.DEBUG, "corosync.MON"):
        MonService(node)
        node.cmap.set_str("resources.system.memory_used.max", "70")
    assert caplog.messages == [
        "resources.system.load_15min.max is set, but resources are not monitored",
        "resources.system.memory_used.max is set, but resources are not monitored",
    ]


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), (" 12x", 12), ("+3", 3), ("", None), ("x1", None), ("-1", None)]
)
def test_numbers_at_the_beginning(text: str, number: int | None) -> None:
    assert leading_number(text) == number
