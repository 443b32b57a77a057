"""Rules about the sets from which a ring is made."""

import pytest

from pycorosync.totem.membership import (
    Candidates,
    has_consensus,
    is_ignored_while_operational,
    is_representative,
    matches_commit_token,
    merge_join,
    successor,
)
from pycorosync.totem.messages import NODES_MAX, CommitEntry, CommitToken, Join
from pycorosync.totem.outputs import RingInstalled
from pycorosync.types import RingId

S = frozenset


def join(sender: int, proc: tuple[int, ...], failed: tuple[int, ...] = (), ring_seq: int = 5) -> Join:
    return Join(sender, sender, ring_seq, proc, failed)


def test_equal_sets_agree_whatever_their_order() -> None:
    result = merge_join(join(2, (3, 1, 2), (4,)), S({1, 2, 3}), S({4}), S({1, 2}), 1)
    assert (result.agrees, result.changed) == (True, False)


def test_a_join_that_knows_less_changes_nothing() -> None:
    result = merge_join(join(2, (2,)), S({1, 2}), S(), S(), 1)
    assert (result.agrees, result.changed) == (False, False)


def test_one_who_has_failed_is_not_heard() -> None:
    result = merge_join(join(2, (2, 9)), S({1, 2}), S({2}), S({1, 2}), 1)
    assert (result.proc, result.changed) == (S({1, 2}), False)


def test_new_nodes_are_merged() -> None:
    assert merge_join(join(2, (2, 9)), S({1}), S(), S({1}), 1).proc == S({1, 2, 9})


def test_one_who_fails_us_has_failed_for_us() -> None:
    assert merge_join(join(2, (2, 3), (1,)), S({1, 2}), S(), S({1, 2}), 1).failed == S({2})


def test_only_members_can_fail_others() -> None:
    assert merge_join(join(2, (1, 2, 4), (3,)), S({1, 2, 3}), S(), S({1, 2, 3}), 1).failed == S({3})
    assert merge_join(join(2, (1, 2, 4), (3,)), S({1, 2, 3}), S(), S({1, 3}), 1).failed == S()


def test_a_stranger_with_other_failures_changes_nothing() -> None:
    result = merge_join(join(2, (1, 2, 3, 4), (4,)), S({1, 2, 3, 4}), S({3}), S({1}), 1)
    assert (result.proc, result.failed, result.agrees, result.changed) == (
        S({1, 2, 3, 4}),
        S({3}),
        False,
        False,
    )


def test_not_too_many_can_have_failed() -> None:
    failed = tuple(range(2, NODES_MAX + 2))
    result = merge_join(join(2, (2,), (NODES_MAX + 3,)), S({1, 2}), S(failed[1:]) | {9999}, S({1, 2}), 1)
    assert NODES_MAX + 3 not in result.failed


def test_nobody_tells_us_in_our_own_name_that_we_have_failed() -> None:
    result = merge_join(join(1, (1, 2, 9), (1, 2)), S({1, 2}), S(), S({1, 2}), 1)
    assert result == (S({1, 2}), S(), False, False)


def test_strangers_who_failed_make_room_for_candidates_who_do() -> None:
    candidates = Candidates(1)
    strangers = tuple(range(1000, 1000 + NODES_MAX))
    candidates.merge(join(2, (2, 3), strangers), (1, 2, 3))
    candidates.begin()
    assert candidates.failed == S(strangers)
    candidates.fail_the_silent()
    assert candidates.failed == S({2, 3})
    candidates.merge(join(2, (2, 3), strangers), (1, 2, 3))
    assert len(candidates.failed) <= NODES_MAX


def test_a_crowd_that_fails_us_is_not_too_large() -> None:
    failed = S(range(1000, 1000 + NODES_MAX))
    result = merge_join(join(2, (2,), (1,)), S({1, 2}), failed, S(), 1)
    assert (result.failed, result.changed) == (failed, False)


def test_there_cannot_be_too_many_nodes() -> None:
    crowd = tuple(range(1, NODES_MAX + 1))
    result = merge_join(join(2, (NODES_MAX + 1,)), S(crowd), S(), S(), 1)
    assert not result.changed
    candidates = Candidates(1)
    candidates.begin()
    assert all(candidates.include(node_id) for node_id in crowd)
    assert not candidates.include(NODES_MAX + 1)


@pytest.mark.parametrize(
    ("message", "ignored"),
    [
        (join(2, (2,), (1,)), True),  # excludes us
        (join(2, (2,), ring_seq=4), True),  # a member, from before the ring
        (join(2, (2,), ring_seq=5), False),
        (join(9, (9,), ring_seq=0), False),  # not a member
    ],
)
def test_joins_that_must_not_break_a_ring(message: Join, ignored: bool) -> None:
    assert is_ignored_while_operational(message, S({1, 2}), 1, 5) is ignored


def test_consensus_and_representative() -> None:
    assert has_consensus(S({1, 2, 3}), S({3}), S({1, 2}))
    assert not has_consensus(S({1, 2, 3}), S(), S({1, 2}))
    assert is_representative(2, S({1, 2, 3}), S({1}))
    assert not is_representative(2, S({1, 2, 3}), S())
    assert not is_representative(1, S({1}), S({1}))


def test_commit_token_must_offer_what_we_agreed_to() -> None:
    token = CommitToken(1, 1, RingId(1, 9), 1, (1, 2), (CommitEntry.empty(),) * 2)
    assert matches_commit_token(token, S({1, 2, 3}), S({3}), 2)
    assert not matches_commit_token(token, S({1, 2, 3}), S(), 2)
    assert not matches_commit_token(token, S({1, 2}), S(), 1)  # not our turn
    assert not matches_commit_token(token._replace(memb_index=2), S({1, 2}), S(), 2)


def test_successor_closes_the_ring() -> None:
    assert [successor((1, 4, 7), node_id) for node_id in (1, 4, 7)] == [4, 7, 1]
    assert successor((5,), 5) == 5


def test_the_silent_fail() -> None:
    candidates = Candidates(1)
    candidates.begin()
    candidates.include(2)
    candidates.include(3)
    candidates.agree(2)
    candidates.fail_the_silent()
    assert candidates.failed == S({3})
    assert candidates.has_consensus


def test_lines_about_a_new_ring_read_as_corosyncs() -> None:
    candidates = Candidates(1)
    candidates.begin()
    candidates.merge(Join(0, 3, 9, (1, 2), (3,)), (1, 2, 3))
    installed = [
        RingInstalled(RingId(1, 9), (2,), (), ()),
        RingInstalled(RingId(1, 13), (), (3,), candidates.silent((3,))),
    ]
    candidates.install((1, 2))
    installed += [
        RingInstalled(RingId(26, 130), (4, 5), (2, 3), candidates.silent((2, 3))),
        RingInstalled(RingId(1, 5), (), (), ()),
    ]
    assert [line for ring in installed for line in ring.lines()] == [
        "A new membership (1.9) was formed. Members joined: 2",
        "A new membership (1.d) was formed. Members left: 3",
        "A new membership (1a.82) was formed. Members joined: 4 5 left: 2 3",
        "Failed to receive the leave message. failed: 2 3",
        "A new membership (1.5) was formed. Members",
    ]
