"""The arithmetic of votes: known cases, and what must hold for all."""

from itertools import product
from random import Random

import pytest

from pycorosync.services.votequorum import votes
from pycorosync.services.votequorum.messages import NodeFlags, NodeState
from pycorosync.services.votequorum.votes import (
    U32_MAX,
    Partition,
    Tally,
    TieBreaker,
    Voter,
    parse_tie_breaker,
)
from pycorosync.types import signed

DEVICE_WINS = NodeFlags.DEVICE_MASTER_WINS | NodeFlags.DEVICE_CAST_VOTE


def voter(node_id: int, number: int = 1, expected: int = 0, state: NodeState = NodeState.MEMBER) -> Voter:
    return Voter(node_id, state, number, expected)


def count(
    present: list[Voter], device: int | None = None, expected: int = 0, at_least: int = 0, two: bool = False
) -> Tally:
    return votes.count(present, device_votes=device, expected=expected, at_least=at_least, two_node=two)


@pytest.mark.parametrize(
    ("expected", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (1000, 501)]
)
def test_quorum_is_more_than_half_of_what_is_expected(expected: int, quorum: int) -> None:
    assert count([voter(1, 1, expected)]) == (quorum, 1)


def test_the_highest_expectation_of_the_members_counts() -> None:
    present = [
        voter(1, 1, 3),
        voter(2, 1, 5),
        voter(3, 1, 9, NodeState.DEAD),
        voter(4, 1, 9, NodeState.LEAVING),
    ]
    assert count(present) == (3, 2)
    assert count(present, expected=7) == (4, 2)


def test_more_votes_than_expected_raise_the_quorum() -> None:
    assert count([voter(1, 4, 3), voter(2, 3, 3)]) == (4, 7)


def test_quorum_does_not_sink_by_itself() -> None:
    assert count([voter(1, 1, 1)], at_least=3) == (3, 1)


def test_a_device_votes_like_a_node() -> None:
    present = [voter(1, 1, 3), voter(2, 1, 3)]
    assert count(present, device=1) == (2, 3)
    assert count(present[:1], device=1) == (2, 2)
    assert count(present[:1], device=None) == (2, 1)


def test_one_of_two_nodes_is_enough_but_not_one_of_three() -> None:
    assert count([voter(1, 1, 2)], two=True, at_least=2).quorum == 1
    assert count([voter(1, 1, 2), voter(2, 1, 2)], two=True).quorum == 1
    assert count([voter(1, 1, 2), voter(2, 1, 2), voter(3, 1, 2)], two=True).quorum == 2
    assert count([voter(1, 1, 2), voter(2, 1, 2)], device=1, two=True).quorum == 2


