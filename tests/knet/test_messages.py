"""Layouts, and what is made of a ping or a probe."""

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.knet.messages import (
    PacketType,
    answer,
    decode,
    encode_ping,
    encode_probe,
    encode_size,
    sent_at,
)


def test_a_ping_and_its_pong() -> None:
    ping = encode_ping(258, 3, 12_345_678_901, 513, timed=True)
    assert ping[:7] == b"\x01\x81\x01\x02\x00\x00\x03"
    assert ping[23:] == b"\x02\x01\x01"
    pong = answer(ping, 1027)
    assert pong[:4] == b"\x01\x82\x04\x03"
    assert pong[4:] == ping[4:]
    assert sent_at(decode(pong).record.timestamp) == 12_345_678_901


def test_an_untimed_ping_says_so() -> None:
    assert encode_ping(1, 0, 0, 8191, timed=False)[-1] == 0


def test_a_probe_is_as_long_as_asked_and_its_reply_short() -> None:
    probe = encode_probe(1, 2, 1500, 1472)
    assert len(probe) == 1472
    assert probe[:9] == b"\x01\x83\x00\x01\x00\x00\x02" + encode_size(1500)
    assert not any(probe[9:])
    assert answer(probe, 2) == b"\x01\x84\x00\x02\x00\x00\x02" + encode_size(1500)


def test_a_longer_ping_is_answered_with_what_a_ping_has() -> None:
    assert len(answer(encode_ping(1, 0, 0, 0, timed=True) + b"later versions", 2)) == 26


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x01",
        b"\x01\x00\x00",
        b"\x02\x81" + bytes(24),
        b"\x01\x85" + bytes(24),
        b"\x01\x7f" + bytes(24),
        *(bytes((1, kind)) + bytes(length) for kind in (0x81, 0x82) for length in range(24)),
        *(bytes((1, kind)) + bytes(length) for kind in (0x83, 0x84) for length in range(7)),
        *(b"\x01\x00" + bytes(length) for length in range(12)),
    ],
)
def test_short_and_unknown_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(packet)


def test_types_of_links_have_the_high_bit() -> None:
    assert [kind for kind in PacketType if kind & 0x80] == [
        PacketType.PING,
        PacketType.PONG,
        PacketType.PMTUD,
        PacketType.PMTUD_REPLY,
    ]
