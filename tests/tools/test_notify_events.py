"""The words of events (pycorosync/tools/notify_events.py)."""

import pytest

from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, NotifyEvent, QuorumEvent


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (NodeEvent("n2", 2, "joined", "10.77.0.2"), "n2[2] ip:10.77.0.2 joined"),
        (QuorumEvent("n1", 1, "quorate"), "n1[1] is now quorate"),
        (QuorumEvent("n1", 1, "not quorate"), "n1[1] has lost quorum"),
        (ClientEvent("n1", 1, "0x5.83.x", "connected"), "n1[1] 0x5.83.x is now connected to corosync"),
        (
            ClientEvent("n1", 1, "0x5.83.x", "disconnected"),
            "n1[1] 0x5.83.x is now disconnected from corosync",
        ),
        (LinkEvent("n1", 1, 2, 0, "operational"), "n1[1] link 0 to node 2 is now operational"),
    ],
)
def test_as_corosync_says_it(event: NotifyEvent, text: str) -> None:
    assert event.text == text
