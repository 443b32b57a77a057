"""Every node that was seen once, with its votes (corosync: cluster_members_list in exec/votequorum.c)."""

from collections.abc import Iterator
from typing import Final

from pycorosync.services.votequorum.messages import NodeFlags, NodeState
from pycorosync.services.votequorum.votes import Voter, lowest_and_highest, saturated
from pycorosync.types import NodeId, signed

VOTERS_MAX: Final = 384  # as many as a ring has members


class Electorate:
    """The nodes by id, ourselves among them from the start. The dead are forgotten when room is needed."""

    def __init__(self, us: NodeId) -> None:
        self.us = Voter(us, votes=1, flags=NodeFlags.FIRST)
        self._voters: dict[NodeId, Voter] = {us: self.us}
        self._order = [us]

    def __iter__(self) -> Iterator[Voter]:
        """In the order in which clients are told of them."""
        return iter([self._voters[node_id] for node_id in self._order])

    def __len__(self) -> int:
        return len(self._voters)

    def find(self, node_id: NodeId) -> Voter | None:
        return self._voters.get(node_id)

    def add(self, node_id: NodeId) -> Voter | None:
        """A node that is new; None when there are too many of them and none is dead."""
        if len(self._voters) >= VOTERS_MAX:
            dead = [voter for voter in self._voters.values() if voter.state is NodeState.DEAD]
            if not dead:
                return None
            del self._voters[dead[0].node_id]
            self._order.remove(dead[0].node_id)
        voter = self._voters[node_id] = Voter(node_id)
        # Compatibility: meant to be ascending, but a node above all others gets before the last of them.
        above = (place for place, known in enumerate(self._order) if signed(node_id) < signed(known))
        self._order.insert(next(above, len(self._order) - 1), node_id)
        return voter

    def members(self) -> list[Voter]:
        return [voter for voter in self if voter.state is NodeState.MEMBER]

    def expect(self, expected_votes: int) -> None:
        """Every member now expects this; 0 changes nothing."""
        if expected_votes:
            for voter in self.members():
                voter.expected_votes = expected_votes

    def total_votes(self) -> int:
        """What the members have, whether they are quorate or not."""
        return saturated(sum(voter.votes for voter in self.members()))

    def highest_expected(self) -> int:
        return max((voter.expected_votes for voter in self.members()), default=0)

    def lowest_and_highest(self) -> tuple[NodeId, NodeId]:
        return lowest_and_highest(self.us.node_id, self._voters.values())
