"""A quorum device: registration, votes, timeouts, renaming."""

import logging

import pytest

from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.outputs import Multicast
from pycorosync.services.service import SyncStart
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import (
    DEVICE_NAME_SIZE,
    Function,
    Info,
    Registration,
    VoteRequest,
)
from pycorosync.types import RingId
from tests.services.votequorum.cluster import Cluster

OPTIONS: dict[str, int | str] = {
    "device.model": "net",
    "device.votes": 1,
    "device.timeout": 500,
    "device.sync_timeout": 700,
    "expected_votes": 3,
}
VOTES = Info.DEVICE_REGISTERED | Info.DEVICE_ALIVE | Info.DEVICE_CAST_VOTE


def with_device(nodes: int = 2, **options: int | str) -> Cluster:
    """All nodes in one ring, each with the device registered and voting."""
    cluster = Cluster(nodes, **(OPTIONS | options))
    cluster.ring(cluster.ids)
    for node_id in cluster.ids:
        cluster.register(node_id)
        assert cluster.poll(node_id, True) == CsError.OK
    return cluster


def error(response: bytes) -> int:
    return int.from_bytes(response[16:20], "little")


def by_name(cluster: Cluster, number: VoteRequest, name: bytes = b"Qdevice") -> int:
    return cluster.error(1, number, messages.DEVICE_NAME_REQUEST, name)


def master_wins(cluster: Cluster, allow: int = 1, name: bytes = b"Qdevice") -> int:
    layout = messages.DEVICE_MASTER_WINS_REQUEST
    return cluster.error(1, VoteRequest.DEVICE_MASTER_WINS, layout, name, allow)


def rename(cluster: Cluster, old: bytes, new: bytes) -> int:
    return cluster.error(1, VoteRequest.DEVICE_UPDATE, messages.DEVICE_UPDATE_REQUEST, old, new)


def test_vote_of_the_device_keeps_half_quorate() -> None:
    cluster = with_device()
    info = cluster.info(1)
    assert (info.expected_votes, info.total_votes, info.quorum, info.device_votes) == (3, 3, 2, 1)
    assert Info(info.flags) == Info.QUORATE | VOTES
    assert info.device_name.rstrip(b"\0") == b"Qdevice"
    cluster.ring([1], wait=False)
    assert cluster.poll(1, True) == CsError.OK
    assert cluster.process([1])
    cluster.activate([1])
    assert (cluster[1].quorate, cluster.info(1).total_votes) == (True, 2)


def test_synchronization_waits_for_the_device(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "corosync.VOTEQ")
    cluster = with_device()
    caplog.clear()
    cluster.ring([1], wait=False)
    assert caplog.messages == ["waiting for quorum device Qdevice poll (but maximum for 700 ms)"]
    assert not cluster.process([1])
    old = cluster.poll(1, True, ring_id=RingId(9, 9))
    assert old == CsError.MESSAGE_ERROR
    cluster.advance(699)
    assert not cluster.process([1])
    cluster.advance(1)
    # Node 2, too, has not been polled.
    assert caplog.messages[1:] == ["lost contact with quorum device Qdevice"] * 2
    assert cluster.process([1])
    cluster.activate([1])
    assert not cluster[1].quorate
    assert Info(cluster.info(1).flags) == Info.DEVICE_REGISTERED


def test_a_device_that_says_no_does_not_vote_but_ends_the_wait() -> None:
    cluster = with_device()
    cluster.ring([1], wait=False)
    assert cluster.poll(1, False) == CsError.OK
    assert cluster.process([1])
    cluster.activate([1])
    assert not cluster[1].quorate
    assert Info(cluster.info(1).flags) == Info.DEVICE_REGISTERED | Info.DEVICE_ALIVE
    assert cluster.poll(1, True) == CsError.OK
    assert cluster[1].quorate


def test_nobody_hears_of_our_device_before_ourselves() -> None:
    """A registration may come through while services synchronize, before it is votequorum's turn."""
    cluster = with_device()
    service = cluster[1].service

    def told() -> list[int]:
        heads = [output.head for output in service.outputs if isinstance(output, Multicast)]
        service.outputs.clear()
        return [int.from_bytes(head[16:20], "little") for head in heads]

    service.sync_init(SyncStart(RingId(1, 99), (1, 2), (1,)), cluster.now_ns)
    service.outputs.clear()
    service.send_node_info(service.device)
    assert told() == []
    service.sync_process(cluster.now_ns)
    assert told()[:2] == [1, 0]
    service.send_node_info(service.device)
    assert told() == [0]


