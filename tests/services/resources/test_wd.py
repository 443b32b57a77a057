"""The watchdog and the resources that keep it quiet (pycorosync/services/resources/wd.py)."""

import logging

import pytest

from pycorosync.services.resources.mon import MonService
from pycorosync.services.resources.wd import TIMEOUT_KEY, WdService
from pycorosync.services.service import NodeView
from tests.services.cmap.clients import view
from tests.services.resources.fakes import FakeDog, FakeHost

MS = 1_000_000
START_NS = 1_000_000 * MS
PATH = "resources.process.7."
DEVICE = "/dev/watchdog"


def words(node: NodeView, caplog: pytest.LogCaptureFixture, host: FakeHost | None = None) -> list[str]:
    with caplog.at_level(logging.INFO, "corosync.WD"):
        WdService(node, host)
    return caplog.messages


class Setting:
    """A service whose time a test decides."""

    def __init__(self, dog: FakeDog | None = None, **keys: str) -> None:
        self.node = view()
        self.cmap = self.node.cmap
        self.host = FakeHost()
        if dog:
            self.host.dog = dog
            self.cmap.set_str("resources.watchdog_device", DEVICE)
        for key, text in keys.items():
            self.cmap.set_str(PATH + key, text)
        self.service = WdService(self.node, self.host)
        self.now_ns = START_NS
        self.run()

    def run(self, milliseconds: int = 0) -> None:
        end = self.now_ns + milliseconds * MS
        while (deadline := self.service.next_deadline()) is not None and deadline <= end:
            self.now_ns = max(self.now_ns, deadline)
            self.service.on_timer(self.now_ns)
        self.now_ns = end

    def touch(self) -> None:
        """As who watches the resource does."""
        self.cmap.set_u64(PATH + "last_updated", self.now_ns)


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


# --- the watchdog


@pytest.mark.parametrize(
    ("device", "fault", "line"),
    [
        ("off", FileNotFoundError(), "Watchdog disabled by configuration"),
        ("", FileNotFoundError(), "Watchdog disabled by configuration"),
        (DEVICE, FileNotFoundError(), f"No watchdog {DEVICE}, try modprobe <a watchdog>"),
        (DEVICE, PermissionError(), f"Watchdog {DEVICE} exists but couldn't be opened."),
    ],
)
def test_no_device(device: str, fault: OSError, line: str, caplog: pytest.LogCaptureFixture) -> None:
    node, host = view(), FakeHost()
    host.dog = fault
    node.cmap.set_str("resources.watchdog_device", device)
    assert words(node, caplog, host)[0] == line
    assert host.calls == ([f"open {DEVICE}"] if device == DEVICE else [])


def test_a_device_is_tickled_twice_in_its_timeout_and_closed(caplog: pytest.LogCaptureFixture) -> None:
    dog = FakeDog()
    with caplog.at_level(logging.DEBUG, "corosync.WD"):
        setting = Setting(dog)
        assert dog.calls == ["timeout 6", "enable"]
        setting.run(9000)
        assert dog.calls[2:] == ["tickle"] * 3
        setting.cmap.set_u32(TIMEOUT_KEY, 10)
        setting.run(10_000)
        assert dog.calls[5:] == ["timeout 10", "tickle", "tickle"]
        setting.service.on_unload(setting.now_ns)
    assert dog.calls[-1] == "close"
    assert caplog.messages == [
        "The Watchdog timeout is 6 seconds",
        "The tickle timeout is 3000 ms",
        f"Watchdog {DEVICE} is now being tickled by corosync.",
        "Fake",
        "The Watchdog timeout is 6 seconds",
        "The tickle timeout is 3000 ms",
        "no resources configured.",
        "The Watchdog timeout is 10 seconds",
        "The tickle timeout is 5000 ms",
        "magically closing the watchdog.",
    ]


def test_a_device_that_has_the_timeout_already(caplog: pytest.LogCaptureFixture) -> None:
    dog = FakeDog(timeout_s=6)
    with caplog.at_level(logging.DEBUG, "corosync.WD"):
        Setting(dog)
    assert dog.calls == ["enable"]
    assert caplog.messages.count("The Watchdog timeout is 6 seconds") == 1


def test_a_device_that_keeps_its_timeout(caplog: pytest.LogCaptureFixture) -> None:
    dog = FakeDog(timeout_s=2, sets_timeout=False, closes=False)
    setting = Setting(dog)
    assert "Could not change the Watchdog timeout from 2 to 6 seconds" in caplog.messages
    setting.run(5000)
    assert dog.calls == ["enable"] + ["tickle"] * 5
    setting.service.on_unload(setting.now_ns)
    assert caplog.messages[-1] == "failed to write V to the watchdog."


def test_a_device_that_says_nothing_of_itself() -> None:
    dog = FakeDog(timeout_s=None, sets_timeout=False)
    setting = Setting(dog)
    setting.run(6000)
    assert dog.calls == ["enable", "tickle", "tickle"]


