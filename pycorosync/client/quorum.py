"""Python library for quorum: may this node act, and with whom (corosync: lib/quorum.c, libquorum).

    with Quorum() as quorum:
        print(quorum.is_quorate())
        quorum.track_start()
        for event in quorum.events():         # or: async for event in quorum.events_async()
            print(event)

Every method raises LibraryError with the code that libquorum's function returns.
"""

from collections.abc import AsyncIterator, Iterator
from struct import iter_unpack
from types import TracebackType
from typing import Any, NamedTuple, Self

from pycorosync.client.connection import Connection, LibraryError, events_async
from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.quorum import messages
from pycorosync.services.quorum.messages import (
    Model,
    QuorumRequest,
    QuorumResponse,
    QuorumType,
    TrackFlags,
)
from pycorosync.services.service import RESPONSE_HEADER
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


class Quorum:
    """A connection to the quorum service."""

    def __init__(self, model: Model = Model.V1) -> None:
        self._connection = Connection(messages.SERVICE_NAME)
        try:
            if model is Model.V0:
                response = self._request(QuorumRequest.GET_TYPE, messages.PLAIN_REQUEST)
            else:
                response = self._request(QuorumRequest.MODEL_GET_TYPE, messages.MODEL_REQUEST, model)
            number = _decode(messages.NUMBER_RESPONSE, response).value
            self.type = QuorumType.SET if number else QuorumType.FREE
        except LibraryError:
            self.close()
            raise

    def is_quorate(self) -> bool:
        """Whether the local node may act."""
        response = self._request(QuorumRequest.GET_QUORATE, messages.PLAIN_REQUEST)
        return bool(_decode(messages.NUMBER_RESPONSE, response).value)

    def track_start(self, flags: TrackFlags = TrackFlags.CURRENT | TrackFlags.CHANGES) -> None:
        """Ask for events: once (CURRENT), at each change (CHANGES_ONLY), or both (CHANGES)."""
        self._request(QuorumRequest.TRACK_START, messages.TRACK_START_REQUEST, flags)

    def track_stop(self) -> None:
        self._request(QuorumRequest.TRACK_STOP, messages.PLAIN_REQUEST)

    # --- events

    def fileno(self) -> int:
        """Readable when an event is waiting, or the daemon has gone."""
        return self._connection.fileno()

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None when time is over; None as the timeout waits for ever."""
        data = self._connection.receive_event(timeout_s)
        return None if data is None else event_of(data)

    def events(self) -> Iterator[Event]:
        """Events as they come, until the daemon has gone (LibraryError)."""
        while True:
            event = self.receive(None)
            if event is not None:
                yield event

    def events_async(self) -> AsyncIterator[Event]:
        """The same, for `async for`."""
        return events_async(self._connection, lambda: self.receive(0))

    # --- the end

    def close(self) -> None:
        """Disconnect; may be called twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, request: QuorumRequest, layout: Fixed, *values: Any) -> bytes:
        response = self._connection.request(layout.encode(request, layout.size, *values))
        error = _decode(RESPONSE_HEADER, response).error
        if error != CsError.OK:
            raise LibraryError(CsError(error) if error in tuple(CsError) else CsError.LIBRARY)
        return response


def event_of(data: bytes) -> Event:
    """An event from its bytes. LIBRARY if they make no sense."""
    match _decode(RESPONSE_HEADER, data).id:
        case QuorumResponse.NOTIFICATION:
            head = _decode(messages.NOTIFICATION, data)
            (members,) = _lists(data, messages.NOTIFICATION, head.members)
            return QuorumChanged(bool(head.quorate), RingId(0, head.ring_seq), members)
        case QuorumResponse.V1_QUORUM:
            head = _decode(messages.V1_QUORUM, data)
            (members,) = _lists(data, messages.V1_QUORUM, head.members)
            return QuorumChanged(bool(head.quorate), RingId(head.representative, head.ring_seq), members)
        case QuorumResponse.V1_NODE_LIST:
            head = _decode(messages.V1_NODE_LIST, data)
            members, joined, left = _lists(data, messages.V1_NODE_LIST, head.members, head.joined, head.left)
            return NodeListChanged(RingId(head.representative, head.ring_seq), members, joined, left)
    raise LibraryError(CsError.LIBRARY)


def _lists(data: bytes, head: Fixed, *counts: int) -> list[tuple[NodeId, ...]]:
    """The lists of node ids behind a head, as many as there are counts."""
    start = head.size
    if len(data) - start < 4 * sum(counts):
        raise LibraryError(CsError.LIBRARY)
    found = []
    for count in counts:
        found.append(tuple(number for (number,) in iter_unpack("=I", data[start : start + 4 * count])))
        start += 4 * count
    return found


def _decode(layout: Fixed, data: bytes) -> Any:
    try:
        return layout.decode(data)
    except MalformedMessage as fault:
        raise LibraryError(CsError.LIBRARY) from fault
