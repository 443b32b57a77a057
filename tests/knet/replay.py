"""Takes every datagram of recorded traffic apart with our code and makes it again.

    python -m tests.knet.replay FOLDER...

A folder holds link0.pcap.gz ... and note.json as the test vectors' maker wrote them: with the keys, and with
the counts that another decoder reached (`decode_counts`), to compare with. Used by test_vectors.py too.
"""

import gzip
import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pycorosync.knet.compress import decompress
from pycorosync.knet.crypto import CIPHER_KEY_SIZES, NONE, SALT_SIZE, Crypto, CryptoSettings
from pycorosync.knet.fragments import Reassembly, split
from pycorosync.knet.messages import Packet, PacketType, answer, decode, encode_probe, encode_size


class Datagram(NamedTuple):
    source: str
    destination: str
    payload: bytes


def datagrams(path: Path) -> Iterator[Datagram]:
    """The UDP datagrams over IPv4 of a classic pcap file with Ethernet frames."""
    with gzip.open(path) as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at < len(data):
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        frame = data[at + 16 : at + 16 + length]
        at += 16 + length
        if frame[12:14] == b"\x08\x00" and frame[23] == 17:
            start = 14 + (frame[14] & 15) * 4
            size = struct.unpack_from(">H", frame, start + 4)[0]
            source, destination = (".".join(map(str, frame[at : at + 4])) for at in (26, 30))
            yield Datagram(source, destination, frame[start + 8 : start + size])


def seal_again(settings: CryptoSettings, datagram: bytes, packet: bytes) -> bytes:
    """Seal with the salt that `datagram` has, which a new stream takes if it is decrypted before."""
    if settings.cipher == NONE:
        return Crypto(settings, lambda size: b"").seal(packet)
    key = settings.key[: CIPHER_KEY_SIZES[settings.cipher]]
    salt = datagram[:SALT_SIZE]
    seed = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor().update(salt)
    return Crypto(settings, lambda size: seed).seal(packet)


@dataclass
class Replay:
    """What has been seen so far; AssertionError for the first thing that does not come out the same."""

    keys: list[CryptoSettings] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _openers: list[Crypto] = field(default_factory=list)
    _assemblies: dict[tuple[str, int], Reassembly] = field(default_factory=dict)
    _parts: dict[tuple[str, int, int], list[bytes]] = field(default_factory=dict)
    _pings: dict[tuple[bytes, str], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._openers = [Crypto(settings, lambda size: bytes(size)) for settings in self.keys]

    def feed(self, datagram: Datagram) -> Packet:
        self.counts["packets"] += 1
        clear = self._open(datagram.payload)
        packet = decode(clear)
        assert packet.encode() == clear, f"{packet} is made differently"
        name = packet.type.name.lower()
        self.counts[f"knet.{name}"] += 1
        if packet.type is PacketType.DATA:
            self._on_data(datagram, packet, clear)
        elif packet.type in (PacketType.PING, PacketType.PMTUD):
            if packet.type is PacketType.PMTUD:
                record = packet.record
                size = int.from_bytes(record.size, "little")
                assert encode_probe(record.header_node_id, record.link, size, len(clear)) == clear
                assert encode_size(size) == record.size
            self._pings[clear[4:9], datagram.source + datagram.destination] = clear
        else:
            self._on_answer(datagram, packet, clear)
        self.counts["ok"] += 1
        return packet

    def _open(self, datagram: bytes) -> bytes:
        if not self.keys:
            return datagram
        for settings, crypto in zip(self.keys, self._openers, strict=True):
            if (opened := crypto.open(datagram)) is not None:
                clear = bytes(opened)
                assert seal_again(settings, datagram, clear) == datagram
                self.counts["decrypted"] += 1
                self.counts[f"decrypted {settings.cipher}/{settings.hash}"] += 1
                return clear
        raise AssertionError("no key opens this datagram")

    def _on_answer(self, datagram: Datagram, packet: Packet, clear: bytes) -> None:
        """Pongs and replies are what we would have answered."""
        asked = self._pings.get((clear[4:9], datagram.destination + datagram.source))
        if asked is not None and asked[4 : len(clear)] == clear[4:]:
            assert answer(asked, packet.record.header_node_id) == clear
            self.counts[f"same {packet.type.name.lower()}"] += 1

    def _on_data(self, datagram: Datagram, packet: Packet, clear: bytes) -> None:
        record = packet.record
        self.counts[f"bcast={record.broadcast}"] += 1
        self.counts[f"knet.compress={record.compression}"] += 1
        message: bytes | None = packet.body
        parts = [clear]
        if record.fragment_count > 1:
            self.counts["frags"] += 1
            way = (datagram.destination, record.header_node_id)
            reassembly = self._assemblies.setdefault(way, Reassembly())
            parts = self._parts.setdefault((*way, record.seq), [])
            parts.append(clear)
            whole = reassembly.add(record.seq, record.fragment_count, record.fragment_number, packet.body)
            if whole is None:
                return
            del self._parts[(*way, record.seq)]
            self.counts["defragmented"] += 1
            message = bytes(whole)
        assert message is not None
        self._check_split(message, record, sorted(parts, key=lambda part: part[12]))
        if record.compression:
            decompress(record.compression, message)
            self.counts[f"decompressed.{record.compression}"] += 1

    @staticmethod
    def _check_split(message: bytes, record: Any, parts: list[bytes]) -> None:
        buffers = split(
            message,
            len(parts[0]) - 14,
            record.header_node_id,
            record.seq,
            record.compression,
            broadcast=bool(record.broadcast),
        )
        made = [bytes(head) + bytes(part) for head, part in zip(buffers[::2], buffers[1::2], strict=True)]
        assert made == parts, "cut differently"


def keys_of(note: dict[str, Any]) -> list[CryptoSettings]:
    crypto = note.get("crypto")
    if not crypto:
        return []
    key = bytes.fromhex(crypto["authkey_hex"])
    pairs = [(crypto["cipher"], crypto["hash"]), *map(tuple, crypto["after_reload"])]
    return [CryptoSettings("openssl", cipher, name, key) for cipher, name in pairs]


COMPARED = ("knet.", "bcast=", "decrypted", "defragmented", "frags", "decompressed.", "packets", "ok")


def replay_folder(folder: Path) -> tuple[Counter[str], list[str]]:
    """Our counts, and where they differ from the note's."""
    note = json.loads((folder / "note.json").read_text())
    replay = Replay(keys_of(note))
    for path in sorted(folder.glob("link*.pcap.gz")):
        for datagram in datagrams(path):
            replay.feed(datagram)
    expected = note["decode_counts"]
    names = {name for name in {*expected, *replay.counts} if name.startswith(COMPARED)}
    return replay.counts, [
        f"{name}: {replay.counts[name]}, the note says {expected.get(name, 0)}"
        for name in sorted(names)
        if replay.counts[name] != expected.get(name, 0)
    ]


def main(folders: list[str]) -> int:
    status = 0
    for name in folders:
        counts, differences = replay_folder(Path(name))
        print(Path(name).name, dict(sorted(counts.items())))
        for difference in differences:
            print("  DIFFERENT", difference)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
