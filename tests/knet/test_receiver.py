"""What becomes of a datagram on its way in."""

import logging
import os

import pytest

from pycorosync.knet.crypto import CryptoSettings, Keyring
from pycorosync.knet.fragments import split
from pycorosync.knet.messages import DATA
from pycorosync.knet.peer import Peer
from pycorosync.knet.receiver import Complaints, Receiver, text_of
from pycorosync.knet.settings import LinkMode
from pycorosync.knet.stats import HandleStats
from tests.knet.network import S, frame


def receiver() -> Receiver:
    return Receiver(2, Keyring(CryptoSettings(), os.urandom), HandleStats(), Complaints(), None)


def peer() -> Peer:
    one = Peer(1, LinkMode.PASSIVE)
    one.reachable = True
    return one


def data(
    body: bytes, seq: int = 1, count: int = 1, number: int = 0, compression: int = 0, channel: int = 0
) -> bytes:
    return DATA.encode_big(1, 0, 1, 0, seq, compression, 1, count, number, channel) + body


def test_one_message() -> None:
    one, sender = receiver(), peer()
    assert one.message(sender, data(frame(b"x")), 0) == frame(b"x")
    assert one.message(sender, data(frame(b"x")), 0) is None
    assert one.dropped.duplicate == 1
    assert sender.restarts.got_data


@pytest.mark.parametrize(
    "packet",
    [
        data(b""),
        data(frame(), seq=0),
        data(frame(), channel=1),
        data(frame(), channel=-1),
        data(frame(), count=0),
        data(frame(), count=0, number=1),
        data(frame(), number=2),
        data(frame(), count=2),
        data(frame(), count=2, number=3),
        data(b"no totem frame here"),
        data(frame()[:12]),
    ],
)
def test_malformed_packets(packet: bytes) -> None:
    one, sender = receiver(), peer()
    assert one.message(sender, packet, 0) is None
    assert one.dropped.malformed == 1
    assert one.message(sender, data(frame(b"good")), 0) == frame(b"good"), "its number is not used up"


def test_a_late_fragment_begins_nothing() -> None:
    one, sender = receiver(), peer()
    one.message(sender, data(frame(), seq=1000), 0)
    assert one.message(sender, data(b"part", seq=1000 - 33, count=2, number=1), 0) is None
    assert one.dropped.late == 1
    assert one.message(sender, data(b"part", seq=1000 - 32, count=2, number=1), 0) is None
    assert (one.dropped.late, len(sender.reassembly)) == (1, 1)


def test_a_message_that_was_given_up_is_not_begun_again() -> None:
    one, sender = receiver(), peer()
    one.message(sender, data(b"part", seq=10, count=3, number=1), 0)
    one.message(sender, data(frame(), seq=50), 0)  # 10 is too far behind now
    for _ in range(3):
        one.message(sender, data(b"part", seq=10, count=3, number=2), 0)
    assert one.dropped.late == 3


def test_memory_for_one_peer_is_bounded() -> None:
    one, sender = receiver(), peer()
    for seq in range(1, 60_000, 7):
        one.message(sender, data(bytes(1400), seq=seq, count=46, number=2), 0)
    assert len(sender.reassembly) <= 32


def test_fragments_of_a_compressed_message() -> None:
    import zlib

    one, sender = receiver(), peer()
    message = frame(os.urandom(3000))
    buffers = split(zlib.compress(message), 500, 1, 9, 1, broadcast=True)
    packets = [bytes(head) + bytes(part) for head, part in zip(buffers[::2], buffers[1::2], strict=True)]
    assert [one.message(sender, packet, 0) for packet in packets[:-1]] == [None] * (len(packets) - 1)
    assert one.message(sender, packets[-1], 0) == message


def test_messages_that_decompress_to_too_much_are_dropped() -> None:
    import zlib

    one = receiver()
    for size in (65_536 - 13 + 1, 10_000_000):
        assert one.message(peer(), data(zlib.compress(frame(bytes(size))), compression=1), 0) is None
    assert (one.dropped.malformed, one.dropped.undecodable) == (1, 1)
    assert one.message(peer(), data(zlib.compress(frame(bytes(65_523))), compression=1), 0) is not None


def test_complaints_come_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for now_ns in (0, 1, S - 1, S, S + 1, 5 * S):
        complaints.log("a", now_ns, logging.ERROR, "one %d", now_ns)
        complaints.log("b", now_ns, logging.ERROR, "other")
    assert [record.getMessage() for record in caplog.records if "one" in record.getMessage()] == [
        "one 0", f"one {S}", f"one {5 * S}",
    ]  # fmt: skip


def test_addresses_as_text() -> None:
    assert text_of(("10.0.0.1", 5405)) == "10.0.0.1:5405"
    assert text_of(("fe80::1", 5405, 0, 2)) == "fe80::1:5405"
    assert text_of("socket") == "socket"
