"""The votequorum library against the votequorum service, without sockets between them."""

import pytest

from pycorosync.client import session, votequorum
from pycorosync.client.connection import LibraryError
from pycorosync.client.votequorum import (
    ExpectedVotesChanged,
    Info,
    NodeList,
    NodeState,
    QuorumChanged,
    TrackFlags,
    Votequorum,
    VotesInfo,
)
from pycorosync.cs_error import CsError
from pycorosync.types import RingId
from tests.services.votequorum.cluster import Cluster


class Joined:
    """Stands in for Connection, to node 1 of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.closed = False

    def __call__(self, name: str) -> "Joined":
        assert name == "votequorum"
        return self

    def request(self, message: bytes) -> bytes:
        member = self.cluster[1]
        member.responses.clear()
        number = int.from_bytes(message[:4], "little")
        member.service.on_request(1, number, memoryview(message), self.cluster.now_ns)
        self.cluster.settle()
        ((_, response),) = member.responses
        return response

    def receive_event(self, timeout_s: float | None) -> bytes | None:
        events = self.cluster[1].events
        return events.pop(0)[1] if events else None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Joined:
    options: dict[str, int | str] = {"device.model": "net", "device.votes": 1}
    cluster = Cluster(2, **options)
    cluster.ring([1, 2])
    stand_in = Joined(cluster)
    monkeypatch.setattr(session, "Connection", stand_in)
    return stand_in


def refused(call: object, *arguments: object) -> CsError:
    assert callable(call)
    with pytest.raises(LibraryError) as fault:
        call(*arguments)
    return fault.value.code


def test_info(joined: Joined) -> None:
    with Votequorum() as library:
        flags = Info.QUORATE
        assert library.info() == VotesInfo(1, NodeState.MEMBER, 1, 3, 3, 2, 2, flags, 1, "")
        assert library.info(2).node_id == 2
        assert refused(library.info, 9) is CsError.NOT_EXIST
    assert joined.closed


def test_changing_votes(joined: Joined) -> None:
    library = Votequorum()
    library.set_votes(2, 3)
    library.set_expected_votes(5)
    info = library.info(2)
    assert (info.votes, info.expected_votes, info.total_votes) == (3, 5, 4)
    assert refused(library.set_votes, 9, 1) is CsError.NAME_NOT_FOUND
    assert refused(library.set_expected_votes, 99) is CsError.INVALID_PARAM
    for number in (-1, 1 << 32):
        assert refused(library.set_expected_votes, number) is CsError.INVALID_PARAM
        assert refused(library.set_votes, number, 1) is CsError.INVALID_PARAM


def test_device(joined: Joined) -> None:
    library = Votequorum()
    ring_id = joined.cluster[1].service.ring_id
    assert refused(library.poll_device, "Q", True, ring_id) is CsError.NOT_EXIST
    library.register_device("Q")
    assert refused(library.register_device, "R") is CsError.EXIST
    library.poll_device("Q", True, ring_id)
    assert refused(library.poll_device, "Q", True, RingId(1, 1)) is CsError.MESSAGE_ERROR
    library.set_master_wins("Q", True)
    info = library.info()
    assert Info.DEVICE_MASTER_WINS | Info.DEVICE_CAST_VOTE | Info.DEVICE_ALIVE in info.flags
    assert (info.device_votes, info.device_name, info.total_votes) == (1, "Q", 3)
    library.rename_device("Q", "R")
    library.unregister_device("R")
    assert refused(library.unregister_device, "R") is CsError.NOT_EXIST


@pytest.mark.parametrize("name", ["", "x" * 255, "a\0b"])
def test_impossible_device_names(joined: Joined, name: str) -> None:
    library = Votequorum()
    assert refused(library.register_device, name) is CsError.INVALID_PARAM
    assert refused(library.rename_device, "Q", name) is CsError.INVALID_PARAM


def test_events(joined: Joined) -> None:
    library = Votequorum()
    library.track_start(context=77)
    ring_id = joined.cluster[1].service.ring_id
    assert library.receive(0) == NodeList(77, ring_id, (1, 2))
    assert library.receive(0) == QuorumChanged(77, True, ((2, 1), (1, 1)))
    library.set_votes(1, 4)
    assert library.receive(0) == ExpectedVotesChanged(77, 6)
    assert library.receive(0) is None
    assert refused(library.track_start) is CsError.EXIST
    library.track_stop()
    assert refused(library.track_stop) is CsError.NOT_EXIST
    assert refused(library.track_start, TrackFlags.CURRENT, -1) is CsError.INVALID_PARAM


def test_events_that_are_cut_short(joined: Joined) -> None:
    library = Votequorum()
    library.track_start()
    for _, event in joined.cluster[1].events:
        for size in range(len(event)):
            assert refused(votequorum.event_of, event[:size]) is CsError.LIBRARY


def test_unknown_event() -> None:
    assert refused(votequorum.event_of, (99).to_bytes(4, "little") + bytes(60)) is CsError.LIBRARY
