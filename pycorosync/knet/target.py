"""For whom a totem frame is (corosync: dst_host_filter_callback_fn and ucast_sendmsg of exec/totemknet.c).

knet itself knows broadcasts and unicasts, but a receiver goes by the target in the totem header, which the
sending side of knet fills in. The node id stands in the sender's byte order, which the frame's first two
bytes tell.
"""

import struct
from typing import Final

from pycorosync.errors import MalformedMessage
from pycorosync.types import Buffer, NodeId

ALL: Final = 0  # as a target: everybody
TARGET_OFFSET, TARGET_END = 9, 13
_TARGETS: Final = {b"\x70\xc0": struct.Struct("<I"), b"\xc0\x70": struct.Struct(">I")}


def target_of(frame: Buffer) -> NodeId:
    """Raises MalformedMessage for what is no totem frame.

    Compatibility: corosync reads the target in its own byte order and takes any two bytes for the magic.
    """
    return int(_codec(frame).unpack_from(frame, TARGET_OFFSET)[0])


def with_target(frame: Buffer, node_id: NodeId) -> Buffer:
    """The frame for `node_id`; a copy only if it was for somebody else. Raises MalformedMessage."""
    codec = _codec(frame)
    if codec.unpack_from(frame, TARGET_OFFSET)[0] == node_id:
        return frame
    changed = bytearray(frame)
    codec.pack_into(changed, TARGET_OFFSET, node_id)
    return changed


def _codec(frame: Buffer) -> struct.Struct:
    codec = _TARGETS.get(bytes(frame[:2]))
    if codec is None or len(frame) < TARGET_END:
        raise MalformedMessage("no totem frame")
    return codec
