"""Who is told what about quorum, and when."""

import logging
from random import Random
from typing import Any, cast

import pytest

from pycorosync.client.quorum import NodeListChanged, QuorumChanged, event_of
from pycorosync.cmap.store import Store
from pycorosync.cs_error import CsError
from pycorosync.errors import ConfigError
from pycorosync.services.outputs import Respond, SendEvent
from pycorosync.services.quorum import messages
from pycorosync.services.quorum.messages import Model, QuorumRequest, QuorumResponse
from pycorosync.services.quorum.service import QuorumService
from pycorosync.services.service import RESPONSE_HEADER, ClientInfo, NodeView, SyncStart, Transport
from pycorosync.types import RingId
from pycorosync.wire.fixed import Fixed

RING = RingId(1, 0x10)
CURRENT, CHANGES, CHANGES_ONLY = 1, 2, 4


class Harness:
    def __init__(self, provider: str | None = "corosync_votequorum") -> None:
        cmap = Store()
        if provider is not None:
            cmap.set_str("quorum.provider", provider)
        self.service = QuorumService(NodeView(1, cmap, cast(Transport, None)))

    def client(self, number: int, model: Model = Model.V0) -> int:
        self.service.on_client(ClientInfo(number, 3, 100, 0, 0), 0)
        if model is not Model.V0:
            self.ask(number, QuorumRequest.MODEL_GET_TYPE, messages.MODEL_REQUEST, model)
        return number

    def ask(self, client: int, request: QuorumRequest, layout: Fixed, *values: int) -> Any:
        """The response's header, and the events that came before it."""
        self.service.on_request(client, request, memoryview(layout.encode(request, layout.size, *values)), 0)
        *before, last = self.take()
        assert isinstance(last, Respond)
        assert last.client == client
        self.before = before
        return layout_of(last.payload).decode(last.payload)

    def track(self, client: int, flags: int) -> int:
        error: int = self.ask(client, QuorumRequest.TRACK_START, messages.TRACK_START_REQUEST, flags).error
        return error

    def take(self) -> list[Any]:
        outputs, self.service.outputs = self.service.outputs, []
        return outputs

    def events(self) -> list[tuple[int, Any]]:
        return shown(self.take())

    def sync(self, ring_id: RingId, members: tuple[int, ...], together: tuple[int, ...] = ()) -> None:
        self.service.sync_init(SyncStart(ring_id, members, together), 0)
        assert self.service.sync_process(0)
        self.service.sync_activate(0)


def layout_of(payload: Any) -> Fixed:
    return messages.NUMBER_RESPONSE if len(payload) == 32 else RESPONSE_HEADER


def shown(outputs: list[Any]) -> list[tuple[int, Any]]:
    assert all(isinstance(output, SendEvent) for output in outputs)
    return [(output.client, event_of(bytes(output.head) + bytes(output.body))) for output in outputs]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "corosync.QUORUM")
    return caplog


# --- providers


def test_without_provider_always_quorate() -> None:
    harness = Harness(provider=None)
    assert harness.service.start() is None
    client = harness.client(7)
    assert harness.ask(client, QuorumRequest.GET_QUORATE, messages.PLAIN_REQUEST).value == 1
    assert harness.ask(client, QuorumRequest.GET_TYPE, messages.PLAIN_REQUEST).value == 0
    harness.sync(RING, (1, 2))
    harness.track(client, CURRENT)
    # Nobody decides, so nobody says who is a member.
    assert shown(harness.before) == [(7, QuorumChanged(True, RingId(0, 0), ()))]


def test_provider_is_named_and_not_quorate_until_it_says_so(lines: pytest.LogCaptureFixture) -> None:
    harness = Harness()
    assert harness.service.start() == "corosync_votequorum"
    client = harness.client(7)
    assert harness.ask(client, QuorumRequest.GET_QUORATE, messages.PLAIN_REQUEST).value == 0
    assert harness.ask(client, QuorumRequest.GET_TYPE, messages.PLAIN_REQUEST).value == 1
    assert lines.messages == ["Using quorum provider corosync_votequorum"]


def test_unknown_provider_ends_the_start(lines: pytest.LogCaptureFixture) -> None:
    harness = Harness("corosync_foo")
    with pytest.raises(ConfigError) as refused:
        harness.service.start()
    assert refused.value.faults[0].text == "Invalid quorum provider"
    assert lines.messages[-1] == "Quorum provider: corosync_foo failed to initialize."
    assert lines.records[-1].levelno == logging.CRITICAL


# --- log lines


def test_log_of_a_first_start(lines: pytest.LogCaptureFixture) -> None:
    harness = Harness()
    harness.service.start()
    harness.sync(RING, (1,))
    harness.service.on_quorum(True, (1,), RING, 0)
    harness.sync(RingId(1, 0x14), (1, 2), (1,))
    harness.service.on_quorum(True, (1, 2), RingId(1, 0x14), 0)
    harness.sync(RingId(1, 0x18), (1,), (1,))
    harness.service.on_quorum(False, (1,), RingId(1, 0x18), 0)
    assert lines.messages == [
        "Using quorum provider corosync_votequorum",
        "Sync members[1]: 1",
        "Sync joined[1]: 1",
        "This node is within the primary component and will provide service.",
        "Members[1]: 1",
        "Sync members[2]: 1 2",
        "Sync joined[1]: 2",
        "Members[2]: 1 2",
        "Sync members[1]: 1",
        "Sync left[1]: 2",
        "This node is within the non-primary component and will NOT provide any services.",
        "Members[1]: 1",
    ]
    assert {record.levelname for record in lines.records} == {"Level 25"}


