"""The quorum library against the quorum service, without sockets between them."""

import asyncio
from itertools import islice
from typing import cast

import pytest

from pycorosync.client import quorum, session
from pycorosync.client.quorum import Model, NodeListChanged, Quorum, QuorumChanged, QuorumType, TrackFlags
from pycorosync.cmap.store import Store
from pycorosync.cs_error import CsError
from pycorosync.services.outputs import Respond, SendEvent
from pycorosync.services.quorum.service import QuorumService
from pycorosync.services.service import ClientInfo, NodeView, SyncStart, Transport
from pycorosync.types import RingId
from tests.client.stand_in import Inbox, error_of

RING = RingId(1, 0x10)


class Joined(Inbox):
    """Stands in for Connection; every client is number 1."""

    def __init__(self, service: QuorumService) -> None:
        super().__init__()
        self.service = service
        service.on_client(ClientInfo(1, 3, 1, 0, 0), 0)

    def __call__(self, name: str) -> "Joined":
        assert name == "quorum"
        return self

    def request(self, message: bytes) -> bytes:
        number = int.from_bytes(message[:4], "little")
        self.service.on_request(1, number, memoryview(message), 0)
        (response,) = self.collect()
        return response

    def collect(self) -> list[bytes]:
        outputs, self.service.outputs = self.service.outputs, []
        for output in outputs:
            if isinstance(output, SendEvent):
                self.arrived(bytes(output.head) + bytes(output.body))
        return [bytes(output.payload) for output in outputs if isinstance(output, Respond)]


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Joined:
    cmap = Store()
    cmap.set_str("quorum.provider", "corosync_votequorum")
    service = QuorumService(NodeView(1, cmap, cast(Transport, None)))
    service.start()
    stand_in = Joined(service)
    monkeypatch.setattr(session, "Connection", stand_in)
    return stand_in


def test_quorum_and_events(joined: Joined) -> None:
    with Quorum() as library:
        assert library.type is QuorumType.SET
        assert not library.is_quorate()
        library.track_start()
        joined.service.sync_init(SyncStart(RING, (1, 2), (1,)), 0)
        joined.service.sync_activate(0)
        joined.service.on_quorum(True, (1, 2), RING, 0)
        joined.collect()
        assert library.is_quorate()
        seen = list(islice(library.events(), 4))
        assert seen[2:] == [NodeListChanged(RING, (1, 2), (1, 2), ()), QuorumChanged(True, RING, (1, 2))]
    assert joined.closed


def test_events_in_order(joined: Joined) -> None:
    with Quorum() as library:
        library.track_start(TrackFlags.CHANGES_ONLY)
        joined.service.sync_init(SyncStart(RING, (1, 2), (1,)), 0)
        joined.service.sync_activate(0)
        joined.service.on_quorum(True, (1, 2), RING, 0)
        joined.collect()
        assert library.receive(0) == NodeListChanged(RING, (1, 2), (1, 2), ())
        assert library.receive(0) == QuorumChanged(True, RING, (1, 2))
        assert library.receive(0) is None
        library.track_stop()


def test_model_0_does_not_know_the_representative(joined: Joined) -> None:
    with Quorum(Model.V0) as library:
        joined.service.on_quorum(True, (1, 2), RING, 0)
        library.track_start(TrackFlags.CURRENT)
        assert library.receive() == QuorumChanged(True, RingId(0, 0x10), (1, 2))
        assert library.receive(0) is None


def test_refusals(joined: Joined) -> None:
    with Quorum() as library:
        library.track_start()
        assert error_of(library.track_start) is CsError.EXIST


def test_events_async(joined: Joined) -> None:
    async def first_two() -> list[object]:
        with Quorum() as library:
            library.track_start()
            seen: list[object] = []
            async for event in library.events_async():
                seen.append(event)
                if len(seen) == 2:
                    break
            return seen

    assert asyncio.run(first_two()) == [
        NodeListChanged(RingId(0, 0), (), (), ()),
        QuorumChanged(False, RingId(0, 0), ()),
    ]


@pytest.mark.parametrize("cut", [0, 20, 30, 50, 59, 61])
def test_events_that_are_cut_short(joined: Joined, cut: int) -> None:
    with Quorum() as library:
        library.track_start(TrackFlags.CHANGES_ONLY)
        joined.service.sync_init(SyncStart(RING, (1,), (1,)), 0)
        joined.service.sync_activate(0)
        joined.collect()
        event = joined.receive_event(0)
    assert event is not None
    assert error_of(lambda: quorum.event_of(event[:cut])) is CsError.LIBRARY


def test_unknown_event() -> None:
    event = (99).to_bytes(4, "little") + bytes(60)
    assert error_of(lambda: quorum.event_of(event)) is CsError.LIBRARY
