"""Packing and unpacking: whatever goes in comes out, whatever else comes in is refused."""

import random
import struct

import pytest

from pycorosync.totem.packing import (
    FULL,
    GROUP_SERVICES,
    GROUP_SYNC,
    MESSAGE_SIZE_MAX,
    TOO_BIG,
    Packer,
    QueueLevel,
    Room,
    Unpacker,
    group_header,
)
from pycorosync.wire.fixed import BIG, LITTLE

KNET, UDP = 65446, 1410


def normal(payload: int = KNET) -> tuple[Packer, Unpacker]:
    """A packer and an unpacker after the first synchronization."""
    packer, unpacker = Packer(payload), Unpacker()
    packer.end_sync()
    unpacker.end_sync()
    return packer, unpacker


def frames_of(packer: Packer, flush: bool = True) -> list[bytearray]:
    if flush:
        packer.flush()
    return [packer.next_frame() for _ in range(packer.backlog)]


def carry(packer: Packer, unpacker: Unpacker, node_id: int = 1) -> list[tuple[bytes, bytes]]:
    found = []
    while not packer.idle:
        for frame in frames_of(packer):
            found += [(g, bytes(m)) for g, m in unpacker.feed(node_id, memoryview(frame)[45:])]
    return found


def packet(
    *parts: bytes, fragmented: int = 0, continuation: int = 0, order: str = LITTLE, group: bytes | None = b"a"
) -> memoryview:
    """A packet as a peer sends it."""
    if group is not None:
        head = struct.pack(f"{order}HH", 1, len(group)) + group
        parts = tuple(head + part for part in parts)
    data = struct.pack(f"{order}hhBBH", 0, 0, fragmented, continuation, len(parts))
    data += struct.pack(f"{order}{len(parts)}H", *map(len, parts)) + b"".join(parts)
    return memoryview(data)


def test_layout_of_a_packet() -> None:
    packer, _ = normal()
    assert packer.add(b"head", memoryview(b"body"))
    assert packer.add(b"x")
    (frame,) = frames_of(packer)
    assert frame[:45] == bytes(45)
    assert frame[45:] == (
        b"\0\0\0\0" b"\0\0" b"\x02\0" b"\x0d\0" b"\x06\0" b"\x01\0\x01\0aheadbody" b"\x01\0\x01\0ax"
    )  # fmt: skip


def test_a_body_may_change_after_it_was_added() -> None:
    packer, unpacker = normal()
    for size in (10, 3 * KNET):
        body = bytearray(b"x" * size)
        assert packer.add(b"", memoryview(body))
        body[:] = b"y" * size
        assert carry(packer, unpacker) == [(b"a", b"x" * size)]


def test_a_large_message_that_fits_a_packet_is_not_split() -> None:
    packer, unpacker = normal()
    for size in (100, 40_000, 40_000, 100):
        assert packer.add(b"", bytes(size))
    frames = frames_of(packer)
    assert [struct.unpack_from("<BBH", frame, 49) for frame in frames] == [(0, 0, 2), (0, 0, 1), (0, 0, 1)]
    found = [len(m) for frame in frames for _, m in unpacker.feed(1, memoryview(frame)[45:])]
    assert found == [100, 40_000, 40_000, 100]


def test_whole_messages_are_views_into_the_frame() -> None:
    packer, unpacker = normal()
    packer.add(b"one")
    packer.add(b"two")
    (frame,) = frames_of(packer)
    messages = unpacker.feed(1, memoryview(frame)[45:])
    assert [message.obj is frame for _, message in messages] == [True, True]


@pytest.mark.parametrize("payload", [KNET, UDP])
@pytest.mark.parametrize("less", [0, 1, 2, 3, 7, 8, 9, 15, 16, 100, 1000, 1399, 1400, 1401, 2048])
def test_largest_messages_and_their_neighbours(payload: int, less: int) -> None:
    # T08: the end of a large message together with what follows it.
    packer, unpacker = normal(payload)
    rng = random.Random(less)
    sizes = [MESSAGE_SIZE_MAX - 5 - less, less, 1, MESSAGE_SIZE_MAX - 4096 + less]
    sent = []
    received = []
    for size in sizes:
        message = rng.randbytes(size)
        assert packer.add(b"", message)
        sent.append((b"a", message))
        if rng.random() < 0.5:
            received += carry(packer, unpacker)
    received += carry(packer, unpacker)
    assert received == sent


