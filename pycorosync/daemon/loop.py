"""The event loop: one epoll, one clock reading per wake-up, one deadline (libqb: lib/loop.c).

Not asyncio: the daemon needs a few file descriptors with callbacks, edge-triggered writability (which asyncio
does not offer, and which tells us that a client has read its events), and a small resident set. Importing
asyncio costs more memory than the rest of the daemon's modules together.
"""

import errno
import select
import time
from collections.abc import Callable

Callback = Callable[[int, int], None]  # (epoll events, now_ns)

READ = select.EPOLLIN
READ_AND_DRAINED = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
WRITABLE = select.EPOLLOUT
HANG_UP = select.EPOLLHUP | select.EPOLLERR


class Loop:
    """Calls back for file descriptors, then asks `turn` what else is due.

    `turn(now_ns)` runs once per wake-up, after the callbacks; it returns when it wants to run again (in the
    clock's nanoseconds), or None if only a file descriptor can bring work.
    """

    def __init__(self, turn: Callable[[int], int | None]) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._turn = turn
        self._running = False

    def add(self, fd: int, callback: Callback, events: int = READ) -> None:
        """Watch a descriptor."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch it for other events."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Stop watching; call before closing."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def stop(self) -> None:
        """Let run() return after this wake-up."""
        self._running = False

    def run(self) -> None:
        """Serve until stop()."""
        self._running = True
        callbacks = self._callbacks
        poll = self._epoll.poll
        deadline = self._turn(time.monotonic_ns())
        while self._running:
            for fd, events in self._wait(poll, deadline):
                # An earlier callback of this round may have closed it.
                if callback := callbacks.get(fd):
                    callback(events, time.monotonic_ns())
            deadline = self._turn(time.monotonic_ns())

    @staticmethod
    def _wait(poll: Callable[..., list[tuple[int, int]]], deadline: int | None) -> list[tuple[int, int]]:
        timeout = None if deadline is None else max(0, deadline - time.monotonic_ns()) / 1e9
        try:
            return poll(timeout)
        except OSError as fault:
            if fault.errno != errno.EINTR:
                raise
            return []
