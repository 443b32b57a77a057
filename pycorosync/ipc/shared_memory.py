"""Ring files in shared memory: made with posix_ipc, mapped twice with mmap (libqb: lib/unix.c, lib/util.c).

The name of a ring carries 128 random bits, is made exclusively, and gets its owner through the descriptor, so
a hostile user can neither guess it, nor have made it before, nor make us follow a link. Its pages are
allocated when it is made: a full /dev/shm is an error at connect time, not a SIGBUS later.
"""

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

try:
    import posix_ipc
except ModuleNotFoundError:  # a distribution's package brings its own copy
    from pycorosync.bundled import posix_ipc  # type: ignore[import-not-found]

from pycorosync.ipc.ringbuffer import HEADER_BYTES, USER_DATA_BYTES, RingBuffer, data_bytes

SHARED_MEMORY_DIRECTORY = Path("/dev/shm")
CHANNELS = ("request", "response", "event")
_NAME = re.compile(r"qb-(\d+)-\d+-\d+-[0-9A-Za-z]+")

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mmap.restype = ctypes.c_void_p
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_PROT_NONE, _PROT_READ_WRITE = 0, 3
_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS = 1, 2, 16, 32
_MAP_FAILED = ctypes.c_void_p(-1).value


class Mapping:
    """A range of our address space, as one writable view. `address` and `length` describe it in bytes."""

    __slots__ = ("address", "length", "view")

    def __init__(self, address: int, length: int) -> None:
        self.address = address
        self.length = length
        self.view = memoryview((ctypes.c_ubyte * length).from_address(address)).cast("B")

    def unmap(self) -> None:
        """Give the range back. The caller sees to it that no view of it is used again."""
        self.view.release()
        _libc.munmap(self.address, self.length)

    def sever(self) -> None:
        """Put private zeros in place of the file, wherever a view of it may still be."""
        _map(self.address, self.length, _PROT_READ_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_FIXED, -1)


def map_once(fd: int, length: int) -> Mapping:
    """The first `length` bytes of a file."""
    return Mapping(_map(0, length, _PROT_READ_WRITE, _MAP_SHARED, fd), length)


def map_twice(fd: int, length: int) -> Mapping:
    """A file of `length` bytes (a multiple of the page size), twice, back to back."""
    address = _map(0, 2 * length, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1)
    try:
        for at in (address, address + length):
            _map(at, length, _PROT_READ_WRITE, _MAP_SHARED | _MAP_FIXED, fd)
    except OSError:
        _libc.munmap(address, 2 * length)
        raise
    return Mapping(address, 2 * length)


def _map(address: int, length: int, protection: int, flags: int, fd: int) -> int:
    result = _libc.mmap(address or None, length, protection, flags, fd, 0)
    if result is None or result == _MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)


class RingFile:
    """A ring in shared memory, with its two files."""

    __slots__ = ("_owned", "_paths", "mappings", "path", "ring")

    def __init__(
        self, path: str, ring: RingBuffer, mappings: tuple[Mapping, Mapping], *, owned: bool
    ) -> None:
        self.path = path  # what the client is told; it appends -header
        self.ring = ring
        self.mappings = mappings
        self._owned = owned
        self._paths = (f"{path}-header", f"{path}-data")

    @classmethod
    def create(cls, name: str, max_message_bytes: int, uid: int, gid: int) -> "RingFile":
        """Make the two files of a ring, owned by the client. Raises OSError (ENOSPC, EMFILE, EEXIST, ...)."""
        path = str(SHARED_MEMORY_DIRECTORY / name)
        size = data_bytes(max_message_bytes)
        header = map_new(f"{name}-header", HEADER_BYTES + USER_DATA_BYTES, uid, gid, twice=False)
        try:
            data = map_new(f"{name}-data", size, uid, gid, twice=True)
        except OSError:
            header.unmap()
            _unlink(f"{path}-header")
            raise
        ring = RingBuffer(header.view, header.address, data.view)
        ring.create(f"{path}-header", f"{path}-data")
        return cls(path, ring, (header, data), owned=True)

    @classmethod
    def open(cls, path: str, max_message_bytes: int) -> "RingFile":
        """Map a ring that the other side has made. Raises OSError."""
        header_fd = os.open(f"{path}-header", os.O_RDWR | os.O_CLOEXEC)
        try:
            header = map_once(header_fd, HEADER_BYTES)
        finally:
            os.close(header_fd)
        try:
            data_fd = os.open(f"{path}-data", os.O_RDWR | os.O_CLOEXEC)
            try:
                data = map_twice(data_fd, data_bytes(max_message_bytes))
            finally:
                os.close(data_fd)
        except OSError:
            header.unmap()
            raise
        ring = RingBuffer(header.view, header.address, data.view)
        ring.attach()
        return cls(path, ring, (header, data), owned=False)

    def close(self) -> None:
        """Unmap; who made the files removes them."""
        self.ring.close()
        for mapping in self.mappings:
            mapping.unmap()
        if self._owned:
            for path in self._paths:
                _unlink(path)


def map_new(name: str, length: int, uid: int, gid: int, *, twice: bool) -> Mapping:
    """Make a shared-memory object with all its pages, owned by uid:gid with mode 0600, and map it."""
    try:
        shared = posix_ipc.SharedMemory(f"/{name}", posix_ipc.O_CREX, mode=0o600)
    except posix_ipc.ExistentialError as fault:
        raise FileExistsError(str(fault)) from fault
    except posix_ipc.PermissionsError as fault:
        raise PermissionError(str(fault)) from fault
    try:
        os.posix_fallocate(shared.fd, 0, length)
        os.fchmod(shared.fd, 0o600)  # the mode above went through the umask
        if (uid, gid) != (os.geteuid(), os.getegid()):
            os.fchown(shared.fd, uid, gid)
        return map_twice(shared.fd, length) if twice else map_once(shared.fd, length)
    except OSError:
        _unlink(str(SHARED_MEMORY_DIRECTORY / name))
        raise
    finally:
        shared.close_fd()


def ring_name(server_pid: int, client_pid: int, fd: int) -> str:
    """A name that no one can guess, in the shape that libqb's have: qb-SERVER-CLIENT-FD-RANDOM."""
    return f"qb-{server_pid}-{client_pid}-{fd}-{os.urandom(16).hex()}"


def remove_stale(directory: Path = SHARED_MEMORY_DIRECTORY) -> int:
    """Remove the ring files that servers which no longer run have left behind; how many entries went."""
    removed = 0
    for path, server_pid in _leftovers(directory):
        if not Path(f"/proc/{server_pid}").exists():
            if path.is_dir() and not path.is_symlink():
                for inner in path.iterdir():
                    _unlink(str(inner))
                path.rmdir()
            else:
                _unlink(str(path))
            removed += 1
    return removed


def _leftovers(directory: Path) -> Iterator[tuple[Path, int]]:
    try:
        entries = list(directory.iterdir())
    except OSError:
        return
    for path in entries:
        if match := _NAME.match(path.name):
            yield path, int(match[1])


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
