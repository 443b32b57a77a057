"""The longer messages of the service, built from processes and node ids. Layouts: messages.py."""

from collections.abc import Iterable, Sequence

from pycorosync.cs_error import CsError
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.groups import Process
from pycorosync.services.cpg.messages import (
    ADDRESS,
    MEMBERS_MAX,
    NODES_MAX,
    SERVICE_ID,
    CpgExec,
    CpgResponse,
    Reason,
)
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import LITTLE, NATIVE

Message = tuple[bytes, bytes]  # head and body


def plain(response_id: int, error: CsError) -> bytes:
    """A response that says only how it went."""
    return messages.PLAIN_RESPONSE.encode(response_id, messages.PLAIN_RESPONSE.size, error)


def local_get(node_id: NodeId) -> bytes:
    """The response to LOCAL_GET."""
    layout = messages.LOCAL_GET_RESPONSE
    return layout.encode(CpgResponse.LOCAL_GET, layout.size, CsError.OK, node_id)


def membership(members: Sequence[Process]) -> bytes:
    """The response to MEMBERSHIP: always as long as for NODES_MAX addresses.

    Compatibility: callers give libcpg room for MEMBERS_MAX, and it does not look.
    """
    members = members[:MEMBERS_MAX]
    layout = messages.MEMBERSHIP_RESPONSE
    size = layout.size + NODES_MAX * ADDRESS.size
    head = layout.encode(CpgResponse.MEMBERSHIP, size, CsError.OK, len(members))
    return (head + _addresses(members, Reason.UNDEFINED)).ljust(size, b"\0")


def iteration_started(handle: int) -> bytes:
    """The response to ITERATION_INITIALIZE."""
    layout = messages.ITERATION_INITIALIZE_RESPONSE
    return layout.encode(CpgResponse.ITERATION_INITIALIZE, layout.size, CsError.OK, handle)


def iteration_entry(error: CsError, entry: Process) -> bytes:
    """The response to ITERATION_NEXT; `entry` means nothing unless `error` is OK."""
    layout = messages.ITERATION_NEXT_RESPONSE
    name = entry.group
    return layout.encode(
        CpgResponse.ITERATION_NEXT, layout.size, error, len(name), name, entry.node_id, entry.pid
    )


def confchg(
    name: bytes, members: Sequence[Process], left: Sequence[Process], joined: Sequence[Process], reason: int
) -> Message:
    """The event of a change of members; `reason` is that of all who left or joined.

    Compatibility: libcpg has room for MEMBERS_MAX of each, and does not look.
    """
    members, left, joined = members[:MEMBERS_MAX], left[:MEMBERS_MAX], joined[:MEMBERS_MAX]
    body = _addresses(members, Reason.UNDEFINED) + _addresses(left, reason) + _addresses(joined, reason)
    layout = messages.CONFCHG_EVENT
    size = layout.size + len(body)
    counts = len(members), len(joined), len(left)
    return layout.encode(CpgResponse.CONFCHG, size, CsError.OK, len(name), name, *counts), body


def ring_event(ring: RingId, members: Sequence[NodeId]) -> Message:
    """The event of a new configuration of the ring; for libcpg's lists see confchg."""
    members = members[:MEMBERS_MAX]
    layout = messages.TOTEM_CONFCHG_EVENT
    body = _node_ids(members) + messages.TOTEM_CONFCHG_TAIL
    size = layout.size + len(body)
    return (
        layout.encode(
            CpgResponse.TOTEM_CONFCHG, size, CsError.OK, ring.representative, ring.seq, len(members)
        ),
        body,
    )


def process_change(function: CpgExec, process: Process, reason: Reason) -> Message:
    """PROCJOIN or PROCLEAVE."""
    layout, name = messages.PROCJOIN, process.group
    head = layout.encode(SERVICE_ID << 16 | function, layout.size, len(name), name, process.pid, reason)
    return head, b""


def downlist(old_members: int, left: Sequence[NodeId]) -> Message:
    """DOWNLIST: how many members the last configuration had, and which of them are not with us any more."""
    layout = messages.DOWNLIST
    left = left[:NODES_MAX]
    body = _node_ids(left).ljust(4 * NODES_MAX, b"\0")
    size = layout.size + len(body)
    return layout.encode(SERVICE_ID << 16 | CpgExec.DOWNLIST, size, old_members, len(left)), body


def joinlist(processes: Iterable[Process]) -> Message:
    """JOINLIST of a node's processes."""
    body = b"".join(
        messages.JOINLIST_ENTRY.encode(process.pid, len(process.group), process.group)
        for process in processes
    )
    layout = messages.JOINLIST
    return layout.encode(SERVICE_ID << 16 | CpgExec.JOINLIST, layout.size + len(body), 0), body


def printable(name: bytes) -> str:
    """A group's name for the log: what is not printable ASCII as \\xNN, a backslash doubled."""
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02X}" for byte in name
    )


def _addresses(processes: Sequence[Process], reason: int) -> bytes:
    return b"".join(ADDRESS.encode(process.node_id, process.pid, reason) for process in processes)


def _node_ids(nodes: Sequence[NodeId]) -> bytes:
    return b"".join(node.to_bytes(4, "little" if NATIVE == LITTLE else "big") for node in nodes)