@pytest.mark.parametrize("seed", range(30))
def test_random_messages_come_out_as_they_went_in(seed: int) -> None:
    rng = random.Random(seed)
    packer, unpacker = normal(rng.choice([KNET, UDP, 64, 200]))
    largest = min(packer._payload_size * 40, 1_000_000)
    sent, received = [], []
    for _ in range(200):
        size = rng.choice([0, 1, rng.randrange(100), rng.randrange(2000), rng.randrange(largest)])
        message = rng.randbytes(size)
        cut = rng.randrange(size + 1)
        group = rng.choice([GROUP_SERVICES, GROUP_SERVICES, GROUP_SYNC])
        if packer.add(message[:cut], memoryview(message)[cut:], group=group):
            sent.append((group, message))
        else:
            received += carry(packer, unpacker)
        if rng.random() < 0.3:
            received += carry(packer, unpacker)
    received += carry(packer, unpacker)
    assert received == sent, f"seed {seed}"


@pytest.mark.parametrize("payload", [KNET, UDP, 64])
def test_no_frame_is_larger_than_it_may_be(payload: int) -> None:
    packer, _ = normal(payload)
    rng = random.Random(payload)
    for _ in range(300):
        packer.add(b"", rng.randbytes(rng.randrange(3 * payload)))
        for frame in frames_of(packer, flush=rng.random() < 0.2):
            assert len(frame) <= 45 + payload


def test_the_queue_is_bounded_and_says_so() -> None:
    packer, unpacker = normal()
    assert packer.available == 62
    big = bytes(60_000)
    taken = 0
    while packer.add(b"", big):
        taken += 1
        assert taken < 100
    assert packer.room(60_000) is Room.FULL
    assert packer.reserve(60_000) == FULL
    assert packer.room(2_000_000) is Room.TOO_BIG
    assert packer.reserve(2_000_000) == TOO_BIG
    assert len(carry(packer, unpacker)) == taken
    assert packer.room(60_000) is Room.FITS


def test_what_does_not_fit_at_all_leaves_no_trace() -> None:
    packer, unpacker = normal()
    packer.add(b"before")
    assert not packer.add(b"", bytes(MESSAGE_SIZE_MAX + 1))
    packer.add(b"after")
    assert [message for _, message in carry(packer, unpacker)] == [b"before", b"after"]


def test_reservations_count_until_they_are_released() -> None:
    packer, _ = normal()
    assert packer.reserved == 1
    packets = packer.reserve(100_000)
    assert packets == 2
    assert packer.reserved == 3
    packer.release(packets)
    packer.release(TOO_BIG)
    assert packer.reserved == 1


def test_queue_level_has_hysteresis() -> None:
    packer, _ = normal()
    levels = [packer.level()]
    while packer.add(b"", bytes(65_000)):
        packer.flush()
        levels.append(packer.level())
    assert levels[0] is QueueLevel.LOW
    rising = list(dict.fromkeys(levels))
    assert rising == [QueueLevel.LOW, QueueLevel.GOOD, QueueLevel.HIGH, QueueLevel.CRITICAL]
    # From 75 % on it is critical; between the bands the previous level stays.
    first = {level: levels.index(level) for level in rising}
    assert (first[QueueLevel.GOOD], first[QueueLevel.HIGH], first[QueueLevel.CRITICAL]) == (23, 36, 45)
    falling = []
    while packer.backlog:
        packer.next_frame()
        falling.append(packer.level())
    assert falling[-1] is QueueLevel.LOW
    assert list(dict.fromkeys(falling)) == [
        QueueLevel.CRITICAL, QueueLevel.HIGH, QueueLevel.GOOD, QueueLevel.LOW,
    ]  # fmt: skip


