"""Values, their bytes and their limits."""

import struct

import pytest

from pycorosync.cmap import values
from pycorosync.cmap.values import Entry, ValueType
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError

INTEGERS = sorted(values.INTEGER_RANGE)


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_keep_to_their_range(kind: ValueType) -> None:
    lowest, highest = values.INTEGER_RANGE[kind]
    for value in (lowest, 0, highest):
        assert values.checked(kind, value) == value
        assert values.decode(kind, values.encode(Entry(kind, value))) == Entry(kind, value)
    for value in (lowest - 1, highest + 1):
        with pytest.raises(ClientError) as caught:
            values.checked(kind, value)
        assert caught.value.code is CsError.INVALID_PARAM


@pytest.mark.parametrize("kind", ValueType)
def test_a_value_of_the_wrong_python_type_is_refused(kind: ValueType) -> None:
    wrong: values.Value = 1 if kind in (ValueType.STRING, ValueType.BINARY) else "1"
    with pytest.raises(ClientError):
        values.checked(kind, wrong)


def test_a_float_is_rounded_to_32_bits() -> None:
    assert values.checked(ValueType.FLOAT, 0.1) == struct.unpack("f", struct.pack("f", 0.1))[0] != 0.1
    assert values.checked(ValueType.DOUBLE, 0.1) == 0.1
    with pytest.raises(ClientError):
        values.checked(ValueType.FLOAT, 1e300)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a" * 16384, True), ("a" * 16385, False), ("ä" * 8192, True), ("ä" * 8193, False), ("a\0", False)],
)
def test_strings_are_limited_in_bytes_and_have_no_zero(text: str, fits: bool) -> None:
    if fits:
        assert values.checked(ValueType.STRING, text) == text
    else:
        with pytest.raises(ClientError):
            values.checked(ValueType.STRING, text)


@pytest.mark.parametrize(
    ("data", "text"), [(b"", ""), (b"ab", "ab"), (b"ab\0", "ab"), (b"\0", ""), (b"\xff\0", "\udcff")]
)
def test_a_string_ends_at_its_zero_or_its_length(data: bytes, text: str) -> None:
    entry = values.decode(ValueType.STRING, data)
    assert entry == Entry(ValueType.STRING, text)
    assert values.encode(entry) == data.rstrip(b"\0") + b"\0"
    assert values.size(entry) == len(values.encode(entry))


@pytest.mark.parametrize("data", [b"a\0b", b"\0\0", b"ab\0\0"])
def test_a_string_may_not_go_on_behind_its_zero(data: bytes) -> None:
    with pytest.raises(ClientError):
        values.decode(ValueType.STRING, data)


@pytest.mark.parametrize("kind", [0, 13, 255])
def test_unknown_types_are_refused_even_without_bytes(kind: int) -> None:
    with pytest.raises(ClientError):
        values.decode(kind, b"")


@pytest.mark.parametrize("kind", sorted(values.NUMBER_CODEC))
def test_numbers_have_exactly_their_size(kind: ValueType) -> None:
    length = values.NUMBER_CODEC[kind].size
    for wrong in (0, length - 1, length + 1):
        with pytest.raises(ClientError):
            values.decode(kind, bytes(wrong))
    assert values.size(values.decode(kind, bytes(length))) == length


def test_sameness_is_that_of_type_and_bytes() -> None:
    nan, zero = Entry(ValueType.DOUBLE, float("nan")), Entry(ValueType.DOUBLE, 0.0)
    assert values.same(nan, Entry(ValueType.DOUBLE, float("nan")))
    assert not values.same(zero, Entry(ValueType.DOUBLE, -0.0))
    assert not values.same(Entry(ValueType.UINT8, 1), Entry(ValueType.UINT16, 1))
    assert values.same(Entry(ValueType.BINARY, b"x"), Entry(ValueType.BINARY, b"x"))


@pytest.mark.parametrize(
    ("kind", "start", "step", "result"),
    [
        (ValueType.UINT8, 255, 1, 0),
        (ValueType.UINT8, 0, -1, 255),
        (ValueType.INT8, 127, 1, -128),
        (ValueType.INT32, -(2**31), -1, 2**31 - 1),
        (ValueType.UINT64, 2**64 - 1, 2, 1),
        (ValueType.UINT16, 7, 65536, 7),
    ],
)
def test_adjusting_wraps_round(kind: ValueType, start: int, step: int, result: int) -> None:
    assert values.adjusted(Entry(kind, start), step) == Entry(kind, result)


@pytest.mark.parametrize(
    "entry", [Entry(ValueType.FLOAT, 1.0), Entry(ValueType.STRING, "1"), Entry(ValueType.BINARY, b"1")]
)
def test_only_integers_can_be_adjusted(entry: Entry) -> None:
    with pytest.raises(ClientError) as caught:
        values.adjusted(entry, 1)
    assert caught.value.code is CsError.INVALID_PARAM


def test_figures_that_outgrew_their_type_are_cut() -> None:
    assert values.wrapped(ValueType.UINT32, 2**32 + 5) == Entry(ValueType.UINT32, 5)
    assert values.wrapped(ValueType.UINT32, -1) == Entry(ValueType.UINT32, 2**32 - 1)
    assert values.wrapped(ValueType.STRING, "x") == Entry(ValueType.STRING, "x")
