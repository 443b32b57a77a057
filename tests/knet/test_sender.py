"""What becomes of a message on its way out."""

import os

from pycorosync.knet.crypto import CryptoSettings, Keyring
from pycorosync.knet.messages import decode
from pycorosync.knet.sender import PING_EVERY_MESSAGES, Sender
from pycorosync.knet.settings import CompressionSettings
from pycorosync.knet.stats import HandleStats
from tests.knet.network import crypto, frame


def sender(settings: CryptoSettings) -> Sender:
    return Sender(5, Keyring(settings, os.urandom), HandleStats(), None)


def test_numbers_go_round_without_zero() -> None:
    one = sender(CryptoSettings())
    pings = []
    seen = []
    for _ in range(65_537):
        if one.next_seq():
            pings.append(one.seq)
        seen.append(one.seq)
    assert seen == [*range(1, 65_536), 1, 2]
    assert pings == [PING_EVERY_MESSAGES * times for times in range(1, 9)]
    assert PING_EVERY_MESSAGES == 8191


def test_clear_datagrams_are_headers_and_views() -> None:
    one = sender(CryptoSettings())
    one.next_seq()
    message = frame(bytes(3000))
    datagrams = one.prepare(message, 1446, broadcast=False)
    assert (len(datagrams), datagrams.per_datagram, datagrams.segment_size) == (3, 2, 1460)
    packet = decode(b"".join(next(iter(datagrams))))
    assert (packet.record.header_node_id, packet.record.seq, packet.record.broadcast) == (5, 1, 0)


def test_sealed_datagrams_have_one_size_but_the_last() -> None:
    one = sender(crypto())
    one.next_seq()
    datagrams = one.prepare(frame(bytes(4000)), 1397, broadcast=True)
    assert [sum(map(len, buffers)) for buffers in datagrams] == [1472, 1472, 1296]
    assert datagrams.segment_size == 1472
    assert one.seal(b"x" * 26) != b"x" * 26


def test_compression_can_be_changed() -> None:
    one = sender(CryptoSettings())
    message = frame(b"a" * 5000)
    sizes = []
    for model in ("none", "zlib", "none", "nonsense"):
        one.configure(CompressionSettings(model, 6, 0))
        one.next_seq()
        sizes.append(one.prepare(message, 1446, broadcast=True).size)
    assert sizes[1] < 200 < sizes[0] == sizes[2] == sizes[3]
