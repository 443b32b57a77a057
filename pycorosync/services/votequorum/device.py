"""The quorum device: a voter outside the ring, such as corosync-qdevice (corosync: the qdevice parts of
exec/votequorum.c).

It is a client that registers under a name, the same on every node of the cluster, and then says again and
again, within a timeout, whether it votes for our partition. Functions here belong to VotequorumService.
"""

from typing import TYPE_CHECKING, Any

from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.services.votequorum import extra_info
from pycorosync.services.votequorum.messages import (
    NodeFlags,
    Registration,
    name_in,
    shown,
)
from pycorosync.types import ClientId, NodeId, RingId

if TYPE_CHECKING:
    from pycorosync.services.votequorum.service import VotequorumService

LOG = subsystem("VOTEQ")

# --- requests


def register(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """Answered when the registration has come back from the ring, or at once if nothing is to be done."""
    name = name_in(request.name)
    error = CsError.OK
    if not service.settings.device_can_operate:
        LOG.info(
            "Registration of quorum device is disabled by incorrect corosync.conf. "
            "See logs for more information"
        )
        error = CsError.ACCESS
    elif not name:
        error = CsError.INVALID_PARAM
    elif NodeFlags.DEVICE_REGISTERED in service.us.flags:
        if name != service.device_name:
            LOG.warning(
                "A new qdevice with different name (new: %s old: %s) is trying to re-register!",
                shown(name),
                shown(service.device_name),
            )
            error = CsError.EXIST
    elif service.registration is not None:
        LOG.warning("Registration request already in progress")
        error = CsError.TRY_AGAIN
    else:
        service.registration = client, name
        service.send_registration(Registration.REGISTER, name)
        return
    service.respond_status(client, error)


def _checked_device(service: "VotequorumService", field: bytes) -> CsError:
    """Whether a device of this name is registered here."""
    if NodeFlags.DEVICE_REGISTERED not in service.us.flags:
        return CsError.NOT_EXIST
    return CsError.OK if name_in(field) == service.device_name else CsError.INVALID_PARAM


def unregister(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    error = _checked_device(service, request.name)
    if error is CsError.OK:
        service.device_gone()
        service.us.flags &= ~(
            NodeFlags.DEVICE_REGISTERED
            | NodeFlags.DEVICE_ALIVE
            | NodeFlags.DEVICE_CAST_VOTE
            | NodeFlags.DEVICE_MASTER_WINS
        )
        had_extra_info = bool(service.us.extra_info)
        extra_info.keep(service.us, b"")
        service.send_node_info(service.us)
        service.send_registration(Registration.UNREGISTER, service.device_name)
        if had_extra_info:  # nodes of 3.1.9 do not know the message
            extra_info.send(service)
    service.respond_status(client, error)


def update(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """Rename the device, on all nodes."""
    error = _checked_device(service, request.old_name)
    new_name = name_in(request.new_name)
    if error is CsError.OK:
        if new_name:
            service.send_rename(service.device_name, new_name)
        else:
            error = CsError.INVALID_PARAM
    service.respond_status(client, error)


def poll(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """The device is alive, and votes for us or not. Refused with MESSAGE_ERROR if it means an older ring."""
    if not service.settings.device_can_operate:
        error = CsError.ACCESS
    elif NodeFlags.DEVICE_REGISTERED not in service.us.flags:
        error = CsError.NOT_EXIST
    elif RingId(request.representative, request.ring_seq) != service.ring_id:
        error = CsError.MESSAGE_ERROR
    else:
        error = _checked_device(service, request.name)
    if error is CsError.OK:
        flags = service.us.flags | NodeFlags.DEVICE_ALIVE
        if request.cast_vote:
            flags |= NodeFlags.DEVICE_CAST_VOTE
        else:
            flags &= ~NodeFlags.DEVICE_CAST_VOTE
        _set_flags(service, flags)
        service.device_polled(now_ns)
    service.respond_status(client, error)


def master_wins(
    service: "VotequorumService", client: ClientId, request: Any, message: memoryview, now_ns: int
) -> None:
    """Whether a partition is quorate just because the device votes for it."""
    if not service.settings.device_can_operate:
        error = CsError.ACCESS
    else:
        error = _checked_device(service, request.name)
    if error is CsError.OK:
        if request.allow:
            _set_flags(service, service.us.flags | NodeFlags.DEVICE_MASTER_WINS)
        else:
            _set_flags(service, service.us.flags & ~NodeFlags.DEVICE_MASTER_WINS)
        service.device_master_wins = bool(request.allow)
        service.view.cmap.set_u8("runtime.votequorum.qdevice_master_wins", int(service.device_master_wins))
    service.respond_status(client, error)


def _set_flags(service: "VotequorumService", flags: NodeFlags) -> None:
    if flags != service.us.flags:
        service.us.flags = flags
        service.send_node_info(service.us)


# --- messages of the nodes


def registration_delivered(
    service: "VotequorumService",
    node_id: NodeId,
    registration: Any,
    message: memoryview,
    order: str,
    now_ns: int,
) -> None:
    name = name_in(registration.name)
    if not name:
        raise MalformedMessage(f"node {node_id} registers a quorum device without a name")
    LOG.debug("Received qdevice op %u req from node %u [%s]", registration.operation, node_id, shown(name))
    if registration.operation == Registration.UNREGISTER:
        if not any(NodeFlags.DEVICE_REGISTERED in voter.flags for voter in service.electorate.members()):
            service.device_name = b""
    elif registration.operation == Registration.REGISTER:
        if node_id != service.us.node_id:
            service.device_name = service.device_name or name
        elif NodeFlags.DEVICE_REGISTERED not in service.us.flags:
            _register_ours(service, name)


def _register_ours(service: "VotequorumService", name: bytes) -> None:
    if service.registration is None:
        # We also repeat the name of someone else's device, for nodes that have just joined.
        LOG.warning("Unable to determine origin of the qdevice register call!")
        return
    client, wanted = service.registration
    if name != wanted:
        return  # such a repetition; ours is still on its way
    service.registration = None
    service.device_name = service.device_name or name
    error = CsError.OK
    if name == service.device_name:
        service.us.flags |= NodeFlags.DEVICE_REGISTERED
        service.send_node_info(service.device)
        service.send_node_info(service.us)
    else:
        LOG.warning(
            "A new qdevice with different name (new: %s old: %s) is trying to register!",
            shown(name),
            shown(service.device_name),
        )
        error = CsError.EXIST
    service.respond_status(client, error)


def rename_delivered(
    service: "VotequorumService", node_id: NodeId, rename: Any, message: memoryview, order: str, now_ns: int
) -> None:
    old_name, new_name = name_in(rename.old_name), name_in(rename.new_name)
    if not old_name or not new_name:
        raise MalformedMessage(f"node {node_id} renames a quorum device without a name")
    LOG.debug(
        "Received qdevice name change req from node %u [from: %s to: %s]",
        node_id,
        shown(old_name),
        shown(new_name),
    )
    if old_name == service.device_name:
        service.device_name = new_name
