"""Decodes recorded traffic with this implementation's own decoders, and counts what it finds.

    python3 -m mixed.replay FOLDER...    (in compat-tests/)

A folder holds link0.pcap[.gz], ... (Ethernet), corosync.conf, and authkey or authkey.* if it is encrypted;
with note.json, the counts are compared with the `decode_counts` there. Every packet is encoded again and
must give the same bytes.
"""

import gzip
import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pycorosync.errors import MalformedMessage
from pycorosync.knet.compress import decompress
from pycorosync.knet.crypto import Crypto, CryptoSettings
from pycorosync.knet.fragments import Reassembly
from pycorosync.knet.messages import DATA, PacketType
from pycorosync.knet.messages import decode as decode_knet
from pycorosync.knet.target import target_of
from pycorosync.totem.messages import MCAST, Mcast, MessageType, byte_order, decode
from pycorosync.totem.packing import GROUP_SYNC, Unpacker
from pycorosync.types import Buffer, RingId

TOTEM_NAMES = {
    MessageType.ORF_TOKEN: "totem.orf",
    MessageType.MCAST: "totem.mcast",
    MessageType.MERGE_DETECT: "totem.merge",
    MessageType.JOIN: "totem.join",
    MessageType.COMMIT_TOKEN: "totem.commit",
    MessageType.HOLD_CANCEL: "totem.hold_cancel",
}
EXEC_NAMES = {
    0: {0: "cmap.mcast"},
    1: {1: "cfg.killnode", 2: "cfg.shutdown", 3: "cfg.reload", 4: "cfg.crypto_reconfig"},
    2: {0: "cpg.procjoin", 1: "cpg.procleave", 2: "cpg.joinlist", 3: "cpg.mcast", 5: "cpg.downlist"},
    5: {0: "vq.nodeinfo", 1: "vq.reconfigure"},
}
SYNC_NAMES = {0: "barrier", 1: "service_build"}


