"""The barrier that lets every service exchange its state after a membership change (corosync: exec/sync.c).

Specification: protocol/sync.md. Each member announces which of its services synchronize; when all have, the
services are gone through in ascending order: send what you have to say, then a barrier message; when every
member's barrier is in, the service activates what it heard, and the next one follows. Messages of another
ring are ignored, and a new configuration starts everything again.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from construct import Aligned, Bytes, Int32sl, Int32ul, Int64ul, Padding, Struct

from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.services.service import NO_RING, REQUEST_HEADER_LAYOUT, Service, SyncStart
from pycorosync.types import NodeId, RingId, ServiceId
from pycorosync.wire.fixed import Fixed

LOG = subsystem("SYNC")

BARRIER_ID, SERVICE_BUILD_ID = 0, 1
SERVICES_MAX = 128

_RING_ID = Struct("representative" / Int32ul, "seq" / Int64ul)
HEADER = Fixed("SyncHeader", REQUEST_HEADER_LAYOUT)
BARRIER = Fixed("SyncBarrier", Struct("header" / REQUEST_HEADER_LAYOUT, "ring_id" / _RING_ID, Padding(4)))
SERVICE_BUILD = Fixed(
    "SyncServiceBuild",
    Struct(
        "header" / REQUEST_HEADER_LAYOUT,
        "ring_id" / _RING_ID,
        Padding(4),
        "count" / Aligned(8, Int32sl),
        "services" / Bytes(SERVICES_MAX * 4),
    ),
)
_SERVICE = Fixed("SyncService", Struct("id" / Int32sl))
assert (BARRIER.size, SERVICE_BUILD.size) == (32, 552)


class State(Enum):
    """Where a synchronization stands."""

    IDLE = "nothing to synchronize, or all done"
    BUILD = "collecting every member's list of services"
    PROCESS = "the current service is sending its messages"
    BARRIER = "waiting for every member to have sent its messages of the current service"


class MulticastSync(NamedTuple):
    """A message for the synchronization itself on every member."""

    payload: bytes


class SyncCompleted(NamedTuple):
    """Every service has activated the new configuration."""

    ring_id: RingId


class Synchronizer:
    """Leads the services that synchronize through one configuration change after the other.

    `outputs` takes MulticastSync and SyncCompleted; what the services send is in their own outputs, which the
    node collects after every call here, in the order in which the services ran.
    """

    def __init__(self, loaded: Mapping[ServiceId, Service]) -> None:
        self._loaded = loaded
        self._services: dict[ServiceId, Service] = {}  # those of them that synchronize
        self.outputs: list[MulticastSync | SyncCompleted] = []
        self._state = State.IDLE
        self._ring_id = NO_RING
        self._missing: set[NodeId] = set()
        self._members: tuple[NodeId, ...] = ()
        self._transitional: tuple[NodeId, ...] = ()
        self._sequence: list[ServiceId] = []
        self._position = 0

    @property
    def state(self) -> State:
        return self._state

    # --- the ring's configuration changes

    def on_transitional(self, members: tuple[NodeId, ...]) -> None:
        """Who comes with us from the last ring."""
        self._transitional = members

    def abort(self) -> None:
        """The configuration changes before the end: what is under way is void."""
        if self._state in (State.PROCESS, State.BARRIER):
            service = self._services.get(self._sequence[self._position])
            if service is not None:
                service.sync_abort()
        self._ring_id = NO_RING
        self._state = State.IDLE

    def start(self, ring_id: RingId, members: tuple[NodeId, ...], now_ns: int) -> None:
        """A regular configuration has been installed."""
        self._ring_id = ring_id
        self._members = members
        self._missing = set(members)
        self._services = {number: service for number, service in self._loaded.items() if service.SYNCHRONIZES}
        self._sequence = sorted(self._services)
        self._position = 0
        self._state = State.BUILD
        ids = b"".join(_SERVICE.encode(service_id) for service_id in self._sequence)
        self.outputs.append(
            MulticastSync(
                SERVICE_BUILD.encode(SERVICE_BUILD_ID, SERVICE_BUILD.size, *ring_id, len(self._sequence), ids)
            )
        )
        LOG.debug("call init for locally known services")
        together = tuple(node for node in self._transitional if node in members)
        start = SyncStart(ring_id, members, together)
        for service_id in self._sequence:
            self._services[service_id].sync_init(start, now_ns)

    # --- messages of the members

    def receive(self, node_id: NodeId, message: memoryview, order: str, now_ns: int) -> None:
        """A synchronization message in total order. Raises MalformedMessage."""
        kind = HEADER.decode(message, 0, order).id
        if kind == BARRIER_ID:
            record = BARRIER.decode(message, 0, order)
            if self._is_current(record, "barrier"):
                self._on_barrier(node_id, now_ns)
        elif kind == SERVICE_BUILD_ID:
            record = SERVICE_BUILD.decode(message, 0, order)
            if self._is_current(record, "service build"):
                self._on_service_build(node_id, record, order, now_ns)

    def _is_current(self, record: Any, what: str) -> bool:
        ring_id = RingId(record.ring_id_representative, record.ring_id_seq)
        if ring_id == self._ring_id:
            return True
        LOG.debug("%s for old ring - discarding", what)
        return False

    def _on_service_build(self, node_id: NodeId, record: Any, order: str, now_ns: int) -> None:
        count, ids = record.count, record.services
        if not 0 <= count <= SERVICES_MAX:
            raise MalformedMessage(f"service build of {node_id} names {count} services")
        if self._state is not State.BUILD:
            return
        theirs = {item.id for item in _SERVICE.iterate(ids[: 4 * count], order)}
        # Services that only others have become empty steps, so that all count the same barriers.
        self._sequence = sorted(theirs.union(self._sequence))
        self._missing.discard(node_id)
        if not self._missing:
            LOG.debug("enter sync process")
            self._enter_process(now_ns)

    def _on_barrier(self, node_id: NodeId, now_ns: int) -> None:
        if self._state not in (State.PROCESS, State.BARRIER):
            return
        self._missing.discard(node_id)
        if self._missing:
            return
        service = self._services.get(self._sequence[self._position])
        if service is not None:
            LOG.debug("Committing synchronization for %s", service.TITLE)
            service.sync_activate(now_ns)
        self._position += 1
        self._enter_process(now_ns)

    # --- our own part

    def _enter_process(self, now_ns: int) -> None:
        """The next service's turn, or the end."""
        if self._position >= len(self._sequence):
            self._state = State.IDLE
            self.outputs.append(SyncCompleted(self._ring_id))
            return
        self._state = State.PROCESS
        self._missing = set(self._members)
        self.go_on(now_ns)

    def go_on(self, now_ns: int) -> None:
        """Let the current service send the rest of its messages, if it could not send all of them before."""
        if self._state is not State.PROCESS:
            return
        service = self._services.get(self._sequence[self._position])
        if service is None or service.sync_process(now_ns):
            self._state = State.BARRIER
            self.outputs.append(MulticastSync(BARRIER.encode(BARRIER_ID, BARRIER.size, *self._ring_id)))
