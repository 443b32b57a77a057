"""Python library for votes: who has how many, and what it takes (corosync: lib/votequorum.c, libvotequorum).

    with Votequorum() as votes:
        info = votes.info()
        print(info.total_votes, info.quorum)
        votes.track_start()
        for event in votes.events():          # or: async for event in votes.events_async()
            print(event)

A quorum device registers, then polls again and again, each time with the ring id of the last NodeList.
Every method raises LibraryError with the code that libvotequorum's function returns.
"""

from typing import ClassVar, NamedTuple

from pycorosync.client.connection import LibraryError
from pycorosync.client.session import Session, decode, node_ids, records, text_of
from pycorosync.cs_error import CsError
from pycorosync.services.service import RESPONSE_HEADER, TrackFlags
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import Info, NodeState, VoteRequest, VoteResponse
from pycorosync.types import NodeId, RingId

__all__ = [
    "Event",
    "ExpectedVotesChanged",
    "ExtraInfoChanged",
    "Info",
    "NodeList",
    "NodeState",
    "QuorumChanged",
    "TrackFlags",
    "Votequorum",
    "VotesInfo",
]


class VotesInfo(NamedTuple):
    """One node, and the cluster as it is seen here."""

    node_id: NodeId
    state: NodeState
    votes: int
    expected_votes: int
    highest_expected: int
    total_votes: int
    quorum: int
    flags: Info
    device_votes: int
    device_name: str


class QuorumChanged(NamedTuple):
    """Whether the local node is quorate, and the state of every node that was seen once.

    Node 0 is the quorum device; it has the state 0.
    """

    context: int
    quorate: bool
    states: tuple[tuple[NodeId, int], ...]


class NodeList(NamedTuple):
    """The members of the ring; comes while it synchronizes, before QuorumChanged."""

    context: int
    ring_id: RingId
    members: tuple[NodeId, ...]


class ExpectedVotesChanged(NamedTuple):
    """The cluster expects another number of votes."""

    context: int
    expected_votes: int


class ExtraInfoChanged(NamedTuple):
    """What the quorum device of a node has to say of it; empty: nothing any more. Not in corosync 3.1.9."""

    context: int
    node_id: NodeId
    extra_info: bytes


Event = QuorumChanged | NodeList | ExpectedVotesChanged | ExtraInfoChanged