class Capture:
    """One folder, counted in the words of note.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        text = (folder / "corosync.conf").read_text()
        self.knet = "transport: udp" not in text
        self._cryptos = list(_cryptos(folder))
        self._reassemblies: dict[tuple[int, int], Reassembly] = {}
        self._seen: set[tuple[int, int, RingId]] = set()
        self._unpacker = Unpacker()

    def run(self) -> None:
        packets = [packet for path in sorted(self.folder.glob("link*.pcap*")) for packet in udp_packets(path)]
        for _, source, payload in sorted(packets):
            self.counts["packets"] += 1
            try:
                self._knet(payload, source) if self.knet else self._frame(payload)
                self.counts["ok"] += 1
            except MalformedMessage as fault:
                self.faults.append(f"packet {self.counts['packets']}: {fault}")

    def _knet(self, datagram: bytes, source: tuple[bytes, bytes]) -> None:
        packet: Buffer = datagram
        if self._cryptos:
            packet = self._open(datagram)
        found = decode_knet(packet)
        if found.encode() != bytes(packet):
            raise MalformedMessage(f"encoded again, {found.type.name} differs")
        kind = found.type
        self.counts[f"knet.{kind.name.lower()}"] += 1
        if kind is not PacketType.DATA:
            return
        record = found.record
        self.counts[f"knet.compress={record.compression}"] += 1
        self.counts[f"bcast={record.broadcast}"] += 1
        body: Buffer | None = memoryview(packet)[DATA.size :]
        if record.fragment_count > 1:
            self.counts["frags"] += 1
            # Each receiver gets its own copies: the addresses tell them apart.
            key = (hash(source), record.header_node_id)
            reassembly = self._reassemblies.setdefault(key, Reassembly())
            body = reassembly.add(
                record.seq, record.fragment_count, record.fragment_number, bytes(body or b"")
            )
            if body is None:
                return
            self.counts["defragmented"] += 1
        assert body is not None
        if record.compression:
            body = decompress(record.compression, body)
            self.counts[f"decompressed.{record.compression}"] += 1
        target_of(body)
        self._frame(bytes(body))

    def _open(self, datagram: bytes) -> Buffer:
        for name, crypto in self._cryptos:
            packet = crypto.open(datagram)
            if packet is not None:
                self.counts["decrypted"] += 1
                self.counts[f"decrypted {name}"] += 1
                return packet
        raise MalformedMessage("no key opens it")

    def _frame(self, frame: bytes) -> None:
        kind, message = decode(frame)
        name = TOTEM_NAMES[kind]
        if isinstance(message, Mcast):
            self._mcast(message)
            head = MCAST.decode(frame[: MCAST.size], order=message.order)
            again = MCAST.encode(*head, order=message.order) + bytes(message.payload)
        else:
            target = struct.unpack_from(f"{byte_order(frame)}I", frame, 9)[0]
            again = message.encode(byte_order(frame), target)
        if again != frame:
            raise MalformedMessage(f"encoded again, {kind.name} differs: {frame.hex()} {again.hex()}")
        self.counts[name] += 1

    def _mcast(self, message: Mcast) -> None:
        """Unpack it, once: a frame is sent to several nodes, and again to who missed it."""
        if message.encapsulated == 1:
            self.counts["totem.mcast.encapsulated"] += 1
            message = decode(bytes(message.payload))[1]  # type: ignore[assignment]
        key = (message.system_from, message.seq, message.ring_id)
        if key in self._seen:
            return
        self._seen.add(key)
        payload = message.payload
        self.counts["pg.mcasts"] += 1
        self.counts["pg.fragmented"] += payload[4] != 0
        self.counts["pg.continued"] += payload[5] != 0
        self.counts["pg.packed>1"] += struct.unpack_from(f"{message.order}H", payload, 6)[0] > 1
        for group, data in self._unpacker.feed(message.system_from, payload, message.order):
            number = struct.unpack_from(f"{message.order}I", data, 0)[0]
            if group == GROUP_SYNC:
                name = f"sync.{SYNC_NAMES[number]}"
            else:
                name = EXEC_NAMES[number >> 16][number & 0xFFFF]
            self.counts["exec"] += 1
            self.counts[f"exec.{name}"] += 1
        if self._unpacker.malformed:
            raise MalformedMessage("its messages cannot be unpacked")


def _cryptos(folder: Path) -> Iterator[tuple[str, Crypto]]:
    """One for each configuration and key of the folder."""
    keys = [path.read_bytes() for path in sorted(folder.glob("authkey*"))]
    for path in sorted(folder.glob("corosync.conf*")):
        words = dict(
            line.split(": ", 1) for line in map(str.strip, path.read_text().splitlines()) if ": " in line
        )
        cipher, digest = words.get("crypto_cipher", "none"), words.get("crypto_hash", "none")
        for key in keys:
            settings = CryptoSettings("openssl", cipher.strip(), digest.strip(), key)
            if settings.enabled:
                yield f"{cipher}/{digest}", Crypto(settings, lambda size: bytes(size))


def udp_packets(path: Path) -> Iterator[tuple[float, tuple[bytes, bytes], bytes]]:
    """Time, addresses with ports, and payload of every datagram of a pcap file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1e9 if data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1e6
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length, _ = struct.unpack_from(f"{order}4I", data, at)
        packet = data[at + 16 : at + 16 + length]
        at += 16 + length
        ip = packet[14:]
        if packet[12:14] != b"\x08\x00" or ip[9] != 17:
            continue
        udp = ip[(ip[0] & 15) * 4 :]
        payload = udp[8 : struct.unpack_from(">H", udp, 4)[0]]
        yield seconds + fraction / unit, (ip[12:16] + udp[:2], ip[16:20] + udp[2:4]), payload


def main(folders: list[str]) -> int:
    failed = 0
    for folder in map(Path, folders):
        capture = Capture(folder)
        capture.run()
        note = folder / "note.json"
        expected = json.loads(note.read_text())["decode_counts"] if note.exists() else {}
        ours = capture.counts
        wrong = {key: (value, ours[key]) for key, value in expected.items() if ours[key] != value}
        failed += bool(wrong or capture.faults)
        print(
            folder.name, dict(ours) if not expected else f"{len(expected)} counts", "differ:", wrong or "none"
        )
        print(*capture.faults[:5], sep="\n", end="\n" if capture.faults else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
