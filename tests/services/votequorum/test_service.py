"""Whole clusters of votequorum services: who is quorate after what has happened."""

import logging
from contextlib import suppress
from random import Random

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.cs_error import CsError
from pycorosync.errors import ConfigError, MalformedMessage
from pycorosync.services.outputs import QuorumChanged
from pycorosync.services.service import SyncStart
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import Function, NodeFlags, NodeState, Parameter
from pycorosync.services.votequorum.service import VotequorumService
from pycorosync.types import RingId
from pycorosync.wire.fixed import BIG
from tests.services.votequorum.cluster import Cluster, Member, configured


def quorate(cluster: Cluster) -> list[int]:
    return [node_id for node_id in cluster.ids if cluster[node_id].quorate]


def reload(cluster: Cluster, changes: dict[str, int | None], status: int = CsError.OK) -> None:
    """What a reload does to the map of every node."""
    for node_id in cluster.ids:
        cmap = cluster[node_id].view.cmap
        cmap.set_u8("config.totemconfig_reload_in_progress", 1)
        for key, value in changes.items():
            if value is None:
                cmap.delete(key)
            else:
                kind = ValueType.UINT8 if key == "quorum.two_node" else ValueType.UINT32
                cmap.set(key, kind, value)
        cmap.set_i32("config.reload_status", status)
        cmap.set_u8("config.totemconfig_reload_in_progress", 0)
    cluster.settle()


# --- one node


def test_single_node_is_quorate_from_the_start() -> None:
    cluster = Cluster(1)
    ring_id = cluster[1].service.ring_id
    assert cluster[1].decisions == [
        QuorumChanged(True, (), RingId(0, 0)),
        QuorumChanged(True, (1,), ring_id),
    ]
    found = dict(cluster[1].view.cmap.items("runtime.votequorum."))
    u8, u32 = ValueType.UINT8, ValueType.UINT32
    assert found == {
        "runtime.votequorum.ev_barrier": (u32, 1),
        "runtime.votequorum.highest_node_id": (u32, 1),
        "runtime.votequorum.lowest_node_id": (u32, 1),
        "runtime.votequorum.this_node_id": (u32, 1),
        "runtime.votequorum.two_node": (u8, 0),
    }


def test_start_tells_the_ring_of_ourselves() -> None:
    member = Member(7, configured((7, 8), 7, {}))
    member.service.start(0)
    (output,) = member.service.outputs
    info = messages.NODE_INFO.decode(bytes(output.head))  # type: ignore[union-attr]
    assert info[2:] == (7, 1, 2, NodeFlags.FIRST)
    assert all(
        member.view.cmap.is_read_only(key) for key in ("quorum.wait_for_all", "quorum.allow_downscale")
    )
    assert not member.view.cmap.is_read_only("quorum.expected_votes")


def test_refused_configuration() -> None:
    member = Member(1, configured((1, 2), 1, {"two_node": 1, "device.model": "net"}))
    with pytest.raises(ConfigError):
        member.service.start(0)


# --- membership


def test_majority_decides() -> None:
    cluster = Cluster(5)
    assert quorate(cluster) == []
    cluster.ring([1, 2])
    assert quorate(cluster) == []
    cluster.ring([1, 2, 3])
    assert quorate(cluster) == [1, 2, 3]
    cluster.ring([1, 2, 3, 4, 5])
    assert quorate(cluster) == [1, 2, 3, 4, 5]
    cluster.split([1, 4], [2, 3, 5])
    assert quorate(cluster) == [2, 3, 5]
    assert cluster[1].decisions[-1] == QuorumChanged(False, (1, 4), cluster[1].service.ring_id)


def test_one_decision_for_one_membership() -> None:
    cluster = Cluster(3)
    before = [len(cluster[node_id].decisions) for node_id in cluster.ids]
    cluster.ring([1, 2, 3])
    assert [len(cluster[node_id].decisions) for node_id in cluster.ids] == [count + 1 for count in before]


def test_own_information_goes_before_the_devices() -> None:
    """A corosync that hears of a device from a node it does not know ends."""
    cluster = Cluster(1)
    cluster[1].service.sync_init(SyncStart(RingId(1, 99), (1,), (1,)), 0)
    assert cluster[1].service.sync_process(0)
    infos = [messages.NODE_INFO.decode(bytes(output.head)) for output in cluster[1].service.outputs]  # type: ignore[union-attr]
    assert [info.node_id for info in infos] == [1, 0]


def test_interrupted_synchronization_decides_nothing() -> None:
    cluster = Cluster(3)
    cluster.ring([1, 2, 3])
    before = len(cluster[1].decisions)
    cluster.ring([1, 2], wait=False)
    decided = len(cluster[1].decisions)
    for node_id in (1, 2):
        cluster[node_id].service.sync_abort()
    cluster.ring([1, 2, 3])
    assert len(cluster[1].decisions) == decided + 1
    assert quorate(cluster) == [1, 2, 3]
    assert before < decided


