"""The quick way of multicasts: heads, who may send, who receives, and what does not fit."""

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.services.cpg import messages, traffic
from pycorosync.services.cpg.groups import Groups, Process
from pycorosync.services.cpg.messages import CpgRequest
from pycorosync.services.cpg.traffic import Traffic

GROUP = b"g"


class Setting:
    """Traffic of node 1, with client 7 as the only member and receiver of a group."""

    def __init__(self) -> None:
        self.groups = Groups()
        self.refused: list[tuple[int, int]] = []
        self.strangers: list[int] = []
        self.traffic = Traffic(
            1,
            self.groups.by_name,
            lambda client, size: self.refused.append((client, size)),
            self.strangers.append,
        )
        self.groups.add(Process(1, 100, GROUP))
        self.groups.set_receivers(GROUP, [7])
        self.traffic.allow(7, GROUP, 100)

    def send(self, data: bytes, client: int = 7, size: int | None = None) -> bytes | None:
        """The message that a request becomes."""
        layout = messages.MCAST_REQUEST
        request = layout.encode(CpgRequest.MCAST, layout.size + len(data), 0, 2, len(data)) + data
        parts = self.traffic.outgoing(client, memoryview(request), len(request) if size is None else size)
        return b"".join(parts) if parts is not None else None

    def deliver(self, message: bytes, node_id: int = 1) -> list[tuple[int, bytes]]:
        self.traffic.deliver(node_id, memoryview(message))
        events, self.traffic.events = self.traffic.events, []
        return [(client, bytes(head) + bytes(body)) for client, head, body in events]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_what_is_sent_is_delivered(setting: Setting) -> None:
    for data in (b"one", b"two", b"three", b"", b"four"):
        message = setting.send(data)
        assert message is not None
        ((client, event),) = setting.deliver(message)
        record = messages.DELIVER_EVENT.decode(event)
        assert (client, event[messages.DELIVER_EVENT.size :]) == (7, data)
        assert (record.header_size, record.message_bytes) == (len(event), len(data))
        assert (record.node_id, record.pid, record.group_value[:1]) == (1, 100, GROUP)
    assert setting.traffic.take_counts() == (5, 5)
    assert setting.traffic.take_counts() == (0, 0)


def test_padding_behind_a_message_is_no_part_of_it(setting: Setting) -> None:
    message = setting.send(b"data")
    assert message is not None
    ((_, event),) = setting.deliver(message + b"xx")
    assert event.endswith(b"data")


def test_a_client_that_may_not_send(setting: Setting) -> None:
    setting.traffic.forbid(7)
    assert setting.send(b"data") is None
    assert setting.send(b"data", client=8) is None
    assert setting.refused == [(7, 44), (8, 44)]
    setting.traffic.allow(7, b"other", 100)
    message = setting.send(b"data")
    assert message is not None
    assert setting.deliver(message) == []  # nobody here is in that group


@pytest.mark.parametrize("size", [16, 39, 43])
def test_a_request_that_does_not_hold_its_message(setting: Setting, size: int) -> None:
    assert setting.send(b"data", size=size) is None
    assert setting.refused == [(7, size)]


def test_a_message_that_is_too_short(setting: Setting) -> None:
    message = setting.send(b"data")
    assert message is not None
    for _ in range(2):  # also when the head is known
        for cut in (100, 183, len(message) - 1):
            with pytest.raises(MalformedMessage):
                setting.deliver(message[:cut])
        setting.deliver(message)


def test_the_sender_is_who_the_ring_says(setting: Setting) -> None:
    message = setting.send(b"data")
    assert message is not None
    assert setting.deliver(message)
    assert setting.deliver(message, node_id=2) == []
    assert setting.strangers == [2]
    setting.groups.add(Process(2, 100, GROUP))
    ((_, event),) = setting.deliver(message, node_id=2)
    assert messages.DELIVER_EVENT.decode(event).node_id == 2
    ((_, event),) = setting.deliver(message)
    assert messages.DELIVER_EVENT.decode(event).node_id == 1


def test_a_group_that_was_forgotten_and_came_again(setting: Setting) -> None:
    message = setting.send(b"data")
    assert message is not None
    assert setting.deliver(message)
    setting.groups.set_receivers(GROUP, [])
    setting.groups.remove(Process(1, 100, GROUP))
    assert setting.deliver(message) == []
    setting.groups.add(Process(1, 100, GROUP))
    setting.groups.set_receivers(GROUP, [9, 7])
    assert [client for client, _ in setting.deliver(message)] == [9, 7]


def test_heads_are_not_remembered_for_ever(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "_ROUTES_MAX", 4)
    for size in range(50):
        message = setting.send(bytes(size))
        assert message is not None
        assert setting.deliver(message)
    assert len(setting.traffic._routes) <= 4
