"""Packets of real nodes are read as what they hold, and made again byte for byte."""

from collections.abc import Iterator

import pytest

from pycorosync.knet.compress import MODELS, decompress
from pycorosync.knet.crypto import CryptoSettings
from pycorosync.knet.fragments import split
from pycorosync.knet.messages import Packet, PacketType, decode
from tests.knet.replay import Datagram, Replay
from tests.vectors import Vector, vectors

ALL = vectors("knet")
KEYS = {vector.fields["name"]: vector.data for vector in ALL if vector.name == "KEY"}
PACKETS = [vector for vector in ALL if vector.name not in ("KEY", "SEALED")]
SEALED = [vector for vector in ALL if vector.name == "SEALED"]


def title(vector: Vector) -> str:
    """With the compression's name, so that who lacks one can leave its packets out (pytest -k "not lzo2")."""
    names = {str(model.number): model.name for model in MODELS}
    return "-".join([str(vector), *filter(None, [names.get(vector.fields.get("compression", ""))])])


def check_fields(vector: Vector, packet: Packet) -> None:
    for name, text in vector.fields.items():
        if name in ("key", "cipher", "hash", "type", "message_size"):
            continue
        value = getattr(packet.record, name, None)
        if value is None:
            value = getattr(packet.record, f"header_{name}")
        assert (value.hex() if isinstance(value, bytes) else str(value)) == text, name


@pytest.mark.parametrize("vector", PACKETS, ids=title)
def test_clear_packets(vector: Vector) -> None:
    packet = decode(vector.data)
    assert packet.type is PacketType[vector.name]
    assert packet.encode() == vector.data
    check_fields(vector, packet)
    if "message_size" in vector.fields:
        message = decompress(packet.record.compression, packet.body)
        assert len(message) == int(vector.fields["message_size"])
        assert message[:2] == b"\x70\xc0"


@pytest.mark.parametrize("vector", SEALED, ids=str)
def test_sealed_packets(vector: Vector) -> None:
    settings = CryptoSettings(
        "nss", vector.fields["cipher"], vector.fields["hash"], KEYS[vector.fields["key"]]
    )
    packet = Replay([settings]).feed(Datagram("", "", vector.data))  # opens it, and seals it again
    assert packet.type is PacketType[vector.fields["type"]]
    check_fields(vector, packet)


def messages() -> Iterator[list[Vector]]:
    """The vectors of each fragmented message."""
    found: list[Vector] = []
    for vector in (one for one in PACKETS if one.file == "fragments.txt"):
        found.append(vector)
        if vector.fields["fragment_number"] == vector.fields["fragment_count"]:
            yield found
            found = []


@pytest.mark.parametrize("fragments", list(messages()), ids=len)
def test_fragmented_messages(fragments: list[Vector]) -> None:
    replay = Replay()
    for vector in fragments:
        replay.feed(Datagram("", "", vector.data))  # also cuts what comes out again
    assert replay.counts["defragmented"] == 1
    first = decode(fragments[0].data)
    body = b"".join(decode(vector.data).body for vector in fragments)
    buffers = split(body, len(first.body), first.record.header_node_id, first.record.seq, 0, broadcast=True)
    assert len(buffers) == 2 * len(fragments)


def test_every_kind_is_there() -> None:
    assert {vector.name for vector in PACKETS} == {kind.name for kind in PacketType}
    compressed = {int(vector.fields.get("compression", 0)) for vector in PACKETS}
    assert compressed == set(range(8))
    assert {(vector.fields["cipher"], vector.fields["hash"]) for vector in SEALED} == {
        ("aes256", "sha256"),
        ("aes128", "sha512"),
        ("aes192", "sha1"),
        ("none", "md5"),
        ("none", "sha384"),
    }
