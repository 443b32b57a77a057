"""Python library for quorum: may this node act, and with whom (corosync: lib/quorum.c, libquorum).

    with Quorum() as quorum:
        print(quorum.is_quorate())
        quorum.track_start()
        for event in quorum.events():         # or: async for event in quorum.events_async()
            print(event)

Every method raises LibraryError with the code that libquorum's function returns.
"""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from pycorosync.client.connection import LibraryError
from pycorosync.client.session import NODE_ID_BYTES, Session, decode, node_ids
from pycorosync.cs_error import CsError
from pycorosync.services.quorum import messages
from pycorosync.services.quorum.messages import Model, QuorumRequest, QuorumResponse, QuorumType
from pycorosync.services.service import RESPONSE_HEADER, TrackFlags
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import Fixed

__all__ = ["Event", "Model", "NodeListChanged", "Quorum", "QuorumChanged", "QuorumType", "TrackFlags"]


class QuorumChanged(NamedTuple):
    """Whether the local node is quorate, and with whom. Model V0 does not tell the ring's representative."""

    quorate: bool
    ring_id: RingId
    members: tuple[NodeId, ...]


class NodeListChanged(NamedTuple):
    """The members of the ring, quorate or not; comes before QuorumChanged, and with model V1 only.

    A node that has left and come back is in both lists.
    """

    ring_id: RingId
    members: tuple[NodeId, ...]
    joined: tuple[NodeId, ...]
    left: tuple[NodeId, ...]


Event = QuorumChanged | NodeListChanged


class Quorum(Session[Event]):
    """A connection to the quorum service."""

    SERVICE: ClassVar = messages.SERVICE_NAME

    def __init__(self, model: Model = Model.V1) -> None:
        super().__init__()
        try:
            if model is Model.V0:
                response = self._ask(QuorumRequest.GET_TYPE, messages.PLAIN_REQUEST)
            else:
                response = self._ask(QuorumRequest.MODEL_GET_TYPE, messages.MODEL_REQUEST, model)
            number = decode(messages.NUMBER_RESPONSE, response).value
            self.type = QuorumType.SET if number else QuorumType.FREE
        except LibraryError:
            self.close()
            raise

    def is_quorate(self) -> bool:
        """Whether the local node may act."""
        response = self._ask(QuorumRequest.GET_QUORATE, messages.PLAIN_REQUEST)
        return bool(decode(messages.NUMBER_RESPONSE, response).value)

    def track_start(self, flags: TrackFlags = TrackFlags.CURRENT | TrackFlags.CHANGES) -> None:
        """Ask for events: once (CURRENT), at each change (CHANGES_ONLY), or both (CHANGES)."""
        self._ask(QuorumRequest.TRACK_START, messages.TRACK_START_REQUEST, flags)

    def track_stop(self) -> None:
        self._ask(QuorumRequest.TRACK_STOP, messages.PLAIN_REQUEST)

    def _event(self, data: bytes) -> Event:
        return event_of(data)


def event_of(data: bytes) -> Event:
    """An event from its bytes. LIBRARY if they make no sense."""
    match decode(RESPONSE_HEADER, data).id:
        case QuorumResponse.NOTIFICATION:
            head = decode(messages.NOTIFICATION, data)
            (members,) = _lists(data, messages.NOTIFICATION, head.members)
            return QuorumChanged(bool(head.quorate), RingId(0, head.ring_seq), members)
        case QuorumResponse.V1_QUORUM:
            head = decode(messages.V1_QUORUM, data)
            (members,) = _lists(data, messages.V1_QUORUM, head.members)
            return QuorumChanged(bool(head.quorate), RingId(head.representative, head.ring_seq), members)
        case QuorumResponse.V1_NODE_LIST:
            head = decode(messages.V1_NODE_LIST, data)
            members, joined, left = _lists(data, messages.V1_NODE_LIST, head.members, head.joined, head.left)
            return NodeListChanged(RingId(head.representative, head.ring_seq), members, joined, left)
    raise LibraryError(CsError.LIBRARY)


def _lists(data: bytes, head: Fixed, *counts: int) -> Iterator[tuple[NodeId, ...]]:
    """The lists of node ids behind a head, as many as there are counts."""
    start = head.size
    for count in counts:
        yield node_ids(data, start, count)
        start += NODE_ID_BYTES * count
