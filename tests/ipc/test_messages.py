"""The exchange that opens a connection."""

import errno

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.ipc import messages


def test_a_refusal_carries_the_errno_and_nothing_else() -> None:
    record = messages.CONNECT_RESPONSE.decode(messages.refusal(-errno.EACCES))
    assert (record.id, record.size, record.error) == (-1, 12328, -errno.EACCES)
    assert not any(record.request + record.response + record.event)


def test_an_acceptance_names_the_three_channels() -> None:
    record = messages.CONNECT_RESPONSE.decode(
        messages.acceptance(
            messages.TYPE_SHARED_MEMORY, 1 << 20, 7, ("/dev/shm/a", "/dev/shm/b", "/dev/shm/c")
        )
    )
    assert (record.error, record.connection_type, record.max_message_bytes, record.connection) == (
        0,
        1,
        1 << 20,
        7,
    )
    names = [name.rstrip(b"\0") for name in (record.request, record.response, record.event)]
    assert names == [b"/dev/shm/a", b"/dev/shm/b", b"/dev/shm/c"]


@pytest.mark.parametrize("length", [0, 1, 16, 23])
def test_a_short_connect_request_is_malformed(length: int) -> None:
    with pytest.raises(MalformedMessage):
        messages.CONNECT_REQUEST.decode(bytes(length))
