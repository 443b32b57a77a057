"""The port to buffers that a client shares with the daemon (corosync: zcb_* in exec/cpg.c).

Opening and reading files is the shell's; pycorosync/daemon/zero_copy.py is what stands behind the port.
"""

from typing import Protocol

from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError
from pycorosync.types import Buffer


class SharedBuffers(Protocol):
    """Files that clients write messages into. Every method may raise ClientError."""

    def open(self, path: bytes, size: int, uid: int) -> int:
        """Take over the file that a client of `uid` has made, of at least `size` bytes; returns a handle.

        The file loses its name, even where there is no room for it. Handles are not 0 and are not used again
        while the daemon lives.
        """

    def write(self, handle: int, data: Buffer, offset: int) -> None:
        """Put `data` where the client sees it."""

    def read(self, handle: int, size: int, offset: int) -> memoryview:
        """A copy of exactly `size` bytes, valid until the next read of any handle.

        Raises ClientError when the client has made the file shorter than that.
        """

    def close(self, handle: int) -> None:
        """Give a buffer up."""


class NoSharedBuffers:
    """The port of a node that offers no shared buffers, such as a simulated one."""

    def open(self, path: bytes, size: int, uid: int) -> int:
        raise ClientError(CsError.NOT_SUPPORTED)

    def write(self, handle: int, data: Buffer, offset: int) -> None:
        raise ClientError(CsError.NOT_EXIST)

    def read(self, handle: int, size: int, offset: int) -> memoryview:
        raise ClientError(CsError.NOT_EXIST)

    def close(self, handle: int) -> None:
        raise ClientError(CsError.NOT_EXIST)
