"""The cmap service's messages against bytes of real programs."""

import pytest

from pycorosync.services import service
from pycorosync.services.cmap import messages
from pycorosync.wire.fixed import Fixed
from tests.vectors import Vector, vectors

VECTORS = vectors("cmap")


def layout(vector: Vector) -> Fixed:
    found = service.RESPONSE_HEADER if vector.name == "RESPONSE_HEADER" else getattr(messages, vector.name)
    assert isinstance(found, Fixed)
    return found


def shown(vector: Vector) -> dict[str, str]:
    """The message's fields as a vector writes them."""
    kind = layout(vector)
    fields = kind.decode(vector.data, 0, vector.order)._asdict()
    if kind is service.RESPONSE_HEADER:
        fields = {f"header_{name}": value for name, value in fields.items()}
    rest = vector.data[kind.size :]
    if vector.name == "MCAST":
        item = messages.MCAST_ITEM.decode(rest, 0, vector.order)
        fields |= {f"item_{name}": value for name, value in item._asdict().items()}
        start = messages.MCAST_ITEM.size
        fields["item_value"] = rest[start : start + item.value_bytes].hex()
    elif vector.name == "NOTIFY_EVENT":
        fields["new"], fields["old"] = rest[: fields["new_bytes"]].hex(), rest[fields["new_bytes"] :].hex()
    elif vector.name in ("SET_REQUEST", "GET_RESPONSE"):
        fields["value"] = rest.hex()
    for name in [name for name in fields if name.endswith("key_value")]:
        fields[name.removesuffix("_value")] = messages.name_text(fields.pop(name))
    return {name: str(value) for name, value in fields.items() if value != ""}


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_fields(vector: Vector) -> None:
    assert int(vector.fields["header_size"]) == len(vector.data)
    assert shown(vector) == vector.fields


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_bytes_come_back(vector: Vector) -> None:
    kind = layout(vector)
    record = kind.decode(vector.data)
    again = kind.encode(*record)
    assert kind.decode(again) == record
    if vector.name.endswith("_REQUEST"):
        # libcmap zeroes what it sends.
        assert again == vector.data[: kind.size]


def test_every_layout_has_a_vector() -> None:
    declared = {name for name, value in vars(messages).items() if isinstance(value, Fixed)}
    # MCAST_ITEM is looked at inside of MCAST.
    assert declared - {vector.name for vector in VECTORS} == {"MCAST_ITEM"}


def test_names_end_at_their_zero() -> None:
    assert messages.name_text(b"abc\0def\0") == "abc"
    assert messages.name_text(b"x" * 256) == "x" * 256
    assert messages.name_text(b"\xff\0") == "\udcff"
    assert messages.name_fields("\udcff") == (1, b"\xff")
