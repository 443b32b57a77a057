"""Packets wait until they are asked for, then keep their order; what makes no sense is counted."""

import struct
from types import MappingProxyType
from typing import Any

from pycorosync.knet.outputs import SendDatagrams
from pycorosync.node.counters import MessageCounters
from pycorosync.node.deliveries import Deliveries
from pycorosync.services.stream import Event, Stream
from pycorosync.totem.messages import MCAST
from pycorosync.totem.outputs import Deliver
from pycorosync.totem.packing import GROUP_SYNC, Packer
from pycorosync.types import NodeId
from pycorosync.wire.fixed import NATIVE
from tests.simulator.cluster import Cluster, Setup

FUNCTION = 2 << 16 | 3


def message(number: int, rest: bytes = b"") -> bytes:
    return struct.pack("=i4xi4x", number, 16 + len(rest)) + rest


class Echo(Stream):
    def deliver(self, node_id: NodeId, message: memoryview) -> None:
        self.events.append((1, b"", bytes(message[16:])))


class Plain:
    """A service that notes what it gets."""

    ID, NAME = 4, "plain"
    DELIVERIES = MappingProxyType({0: None})

    def __init__(self, story: list[Any]) -> None:
        self.story = story

    def on_delivery(self, node_id: int, function: int, message: memoryview, order: str, now_ns: int) -> None:
        self.story.append(("plain", bytes(message[16:])))


class Stage:
    def __init__(self) -> None:
        self.story: list[Any] = []
        services: Any = {Plain.ID: Plain(self.story)}
        self.deliveries = Deliveries(
            services, MessageCounters(), self._on_delivered, self._on_sync, self._on_events
        )
        self.deliveries.add_stream(Echo(1, FUNCTION))
        self.packer = Packer(65446)

    def _on_delivered(self, _service: Any, now_ns: int) -> None:
        self.story.append(("after", now_ns))

    def _on_sync(self, node_id: NodeId, message: memoryview, _order: str, _now_ns: int) -> None:
        self.story.append(("sync", node_id, bytes(message)))

    def _on_events(self, events: list[Event]) -> None:
        self.story.append(("events", [body for _, _, body in events]))

    def put(self, *messages: bytes, group: bytes = b"a") -> None:
        for each in messages:
            self.packer.add(each, group=group)
        self.packer.flush()
        while self.packer.backlog:
            self.deliveries.put(Deliver(7, memoryview(self.packer.next_frame())[MCAST.size :], NATIVE))


def test_what_is_put_waits() -> None:
    stage = Stage()
    assert not stage.deliveries.run(1)
    stage.put(message(4 << 16, b"x"))
    assert stage.deliveries.waiting
    assert not stage.story
    assert stage.deliveries.run(5)
    assert stage.story == [("plain", b"x"), ("after", 5)]
    assert not stage.deliveries.waiting


def test_events_of_a_stream_come_together_and_before_what_follows() -> None:
    stage = Stage()
    stage.put(
        message(FUNCTION, b"a"), message(FUNCTION, b"b"), message(4 << 16, b"x"), message(FUNCTION, b"c")
    )
    stage.put(b"whatever", group=GROUP_SYNC)
    stage.deliveries.run(5)
    assert stage.story == [
        ("events", [b"a", b"b"]),
        ("plain", b"x"),
        ("after", 5),
        ("events", [b"c"]),
        ("sync", 7, b"whatever"),
    ]


def test_what_a_ring_delivers_waits_for_what_it_sends() -> None:
    """A node that has the token sends it on, and then tells its clients."""
    cluster = Cluster(1, Setup(nodes=2))
    with cluster.log.installed():
        cluster.start()
        cluster.form()
        client = cluster.client(1)
        cluster.quiesce()
        node = cluster.daemon(1).node
        seen: list[bool] = []
        network: Any = node._network
        receive = network.receive

        def watch(*arguments: Any) -> None:
            receive(*arguments)
            node._drain_ring(arguments[-1])
            if node._deliveries.waiting:
                seen.append(any(isinstance(output, SendDatagrams) for output in node.outputs))

        network.receive = watch
        client.send(100)
        cluster.quiesce()
    assert seen
    assert all(seen)


def test_nonsense_is_counted_and_costs_nobody_else_a_message() -> None:
    stage = Stage()
    stage.put(b"short", message(99 << 16), message(4 << 16 | 8), message(4 << 16, b"x"))
    stage.deliveries.run(5)
    assert stage.story == [("plain", b"x"), ("after", 5)]
    assert stage.deliveries.malformed_messages == 1
