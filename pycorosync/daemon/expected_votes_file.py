"""The expected votes that must survive a restart when quorum.expected_votes_tracking is on
(corosync: exec/votequorum.c, ev_tracking). STATE_DIR/ev_tracking: four bytes in the machine's byte order.
"""

import os
import struct

from pycorosync.log import subsystem

LOG = subsystem("VOTEQ")

_VOTES = struct.Struct("=I")


class ExpectedVotesFile:
    """The file of this node."""

    def __init__(self, state_directory: str) -> None:
        self._path = os.path.join(state_directory, "ev_tracking")

    def load(self) -> int:
        """The stored number, 0 if there is none."""
        try:
            with open(self._path, "rb") as file:
                data = file.read(_VOTES.size)
        except OSError:
            return 0
        return int(_VOTES.unpack(data)[0]) if len(data) == _VOTES.size else 0

    def store(self, votes: int) -> None:
        """Keep a number. A failure is logged: it costs a feature, not the cluster."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, _VOTES.pack(votes), 0)
            finally:
                os.close(fd)
        except OSError as fault:
            LOG.error("Couldn't store the expected votes in %s: %s", self._path, fault.strerror)
