"""Who will be in the next ring: pure functions of sets (corosync: the memb_* functions of exec/totemsrp.c).

proc: everyone we know of. failed: those of them whom we do not expect in the ring. agreed: those who
announced the same two sets as we hold ("consensus").
"""

from typing import NamedTuple

from pycorosync.totem.messages import NODES_MAX, CommitToken, Join
from pycorosync.types import NodeId

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
    if nothing_new or join.system_from in failed or len(proc | their_proc) > NODES_MAX:
        return JoinResult(proc, failed, agrees=False, changed=False)
    if node_id in their_failed:
        failed = failed | {join.system_from}
    elif join.system_from in members:
        # Only those who were in a ring with us can tell us who failed.
        failed = failed | their_failed
    return JoinResult(proc | their_proc, failed, agrees=False, changed=True)


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


def leaver(join: Join) -> NodeId:
    """Whom a leave message is about: the last of its failed list; 0 if that is empty."""
    return join.failed[-1] if join.failed else 0


def successor(members: tuple[NodeId, ...], node_id: NodeId) -> NodeId:
    """The next node of the ring; ourselves in a ring of one."""
    return members[(members.index(node_id) + 1) % len(members)]
