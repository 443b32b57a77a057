"""Declarations become codecs for both byte orders."""

from random import Random

import construct
import pytest
from construct import Aligned, Array, Bytes, Int8ul, Int16ul, Int32sl, Int32ul, Int64ul, Padding, Struct

from pycorosync.errors import MalformedMessage
from pycorosync.wire.fixed import BIG, LITTLE, Fixed

RING_ID = Struct("representative" / Int32ul, "seq" / Int64ul)
SAMPLE = Struct(
    "kind" / Int8ul,
    "id" / Aligned(8, Int32sl),
    "ring" / RING_ID,
    Padding(4),
    "name" / Bytes(5),
    "votes" / Int16ul,
)
SAMPLE_VALUES = (7, -2, 3, 2**40, b"abc", 515)


def test_nested_fields_are_flattened_and_padding_has_no_name() -> None:
    sample = Fixed("Sample", SAMPLE)
    assert sample.record._fields == ("kind", "id", "ring_representative", "ring_seq", "name", "votes")
    assert sample.size == 1 + 8 + 12 + 4 + 5 + 2


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_what_is_encoded_is_decoded(order: str) -> None:
    sample = Fixed("Sample", SAMPLE)
    record = sample.decode(b"??" + sample.encode(*SAMPLE_VALUES, order=order), 2, order)
    assert tuple(record) == (7, -2, 3, 2**40, b"abc\0\0", 515)


def test_the_bytes_are_those_that_construct_itself_would_make() -> None:
    values = {
        "kind": 7,
        "id": -2,
        "ring": {"representative": 3, "seq": 2**40},
        "name": b"abc\0\0",
        "votes": 515,
    }
    assert Fixed("Sample", SAMPLE).encode(*SAMPLE_VALUES) == SAMPLE.build(values)


def test_padding_is_sent_as_zeros_and_ignored_when_received() -> None:
    padded = Fixed("Padded", Struct("one" / Aligned(8, Int32ul), Padding(4)))
    assert padded.encode(1) == b"\1" + bytes(11)
    assert padded.decode(b"\1\0\0\0" + b"\xff" * 8).one == 1


@pytest.mark.parametrize("length", range(32))
def test_too_few_bytes_are_malformed(length: int) -> None:
    with pytest.raises(MalformedMessage):
        Fixed("Sample", SAMPLE).decode(bytes(length))


@pytest.mark.parametrize("offset", [-1000, -40, 1, 33, 10**9])
def test_an_offset_outside_is_malformed(offset: int) -> None:
    with pytest.raises(MalformedMessage):
        Fixed("Sample", SAMPLE).decode(bytes(32), offset)


def test_an_array_is_iterated_and_must_come_out_even() -> None:
    item = Fixed("Item", RING_ID)
    data = item.encode(1, 4) + item.encode(2, 8)
    assert [tuple(record) for record in item.iterate(data)] == [(1, 4), (2, 8)]
    with pytest.raises(MalformedMessage):
        list(item.iterate(data[:-1]))


@pytest.mark.parametrize("seed", range(10))
def test_random_values_survive_in_both_orders(seed: int) -> None:
    rng = Random(seed)
    sample = Fixed("Sample", SAMPLE)
    for order in (LITTLE, BIG):
        values = (
            rng.randrange(256),
            rng.randrange(-(2**31), 2**31),
            rng.randrange(2**32),
            rng.randrange(2**64),
            rng.randbytes(5),
            rng.randrange(2**16),
        )
        assert tuple(sample.decode(sample.encode(*values, order=order), 0, order)) == values, f"seed {seed}"


def test_a_layout_without_a_fixed_size_is_refused_when_it_is_declared() -> None:
    for layout in (Struct("list" / construct.GreedyRange(Int8ul)), Struct("list" / Array(3, Int8ul))):
        with pytest.raises(TypeError):
            Fixed("Odd", layout)
