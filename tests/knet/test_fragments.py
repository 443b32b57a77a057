"""Cutting and putting together."""

import random

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.knet.fragments import AGE_MAX, BUFFERS_MAX, DATA_MTU_MIN, Reassembly, split
from pycorosync.knet.messages import PAYLOAD_MAX, decode


def parts(message: bytes, size: int) -> list[bytes]:
    return [message[at : at + size] for at in range(0, len(message), size)]


def feed(reassembly: Reassembly, seq: int, pieces: list[bytes], order: list[int]) -> bytes | None:
    result = None
    for number in order:
        assert result is None
        result = reassembly.add(seq, len(pieces), number, memoryview(pieces[number - 1]))
    return None if result is None else bytes(result)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (1000, 1), (1001, 2), (2000, 2), (65536, 66)])
def test_split(size: int, count: int) -> None:
    message = random.Random(size).randbytes(size)
    buffers = split(message, 1000, 300, 77, 3, broadcast=True)
    packets = [
        decode(bytes(head) + bytes(part)) for head, part in zip(buffers[::2], buffers[1::2], strict=True)
    ]
    assert b"".join(packet.body for packet in packets) == message
    numbers = [packet.record.fragment_number for packet in packets]
    assert numbers == (list(range(1, count + 1)) if count > 1 else [0])
    for packet in packets:
        record = packet.record
        assert (record.header_node_id, record.seq, record.compression) == (300, 77, 3)
        assert (record.broadcast, record.fragment_count, record.channel) == (1, count, 0)


def test_the_smallest_fragments_can_be_counted() -> None:
    assert len(split(bytes(PAYLOAD_MAX), DATA_MTU_MIN, 1, 1, 0, broadcast=False)) == 2 * 255


@pytest.mark.parametrize("seed", range(20))
def test_fragments_in_any_order(seed: int) -> None:
    rng = random.Random(seed)
    message = rng.randbytes(rng.randrange(1001, 65537))
    pieces = parts(message, rng.choice([482, 1000, 1397, 1446, 8946]))
    if len(pieces) == 1:
        return
    order = list(range(1, len(pieces) + 1))
    rng.shuffle(order)
    assert feed(Reassembly(), seed + 1, pieces, order) == message, f"seed {seed}"


@pytest.mark.parametrize("order", [[1, 2], [2, 1]])
def test_the_last_fragment_may_be_as_long_as_the_others(order: list[int]) -> None:
    assert feed(Reassembly(), 1, [b"a" * 100, b"b" * 100], order) == b"a" * 100 + b"b" * 100


def test_repeated_fragments_are_ignored() -> None:
    reassembly = Reassembly()
    pieces = parts(bytes(range(250)), 100)
    assert feed(reassembly, 1, pieces, [3, 3, 1, 1, 3]) is None
    assert feed(reassembly, 1, pieces, [2]) == bytes(range(250))
    assert len(reassembly) == 0


@pytest.mark.parametrize(
    ("count", "number", "size"),
    [
        (0, 0, 10),
        (1, 1, 10),
        (0, 1, 10),
        (2, 0, 10),
        (2, 3, 10),
        (255, 0, 10),
        (2, 255, 10),
        (2, 1, 0),
        (2, 2, 0),
    ],
)
def test_impossible_numbers_are_refused(count: int, number: int, size: int) -> None:
    reassembly = Reassembly()
    with pytest.raises(MalformedMessage):
        reassembly.add(1, count, number, bytes(size))
    assert len(reassembly) == 0


def test_every_count_and_number_is_survived() -> None:
    reassembly = Reassembly()
    for count in range(256):
        for number in range(256):
            try:
                assert reassembly.add(count * 256 + number + 1, count, number, bytes(3)) is None
            except MalformedMessage:
                assert count < 2 or not 1 <= number <= count
    assert len(reassembly) <= BUFFERS_MAX


def test_fragments_that_do_not_fit_together_are_refused_alone() -> None:
    reassembly = Reassembly()
    assert reassembly.add(1, 3, 1, bytes(100)) is None
    for count, number, size in ((3, 2, 99), (3, 2, 101), (3, 3, 101), (4, 2, 100)):
        with pytest.raises(MalformedMessage):
            reassembly.add(1, count, number, bytes(size))
    assert reassembly.add(1, 3, 2, bytes(100)) is None
    assert feed(reassembly, 1, [b"", b"", bytes(7)], [3]) == bytes(207)


def test_a_parked_last_fragment_that_is_too_long_shows_later() -> None:
    reassembly = Reassembly()
    reassembly.add(1, 2, 2, bytes(200))
    with pytest.raises(MalformedMessage):
        reassembly.add(1, 2, 1, bytes(100))


def test_messages_that_are_too_long_are_refused() -> None:
    with pytest.raises(MalformedMessage):
        Reassembly().add(1, 255, 1, bytes(1400))
    with pytest.raises(MalformedMessage):
        Reassembly().add(1, 3, 1, bytes(40_000))
    reassembly = Reassembly()
    reassembly.add(1, 2, 1, bytes(65_000))
    with pytest.raises(MalformedMessage):
        reassembly.add(1, 2, 2, bytes(537))
    assert len(reassembly) == 0
    reassembly.add(2, 2, 1, bytes(65_000))
    assert feed(reassembly, 2, [b"", bytes(536)], [2]) == bytes(65_536)


def test_what_has_waited_longest_makes_room() -> None:
    reassembly = Reassembly()
    for seq in range(1, BUFFERS_MAX + 1):
        reassembly.add(seq, 3, 1, bytes(10))
    reassembly.add(1, 3, 2, bytes(10))  # is touched again
    reassembly.add(100, 3, 1, bytes(10))
    assert len(reassembly) == BUFFERS_MAX
    assert 1 in reassembly
    assert 2 not in reassembly
    assert feed(reassembly, 1, [b"", b"", bytes(10)], [3]) == bytes(30)


@pytest.mark.parametrize("newest", [20_000, 10, 65_530])
def test_what_is_far_behind_or_ahead_is_given_up(newest: int) -> None:
    reassembly = Reassembly()
    for distance in (0, 1, AGE_MAX - 1, AGE_MAX, 200, -1):
        reassembly.add((newest - distance) & 0xFFFF, 2, 1, bytes(10))
    reassembly.expire(newest)
    kept = [distance for distance in (0, 1, 32, 33, 200, -1) if (newest - distance) & 0xFFFF in reassembly]
    assert kept == [0, 1, 32]
    reassembly.clear()
    assert len(reassembly) == 0