def test_messages_of_the_synchronization_overtake_waiting_ones() -> None:
    packer, unpacker = normal()
    packer.add(b"waits")
    packer.begin_sync()
    unpacker.begin_sync()
    assert packer.in_sync
    packer.add(b"barrier", group=GROUP_SYNC)
    assert carry(packer, unpacker) == [(GROUP_SYNC, b"barrier")]
    assert packer.idle
    packer.end_sync()
    unpacker.end_sync()
    assert carry(packer, unpacker) == [(b"a", b"waits")]


def test_a_large_message_continues_after_the_synchronization() -> None:
    packer, unpacker = normal(UDP)
    large = random.Random(1).randbytes(10_000)
    packer.add(b"", large)
    packer.add(b"small")
    first = packer.next_frame()
    assert unpacker.feed(1, memoryview(first)[45:]) == []
    packer.begin_sync()
    unpacker.begin_sync()
    packer.add(b"barrier", bytes(3000), group=GROUP_SYNC)
    assert [group for group, _ in carry(packer, unpacker)] == [GROUP_SYNC]
    packer.end_sync()
    unpacker.end_sync()
    assert carry(packer, unpacker) == [(b"a", large), (b"a", b"small")]


def test_after_a_change_the_end_of_a_large_message_travels_alone() -> None:
    # corosync throws away the whole packet if it has not seen the beginning.
    packer, _ = normal(UDP)
    packer.add(b"", bytes(3000))
    packer.add(b"next")
    packer.next_frame()
    packer.begin_sync()
    packer.end_sync()
    counts = [struct.unpack_from("<BBH", frame, 49) for frame in frames_of(packer)]
    assert counts == [(2, 1, 1), (0, 2, 1), (0, 0, 1)]


def test_left_over_messages_of_the_synchronization_are_sent_afterwards() -> None:
    packer, unpacker = normal()
    packer.begin_sync()
    packer.add(b"late", group=GROUP_SERVICES)
    packer.end_sync()
    assert not packer.in_sync
    assert carry(packer, unpacker) == [(b"a", b"late")]


def test_a_starting_node_synchronizes_first() -> None:
    assert Packer(KNET).in_sync


def test_senders_do_not_disturb_each_other() -> None:
    one, two = normal(UDP)[0], normal(UDP)[0]
    unpacker = normal()[1]
    a, b = random.Random(1).randbytes(5000), random.Random(2).randbytes(5000)
    one.add(b"", a)
    two.add(b"", b)
    found = []
    for left, right in zip(frames_of(one), frames_of(two), strict=True):
        found += [bytes(m) for _, m in unpacker.feed(1, memoryview(left)[45:])]
        found += [bytes(m) for _, m in unpacker.feed(2, memoryview(right)[45:])]
    assert found == [a, b]


def test_a_departed_node_continues_nothing() -> None:
    packer, unpacker = normal(UDP)
    packer.add(b"", bytes(5000))
    packer.add(b"whole")
    first, *rest = frames_of(packer)
    unpacker.feed(1, memoryview(first)[45:])
    unpacker.drop([1])
    found = [bytes(m) for frame in rest for _, m in unpacker.feed(1, memoryview(frame)[45:])]
    assert found == [b"whole"]


def test_messages_behind_an_end_without_beginning_are_kept() -> None:
    unpacker = normal()[1]
    assert [bytes(m) for _, m in unpacker.feed(1, packet(b"end", b"whole", continuation=3))] == [b"whole"]


def test_a_fragment_that_is_not_continued_is_forgotten() -> None:
    unpacker = normal()[1]
    assert unpacker.feed(1, packet(b"begins", fragmented=1)) == []
    assert [bytes(m) for _, m in unpacker.feed(1, packet(b"whole"))] == [b"whole"]
    assert unpacker.feed(1, packet(b"late", continuation=1, group=None)) == []