# --- resources


@pytest.mark.parametrize("recovery", ["watchdog", "quit", "none", "restart"])
def test_a_resource_that_fails(recovery: str, caplog: pytest.LogCaptureFixture) -> None:
    dog = FakeDog()
    with caplog.at_level(logging.INFO, "corosync.WD"):
        setting = Setting(dog, recovery=recovery, state="running")
        setting.touch()
        setting.run(11_000)
        setting.touch()
        setting.cmap.set_str(PATH + "state", "failed")
        del dog.calls[:]
        caplog.clear()
        setting.run(60_000)
    assert caplog.messages[:2] == [
        f'{recovery} resource "7" failed!',
        'Fsm:7 event "failure", state "running" --> "failed"',
    ]
    if recovery in ("watchdog", "quit"):
        assert caplog.messages[2:] == ["NOT tickling the watchdog!"]
        assert len(dog.calls) <= 3
    else:
        assert caplog.messages[2:] == []
        assert dog.calls == ["tickle"] * 20
    assert setting.host.calls == [f"open {DEVICE}"]


@pytest.mark.parametrize(("recovery", "act"), [("reboot", "reboot"), ("shutdown", "power off")])
def test_a_failure_that_ends_the_host(recovery: str, act: str) -> None:
    setting = Setting(recovery=recovery, state="failed")
    setting.touch()
    setting.run(11_999)
    assert setting.host.calls == []
    setting.touch()
    setting.run(1)
    assert setting.host.calls == [act]


def test_a_resource_that_nobody_updates(caplog: pytest.LogCaptureFixture) -> None:
    setting = Setting(recovery="none", state="running")
    setting.cmap.set_u64(PATH + "last_updated", 0)
    setting.run(100_000)  # nobody has begun
    assert caplog.messages.count('none resource "7" failed!') == 0
    setting.touch()
    setting.run(8000)
    assert caplog.messages.count('none resource "7" failed!') == 0
    setting.run(7000)
    assert 'none resource "7" failed!' in caplog.messages
    assert any(text.endswith("ms too late, period:6000.") for text in caplog.messages)


def test_a_disabled_resource_and_one_without_last_updated_count_as_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for state in ("disabled", "running"):
        caplog.clear()
        setting = Setting(recovery="none", state=state)
        if state == "disabled":
            setting.touch()
        setting.run(13_000)
        assert 'none resource "7" failed!' in caplog.messages


def test_a_resource_stops_starts_and_goes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "corosync.WD"):
        setting = Setting(recovery="none", state="running")
        caplog.clear()
        setting.cmap.set_str(PATH + "state", "stopped")
        setting.run(100_000)
        setting.cmap.set_str(PATH + "state", "running")
        setting.cmap.set_u64(PATH + "poll_period", 500)
        setting.cmap.set_u64(PATH + "poll_period", 100)
        setting.cmap.delete(PATH + "recovery")
        setting.cmap.set_str(PATH + "x", "1")
        setting.run(100_000)
        setting.cmap.delete(PATH + "state")
        setting.cmap.set_str(PATH + "x", "2")
        setting.cmap.set_str(PATH + "state", "running")
    assert caplog.messages == [
        'Fsm:7 event "config_changed", state "running" --> "stopped"',
        'Fsm:7 event "config_changed", state "stopped" --> "running"',
        "poll_period changing from:6000 to 500.",
        "Could NOT use poll_period:100 ms for resource 7",
        "resource 7 missing a recovery key.",
        'Fsm:7 event "config_changed", state "running" --> "stopped"',
        'resource "7" deleted from cmap!',
        "Could NOT use poll_period:100 ms for resource 7",
        "resource 7 missing a recovery key.",
    ]


def test_a_period_that_becomes_shorter_counts_after_one_more_long_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setting = Setting(recovery="none", state="running")
    setting.touch()
    setting.cmap.set_u64(PATH + "poll_period", 1000)
    setting.run(5999)
    setting.touch()
    setting.run(1001)
    assert 'none resource "7" failed!' not in caplog.messages
    setting.run(1000)
    assert 'none resource "7" failed!' in caplog.messages


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


def test_mon_and_wd_together(caplog: pytest.LogCaptureFixture) -> None:
    node, host = view(), FakeHost()
    path = "resources.system.load_15min."
    node.cmap.set_str(path + "max", "0.1")
    node.cmap.set_str(path + "recovery", "shutdown")
    services = (MonService(node, host), WdService(node, host))
    for now_ns in range(START_NS, START_NS + 20_000 * MS, 100 * MS):
        for service in services:
            deadline = service.next_deadline()
            if deadline is not None and deadline <= now_ns:
                service.on_timer(now_ns)
    assert node.cmap.get_str(path + "state") == "failed"
    assert host.calls == ["power off"]
