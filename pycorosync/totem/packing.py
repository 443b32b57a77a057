"""Messages into packets and back (corosync: exec/totempg.c; protocol/totempg.md).

Packer: small messages share a packet, a message that does not fit continues in the next one. It has two
lanes, each with its own queue and its own half-filled packet: the normal one, and the one that is used
between the transitional configuration and the end of synchronization, so that nothing comes in between.

    add(head, body, group=b"a") -> bool     False: full, nothing was taken. `head` and `body` are copied now.
    room(size) -> Room                      what add would say to head and body of `size` bytes together
    reserve(size) -> int                    packets reserved (> 0), FULL (0) or TOO_BIG (-1); see release
    level() -> QueueLevel                   how full the queue is, with corosync's thresholds and hysteresis
    begin_sync() / end_sync()               switch lanes: at TRANSITIONAL, and when synchronization is over
    flush() / backlog / next_frame()        the ring's side, at a token

A frame is one bytearray: 45 bytes of room for the mcast header, the packet header, lengths, data. The bytes
of a large message are copied once, straight into frames that are closed at once; small messages are copied
into the half-filled packet and joined with the others when that is closed.

Unpacker: whole messages come out as views into the packet; only fragments are put together, by one join.

    feed(node_id, payload, order) -> list of (group, message)
    drop(node_ids)                          nodes that left: what they began will not be continued
    begin_sync() / end_sync()               switch to the other set of reassembly contexts, and back
"""

import struct
import sys
from array import array
from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from pycorosync.log import subsystem
from pycorosync.totem.messages import MCAST, ORIGINAL
from pycorosync.types import Buffer, NodeId
from pycorosync.wire.fixed import LITTLE, NATIVE

LOG = subsystem("TOTEM")

GROUP_SERVICES: Final = b"a"
GROUP_SYNC: Final = b"sync"

MESSAGE_SIZE_MAX: Final = 1024 * 1024  # of a message with its group header; receivers have room for no more
FULL: Final = 0
TOO_BIG: Final = -1

_PACKET_HEADER = struct.Struct("=hhBBH")  # version, type, fragmented, continuation, count
_PACKET_HEADER_SIZE: Final = 8
_FRAME_HEAD_ROOM: Final = bytes(MCAST.size)
SMALLEST_SHARE: Final = 32  # of a packet: less is not used for the beginning of a message
_LARGE: Final = 16384  # from here on copying costs more than a packet of one's own
_PARTS_MAX: Final = 4096  # fragments of one message: no honest sender needs more than 800


class Room(IntEnum):
    """Whether a message can be taken."""

    FITS = 1
    FULL = 0  # not now: try again
    TOO_BIG = -1  # never


class QueueLevel(IntEnum):
    """How full the send queue is; the numbers are corosync's."""

    LOW = 0
    GOOD = 1
    HIGH = 2
    CRITICAL = 3


class _Lane:
    """A queue of closed frames, and the packet that is being filled."""

    __slots__ = ("continuation", "frames", "lengths", "parts", "used")

    def __init__(self) -> None:
        self.frames: deque[bytearray] = deque()
        self.parts: list[Buffer] = []
        self.lengths = array("H")
        self.used = _PACKET_HEADER_SIZE  # header, lengths and data of the packet being filled
        self.continuation = 0  # its first part continues the fragment of this number


