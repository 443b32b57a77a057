"""What the five libraries have in common: a connection, questions whose answer carries a code, a stream of
events (corosync: what lib/cpg.c, lib/cmap.c, lib/cfg.c, lib/quorum.c and lib/votequorum.c each have of their
own: NAME_initialize, NAME_fd_get, NAME_dispatch, NAME_finalize).
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from struct import unpack_from
from typing import Any, ClassVar, Final, Generic, TypeVar

from pycorosync.client.connection import Closing, Connection, LibraryError
from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.service import RESPONSE_HEADER
from pycorosync.types import Buffer, NodeId
from pycorosync.wire.fixed import Fixed

Event = TypeVar("Event")

_CODES: Final = frozenset(CsError)
NODE_ID_BYTES: Final = 4


class Session(Closing, Generic[Event]):
    """A connection to one service, for one thread at a time. Every method raises LibraryError(CsError).

    What a service has to say for itself comes as events: receive() returns one, events() and events_async()
    iterate, and fileno() is for an event loop of one's own.
    """

    SERVICE: ClassVar[str]

    def __init__(self) -> None:
        """LIBRARY without a daemon, TRY_AGAIN while it is not ready, ACCESS if we may not connect."""
        self._connection = Connection(self.SERVICE)

    # --- events

    @abstractmethod
    def _event(self, data: bytes) -> Event | None:
        """The event that these bytes say; None if they are nothing to tell. LIBRARY if they make no sense."""

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None when time is over; None as the timeout waits for ever."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while (data := self._connection.receive_event(timeout_s)) is not None:
            if (event := self._event(data)) is not None:
                return event
            if until is not None:
                timeout_s = max(0.0, until - time.monotonic())
        return None

    def events(self) -> Iterator[Event]:
        """Events as they come, until the daemon has gone (LibraryError)."""
        while (event := self.receive()) is not None:
            yield event

    async def events_async(self) -> AsyncIterator[Event]:
        """The same, for `async for`. What the loop does not take stays for the next one."""
        while True:
            while (event := self.receive(0)) is not None:
                yield event
            await _readable(self.fileno())

    def fileno(self) -> int:
        """Readable when an event is waiting, or the daemon has gone."""
        return self._connection.fileno()

    # --- the end

    def close(self) -> None:
        """Disconnect, which ends all that was asked for here. May be called twice."""
        self._connection.close()

    # --- questions

    def _ask(self, number: int, layout: Fixed, *fields: Any, body: Buffer = b"") -> bytes:
        """Send a request, wait for its response, and return that if it says OK."""
        # The C structures behind the requests are rounded up to 8 bytes, and that is the size they announce.
        # What follows the last field follows it at once, and the padding comes last.
        padding = bytes(-layout.size % 8)
        size = layout.size + len(padding) + len(body)
        response = self._connection.request(layout.encode(number, size, *fields) + body + padding)
        error = decode(RESPONSE_HEADER, response).error
        if error != CsError.OK:
            raise LibraryError(CsError(error) if error in _CODES else CsError.LIBRARY)
        return response

    def _walk(self, following: int, finished: int, layout: Fixed, handle: int) -> Iterator[bytes]:
        """The answers to `following` until there are no more; then, or when the caller stops, `finished`."""
        try:
            while True:
                try:
                    answer = self._ask(following, layout, handle)
                except LibraryError as fault:
                    if fault.code is CsError.NO_SECTIONS:
                        return
                    raise
                yield answer
        finally:
            # Its answer says nothing that the caller could use.
            with suppress(LibraryError):
                self._ask(finished, layout, handle)


class DispatchingSession(Session[Event]):
    """A session that can call a function for each event, as the C libraries do."""

    @abstractmethod
    def _callback(self, event: Event) -> Callable[[Any], None] | None:
        """What to call for an event, if anything."""

    def dispatch(self, timeout_s: float | None = 0) -> int:
        """Wait at most so long for an event, then call the functions for all that are there.

        Returns how many events there were.
        """
        count = 0
        while (event := self.receive(timeout_s)) is not None:
            callback = self._callback(event)
            if callback is not None:
                callback(event)
            count += 1
            timeout_s = 0
        return count


async def _readable(fd: int) -> None:
    # The reader stays only while we wait: nobody is woken for events that nobody wants yet.
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(fd, arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(fd)


# --- bytes from the daemon; LIBRARY if they do not add up


def decode(layout: Fixed, data: bytes, offset: int = 0) -> Any:
    """The record at `offset`."""
    try:
        return layout.decode(data, offset)
    except MalformedMessage as fault:
        raise LibraryError(CsError.LIBRARY) from fault


def cut(data: bytes, start: int, size: int) -> bytes:
    """The `size` bytes from `start` on."""
    if start + size > len(data):
        raise LibraryError(CsError.LIBRARY)
    return data[start : start + size]


def records(layout: Fixed, data: bytes, start: int, count: int) -> list[Any]:
    """A list of records."""
    return list(layout.iterate(cut(data, start, count * layout.size)))


def node_ids(data: bytes, start: int, count: int) -> tuple[NodeId, ...]:
    """A list of node ids."""
    return unpack_from(f"={count}I", cut(data, start, count * NODE_ID_BYTES))


def text_of(field: bytes) -> str:
    """The text in a field of fixed size: what stands before the first zero."""
    return field.partition(b"\0")[0].decode(errors="surrogateescape")
