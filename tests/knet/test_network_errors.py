"""Errors of sockets."""

import errno

from pycorosync.knet.network_errors import NOBODY_THERE, too_large
from pycorosync.knet.outputs import Kind


def test_size() -> None:
    assert all(too_large(errno.EMSGSIZE, kind) for kind in Kind)
    assert [kind for kind in Kind if too_large(errno.EPERM, kind)] == [Kind.DATA, Kind.PMTUD]
    assert not any(too_large(errno.ENOBUFS, kind) for kind in Kind)


def test_absence() -> None:
    assert errno.ECONNREFUSED in NOBODY_THERE
    assert errno.EMSGSIZE not in NOBODY_THERE
