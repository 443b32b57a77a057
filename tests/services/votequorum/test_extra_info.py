"""Extra information of the quorum device: set on one node, known on all."""

import pytest

from pycorosync.client.votequorum import ExtraInfoChanged, event_of
from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.service import TrackFlags
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import Function, Info, VoteRequest
from pycorosync.types import NodeId
from pycorosync.wire.fixed import BIG, NATIVE
from tests.services.votequorum.cluster import Cluster

DEVICE: dict[str, int | str] = {"device.model": "net", "device.votes": 1}


def with_device(nodes: int = 2) -> Cluster:
    cluster = Cluster(nodes, **DEVICE)
    cluster.ring(cluster.ids)
    cluster.register(1)
    return cluster


def set_info(cluster: Cluster, node_id: NodeId, info: bytes, announced: int | None = None) -> int:
    layout = messages.SET_EXTRA_INFO_REQUEST
    size = len(info) if announced is None else announced
    message = layout.encode(VoteRequest.SET_EXTRA_INFO, layout.size + len(info) + 4, size) + info + bytes(4)
    member = cluster[node_id]
    member.responses.clear()
    member.service.on_request(7, VoteRequest.SET_EXTRA_INFO, memoryview(message), cluster.now_ns)
    cluster.settle()
    return int.from_bytes(member.responses[-1][1][16:20], "little")


def get_info(cluster: Cluster, node_id: NodeId, about: NodeId) -> tuple[int, bytes]:
    answer = cluster.ask(node_id, VoteRequest.GET_EXTRA_INFO, messages.GET_EXTRA_INFO_REQUEST, about)
    head = messages.GET_EXTRA_INFO_RESPONSE.decode(answer)
    assert head.header_size == len(answer) == 32 + head.length
    return head.header_error, answer[28 : 28 + head.length]


def told(cluster: Cluster, node_id: NodeId) -> list[ExtraInfoChanged]:
    events = [event_of(payload) for _, payload in cluster[node_id].events]
    return [event for event in events if isinstance(event, ExtraInfoChanged)]


def track(cluster: Cluster, node_id: NodeId) -> None:
    flags = TrackFlags.CURRENT | TrackFlags.CHANGES
    cluster.ask(node_id, VoteRequest.TRACK_START, messages.TRACK_START_REQUEST, 99, flags)


def test_everyone_learns_it() -> None:
    cluster = with_device()
    track(cluster, 2)
    assert set_info(cluster, 1, b"score 7\0") == CsError.OK
    for node_id in cluster.ids:
        assert get_info(cluster, node_id, 1) == (CsError.OK, b"score 7\0")
        assert cluster.info(node_id, 1).flags & Info.HAS_EXTRA_INFO
        assert not cluster.info(node_id, 2).flags & Info.HAS_EXTRA_INFO
    assert get_info(cluster, 2, 2) == (CsError.OK, b"")
    assert told(cluster, 2) == [ExtraInfoChanged(99, 1, b"score 7\0")]


def test_it_is_taken_back() -> None:
    cluster = with_device()
    set_info(cluster, 1, b"x")
    track(cluster, 2)
    assert told(cluster, 2) == [ExtraInfoChanged(99, 1, b"x")]
    assert set_info(cluster, 1, b"") == CsError.OK
    assert get_info(cluster, 2, 1) == (CsError.OK, b"")
    assert not cluster.info(2, 1).flags & Info.HAS_EXTRA_INFO
    assert told(cluster, 2)[1:] == [ExtraInfoChanged(99, 1, b"")]


def test_it_goes_with_the_device() -> None:
    cluster = with_device()
    set_info(cluster, 1, b"x")
    track(cluster, 2)
    cluster.error(1, VoteRequest.DEVICE_UNREGISTER, messages.DEVICE_NAME_REQUEST, b"Qdevice")
    assert get_info(cluster, 2, 1) == (CsError.OK, b"")
    assert told(cluster, 2)[1:] == [ExtraInfoChanged(99, 1, b"")]


def test_without_it_a_device_leaves_silently() -> None:
    # A node of 3.1.9 would note a message that it does not know.
    cluster = with_device()
    track(cluster, 2)
    cluster.error(1, VoteRequest.DEVICE_UNREGISTER, messages.DEVICE_NAME_REQUEST, b"Qdevice")
    assert told(cluster, 2) == []


def test_who_joins_learns_it_and_who_restarts_has_none() -> None:
    cluster = with_device(3)
    set_info(cluster, 1, b"x")
    cluster.boot(3)
    cluster.ring(cluster.ids, wait=True)
    assert get_info(cluster, 3, 1) == (CsError.OK, b"x")
    cluster.boot(1)
    cluster.ring(cluster.ids)
    assert get_info(cluster, 3, 1) == (CsError.OK, b"")


@pytest.mark.parametrize(
    ("info", "announced", "code"),
    [
        (bytes(4096), None, CsError.OK),
        (bytes(4097), None, CsError.INVALID_PARAM),
        (b"short", 100, CsError.INVALID_PARAM),
        (b"", 2**32 - 1, CsError.INVALID_PARAM),
    ],
)
def test_sizes(info: bytes, announced: int | None, code: CsError) -> None:
    assert set_info(with_device(), 1, info, announced) == code


def test_refusals() -> None:
    cluster = with_device()
    assert set_info(cluster, 2, b"x") == CsError.NOT_EXIST
    assert get_info(cluster, 1, 9)[0] == CsError.NOT_EXIST
    cluster[1].service.settings = cluster[1].service.settings.__class__(device_can_operate=False)
    assert set_info(cluster, 1, b"x") == CsError.ACCESS
    assert get_info(cluster, 1, 1)[0] == CsError.ACCESS


def message(node_id: NodeId, size: int, info: bytes, order: str = NATIVE) -> bytes:
    layout = messages.EXTRA_INFO
    values = (5 << 16 | Function.EXTRA_INFO, layout.size + len(info), node_id, size)
    return layout.encode(*values, order=order) + info


def test_from_a_node_of_the_other_byte_order() -> None:
    cluster = with_device()
    cluster.deliver(1, 2, message(2, 3, b"abc", BIG), BIG)
    assert get_info(cluster, 1, 2) == (CsError.OK, b"abc")


@pytest.mark.parametrize(
    "bad", [message(2, 4, b"abc"), message(2, 4097, bytes(4097)), message(1, 1, b"a"), message(9, 1, b"a")]
)
def test_what_makes_no_sense_is_dropped(bad: bytes) -> None:
    cluster = with_device()
    with pytest.raises(MalformedMessage):
        cluster.deliver(1, 2, bad)
