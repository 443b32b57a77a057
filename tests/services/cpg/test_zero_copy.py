"""A node without shared buffers refuses them. Those of the daemon: tests/daemon/test_zero_copy.py."""

import pytest

from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError
from pycorosync.services.cpg.zero_copy import NoSharedBuffers, SharedBuffers


def test_nothing_can_be_opened() -> None:
    buffers: SharedBuffers = NoSharedBuffers()
    with pytest.raises(ClientError) as caught:
        buffers.open(b"/dev/shm/corosync_zerocopy-abcdef", 100, 0)
    assert caught.value.code is CsError.NOT_SUPPORTED