class Votequorum(Session[Event]):
    """A connection to the votequorum service; LIBRARY if that is not the quorum provider."""

    SERVICE: ClassVar = messages.SERVICE_NAME

    # --- votes

    def info(self, node_id: NodeId = messages.DEVICE_NODE_ID) -> VotesInfo:
        """The votes of a node, 0 for the local one. NOT_EXIST if it was never seen."""
        response = self._ask(VoteRequest.GET_INFO, messages.GET_INFO_REQUEST, node_id)
        record = decode(messages.GET_INFO_RESPONSE, response)
        if record.state not in tuple(NodeState):
            raise LibraryError(CsError.LIBRARY)
        return VotesInfo(
            record.node_id,
            NodeState(record.state),
            record.votes,
            record.expected_votes,
            record.highest_expected,
            record.total_votes,
            record.quorum,
            Info(record.flags),
            record.device_votes,
            text_of(record.device_name),
        )

    def set_expected_votes(self, votes: int) -> None:
        """For the whole cluster. INVALID_PARAM if there are more votes, or quorum would be lost."""
        self._ask(VoteRequest.SET_EXPECTED, messages.SET_EXPECTED_REQUEST, _u32(votes))

    def set_votes(self, node_id: NodeId, votes: int) -> None:
        """Of one node. NAME_NOT_FOUND if it was never seen, INVALID_PARAM if quorum would be lost."""
        self._ask(VoteRequest.SET_VOTES, messages.SET_VOTES_REQUEST, _u32(votes), _u32(node_id))

    # --- a quorum device

    def register_device(self, name: str) -> None:
        """EXIST if the cluster has one of another name, ACCESS if the configuration does not allow any."""
        self._ask(VoteRequest.DEVICE_REGISTER, messages.DEVICE_NAME_REQUEST, _name(name))

    def unregister_device(self, name: str) -> None:
        """NOT_EXIST if there is none here, INVALID_PARAM if it has another name."""
        self._ask(VoteRequest.DEVICE_UNREGISTER, messages.DEVICE_NAME_REQUEST, _name(name))

    def rename_device(self, old_name: str, new_name: str) -> None:
        self._ask(VoteRequest.DEVICE_UPDATE, messages.DEVICE_UPDATE_REQUEST, _name(old_name), _name(new_name))

    def poll_device(self, name: str, cast_vote: bool, ring_id: RingId) -> None:
        """The device is alive, and votes or not, in the ring that it means. MESSAGE_ERROR if that is past."""
        self._ask(
            VoteRequest.DEVICE_POLL, messages.DEVICE_POLL_REQUEST, _name(name), int(cast_vote), *ring_id
        )

    def set_master_wins(self, name: str, allow: bool) -> None:
        """Whether the device's vote alone makes a partition quorate."""
        self._ask(
            VoteRequest.DEVICE_MASTER_WINS, messages.DEVICE_MASTER_WINS_REQUEST, _name(name), int(allow)
        )

    def set_extra_info(self, info: bytes) -> None:
        """What the device of this node has to say of it, at most 4096 bytes; b"" takes it back.

        NOT_EXIST if no device is registered here, INVALID_PARAM from a daemon that does not know it.
        """
        if len(info) > messages.EXTRA_INFO_MAX:
            raise LibraryError(CsError.INVALID_PARAM)
        self._ask(VoteRequest.SET_EXTRA_INFO, messages.SET_EXTRA_INFO_REQUEST, len(info), body=info)

    def extra_info(self, node_id: NodeId) -> bytes:
        """What was last set on a node; b"" if nothing."""
        response = self._ask(VoteRequest.GET_EXTRA_INFO, messages.GET_EXTRA_INFO_REQUEST, node_id)
        record = decode(messages.GET_EXTRA_INFO_RESPONSE, response)
        return response[messages.GET_EXTRA_INFO_RESPONSE.size :][: record.length]

    # --- events

    def track_start(
        self, flags: TrackFlags = TrackFlags.CURRENT | TrackFlags.CHANGES, context: int = 0
    ) -> None:
        """Ask for events, which will carry `context`. EXIST if it was asked for."""
        if not 0 <= context < 1 << 64:
            raise LibraryError(CsError.INVALID_PARAM)
        self._ask(VoteRequest.TRACK_START, messages.TRACK_START_REQUEST, context, flags)

    def track_stop(self) -> None:
        """NOT_EXIST if it was not asked for."""
        self._ask(VoteRequest.TRACK_STOP, messages.PLAIN_REQUEST)

    def _event(self, data: bytes) -> Event:
        return event_of(data)


def event_of(data: bytes) -> Event:
    """An event from its bytes. LIBRARY if they make no sense."""
    match decode(RESPONSE_HEADER, data).id:
        case VoteResponse.QUORUM_NOTIFICATION:
            head = decode(messages.QUORUM_NOTIFICATION, data)
            states = records(messages.NODE_STATE, data, messages.QUORUM_NOTIFICATION.size, head.nodes)
            return QuorumChanged(head.context, bool(head.quorate), tuple(states))
        case VoteResponse.NODE_LIST_NOTIFICATION:
            head = decode(messages.NODE_LIST_NOTIFICATION, data)
            members = node_ids(data, messages.NODE_LIST_NOTIFICATION.size, head.nodes)
            return NodeList(head.context, RingId(head.representative, head.ring_seq), members)
        case VoteResponse.EXPECTED_VOTES_NOTIFICATION:
            head = decode(messages.EXPECTED_VOTES_NOTIFICATION, data)
            return ExpectedVotesChanged(head.context, head.expected_votes)
        case VoteResponse.EXTRA_INFO_NOTIFICATION:
            head = decode(messages.EXTRA_INFO_NOTIFICATION, data)
            info = data[messages.EXTRA_INFO_NOTIFICATION.size :][: head.length]
            return ExtraInfoChanged(head.context, head.node_id, info)
    raise LibraryError(CsError.LIBRARY)


def _name(text: str) -> bytes:
    """A device's name as requests carry it. INVALID_PARAM if it is empty or too long."""
    name = text.encode(errors="surrogateescape")
    if not name or len(name) >= messages.DEVICE_NAME_SIZE or b"\0" in name:
        raise LibraryError(CsError.INVALID_PARAM)
    return name


def _u32(number: int) -> int:
    if not 0 <= number <= 0xFFFFFFFF:
        raise LibraryError(CsError.INVALID_PARAM)
    return number
