"""What errors of the sockets mean for links (libknet: transport_udp.c; protocol/knet.md)."""

import errno
from typing import Final

from pycorosync.knet.outputs import Kind

# From the network: the node is not there, or knet does not run on it.
NOBODY_THERE: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNABORTED,
        errno.ENONET,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
    }
)


def too_large(error: int, kind: Kind) -> bool:
    """Whether sending failed for the size. Firewalls make EPERM of it."""
    return error == errno.EMSGSIZE or (error == errno.EPERM and kind in (Kind.DATA, Kind.PMTUD))