def test_information_in_the_other_byte_order() -> None:
    cluster = Cluster(2)
    message = messages.NODE_INFO.encode(5 << 16, 32, 2, 3, 4, NodeFlags.FIRST, order=BIG)
    cluster.deliver(1, 2, message, BIG)
    assert cluster.info(1, 2)[3:7] == (2, NodeState.MEMBER, 3, 2)


# --- two nodes


def test_two_nodes_wait_for_each_other_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "corosync.VOTEQ")
    cluster = Cluster(2, two_node=1)
    assert quorate(cluster) == []
    assert cluster.cmap(1, "wait_for_all_status") == 1
    text = "Waiting for all cluster members. Current votes: 1 expected_votes: 2"
    assert set(caplog.messages) == {text}
    assert {record.levelname for record in caplog.records} == {"Level 25"}
    cluster.ring([1, 2])
    assert quorate(cluster) == [1, 2]
    assert cluster.cmap(1, "wait_for_all_status") == 0
    cluster.split([1], [2])
    assert quorate(cluster) == [1, 2]  # fencing decides
    cluster.boot(2)
    assert quorate(cluster) == [1]
    assert cluster.cmap(2, "wait_for_all_status") == 1
    cluster.ring([1, 2])
    assert quorate(cluster) == [1, 2]


def test_two_nodes_that_do_not_wait() -> None:
    cluster = Cluster(2, two_node=1, wait_for_all=0)
    assert quorate(cluster) == [1, 2]
    assert cluster.cmap(1, "wait_for_all_status") is None


def test_waiting_can_be_cancelled() -> None:
    cluster = Cluster(2, two_node=1)
    cluster[1].view.cmap.set_u8("quorum.cancel_wait_for_all", 1)
    cluster.settle()
    assert quorate(cluster) == [1]
    assert cluster[1].view.cmap.value("quorum.cancel_wait_for_all") == 0
    assert cluster.cmap(1, "wait_for_all_status") == 0


def test_third_node_ends_two_node_mode_at_run_time() -> None:
    """Two of three are quorate, one is not, although two_node was in force before."""
    cluster = Cluster(2, two_node=1)
    cluster.ring([1, 2])
    reload(cluster, {"quorum.two_node": 0, "nodelist.node.2.nodeid": 3})
    assert cluster.info(1).quorum == 2
    assert cluster.cmap(1, "two_node") == 0
    cluster.split([1], [2])
    assert quorate(cluster) == []
    reload(cluster, {"quorum.two_node": 1, "nodelist.node.2.nodeid": None})
    # It does not come back by itself: both wait for each other.
    cluster.ring([1, 2])
    assert quorate(cluster) == [1, 2]


# --- wait_for_all


def test_everyone_must_have_been_there_once() -> None:
    cluster = Cluster(3, wait_for_all=1)
    cluster.ring([1, 2])
    assert quorate(cluster) == []
    cluster.ring([1, 2, 3])
    assert quorate(cluster) == [1, 2, 3]
    cluster.split([1, 2], [3])
    assert quorate(cluster) == [1, 2]
    cluster.boot(1)
    cluster.ring([2])
    assert quorate(cluster) == []
    assert [cluster.cmap(node_id, "wait_for_all_status") for node_id in (1, 2)] == [1, 1]


def test_a_restarted_node_trusts_one_that_is_quorate() -> None:
    cluster = Cluster(3, wait_for_all=1)
    cluster.ring([1, 2, 3])
    cluster.split([1, 2], [3])
    cluster.boot(3)
    assert cluster.cmap(3, "wait_for_all_status") == 1
    cluster.split([1, 2])
    cluster.ring([2, 3, 1])
    assert quorate(cluster) == [1, 2, 3]
    assert cluster.cmap(3, "wait_for_all_status") == 0


def test_a_quorate_node_may_change_its_partners_in_one_step() -> None:
    """It does not begin to wait while the new partner's votes are on their way."""
    cluster = Cluster(3, wait_for_all=1)
    cluster.ring([1, 2, 3])
    cluster.split([1, 3], [2])
    cluster.split([1, 2], [3])
    assert quorate(cluster) == [1, 2]
    assert [cluster.cmap(node_id, "wait_for_all_status") for node_id in (1, 2, 3)] == [0, 0, 1]


