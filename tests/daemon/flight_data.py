"""Reads a flight recorder's file, for tests: as strict as libqb's reader."""

import struct
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One recorded line."""

    priority: int
    tag: int
    function: str
    line: int
    time_ns: int
    text: str


def read(path: Path) -> list[Line]:
    """The lines in the file, oldest first."""
    data = path.read_bytes()
    assert struct.unpack_from("=5I", data) == (0, 0xCCBBCCBB, 0xBBCCBBCC, 2, 0)
    words, write, place, version, total = struct.unpack_from("=5I", data, 20)
    assert version == 1
    assert total == words + write + place + version & 0xFFFFFFFF
    assert len(data) == 40 + words * 4
    ring = data[40:] * 2  # libqb maps it twice
    lines: list[Line] = []
    while True:
        size, magic = struct.unpack_from("=2I", ring, place * 4)
        if magic != 0xA1A1A1A1:
            assert place == write
            return lines
        assert 0 < size <= 1024
        lines.append(_line(ring[place * 4 + 8 : place * 4 + 8 + size]))
        place = (place + 2 + (size + 3) // 4) % words


def _line(chunk: bytes) -> Line:
    line, tag, priority, length = struct.unpack_from("=2IBI", chunk)
    function, rest = chunk[13 : 13 + length], chunk[13 + length :]
    assert function.index(b"\0") == length - 1
    seconds, nanoseconds, length = struct.unpack_from("=2qI", rest)
    message = rest[20:]
    assert len(message) == length <= 512
    assert message[:3] == b"%s\0"
    assert message[-1:] == b"\0"
    time_ns = seconds * 1_000_000_000 + nanoseconds
    return Line(priority, tag, function[:-1].decode(), line, time_ns, message[3:-1].decode())
