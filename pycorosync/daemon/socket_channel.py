"""A client over datagram sockets instead of shared memory, as system.qb_ipc_type: socket selects
(libqb: lib/ipc_socket.c). Specification: protocol/libqb-ipc.md, section 4.

Two abstract datagram sockets are ours, `-request` (requests in, responses out) and `-event-tx` (events out);
the client binds `-response` and `-event`. A small file in shared memory carries the flow control word.
"""

import socket
from collections.abc import Callable

from pycorosync.ipc.connection import Channel
from pycorosync.ipc.shared_memory import SHARED_MEMORY_DIRECTORY, Mapping, map_new
from pycorosync.types import Buffer

# Three times (messages in the queue, flow control); only the request's flow control has a reader.
CONTROL_BYTES = 24
REQUEST_FLOW_CONTROL_AT = 4
SUN_PATH_BYTES = 108
# A datagram socket answers ENOBUFS or EAGAIN when its peer does not read.
_NO_ROOM = (BlockingIOError, InterruptedError)


def abstract_address(name: str) -> bytes:
    """libqb binds the whole of sun_path, zeros included: a shorter name is a different one."""
    return b"\0" + name.encode().ljust(SUN_PATH_BYTES - 1, b"\0")


class SocketChannel(Channel):
    """See Channel in ipc/connection.py."""

    def __init__(self, name: str, service: str, max_message_bytes: int, uid: int, gid: int) -> None:
        """Raises OSError."""
        self._base = str(SHARED_MEMORY_DIRECTORY / f"{name}-{service}")
        self._max_message_bytes = max_message_bytes
        self.control_path = f"{SHARED_MEMORY_DIRECTORY / name}-control-{service}"
        self._held: bytes | None = None
        self.control: Mapping = map_new(f"{name}-control-{service}", CONTROL_BYTES, uid, gid, twice=False)
        self._flow = self.control.view[REQUEST_FLOW_CONTROL_AT : REQUEST_FLOW_CONTROL_AT + 4].cast("i")
        self.request_socket = self._bind("request")
        self.event_socket = self._bind("event-tx")
        self._connected: set[socket.socket] = set()

    @property
    def paths(self) -> tuple[str, str, str]:
        """What the client is told: the control file, the sockets' base name, nothing."""
        return self.control_path, self._base, ""

    def _bind(self, suffix: str) -> socket.socket:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        bound.bind(abstract_address(f"{self._base}-{suffix}"))
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            if bound.getsockopt(socket.SOL_SOCKET, option) <= self._max_message_bytes:
                bound.setsockopt(socket.SOL_SOCKET, option, self._max_message_bytes)
        return bound

    def next_request(self) -> memoryview | None:
        if self._held is None:
            try:
                self._held = self.request_socket.recv(self._max_message_bytes)
            except _NO_ROOM:
                return None
        return memoryview(self._held)

    def request_done(self) -> None:
        self._held = None

    def put_back(self) -> None:
        """The request is held anyway."""

    def write_response(self, payload: Buffer) -> bool:
        return self._send(self.request_socket, "response", lambda: self.request_socket.send(payload))

    def write_event(self, head: Buffer, body: Buffer) -> bool:
        return self._send(self.event_socket, "event", lambda: self.event_socket.sendmsg([head, body]))

    def _send(self, through: socket.socket, peer: str, send: Callable[[], int]) -> bool:
        try:
            if through not in self._connected:
                through.connect(abstract_address(f"{self._base}-{peer}"))
                self._connected.add(through)
            send()
        except OSError:  # no room, or the client has not bound its end yet, or is gone
            return False
        return True

    def set_flow_control(self, level: int) -> None:
        self._flow[0] = level

    def close(self) -> None:
        """Close the sockets, unmap and remove the control file."""
        self.request_socket.close()
        self.event_socket.close()
        self._flow.release()
        self.control.unmap()
        (SHARED_MEMORY_DIRECTORY / self.control_path).unlink(missing_ok=True)
