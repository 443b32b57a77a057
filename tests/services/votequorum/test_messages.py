"""The votequorum service's messages against bytes of real programs."""

import pytest

from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import DEVICE_NAME_SIZE, name_in, shown
from pycorosync.wire.fixed import BIG, LITTLE, Fixed
from tests.vectors import Vector, vectors

VECTORS = vectors("votequorum")
RING = ("NODE_INFO", "RECONFIGURE", "DEVICE_REGISTRATION", "DEVICE_RENAME", "EXTRA_INFO")


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_fields(vector: Vector) -> None:
    record = vector.layout(messages).decode(vector.data)
    assert record.header_size == len(vector.data)
    for name, value in record._asdict().items():
        text = shown(name_in(value) or b"") if isinstance(value, bytes) else str(value)
        assert text == vector.fields.get(name, ""), name


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_lists_begin_behind_the_head(vector: Vector) -> None:
    kind = vector.layout(messages)
    tail = vector.data[kind.size :]
    if "length" in vector.fields:
        assert tail[: int(vector.fields["length"])].rstrip(b"\0").decode() == vector.fields["info"]
        return
    nodes, states = vector.items("node"), vector.items("state")
    if states:
        assert [tuple(map(str, record)) for record in messages.NODE_STATE.iterate(tail)] == list(
            zip(nodes, states, strict=True)
        )
    else:
        assert [str(int.from_bytes(tail[at : at + 4], "little")) for at in range(0, len(tail), 4)] == nodes


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_bytes_come_back(vector: Vector) -> None:
    kind = vector.layout(messages)
    record = kind.decode(vector.data)
    assert kind.decode(kind.encode(*record)) == record


@pytest.mark.parametrize("name", RING)
def test_messages_of_nodes_exist_in_both_byte_orders(name: str) -> None:
    vector = next(vector for vector in VECTORS if vector.name == name)
    kind = vector.layout(messages)
    record = kind.decode(vector.data, 0, LITTLE)
    assert kind.decode(kind.encode(*record, order=BIG), 0, BIG) == record


def test_every_layout_has_a_vector() -> None:
    declared = {name for name, value in vars(messages).items() if isinstance(value, Fixed)}
    assert declared - {vector.name for vector in VECTORS} == {"NODE_STATE"}  # an item of a list


def test_names_end_at_their_nul() -> None:
    assert name_in(b"Qdevice\0garbage".ljust(DEVICE_NAME_SIZE, b"x")) == b"Qdevice"
    assert name_in(bytes(DEVICE_NAME_SIZE)) == b""
    assert name_in(b"x" * DEVICE_NAME_SIZE) is None
    assert shown(b"caf\xc3\xa9\xff") == "café\ufffd"
