"""Who will be in the next ring: pure functions of sets (corosync: the memb_* functions of exec/totemsrp.c).

proc: everyone we know of. failed: those of them whom we do not expect in the ring. agreed: those who
announced the same two sets as we hold ("consensus").
"""

from typing import NamedTuple

from pycorosync.log import subsystem
from pycorosync.totem.messages import NODES_MAX, CommitToken, Join
from pycorosync.types import NodeId

LOG = subsystem("TOTEM")

Nodes = frozenset[NodeId]


class JoinResult(NamedTuple):
    """Our sets after a join message: `agrees` if the sender holds the same, `changed` if ours grew."""

    proc: Nodes
    failed: Nodes
    agrees: bool
    changed: bool


def merge_join(join: Join, proc: Nodes, failed: Nodes, members: Nodes, node_id: NodeId) -> JoinResult:
    """What a join message tells about proc and failed. `members` is the ring that we are or were in."""
    their_proc, their_failed = frozenset(join.proc), frozenset(join.failed)
    if their_proc == proc and their_failed == failed:
        return JoinResult(proc, failed, agrees=True, changed=False)
    nothing_new = their_proc <= proc and their_failed <= failed
    # A join of our own that says more than we know is not ours: believed, it could have us fail ourselves.
    nothing_new = nothing_new or join.system_from == node_id
    if nothing_new or join.system_from in failed:
        return JoinResult(proc, failed, agrees=False, changed=False)
    merged_proc, merged_failed = proc | their_proc, failed
    if node_id in their_failed:
        merged_failed = failed | {join.system_from}
    elif join.system_from in members:
        # Only those who were in a ring with us can tell us who failed.
        merged_failed = failed | their_failed
    if max(len(merged_proc), len(merged_failed)) > NODES_MAX:
        return JoinResult(proc, failed, agrees=False, changed=False)
    # Compatibility: corosync counts it as a change when it merges nothing, too. Two nodes of different rings
    # whose failed sets contradict each other then answer each join at once and start their timers anew.
    changed = (merged_proc, merged_failed) != (proc, failed)
    return JoinResult(merged_proc, merged_failed, agrees=False, changed=changed)


def is_ignored_while_operational(join: Join, members: Nodes, node_id: NodeId, ring_seq: int) -> bool:
    """A join that must not break up a working ring: it excludes us, or is older than the ring."""
    return node_id in join.failed or (join.system_from in members and join.ring_seq < ring_seq)


def has_consensus(proc: Nodes, failed: Nodes, agreed: Nodes) -> bool:
    """Everyone who is not failed has announced the same sets."""
    return proc - failed <= agreed


def is_representative(node_id: NodeId, proc: Nodes, failed: Nodes) -> bool:
    """Whether we are the lowest of those who remain, and so the one to form the ring."""
    return node_id == min(proc - failed, default=None)


def matches_commit_token(token: CommitToken, proc: Nodes, failed: Nodes, node_id: NodeId) -> bool:
    """Whether the ring that is offered consists of exactly those whom we expect, and it is our turn."""
    return (
        frozenset(token.members) == proc - failed
        and token.memb_index < len(token.members)
        and token.members[token.memb_index] == node_id
    )


def successor(members: tuple[NodeId, ...], node_id: NodeId) -> NodeId:
    """The next node of the ring; ourselves in a ring of one."""
    return members[(members.index(node_id) + 1) % len(members)]


class Candidates:
    """The sets from which the next ring is made."""

    __slots__ = ("_leavers", "_node_id", "agreed", "failed", "failed_to_receive", "proc")

    def __init__(self, node_id: NodeId) -> None:
        self._node_id = node_id
        self.proc: Nodes = frozenset()
        self.failed: Nodes = frozenset()
        self.agreed: Nodes = frozenset()
        self.failed_to_receive = False  # we have given up our place in the ring
        self._leavers: set[NodeId] = set()  # who said that they leave

    def begin(self) -> None:
        """Start to agree anew, with what is known."""
        self.proc |= {self._node_id}
        self.agreed = frozenset((self._node_id,))

    def install(self, members: tuple[NodeId, ...]) -> None:
        """The ring is formed; nothing else is known."""
        self.proc, self.failed, self.agreed = frozenset(members), frozenset(), frozenset()
        self._leavers.clear()

    def include(self, node_id: NodeId) -> bool:
        """Know one more node; False when there are too many."""
        if node_id not in self.proc and len(self.proc) >= NODES_MAX:
            return False
        self.proc |= {node_id}
        return True

    def give_up(self) -> None:
        """Declare ourselves failed, since we do not receive what the others do."""
        self.failed_to_receive = True
        self._fail(frozenset((self._node_id,)))

    def be_alone(self) -> None:
        """The others agree to go on without us."""
        self.failed_to_receive = False
        self.proc, self.failed = frozenset((self._node_id,)), frozenset()

    def merge(self, join: Join, members: tuple[NodeId, ...]) -> JoinResult:
        """Take in what a join message tells; `members` is the ring that we are or were in."""
        if join.is_leave and join.failed:
            leaver = join.failed[-1]
            LOG.debug("Received LEAVE message from %u", leaver)
            if len(self._leavers) < NODES_MAX:
                self._leavers.add(leaver)
        result = merge_join(join, self.proc, self.failed, frozenset(members), self._node_id)
        self.proc, self.failed = result.proc, result.failed
        return result

    def agree(self, node_id: NodeId) -> None:
        self.agreed |= {node_id}

    @property
    def has_consensus(self) -> bool:
        return has_consensus(self.proc, self.failed, self.agreed)

    @property
    def is_representative(self) -> bool:
        return is_representative(self._node_id, self.proc, self.failed)

    def fail_the_silent(self) -> None:
        """Those who have not agreed in time count as failed."""
        if not self.has_consensus:
            self._fail(self.proc - self.agreed)

    def _fail(self, nodes: Nodes) -> None:
        """Where there is no room for all, those who are no candidates are forgotten first."""
        self.failed |= nodes
        if len(self.failed) > NODES_MAX:
            self.failed &= self.proc

    def silent(self, left: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
        """Those of the nodes that left who did not say goodbye."""
        return tuple(node_id for node_id in left if node_id not in self._leavers)
