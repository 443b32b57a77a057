"""Faults of votequorum's history that no scenario script can show (T45 to T49, T39 once more): each test says
which one it keeps out. T39 to T44 are scripts in tests/scenarios/votequorum/, T50 is in
compat-tests/quorum/test_qdevice.py.
"""

from dataclasses import replace

import pytest

from pycorosync.client.votequorum import NodeList, QuorumChanged, event_of
from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.service import SyncStart, TrackFlags
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import Function, VoteRequest
from pycorosync.types import NodeId, RingId
from tests.scenarios.votequorum.script import Configuration
from tests.scenarios.votequorum.simulated import SimulatedStage
from tests.services.votequorum.cluster import Cluster

DEVICE: dict[str, int | str] = {"device.model": "net", "device.votes": 1}


def track(cluster: Cluster, node_id: NodeId) -> None:
    flags = TrackFlags.CURRENT | TrackFlags.CHANGES
    cluster.ask(node_id, VoteRequest.TRACK_START, messages.TRACK_START_REQUEST, 1, flags)
    cluster[node_id].events.clear()


def test_t39_a_part_that_forms_its_ring_twice_remembers_the_majority() -> None:
    # {3 4 5} are quorate; {1 2} hold the tie breaker, and must not act however often they form a ring.
    cluster = Cluster(5, auto_tie_breaker=1, wait_for_all=1)
    cluster.ring(cluster.ids)
    cluster.split((1, 2), (3, 4, 5))
    for _ in range(3):
        cluster.ring((1, 2))
        assert [node for node in cluster.ids if cluster[node].quorate] == [3, 4, 5]


def test_t39_the_first_of_the_list_may_be_elsewhere_for_long() -> None:
    cluster = Cluster(4, auto_tie_breaker=1, auto_tie_breaker_node="2 3")
    cluster.ring(cluster.ids)
    cluster.split((1, 2), (3,), (4,))
    cluster.ring((3, 4))
    cluster.ring((3, 4))
    assert [node for node in cluster.ids if cluster[node].quorate] == [1, 2]


def test_t39_a_majority_without_us_makes_our_memory_worthless() -> None:
    # {2 3 4} had the votes and know node 2 as the lowest; node 1, alone until then, knows itself.
    cluster = Cluster(4, auto_tie_breaker=1)
    cluster.ring(cluster.ids)
    cluster.split((1,), (2, 3, 4))
    cluster.split((1, 3), (2, 4))
    assert [node for node in cluster.ids if cluster[node].quorate] == [2, 4]
    cluster.ring(cluster.ids)
    assert [node for node in cluster.ids if cluster[node].quorate] == [1, 2, 3, 4]


def test_t45_a_registration_in_the_middle_of_a_synchronization() -> None:
    """It neither starts another synchronization nor loses the ring id of this one."""
    cluster = Cluster(2, **DEVICE)
    cluster.ring(cluster.ids)
    track(cluster, 1)
    ring_id = RingId(1, cluster.seq + 4)
    for node_id in cluster.ids:
        cluster[node_id].service.sync_init(SyncStart(ring_id, cluster.ids, cluster.ids), cluster.now_ns)
    cluster.seq += 4
    decisions = len(cluster[1].decisions)
    assert cluster.register(1)[16:20] == bytes([CsError.OK, 0, 0, 0])
    assert len(cluster[1].decisions) == decisions, "nothing is decided before the end"
    assert cluster.process(cluster.ids)
    cluster.activate(cluster.ids)
    assert [decision.ring_id for decision in cluster[1].decisions[decisions:]] == [ring_id]
    told = map(event_of, (data for _, data in cluster[1].events))
    assert [event.ring_id for event in told if isinstance(event, NodeList)] == [ring_id]


def test_t45_the_ring_id_is_known_before_anything_is_delivered() -> None:
    cluster = Cluster(2, **DEVICE)
    start = SyncStart(RingId(1, 99), (1, 2), (1,))
    cluster[1].service.sync_init(start, cluster.now_ns)
    assert cluster[1].service.ring_id == start.ring_id
    cluster.register(1)
    assert cluster.poll(1, True, ring_id=start.ring_id) == CsError.OK


@pytest.mark.parametrize("old", [RingId(1, 1), RingId(2, 9), RingId(0, 0)])
def test_t46_a_vote_for_an_older_ring_does_not_count(old: RingId) -> None:
    cluster = Cluster(2, **DEVICE)
    cluster.ring(cluster.ids)
    cluster.register(1)
    assert cluster.poll(1, True, ring_id=old) == CsError.MESSAGE_ERROR
    assert cluster.info(1).total_votes == 2
    cluster.ring((1,))
    assert not cluster[1].quorate


def test_t46_the_vote_is_waited_for_anew_in_each_ring() -> None:
    cluster = Cluster(2, **DEVICE)
    cluster.ring(cluster.ids)
    cluster.register(1)
    before = cluster[1].service.ring_id
    assert cluster.poll(1, True) == CsError.OK
    cluster.ring((1,), wait=False)
    assert not cluster.process((1,))
    assert cluster.poll(1, True, ring_id=before) == CsError.MESSAGE_ERROR
    assert not cluster.process((1,))
    assert cluster.poll(1, True) == CsError.OK
    assert cluster.process((1,))


def test_t47_a_device_of_a_node_that_nobody_knows() -> None:
    cluster = Cluster(2, **DEVICE)
    layout = messages.NODE_INFO
    message = layout.encode(5 << 16 | Function.NODE_INFO, layout.size, 0, 200, 0, 0)
    with pytest.raises(MalformedMessage):
        cluster.deliver(1, 77, message)
    assert cluster.info(1).device_votes == 1


def test_t48_the_highest_config_version_survives() -> None:
    configuration = Configuration(nodes=(1, 2), version=2)
    with SimulatedStage(2).open() as stage:
        stage.configure(configuration)
        stage.start([1])
        stage.look({1: (1,)}, None)
        stage.configure(replace(configuration, version=1))
        stage.start([2])
        hosts = stage.cluster.hosts
        stage.cluster.run_until(lambda: hosts[2].daemon is None, 60_000, "the older one to end")
        stage.wait(5_000)
        assert hosts[1].daemon is not None
        stage.look({1: (1,)}, None)


@pytest.mark.parametrize("nodes", [2, 5, 8])
def test_t49_one_callback_for_each_change(nodes: int) -> None:
    cluster = Cluster(nodes)
    track(cluster, 1)
    for members in (cluster.ids, cluster.ids[:-1], cluster.ids, (1,)):
        cluster[1].events.clear()
        cluster.ring(members)
        kinds = [type(event_of(data)) for _, data in cluster[1].events]
        assert kinds.count(QuorumChanged) == 1
        assert kinds.count(NodeList) == 1
        assert kinds.index(NodeList) < kinds.index(QuorumChanged)
