"""Rings form, break and form again: what every member is told."""

from dataclasses import replace

import pytest

from pycorosync.totem.messages import Join, MergeDetect, MessageType
from pycorosync.totem.outputs import MembershipKind
from pycorosync.totem.states import State
from pycorosync.types import Buffer, RingId
from tests.totem.harness import FAST, Network


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12])
def test_nodes_that_start_together_form_one_ring(size: int) -> None:
    network = Network(seed=size)
    nodes = range(1, size + 1)
    network.start(*nodes)
    network.form(*nodes)
    for member in network.members.values():
        last = [change for change in member.changes if change.kind is MembershipKind.REGULAR][-1]
        assert last.members == tuple(nodes)
        assert last.ring_id.representative == 1


def test_a_starting_node_first_forms_a_ring_of_its_own() -> None:
    network = Network(seed=1)
    network.stored[1] = 40
    network.start(1)
    network.form(1)
    transitional, regular = network.members[1].changes
    assert (transitional.kind, transitional.members, transitional.left) == (
        MembershipKind.TRANSITIONAL,
        (),
        (),
    )
    assert (regular.kind, regular.members, regular.joined) == (MembershipKind.REGULAR, (1,), (1,))
    # stored + 1 is where it starts, and each new ring counts 4 more.
    assert regular.ring_id == (1, 45)
    assert network.members[1].stored == 45


def test_a_second_node_joins_a_ring_of_one() -> None:
    network = Network(seed=2)
    network.start(1)
    network.form(1)
    network.start(2)
    network.form(1, 2)
    transitional, regular = network.members[1].changes[-2:]
    assert (transitional.members, transitional.left) == ((1,), ())
    assert (regular.members, regular.joined) == ((1, 2), (2,))
    assert regular.ring_id.seq == 9


def test_a_crashed_node_is_missed_after_token_and_consensus_timeout() -> None:
    network = Network(seed=3)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    network.crash(2)
    network.form(1, 3, within_ms=FAST.token_ms + FAST.consensus_ms + 100)
    transitional, regular = network.members[1].changes[-2:]
    assert (transitional.members, transitional.left) == ((1, 3), (2,))
    assert (regular.members, regular.joined) == ((1, 3), ())


def test_a_leaving_node_costs_no_timeout() -> None:
    network = Network(seed=4)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    network.leave(1)
    network.form(2, 3, within_ms=100)
    assert network.members[2].ring.ring_id.representative == 2


def test_after_leaving_a_node_is_silent_and_deaf() -> None:
    network = Network(seed=5)
    network.start(1, 2)
    network.form(1, 2)
    ring = network.members[1].ring
    ring.leave(network.now_ns)
    assert ring.state is State.OFFLINE
    frames = [output.frame for output in ring.outputs]  # type: ignore[union-attr]
    assert [bytes(frame)[3] for frame in frames] == [MessageType.JOIN]
    ring.outputs.clear()
    for output in network.members[2].ring.outputs:
        ring.receive(output.frame, network.now_ns)  # type: ignore[union-attr]
    ring.receive(bytes(frames[0]), network.now_ns)
    assert ring.outputs == []
    assert ring.next_deadline() is None


def test_a_restarted_node_comes_back_with_a_higher_ring_number() -> None:
    network = Network(seed=6)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    before = network.members[2].ring.ring_id.seq
    network.crash(1)
    network.start(1)  # before anybody has missed it
    network.form(1, 2, 3)
    after = network.members[2].changes[-1].ring_id.seq
    assert after > before
    # The others see that it is not the node that they knew.
    transitional, regular = network.members[2].changes[-2:]
    assert 1 in transitional.left or 1 in network.members[2].changes[-4].left
    assert 1 in regular.joined


def test_partitions_go_on_alone_and_merge_when_they_meet() -> None:
    network = Network(seed=7)
    network.start(1, 2, 3, 4, 5)
    network.form(1, 2, 3, 4, 5)
    network.partition({1, 2}, {3, 4, 5})
    network.run_until(lambda: network.formed(1, 2)() and network.formed(3, 4, 5)())
    network.heal()
    network.form(1, 2, 3, 4, 5, within_ms=2000)
    transitional, regular = network.members[4].changes[-2:]
    assert (transitional.members, transitional.left) == ((3, 4, 5), ())
    assert (regular.members, regular.joined) == ((1, 2, 3, 4, 5), (1, 2))


