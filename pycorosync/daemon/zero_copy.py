"""Files in which clients of the cpg service hand over messages (corosync: memory_map in exec/cpg.c).

libcpg makes `corosync_zerocopy-XXXXXX` in /dev/shm, or in /var/run if it cannot, and names it to the daemon.
The daemon reads the file instead of mapping it: a client that cuts its file short then gets an error, and
does not end the daemon with SIGBUS.

Compatibility: corosync opens, truncates and unlinks whatever path a client names. Here only a file of
libcpg's name, in one of its two folders, that belongs to the client is taken.

Such a file loses its name even when there is no room for it: libcpg does not look at the answer, and leaves
the file behind for ever.
"""

import os
import re
import resource
import stat
from typing import Final

from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError
from pycorosync.types import Buffer

FOLDERS: Final = (b"/dev/shm", b"/var/run", b"/run")
_NAME: Final = re.compile(rb"corosync_zerocopy-[A-Za-z0-9]{6}")
FILES_MAX: Final = 16384  # for all clients together; each costs a descriptor


def capacity(descriptors_max: int) -> int:
    """How many files, in a process that may have so many descriptors: its clients need some too."""
    return min(FILES_MAX, descriptors_max // 2)


class ZeroCopyBuffers:
    """Stands behind services/cpg's SharedBuffers."""

    def __init__(self, folders: tuple[bytes, ...] = FOLDERS, files_max: int | None = None) -> None:
        """`files_max` None: what the process's limit of descriptors, which is read now, leaves room for."""
        self._folders = folders
        if files_max is None:
            files_max = capacity(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._files_max = files_max
        self._descriptors: dict[int, int] = {}
        self._last_handle = 0
        self._memory = bytearray()

    def open(self, path: bytes, size: int, uid: int) -> int:
        """Raises ClientError: INVALID_PARAM for a path that is not libcpg's, ACCESS, NO_RESOURCES ..."""
        folder, _, name = path.rpartition(b"/")
        if folder not in self._folders or not _NAME.fullmatch(name):
            raise ClientError(CsError.INVALID_PARAM)
        try:
            descriptor = _take_over(folder, name, size, uid)
        except OSError as fault:
            raise ClientError(CsError.ACCESS) from fault
        if len(self._descriptors) >= self._files_max:
            os.close(descriptor)
            raise ClientError(CsError.NO_RESOURCES)
        self._last_handle += 1
        self._descriptors[self._last_handle] = descriptor
        return self._last_handle

    def write(self, handle: int, data: Buffer, offset: int) -> None:
        try:
            os.pwrite(self._descriptor(handle), data, offset)
        except OSError as fault:
            raise ClientError(CsError.NO_MEMORY) from fault

    def read(self, handle: int, size: int, offset: int) -> memoryview:
        if len(self._memory) < size:
            self._memory = bytearray(size)
        view = memoryview(self._memory)[:size]
        try:
            got = os.preadv(self._descriptor(handle), [view], offset) if size else 0
        except OSError as fault:
            raise ClientError(CsError.ACCESS) from fault
        if got != size:
            raise ClientError(CsError.INVALID_PARAM)
        return view

    def close(self, handle: int) -> None:
        descriptor = self._descriptors.pop(handle, None)
        if descriptor is None:
            raise ClientError(CsError.NOT_EXIST)
        os.close(descriptor)

    def _descriptor(self, handle: int) -> int:
        descriptor = self._descriptors.get(handle)
        if descriptor is None:
            raise ClientError(CsError.NOT_EXIST)
        return descriptor


def _take_over(folder: bytes, name: bytes, size: int, uid: int) -> int:
    """A descriptor of the client's file, which has no name any more."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder_fd)
        try:
            found = os.fstat(descriptor)
            if not _is_acceptable(found, size, uid):
                raise PermissionError(name)
            named = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if (named.st_dev, named.st_ino) == (found.st_dev, found.st_ino):
                os.unlink(name, dir_fd=folder_fd)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    finally:
        os.close(folder_fd)


def _is_acceptable(found: os.stat_result, size: int, uid: int) -> bool:
    """A plain file of the client's own, under this name only, and long enough."""
    return (
        stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == uid and found.st_size >= size
    )