def test_own_old_message_does_not_end_the_waiting() -> None:
    """A message that we sent while quorate may come back after quorum is lost."""
    cluster = Cluster(3, wait_for_all=1)
    cluster.ring([1, 2, 3])
    cluster.split([1], [2, 3])
    assert cluster.cmap(1, "wait_for_all_status") == 1
    cluster.deliver(1, 1, messages.NODE_INFO.encode(5 << 16, 32, 1, 1, 3, NodeFlags.QUORATE))
    assert cluster.cmap(1, "wait_for_all_status") == 1
    assert not cluster[1].quorate
    assert NodeFlags.QUORATE not in cluster[1].service.us.flags


# --- auto_tie_breaker


@pytest.mark.parametrize(
    ("node", "winners"),
    [(None, [1, 2]), ("highest", [3, 4]), ("3 1", [3, 4]), ("9 2", [1, 2]), ("9", [])],
)
def test_half_with_the_tie_breaker_goes_on(node: str | None, winners: list[int]) -> None:
    options = {} if node is None else {"auto_tie_breaker_node": node}
    cluster = Cluster(4, auto_tie_breaker=1, **options)
    cluster.ring([1, 2, 3, 4])
    cluster.split([1, 2], [3, 4])
    assert quorate(cluster) == winners
    cluster.ring([1, 2, 3, 4])
    assert quorate(cluster) == [1, 2, 3, 4]


def test_tie_breaker_in_an_odd_cluster() -> None:
    """The smaller part must not go on when the larger one has a majority."""
    cluster = Cluster(5, auto_tie_breaker=1, wait_for_all=1)
    cluster.ring([1, 2, 3, 4, 5])
    cluster.split([1, 2], [3, 4, 5])
    assert quorate(cluster) == [3, 4, 5]


def test_no_tie_breaker_before_the_first_quorum() -> None:
    cluster = Cluster(4, auto_tie_breaker=1)
    cluster.ring([1, 2])
    assert quorate(cluster) == []


# --- last_man_standing, allow_downscale, tracking


def test_last_man_standing() -> None:
    cluster = Cluster(4, last_man_standing=1, last_man_standing_window=1000, wait_for_all=1)
    cluster.ring([1, 2, 3, 4])
    cluster.ring([1, 2, 3])
    cluster.advance(999)
    assert cluster.info(1).expected_votes == 4
    cluster.advance(1)
    assert [cluster.info(1)[index] for index in (6, 9)] == [3, 2]
    cluster.ring([1, 2])
    cluster.advance(1000)
    assert [cluster.info(1)[index] for index in (6, 9)] == [2, 2]
    cluster.ring([1])
    assert not cluster[1].quorate


def test_nobody_stands_after_losing_quorum_at_once() -> None:
    cluster = Cluster(4, last_man_standing=1, last_man_standing_window=1000, wait_for_all=1)
    cluster.ring([1, 2, 3, 4])
    cluster.split([1, 2], [3, 4])
    cluster.advance(5000)
    assert quorate(cluster) == []
    assert cluster.info(1).expected_votes == 4


