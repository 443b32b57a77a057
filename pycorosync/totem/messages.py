"""The six messages of the ring (corosync: exec/totemsrp.c; protocol/totem.md).

All structures are packed. The sender writes in its own byte order and the header's magic tells which. Every
decoder checks the frame's length against the counts in it, and raises MalformedMessage.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from construct import Int8ul, Int16ul, Int32sl, Int32ul, Int64ul, Struct

from pycorosync.errors import MalformedMessage
from pycorosync.record import Record
from pycorosync.types import Buffer, NodeId, RingId
from pycorosync.wire.fixed import BIG, LITTLE, NATIVE, Fixed

MAGIC: Final = 0xC070
VERSION: Final = 3
NODES_MAX: Final = 384
RETRANSMIT_ENTRIES_MAX: Final = 30
FRAME_SIZE_MAX: Final = 65536
RING_SEQ_MASK: Final = 0xFFFFFFFFFFFFFFFF
# A ring number that leaves room for so many more rings. One near the end would have the next one begin anew
# below those that are known, and no node would accept it.
RING_SEQ_MAX = RING_SEQ_MASK - (1 << 34)

RECOVERY_COPY: Final = 1  # values of an mcast's `encapsulated`
ORIGINAL: Final = 2
LEAVING_NODE_ID: Final = 0  # in the header of a join message: the sender leaves


# Plain numbers for the data path, where looking up a member of an enumeration takes longer than the rest.
ORF_TOKEN_TYPE: Final = 0
MCAST_TYPE: Final = 1


class MessageType(IntEnum):
    ORF_TOKEN = ORF_TOKEN_TYPE  # ordering, reliability, flow control
    MCAST = MCAST_TYPE
    MERGE_DETECT = 2
    JOIN = 3
    COMMIT_TOKEN = 4
    HOLD_CANCEL = 5


HEADER = Struct(
    "magic" / Int16ul,
    "version" / Int8ul,
    "type" / Int8ul,
    "encapsulated" / Int8ul,
    "node_id" / Int32ul,
    "target" / Int32ul,  # of a token, set by the knet transport; udp and udpu leave garbage here
)
RING_ID = Struct("representative" / Int32ul, "seq" / Int64ul)

HEADER_ONLY = Fixed("TotemHeader", HEADER)
ORF_TOKEN = Fixed(
    "OrfToken",
    Struct(
        "header" / HEADER,
        "seq" / Int32ul,
        "token_seq" / Int32ul,
        "aru" / Int32ul,  # all received up to
        "aru_addr" / Int32ul,  # who set aru; 0 = nobody lacks anything
        "ring_id" / RING_ID,
        "backlog" / Int32ul,
        "fcc" / Int32ul,  # flow control count: packets of the last rotation
        "retrans_flg" / Int32sl,  # recovery is going on
        "retransmit_count" / Int32sl,
    ),
)
RETRANSMIT_ENTRY = Fixed("RetransmitEntry", Struct("ring_id" / RING_ID, "seq" / Int32ul))
MCAST = Fixed(
    "Mcast",
    Struct(
        "header" / HEADER,
        "system_from" / Int32ul,
        "seq" / Int32ul,
        "this_seqno" / Int32sl,
        "ring_id" / RING_ID,
        "node_id" / Int32ul,
        "guarantee" / Int32sl,
    ),
)
MERGE_DETECT = Fixed("MergeDetect", Struct("header" / HEADER, "system_from" / Int32ul, "ring_id" / RING_ID))
JOIN = Fixed(
    "Join",
    Struct(
        "header" / HEADER,
        "system_from" / Int32ul,
        "proc_count" / Int32ul,
        "failed_count" / Int32ul,
        "ring_seq" / Int64ul,
    ),
)
COMMIT_TOKEN = Fixed(
    "CommitToken",
    Struct(
        "header" / HEADER,
        "token_seq" / Int32ul,
        "ring_id" / RING_ID,
        "retrans_flg" / Int32ul,
        "memb_index" / Int32sl,
        "addr_count" / Int32sl,
    ),
)
COMMIT_ENTRY = Fixed(
    "CommitEntry",
    Struct("ring_id" / RING_ID, "aru" / Int32ul, "high_delivered" / Int32ul, "received_flg" / Int32ul),
)
HOLD_CANCEL = Fixed("HoldCancel", Struct("header" / HEADER, "ring_id" / RING_ID))
NODE_ID = Fixed("NodeId", Struct("node_id" / Int32ul))

HEADER_SIZE: Final = 13
ORF_TOKEN_SIZE: Final = 57
MCAST_SIZE: Final = 45
assert (HEADER_ONLY.size, ORF_TOKEN.size, MCAST.size) == (HEADER_SIZE, ORF_TOKEN_SIZE, MCAST_SIZE)
assert (RETRANSMIT_ENTRY.size, MERGE_DETECT.size) == (16, 29)
assert (JOIN.size, COMMIT_TOKEN.size, COMMIT_ENTRY.size, HOLD_CANCEL.size) == (33, 41, 24, 25)

# Bound once: these run for each packet.
_little_orf_token: Final = ORF_TOKEN.unpack_little
_big_orf_token: Final = ORF_TOKEN.unpack_big
_little_mcast: Final = MCAST.unpack_little
_big_mcast: Final = MCAST.unpack_big
_encode_orf_token: Final = ORF_TOKEN.encode_native
_write_mcast_header: Final = MCAST.pack_native


class OrfToken:
    """The regular token; a holder changes it and sends it on."""

    __slots__ = (
        "aru", "aru_addr", "backlog", "fcc", "node_id", "requests", "retrans_flg", "ring_id", "seq",
        "token_seq",
    )  # fmt: skip

    def __init__(
        self, *, node_id: NodeId, seq: int, token_seq: int, aru: int, aru_addr: NodeId, ring_id: RingId,
        backlog: int, fcc: int, retrans_flg: int, requests: list[tuple[RingId, int]],
    ) -> None:  # fmt: skip
        self.node_id = node_id
        self.seq = seq
        self.token_seq = token_seq
        self.aru = aru
        self.aru_addr = aru_addr
        self.ring_id = ring_id
        self.backlog = backlog
        self.fcc = fcc
        self.retrans_flg = retrans_flg
        self.requests = requests  # what is asked for again: ring and sequence number

    def encode(self, order: str = NATIVE, target: NodeId = 0) -> bytes:
        ring_id = self.ring_id
        pack = _encode_orf_token if order == NATIVE else ORF_TOKEN.encode_foreign
        head: bytes = pack(
            MAGIC, VERSION, ORF_TOKEN_TYPE, 0, self.node_id, target,
            self.seq, self.token_seq, self.aru, self.aru_addr, ring_id.representative, ring_id.seq,
            self.backlog, self.fcc, self.retrans_flg, len(self.requests),
        )  # fmt: skip
        if not self.requests:
            return head
        entries = [RETRANSMIT_ENTRY.encode(*ring, seq, order=order) for ring, seq in self.requests]
        return head + b"".join(entries)


class Mcast(Record):
    """A message of the ring as it is kept: the fields that matter, and the whole frame."""

    __match_args__ = (
        "node_id", "system_from", "seq", "ring_id", "encapsulated", "frame", "order",
    )  # fmt: skip
    __slots__ = __match_args__

    def __init__(
        self, node_id: NodeId, system_from: NodeId, seq: int, ring_id: RingId, encapsulated: int,
        frame: Buffer, order: str,
    ) -> None:  # fmt: skip
        self.node_id = node_id  # who delivers it
        self.system_from = system_from  # who originated it; node_id in every message that corosync sends
        self.seq = seq
        self.ring_id = ring_id
        self.encapsulated = encapsulated
        self.frame = frame
        self.order = order

    @property
    def payload(self) -> memoryview:
        return memoryview(self.frame)[MCAST_SIZE:]


class MergeDetect(NamedTuple):
    system_from: NodeId
    ring_id: RingId

    def encode(self, order: str = NATIVE, target: NodeId = 0) -> bytes:
        return MERGE_DETECT.encode(
            MAGIC, VERSION, MessageType.MERGE_DETECT, 0, self.system_from, target,
            self.system_from, *self.ring_id, order=order,
        )  # fmt: skip


class Join(NamedTuple):
    """Who I see and who I think has failed. A leave has node_id 0 and the leaver last in `failed`."""

    node_id: NodeId
    system_from: NodeId
    ring_seq: int
    proc: tuple[NodeId, ...]
    failed: tuple[NodeId, ...]

    @property
    def is_leave(self) -> bool:
        return self.node_id == LEAVING_NODE_ID

    def encode(self, order: str = NATIVE, target: NodeId = 0) -> bytes:
        head = JOIN.encode(
            MAGIC, VERSION, MessageType.JOIN, 0, self.node_id, target,
            self.system_from, len(self.proc), len(self.failed), self.ring_seq, order=order,
        )  # fmt: skip
        return head + _encode_node_ids(self.proc + self.failed, order)


class CommitEntry(NamedTuple):
    """What one member brings along from its old ring."""

    ring_id: RingId
    aru: int
    high_delivered: int
    received: int  # 1: it has every message of its old ring that anybody before it had

    @classmethod
    def empty(cls) -> "CommitEntry":
        return cls(RingId(0, 0), 0, 0, 0)


class CommitToken(NamedTuple):
    """Goes round the new ring twice: to collect each member's entry, and to tell all of them."""

    node_id: NodeId
    token_seq: int
    ring_id: RingId
    memb_index: int  # how many entries are filled
    members: tuple[NodeId, ...]
    entries: tuple[CommitEntry, ...]

    def encode(self, order: str = NATIVE, target: NodeId = 0) -> bytes:
        head = COMMIT_TOKEN.encode(
            MAGIC, VERSION, MessageType.COMMIT_TOKEN, 0, self.node_id, target,
            self.token_seq, *self.ring_id, 0, self.memb_index, len(self.members), order=order,
        )  # fmt: skip
        entries = [COMMIT_ENTRY.encode(*entry.ring_id, *entry[1:], order=order) for entry in self.entries]
        return head + _encode_node_ids(self.members, order) + b"".join(entries)


