"""What clients may ask about votes, and what they may change."""

from random import Random

import pytest

from pycorosync.client.votequorum import ExpectedVotesChanged, NodeList, QuorumChanged, event_of
from pycorosync.cs_error import CsError
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import Info, NodeState, VoteRequest
from pycorosync.services.votequorum.requests import REQUESTS
from tests.services.votequorum.cluster import Cluster

CURRENT, CHANGES, CHANGES_ONLY = 1, 2, 4


def pair(**options: int | str) -> Cluster:
    cluster = Cluster(2, **options)
    cluster.ring([1, 2])
    return cluster


def track(cluster: Cluster, flags: int, context: int = 5) -> int:
    return cluster.error(1, VoteRequest.TRACK_START, messages.TRACK_START_REQUEST, context, flags)


def untrack(cluster: Cluster) -> int:
    return cluster.error(1, VoteRequest.TRACK_STOP, messages.PLAIN_REQUEST)


def events(cluster: Cluster) -> list[object]:
    found: list[object] = [event_of(data) for _, data in cluster[1].events]
    cluster[1].events.clear()
    return found


def test_info_of_one_node() -> None:
    info = Cluster(1).info(1)
    assert info[3:12] == (1, NodeState.MEMBER, 1, 1, 1, 1, 1, Info.QUORATE, 0)
    assert info.device_name == bytes(255)


def test_info_of_the_local_node_and_another() -> None:
    cluster = pair(votes_2=3)
    assert cluster.info(1, 0) == cluster.info(1, 1)
    other = cluster.info(1, 2)
    assert (other.node_id, other.votes, other.total_votes, other.quorum) == (2, 3, 4, 3)
    assert cluster.info(1, 3).header_error == CsError.NOT_EXIST


def test_info_of_a_node_that_has_gone() -> None:
    cluster = pair()
    cluster.split([1], [2])
    info = cluster.info(1, 2)
    assert (info.header_error, info.state, info.total_votes) == (CsError.OK, NodeState.DEAD, 1)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, Info.QUORATE),
        ({"two_node": 1}, Info.QUORATE | Info.TWO_NODE | Info.WAIT_FOR_ALL),
        ({"wait_for_all": 1}, Info.QUORATE | Info.WAIT_FOR_ALL),
        ({"last_man_standing": 1}, Info.QUORATE | Info.LAST_MAN_STANDING),
        ({"auto_tie_breaker": 1}, Info.QUORATE | Info.AUTO_TIE_BREAKER),
        ({"allow_downscale": 1}, Info.QUORATE | Info.ALLOW_DOWNSCALE),
    ],
)
def test_flags_tell_the_options(options: dict[str, int | str], flags: Info) -> None:
    assert pair(**options).info(1).flags == flags


def test_votes_change_for_everyone() -> None:
    """As recorded from corosync 3.1.7: 3 votes for node 1, then none for node 2."""
    cluster = pair()
    assert cluster.set_votes(1, 1, 3) == CsError.OK
    for node_id in (1, 2):
        info = cluster.info(node_id)
        assert (info.expected_votes, info.total_votes, info.quorum) == (4, 4, 3)
    assert cluster.set_votes(1, 2, 0) == CsError.OK
    info = cluster.info(2)
    assert (info.expected_votes, info.total_votes, info.quorum, cluster[2].quorate) == (4, 3, 3, True)
    assert cluster.set_votes(1, 99, 1) == CsError.NAME_NOT_FOUND
    for expected in (9, 1):
        assert cluster.set_expected(1, expected) == CsError.INVALID_PARAM
    assert cluster.set_expected(1, 4) == CsError.OK
    cluster.split([1], [2])
    assert (cluster[1].quorate, cluster[2].quorate) == (True, False)


def test_votes_that_would_end_quorum_are_refused() -> None:
    cluster = Cluster(1)
    assert cluster.set_votes(1, 1, 0) == CsError.INVALID_PARAM
    assert cluster.info(1).votes == 1
    assert cluster[1].quorate


