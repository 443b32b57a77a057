"""A cmap service in place of a daemon: what the client library and the tool talk to in tests."""

from collections import deque

from pycorosync.client.connection import LibraryError
from pycorosync.cmap.stats import StatsMap
from pycorosync.cs_error import CsError
from pycorosync.services.cmap.service import CmapService
from pycorosync.services.outputs import Respond, SendEvent
from pycorosync.services.service import REQUEST_HEADER, ClientInfo
from tests.client.stand_in import Inbox
from tests.services.cmap.clients import view

NOW_NS = 1_000_000_000


class FakeDaemon:
    """`connect` stands in for client.connection.Connection."""

    def __init__(self) -> None:
        self.view = view()
        self.cmap = self.view.cmap
        self.stats = StatsMap()
        self.service = CmapService(self.view, self.stats)
        self.refusals: deque[CsError] = deque()  # of the next attempts to connect
        self.failures: dict[int, deque[CsError]] = {}  # of the next requests with this id
        self.connections: dict[int, FakeConnection] = {}

    def connect(self, name: str) -> "FakeConnection":
        if self.refusals:
            raise LibraryError(self.refusals.popleft())
        client = len(self.connections) + 1
        self.connections[client] = FakeConnection(self, client, name)
        self.service.on_client(ClientInfo(client, 0, 100 + client, 0, 0), NOW_NS)
        return self.connections[client]

    def pump(self) -> None:
        """Hand out what the service says."""
        outputs, self.service.outputs = self.service.outputs, []
        for output in outputs:
            if isinstance(output, Respond):
                self.connections[output.client].responses.append(bytes(output.payload))
            elif isinstance(output, SendEvent):
                self.connections[output.client].arrived(bytes(output.head) + bytes(output.body))


class FakeConnection(Inbox):
    """A client's end."""

    def __init__(self, daemon: FakeDaemon, client: int, name: str) -> None:
        super().__init__()
        self.name = name
        self.responses: deque[bytes] = deque()
        self.requests: list[int] = []
        self._daemon = daemon
        self._client = client

    def request(self, message: bytes) -> bytes:
        if self.closed:
            raise LibraryError(CsError.BAD_HANDLE)
        header = REQUEST_HEADER.decode(message)
        assert header.size == len(message)
        self.requests.append(header.id)
        if failures := self._daemon.failures.get(header.id):
            raise LibraryError(failures.popleft())
        self._daemon.service.on_request(self._client, header.id, memoryview(message), NOW_NS)
        self._daemon.pump()
        return self.responses.popleft()

    def receive_event(self, timeout_s: float | None = None) -> bytes | None:
        self._daemon.pump()
        return super().receive_event(timeout_s)

    def close(self) -> None:
        if not self.closed:
            self._daemon.service.on_client_gone(self._client, NOW_NS)
        super().close()
