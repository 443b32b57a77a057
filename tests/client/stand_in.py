"""What the stand-ins for client.connection.Connection have in common, and what every test asks."""

import os
from collections import deque
from collections.abc import Callable

import pytest

from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError


class Inbox:
    """The half of a connection that events come by."""

    def __init__(self) -> None:
        self.closed = False
        self._events: deque[bytes] = deque()
        self._reader, self._writer = os.pipe()

    def arrived(self, event: bytes) -> None:
        """What the daemon sends."""
        self._events.append(event)
        os.write(self._writer, b"x")

    def fileno(self) -> int:
        return self._reader

    def receive_event(self, timeout_s: float | None = None) -> bytes | None:
        if not self._events:
            if timeout_s is None:
                raise LibraryError(CsError.LIBRARY)  # nobody would ever wake us but the daemon's end
            return None
        os.read(self._reader, 1)
        return self._events.popleft()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._reader)
            os.close(self._writer)


def error_of(call: Callable[[], object]) -> CsError:
    """The code of the LibraryError that a call raises."""
    with pytest.raises(LibraryError) as caught:
        call()
    return caught.value.code
