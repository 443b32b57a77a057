"""What the ring asks of its surroundings: values in one ordered list, to be acted on in that order.

The order is the contract: a ring id is on disk before anything is sent under it, and multicasts go out
before the token that counts them.
"""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from pycorosync.record import Record
from pycorosync.types import Buffer, NodeId, RingId


class MembershipKind(Enum):
    """The two steps of a configuration change (extended virtual synchrony)."""

    TRANSITIONAL = "transitional"  # those of the old ring who come along; the last old messages follow
    REGULAR = "regular"  # the new ring; messages that follow were ordered in it


class Broadcast(Record):
    """Send `frame` to every node that can be reached.

    When `loop_back` is set the node also passes it to its own SingleRing.receive, after this call has
    returned: joins and hold cancels act on their sender too. The ring has filed its own mcasts itself.
    The frame's buffer is not changed afterwards.
    """

    __match_args__ = ("frame", "loop_back")
    __slots__ = __match_args__

    def __init__(self, frame: Buffer, loop_back: bool) -> None:
        self.frame = frame
        self.loop_back = loop_back


class SendToken(Record):
    """Send `frame` to one node. To ourselves: pass it to SingleRing.receive after this call has returned."""

    __match_args__ = ("node_id", "frame")
    __slots__ = __match_args__

    def __init__(self, node_id: NodeId, frame: Buffer) -> None:
        self.node_id = node_id
        self.frame = frame


class Deliver(Record):
    """The next packet in the ring's total order, for Unpacker.feed; `order` is the sender's byte order."""

    __match_args__ = ("node_id", "payload", "order")
    __slots__ = __match_args__

    def __init__(self, node_id: NodeId, payload: memoryview, order: str) -> None:
        self.node_id = node_id
        self.payload = payload
        self.order = order


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


class RingInstalled(NamedTuple):
    """The change is complete: to be logged, when those above the ring have acted on it (and logged theirs).

    `silent`: those who left without saying goodbye.
    """

    ring_id: RingId
    joined: tuple[NodeId, ...]
    left: tuple[NodeId, ...]
    silent: tuple[NodeId, ...]

    def lines(self) -> Iterator[str]:
        """As corosync words it."""
        changes = _listed(" joined:", self.joined) + _listed(" left:", self.left)
        yield f"A new membership ({self.ring_id}) was formed. Members{changes}"
        if self.silent:
            yield "Failed to receive the leave message." + _listed(" failed:", self.silent)


def _listed(title: str, node_ids: tuple[NodeId, ...]) -> str:
    return title + "".join(f" {node_id}" for node_id in node_ids) if node_ids else ""


class SaveRingId(NamedTuple):
    """Store the ring's sequence number safely before acting on the outputs that follow."""

    ring_id: RingId


Output = Broadcast | SendToken | Deliver | MembershipChanged | RingInstalled | SaveRingId
