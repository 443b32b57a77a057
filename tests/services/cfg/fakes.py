"""What the tests of the cfg service share: a network that is set by hand, and a service with its clients."""

import struct
from typing import Any

from pycorosync.cmap.store import Store
from pycorosync.services.cfg import messages
from pycorosync.services.cfg.messages import CfgExec, CfgRequest, CfgResponse
from pycorosync.services.cfg.service import CfgService
from pycorosync.services.outputs import Multicast, Output, Respond, SendEvent
from pycorosync.services.service import RESPONSE_HEADER, ClientInfo, LinkStatus, NodeView
from pycorosync.types import NodeId
from pycorosync.wire.fixed import NATIVE

MS = 1_000_000


class FakeTransport:
    """Two nodes with two links unless told otherwise."""

    def __init__(self, name: str = "knet", node_ids: tuple[NodeId, ...] = (1, 2), links: int = 2) -> None:
        self.name = name
        self.down: set[tuple[NodeId, int]] = set()
        self.address_of = {
            node_id: [f"10.0.{link}.{node_id}" for link in range(links)] for node_id in node_ids
        }

    def addresses(self, node_id: NodeId) -> list[str]:
        return self.address_of.get(node_id, [])

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        return [
            LinkStatus(
                link,
                True,
                (node_id, link) not in self.down,
                False,
                65535 if node_id == 1 else 1397,
                self.address_of[1][link],
                address,
            )
            for link, address in enumerate(self.addresses(node_id))
        ]

    def reachable(self, node_id: NodeId) -> bool:
        return any(link.connected for link in self.links(node_id))


def view(transport: FakeTransport | None = None) -> NodeView:
    """Node 1 with its nodelist and its members in the map."""
    transport = transport or FakeTransport()
    cmap = Store()
    for position, node_id in enumerate(transport.address_of):
        cmap.set_u32(f"nodelist.node.{position}.nodeid", node_id)
        cmap.set_str(f"nodelist.node.{position}.name", f"n{node_id}")
        cmap.set_str(f"runtime.members.{node_id}.status", "joined")
    return NodeView(1, cmap, transport, members=tuple(transport.address_of))


class Bench:
    """A service, and what it said; clients are numbers."""

    def __init__(self, transport: FakeTransport | None = None, clients: int = 4) -> None:
        self.view = view(transport)
        self.service = CfgService(self.view)
        self.now_ns = 1000 * MS
        for client in range(1, clients + 1):
            self.service.on_client(ClientInfo(client, 1, 100 + client, 0, 0), self.now_ns)

    def ask(self, client: int, request: CfgRequest, body: bytes = b"") -> list[Output]:
        """Send a request; what came of it."""
        message = struct.pack("<i4xi4x", request, 16 + len(body)) + body
        self.service.on_request(client, request, memoryview(message), self.now_ns)
        return self.take()

    def deliver(self, message: bytes, node_id: NodeId = 1, order: str = NATIVE) -> list[Output]:
        """A message of a node comes in total order."""
        number: int = struct.unpack_from(order + "I", message)[0]
        self.service.on_delivery(node_id, number & 0xFFFF, memoryview(message), order, self.now_ns)
        return self.take()

    def take(self) -> list[Output]:
        outputs, self.service.outputs = self.service.outputs, []
        return outputs


def answer(output: Output) -> tuple[int, CfgResponse, int]:
    """(client, id, error) of a response."""
    assert isinstance(output, Respond)
    header = RESPONSE_HEADER.decode(output.payload)
    assert header.size == len(output.payload)
    return output.client, CfgResponse(header.id), header.error


def question(output: Output) -> tuple[int, int, int]:
    """(client, error, flags) of a question."""
    assert isinstance(output, SendEvent)
    record = messages.TEST_SHUTDOWN_EVENT.decode(output.head)
    assert (record.header_id, record.header_size) == (CfgResponse.TEST_SHUTDOWN, len(output.head))
    return output.client, record.header_error, record.flags


def multicast(output: Output) -> tuple[CfgExec, Any]:
    """What is sent to every node."""
    assert isinstance(output, Multicast)
    header = messages.EMPTY_REQUEST.decode(output.head)
    assert header.id >> 16 == 1
    assert header.size == len(output.head) + len(output.body)
    return CfgExec(header.id & 0xFFFF), bytes(output.head)
