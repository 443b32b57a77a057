"""What clients of the votequorum service are told unasked."""

import struct
from collections.abc import Sequence

from pycorosync.cs_error import CsError
from pycorosync.services.outputs import SendEvent
from pycorosync.services.service import NO_BODY
from pycorosync.services.votequorum.messages import (
    EXPECTED_VOTES_NOTIFICATION,
    EXTRA_INFO_NOTIFICATION,
    NODE_LIST_NOTIFICATION,
    NODE_STATE,
    QUORUM_NOTIFICATION,
    VoteResponse,
)
from pycorosync.types import ClientId, NodeId, RingId


def quorum(client: ClientId, context: int, quorate: bool, states: Sequence[tuple[NodeId, int]]) -> SendEvent:
    """Whether we may act, and the state of every node that was seen once."""
    nodes = b"".join(NODE_STATE.encode(*state) for state in states)
    size = QUORUM_NOTIFICATION.size + len(nodes)
    head = QUORUM_NOTIFICATION.encode(
        VoteResponse.QUORUM_NOTIFICATION, size, CsError.OK, int(quorate), context, len(states)
    )
    return SendEvent(client, head, nodes)


def node_list(client: ClientId, context: int, ring_id: RingId, members: Sequence[NodeId]) -> SendEvent:
    """The members of the ring."""
    nodes = struct.pack(f"={len(members)}I", *members)
    size = NODE_LIST_NOTIFICATION.size + len(nodes)
    head = NODE_LIST_NOTIFICATION.encode(
        VoteResponse.NODE_LIST_NOTIFICATION, size, CsError.OK, context, *ring_id, len(members)
    )
    return SendEvent(client, head, nodes)


def expected_votes(client: ClientId, context: int, votes: int) -> SendEvent:
    """How many votes the whole cluster has."""
    size = EXPECTED_VOTES_NOTIFICATION.size
    head = EXPECTED_VOTES_NOTIFICATION.encode(
        VoteResponse.EXPECTED_VOTES_NOTIFICATION, size, CsError.OK, context, votes
    )
    return SendEvent(client, head, NO_BODY)


def extra_info(client: ClientId, context: int, node_id: NodeId, info: bytes) -> SendEvent:
    """What a node's quorum device has to say of it; nothing any more, if that is empty."""
    size = EXTRA_INFO_NOTIFICATION.size + len(info)
    head = EXTRA_INFO_NOTIFICATION.encode(
        VoteResponse.EXTRA_INFO_NOTIFICATION, size, CsError.OK, context, node_id, len(info)
    )
    return SendEvent(client, head, info)
