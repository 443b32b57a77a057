"""The table of voters."""

from pycorosync.services.votequorum.electorate import VOTERS_MAX, Electorate
from pycorosync.services.votequorum.messages import NodeFlags, NodeState
from pycorosync.services.votequorum.votes import U32_MAX, Voter


def ids(electorate: Electorate) -> list[int]:
    return [voter.node_id for voter in electorate]


def added(electorate: Electorate, node_id: int) -> Voter:
    voter = electorate.add(node_id)
    assert voter is not None
    return voter


def test_begins_with_us_alone() -> None:
    electorate = Electorate(3)
    assert (electorate.us.votes, electorate.us.flags) == (1, NodeFlags.FIRST)
    assert electorate.find(3) is electorate.us
    assert ids(electorate) == [3]


def test_order_is_upstreams() -> None:
    """As recorded from corosync 3.1.7: node 1 lists 2 1 and then 2 3 1; node 2 lists 1 2."""
    electorate = Electorate(1)
    added(electorate, 2)
    assert ids(electorate) == [2, 1]
    added(electorate, 3)
    assert ids(electorate) == [2, 3, 1]
    electorate = Electorate(2)
    added(electorate, 1)
    assert ids(electorate) == [1, 2]


def test_sums_are_of_members() -> None:
    electorate = Electorate(1)
    electorate.us.expected_votes = 4
    for node_id, state in ((2, NodeState.MEMBER), (3, NodeState.DEAD), (4, NodeState.LEAVING)):
        voter = added(electorate, node_id)
        voter.state, voter.votes, voter.expected_votes = state, 2, 3 + node_id
    assert electorate.total_votes() == 3
    assert electorate.highest_expected() == 5
    electorate.expect(0)
    assert electorate.highest_expected() == 5
    electorate.expect(2)
    assert [voter.expected_votes for voter in electorate] == [2, 6, 7, 2]


def test_sums_do_not_overflow() -> None:
    electorate = Electorate(1)
    added(electorate, 2).votes = U32_MAX
    assert electorate.total_votes() == U32_MAX


def test_bounded_and_the_dead_make_room() -> None:
    electorate = Electorate(1)
    for node_id in range(2, VOTERS_MAX + 1):
        added(electorate, node_id)
    assert electorate.add(9999) is None
    assert len(electorate) == VOTERS_MAX
    dead = electorate.find(17)
    assert dead is not None
    dead.state = NodeState.DEAD
    added(electorate, 9999)
    assert electorate.find(17) is None
    assert (len(electorate), len(ids(electorate))) == (VOTERS_MAX, VOTERS_MAX)