def test_last_man_standing_ends_with_uneven_votes(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(3, last_man_standing=1, votes_2=2)
    cluster.ring([1, 2, 3])
    assert caplog.messages[-1].startswith("Last Man Standing feature is supported only when all")
    assert caplog.records[-1].levelno == logging.WARNING
    cluster.ring([1, 2])
    cluster.advance(20000)
    assert cluster.info(1).expected_votes == 4


def test_expected_votes_are_not_taken_from_a_node_without_quorum() -> None:
    cluster = Cluster(8, last_man_standing=1, last_man_standing_window=1000, wait_for_all=1)
    cluster.ring(range(1, 9))
    cluster.split([1, 2, 3, 4, 5], [6, 7, 8])
    cluster.advance(1000)
    assert cluster.info(1).expected_votes == 5
    assert cluster.info(6).expected_votes == 8
    cluster.ring(range(1, 9))
    assert cluster.info(1).expected_votes == 8
    assert quorate(cluster) == list(range(1, 9))


def test_downscaling_on_purpose() -> None:
    cluster = Cluster(4, allow_downscale=1)
    cluster.ring([1, 2, 3, 4])
    cluster.set_expected(1, 4)
    cluster[4].service.on_unload(cluster.now_ns)
    cluster.settle()
    assert cluster.info(1, 4).state == NodeState.LEAVING
    assert cluster.info(1).expected_votes == 3
    cluster.ring([1, 2, 3])
    assert cluster.info(1, 4).state == NodeState.DEAD
    assert quorate(cluster)[:3] == [1, 2, 3]


def test_without_downscaling_nobody_is_told_of_the_stop() -> None:
    cluster = Cluster(2)
    cluster[1].service.on_unload(cluster.now_ns)
    assert cluster[1].service.outputs == []


def test_expected_votes_are_stored_and_survive() -> None:
    cluster = Cluster(2, expected_votes_tracking=1)
    assert cluster[1].stored == [0, 2]
    assert cluster.cmap(1, "ev_tracking_barrier") == 2
    cluster.ring([1, 2])
    cluster.set_votes(1, 2, 4)
    assert cluster[1].stored == [0, 2, 5]
    member = cluster.boot(1, stored=5)
    assert member.stored == [5]
    assert cluster.info(1).expected_votes == 5


# --- run time


def test_reload_takes_over_the_new_nodelist() -> None:
    cluster = Cluster(2)
    cluster.ring([1, 2])
    reload(cluster, {"nodelist.node.2.nodeid": 3, "nodelist.node.0.quorum_votes": 2})
    info = cluster.info(2)
    assert (info.expected_votes, info.total_votes, info.quorum) == (4, 3, 3)
    assert cluster.cmap(2, "ev_barrier") == 4
    assert cluster.cmap(2, "atb_type") == 0
    reload(cluster, {"nodelist.node.2.nodeid": None, "nodelist.node.0.quorum_votes": None})
    info = cluster.info(2)
    assert (info.expected_votes, info.total_votes, info.quorum) == (2, 2, 2)


def test_failed_reload_changes_nothing() -> None:
    cluster = Cluster(2)
    cluster.ring([1, 2])
    reload(cluster, {"nodelist.node.2.nodeid": 3}, CsError.INVALID_PARAM)
    assert cluster.info(1).expected_votes == 2


def test_single_keys_take_effect_at_once() -> None:
    cluster = Cluster(1)
    cluster[1].view.cmap.set_u32("quorum.expected_votes", 3)
    cluster.settle()
    assert (cluster.info(1).expected_votes, cluster[1].quorate) == (3, False)


# --- what other nodes may send


def test_nonsense_is_dropped() -> None:
    cluster = Cluster(2)
    cluster.ring([1, 2])
    for info in ((3, 1, 1, 0), (1, 9, 9, 1)):
        with pytest.raises(MalformedMessage):
            cluster.deliver(1, 2, messages.NODE_INFO.encode(5 << 16, 32, *info))
    with pytest.raises(MalformedMessage):
        cluster.deliver(1, 77, messages.NODE_INFO.encode(5 << 16, 32, 0, 1, 0, 0))
    with pytest.raises(MalformedMessage):
        cluster.deliver(1, 2, messages.NODE_INFO.encode(5 << 16, 32, 2, 1, 1, 0)[:31])
    before = cluster.info(1)
    cluster.deliver(1, 2, messages.RECONFIGURE.encode(5 << 16 | 1, 32, 1, 1, 9))
    cluster.deliver(1, 2, messages.RECONFIGURE.encode(5 << 16 | 1, 32, 99, 1, Parameter.NODE_VOTES))
    assert cluster.info(1) == before


@pytest.mark.parametrize("seed", range(30))
def test_any_bytes_end_nothing(seed: int) -> None:
    rng = Random(seed)
    cluster = Cluster(3, **{"device.model": "net"})
    cluster.ring([1, 2, 3])
    for _ in range(200):
        function = rng.choice(list(Function))
        layout = VotequorumService.DELIVERIES[function].layout
        message = bytearray(rng.randbytes(rng.choice((layout.size, layout.size, 16, 31, 600))))
        message[:4] = (5 << 16 | function).to_bytes(4, "little")
        if rng.random() < 0.7:
            message[16:20] = rng.randrange(4).to_bytes(4, "little")
        with suppress(MalformedMessage):
            cluster.deliver(rng.randint(1, 3), rng.randint(1, 4), bytes(message))
        cluster.queue.clear()
        info = cluster.info(1)
        assert info.quorum <= max(info.highest_expected, info.total_votes) // 2 + 1 or info.quorum > 0
    assert len(cluster[1].service.electorate) <= 4


@pytest.mark.parametrize("seed", range(60))
def test_at_most_one_partition_is_quorate(seed: int) -> None:
    """Random splits, joins and restarts. And all nodes of a partition agree."""
    rng = Random(seed)
    nodes = rng.randint(2, 6)
    options: dict[str, int | str] = {"wait_for_all": rng.randrange(2)}
    cluster = Cluster(nodes, **options)
    for _ in range(25):
        order = list(cluster.ids)
        rng.shuffle(order)
        if rng.random() < 0.15:
            down = order[0]
            others = [node_id for node_id in cluster.rings[down] if node_id != down]
            cluster.boot(down)
            if others:
                cluster.ring(others)
        else:
            cut = rng.randrange(nodes)
            cluster.split(*(part for part in (order[:cut], order[cut:]) if part))
        partitions = {cluster.rings[node_id] for node_id in quorate(cluster)}
        assert len(partitions) <= 1, f"seed {seed}: {partitions}"
        for ring in set(cluster.rings.values()):
            assert len({cluster[node_id].quorate for node_id in ring}) == 1, f"seed {seed}: {ring}"