class HoldCancel(NamedTuple):
    node_id: NodeId
    ring_id: RingId

    def encode(self, order: str = NATIVE, target: NodeId = 0) -> bytes:
        return HOLD_CANCEL.encode(
            MAGIC, VERSION, MessageType.HOLD_CANCEL, 0, self.node_id, target, *self.ring_id, order=order
        )


Message = OrfToken | Mcast | MergeDetect | Join | CommitToken | HoldCancel


def decode(frame: Buffer) -> tuple[MessageType, Message]:
    """The message in a frame; raises MalformedMessage."""
    if len(frame) < HEADER_SIZE:
        raise MalformedMessage(f"Message received is too short...  Ignoring {len(frame)}.")
    order = byte_order(frame)
    if frame[2] != VERSION:
        raise MalformedMessage(f"Message received has unsupported version {frame[2]}... Ignoring")
    known = _DECODERS.get(frame[3])
    if known is None:
        raise MalformedMessage(f"Message received has wrong type...  ignoring {frame[3]}.")
    kind, decoder = known
    return kind, decoder(frame, order)


def byte_order(frame: Buffer) -> str:
    """The sender's byte order, by the magic in the first two bytes; raises MalformedMessage."""
    if frame[0] == 0x70 and frame[1] == 0xC0:
        return LITTLE
    if frame[0] == 0xC0 and frame[1] == 0x70:
        return BIG
    raise MalformedMessage(
        f"Message received has bad magic number (probably sent by {_guess(frame)}).. Ignoring"
    )


