"""Layouts against bytes of the real programs; see protocol/vectors/cpg."""

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.messages import group_name
from pycorosync.wire.fixed import BIG, LITTLE, Fixed
from tests.vectors import Vector, vectors

VECTORS = vectors("cpg")


def mask_of(layout: Fixed) -> bytes:
    """Ones where the layout has fields, zeros where it has holes."""
    return layout.encode(*layout.decode(b"\xff" * layout.size))


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_fields_are_where_the_real_programs_put_them(vector: Vector) -> None:
    record = vector.layout(messages).decode(vector.data, order=vector.order)
    for key, value in vector.fields.items():
        if "." in key or key == "data":
            continue
        if key == "group":
            assert group_name(record.group_length, record.group_value) == text(value)
        else:
            assert str(getattr(record, key)) == value, key


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_encoding_gives_the_same_bytes_outside_the_holes(vector: Vector) -> None:
    layout = vector.layout(messages)
    mask = mask_of(layout)
    expected = bytes(byte & bits for byte, bits in zip(vector.data, mask, strict=False))
    assert layout.encode(*layout.decode(vector.data, order=vector.order), order=vector.order) == expected


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.name == "JOINLIST"], ids=str)
def test_joinlist_entries(vector: Vector) -> None:
    entries = list(messages.JOINLIST_ENTRY.iterate(vector.data[messages.JOINLIST.size :]))
    found = [item for each in entries for item in (str(each.pid), name_text(each))]
    assert found == vector.items("entry")


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.items("address")], ids=str)
def test_addresses(vector: Vector) -> None:
    start = vector.layout(messages).size
    count = len({key.split(".")[1] for key in vector.fields if key.startswith("address.")})
    found = list(messages.ADDRESS.iterate(vector.data[start : start + count * messages.ADDRESS.size]))
    for place, address in enumerate(found):
        assert str(address.node_id) == vector.fields[f"address.{place}.node_id"]
        assert str(address.pid) == vector.fields[f"address.{place}.pid"]


def test_both_byte_orders_are_told_apart() -> None:
    little = messages.PROCJOIN.encode(1, 2, 3, b"abc", 4, 5, order=LITTLE)
    big = messages.PROCJOIN.encode(1, 2, 3, b"abc", 4, 5, order=BIG)
    assert little != big
    assert messages.PROCJOIN.decode(little, order=LITTLE) == messages.PROCJOIN.decode(big, order=BIG)


def test_a_name_ends_where_its_length_says() -> None:
    assert group_name(3, b"abc garbage") == b"abc"
    assert group_name(0, b"garbage") == b""
    assert group_name(128, b"x" * 128) == b"x" * 128


@pytest.mark.parametrize("length", [129, 0xFFFFFFFF])
def test_a_name_that_is_too_long_is_malformed(length: int) -> None:
    with pytest.raises(MalformedMessage):
        group_name(length, b"x" * 128)


def text(value: str) -> bytes:
    return value.encode().decode("unicode_escape").encode("latin-1")


def name_text(record: object) -> str:
    name = group_name(record.group_length, record.group_value)  # type: ignore[attr-defined]
    return name.decode("latin-1").encode("unicode_escape").decode()