def test_sums_stop_at_the_largest_number_that_a_message_holds() -> None:
    tally = count([voter(1, U32_MAX, U32_MAX), voter(2, U32_MAX)], device=U32_MAX)
    assert tally == (U32_MAX // 2 + 1, U32_MAX)


@pytest.mark.parametrize("seed", range(300))
def test_two_partitions_are_never_both_quorate(seed: int) -> None:
    """Without exceptions asked for, whatever the votes, as long as no more than expected exist."""
    rng = Random(seed)
    weights = [rng.randrange(5) for _ in range(rng.randint(2, 9))]
    expected = sum(weights) + rng.randrange(3)
    side = [rng.random() < 0.5 for _ in weights]
    device = rng.randrange(2)
    expected += device
    device_side = rng.random() < 0.5
    quorate = []
    side[0], side[-1] = True, False  # nobody counts for a partition without nodes
    for here in (True, False):
        present = [
            voter(n, w, expected) for n, (w, s) in enumerate(zip(weights, side, strict=True), 1) if s is here
        ]
        tally = count(present, device=device if device_side is here else None)
        quorate.append(tally.total_votes >= tally.quorum)
    assert quorate != [True, True], f"seed {seed}"


# --- the tie breaker


def partition(here: set[int], before: set[int], lowest: int | None = 1, highest: int | None = 4) -> Partition:
    voters = [voter(n, state=NodeState.MEMBER if n in here else NodeState.DEAD) for n in before | here]
    return Partition(here, before, voters, lowest, highest)


@pytest.mark.parametrize("nodes", [(2, 3), (3, 2), (4, 1, 2), (1,), (9, 2)])
@pytest.mark.parametrize("kind", [TieBreaker.LOWEST, TieBreaker.HIGHEST, TieBreaker.LIST])
def test_a_tie_has_at_most_one_winner(kind: TieBreaker, nodes: tuple[int, ...]) -> None:
    everyone = {1, 2, 3, 4}
    for chosen in product((False, True), repeat=4):
        half = {node for node, here in zip(sorted(everyone), chosen, strict=True) if here}
        winners = [votes.wins_tie(kind, nodes, partition(side, everyone)) for side in (half, everyone - half)]
        assert winners.count(True) == 1, (half, winners)


def test_nobody_wins_without_a_tie_breaker_or_before_the_first_quorum() -> None:
    assert not votes.wins_tie(TieBreaker.NONE, (1,), partition({1, 2}, {1, 2, 3, 4}))
    for kind in (TieBreaker.LOWEST, TieBreaker.HIGHEST):
        assert not votes.wins_tie(kind, (), partition({1, 2}, set(), lowest=None, highest=None))


def test_an_earlier_node_of_the_list_may_be_up_elsewhere() -> None:
    assert not votes.wins_tie(TieBreaker.LIST, (3, 1), partition({1, 2}, {1, 2, 3, 4}))
    assert votes.wins_tie(TieBreaker.LIST, (3, 1), partition({1, 2}, {1, 2}))
    assert not votes.wins_tie(TieBreaker.LIST, (8, 9), partition({1, 2}, {1, 2}))


def test_a_tie_is_half_the_votes_and_not_a_majority_gone() -> None:
    assert votes.may_break_tie(Tally(3, 2), 4, partition({1, 2}, {1, 2, 3, 4}))
    assert votes.may_break_tie(Tally(3, 2), 5, partition({1, 2}, {1, 2, 3, 4}))
    assert not votes.may_break_tie(Tally(3, 2), 6, partition({1, 2}, {1, 2, 3, 4}))
    # Of five, three are gone: they have a majority without us.
    assert not votes.may_break_tie(Tally(3, 2), 5, partition({1, 2}, {1, 2, 3, 4, 5}))


def test_device_wins_if_a_member_has_its_vote() -> None:
    wins, alive = voter(1), voter(2)
    wins.flags, alive.flags = DEVICE_WINS, NodeFlags.DEVICE_MASTER_WINS | NodeFlags.DEVICE_ALIVE
    assert votes.device_wins([alive, wins])
    assert not votes.device_wins([alive])
    wins.state = NodeState.DEAD
    assert not votes.device_wins([alive, wins])


def test_large_ids_are_the_lowest() -> None:
    assert signed(0x7FFFFFFF) == 0x7FFFFFFF
    assert signed(0x80000000) == -0x80000000
    everyone = [voter(5), voter(0xFFFFFFFF), voter(7, state=NodeState.DEAD)]
    assert votes.lowest_and_highest(6, everyone) == (0xFFFFFFFF, 6)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lowest", (TieBreaker.LOWEST, ())),
        ("highest", (TieBreaker.HIGHEST, ())),
        ("1", (TieBreaker.LIST, (1,))),
        (" 2\t1  3 ", (TieBreaker.LIST, (2, 1, 3))),
        ("1,2,3", (TieBreaker.LIST, (1,))),
        ("2 0 3", (TieBreaker.LIST, (2,))),
        ("2x 3", (TieBreaker.LIST, (2,))),
        ("-1 +4", (TieBreaker.LIST, (U32_MAX, 4))),
        ("", (TieBreaker.NONE, ())),
        ("0", (TieBreaker.NONE, ())),
        ("Lowest", (TieBreaker.NONE, ())),
        ("x1", (TieBreaker.NONE, ())),
    ],
)
def test_tie_breaker_nodes(text: str, found: tuple[TieBreaker, tuple[int, ...]]) -> None:
    assert parse_tie_breaker(text) == found


def test_tie_breaker_list_is_bounded() -> None:
    kind, nodes = parse_tie_breaker(" ".join(map(str, range(1, 5000))))
    assert (kind, len(nodes)) == (TieBreaker.LIST, votes.TIE_BREAKER_NODES_MAX)
