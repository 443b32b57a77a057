"""What the ring asks of its surroundings: values in one ordered list, to be acted on in that order.

The order is the contract: a ring id is on disk before anything is sent under it, and multicasts go out
before the token that counts them.
"""

from enum import Enum
from typing import NamedTuple

from pycorosync.types import Buffer, NodeId, RingId


class MembershipKind(Enum):
    """The two steps of a configuration change (extended virtual synchrony)."""

    TRANSITIONAL = "transitional"  # those of the old ring who come along; the last old messages follow
    REGULAR = "regular"  # the new ring; messages that follow were ordered in it


class Broadcast(NamedTuple):
    """Send `frame` to every node that can be reached.

    When `loop_back` is set the node also passes it to its own SingleRing.receive, after this call has
    returned: joins and hold cancels act on their sender too. The ring has filed its own mcasts itself.
    The frame's buffer is not changed afterwards.
    """

    frame: Buffer
    loop_back: bool


class SendToken(NamedTuple):
    """Send `frame` to one node. To ourselves: pass it to SingleRing.receive after this call has returned."""

    node_id: NodeId
    frame: Buffer


class Deliver(NamedTuple):
    """The next packet in the ring's total order, for Unpacker.feed; `order` is the sender's byte order."""

    node_id: NodeId
    payload: memoryview
    order: str


class MembershipChanged(NamedTuple):
    """A configuration is installed. The lists are sorted.

    TRANSITIONAL: `members` come from the old ring with us, `left` do not; `joined` is empty.
    REGULAR: `members` is the new ring, `joined` those who were not in the transitional one; `left` is empty.
    A node that was away for a moment may have left and joined in one change.
    """

    kind: MembershipKind
    ring_id: RingId
    members: tuple[NodeId, ...]
    left: tuple[NodeId, ...]
    joined: tuple[NodeId, ...]


class SaveRingId(NamedTuple):
    """Store the ring's sequence number safely before acting on the outputs that follow."""

    ring_id: RingId


Output = Broadcast | SendToken | Deliver | MembershipChanged | SaveRingId
