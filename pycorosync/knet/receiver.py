"""Makes messages of datagrams: open, put together, decompress, each once (libknet: threads_rx.c)."""

from collections.abc import Callable
from typing import Final

from pycorosync.errors import MalformedMessage
from pycorosync.knet.compress import decompress
from pycorosync.knet.crypto import Keyring
from pycorosync.knet.dedup import behind
from pycorosync.knet.fragments import AGE_MAX
from pycorosync.knet.messages import DATA, DATA_SIZE, PAYLOAD_MAX
from pycorosync.knet.outputs import Address
from pycorosync.knet.peer import Peer
from pycorosync.knet.stats import Dropped, HandleStats
from pycorosync.knet.target import ALL, target_of
from pycorosync.log import ERROR, subsystem
from pycorosync.types import Buffer, NodeId

KNET = subsystem("KNET")

_decode_data: Final = DATA.unpack_big

COMPLAIN_EVERY_NS: Final = 1_000_000_000


class Complaints:
    """Log lines that peers, or strangers, make us write as often as they like: one of each kind a second."""

    def __init__(self) -> None:
        self._last_ns: dict[str, int] = {}

    def log(self, about: str, now_ns: int, level: int, text: str, *args: object) -> None:
        last_ns = self._last_ns.get(about)
        if last_ns is None or now_ns - last_ns >= COMPLAIN_EVERY_NS:
            self._last_ns[about] = now_ns
            KNET.log(level, text, *args)


class Receiver:
    """One for the node; what it must remember of each peer is in Peer."""

    def __init__(
        self,
        node_id: NodeId,
        keyring: Keyring,
        stats: HandleStats,
        complaints: Complaints,
        stopwatch: Callable[[], int] | None,
    ) -> None:
        self._node_id = node_id
        self._keyring = keyring
        self._stats = stats
        self._complaints = complaints
        self._stopwatch = stopwatch
        self.dropped = Dropped()

    def open(self, datagram: Buffer, source: Address, now_ns: int) -> Buffer | None:
        """The packet; `datagram` itself if it came clear, None if it is to be dropped."""
        if not self._keyring.has_keys:
            return datagram
        began = self._stopwatch() if self._stopwatch else 0
        packet = self._keyring.open(datagram)
        if packet is None:
            self.dropped.unsealed += 1
            for crypto in self._keyring.candidates():
                text = "%scrypto: Digest does not match. Check crypto key and configuration."
                self._complaints.log("digest", now_ns, ERROR, text, crypto.model)
            text = "rx: Unable to decrypt packet from %s (size %d)!"
            self._complaints.log("decrypt", now_ns, ERROR, text, text_of(source), len(datagram))
        elif self._stopwatch and packet is not datagram:
            self._stats.measure("rx_crypt", self._stopwatch() - began, self._stats.rx_crypt_packets)
        return packet

    def message(self, peer: Peer, packet: Buffer, now_ns: int) -> Buffer | None:
        """The message that this data packet completes, if it does, can be read and is for us.

        The packet comes from an address of the peer's. It counts as seen only if it is returned.
        """
        dropped = self.dropped
        if not peer.reachable:
            dropped.unreachable += 1
            return None
        if len(packet) <= DATA_SIZE:
            dropped.malformed += 1
            return None
        _, _, _, _, seq, compression, _, count, number, channel = _decode_data(packet, 0)
        if not seq or channel:
            dropped.malformed += 1
            return None
        peer.restarts.got_data = True
        if not peer.window.admits(seq):
            dropped.duplicate += 1
            return None
        body: Buffer | None = memoryview(packet)[DATA_SIZE:]
        if count != 1:
            body = self._assemble(peer, seq, count, number, packet)
        elif number > 1:
            dropped.malformed += 1
            return None
        if body is not None and compression:
            body = self._decompress(peer, compression, body, now_ns)
        if body is None or not self._is_for_us(body):
            return None
        peer.window.mark(seq)
        return body

    def _assemble(self, peer: Peer, seq: int, count: int, number: int, packet: Buffer) -> Buffer | None:
        """The message, if this fragment completes it."""
        reassembly, newest = peer.reassembly, peer.window.newest
        reassembly.expire(newest)
        if seq not in reassembly and (behind(newest, seq) >= AGE_MAX or not peer.window.begin(seq)):
            self.dropped.late += 1
            return None
        try:
            return reassembly.add(seq, count, number, memoryview(packet)[DATA_SIZE:])
        except MalformedMessage as fault:
            self.dropped.malformed += 1
            KNET.debug("rx: host: %d: %s", peer.node_id, fault)
            return None

    def _decompress(self, peer: Peer, compression: int, body: Buffer, now_ns: int) -> Buffer | None:
        stats = self._stats
        began = self._stopwatch() if self._stopwatch else 0
        try:
            message = decompress(compression, body)
        except MalformedMessage as fault:
            self.dropped.undecodable += 1
            text = "compress: %s (host: %d)"
            self._complaints.log("compress", now_ns, ERROR, text, fault, peer.node_id)
            return None
        if self._stopwatch:
            stats.measure("rx_compress", self._stopwatch() - began, stats.rx_compressed_packets)
        stats.rx_compressed_packets += 1
        stats.rx_compressed_original_bytes += len(message)
        stats.rx_compressed_size_bytes += len(body)
        return message

    def _is_for_us(self, message: Buffer) -> bool:
        try:
            target = target_of(message)
        except MalformedMessage:
            self.dropped.malformed += 1
            return False
        if len(message) > PAYLOAD_MAX:
            self.dropped.malformed += 1
            return False
        if target != ALL and target != self._node_id:
            self.dropped.for_others += 1
            return False
        return True


def text_of(address: Address) -> str:
    """As knet prints the usual (host, port, ...)."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) > 1 else str(address)
