"""A cfg service in place of a daemon: what the client library and the tool talk to in tests."""

from collections import deque

from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError
from pycorosync.services.cfg.service import CfgService
from pycorosync.services.outputs import Multicast, ReadConfiguration, Respond, SendEvent, StopDaemon
from pycorosync.services.service import REQUEST_HEADER, ClientInfo
from tests.client.stand_in import Inbox
from tests.services.cfg.fakes import FakeTransport, view

NOW_NS = 1_000_000_000


class FakeDaemon:
    """One node that hears what it says. `connect` stands in for client.connection.Connection."""

    def __init__(self, transport: FakeTransport | None = None) -> None:
        self.view = view(transport)
        self.service = CfgService(self.view)
        self.running = True
        self.reload_result = CsError.OK
        self.killed: list[int] = []
        self.stopped: list[StopDaemon] = []
        self.reopened = 0
        self.connections: dict[int, FakeConnection] = {}

    def connect(self, name: str) -> "FakeConnection":
        if not self.running:
            raise LibraryError(CsError.LIBRARY)
        client = len(self.connections) + 1
        self.connections[client] = FakeConnection(self, client, name)
        self.service.on_client(ClientInfo(client, 1, 100 + client, 0, 0), NOW_NS)
        return self.connections[client]

    def pump(self) -> None:
        """Carry out what the service says until it is silent."""
        while self.service.outputs:
            outputs, self.service.outputs = self.service.outputs, []
            for output in outputs:
                match output:
                    case Respond(client, payload):
                        self.connections[client].responses.append(bytes(payload))
                    case SendEvent(client, head, body):
                        self.connections[client].arrived(bytes(head) + bytes(body))
                    case Multicast(head, body):
                        message = bytes(head) + bytes(body)
                        function = REQUEST_HEADER.decode(message).id & 0xFFFF
                        self.service.on_delivery(1, function, memoryview(message), "<", NOW_NS)
                    case ReadConfiguration():
                        self.service.on_configuration_read(NOW_NS)
                        self.service.on_reloaded(self.reload_result, NOW_NS)
                    case StopDaemon():
                        self.stopped.append(output)


class FakeConnection(Inbox):
    """A client's end."""

    def __init__(self, daemon: FakeDaemon, client: int, name: str) -> None:
        super().__init__()
        self.name = name
        self.responses: deque[bytes] = deque()
        self._daemon = daemon
        self._client = client

    def request(self, message: bytes) -> bytes:
        header = REQUEST_HEADER.decode(message)
        if header.size != len(message):
            raise LibraryError(CsError.INVALID_PARAM)
        self._daemon.service.on_request(self._client, header.id, memoryview(message), NOW_NS)
        self._daemon.pump()
        if not self.responses:
            # Nobody else moves here: only time can answer.
            deadline = self._daemon.service.next_deadline()
            if deadline is not None:
                self._daemon.service.on_timer(deadline)
                self._daemon.pump()
        return self.responses.popleft()

    def close(self) -> None:
        if not self.closed:
            self._daemon.service.on_client_gone(self._client, NOW_NS)
        super().close()
