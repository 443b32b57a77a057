"""The six messages: real bytes in both directions, both byte orders, and everything that is not a message."""

import random
import struct
from collections.abc import Callable

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.totem.messages import (
    NODES_MAX,
    ORIGINAL,
    RECOVERY_COPY,
    CommitEntry,
    CommitToken,
    HoldCancel,
    Join,
    Mcast,
    MergeDetect,
    Message,
    MessageType,
    OrfToken,
    decode,
    write_mcast_header,
)
from pycorosync.types import RingId
from pycorosync.wire.fixed import BIG, LITTLE, NATIVE
from tests.vectors import Vector, vectors

RING = RingId(1, 5)


def token(**changes: object) -> OrfToken:
    fields: dict[str, object] = {
        "node_id": 1, "seq": 7, "token_seq": 3, "aru": 6, "aru_addr": 2, "ring_id": RING,
        "backlog": 4, "fcc": 5, "retrans_flg": 1, "requests": [(RING, 7), (RingId(2, 9), 1)],
    }  # fmt: skip
    return OrfToken(**{**fields, **changes})  # type: ignore[arg-type]


def fields_of(message: Message) -> object:
    """Something that compares by value."""
    if isinstance(message, OrfToken):
        return {name: getattr(message, name) for name in OrfToken.__slots__}
    return message


Encodable = OrfToken | MergeDetect | Join | CommitToken | HoldCancel

SAMPLES: list[Encodable] = [
    token(),
    token(requests=[]),
    MergeDetect(3, RING),
    Join(2, 2, 17, (1, 2, 3), (4,)),
    Join(0, 2, 17, (1,), (3, 2)),
    CommitToken(1, 2, RING, 1, (1, 2), (CommitEntry(RingId(1, 1), 9, 8, 1), CommitEntry.empty())),
    HoldCancel(2, RING),
]


@pytest.mark.parametrize("vector", vectors("totem"), ids=str)
def test_real_frames_decode_and_encode_to_the_same_bytes(vector: Vector) -> None:
    kind, message = decode(vector.data)
    assert kind.name == vector.name
    for name, text in vector.fields.items():
        if "." not in name and name != "this_seqno":
            assert as_text(getattr(message, name)) == text, name
    for index, text in enumerate(vector.items("request")):
        assert isinstance(message, OrfToken)
        ring_id, seq = message.requests[index]
        assert f"{ring_id.representative}.{ring_id.seq} {seq}" == text
    for index, text in enumerate(vector.items("entry")):
        assert isinstance(message, CommitToken)
        assert " ".join(as_text(value) for value in message.entries[index]) == text
    target = int(vector.fields["header.target"])
    if isinstance(message, Mcast):
        assert rewritten(vector, message, target) == vector.data
    else:
        assert message.encode(vector.order, target) == vector.data


def as_text(value: object) -> str:
    match value:
        case RingId(representative, seq):
            return f"{representative}.{seq}"
        case tuple():
            return " ".join(map(str, value))
    return str(value)


def rewritten(vector: Vector, message: Mcast, target: int) -> bytes:
    """The frame with a header that we wrote."""
    frame = bytearray(len(message.frame))
    frame[45:] = message.payload
    seqno = int(vector.fields["this_seqno"])
    write_mcast_header(frame, message.node_id, message.seq, seqno, message.ring_id, message.encapsulated)
    struct.pack_into("<I", frame, 9, target)
    return bytes(frame)


@pytest.mark.parametrize("order", [LITTLE, BIG])
@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_both_byte_orders(message: Encodable, order: str) -> None:
    frame = message.encode(order)
    assert frame[:2] == (b"\x70\xc0" if order == LITTLE else b"\xc0\x70")
    assert fields_of(decode(frame)[1]) == fields_of(message)


def test_the_largest_cluster_fits() -> None:
    everybody = tuple(range(1, NODES_MAX + 1))
    join = Join(1, 1, 5, everybody, everybody)
    assert decode(join.encode())[1] == join
    commit = CommitToken(1, 1, RING, 0, everybody, (CommitEntry.empty(),) * NODES_MAX)
    assert decode(commit.encode())[1] == commit


def test_an_mcast_of_ours_is_written_in_our_order() -> None:
    frame = bytearray(45) + b"payload"
    write_mcast_header(frame, 3, 0xFFFFFFFE, 11, RING, RECOVERY_COPY)
    message = decode(frame)[1]
    assert isinstance(message, Mcast)
    assert message == Mcast(3, 3, 0xFFFFFFFE, RING, RECOVERY_COPY, frame, NATIVE)
    assert bytes(message.payload) == b"payload"