def test_expected_votes_bring_quorum_back() -> None:
    """As recorded: the survivor of two is told to expect one, and cannot be told to expect two again."""
    cluster = pair()
    cluster.split([1], [2])
    assert not cluster[1].quorate
    assert cluster.set_expected(1, 1) == CsError.OK
    assert cluster[1].quorate
    assert cluster.info(1).quorum == 1
    assert cluster.cmap(1, "ev_barrier") == 1
    assert cluster.set_expected(1, 2) == CsError.INVALID_PARAM
    assert cluster.set_expected(1, 0) == CsError.INVALID_PARAM


def test_huge_votes_end_nothing() -> None:
    cluster = pair()
    assert cluster.set_votes(1, 1, 0xFFFFFFFF) == CsError.OK
    assert cluster.set_votes(1, 2, 0xFFFFFFFF) == CsError.OK
    info = cluster.info(2)
    assert (info.total_votes, info.quorum) == (0xFFFFFFFF, 0x80000000)


# --- tracking


def test_tracking_tells_members_before_quorum() -> None:
    cluster = pair()
    assert track(cluster, CURRENT | CHANGES) == CsError.OK
    ring_id = cluster[1].service.ring_id
    assert events(cluster) == [NodeList(5, ring_id, (1, 2)), QuorumChanged(5, True, ((2, 1), (1, 1)))]
    cluster.split([1], [2])
    assert events(cluster) == [
        NodeList(5, cluster[1].service.ring_id, (1,)),
        QuorumChanged(5, False, ((2, 2), (1, 1))),
    ]


def test_one_event_for_one_change() -> None:
    cluster = pair()
    cluster.split([1], [2])
    track(cluster, CHANGES_ONLY)
    assert events(cluster) == []
    cluster.set_expected(1, 1)
    assert events(cluster) == [ExpectedVotesChanged(5, 1), QuorumChanged(5, True, ((2, 2), (1, 1)))]


def test_current_is_told_once() -> None:
    cluster = pair()
    assert track(cluster, CURRENT) == CsError.OK
    assert len(events(cluster)) == 2
    cluster.split([1], [2])
    assert events(cluster) == []
    assert untrack(cluster) == CsError.NOT_EXIST


def test_tracking_twice_keeps_the_first_context() -> None:
    cluster = pair()
    assert track(cluster, CHANGES, context=5) == CsError.OK
    assert track(cluster, CHANGES, context=6) == CsError.EXIST
    events(cluster)
    cluster.set_votes(1, 1, 2)
    assert events(cluster) == [ExpectedVotesChanged(5, 3)]
    assert untrack(cluster) == CsError.OK
    cluster.set_votes(1, 1, 3)
    assert events(cluster) == []
    assert untrack(cluster) == CsError.NOT_EXIST


def test_a_client_that_has_gone_is_told_nothing() -> None:
    cluster = pair()
    track(cluster, CHANGES)
    events(cluster)
    cluster[1].service.on_client_gone(7, 0)
    cluster[1].service.on_client_gone(7, 0)
    cluster.set_votes(1, 1, 2)
    assert events(cluster) == []


@pytest.mark.parametrize("seed", range(40))
def test_requests_of_any_bytes_get_one_answer(seed: int) -> None:
    rng = Random(seed)
    cluster = pair()
    member = cluster[1]
    for _ in range(150):
        number = rng.choice(list(VoteRequest))
        size = rng.choice((16, REQUESTS[number].layout.size, REQUESTS[number].layout.size, 1000))
        message = bytearray(rng.choice((rng.randbytes(size), bytes(size), b"Q" * size)))
        if rng.random() < 0.5:
            message[16:24] = b"Qdevice\0"[: max(0, size - 16)]
        member.responses.clear()
        pending = member.service.registration is not None
        member.service.on_request(7, number, memoryview(message), cluster.now_ns)
        cluster.settle()
        assert len(member.responses) == 1 + (pending and member.service.registration is None), f"seed {seed}"
        cluster.advance(rng.randrange(2000))
