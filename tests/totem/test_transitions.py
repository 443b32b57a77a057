"""Entering states: what is put out, and in which order."""

import random

from pycorosync.totem.messages import (
    CommitEntry,
    CommitToken,
    Join,
    MessageType,
    OrfToken,
    decode,
)
from pycorosync.totem.outputs import Broadcast, MembershipChanged, MembershipKind, SaveRingId, SendToken
from pycorosync.totem.packing import Packer
from pycorosync.totem.ring import SingleRing
from pycorosync.totem.states import State
from pycorosync.totem.timers import Timer
from pycorosync.types import RingId
from tests.totem.harness import FAST

NOW = 1_000_000_000


def ring_of(node_id: int, stored: int = 0) -> SingleRing:
    ring = SingleRing(FAST, node_id, stored, Packer(65446), random.Random(1))
    ring.start(NOW)
    return ring


def take(ring: SingleRing) -> list[object]:
    outputs, ring.outputs = ring.outputs, []
    return list(outputs)


def timers(ring: SingleRing) -> set[Timer]:
    return {timer for timer in Timer if ring._timers.runs(timer)}


def gathering_pair() -> tuple[SingleRing, SingleRing]:
    """Two nodes that have heard of each other and not formed a ring."""
    one, two = ring_of(1), ring_of(2, stored=8)
    take(one), take(two)
    one.receive(Join(2, 2, 9, (2,), ()).encode(), NOW)
    two.receive(Join(1, 1, 1, (1,), ()).encode(), NOW)
    return one, two


def test_gather_announces_what_is_known() -> None:
    ring = ring_of(3, stored=8)
    (output,) = take(ring)
    assert isinstance(output, Broadcast)
    assert output.loop_back
    assert decode(output.frame)[1] == Join(3, 3, 9, (3,), ())
    assert timers(ring) == {Timer.JOIN, Timer.CONSENSUS}
    assert ring.state is State.GATHER


def test_commit_stores_the_ring_id_before_anything_is_sent_under_it() -> None:
    one, two = gathering_pair()
    take(one), take(two)
    for sender in (1, 2):
        one.receive(Join(sender, sender, 9, (1, 2), ()).encode(), NOW)
    saved, token = take(one)
    assert saved == SaveRingId(RingId(1, 13))
    assert isinstance(token, SendToken)
    assert token.node_id == 2
    offered = decode(token.frame)[1]
    assert isinstance(offered, CommitToken)
    assert (offered.token_seq, offered.memb_index, offered.members) == (1, 1, (1, 2))
    assert offered.entries[0] == (RingId(1, 1), 0, 0, 1)
    assert one.state is State.COMMIT
    assert timers(one) == {Timer.TOKEN, Timer.TOKEN_WARNING, Timer.TOKEN_RETRANSMIT}


def test_the_commit_token_makes_two_rounds_and_the_ring_starts() -> None:
    one, two = gathering_pair()
    take(one), take(two)
    for sender in (1, 2):
        one.receive(Join(sender, sender, 9, (1, 2), ()).encode(), NOW)
    rings = {1: one, 2: two}
    seen: list[tuple[MessageType, object]] = []
    # Node 2 has heard of node 1 and agrees.
    pending = [output for output in take(one) if isinstance(output, SendToken)]
    while pending and len(seen) < 30:
        output = pending.pop(0)
        kind, message = decode(output.frame)
        seen.append((kind, message))
        ring = rings[output.node_id]
        ring.receive(output.frame, NOW)
        pending += [found for found in take(ring) if isinstance(found, SendToken)]
    commits = [message for kind, message in seen if kind is MessageType.COMMIT_TOKEN]
    tokens = [message for kind, message in seen if kind is MessageType.ORF_TOKEN]
    assert [message.token_seq for message in commits if isinstance(message, CommitToken)] == [1, 2, 3, 4]
    first = tokens[0]
    assert isinstance(first, OrfToken)
    assert (first.seq, first.token_seq, first.aru, first.aru_addr, first.retrans_flg) == (
        0,
        0,
        0xFFFFFFFF,
        1,
        0,
    )
    assert {one.state, two.state} == {State.OPERATIONAL}
    assert one.ring_id == two.ring_id == (1, 13)


def test_operational_tells_the_transitional_ring_before_the_regular_one() -> None:
    ring = ring_of(1)
    seen: list[object] = []
    while ring.outputs:
        for output in take(ring):
            seen.append(output)
            if isinstance(output, SendToken | Broadcast) and len(seen) < 50:
                ring.receive(output.frame, NOW)
    changes = [output.kind for output in seen if isinstance(output, MembershipChanged)]
    assert changes == [MembershipKind.TRANSITIONAL, MembershipKind.REGULAR]
    assert ring.members == (1,)
    assert ring.proc == {1}


def test_consensus_timeout_fails_those_who_are_silent() -> None:
    one, _ = gathering_pair()
    deadline = one._timers.deadline(Timer.CONSENSUS)
    assert deadline is not None
    take(one)
    one._timers.cancel(Timer.JOIN)
    one.on_timer(deadline)
    (output,) = take(one)
    assert isinstance(output, Broadcast)
    assert decode(output.frame)[1] == Join(1, 1, 1, (1, 2), (2,))


def test_a_follower_waits_one_more_token_timeout_for_the_commit_token() -> None:
    _, two = gathering_pair()
    for sender in (1, 2):
        two.receive(Join(sender, sender, 9, (1, 2), ()).encode(), NOW)
    take(two)
    deadline = two._timers.deadline(Timer.CONSENSUS)
    assert deadline is not None
    two.on_timer(deadline)
    assert two.state is State.GATHER
    assert Timer.TOKEN in timers(two)
    two.on_timer(deadline + FAST.token_ms * 1_000_000)
    assert two.stats.gather_token_lost == 1
    assert two.stats.continuous_gather == 1


def test_commit_tokens_of_other_rings_are_not_taken() -> None:
    _, two = gathering_pair()
    take(two)
    for members, seq in (((1, 2, 3), 13), ((1, 2), 9)):
        token = CommitToken(1, 1, RingId(1, seq), 1, members, (CommitEntry.empty(),) * len(members))
        two.receive(token.encode(), NOW)
        assert two.state is State.GATHER
