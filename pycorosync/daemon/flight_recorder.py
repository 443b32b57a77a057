"""The flight recorder: every log line of every level, in a ring of bytes that qb-blackbox can read
(libqb: lib/log_blackbox.c, lib/ringbuffer.c; corosync: corosync_blackbox_write_to_file in exec/main.c).

The memory is private and has the size of corosync's; a page counts as ours only once lines have reached it.
Specification: protocol/blackbox.md.
"""

import errno
import mmap
import os
import struct
import time
from contextlib import suppress

from pycorosync import log

WORD = 4
RING_BYTES = 8 * 1024 * 1024 + 4096  # corosync's, after libqb has rounded it up
TEXT_BYTES_MAX = 500  # the reader has 512 for the text with its format
FUNCTION_BYTES_MAX = 100
CHUNK_MAGIC = 0xA1A1A1A1
RING_VERSION, FILE_VERSION = 1, 2

# What a file begins with: it cannot be mistaken for the ring's own header, which follows.
FILE_HEADER = struct.pack("=5I", 0, 0xCCBBCCBB, 0xBBCCBBCC, FILE_VERSION, 0)
RING_HEADER = struct.Struct("=5I")  # words, write, read, version, sum of the others
CHUNK_HEADER = struct.Struct("=2I")  # bytes, magic
END = bytes(CHUNK_HEADER.size)  # no magic: the reader stops here
CALL_SITE = struct.Struct("=2IBI")  # line, tag, priority, bytes of the function's name
MOMENT = struct.Struct("=2qI")  # seconds, nanoseconds, bytes of what follows
FORMAT = b"%s\0"

# As libqb numbers them: syslog's, and 8 for trace.
PRIORITIES = {
    log.EMERG: 0, log.ALERT: 1, log.CRIT: 2, log.ERROR: 3, log.WARNING: 4, log.NOTICE: 5, log.INFO: 6,
    log.DEBUG: 7, log.TRACE: 8,
}  # fmt: skip
# The numbers under which corosync 3.1.7 registers its subsystems; qb-blackbox prints them.
TAGS = {
    "QUORUM": 1, "SYNC": 2, "CFG": 3, "CMAP": 4, "CPG": 5, "PLOAD": 6, "VOTEQ": 7, "MAIN": 8, "QB": 9,
    "APIDEF": 10, "SERV": 12, "MON": 13, "WD": 14, "TOTEM": 15, "KNET": 16,
}  # fmt: skip


class FlightRecorder:
    """Keeps the latest lines that fit. Raises OSError when it is made, never afterwards."""

    def __init__(self, size: int = RING_BYTES) -> None:
        self._size = size
        self._words = size // WORD
        # Private: pages that are only read, when the file is written, stay the kernel's page of zeros.
        self._ring = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._read = self._write = 0  # in words
        self._used = 0  # words between them
        self._wrapped = False

    def close(self) -> None:
        """Give the memory back."""
        self._ring.close()

    def record(self, subsystem: str, level: int, function: str, line: int, text: str, time_ns: int) -> None:
        """One line; time_ns since the epoch. What is too long for the reader is cut."""
        name = function.encode(errors="replace")[:FUNCTION_BYTES_MAX] + b"\0"
        message = FORMAT + text.encode(errors="replace")[:TEXT_BYTES_MAX] + b"\0"
        chunk = b"".join(
            (
                CALL_SITE.pack(line, TAGS[subsystem], PRIORITIES[level], len(name)),
                name,
                MOMENT.pack(*divmod(time_ns, 1_000_000_000), len(message)),
                message,
            )
        )
        padding = -len(chunk) % WORD
        words = CHUNK_HEADER.size // WORD + (len(chunk) + padding) // WORD
        # One word less than all: both places being equal means that the ring is empty.
        while self._words - self._used - 1 < words + len(END) // WORD:
            self._forget_oldest()
        header = CHUNK_HEADER.pack(len(chunk), CHUNK_MAGIC)
        self._put(self._write * WORD, header + chunk + bytes(padding) + END)
        self._write = (self._write + words) % self._words
        self._used += words

    def _put(self, at: int, data: bytes) -> None:
        room = self._size - at
        if len(data) < room:
            self._ring[at : at + len(data)] = data
            return
        self._wrapped = True
        self._ring[at:] = data[:room]
        self._ring[: len(data) - room] = data[room:]

    def _forget_oldest(self) -> None:
        at = self._read * WORD
        size = int.from_bytes(self._ring[at : at + WORD], "little")
        words = CHUNK_HEADER.size // WORD + -(-size // WORD)
        self._read = (self._read + words) % self._words
        self._used -= words

    def write_to(self, fd: int) -> None:
        """The file's content, to a new file. Raises OSError."""
        places = (self._words, self._write, self._read, RING_VERSION)
        header = FILE_HEADER + RING_HEADER.pack(*places, sum(places) & 0xFFFFFFFF)
        filled = self._size if self._wrapped else self._write * WORD + len(END)
        with memoryview(self._ring) as ring:
            _write_all(fd, header)
            _write_all(fd, ring[:filled])
        os.ftruncate(fd, len(header) + self._size)


def _write_all(fd: int, data: bytes | memoryview) -> None:
    written = 0
    while written < len(data):
        written += os.write(fd, data[written:])


def store(recorder: FlightRecorder | None, directory: str) -> None:
    """Write what is recorded to `directory`/fdata-TIME-PID, and let `directory`/fdata point to it.

    Never raises: what goes wrong is logged in corosync's words.
    """
    path = f"{directory}/fdata-{time.strftime('%Y-%m-%dT%H:%M:%S')}-{os.getpid()}"
    try:
        if recorder is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o700)
        try:
            recorder.write_to(fd)
        finally:
            os.close(fd)
    except OSError as fault:
        _LOG.error("Can't store blackbox file: %s (%d)", fault.strerror, fault.errno)
        return
    link = f"{directory}/fdata"
    try:
        with suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(path, link)
    except OSError:
        _LOG.error("Can't create symlink to '%s' for corosync blackbox file '%s'", path, link)


_LOG = log.subsystem("MAIN")
