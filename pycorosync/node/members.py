"""The keys runtime.members.NODE.* (corosync: member_object_joined and member_object_left in exec/main.c)."""

from pycorosync.cmap.store import Store
from pycorosync.types import NodeId


def publish_joined(cmap: Store, node_id: NodeId, addresses: list[str]) -> None:
    """A node has joined the ring, for the first time or again; `addresses` by link."""
    prefix = f"runtime.members.{node_id}"
    if f"{prefix}.ip" in cmap:
        cmap.adjust(f"{prefix}.join_count", 1)
    else:
        text = "".join(f"r({link}) ip({address}) " for link, address in enumerate(addresses))
        cmap.set_str(f"{prefix}.ip", text)
        cmap.set_u32(f"{prefix}.join_count", 1)
    cmap.set_str(f"{prefix}.status", "joined")


def publish_left(cmap: Store, node_id: NodeId) -> None:
    """A node has left it."""
    cmap.set_str(f"runtime.members.{node_id}.status", "left")
