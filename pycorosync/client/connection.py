"""A synchronous libqb client: what every class of this package talks through (libqb: lib/ipcc.c,
lib/ipc_setup.c; corosync: common_lib/error_conversion.c). Specification: protocol/libqb-ipc.md.
"""

import errno
import os
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.ipc import messages
from pycorosync.ipc.ringbuffer import RingBuffer
from pycorosync.ipc.shared_memory import Mapping, RingFile, map_once
from pycorosync.types import Buffer

# What libcorosync asks for; the daemon's rings are made for it.
MAX_MESSAGE_BYTES = 1024 * 1024
_SUN_PATH_BYTES = 108
_SETUP_TIMEOUT_S = 10.0
# How long to wait before looking whether the daemon is still there.
_LIVENESS_S = 2.0

_ERRNO_TO_CS = {
    errno.EBADF: CsError.BAD_HANDLE,
    errno.ENOMEM: CsError.NO_MEMORY,
    errno.ENOMSG: CsError.TRY_AGAIN,
    errno.ENOBUFS: CsError.TRY_AGAIN,
    errno.ETIMEDOUT: CsError.TRY_AGAIN,
    errno.EAGAIN: CsError.TRY_AGAIN,
    errno.EBADE: CsError.FAILED_OPERATION,
    errno.ETIME: CsError.TIMEOUT,
    errno.EINVAL: CsError.INVALID_PARAM,
    errno.EBUSY: CsError.BUSY,
    errno.EACCES: CsError.ACCESS,
    errno.EOVERFLOW: CsError.NAME_TOO_LONG,
    errno.EEXIST: CsError.EXIST,
    errno.ENOSPC: CsError.NO_SPACE,
    errno.EINTR: CsError.INTERRUPT,
    errno.ENOENT: CsError.NOT_EXIST,
    errno.ENODEV: CsError.NOT_EXIST,
    errno.ENOSYS: CsError.NOT_SUPPORTED,
    errno.ENOTSUP: CsError.NOT_SUPPORTED,
}


class LibraryError(Exception):
    """A call failed; `code` is what the C library would have returned."""

    def __init__(self, code: CsError) -> None:
        super().__init__(code.label)
        self.code = code

    @classmethod
    def from_errno(cls, number: int) -> "LibraryError":
        """As corosync's libraries translate an errno of libqb's; unknown ones are LIBRARY."""
        return cls(_ERRNO_TO_CS.get(number, CsError.LIBRARY))


class Closing(ABC):
    """What `with` closes."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Connection(Closing):
    """A connection to one service of the local daemon. Not for use by two threads at once."""

    def __init__(self, service: str, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Raises LibraryError: LIBRARY without a daemon, TRY_AGAIN while it is not ready, ACCESS ..."""
        self._setup = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            response = self._handshake(service, max_message_bytes)
            if response.error:
                raise LibraryError.from_errno(-response.error)
            self._channel: _RingsChannel | _SocketsChannel = (
                _SocketsChannel(response)
                if response.connection_type == messages.TYPE_SOCKET
                else _RingsChannel(response, self._setup)
            )
        except OSError as fault:
            self._setup.close()
            raise LibraryError.from_errno(fault.errno or errno.EIO) from fault
        except LibraryError:
            self._setup.close()
            raise
        self._setup.setblocking(False)
        self._closed = False
        self.max_message_bytes: int = response.max_message_bytes

    def _handshake(self, service: str, max_message_bytes: int) -> Any:
        self._setup.settimeout(_SETUP_TIMEOUT_S)
        self._setup.connect(_abstract(service))
        self._setup.sendall(
            messages.CONNECT_REQUEST.encode(
                messages.ID_AUTHENTICATE, messages.CONNECT_REQUEST.size, max_message_bytes
            )
        )
        answer = self._setup.recv(messages.CONNECT_RESPONSE.size, socket.MSG_WAITALL)
        try:
            return messages.CONNECT_RESPONSE.decode(answer)
        except MalformedMessage as fault:
            raise OSError(errno.ENOTCONN, "the daemon hung up") from fault

    # --- requests

    def request(self, message: bytes, *, timeout_s: float | None = None) -> bytes:
        """Send a request and return its whole response. Raises LibraryError TRY_AGAIN when time is over."""
        self.send(message)
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            wait_s = _LIVENESS_S if until is None else min(_LIVENESS_S, max(0.0, until - time.monotonic()))
            if (response := self._channel.wait_response(wait_s)) is not None:
                return response
            if not self._alive():
                raise LibraryError(CsError.LIBRARY)
            if until is not None and time.monotonic() >= until:
                raise LibraryError(CsError.TRY_AGAIN)

    def send(self, message: Buffer, *, flow_control_max: int = 1) -> None:
        """Send a request and wait for nothing.

        Raises LibraryError TRY_AGAIN when the daemon has set flow control up to `flow_control_max` (2 holds
        back multicasts only) or has no room.
        """
        if self._closed:
            raise LibraryError(CsError.BAD_HANDLE)
        if len(message) > self.max_message_bytes:
            raise LibraryError(CsError.LIBRARY)
        if 0 < self._channel.flow_control <= flow_control_max:
            raise LibraryError(CsError.TRY_AGAIN)
        try:
            written = self._channel.write_request(message)
        except OSError as fault:
            raise LibraryError.from_errno(fault.errno or errno.EIO) from fault
        if not written:
            raise LibraryError(CsError.TRY_AGAIN)

    @property
    def flow_control(self) -> int:
        """What the daemon lets us send: 0 anything, 1 nothing, 2 no multicasts."""
        return self._channel.flow_control

    # --- events

    def fileno(self) -> int:
        """Readable when an event is waiting, or the daemon has gone."""
        return self._channel.event_fd

    def receive_event(self, timeout_s: float | None = None) -> bytes | None:
        """The next event, or None when time is over. Raises LibraryError LIBRARY if the daemon has gone."""
        while not self._closed:
            ready, _, _ = select.select([self.fileno()], [], [], timeout_s)
            if not ready:
                return None
            try:
                event = self._channel.read_event()
            except (OSError, MalformedMessage) as fault:
                raise LibraryError(CsError.LIBRARY) from fault
            if event is not None:
                return event
            if not self._alive():
                raise LibraryError(CsError.LIBRARY)
        raise LibraryError(CsError.BAD_HANDLE)

    def _alive(self) -> bool:
        try:
            return self._setup.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    # --- the end

    def close(self) -> None:
        """Disconnect; may be called twice."""
        if not self._closed:
            self._closed = True
            self._setup.close()
            self._channel.close()