def test_a_device_must_come_again_in_time() -> None:
    cluster = with_device()
    cluster.advance(499)
    assert cluster.poll(1, True) == CsError.OK
    cluster.advance(499)
    assert VOTES in Info(cluster.info(1).flags)
    assert Info.DEVICE_ALIVE not in Info(cluster.info(2).flags)
    assert cluster[1].quorate  # two nodes of three votes
    cluster.advance(1)
    assert Info.DEVICE_ALIVE not in Info(cluster.info(1).flags)
    assert cluster.info(1).total_votes == 2


def test_registration_waits_for_the_ring() -> None:
    cluster = Cluster(1, **OPTIONS)
    member = cluster[1]
    layout = messages.DEVICE_NAME_REQUEST
    message = layout.encode(VoteRequest.DEVICE_REGISTER, layout.size, b"Qdevice")
    member.service.on_request(7, VoteRequest.DEVICE_REGISTER, memoryview(message), 0)
    member.service.on_request(8, VoteRequest.DEVICE_REGISTER, memoryview(message), 0)
    cluster.collect(member)
    assert [(client, error(response)) for client, response in member.responses] == [(8, CsError.TRY_AGAIN)]
    cluster.settle()
    assert [(client, error(response)) for client, response in member.responses[1:]] == [(7, CsError.OK)]


def test_registering_again() -> None:
    cluster = with_device(1)
    assert error(cluster.register(1)) == CsError.OK
    assert error(cluster.register(1, b"Other")) == CsError.EXIST


def test_all_nodes_have_the_same_device() -> None:
    cluster = Cluster(2, **OPTIONS)
    cluster.ring([1, 2])
    assert error(cluster.register(1)) == CsError.OK
    assert error(cluster.register(2, b"Other")) == CsError.EXIST
    assert cluster[2].service.registration is None
    assert error(cluster.register(2)) == CsError.OK


def test_a_node_that_joins_learns_the_name() -> None:
    cluster = Cluster(3, **(OPTIONS | {"expected_votes": 4}))
    cluster.ring([1, 2])
    cluster.register(1)
    assert cluster[3].service.device_name == b""
    cluster.ring([1, 2, 3])
    assert cluster[3].service.device_name == b"Qdevice"
    assert error(cluster.register(3, b"Other")) == CsError.EXIST


@pytest.mark.parametrize("name", [b"", b"x" * DEVICE_NAME_SIZE])
def test_impossible_names(name: bytes) -> None:
    cluster = Cluster(1, **OPTIONS)
    assert error(cluster.register(1, name)) == CsError.INVALID_PARAM
    cluster.register(1)
    assert rename(cluster, b"Qdevice", name) == CsError.INVALID_PARAM
    assert by_name(cluster, VoteRequest.DEVICE_UNREGISTER, name) == CsError.INVALID_PARAM
    assert cluster.poll(1, True, name) == CsError.INVALID_PARAM
    assert master_wins(cluster, 1, name) == CsError.INVALID_PARAM


def test_client_that_goes_before_its_registration_is_through() -> None:
    cluster = Cluster(1, **OPTIONS)
    layout = messages.DEVICE_NAME_REQUEST
    message = layout.encode(VoteRequest.DEVICE_REGISTER, layout.size, b"Qdevice")
    cluster[1].service.on_request(7, VoteRequest.DEVICE_REGISTER, memoryview(message), 0)
    cluster[1].service.on_client_gone(7, 0)
    cluster.settle()
    assert cluster[1].responses == []
    assert Info.DEVICE_REGISTERED not in Info(cluster.info(1).flags)
    assert error(cluster.register(1)) == CsError.OK


