"""A client of the daemon's IPC that keeps no rule: it writes what it is told into the rings and sockets.

Written from protocol/libqb-ipc.md, without the package's own code, so that a shared mistake cannot hide.
"""

import ctypes
import mmap
import os
import select
import socket
import struct
import time

AUTHENTICATE = -1
MAX_MESSAGE = 1 << 20
RESPONSE_SIZE = 12328
NAME_BYTES = 4096
SEMAPHORE_OFFSET = 8208
COMMITTED, BEING_WRITTEN, DEAD = 0xA1A1A1A1, 0xA110CED0, 0xD0D0D0D0
WORD = struct.Struct("<I")
HEADER = struct.Struct("<i4xi4x")
SERVICES = ("cmap", "cfg", "cpg", "quorum", "votequorum")

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The daemon did not let us in; `code` is its errno, 0 if it closed without a word."""

    def __init__(self, code: int) -> None:
        super().__init__(os.strerror(code) if code else "closed")
        self.code = code


class Ring:
    """One of the three rings of a connection, mapped as a client does."""

    def __init__(self, name: str) -> None:
        path = name if "/" in name else f"/dev/shm/qb-{name}"
        self.header_path = f"{path}-header"
        self.header = self._map(self.header_path)
        self.data_path = bytes(self.header[4108 : 4108 + NAME_BYTES]).split(b"\0")[0].decode()
        self.data = self._map(self.data_path)
        self.words = len(self.data) // 4
        self._anchor = ctypes.c_char.from_buffer(self.header)
        self._semaphore = ctypes.c_void_p(ctypes.addressof(self._anchor) + SEMAPHORE_OFFSET)
        references = WORD.unpack_from(self.header, 8204)[0]
        WORD.pack_into(self.header, 8204, references + 1)

    @staticmethod
    def _map(path: str) -> mmap.mmap:
        fd = os.open(path, os.O_RDWR)
        try:
            return mmap.mmap(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def post(self) -> None:
        _libc.sem_post(self._semaphore)

    def take(self) -> bool:
        return _libc.sem_trywait(self._semaphore) == 0

    def free_words(self) -> int:
        write, read = struct.unpack_from("<II", self.header, 0)
        return (read - write - 1) % self.words if write != read else self.words

    def write(self, chunk: bytes, magic: int = COMMITTED, post: bool = True, size: int | None = None) -> bool:
        """Put a chunk; `size` may lie about its length. False if there is no room."""
        if self.free_words() * 4 < len(chunk) + 64:
            return False
        at = WORD.unpack_from(self.header, 0)[0]
        self._copy(at + 2, chunk)
        self._word(at + 1, magic)
        self._word(at, len(chunk) if size is None else size)
        WORD.pack_into(self.header, 0, (at + 2 + (len(chunk) + 3) // 4) % self.words)
        if post:
            self.post()
        return True

    def _word(self, at: int, value: int) -> None:
        WORD.pack_into(self.data, at % self.words * 4, value & 0xFFFFFFFF)

    def _copy(self, at: int, chunk: bytes) -> None:
        start = at % self.words * 4
        first = min(len(chunk), len(self.data) - start)
        self.data[start : start + first] = chunk[:first]
        self.data[: len(chunk) - first] = chunk[first:]

    def read(self) -> bytes | None:
        """The next chunk, or None."""
        if not self.take():
            return None
        at = WORD.unpack_from(self.header, 4)[0]
        size = WORD.unpack_from(self.data, at % self.words * 4)[0]
        start = (at + 2) % self.words * 4
        chunk = self.data[start : start + size]
        chunk += self.data[: size - len(chunk)]
        self._word(at, 0)
        self._word(at + 1, DEAD)
        WORD.pack_into(self.header, 4, (at + 2 + (size + 3) // 4) % self.words)
        return chunk

    def close(self) -> None:
        del self._anchor
        self.header.close()
        self.data.close()


def dial(service: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    connection.connect(b"\0" + service.encode().ljust(107, b"\0"))
    return connection


def hello(identifier: int = AUTHENTICATE, size: int = 24, max_message: int = MAX_MESSAGE) -> bytes:
    return HEADER.pack(identifier, size) + struct.pack("<I4x", max_message & 0xFFFFFFFF)


def receive_response(connection: socket.socket) -> bytes:
    response = b""
    while len(response) < RESPONSE_SIZE:
        more = connection.recv(RESPONSE_SIZE - len(response))
        if not more:
            raise Refused(0)
        response += more
    return response


class RawClient:
    """A connection that was set up by the rules; what is sent over it need not keep any."""

    def __init__(self, service: str, max_message: int = MAX_MESSAGE) -> None:
        self.service = service
        self.socket = dial(service)
        self.socket.sendall(hello(max_message=max_message))
        response = receive_response(self.socket)
        error = struct.unpack_from("<i", response, 16)[0]
        if error:
            self.socket.close()
            raise Refused(-error)
        names = [
            response[at : at + NAME_BYTES].split(b"\0")[0].decode()
            for at in (40, 40 + NAME_BYTES, 40 + 2 * NAME_BYTES)
        ]
        self.request, self.response, self.event = self.rings = [Ring(name) for name in names]

    def send(self, chunk: bytes, size: int | None = None, magic: int = COMMITTED, post: bool = True) -> bool:
        """Write a request and notify the daemon. False if the connection has ended or there is no room."""
        if not self.request.write(chunk, magic, post, size):
            return False
        return self.notify()

    def notify(self, count: int = 1) -> bool:
        try:
            self.socket.sendall(b"x" * count)
        except (OSError, TimeoutError):
            return False
        return True

    def ask(self, identifier: int, body: bytes, limit_s: float = 20) -> bytes:
        """A well-formed request, and the response to it."""
        if not self.send(HEADER.pack(identifier, 16 + len(body)) + body):
            raise Refused(0)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            chunk = self.response.read()
            if chunk is not None:
                return chunk
            time.sleep(0.0005)
        raise TimeoutError(f"{self.service}: no answer to request {identifier}")

    def drain(self) -> int:
        """Read away every response and event; how many there were."""
        count = 0
        for ring in (self.response, self.event):
            while ring.read() is not None:
                count += 1
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.socket.settimeout(20)
        return count

    def alive(self) -> bool:
        """Whether the daemon still holds the connection."""
        if not select.select([self.socket], [], [], 0)[0]:
            return True
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def close(self) -> None:
        self.socket.close()
        for ring in self.rings:
            ring.close()