class _RingsChannel:
    """Three rings in shared memory, and the setup socket for announcements in both directions."""

    def __init__(self, response: Any, setup: socket.socket) -> None:
        self._setup = setup
        self.event_fd = setup.fileno()
        self._files: list[RingFile] = []
        try:
            for path in (response.request, response.response, response.event):
                self._files.append(RingFile.open(_text(path), response.max_message_bytes))
        except OSError:
            for file in self._files:
                file.close()
            raise
        self._request, self._response, self._event = (file.ring for file in self._files)

    @property
    def flow_control(self) -> int:
        return self._request.flow_control

    def write_request(self, message: Buffer) -> bool:
        if not self._request.write(message, b""):
            return False
        while True:
            try:
                self._setup.send(b"\0")
                return True
            except BlockingIOError:
                # The request is in the ring: its announcement must follow.
                select.select([], [self._setup], [])

    def wait_response(self, timeout_s: float) -> bytes | None:
        return _take(self._response, lambda: self._response.wait(timeout_s))

    def read_event(self) -> bytes | None:
        event = _take(self._event, self._event.peek)
        if event is not None:
            self._setup.recv(1)
        return event

    def close(self) -> None:
        for file in self._files:
            file.close()


def _take(ring: RingBuffer, look: Callable[[], memoryview | None]) -> bytes | None:
    chunk = look()
    if chunk is None:
        return None
    data = bytes(chunk)
    ring.reclaim()
    return data


class _SocketsChannel:
    """Two datagram sockets, and the flow control word in a small shared file."""

    def __init__(self, response: Any) -> None:
        base = _text(response.response)
        self._max_message_bytes: int = response.max_message_bytes
        control_fd = os.open(_text(response.request), os.O_RDWR | os.O_CLOEXEC)
        try:
            self._control: Mapping = map_once(control_fd, 24)
        finally:
            os.close(control_fd)
        self._requests = self._connected(base, "response", "request")
        self._events = self._connected(base, "event", "event-tx")
        self.event_fd = self._events.fileno()

    def _connected(self, base: str, ours: str, theirs: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        made.bind(_abstract(f"{base}-{ours}"))
        made.connect(_abstract(f"{base}-{theirs}"))
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            if made.getsockopt(socket.SOL_SOCKET, option) <= self._max_message_bytes:
                made.setsockopt(socket.SOL_SOCKET, option, self._max_message_bytes)
        return made

    @property
    def flow_control(self) -> int:
        return int.from_bytes(self._control.view[4:8], "little")

    def write_request(self, message: Buffer) -> bool:
        return self._requests.send(message) == len(message)

    def wait_response(self, timeout_s: float) -> bytes | None:
        ready, _, _ = select.select([self._requests], [], [], timeout_s)
        return self._requests.recv(self._max_message_bytes) if ready else None

    def read_event(self) -> bytes | None:
        try:
            return self._events.recv(self._max_message_bytes, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._requests.close()
        self._events.close()
        self._control.unmap()


def _abstract(name: str) -> bytes:
    return b"\0" + name.encode().ljust(_SUN_PATH_BYTES - 1, b"\0")


def _text(path: bytes) -> str:
    return os.fsdecode(path.split(b"\0", 1)[0])
