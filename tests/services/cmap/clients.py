"""A cmap service and the clients that a test pretends to be."""

from typing import Any

from pycorosync.cmap.keys import mark_read_only
from pycorosync.cmap.stats import Stat, StatsMap
from pycorosync.cmap.store import Store, ValueType
from pycorosync.cs_error import CsError
from pycorosync.services.cmap import messages
from pycorosync.services.cmap.messages import CmapRequest
from pycorosync.services.cmap.service import CmapService
from pycorosync.services.outputs import Output, Respond, SendEvent
from pycorosync.services.service import RESPONSE_HEADER, ClientInfo, LinkStatus, NodeView
from pycorosync.wire.fixed import Fixed

SECOND = 1_000_000_000


class NoTransport:
    """A network that is not asked for anything."""

    name = "knet"

    def addresses(self, _node_id: int) -> list[str]:
        return []

    def links(self, _node_id: int) -> list[LinkStatus]:
        return []

    def reachable(self, _node_id: int) -> bool:
        return False


def view(node_id: int = 1) -> NodeView:
    store = Store()
    store.set_u32("totem.version", 2)
    mark_read_only(store)
    return NodeView(node_id=node_id, cmap=store, transport=NoTransport())


class Setting:
    """The service with client 1 connected; more with connect()."""

    def __init__(self, node_id: int = 1) -> None:
        self.view = view(node_id)
        self.cmap = self.view.cmap
        self.stats = StatsMap()
        self.figures: dict[str, int] = {"stats.pg.msg_reserved": 1, "stats.pg.msg_queue_avail": 2}
        self.stats.add(self._provide)
        self.service = CmapService(self.view, self.stats)
        self.now_ns = 100 * SECOND
        self.events: list[tuple[int, bytes]] = []
        self.others: list[Output] = []
        self.connect(1)

    def _provide(self) -> list[Stat]:
        return [(key, ValueType.UINT32, value) for key, value in self.figures.items()]

    def connect(self, client: int) -> None:
        self.service.on_client(ClientInfo(client, 0, 100 + client, 0, 0), self.now_ns)

    def disconnect(self, client: int) -> None:
        self.service.on_client_gone(client, self.now_ns)

    def raw(self, message: bytes, client: int = 1) -> bytes:
        """Send the bytes of a request; those of its response."""
        number = int.from_bytes(message[:4], "little")
        self.service.on_request(client, number, memoryview(message), self.now_ns)
        responses = [output for output in self.collect() if isinstance(output, Respond)]
        assert len(responses) == 1
        assert responses[0].client == client
        payload = bytes(responses[0].payload)
        assert RESPONSE_HEADER.decode(payload).size == len(payload)
        return payload

    def collect(self) -> list[Output]:
        """Everything that the service has put out; events are kept in `events` too."""
        outputs, self.service.outputs = self.service.outputs, []
        for output in outputs:
            if isinstance(output, SendEvent):
                self.events.append((output.client, bytes(output.head) + bytes(output.body)))
            elif not isinstance(output, Respond):
                self.others.append(output)
        return outputs

    def ask(self, number: CmapRequest, *fields: Any, body: bytes = b"", client: int = 1) -> bytes:
        """Send a request; the bytes of its response."""
        layout = LAYOUTS[number]
        return self.raw(layout.encode(number, layout.size + len(body), *fields) + body, client)

    def error(self, number: CmapRequest, *fields: Any, body: bytes = b"", client: int = 1) -> CsError:
        """Send a request; the error in its response."""
        return CsError(RESPONSE_HEADER.decode(self.ask(number, *fields, body=body, client=client)).error)

    def set(self, key: str, kind: int, data: bytes, client: int = 1) -> CsError:
        return self.error(CmapRequest.SET, *name(key), len(data), kind, body=data, client=client)

    def track(self, key: str, events: int, own_handle: int = 77, client: int = 1) -> int:
        answer = self.ask(CmapRequest.TRACK_ADD, *name(key), events, own_handle, client=client)
        assert RESPONSE_HEADER.decode(answer).error == CsError.OK
        return int(messages.HANDLE_RESPONSE.decode(answer).handle)

    def iterate(self, prefix: str, client: int = 1) -> list[Any]:
        answer = self.ask(CmapRequest.ITER_INIT, *name(prefix), client=client)
        handle = messages.HANDLE_RESPONSE.decode(answer).handle
        found = []
        while True:
            answer = self.ask(CmapRequest.ITER_NEXT, handle, client=client)
            item = messages.ITER_NEXT_RESPONSE.decode(answer)
            if item.header_error != CsError.OK:
                assert item.header_error == CsError.NO_SECTIONS
                break
            found.append(item)
        assert self.error(CmapRequest.ITER_FINALIZE, handle, client=client) is CsError.OK
        return found


LAYOUTS: dict[CmapRequest, Fixed] = {
    CmapRequest.SET: messages.SET_REQUEST,
    CmapRequest.DELETE: messages.KEY_REQUEST,
    CmapRequest.GET: messages.GET_REQUEST,
    CmapRequest.ADJUST_INT: messages.ADJUST_REQUEST,
    CmapRequest.ITER_INIT: messages.KEY_REQUEST,
    CmapRequest.ITER_NEXT: messages.HANDLE_REQUEST,
    CmapRequest.ITER_FINALIZE: messages.HANDLE_REQUEST,
    CmapRequest.TRACK_ADD: messages.TRACK_ADD_REQUEST,
    CmapRequest.TRACK_DELETE: messages.HANDLE_REQUEST,
    CmapRequest.SET_CURRENT_MAP: messages.MAP_REQUEST,
}


def name(key: str) -> tuple[int, bytes]:
    return messages.name_fields(key)