def decode_orf_token(frame: Buffer, order: str) -> OrfToken:
    if len(frame) < ORF_TOKEN_SIZE:
        raise ORF_TOKEN.too_short(frame)
    (_, _, _, _, node_id, _, seq, token_seq, aru, aru_addr, representative, ring_seq, backlog, fcc,
     retrans_flg, count) = (_little_orf_token if order == LITTLE else _big_orf_token)(frame, 0)  # fmt: skip
    _check_length("orf_token", frame, 0 <= count <= RETRANSMIT_ENTRIES_MAX, ORF_TOKEN_SIZE + 16 * count)
    requests = []
    if count:
        requests = [
            (_ring_id(rep, rep_seq), missing)
            for rep, rep_seq, missing in RETRANSMIT_ENTRY.iterate(memoryview(frame)[ORF_TOKEN_SIZE:], order)
        ]
    return OrfToken(
        node_id=node_id, seq=seq, token_seq=token_seq, aru=aru, aru_addr=aru_addr,
        ring_id=_ring_id(representative, ring_seq), backlog=backlog, fcc=fcc, retrans_flg=retrans_flg,
        requests=requests,
    )  # fmt: skip


def decode_mcast(frame: Buffer, order: str) -> Mcast:
    if len(frame) < MCAST_SIZE:
        raise MCAST.too_short(frame)
    (_, _, _, encapsulated, node_id, _, system_from, seq, _, representative, ring_seq, _, _) = (
        _little_mcast if order == LITTLE else _big_mcast
    )(frame, 0)
    if not node_id or not system_from or len(frame) > FRAME_SIZE_MAX:
        raise MalformedMessage("Received mcast message without a sender or too long...  ignoring.")
    return Mcast(node_id, system_from, seq, _ring_id(representative, ring_seq), encapsulated, frame, order)


def decode_merge_detect(frame: Buffer, order: str) -> MergeDetect:
    record = MERGE_DETECT.decode(frame, 0, order)
    _check_length("memb_merge_detect", frame, record.system_from != 0, MERGE_DETECT.size)
    return MergeDetect(record.system_from, RingId(record.ring_id_representative, record.ring_id_seq))


