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
_LITTLE: Final = struct.Struct("<I")
_BIG: Final = struct.Struct(">I")
_read_little: Final = _LITTLE.unpack_from
_read_big: Final = _BIG.unpack_from


def target_of(frame: Buffer) -> NodeId:
    """Raises MalformedMessage for what is no totem frame.

    Compatibility: corosync reads the target in its own byte order and takes any two bytes for the magic.
    """
    target: NodeId = (_read_little if _is_little(frame) else _read_big)(frame, TARGET_OFFSET)[0]
    return target


def with_target(frame: Buffer, node_id: NodeId) -> Buffer:
    """The frame for `node_id`; a copy only if it was for somebody else. Raises MalformedMessage."""
    if target_of(frame) == node_id:
        return frame
    changed = bytearray(frame)
    (_LITTLE if _is_little(frame) else _BIG).pack_into(changed, TARGET_OFFSET, node_id)
    return changed


def _is_little(frame: Buffer) -> bool:
    if len(frame) >= TARGET_END:
        if frame[0] == 0x70 and frame[1] == 0xC0:
            return True
        if frame[0] == 0xC0 and frame[1] == 0x70:
            return False
    raise MalformedMessage("no totem frame")