def test_an_mcast_of_the_other_order_keeps_its_bytes() -> None:
    head = struct.pack(">HBBBIIIIiIQIi", 0xC070, 3, 1, ORIGINAL, 9, 0, 9, 77, 1, 1, 5, 0, 0)
    message = decode(head + b"xyz")[1]
    assert isinstance(message, Mcast)
    assert (message.node_id, message.seq, message.ring_id, message.order) == (9, 77, RING, BIG)
    assert bytes(message.payload) == b"xyz"


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_every_other_length_is_refused(message: Encodable, order: str) -> None:
    frame = message.encode(order)
    for length in range(len(frame)):
        with pytest.raises(MalformedMessage):
            decode(frame[:length])
    with pytest.raises(MalformedMessage):
        decode(frame + b"\0")


def test_every_truncated_mcast_header_is_refused() -> None:
    frame = bytearray(45)
    write_mcast_header(frame, 1, 1, 0, RING, ORIGINAL)
    for length in range(45):
        with pytest.raises(MalformedMessage):
            decode(frame[:length])
    assert decode(frame)[0] is MessageType.MCAST


def patched(message: Encodable, offset: int, value: int) -> bytes:
    frame = bytearray(message.encode(LITTLE))
    struct.pack_into("<I", frame, offset, value)
    return bytes(frame)


JOIN, COMMIT = SAMPLES[3], SAMPLES[5]
HUGE = (0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@pytest.mark.parametrize(
    "frame",
    [
        *(patched(SAMPLES[0], 53, count) for count in (0, 1, 3, 31, *HUGE)),  # entries of a token
        *(patched(JOIN, 17, count) for count in (0, 2, 4, NODES_MAX + 1, *HUGE)),  # proc of a join
        *(patched(JOIN, 21, count) for count in (0, 2, NODES_MAX + 1, *HUGE)),  # failed
        *(patched(COMMIT, 37, count) for count in (0, 1, 3, NODES_MAX + 1, *HUGE)),  # of a commit token
        *(patched(COMMIT, 33, index) for index in (3, *HUGE)),  # its index
        patched(COMMIT, 41, 2),  # a member twice
        patched(JOIN, 33, 0),  # node 0 in a list
        patched(JOIN, 13, 0),  # sent by nobody
        patched(SAMPLES[2], 13, 0),
        patched(JOIN, 29, 0xFFFFFFFF),  # a ring number at the end of all numbers
        patched(COMMIT, 25, 0xFFFFFFFF),
    ],
)  # fmt: skip
def test_impossible_counts_are_refused(frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(frame)


def test_two_counts_whose_sum_wraps_are_refused() -> None:
    frame = bytearray(JOIN.encode(LITTLE))
    struct.pack_into("<II", frame, 17, 0x80000002, 0x80000002)
    with pytest.raises(MalformedMessage):
        decode(bytes(frame))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: b"\xff\xff" + frame[2:], "Corosync 2.2"),
        (lambda frame: b"\xfe\xfe" + frame[2:], "Corosync 2.3+"),
        (lambda frame: b"\x01\x00" + frame[2:], "unencrypted Kronosnet"),
        (lambda frame: b"\x04\x00" + frame[2:], "1.x/OpenAIS"),
        (lambda frame: b"\x99\x99" + frame[2:], "encrypted"),
        (lambda frame: frame[:2] + b"\x02" + frame[3:], "unsupported version 2"),
        (lambda frame: frame[:3] + b"\x06" + frame[4:], "wrong type"),
        (lambda _frame: b"", "too short"),
    ],
)
def test_foreign_packets_are_named(change: Callable[[bytes], bytes], says: str) -> None:
    with pytest.raises(MalformedMessage, match="(?i)" + says.replace("+", r"\+")):
        decode(change(SAMPLES[2].encode(LITTLE)))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_frames_decode_or_are_refused(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        frame = bytearray(rng.choice(SAMPLES).encode(rng.choice([LITTLE, BIG])))
        for _ in range(rng.randrange(1, 6)):
            frame[rng.randrange(len(frame))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        frame = frame[: rng.randrange(len(frame) + 1)] if rng.random() < 0.3 else frame
        try:
            message = decode(bytes(frame))[1]
        except MalformedMessage:
            continue
        if not isinstance(message, Mcast):
            message.encode()  # what was accepted can be sent on