def decode_join(frame: Buffer, order: str) -> Join:
    record = JOIN.decode(frame, 0, order)
    proc_count, failed_count = record.proc_count, record.failed_count
    counts_fit = proc_count <= NODES_MAX and failed_count <= NODES_MAX and record.system_from != 0
    counts_fit = counts_fit and record.ring_seq <= RING_SEQ_MAX
    _check_length("memb_join", frame, counts_fit, JOIN.size + 4 * (proc_count + failed_count))
    node_ids = _decode_node_ids(memoryview(frame)[JOIN.size :], order)
    return Join(
        record.header_node_id,
        record.system_from,
        record.ring_seq,
        node_ids[:proc_count],
        node_ids[proc_count:],
    )


def decode_commit_token(frame: Buffer, order: str) -> CommitToken:
    record = COMMIT_TOKEN.decode(frame, 0, order)
    count, index = record.addr_count, record.memb_index
    size = COMMIT_TOKEN.size + (4 + COMMIT_ENTRY.size) * count
    counts_fit = 1 <= count <= NODES_MAX and 0 <= index <= count and record.ring_id_seq <= RING_SEQ_MAX
    _check_length("memb_commit_token", frame, counts_fit, size)
    entries_at = COMMIT_TOKEN.size + 4 * count
    members = _decode_node_ids(memoryview(frame)[COMMIT_TOKEN.size : entries_at], order)
    if len(set(members)) != count:
        raise MalformedMessage("Received memb_commit_token message names a member twice...  ignoring.")
    entries = tuple(
        CommitEntry(RingId(representative, seq), aru, high_delivered, received)
        for representative, seq, aru, high_delivered, received in COMMIT_ENTRY.iterate(
            memoryview(frame)[entries_at:], order
        )
    )
    ring_id = RingId(record.ring_id_representative, record.ring_id_seq)
    return CommitToken(record.header_node_id, record.token_seq, ring_id, index, members, entries)


def decode_hold_cancel(frame: Buffer, order: str) -> HoldCancel:
    record = HOLD_CANCEL.decode(frame, 0, order)
    _check_length("token_hold_cancel", frame, True, HOLD_CANCEL.size)
    return HoldCancel(record.header_node_id, RingId(record.ring_id_representative, record.ring_id_seq))


def write_mcast_header(
    frame: bytearray, node_id: NodeId, seq: int, this_seqno: int, ring_id: RingId, encapsulated: int
) -> None:
    """Fill in the first 45 bytes of a frame of ours, once its place in the order is known."""
    _write_mcast_header(
        frame, 0, MAGIC, VERSION, MCAST_TYPE, encapsulated, node_id, 0,
        node_id, seq, this_seqno, ring_id.representative, ring_id.seq, 0, 0,
    )  # fmt: skip


_DECODERS: dict[int, tuple[MessageType, Callable[[Buffer, str], Message]]] = {
    0: (MessageType.ORF_TOKEN, decode_orf_token),
    1: (MessageType.MCAST, decode_mcast),
    2: (MessageType.MERGE_DETECT, decode_merge_detect),
    3: (MessageType.JOIN, decode_join),
    4: (MessageType.COMMIT_TOKEN, decode_commit_token),
    5: (MessageType.HOLD_CANCEL, decode_hold_cancel),
}


def _check_length(name: str, frame: Buffer, counts_fit: bool, size: int) -> None:
    if not counts_fit:
        raise MalformedMessage(f"Received {name} message has impossible contents...  ignoring.")
    if len(frame) != size:
        fault = "short" if len(frame) < size else "long"
        raise MalformedMessage(f"Received {name} message is too {fault}...  ignoring.")


def _ring_id(representative: NodeId, seq: int) -> RingId:
    """The same object as last time if that was the same ring, as it nearly always is."""
    last = _last_ring_id[0]
    if last != (representative, seq):
        last = _last_ring_id[0] = RingId(representative, seq)
    return last


_last_ring_id: Final = [RingId(0, 0)]


def _encode_node_ids(node_ids: Iterable[NodeId], order: str) -> bytes:
    return b"".join(NODE_ID.encode(node_id, order=order) for node_id in node_ids)


def _decode_node_ids(data: memoryview, order: str) -> tuple[NodeId, ...]:
    node_ids = tuple(record.node_id for record in NODE_ID.iterate(data, order))
    if 0 in node_ids:
        raise MalformedMessage("a list of nodes contains node id 0")
    return node_ids


def _guess(frame: Buffer) -> str:
    """What may have sent a frame without our magic; a hint for the operator."""
    match frame[0], frame[1]:
        case 0xFF, 0xFF:
            return "Corosync 2.2"
        case 0xFE, 0xFE:
            return "Corosync 2.3+"
        case 0x01, _:
            return "unencrypted Kronosnet"
        case first, _ if first <= 5:
            return "unencrypted Corosync 2.0/2.1/1.x/OpenAIS"
    return "encrypted Kronosnet/Corosync 2.0/2.1/1.x/OpenAIS or unknown"
