"""What clients ask of the votequorum service (corosync: the library handlers in exec/votequorum.c).

A change is checked here, multicast, and takes effect on every node when it comes back from the ring; but
the answer goes out at once, except for the registration of a device.
"""

from typing import TYPE_CHECKING, Any, Final

from pycorosync.cs_error import CsError
from pycorosync.log import subsystem
from pycorosync.services.outputs import Respond
from pycorosync.services.service import Request, TrackFlags
from pycorosync.services.votequorum import device, extra_info
from pycorosync.services.votequorum.messages import (
    DEVICE_MASTER_WINS_REQUEST,
    DEVICE_NAME_REQUEST,
    DEVICE_NODE_ID,
    DEVICE_POLL_REQUEST,
    DEVICE_UPDATE_REQUEST,
    GET_EXTRA_INFO_REQUEST,
    GET_INFO_REQUEST,
    GET_INFO_RESPONSE,
    PLAIN_REQUEST,
    SET_EXPECTED_REQUEST,
    SET_EXTRA_INFO_REQUEST,
    SET_VOTES_REQUEST,
    TRACK_START_REQUEST,
    Info,
    NodeFlags,
    Parameter,
    VoteRequest,
    VoteResponse,
)
from pycorosync.services.votequorum.votes import TieBreaker, Voter, saturated
from pycorosync.types import ClientId

if TYPE_CHECKING:
    from pycorosync.services.votequorum.service import VotequorumService

LOG = subsystem("VOTEQ")

DEVICE_FLAGS: Final = (
    (NodeFlags.DEVICE_REGISTERED, Info.DEVICE_REGISTERED),
    (NodeFlags.DEVICE_ALIVE, Info.DEVICE_ALIVE),
    (NodeFlags.DEVICE_CAST_VOTE, Info.DEVICE_CAST_VOTE),
    (NodeFlags.DEVICE_MASTER_WINS, Info.DEVICE_MASTER_WINS),
    (NodeFlags.EXTRA_INFO_SET, Info.HAS_EXTRA_INFO),
)


def get_info(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """The votes of a node, and of the cluster as we see it. Node 0 means ourselves."""
    node_id = service.us.node_id if request.node_id == DEVICE_NODE_ID else request.node_id
    voter = service.electorate.find(node_id)
    if voter is None:
        numbers, name, error = (0,) * 9, b"", CsError.NOT_EXIST
    else:
        device_votes = service.device.votes
        total = service.electorate.total_votes()
        if NodeFlags.DEVICE_CAST_VOTE in voter.flags:
            total = saturated(total + device_votes)
        numbers = (
            voter.node_id,
            voter.state,
            voter.votes,
            voter.expected_votes,
            service.electorate.highest_expected(),
            total,
            service.quorum,
            _info_flags(service, voter),
            device_votes,
        )
        name, error = service.device_name, CsError.OK
    payload = GET_INFO_RESPONSE.encode(VoteResponse.GET_INFO, GET_INFO_RESPONSE.size, error, *numbers, name)
    service.outputs.append(Respond(client, payload))


def _info_flags(service: "VotequorumService", voter: Voter) -> int:
    settings = service.settings
    flags = sum(
        flag
        for flag, is_set in (
            (Info.TWO_NODE, settings.two_node),
            (Info.QUORATE, service.quorate),
            (Info.WAIT_FOR_ALL, settings.wait_for_all),
            (Info.LAST_MAN_STANDING, settings.last_man_standing),
            (Info.AUTO_TIE_BREAKER, settings.tie_breaker is not TieBreaker.NONE),
            (Info.ALLOW_DOWNSCALE, settings.allow_downscale),
        )
        if is_set
    )
    return flags + sum(info for own, info in DEVICE_FLAGS if own in voter.flags)


def set_expected(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """Less than the votes that are here makes no sense, and a quorate cluster stays so."""
    expected = request.expected_votes
    tally = service.count(may_decrease=True, expected=expected)
    if expected < tally.total_votes or (service.quorate and tally.quorum > tally.total_votes):
        service.respond_status(client, CsError.INVALID_PARAM)
        return
    service.electorate.expect(expected)
    service.send_reconfigure(Parameter.EXPECTED_VOTES, service.us.node_id, expected)
    service.respond_status(client, CsError.OK)


def set_votes(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """Refused if the cluster would not be quorate with the new number of votes."""
    voter = service.find(request.node_id)
    if voter is None:
        service.respond_status(client, CsError.NAME_NOT_FOUND)
        return
    saved_votes, voter.votes = voter.votes, request.votes
    tally = service.count(may_decrease=True)
    if not tally.total_votes // 2 <= tally.quorum <= tally.total_votes:
        voter.votes = saved_votes
        service.respond_status(client, CsError.INVALID_PARAM)
        return
    service.send_reconfigure(Parameter.NODE_VOTES, request.node_id, request.votes)
    service.respond_status(client, CsError.OK)


def track_start(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    if request.flags & (TrackFlags.CURRENT | TrackFlags.CHANGES):
        service.notify_node_list(only=(client, request.context))
        service.notify_quorum(only=(client, request.context))
        extra_info.notify(service, only=(client, request.context))
    error = CsError.OK
    if client in service.trackers:
        error = CsError.EXIST
    elif request.flags & (TrackFlags.CHANGES | TrackFlags.CHANGES_ONLY):
        service.trackers[client] = request.context
    service.respond_status(client, error)


def track_stop(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    was_tracking = service.trackers.pop(client, None) is not None
    service.respond_status(client, CsError.OK if was_tracking else CsError.NOT_EXIST)


# No request waits for the ring: a device must be heard while a synchronization waits for it.
REQUESTS: Final[dict[int, Request]] = {
    VoteRequest.GET_INFO: Request(get_info, GET_INFO_REQUEST, needs_ring=False),
    VoteRequest.SET_EXPECTED: Request(set_expected, SET_EXPECTED_REQUEST, needs_ring=False),
    VoteRequest.SET_VOTES: Request(set_votes, SET_VOTES_REQUEST, needs_ring=False),
    VoteRequest.TRACK_START: Request(track_start, TRACK_START_REQUEST, needs_ring=False),
    VoteRequest.TRACK_STOP: Request(track_stop, PLAIN_REQUEST, needs_ring=False),
    VoteRequest.DEVICE_REGISTER: Request(device.register, DEVICE_NAME_REQUEST, needs_ring=False),
    VoteRequest.DEVICE_UNREGISTER: Request(device.unregister, DEVICE_NAME_REQUEST, needs_ring=False),
    VoteRequest.DEVICE_UPDATE: Request(device.update, DEVICE_UPDATE_REQUEST, needs_ring=False),
    VoteRequest.DEVICE_POLL: Request(device.poll, DEVICE_POLL_REQUEST, needs_ring=False),
    VoteRequest.DEVICE_MASTER_WINS: Request(device.master_wins, DEVICE_MASTER_WINS_REQUEST, needs_ring=False),
    VoteRequest.SET_EXTRA_INFO: Request(extra_info.set_ours, SET_EXTRA_INFO_REQUEST, needs_ring=False),
    VoteRequest.GET_EXTRA_INFO: Request(extra_info.get, GET_EXTRA_INFO_REQUEST, needs_ring=False),
}
