"""Extra information: bytes that the quorum device of a node sets there, and all nodes learn (corosync: the
qdevice extra info parts of exec/votequorum.c, after 3.1.9).

Functions here belong to VotequorumService. Their meaning is the device's alone.
"""

from typing import TYPE_CHECKING, Any

from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.outputs import Multicast, Respond
from pycorosync.services.votequorum import events
from pycorosync.services.votequorum.messages import (
    EXTRA_INFO,
    EXTRA_INFO_MAX,
    EXTRA_INFO_PADDING,
    GET_EXTRA_INFO_RESPONSE,
    SET_EXTRA_INFO_REQUEST,
    Function,
    NodeFlags,
    VoteResponse,
)
from pycorosync.services.votequorum.votes import Voter
from pycorosync.types import ClientId, NodeId

if TYPE_CHECKING:
    from pycorosync.services.votequorum.service import VotequorumService


def keep(voter: Voter, info: bytes) -> None:
    """A node's information from now on."""
    voter.extra_info = info
    if info:
        voter.flags |= NodeFlags.EXTRA_INFO_SET
    else:
        voter.flags &= ~NodeFlags.EXTRA_INFO_SET


def send(service: "VotequorumService") -> None:
    """Tell everyone our information."""
    info = service.us.extra_info
    head = EXTRA_INFO.encode(
        service.ID << 16 | Function.EXTRA_INFO, EXTRA_INFO.size + len(info), service.us.node_id, len(info)
    )
    service.outputs.append(Multicast(head, info))


def notify(service: "VotequorumService", *, only: tuple[ClientId, int]) -> None:
    """Tell a new tracker what there is."""
    for voter in service.electorate:
        if voter.extra_info:
            service.outputs.append(events.extra_info(*only, voter.node_id, voter.extra_info))


# --- requests


def set_ours(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """Only where a device is registered. INVALID_PARAM if there is more than fits, or less than announced."""
    info = bytes(message[SET_EXTRA_INFO_REQUEST.size :][: request.length])
    error = CsError.OK
    if not service.settings.device_can_operate:
        error = CsError.ACCESS
    elif request.length > EXTRA_INFO_MAX or len(info) < request.length:
        error = CsError.INVALID_PARAM
    elif NodeFlags.DEVICE_REGISTERED not in service.us.flags:
        error = CsError.NOT_EXIST
    else:
        keep(service.us, info)
        send(service)
    service.respond_status(client, error)


def get(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    voter = service.find(request.node_id)
    error, info = CsError.OK, b""
    if not service.settings.device_can_operate:
        error = CsError.ACCESS
    elif voter is None:
        error = CsError.NOT_EXIST
    else:
        info = voter.extra_info
    layout = GET_EXTRA_INFO_RESPONSE
    size = layout.size + EXTRA_INFO_PADDING + len(info)
    head = layout.encode(VoteResponse.GET_EXTRA_INFO, size, error, len(info))
    service.outputs.append(Respond(client, head + info + bytes(EXTRA_INFO_PADDING)))


# --- the message of the nodes


def delivered(
    service: "VotequorumService", node_id: NodeId, record: Any, message: memoryview, order: str, now_ns: int
) -> None:
    info = bytes(message[EXTRA_INFO.size :][: record.length])
    if record.length > EXTRA_INFO_MAX or len(info) < record.length:
        raise MalformedMessage(f"node {node_id} announces {record.length} bytes of extra information")
    voter = service.electorate.find(node_id)
    if voter is None or record.node_id != node_id:
        raise MalformedMessage(f"node {node_id} has extra information for node {record.node_id}")
    keep(voter, info)
    for client, context in service.trackers.items():
        service.outputs.append(events.extra_info(client, context, node_id, info))