def test_somebody_elses_name_is_not_our_registration() -> None:
    """We repeat the name of the cluster's device at every synchronization."""
    cluster = Cluster(2, **OPTIONS)
    cluster.ring([1, 2])
    cluster.register(2)
    member = cluster[1]
    layout = messages.DEVICE_NAME_REQUEST
    message = layout.encode(VoteRequest.DEVICE_REGISTER, layout.size, b"Other")
    member.service.on_request(7, VoteRequest.DEVICE_REGISTER, memoryview(message), 0)
    cluster.collect(member)
    ours, cluster.queue = cluster.queue, []
    member.responses.clear()
    cluster.ring([1, 2])
    assert member.responses == []
    assert member.service.registration == (7, b"Other")
    cluster.queue = ours
    cluster.settle()
    assert [error(response) for _, response in member.responses] == [CsError.EXIST]


def test_unregistering() -> None:
    cluster = with_device()
    assert by_name(cluster, VoteRequest.DEVICE_UNREGISTER, b"Other") == CsError.INVALID_PARAM
    assert by_name(cluster, VoteRequest.DEVICE_UNREGISTER) == CsError.OK
    assert Info(cluster.info(1).flags) == Info.QUORATE
    assert cluster[1].service.next_deadline() is None
    # Node 2 has it still.
    assert cluster[1].service.device_name == b"Qdevice"
    assert by_name(cluster, VoteRequest.DEVICE_UNREGISTER) == CsError.NOT_EXIST
    assert cluster.poll(1, True) == CsError.NOT_EXIST
    assert master_wins(cluster) == CsError.NOT_EXIST
    assert rename(cluster, b"Qdevice", b"Other") == CsError.NOT_EXIST
    cluster.error(2, VoteRequest.DEVICE_UNREGISTER, messages.DEVICE_NAME_REQUEST, b"Qdevice")
    assert cluster[1].service.device_name == cluster[2].service.device_name == b""


def test_renaming() -> None:
    cluster = with_device()
    assert rename(cluster, b"Other", b"New") == CsError.INVALID_PARAM
    assert rename(cluster, b"Qdevice", b"New") == CsError.OK
    assert cluster[1].service.device_name == cluster[2].service.device_name == b"New"
    assert cluster.poll(1, True) == CsError.INVALID_PARAM
    assert cluster.poll(1, True, b"New") == CsError.OK


def test_master_wins() -> None:
    """One of three with the device's single vote goes on, where two of five votes would not be enough."""
    cluster = with_device(3, expected_votes=4)
    assert master_wins(cluster) == CsError.OK
    assert cluster.cmap(1, "qdevice_master_wins") == 1
    cluster.ring([1], wait=False)
    cluster.poll(1, True)
    cluster.process([1])
    cluster.activate([1])
    assert (cluster.info(1).total_votes, cluster.info(1).quorum, cluster[1].quorate) == (2, 3, True)
    assert master_wins(cluster, 0) == CsError.OK
    assert not cluster[1].quorate
    assert cluster.cmap(1, "qdevice_master_wins") == 0


def test_device_that_may_not_operate(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "corosync.VOTEQ")
    cluster = Cluster(2, last_man_standing=1)
    cluster.ring([1, 2])
    cluster[1].view.cmap.set_str("quorum.device.model", "net")
    assert cluster.cmap(1, "qdevice_can_operate") == 0
    assert error(cluster.register(1)) == CsError.ACCESS
    assert caplog.messages[-1].startswith("Registration of quorum device is disabled by incorrect")
    assert cluster.poll(1, True) == CsError.ACCESS
    assert master_wins(cluster) == CsError.ACCESS


def test_nonsense_of_other_nodes_is_dropped() -> None:
    cluster = Cluster(2, **OPTIONS)
    cluster.ring([1, 2])
    without_end = b"x" * DEVICE_NAME_SIZE
    for function, layout, values in (
        (Function.DEVICE_REGISTRATION, messages.DEVICE_REGISTRATION, (Registration.REGISTER, without_end)),
        (Function.DEVICE_REGISTRATION, messages.DEVICE_REGISTRATION, (Registration.UNREGISTER, b"")),
        (Function.DEVICE_RENAME, messages.DEVICE_RENAME, (b"", b"x")),
        (Function.DEVICE_RENAME, messages.DEVICE_RENAME, (b"x", without_end)),
    ):
        message = layout.encode(5 << 16 | function, layout.size, *values)
        with pytest.raises(MalformedMessage):
            cluster.deliver(1, 2, message)
    unknown = messages.DEVICE_REGISTRATION.encode(5 << 16 | 2, 280, 7, b"x")
    cluster.deliver(1, 2, unknown)
    assert cluster[1].service.device_name == b""
