"""The arithmetic of votes, without state (corosync: the counting part of exec/votequorum.c).

A partition may act when its votes reach the quorum: more than half of what the cluster expects, so no two
partitions can reach it at once. Everything else here is an exception that an operator has asked for:
two nodes (a fence race decides), a tie breaker (one named half of an even split may act), the last man
standing (what is expected shrinks with the cluster), and devices that vote from outside.

Compatibility: numbers are as wide as they need to be. Upstream keeps the quorum in 8 bits, so a cluster of
more than 509 votes gets a wrong one there; and a sum beyond 32 bits wraps there, while it stops at the
largest number here.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from pycorosync.services.votequorum.messages import NodeFlags, NodeState
from pycorosync.types import NodeId, signed

U32_MAX: Final = 0xFFFFFFFF
TIE_BREAKER_NODES_MAX: Final = 384  # as many as a ring has members

_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")


class TieBreaker(IntEnum):
    """Who decides an even split; the numbers are those of runtime.votequorum.atb_type."""

    NONE = 0
    LOWEST = 1
    HIGHEST = 2
    LIST = 3


@dataclass(slots=True)
class Voter:
    """A node that was seen once, as its last NODE_INFO described it."""

    node_id: NodeId
    state: NodeState = NodeState.MEMBER
    votes: int = 0
    expected_votes: int = 0
    flags: NodeFlags = NodeFlags.NONE
    extra_info: bytes = b""  # what its quorum device has to say of it


class Tally(NamedTuple):
    """What the present members amount to."""

    quorum: int
    total_votes: int


def saturated(number: int) -> int:
    """The number, or the largest one that fits a message."""
    return min(number, U32_MAX)


def majority(votes: int) -> int:
    """The smallest number of votes that is more than half of `votes`."""
    return votes // 2 + 1


def count(
    present: Iterable[Voter], *, device_votes: int | None, expected: int, at_least: int, two_node: bool
) -> Tally:
    """The votes of the members in `present`, and the quorum that follows.

    `device_votes` are those of the quorum device, None if it does not vote for us. `expected` replaces
    what the members expect, 0 for no. The quorum is not less than `at_least` but for `two_node`: two of
    two voters, or one, need a single vote.
    """
    highest_expected = total = voters = 0
    for voter in present:
        if voter.state is NodeState.MEMBER:
            highest_expected = max(highest_expected, voter.expected_votes)
            total += voter.votes
            voters += 1
    if device_votes is not None:
        total += device_votes
        voters += 1
    total = saturated(total)
    quorum = max(majority(expected or highest_expected), majority(total), at_least)
    if two_node and voters <= 2:
        quorum = 1
    return Tally(quorum, total)


class Partition(NamedTuple):
    """What the tie breaker looks at."""

    members: Collection[NodeId]  # of the ring now
    previous: Collection[NodeId]  # of the ring before, and of the last one that had the votes
    voters: Iterable[Voter]
    lowest: NodeId | None  # of all members when the cluster was last quorate; None: it never was
    highest: NodeId | None


def may_break_tie(tally: Tally, expected_votes: int, partition: Partition) -> bool:
    """Whether we hold exactly half (or half less one) and those who are gone cannot be quorate themselves.

    Compatibility: upstream looks at the ring before this one only. If a partition forms its ring twice, those
    who left with the first change are forgotten with the second, and two partitions can be quorate.
    """
    gone = len(set(partition.previous).difference(partition.members))
    return tally.total_votes == expected_votes // 2 and gone < tally.quorum


def wins_tie(tie_breaker: TieBreaker, nodes: Iterable[NodeId], partition: Partition) -> bool:
    """Whether the node that decides is with us.

    For a list: the first of `nodes` that is here decides for us, unless one named before it was here in
    `previous`; that one may be up in the other half.
    """
    match tie_breaker:
        case TieBreaker.LOWEST:
            return _is_member(partition, partition.lowest)
        case TieBreaker.HIGHEST:
            return _is_member(partition, partition.highest)
        case TieBreaker.LIST:
            for node in nodes:
                if node in partition.members:
                    return True
                if node in partition.previous:
                    return False
    return False


def _is_member(partition: Partition, node_id: NodeId | None) -> bool:
    return any(voter.node_id == node_id and voter.state is NodeState.MEMBER for voter in partition.voters)


def device_wins(voters: Iterable[Voter]) -> bool:
    """Whether a member has a device that votes and whose vote alone is enough."""
    both = NodeFlags.DEVICE_MASTER_WINS | NodeFlags.DEVICE_CAST_VOTE
    return any(voter.state is NodeState.MEMBER and voter.flags & both == both for voter in voters)


def lowest_and_highest(us: NodeId, voters: Iterable[Voter]) -> tuple[NodeId, NodeId]:
    """The lowest and the highest node id of the members and ourselves.

    Compatibility: upstream compares node ids as signed numbers. Every node of a cluster must find the same
    ones, so ids from 2**31 count as negative here too.
    """
    present = [voter.node_id for voter in voters if voter.state is NodeState.MEMBER]
    return min(us, *present, key=signed), max(us, *present, key=signed)


def parse_tie_breaker(text: str) -> tuple[TieBreaker, tuple[NodeId, ...]]:
    """quorum.auto_tie_breaker_node: `lowest`, `highest` or node ids with blanks between.

    NONE if it is none of these. A list ends at the first thing that is not a number, or at a zero.
    """
    if text == "lowest":
        return TieBreaker.LOWEST, ()
    if text == "highest":
        return TieBreaker.HIGHEST, ()
    nodes: list[NodeId] = []
    position = 0
    while (found := _NUMBER.match(text, position)) and len(nodes) < TIE_BREAKER_NODES_MAX:
        number = int(found[1])
        if not number:
            break
        nodes.append(number & U32_MAX)
        position = found.end()
    return (TieBreaker.LIST, tuple(nodes)) if nodes else (TieBreaker.NONE, ())