class Packer:
    """Packs messages into frames of at most `frame_payload_bytes`: 65446 with knet, 1410 with udp, udpu."""

    def __init__(self, frame_payload_bytes: int) -> None:
        if not 64 <= frame_payload_bytes <= 65536 - 2 * MCAST.size:
            raise ValueError(f"a payload of {frame_payload_bytes} bytes does not fit a frame")
        self._payload_size = frame_payload_bytes
        self._queue_size = 4 * MESSAGE_SIZE_MAX // frame_payload_bytes
        self._useful_size = (
            frame_payload_bytes - _PACKET_HEADER_SIZE - 16
        )  # of a packet, when queue space is counted
        self._reserved = 1
        self._level = QueueLevel.GOOD
        self._normal, self._sync = _Lane(), _Lane()
        # A starting node synchronizes before anything else, with itself if need be.
        self._lane = self._sync
        self._next_fragment = 1

    # --- the owner's side

    def add(self, head: Buffer, body: Buffer = b"", *, group: bytes = GROUP_SERVICES) -> bool:
        """Take one message: head and body together, at most MESSAGE_SIZE_MAX bytes with the group header."""
        lane = self._lane
        prefix = _SERVICES_HEADER if group == GROUP_SERVICES else group_header(group)
        size = len(prefix) + len(head) + len(body)
        used = lane.used + 2 + size
        if used > self._payload_size or size >= _LARGE:
            return self._add_across(lane, prefix + bytes(head), body)
        lane.parts.append(b"".join((prefix, head, body)))
        lane.lengths.append(size)
        lane.used = used
        return True

    def room(self, size: int) -> Room:
        """Whether a message of `size` bytes can be taken now."""
        if size < self._useful_size and len(self._lane.frames) + 3 <= self._queue_size:
            return Room.FITS  # nearly always: one packet at most, and a slot for it
        if size > MESSAGE_SIZE_MAX - 16:
            return Room.TOO_BIG
        return Room.FITS if self.available >= self._packets(size) else Room.FULL

    def reserve(self, size: int) -> int:
        """Count a message of `size` bytes as taken until release; the number of packets, FULL or TOO_BIG."""
        room = self.room(size)
        if room is not Room.FITS:
            return room.value
        packets = self._packets(size)
        self._reserved += packets
        return packets

    def release(self, packets: int) -> None:
        """Give back what reserve returned."""
        if packets > 0:
            self._reserved -= packets

    def level(self) -> QueueLevel:
        """The level, which changes only when the fill has clearly reached the next one."""
        used_percent = 100 - (self.available - self._reserved) * 100 // self._queue_size
        if used_percent >= 75:
            self._level = QueueLevel.CRITICAL
        elif used_percent < 30:
            self._level = QueueLevel.LOW
        elif 40 < used_percent < 50:
            self._level = QueueLevel.GOOD
        elif 60 < used_percent < 70:
            self._level = QueueLevel.HIGH
        return self._level

    @property
    def available(self) -> int:
        """Packets that the queue can take; two slots stay free."""
        return max(self._queue_size - len(self._lane.frames) - 2, 0)

    @property
    def reserved(self) -> int:
        return self._reserved

    @property
    def in_sync(self) -> bool:
        """Whether messages go to the synchronization's lane."""
        return self._lane is self._sync

    def begin_sync(self) -> None:
        """From now on messages belong to the synchronization of a new configuration; others wait."""
        self._lane = self._sync
        self._isolate_continuation(self._normal)

    def end_sync(self) -> None:
        """Back to normal messages. What the synchronization has not sent joins the end of their queue.

        Compatibility: corosync leaves such messages in the other queue until the next configuration change.
        """
        if not self.in_sync:
            return
        left_over, self._sync = self._sync, _Lane()
        self._lane = self._normal
        if not left_over.frames and not left_over.parts:
            return
        self._close(left_over, 0)
        unpacker = Unpacker()
        for frame in left_over.frames:
            for group, message in unpacker.feed(0, memoryview(frame)[MCAST.size :], NATIVE):
                if not self.add(message, group=group):
                    LOG.error("the send queue has no room for messages left over from synchronization")
                    return

    # --- the ring's side

    encapsulated: Final = ORIGINAL

    def flush(self) -> None:
        """Close the open packet, so that a token can take it; it stays open if the queue is full."""
        lane = self._lane
        if lane.parts and self.available:
            self._close(lane, 0)

    @property
    def backlog(self) -> int:
        """Closed frames that wait for a token."""
        return len(self._lane.frames)

    @property
    def idle(self) -> bool:
        """Nothing waits for a token."""
        lane = self._lane
        return not lane.parts and not lane.frames

    def next_frame(self) -> bytearray:
        """The oldest frame, with its first 45 bytes still to be filled in."""
        return self._lane.frames.popleft()

    # --- inside

    def _packets(self, size: int) -> int:
        return size // self._useful_size + 1

    def _add_across(self, lane: _Lane, start: bytes, body: Buffer) -> bool:
        """Take a message that is large, or does not fit into the open packet."""
        size = len(start) + len(body)
        if size > MESSAGE_SIZE_MAX or self.available < self._packets(size + 2 * len(lane.lengths)):
            return False
        limit = self._payload_size
        left, largest = limit - lane.used - 2, limit - _PACKET_HEADER_SIZE - 2
        if lane.parts and (left < limit // SMALLEST_SHARE or (left < size <= largest and size >= _LARGE)):
            # Neither a few bytes nor a packet that is filled anyway are worth a fragment, which receivers
            # would have to put together.
            self._close(lane, 0)
            left = largest
        view = memoryview(body)
        taken = 0  # of start and body together
        while size - taken > left:
            self._append(lane, start, view, taken, taken + left)
            taken += left
            self._close(lane, self._fragment_number())
            left = limit - lane.used - 2
        self._append(lane, start, view, taken, size)
        # The body may change after this call; a view of it must not stay in the open packet.
        if size - taken >= _LARGE:
            self._close(lane, 0)
        else:
            lane.parts[-1] = bytes(lane.parts[-1])
        return True

    @staticmethod
    def _append(lane: _Lane, start: bytes, body: memoryview, begin: int, end: int) -> None:
        """Put bytes begin..end of a message into the open packet, as views where that is possible."""
        length, boundary = end - begin, len(start)
        if begin >= boundary:
            lane.parts.append(body[begin - boundary : end - boundary])
        elif end <= boundary:
            lane.parts.append(start[begin:end])
        else:
            lane.parts.append(start[begin:])
            lane.parts.append(body[: end - boundary])
        lane.lengths.append(length)
        lane.used += 2 + length

    def _fragment_number(self) -> int:
        number = self._next_fragment
        self._next_fragment = number % 255 + 1  # never 0, which means that nothing is continued
        return number

    @staticmethod
    def _close(lane: _Lane, fragmented: int) -> None:
        """Make a frame of the open packet; its last part goes on in the next one unless `fragmented` is 0."""
        if not lane.parts:
            return
        header = _PACKET_HEADER.pack(0, 0, fragmented, lane.continuation, len(lane.lengths))
        lane.frames.append(bytearray().join((_FRAME_HEAD_ROOM, header, lane.lengths, *lane.parts)))
        lane.parts = []
        lane.lengths = array("H")
        lane.used = _PACKET_HEADER_SIZE
        lane.continuation = fragmented

    def _isolate_continuation(self, lane: _Lane) -> None:
        """Let the end of a message whose beginning was sent on the old ring travel alone.

        A node that joins has not seen the beginning. Corosync throws away the whole packet then, and with it
        complete messages that all other members deliver.
        """
        self._close(lane, 0)
        for index, frame in enumerate(lane.frames):
            _, _, fragmented, continuation, count = _PACKET_HEADER.unpack_from(frame, MCAST.size)
            if not continuation:
                return
            if count > 1:
                lane.frames[index] = _frame_without_first(frame, fragmented, count)
                lane.frames.insert(index, _frame_of_first(frame, continuation))
                return
            if not fragmented:
                return


def _frame_of_first(frame: bytearray, continuation: int) -> bytearray:
    """A frame that has only the first part of this one, the end of a message."""
    count = _PACKET_HEADER.unpack_from(frame, MCAST.size)[4]
    lengths_at = MCAST.size + _PACKET_HEADER_SIZE
    data_at = lengths_at + 2 * count
    lengths = frame[lengths_at : lengths_at + 2]
    end = data_at + int.from_bytes(lengths, sys.byteorder)
    header = _PACKET_HEADER.pack(0, 0, 0, continuation, 1)
    return bytearray().join((_FRAME_HEAD_ROOM, header, lengths, frame[data_at:end]))


def _frame_without_first(frame: bytearray, fragmented: int, count: int) -> bytearray:
    """A frame that has all but the first part of this one."""
    lengths_at = MCAST.size + _PACKET_HEADER_SIZE
    data_at = lengths_at + 2 * count
    start = data_at + int.from_bytes(frame[lengths_at : lengths_at + 2], sys.byteorder)
    header = _PACKET_HEADER.pack(0, 0, fragmented, 0, count - 1)
    return bytearray().join((_FRAME_HEAD_ROOM, header, frame[lengths_at + 2 : data_at], frame[start:]))


class _Assembly:
    """The beginning of a message from one sender."""

    __slots__ = ("complete", "expected", "parts", "size")

    def __init__(self, expected: int = 0, *, complete: bool = False) -> None:
        self.expected = expected  # the continuation that the next packet has to carry
        self.complete = complete  # False: the beginning is not known, or was too long; wait for the end
        self.parts: list[Buffer] = []
        self.size = 0

    def keep(self, part: memoryview, packet_size: int) -> bool:
        """Add a part; False when the message gets too long.

        A short part is copied: a view of it would keep its whole packet alive.
        """
        self.size += len(part)
        if self.size > MESSAGE_SIZE_MAX + 65536 or len(self.parts) >= _PARTS_MAX:
            self.complete = False
            self.parts.clear()
            return False
        self.parts.append(part if 2 * len(part) >= packet_size else bytes(part))
        return True


class Unpacker:
    """Turns packets in the ring's order into messages."""

    def __init__(self) -> None:
        self._normal: dict[NodeId, _Assembly] = {}
        self._sync: dict[NodeId, _Assembly] = {}
        # As the packer: a starting node synchronizes first.
        self._assemblies = self._sync
        self.malformed = 0  # packets that were thrown away

    def begin_sync(self) -> None:
        """To be called with the regular configuration: what follows belongs to its synchronization."""
        self._assemblies = self._sync

    def end_sync(self) -> None:
        self._assemblies = self._normal

    def drop(self, node_ids: Iterable[NodeId]) -> None:
        """Forget what these nodes began; to be called with the nodes that left."""
        for node_id in node_ids:
            self._normal.pop(node_id, None)
            self._sync.pop(node_id, None)

    def feed(
        self, node_id: NodeId, payload: memoryview, order: str = NATIVE
    ) -> list[tuple[bytes, memoryview]]:
        """The messages that this packet completes, with the group of each.

        A message is a view into the packet, except one that came in fragments. A malformed packet is counted
        and gives none.
        """
        if len(payload) < _PACKET_HEADER_SIZE:
            return self._refuse(node_id, "is too short")
        fragmented, continuation = payload[4], payload[5]
        count = payload[6] | payload[7] << 8 if order == LITTLE else payload[6] << 8 | payload[7]
        at = _PACKET_HEADER_SIZE + 2 * count
        if len(payload) < at:
            return self._refuse(node_id, "is too short for its lengths")
        if order == NATIVE:
            lengths = payload[_PACKET_HEADER_SIZE:at].cast("H").tolist()
        else:
            lengths = list(struct.unpack_from(f"{order}{count}H", payload, _PACKET_HEADER_SIZE))
        if at + sum(lengths) != len(payload):
            return self._refuse(
                node_id, f"doesn't have expected length of {at + sum(lengths)} (has {len(payload)}) bytes"
            )
        if not count:
            return self._refuse(node_id, "carries nothing") if fragmented or continuation else []
        messages: list[tuple[bytes, memoryview]] = []
        first, last = 0, count
        if fragmented or continuation or node_id in self._assemblies:
            whole = self._reassemble(
                node_id, payload[at : at + lengths[0]], len(payload), fragmented, continuation, count
            )
            if whole is not None:
                self._split(node_id, whole, (len(whole),), 0, order, messages)
            if continuation:
                first = 1
                at += lengths[0]
            if fragmented:
                last = count - 1
                if count > 1 or not continuation:
                    self._begin(node_id, payload[len(payload) - lengths[-1] :], len(payload), fragmented)
        self._split(
            node_id, payload, lengths[first:last] if first or last < count else lengths, at, order, messages
        )
        return messages

    def _split(
        self, node_id: NodeId, data: memoryview, lengths: Iterable[int], at: int, order: str,
        messages: list[tuple[bytes, memoryview]],
    ) -> None:  # fmt: skip
        """Append each message of `data` to `messages`, without its group header."""
        append = messages.append
        peek = _PEEK[order]
        for length in lengths:
            end = at + length
            if length > 4 and peek(data, at) == _ONE_GROUP:
                append((GROUP_SERVICES, data[at + 5 : end]))
            else:
                found = _parse_group(data[at:end], order)
                if found is None:
                    self._refuse(node_id, "has a message without a valid group")
                else:
                    append(found)
            at = end

    def _reassemble(
        self,
        node_id: NodeId,
        part: memoryview,
        packet_size: int,
        fragmented: int,
        continuation: int,
        count: int,
    ) -> memoryview | None:
        """Continue the message that this sender began; the message if this completes it."""
        assembly = self._assemblies.pop(node_id, None)
        if not continuation:
            return None  # whatever was begun will not go on
        if assembly is None or assembly.expected != continuation:
            LOG.debug(
                "fragmented continuation %u is not equal to assembly last_frag_num %u",
                continuation,
                assembly.expected if assembly else 0,
            )
            assembly = _Assembly()
        if assembly.complete and not assembly.keep(part, packet_size):
            self._refuse(node_id, "continues a message that is too long")
        if fragmented and count == 1:
            assembly.expected = fragmented
            self._assemblies[node_id] = assembly
            return None
        return memoryview(b"".join(assembly.parts)) if assembly.complete else None

    def _begin(self, node_id: NodeId, part: memoryview, packet_size: int, fragmented: int) -> None:
        assembly = self._assemblies[node_id] = _Assembly(fragmented, complete=True)
        assembly.keep(part, packet_size)

    def _refuse(self, node_id: NodeId, why: str) -> list[tuple[bytes, memoryview]]:
        self.malformed += 1
        LOG.warning("Message (totempg_mcast) received from node %u %s...  Ignoring.", node_id, why)
        return []


_ONE_GROUP: Final = (1, 1, GROUP_SERVICES)  # one group, whose name has one byte: nearly every message
_PEEK: Final = {order: struct.Struct(f"{order}HHs").unpack_from for order in "<>"}


def group_header(group: bytes) -> bytes:
    """The header of a message for one group, in our own byte order."""
    return struct.pack(f"=HH{len(group)}s", 1, len(group), group)


_SERVICES_HEADER: Final = group_header(GROUP_SERVICES)


def _parse_group(message: memoryview, order: str) -> tuple[bytes, memoryview] | None:
    """Group and contents of a message; None when its group header does not fit it."""
    if len(message) < 2:
        return None
    (count,) = struct.unpack_from(f"{order}H", message, 0)
    at = 2 + 2 * count
    if not count or len(message) < at:
        return None
    lengths = struct.unpack_from(f"{order}{count}H", message, 2)
    end = at + sum(lengths)
    if len(message) < end:
        return None
    names = []
    for length in lengths:
        names.append(bytes(message[at : at + length]))
        at += length
    known = [name for name in names if name in (GROUP_SERVICES, GROUP_SYNC)]
    return (known or names)[0], message[end:]