def test_long_lists_go_on_in_the_next_line(lines: pytest.LogCaptureFixture) -> None:
    harness = Harness()
    members = tuple(range(10001, 10031))
    harness.service.on_quorum(False, members, RING, 0)
    assert len(lines.messages) == 3
    assert [line.endswith("\\") for line in lines.messages] == [True, True, False]
    found = " ".join(line.removeprefix("Members[30]:").rstrip("\\") for line in lines.messages)
    assert tuple(map(int, found.split())) == members
    assert all(len(line) <= len("Members[30]:") + 63 + 1 for line in lines.messages)


def test_empty_list_is_one_line(lines: pytest.LogCaptureFixture) -> None:
    Harness().service.on_quorum(False, (), RingId(0, 0), 0)
    assert lines.messages == ["Members[0]:"]


# --- tracking


def test_model_0_hears_of_quorum_only() -> None:
    harness = Harness()
    client = harness.client(7)
    assert harness.track(client, CHANGES_ONLY) == CsError.OK
    assert harness.before == []
    harness.sync(RING, (1, 2))
    assert harness.events() == []
    harness.service.on_quorum(True, (1, 2), RING, 0)
    assert harness.events() == [(7, QuorumChanged(True, RingId(0, 0x10), (1, 2)))]


def test_model_1_hears_of_members_before_quorum() -> None:
    harness = Harness()
    client = harness.client(7, Model.V1)
    harness.sync(RING, (1, 2, 3))
    assert harness.track(client, CHANGES) == CsError.OK
    assert shown(harness.before) == [
        (7, NodeListChanged(RING, (1, 2, 3), (), ())),
        (7, QuorumChanged(False, RingId(0, 0), ())),
    ]
    later = RingId(2, 0x14)
    harness.sync(later, (2, 3, 4), (2,))
    harness.service.on_quorum(True, (2, 3, 4), later, 0)
    # 3 was away for a while: it has left and come back.
    assert harness.events() == [
        (7, NodeListChanged(later, (2, 3, 4), (3, 4), (1, 3))),
        (7, QuorumChanged(True, later, (2, 3, 4))),
    ]


def test_current_is_told_once() -> None:
    harness = Harness()
    client = harness.client(7, Model.V1)
    assert harness.track(client, CURRENT) == CsError.OK
    assert len(harness.before) == 2
    harness.sync(RING, (1,))
    harness.service.on_quorum(True, (1,), RING, 0)
    assert harness.events() == []


def test_second_track_start_is_refused_but_answers_what_it_asked_for() -> None:
    harness = Harness()
    client = harness.client(7, Model.V1)
    assert harness.track(client, CHANGES) == CsError.OK
    assert harness.track(client, CHANGES) == CsError.EXIST
    assert len(harness.before) == 2
    harness.service.on_quorum(True, (1,), RING, 0)
    assert len(harness.events()) == 1


def test_track_stop_succeeds_whether_or_not_it_was_started() -> None:
    harness = Harness()
    client = harness.client(7)
    harness.track(client, CHANGES)
    for _ in range(2):
        answer = harness.ask(client, QuorumRequest.TRACK_STOP, messages.PLAIN_REQUEST)
        assert (answer.id, answer.error) == (QuorumResponse.TRACK_STOP, CsError.OK)
    harness.service.on_quorum(True, (1,), RING, 0)
    assert harness.events() == []


def test_interrupted_synchronization_does_not_hide_who_left() -> None:
    harness = Harness()
    client = harness.client(7, Model.V1)
    harness.sync(RING, (1, 2, 3))
    harness.track(client, CHANGES_ONLY)
    harness.service.sync_init(SyncStart(RingId(1, 0x14), (1, 2), (1, 2)), 0)
    harness.service.sync_abort()
    harness.sync(RingId(1, 0x18), (1,), (1,))
    assert harness.events() == [(7, NodeListChanged(RingId(1, 0x18), (1,), (), (2, 3)))]


def test_unknown_model_is_refused_and_the_old_one_stays() -> None:
    harness = Harness()
    client = harness.client(7)
    answer = harness.ask(client, QuorumRequest.MODEL_GET_TYPE, messages.MODEL_REQUEST, 2)
    assert (answer.header_id, answer.header_error) == (QuorumResponse.MODEL_GET_TYPE, CsError.INVALID_PARAM)
    harness.track(client, CURRENT)
    assert len(harness.before) == 1


def test_a_client_that_has_gone_is_told_nothing() -> None:
    harness = Harness()
    harness.track(harness.client(7), CHANGES)
    harness.track(harness.client(8), CHANGES)
    harness.service.on_client_gone(7, 0)
    harness.service.on_client_gone(7, 0)
    harness.service.on_quorum(True, (1,), RING, 0)
    assert [client for client, _ in harness.events()] == [8]


@pytest.mark.parametrize("seed", range(20))
def test_requests_of_any_bytes_get_one_answer(seed: int) -> None:
    rng = Random(seed)
    harness = Harness()
    harness.service.start()
    harness.client(7)
    for _ in range(200):
        number = rng.choice(list(QuorumRequest))
        message = bytearray(rng.randbytes(rng.choice((16, 20, 24, 24, 64))))
        harness.service.on_request(7, number, memoryview(message), 0)
        answers = [output for output in harness.take() if isinstance(output, Respond)]
        assert len(answers) == 1, f"seed {seed}"
