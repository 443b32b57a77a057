"""Packets of the ring's total order, unpacked and given to the services that their messages are for
(corosync: exec/main.c, deliver_fn).

They may wait, so that what the ring has to send goes out first: the token does not depend on them, and the
others wait for it.
"""

import struct
from collections import deque
from collections.abc import Callable, Mapping

from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.node.counters import MessageCounters
from pycorosync.services.service import REQUEST_HEADER, Service
from pycorosync.services.stream import Event, Stream
from pycorosync.totem.outputs import Deliver
from pycorosync.totem.packing import GROUP_SERVICES, GROUP_SYNC, Unpacker
from pycorosync.types import NodeId, ServiceId
from pycorosync.wire.fixed import NATIVE

LOG = subsystem("MAIN")
TOTEM = subsystem("TOTEM")

_HEADER_BYTES = REQUEST_HEADER.size
_decode_number = struct.Struct("=i").unpack_from


class Deliveries:
    """From packets to on_delivery of the services, and to the events of their streams."""

    def __init__(
        self,
        services: Mapping[ServiceId, Service],
        counters: MessageCounters,
        on_delivered: Callable[[Service, int], None],
        on_sync: Callable[[NodeId, memoryview, str, int], None],
        on_events: Callable[[list[Event]], None],
    ) -> None:
        """`on_delivered(service, now_ns)`: it has had a message; `on_sync`: one of the synchronization's."""
        self.unpacker = Unpacker()
        self.malformed_messages = 0
        self._services = services
        self._counters = counters
        self._on_delivered = on_delivered
        self._on_sync = on_sync
        self._on_events = on_events
        self._streams: dict[int, Stream] = {}  # by executive message id
        self._waiting: deque[Deliver] = deque()

    def add_stream(self, stream: Stream) -> None:
        """Its messages take the short way."""
        self._streams[stream.function] = stream

    def put(self, packet: Deliver) -> None:
        """The next packet; run() delivers it."""
        self._waiting.append(packet)

    @property
    def waiting(self) -> bool:
        """Whether run() has something to deliver."""
        return bool(self._waiting)

    def run(self, now_ns: int) -> bool:
        """Deliver all that waits; False if there was nothing."""
        waiting = self._waiting
        if not waiting:
            return False
        while waiting:
            packet = waiting.popleft()
            self._deliver_packet(packet.node_id, packet.payload, packet.order, now_ns)
        return True

    def _deliver_packet(self, node_id: NodeId, payload: memoryview, order: str, now_ns: int) -> None:
        streams = self._streams if order == NATIVE else {}
        busy: Stream | None = None  # has events that belong before whatever comes next
        for group, message in self.unpacker.feed(node_id, payload, order):
            try:
                if group == GROUP_SERVICES:
                    if len(message) < _HEADER_BYTES:
                        raise MalformedMessage(f"a message of {len(message)} bytes")
                    stream = streams.get(_decode_number(message)[0])
                    if stream is not None:
                        stream.deliver(node_id, message)
                        busy = stream
                        continue
                if busy is not None:
                    self._send_events(busy)
                    busy = None
                if group == GROUP_SERVICES:
                    self.deliver(node_id, message, order, now_ns)
                elif group == GROUP_SYNC:
                    self._on_sync(node_id, message, order, now_ns)
            except MalformedMessage as fault:
                self.malformed_messages += 1
                TOTEM.debug("dropped a message of node %d: %s", node_id, fault)
        if busy is not None:
            self._send_events(busy)

    def _send_events(self, stream: Stream) -> None:
        if stream.events:
            self._on_events(stream.events)
            stream.events = []

    def deliver(self, node_id: NodeId, message: memoryview, order: str, now_ns: int) -> None:
        """A message in total order, to the service that its id names. Raises MalformedMessage."""
        number = int.from_bytes(message[:4], "little" if order == "<" else "big")
        service = self._services.get(number >> 16)
        if service is None:
            return
        function = number & 0xFFFF
        if function not in service.DELIVERIES:
            LOG.warning(
                "discarded unknown message %d for service %d (max id %d)",
                function,
                service.ID,
                len(service.DELIVERIES),
            )
            return
        self._counters.received(number)
        service.on_delivery(node_id, function, message, order, now_ns)
        self._on_delivered(service, now_ns)
