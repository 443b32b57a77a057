"""A simulated ring in place of a daemon: what the cpg client library and its tool talk to in tests."""

import os
from contextlib import suppress

from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError
from pycorosync.services.cpg.messages import CpgRequest
from pycorosync.services.cpg.service import CpgService
from pycorosync.services.service import REQUEST_HEADER
from pycorosync.types import Buffer
from tests.services.cpg.cluster import Client, Cluster


class FakeDaemon:
    """Node 1 of a cluster. `connect` stands in for client.connection.Connection."""

    def __init__(self, nodes: int = 1) -> None:
        self.cluster = Cluster(nodes)
        self.cluster.form(range(1, nodes + 1))
        self.running = True
        self.refusals: list[CsError] = []  # what the next requests that need the ring are answered with
        self.connections: list[FakeConnection] = []

    def connect(self, service: str) -> "FakeConnection":
        if not self.running or service != "cpg":
            raise LibraryError(CsError.LIBRARY)
        self.connections.append(FakeConnection(self, self.cluster.client(1, os.getpid())))
        return self.connections[-1]


class FakeConnection:
    """A client's end."""

    def __init__(self, daemon: FakeDaemon, client: Client) -> None:
        self.client = client
        self.flow_control = 0
        self.closed = False
        self.sent: list[bytes] = []
        self._daemon = daemon
        self._reader, self._writer = os.pipe()

    def request(self, message: bytes, *, timeout_s: float | None = None) -> bytes:
        if self.closed:
            raise LibraryError(CsError.BAD_HANDLE)
        number = REQUEST_HEADER.decode(message).id
        if self._daemon.refusals and CpgService.REQUESTS[CpgRequest(number)].needs_ring:
            raise LibraryError(self._daemon.refusals.pop(0))
        self._send(message)
        return self.client.responses.pop()

    def send(self, message: Buffer, *, flow_control_max: int = 1) -> None:
        if 0 < self.flow_control <= flow_control_max:
            raise LibraryError(CsError.TRY_AGAIN)
        self._send(bytes(message))

    def _send(self, message: bytes) -> None:
        assert REQUEST_HEADER.decode(message).size == len(message)
        self.sent.append(message)
        self.client.send(message)
        self._daemon.cluster.settle()
        self.announce()

    def announce(self) -> None:
        """Make the connection readable if there is something to read."""
        if self.client.events:
            os.write(self._writer, b"x")

    def fileno(self) -> int:
        return self._reader

    def receive_event(self, timeout_s: float | None = None) -> bytes | None:
        if self.client.events:
            return self.client.events.pop(0)
        if timeout_s is None:
            raise LibraryError(CsError.LIBRARY)  # nobody would ever wake us
        os.set_blocking(self._reader, False)
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)
        return None

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.client.vanish()
            self._daemon.cluster.settle()
            os.close(self._reader)
            os.close(self._writer)