def test_a_wrong_continuation_does_not_join_strangers() -> None:
    unpacker = normal()[1]
    unpacker.feed(1, packet(b"begins", fragmented=1))
    assert unpacker.feed(1, packet(b"other", continuation=2, group=None)) == []


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_packets_of_both_byte_orders(order: str) -> None:
    unpacker = normal()[1]
    found = unpacker.feed(1, packet(b"one", b"two", order=order), order)
    found += unpacker.feed(1, packet(b"be", fragmented=7, order=order), order)
    found += unpacker.feed(1, packet(b"gun", b"\x00", continuation=7, order=order, group=None), order)
    assert [bytes(m) for _, m in found] == [b"one", b"two", b"begun"]
    assert unpacker.malformed == 1  # the message without a group


def test_a_message_for_several_groups() -> None:
    unpacker = normal()[1]
    message = struct.pack("<HHH", 2, 5, 1) + b"other" + b"a" + b"contents"
    ((group, contents),) = unpacker.feed(1, packet(message, group=None))
    assert (group, bytes(contents)) == (b"a", b"contents")


def test_group_header() -> None:
    assert group_header(b"sync") == struct.pack("=HH", 1, 4) + b"sync"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(7),
        bytes(packet(b"x"))[:-1],
        bytes(packet(b"x")) + b"y",
        struct.pack("<hhBBH", 0, 0, 0, 0, 0xFFFF),
        struct.pack("<hhBBHH", 0, 0, 0, 0, 1, 0xFFFF) + b"x",
        struct.pack("<hhBBH", 0, 0, 1, 0, 0),
        struct.pack("<hhBBH", 0, 0, 0, 1, 0),
        bytes(packet(b"", group=None)),
        bytes(packet(b"\1", group=None)),
        bytes(packet(b"\0\0a", group=None)),
        bytes(packet(b"\xff\xff\1\0", group=None)),
        bytes(packet(b"\1\0\xff\xffa", group=None)),
    ],
)
def test_malformed_packets_are_counted_and_give_nothing(payload: bytes) -> None:
    # T11: none of the length fields is believed.
    unpacker = normal()[1]
    assert unpacker.feed(1, memoryview(payload)) == []
    assert unpacker.malformed == 1


def test_an_endless_message_is_not_collected() -> None:
    unpacker = normal()[1]
    unpacker.feed(1, packet(bytes(60_000), fragmented=1))
    for _ in range(100):
        assert unpacker.feed(1, packet(bytes(60_000), fragmented=1, continuation=1, group=None)) == []
    assert unpacker._normal[1].parts == []
    assert unpacker.feed(1, packet(b"end", continuation=1, group=None)) == []
    assert [bytes(m) for _, m in unpacker.feed(1, packet(b"fresh"))] == [b"fresh"]


def test_endless_tiny_fragments_are_not_collected() -> None:
    unpacker = normal()[1]
    unpacker.feed(1, packet(b"x", fragmented=1))
    for _ in range(5000):
        unpacker.feed(1, packet(b"x", fragmented=1, continuation=1, group=None))
    assert unpacker._normal[1].parts == []


@pytest.mark.parametrize("seed", range(20))
def test_damaged_packets_do_no_harm(seed: int) -> None:
    rng = random.Random(seed)
    packer, unpacker = normal(200)
    for _ in range(300):
        packer.add(b"", rng.randbytes(rng.randrange(400)))
        for frame in frames_of(packer, flush=rng.random() < 0.5):
            payload = frame[45:]
            for _ in range(rng.randrange(4)):
                payload[rng.randrange(len(payload))] = rng.choice([0, 1, 0xFF, rng.randrange(256)])
            payload = payload[: rng.randrange(len(payload) + 1)] if rng.random() < 0.2 else payload
            for _, message in unpacker.feed(rng.randrange(3), memoryview(payload), rng.choice([LITTLE, BIG])):
                assert len(message) <= MESSAGE_SIZE_MAX + 65536
    # And afterwards it still works.
    unpacker.drop([0, 1, 2])
    packer, _ = normal()
    packer.add(b"fine")
    assert carry(packer, unpacker) == [(b"a", b"fine")]
