"""Makes datagrams of messages: compress, cut, seal, once for all who get them (libknet: threads_tx.c)."""

from collections.abc import Callable
from typing import Final

from pycorosync.knet.compress import NO_MODEL, Compressor, Unusable
from pycorosync.knet.crypto import Keyring
from pycorosync.knet.dedup import SEQ_MASK
from pycorosync.knet.fragments import split
from pycorosync.knet.outputs import Datagrams
from pycorosync.knet.settings import CompressionSettings
from pycorosync.knet.stats import HandleStats
from pycorosync.log import subsystem
from pycorosync.types import Buffer, NodeId

KNET = subsystem("KNET")

# All links are pinged when the sequence number is a multiple of this, so that nodes to which no data goes can
# follow it.
PING_EVERY_MESSAGES: Final = SEQ_MASK // 8


class Sender:
    """One for the node: its messages have one sequence of numbers, whomever they are for."""

    def __init__(
        self, node_id: NodeId, keyring: Keyring, stats: HandleStats, stopwatch: Callable[[], int] | None
    ) -> None:
        self._node_id = node_id
        self._keyring = keyring
        self._stats = stats
        self._stopwatch = stopwatch
        self._compressor: Compressor | None = None
        self.seq = 0  # of the last message; 0 = there was none

    def configure(self, settings: CompressionSettings) -> None:
        """Compatibility: what cannot be used is logged, and messages go uncompressed (totemknet.c)."""
        self._compressor = None
        if settings.model == NO_MODEL:
            return
        try:
            self._compressor = Compressor(settings.model, settings.level, settings.threshold)
        except Unusable as fault:
            KNET.error("compress: %s", fault)

    def next_seq(self) -> bool:
        """Number a message; True if all links are to be pinged with this number."""
        self.seq = (self.seq + 1) & SEQ_MASK or 1
        return self.seq % PING_EVERY_MESSAGES == 0

    def prepare(self, message: Buffer, data_mtu: int, *, broadcast: bool) -> Datagrams:
        """The datagrams of a message that has its number."""
        message, compression = self._compress(message)
        buffers = split(message, data_mtu, self._node_id, self.seq, compression, broadcast=broadcast)
        crypto = self._keyring.active
        if crypto is None:
            return Datagrams(buffers, 2)
        stats = self._stats
        sealed: list[Buffer] = []
        for head, part in zip(buffers[::2], buffers[1::2], strict=True):
            began = self._stopwatch() if self._stopwatch else 0
            datagram = crypto.seal(head, part)
            if self._stopwatch:
                stats.measure("tx_crypt", self._stopwatch() - began, stats.tx_crypt_packets)
            stats.tx_crypt_packets += 1
            stats.tx_crypt_byte_overhead += len(datagram) - len(head) - len(part)
            sealed.append(datagram)
        return Datagrams(sealed, 1)

    def seal(self, packet: bytes) -> bytes:
        """One of the packets that keep links going, ready to go."""
        crypto = self._keyring.active
        if crypto is None:
            return packet
        self._stats.tx_crypt_packets += 1
        return crypto.seal(packet)

    def _compress(self, message: Buffer) -> tuple[Buffer, int]:
        """What to send instead, and the number of the model."""
        compressor = self._compressor
        if compressor is None:
            return message, 0
        stats = self._stats
        if len(message) > compressor.threshold:
            began = self._stopwatch() if self._stopwatch else 0
            compressed = compressor.compress(message)
            if self._stopwatch:
                stats.measure("tx_compress", self._stopwatch() - began, stats.tx_compressed_packets)
            stats.tx_compressed_packets += 1
            stats.tx_compressed_original_bytes += len(message)
            stats.tx_compressed_size_bytes += len(compressed)
            if len(compressed) < len(message):
                return compressed, compressor.model.number
        stats.tx_uncompressed_packets += 1
        return message, 0
