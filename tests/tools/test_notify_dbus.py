"""Signals on the bus (pycorosync/tools/notify_dbus.py); a real bus and client are in compat-tests/tools."""

from types import SimpleNamespace

import pytest
from jeepney import HeaderFields, Message

from pycorosync.tools import notify_dbus
from pycorosync.tools.notify_dbus import DbusNotifier
from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, QuorumEvent

EVENTS = (
    NodeEvent("n2", 2, "joined", "10.77.0.2"),
    QuorumEvent("n1", 1, "not quorate"),
    ClientEvent("n1", 1, "0x5.83.x", "connected"),
    LinkEvent("n1", 1, 2, 0, "operational"),
)


class Bus:
    """In place of a connection to the bus."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closed = False
        self.fault: Exception | None = None
        self.sock = SimpleNamespace(settimeout=lambda _seconds: None)

    def send(self, message: Message) -> None:
        if self.fault:
            raise self.fault
        message.serialise(1)
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    made = Bus()
    monkeypatch.setattr(notify_dbus, "open_dbus_connection", lambda bus: made)
    return made


def test_every_event_is_a_signal(bus: Bus) -> None:
    log: list[tuple[str, str]] = []
    notifier = DbusNotifier(lambda level, text: log.append((level, text)))
    for event in EVENTS:
        notifier.notify(event)
    found = []
    for message in bus.sent:
        fields = message.header.fields
        assert fields[HeaderFields.path] == "/org/corosync"
        assert fields[HeaderFields.interface] == "org.corosync"
        found.append((fields[HeaderFields.member], fields[HeaderFields.signature], message.body))
    assert found == [
        ("NodeStateChange", "suss", ("n2", 2, "10.77.0.2", "joined")),
        ("QuorumStateChange", "sus", ("n1", 1, "not quorate")),
        ("ConnectionStateChange", "suss", ("n1", 1, "0x5.83.x", "connected")),
        ("QuorumStateChange", "suuus", ("n1", 1, 2, 0, "operational")),
    ]
    assert log == []
    notifier.close()
    assert bus.closed


def test_without_a_bus_the_first_event_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(bus: str) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(notify_dbus, "open_dbus_connection", refuse)
    log: list[str] = []
    notifier = DbusNotifier(lambda _level, text: log.append(text))
    assert log == []
    for event in EVENTS:
        notifier.notify(event)
    assert log == ["dbus_bus_get: [Errno 2] No such file or directory"]
    notifier.close()


@pytest.mark.parametrize("fault", [BrokenPipeError(), TimeoutError()])
def test_a_bus_that_goes_away(bus: Bus, fault: Exception) -> None:
    log: list[str] = []
    notifier = DbusNotifier(lambda _level, text: log.append(text))
    notifier.notify(EVENTS[0])
    bus.fault = fault
    for event in EVENTS:
        notifier.notify(event)
    assert log == ["DBus connection lost"]
    assert bus.closed
    assert len(bus.sent) == 1
