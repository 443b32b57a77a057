"""The quorum service's messages against bytes of real programs."""

import struct

import pytest

from pycorosync.services.quorum import messages
from pycorosync.wire.fixed import Fixed
from tests.vectors import Vector, vectors

VECTORS = vectors("quorum")


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_fields(vector: Vector) -> None:
    record = vector.layout(messages).decode(vector.data)
    assert record.header_size == len(vector.data)
    for name, value in record._asdict().items():
        assert str(value) == vector.fields[name], name


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_lists_begin_right_behind_the_head(vector: Vector) -> None:
    kind = vector.layout(messages)
    items = [*vector.items("member"), *vector.items("joined_node"), *vector.items("left_node")]
    found = struct.unpack_from(f"<{len(items)}I", vector.data, kind.size)
    assert [str(item) for item in found] == items
    if items:
        assert len(vector.data) == kind.size + 4 * len(items) + len(messages.LIST_TAIL)


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_bytes_come_back(vector: Vector) -> None:
    kind = vector.layout(messages)
    record = kind.decode(vector.data)
    assert kind.decode(kind.encode(*record)) == record


def test_every_layout_has_a_vector() -> None:
    declared = {name for name, value in vars(messages).items() if isinstance(value, Fixed)}
    # A bare header.
    assert declared - {vector.name for vector in VECTORS} == {"PLAIN_REQUEST"}