def test_two_rings_that_are_busy_merge_by_their_messages() -> None:
    network = Network(seed=8)
    network.partition({1, 2}, {3, 4})
    network.start(1, 2, 3, 4)
    network.run_until(lambda: network.formed(1, 2)() and network.formed(3, 4)())
    network.heal()
    for _ in range(200):
        for node_id in (1, 2, 3, 4):
            network.members[node_id].send(b"traffic without a pause")
        network.run(5)
        if network.formed(1, 2, 3, 4)():
            return
    raise AssertionError(network.describe())


def test_a_healed_partition_whose_sides_blame_each_other_still_merges() -> None:
    # T15: both sides carry the other one in their lists of failed nodes while a third node is away.
    network = Network(seed=9)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    network.partition({1}, {2}, {3})
    network.run(FAST.token_ms + 100)
    network.crash(3)
    network.heal()
    network.form(1, 2, within_ms=5000)


def test_nodes_whose_failures_contradict_each_other_do_not_shout() -> None:
    # Each answers the other's join with one of its own, if it is taken for news: that would never end.
    network = Network(seed=15)
    network.partition({1, 3}, {2, 4})
    network.start(1, 2, 3, 4)
    network.run_until(lambda: network.formed(1, 3)() and network.formed(2, 4)())
    network.crash(3)
    network.crash(4)
    network.run(FAST.token_ms + FAST.consensus_ms - 20)  # both are about to fail their neighbour
    network.heal()
    network.run_until(lambda: network.members[1].ring.state is State.OPERATIONAL)
    network.form(1, 2, within_ms=5000)
    assert network.members[1].ring.stats.memb_join_tx < 100


def test_lowest_node_restarts_before_the_others_miss_it() -> None:
    # T13: the same ring id must not be used twice.
    network = Network(seed=10)
    network.start(1, 2)
    network.form(1, 2)
    for _ in range(5):
        network.crash(1)
        network.start(1)
        network.form(1, 2)
    rings = [change.ring_id for change in network.members[2].changes if change.kind is MembershipKind.REGULAR]
    assert len(set(rings)) == len(rings)


def test_a_lost_token_is_sent_again_without_a_new_ring() -> None:
    network = Network(seed=11)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    lost: list[Buffer] = []

    def lose_one_token(_source: int, _target: int, frame: Buffer) -> bool:
        if not lost and bytes(frame)[3] == MessageType.ORF_TOKEN:
            lost.append(frame)
            return True
        return False

    changes = len(network.members[1].changes)
    network.drop = lose_one_token
    network.run(1000)
    assert lost
    assert len(network.members[1].changes) == changes


def test_lost_commit_tokens_are_sent_again() -> None:
    network = Network(seed=12)
    budget = [3]

    def lose_commit_tokens(_source: int, _target: int, frame: Buffer) -> bool:
        if budget[0] and bytes(frame)[3] == MessageType.COMMIT_TOKEN:
            budget[0] -= 1
            return True
        return False

    network.drop = lose_commit_tokens
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    assert budget == [0]


def test_operator_can_force_a_new_ring() -> None:
    network = Network(seed=13)
    network.start(1, 2)
    network.form(1, 2)
    before = network.members[1].ring.ring_id
    network.members[2].ring.force_gather(network.now_ns)
    network.members[2].settle()
    network.run_until(lambda: network.formed(1, 2)() and network.members[1].ring.ring_id != before)
    assert network.members[1].changes[-2].left == ()


def test_join_delay_comes_from_the_random_source() -> None:
    network = Network(seed=14, config=replace(FAST, send_join_ms=30))
    network.start(1, 2, 3)
    assert not network._events  # nobody has spoken yet
    network.form(1, 2, 3)


@pytest.mark.parametrize("seed", range(12))
def test_rings_form_although_frames_get_lost(seed: int) -> None:
    network = Network(seed=100 + seed, loss=0.05)
    network.start(1, 2, 3, 4)
    network.form(1, 2, 3, 4, within_ms=60_000)


def test_strangers_do_not_break_up_a_ring_before_all_members_have_installed_it() -> None:
    """Those who have not would impose the failed set of its formation on the next one, again and again."""
    network = Network(seed=8)
    network.start(1, 2, 3)
    everybody = list(network.members.values())
    network.run_until(lambda: any(m.members == (1, 2, 3) for m in everybody))
    (first,) = (m for m in everybody if m.members == (1, 2, 3))
    stranger = RingId(9, 400)
    join = Join(9, 9, 400, (9,), ()).encode()
    merge = MergeDetect(9, stranger).encode()
    for frame in (join, merge):
        first.ring.receive(frame, network.now_ns)
        first.settle()
        assert first.ring.state is State.OPERATIONAL
    network.run_until(lambda: all(m.members == (1, 2, 3) for m in everybody))
    network.form(1, 2, 3)
    first.ring.receive(join, network.now_ns)
    assert first.ring.state is State.GATHER
