"""What every service is made of: a table of requests, a table of deliveries, four sync hooks
(corosync: struct corosync_service_engine in include/corosync/coroapi.h, and the gate in exec/main.c).

A service does no I/O. The node calls it; it changes its own state and appends to `outputs`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, ClassVar, NamedTuple, Protocol

from construct import Aligned, Int32sl, Struct

from pycorosync.cmap.store import Store
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError, MalformedMessage
from pycorosync.services.outputs import Output, Respond
from pycorosync.services.stream import Stream
from pycorosync.types import Buffer, ClientId, NodeId, RingId, ServiceId
from pycorosync.wire.fixed import Fixed

# libqb: every field of these is aligned to 8 bytes (protocol/libqb-ipc.md).
REQUEST_HEADER_LAYOUT = Struct("id" / Aligned(8, Int32sl), "size" / Aligned(8, Int32sl))
RESPONSE_HEADER_LAYOUT = Struct(
    "id" / Aligned(8, Int32sl), "size" / Aligned(8, Int32sl), "error" / Aligned(8, Int32sl)
)
REQUEST_HEADER = Fixed("RequestHeader", REQUEST_HEADER_LAYOUT)
RESPONSE_HEADER = Fixed("ResponseHeader", RESPONSE_HEADER_LAYOUT)


class TrackFlags(IntFlag):
    """CS_TRACK_*: what clients of quorum and votequorum want to be told: once, at each change, or both."""

    CURRENT = 1
    CHANGES = 2
    CHANGES_ONLY = 4


class ClientInfo(NamedTuple):
    """Who is behind a connection, as the kernel says."""

    client: ClientId
    service_id: ServiceId
    pid: int
    uid: int
    gid: int


class LinkStatus(NamedTuple):
    """One link to one node, for corosync-cfgtool."""

    link: int
    enabled: bool
    connected: bool
    dynamic_connected: bool
    mtu: int
    local_address: str
    remote_address: str


class Transport(Protocol):
    """What services may ask of the network below the ring."""

    name: str  # knet, udpu, udp

    def addresses(self, node_id: NodeId) -> list[str]:
        """The configured addresses of a node, by link; empty if the node is unknown."""

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        """The state of every link to a node, ourselves included."""

    def reachable(self, node_id: NodeId) -> bool:
        """Whether any link to the node is up."""


NO_RING = RingId(0, 0)


@dataclass(slots=True)
class NodeView:
    """What the node lets its services see. The node keeps it true; services only read, except `cmap`."""

    node_id: NodeId
    cmap: Store
    transport: Transport
    ring_id: RingId = NO_RING
    members: tuple[NodeId, ...] = ()
    quorate: bool = False
    synchronizing: bool = False
    queue_is_critical: bool = False  # the send queue is so full that clients shall wait


class SyncStart(NamedTuple):
    """The configuration that a synchronization brings every member's services into."""

    ring_id: RingId
    members: tuple[NodeId, ...]  # ascending
    transitional: tuple[NodeId, ...]  # those who came with us from our last ring, ourselves included


class Request(NamedTuple):
    """One kind of message from a client."""

    handle: Callable[..., None]  # (service, client, record, message, now_ns)
    layout: Fixed  # the head; a shorter message is refused with INVALID_PARAM
    needs_ring: bool  # corosync: CS_LIB_FLOW_CONTROL_REQUIRED
    answers: bool = True  # False: the client waits for no response, whatever happens


class Delivery(NamedTuple):
    """One kind of message from a node of the ring."""

    handle: Callable[..., None]  # (service, node_id, record, message, order, now_ns)
    layout: Fixed  # the head, with the 16 byte request header
    counted: bool = True  # has keys runtime.services.*; corosync 3.1.7 has none for messages of newer ones


class Service:
    """The plumbing of a service; each service fills the tables and overrides the hooks that it needs."""

    ID: ClassVar[ServiceId]
    NAME: ClassVar[str]  # of its IPC socket, of runtime.services.NAME, and of internal_configuration
    TITLE: ClassVar[str]  # "Service engine loaded: TITLE [ID]"
    REQUESTS: ClassVar[dict[int, Request]] = {}
    DELIVERIES: ClassVar[dict[int, Delivery]] = {}
    HAS_IPC: ClassVar[bool] = True
    SYNCHRONIZES: ClassVar[bool] = False

    def __init__(self, view: NodeView) -> None:
        self.view = view
        self.outputs: list[Output] = []
        self.stream: Stream | None = None

    # --- clients

    def on_client(self, info: ClientInfo, now_ns: int) -> None:
        """A client has connected."""

    def on_client_gone(self, client: ClientId, now_ns: int) -> None:
        """A client has gone, orderly or not. It gets no more outputs."""

    def on_request(self, client: ClientId, number: int, message: memoryview, now_ns: int) -> None:
        """A request that the node's gate has let through: `number` is a key of REQUESTS."""
        request = self.REQUESTS[number]
        try:
            request.handle(self, client, request.layout.decode(message), message, now_ns)
        except ClientError as fault:
            if request.answers:
                self.refuse(client, number, fault.code)
        except MalformedMessage:
            if request.answers:
                self.refuse(client, number, CsError.INVALID_PARAM)

    def refuse(self, client: ClientId, response_id: int, code: CsError) -> None:
        """Answer with a bare header that carries `code`."""
        self.outputs.append(Respond(client, RESPONSE_HEADER.encode(response_id, RESPONSE_HEADER.size, code)))

    def on_unload(self, now_ns: int) -> None:
        """The daemon is about to leave the ring."""

    # --- the ring

    def on_delivery(
        self, node_id: NodeId, function: int, message: memoryview, order: str, now_ns: int
    ) -> None:
        """A message of this service in total order: `function` is a key of DELIVERIES.

        Raises MalformedMessage, which the node counts.
        """
        delivery = self.DELIVERIES[function]
        delivery.handle(self, node_id, delivery.layout.decode(message, 0, order), message, order, now_ns)

    # --- synchronization (only called when SYNCHRONIZES)

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        """A new configuration: forget what an earlier, unfinished one brought."""

    def sync_process(self, now_ns: int) -> bool:
        """Append what the others must know to outputs; False: call again, the queue is full."""
        return True

    def sync_activate(self, now_ns: int) -> None:
        """Every member's sync messages are in: act on them."""

    def sync_abort(self) -> None:
        """The configuration changed again before the end."""

    # --- time

    def next_deadline(self) -> int | None:
        """When on_timer is wanted next, in nanoseconds of the node's clock."""
        return None

    def on_timer(self, now_ns: int) -> None:
        """Act on every deadline that has passed."""


Stat = tuple[str, Any, Any]  # cmap key, ValueType, value
StatProvider = Callable[[], Iterable[Stat]]
NO_BODY: Buffer = b""
