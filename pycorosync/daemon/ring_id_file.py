"""The ring sequence number that must survive a restart (corosync: exec/main.c, ring_id_create_or_load).

`STATE_DIR/ringid_NODEID`: 8 bytes, the sequence as an unsigned integer in the machine's byte order. A node
that came back with an old number could form a ring under a name that others have already used.
"""

import errno
import os
import struct

from pycorosync import log
from pycorosync.daemon.process import ExitStatus, StartError
from pycorosync.types import NodeId

SEQUENCE = struct.Struct("=Q")
MODE = 0o600

LOG = log.subsystem("MAIN")


class RingIdFile:
    """The file of one node. Both methods raise StartError with status 21."""

    def __init__(self, state_directory: str, node_id: NodeId) -> None:
        self.path = os.path.join(state_directory, f"ringid_{node_id}")

    def create_or_load(self) -> int:
        """The stored sequence; 0 if there was no file or it was too short, and then the file is made anew."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                data = file.read(SEQUENCE.size) or b""
        except OSError:
            data = b""
        if len(data) == SEQUENCE.size:
            return int(SEQUENCE.unpack(data)[0])
        verb, source = "create", "main.c:683"
        try:
            fd = self._open()
            verb, source = "write", "main.c:677"
            _write(fd, 0)
        except OSError as fault:
            text = f"Couldn't {verb} ringid file '{self.path}': {fault.strerror} ({fault.errno})"
            raise StartError(ExitStatus.STORE_RING_ID, text, source) from fault
        return 0

    def store(self, seq: int) -> None:
        """Store the sequence of the ring that is about to be used.

        Compatibility: the folder is made if it has gone (another package's purge takes it away), where
        corosync ends.
        """
        source = "main.c:707"
        try:
            try:
                fd = self._open()
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self.path))
                fd = self._open()
            LOG.debug("Storing new sequence id for ring %x", seq)
            source = "main.c:718"
            _write(fd, seq)
        except OSError as fault:
            text = f"Couldn't store new ring id {seq:x} to stable storage: {fault.strerror} ({fault.errno})"
            raise StartError(ExitStatus.STORE_RING_ID, text, source) from fault

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)


def _write(fd: int, seq: int) -> None:
    """Write the sequence and close the file."""
    # Overwritten in place, never truncated first: eight bytes of one page change together, so that whoever
    # reads after a crash finds the old number or the new one, and not an empty file.
    try:
        if os.pwrite(fd, SEQUENCE.pack(seq), 0) != SEQUENCE.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)
