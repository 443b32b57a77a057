"""Traps, compared with bytes that real corosync-notifyd has sent (pycorosync/tools/notify_snmp.py)."""

import socket

import pytest

from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, NotifyEvent, QuorumEvent
from pycorosync.tools.notify_snmp import SnmpNotifier, place_of, trap, variables_of

# Recorded from corosync-notifyd 3.1.7: event, community, request id, seconds, bytes.
RECORDED = (
    (
        QuorumEvent("n1", 1, "quorate"), "secret", 205603443, 1795658986,
        "30818102010104067365637265 74a77402040c4142730201000201003066301006082b060102010103004304 6b0794ea"
        "3018060a2b060106030101040100060a2b06010401829520000230 10060a2b0601040182952001010402 6e31"
        "300f060a2b06010401829520010242010130 15060a2b060104018295200115040771756f72617465",
    ),
    (
        NodeEvent("n2", 2, "joined", "10.77.0.2"), "", 514792712, 1795658986,
        "30819402010104 00a7818c02041eaf1d08020100020100307e301006082b0601020101030043046b0794ea"
        "3018060a2b060106030101040100060a2b060104018295200001301006 0a2b060104018295200101 04026e32"
        "300f060a2b0601040182952001024201023017060a2b060104018295200104 040931302e37372e302e32"
        "3014060a2b06010401829520010304066a6f696e6564",
    ),
    (
        LinkEvent("n1", 1, 2, 0, "operational"), "", 514792714, 1795658987,
        "3081a30201010400a7819b02041eaf1d0a02010002010030818c301006082b0601020101030043046b0794eb"
        "3018060a2b060106030101040100060a2b0601040182952000043010060a2b06010401829520010104026e31"
        "300f060a2b060104018295200105420101300f060a2b060104018295200102420102"
        "300f060a2b06010401829520013c0201003019060a2b06010401829520013d040b6f7065726174696f6e616c",
    ),
)  # fmt: skip


@pytest.mark.parametrize(("event", "community", "request_id", "seconds", "text"), RECORDED)
def test_the_bytes_are_those_of_corosync(
    event: NotifyEvent, community: str, request_id: int, seconds: int, text: str
) -> None:
    found = variables_of(event)
    assert found
    message = trap(*found, community=community, request_id=request_id, seconds=seconds)
    assert message.hex() == text.replace(" ", "")


@pytest.mark.parametrize(
    ("manager", "place"),
    [
        ("localhost", ("localhost", 162)),
        ("192.0.2.1:1162", ("192.0.2.1", 1162)),
        ("udp:192.0.2.1", ("192.0.2.1", 162)),
        ("fd77::1", ("fd77::1", 162)),
        ("udp6:[fd77::1]:99", ("fd77::1", 99)),
        ("[::1]", ("::1", 162)),
    ],
)
def test_where_the_manager_is(manager: str, place: tuple[str, int]) -> None:
    assert place_of(manager) == place


def test_traps_arrive_and_clients_are_not_told() -> None:
    log: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as manager:
        manager.bind(("127.0.0.1", 0))
        manager.settimeout(30)
        notifier = SnmpNotifier(f"127.0.0.1:{manager.getsockname()[1]}", "c", lambda _level, t: log.append(t))
        notifier.notify(ClientEvent("n1", 1, "x", "connected"))
        for name in ("n1", "n2"):
            notifier.notify(QuorumEvent(name, 1, "quorate"))
        assert b"n1" in manager.recv(1000)
        assert b"n2" in manager.recv(1000)
    # Nobody listens any more: the kernel tells with the next one.
    for _ in range(3):
        notifier.notify(QuorumEvent("n1", 1, "quorate"))
    assert log == []
    notifier.close()


def test_a_manager_that_is_not_there() -> None:
    log: list[tuple[str, str]] = []
    notifier = SnmpNotifier("no.such.host.invalid", "", lambda level, text: log.append((level, text)))
    notifier.notify(QuorumEvent("n1", 1, "quorate"))
    assert [level for level, _text in log] == ["error", "notice"]
    assert log[1][1] == "Failed to init SNMP session."


def test_a_trap_that_cannot_be_sent() -> None:
    log: list[str] = []
    notifier = SnmpNotifier("127.0.0.1:9", "x" * 70_000, lambda _level, text: log.append(text))
    notifier.notify(QuorumEvent("n1", 1, "quorate"))
    assert log == ["Could not send SNMP trap"]
    notifier.close()
