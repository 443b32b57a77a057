"""The monitored resources: keys, samples, failures (pycorosync/services/resources/mon.py)."""

import logging

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.services.resources.mon import MonService, leading_float, leading_integer, leading_number
from tests.services.cmap.clients import view
from tests.services.resources.fakes import FakeHost

MS = 1_000_000
LOAD, MEMORY = "resources.system.load_15min.", "resources.system.memory_used."


class Setting:
    """A service on a fake host, at 1000 s of its clock."""

    def __init__(self, **keys: str) -> None:
        self.node = view()
        self.cmap = self.node.cmap
        for key, text in keys.items():
            self.cmap.set_str("resources.system." + key.replace("__", "."), text)
        self.host = FakeHost()
        self.service = MonService(self.node, self.host)
        self.now_ns = 1_000_000 * MS

    def run(self, milliseconds: int = 0) -> None:
        """Let time go by, timer by timer."""
        end = self.now_ns + milliseconds * MS
        while (deadline := self.service.next_deadline()) is not None and deadline <= end:
            self.now_ns = max(self.now_ns, deadline)
            self.service.on_timer(self.now_ns)
        self.now_ns = end

    def state(self, path: str) -> tuple[object, object, object]:
        keys = ("state", "current", "last_updated")
        state, current, updated = (self.cmap.value(path + key) for key in keys)
        return state, current, updated


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
    assert service.next_deadline() is None


@pytest.mark.parametrize(
    ("text", "kept", "warns"), [("1000", True, False), ("10", True, True), ("abc", False, False)]
)
def test_a_configured_period(text: str, kept: bool, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "corosync.MON"):
        setting = Setting(load_15min__poll_period=text)
    assert setting.cmap.value(LOAD + "poll_period") == (text if kept else 3000)
    # Compatibility: said when it is read, and when it is put to use.
    warning = "Could NOT use poll_period:10 ms for resource load_15min"
    assert caplog.messages == ([warning, warning] if warns else [])


def test_samples_are_taken_at_once_and_every_period() -> None:
    setting = Setting(memory_used__max="90", memory_used__poll_period="600")
    assert setting.state(MEMORY) == ("running", 0, 0)
    setting.run()
    assert setting.state(MEMORY) == ("running", 11, 1_000_000 * MS)
    assert setting.cmap.get(MEMORY + "current") == (ValueType.UINT32, 11)
    setting.host.memory = 12
    setting.run(599)
    assert setting.state(MEMORY) == ("running", 11, 1_000_000 * MS)
    setting.run(1)
    assert setting.state(MEMORY) == ("running", 12, 1_000_600 * MS)
    assert setting.state(LOAD) == ("stopped", 0.0, 0)


def test_more_than_the_maximum_is_a_failure_until_something_changes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "corosync.MON"):
        setting = Setting(load_15min__max="0.5")
        setting.run(2500)
        assert setting.state(LOAD)[0] == "running"  # not more than
        setting.host.load = 0.51
        setting.run(3000)
        assert setting.state(LOAD)[:2] == ("failed", 0.51)
        setting.host.load = 0.1
        setting.run(3000)
        assert setting.state(LOAD)[:2] == ("failed", 0.1)
        setting.cmap.set_str(LOAD + "max", "2")
        assert setting.state(LOAD)[0] == "running"
        setting.cmap.set_str(LOAD + "max", "0.01")
        setting.run()
    assert caplog.messages == [
        'Fsm:load_15min event "config_changed", state "stopped" --> "running"',
        'Fsm:load_15min event "failure", state "running" --> "failed"',
        'Fsm:load_15min event "config_changed", state "failed" --> "running"',
        'Fsm:load_15min event "failure", state "running" --> "failed"',
    ]


@pytest.mark.parametrize("value", [0, -1])
def test_what_cannot_be_learnt_is_not_published(value: int) -> None:
    setting = Setting(memory_used__max="90")
    setting.host.memory = value
    setting.run(10_000)
    assert setting.state(MEMORY) == ("running", 0, 0)
    setting.host.memory = 5
    setting.run(3000)
    assert setting.state(MEMORY)[:2] == ("running", 5)


@pytest.mark.parametrize("how", ["text", "type", "deleted"])
def test_without_a_usable_maximum_it_stops(how: str, caplog: pytest.LogCaptureFixture) -> None:
    setting = Setting(memory_used__max="90")
    setting.run()
    if how == "text":
        setting.cmap.set_str(MEMORY + "max", "abc")
    elif how == "type":
        setting.cmap.set_u32(MEMORY + "max", 5)
    else:
        setting.cmap.delete(MEMORY + "max")
    assert setting.cmap.get_str(MEMORY + "state") == "stopped"
    assert setting.service.next_deadline() is None
    assert ('resource "memory_used" deleted from cmap!' in caplog.messages) == (how == "deleted")


def test_an_added_maximum_counts_from_its_first_change_on() -> None:
    setting = Setting()
    setting.cmap.set_str(LOAD + "max", "1")
    assert setting.cmap.get_str(LOAD + "state") == "stopped"
    setting.cmap.set_str(LOAD + "max", "2")
    assert setting.cmap.get_str(LOAD + "state") == "running"


def test_a_period_that_changes(caplog: pytest.LogCaptureFixture) -> None:
    setting = Setting(load_15min__max="9")
    setting.run()
    with caplog.at_level(logging.DEBUG, "corosync.MON"):
        for text in ("600", "x", "100"):
            setting.cmap.set_str(LOAD + "poll_period", text)
        setting.cmap.set_u64(LOAD + "poll_period", 700)
    assert caplog.messages == [
        "poll_period changing from:3000 to 600.",
        "Could NOT use poll_period: x (not uint64 type) for resource load_15min",
        "Could NOT use poll_period:100 ms for resource load_15min",
    ]
    setting.run()
    assert setting.service.next_deadline() == setting.now_ns + 600 * MS


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), (" 12x", 12), ("+3", 3), ("", None), ("x1", None), ("-1", None)]
)
def test_numbers_at_the_beginning(text: str, number: int | None) -> None:
    assert leading_number(text) == number


def test_signed_numbers_and_fractions_at_the_beginning() -> None:
    assert [leading_integer(text) for text in ("-5x", "9999999999", "x")] == [-5, 2**31 - 1, None]
    fractions = [leading_float(text) for text in (" 1.5%", "-.5", "1e2", "1.", ".", "")]
    assert fractions == [1.5, -0.5, 100.0, 1.0, None, None]
