"""Clients' access to the configuration map and the statistics map, and the exchange of configuration
versions between nodes (corosync: exec/cmap.c). Specification: protocol/cmap.md.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from pycorosync.cmap.stats import POLL_INTERVAL_NS, StatsMap
from pycorosync.cmap.store import Change, Entry, Store, TrackEvent, ValueType
from pycorosync.cmap.values import VALUE_MAX_BYTES, decode, encode, size
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError, MalformedMessage
from pycorosync.log import subsystem
from pycorosync.services.cmap import messages
from pycorosync.services.cmap.messages import CmapExec, CmapMap, CmapRequest, CmapResponse, McastReason
from pycorosync.services.outputs import Multicast, Respond, SendEvent, StopDaemon
from pycorosync.services.service import (
    RESPONSE_HEADER,
    ClientInfo,
    Delivery,
    NodeView,
    Request,
    Service,
    SyncStart,
)
from pycorosync.types import ClientId, NodeId
from pycorosync.wire.fixed import LITTLE

LOG = subsystem("CMAP")

CONFIG_VERSION: Final = "totem.config_version"
# corosync knows no limits here; these keep a faulty client from eating the daemon's memory.
ITERATORS_MAX: Final = 1024  # of one client
TRACKERS_MAX: Final = 1024  # of one client
STORE_MAX_BYTES: Final = 64 * 1024 * 1024
KEY_OVERHEAD_BYTES: Final = 512  # roughly, in our memory
RESPONSE_MAX_BYTES: Final = 1024 * 1024

Cursor = Iterator[tuple[str, Entry]]
Callback = Callable[[Change], object]


class _Map(Protocol):
    """What a client may do with either of the maps; errors are ClientError."""

    def get(self, key: str) -> Entry | None: ...
    def is_read_only(self, key: str) -> bool: ...
    def set(self, key: str, kind: int, data: memoryview) -> None: ...
    def delete(self, key: str) -> None: ...
    def adjust(self, key: str, step: int) -> None: ...
    def iterate(self, prefix: str) -> Cursor: ...
    def size_in_iteration(self, entry: Entry) -> int: ...
    def track(self, key: str, events: int, callback: Callback) -> int: ...
    def untrack(self, handle: int) -> bool: ...


class _Configuration:
    """The configuration map as clients see it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.get = store.get
        self.is_read_only = store.is_read_only
        self.adjust = store.adjust
        self.untrack = store.untrack
        self.size_in_iteration = size

    def set(self, key: str, kind: int, data: memoryview) -> None:
        if len(data) > VALUE_MAX_BYTES:
            raise ClientError(CsError.INVALID_PARAM)
        entry = decode(kind, data)
        used = self._store.size_bytes + KEY_OVERHEAD_BYTES * len(self._store)
        if used + len(key) + len(data) > STORE_MAX_BYTES:
            raise ClientError(CsError.NO_MEMORY)
        self._store.set(key, entry.kind, entry.value)

    def delete(self, key: str) -> None:
        if not self._store.delete(key):
            raise ClientError(CsError.NOT_EXIST)

    def iterate(self, prefix: str) -> Cursor:
        """Follows the map as it changes: meets new keys, and none that is gone."""
        key: str | None = ""
        while (key := self._store.key_after(key or "", prefix)) is not None:
            entry = self._store.get(key)
            if entry is not None:
                yield key, entry

    def track(self, key: str, events: int, callback: Callback) -> int:
        if not 0 <= events <= 15:
            raise ClientError(CsError.INVALID_PARAM)
        return self._store.track(key, TrackEvent(events), callback)


class _Statistics:
    """The statistics map as clients see it."""

    def __init__(self, stats: StatsMap) -> None:
        self._stats = stats
        self.get = stats.get
        self.is_read_only = stats.is_read_only
        self.track = stats.track
        self.untrack = stats.untrack
        self.size_in_iteration = stats.size_in_iteration

    def set(self, key: str, _kind: int, _data: memoryview) -> None:
        self._stats.clear(key)

    def delete(self, _key: str) -> None:
        raise ClientError(CsError.NOT_SUPPORTED)

    def adjust(self, _key: str, _step: int) -> None:
        raise ClientError(CsError.NOT_SUPPORTED)

    def iterate(self, prefix: str) -> Cursor:
        return iter(self._stats.items(prefix))


class _Tracked(NamedTuple):
    map_handle: int
    own_handle: int  # what the client calls it


class _Client:
    """One connection: its map, and what it has open."""

    __slots__ = ("cursors", "last_handle", "map", "tracked")

    def __init__(self, map_: _Map) -> None:
        self.map = map_
        self.cursors: dict[int, Cursor] = {}
        self.tracked: dict[int, _Tracked] = {}
        self.last_handle = 0

    def new_handle(self) -> int:
        self.last_handle += 1
        return self.last_handle


class CmapService(Service):
    """Service 0. `stats` is where statistics are registered; without one it makes its own, as `.stats`.

    Notifications join `outputs` at the moment when anybody changes a tracked key, also outside of calls to
    this service: the node has to empty `outputs` of this service whenever it empties any.
    """

    ID: ClassVar = 0
    NAME: ClassVar = messages.SERVICE_NAME
    TITLE: ClassVar = "corosync configuration map access"
    SYNCHRONIZES: ClassVar = True

    def __init__(self, view: NodeView, stats: StatsMap | None = None) -> None:
        super().__init__(view)
        self.stats = StatsMap() if stats is None else stats
        self._maps: dict[int, _Map] = {
            CmapMap.DEFAULT: _Configuration(view.cmap),
            CmapMap.STATS: _Statistics(self.stats),
        }
        self._clients: dict[ClientId, _Client] = {}
        self._poll_deadline_ns: int | None = None
        self._own_version = 0
        self._highest_version = 0
        self._sync_is_alone = True
        self._had_first_sync = False
        view.cmap.track(
            CONFIG_VERSION,
            TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY,
            self._config_version_changed,
        )

    # --- clients

    def on_client(self, info: ClientInfo, now_ns: int) -> None:
        self._clients[info.client] = _Client(self._maps[CmapMap.DEFAULT])

    def on_client_gone(self, client: ClientId, now_ns: int) -> None:
        state = self._clients.pop(client, None)
        if state is not None:
            for tracked in state.tracked.values():
                state.map.untrack(tracked.map_handle)

    def refuse(self, client: ClientId, response_id: int, code: CsError) -> None:
        """As corosync does: the response's ordinary size, zeros behind the header."""
        answer_id, length = messages.RESPONSE_SHAPE[response_id]
        head = RESPONSE_HEADER.encode(answer_id, length, code)
        self.outputs.append(Respond(client, head.ljust(length, b"\0")))

    def _done(self, client: ClientId, answer: CmapResponse) -> None:
        self.outputs.append(Respond(client, RESPONSE_HEADER.encode(answer, RESPONSE_HEADER.size, CsError.OK)))

    def _client(self, client: ClientId) -> _Client:
        state = self._clients.get(client)
        if state is None:
            raise ClientError(CsError.BAD_HANDLE)
        return state

    def _writable(self, client: ClientId, key: str) -> _Map:
        """The client's map, if it may write the key there."""
        map_ = self._client(client).map
        if map_.is_read_only(key):
            raise ClientError(CsError.ACCESS)
        return map_

    # --- requests about one key

    def _set(self, client: ClientId, request: Any, message: memoryview, _now_ns: int) -> None:
        key = messages.key_of(request)
        map_ = self._writable(client, key)
        end = messages.SET_REQUEST.size + request.value_bytes
        if end > len(message):
            raise ClientError(CsError.INVALID_PARAM)
        map_.set(key, request.kind, message[messages.SET_REQUEST.size : end])
        self._done(client, CmapResponse.SET)

    def _delete(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        key = messages.key_of(request)
        self._writable(client, key).delete(key)
        self._done(client, CmapResponse.DELETE)

    def _adjust_int(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        key = messages.key_of(request)
        self._writable(client, key).adjust(key, request.step)
        self._done(client, CmapResponse.ADJUST_INT)

    def _get(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        room = request.value_bytes
        if messages.GET_RESPONSE.size + room > RESPONSE_MAX_BYTES:
            raise ClientError(CsError.NO_MEMORY)
        entry = self._client(client).map.get(messages.key_of(request))
        if entry is None:
            raise ClientError(CsError.NOT_EXIST)
        value = encode(entry) if room else b""
        if len(value) > room:
            raise ClientError(CsError.INVALID_PARAM)
        head = messages.GET_RESPONSE.encode(
            CmapResponse.GET, messages.GET_RESPONSE.size + room, CsError.OK, size(entry), entry.kind
        )
        self.outputs.append(Respond(client, head + value.ljust(room, b"\0")))

    # --- iterators

    def _iter_init(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        state = self._client(client)
        if len(state.cursors) >= ITERATORS_MAX:
            raise ClientError(CsError.NO_RESOURCES)
        prefix = messages.key_of(request) if request.key_length else ""
        handle = state.new_handle()
        state.cursors[handle] = state.map.iterate(prefix)
        self._answer_handle(client, CmapResponse.ITER_INIT, handle)

    def _iter_next(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        state = self._client(client)
        cursor = state.cursors.get(request.handle)
        if cursor is None:
            raise ClientError(CsError.BAD_HANDLE)
        found = next(cursor, None)
        if found is None:
            raise ClientError(CsError.NO_SECTIONS)
        key, entry = found
        response = messages.ITER_NEXT_RESPONSE.encode(
            CmapResponse.ITER_NEXT,
            messages.ITER_NEXT_RESPONSE.size,
            CsError.OK,
            *messages.name_fields(key),
            state.map.size_in_iteration(entry),
            entry.kind,
        )
        self.outputs.append(Respond(client, response))

    def _iter_finalize(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        if self._client(client).cursors.pop(request.handle, None) is None:
            raise ClientError(CsError.BAD_HANDLE)
        self._done(client, CmapResponse.ITER_FINALIZE)

    def _answer_handle(self, client: ClientId, answer: CmapResponse, handle: int) -> None:
        response = messages.HANDLE_RESPONSE.encode(answer, messages.HANDLE_RESPONSE.size, CsError.OK, handle)
        self.outputs.append(Respond(client, response))

    # --- trackers

    def _track_add(self, client: ClientId, request: Any, _message: memoryview, now_ns: int) -> None:
        state = self._client(client)
        if len(state.tracked) >= TRACKERS_MAX:
            raise ClientError(CsError.NO_RESOURCES)
        key = messages.key_of(request) if request.key_length else ""
        own_handle = request.own_handle
        map_handle = state.map.track(
            key, request.events, lambda change: self._notify(client, own_handle, change)
        )
        handle = state.new_handle()
        state.tracked[handle] = _Tracked(map_handle, own_handle)
        if self._poll_deadline_ns is None and self.stats.is_tracked:
            self._poll_deadline_ns = now_ns + POLL_INTERVAL_NS
        self._answer_handle(client, CmapResponse.TRACK_ADD, handle)

    def _track_delete(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        state = self._client(client)
        tracked = state.tracked.pop(request.handle, None)
        if tracked is None:
            raise ClientError(CsError.BAD_HANDLE)
        state.map.untrack(tracked.map_handle)
        self._answer_handle(client, CmapResponse.TRACK_DELETE, tracked.own_handle)

    def _notify(self, client: ClientId, own_handle: int, change: Change) -> None:
        new = b"" if change.new is None else encode(change.new)
        old = b"" if change.old is None else encode(change.old)
        head = messages.NOTIFY_EVENT.encode(
            CmapResponse.NOTIFY,
            messages.NOTIFY_EVENT.size + len(new) + len(old),
            CsError.OK,
            own_handle,
            *messages.name_fields(change.key),
            change.event,
            0 if change.new is None else change.new.kind,
            0 if change.old is None else change.old.kind,
            len(new),
            len(old),
        )
        self.outputs.append(SendEvent(client, head, new + old))

    def _set_current_map(self, client: ClientId, request: Any, _message: memoryview, _now_ns: int) -> None:
        state = self._client(client)
        if state.cursors or state.tracked:
            raise ClientError(CsError.BUSY)
        wanted = self._maps.get(request.map)
        if wanted is None:
            raise ClientError(CsError.NOT_EXIST)
        state.map = wanted
        self._done(client, CmapResponse.SET_CURRENT_MAP)

    REQUESTS: ClassVar = {
        CmapRequest.SET: Request(_set, messages.SET_REQUEST, needs_ring=False),
        CmapRequest.DELETE: Request(_delete, messages.KEY_REQUEST, needs_ring=False),
        CmapRequest.GET: Request(_get, messages.GET_REQUEST, needs_ring=False),
        CmapRequest.ADJUST_INT: Request(_adjust_int, messages.ADJUST_REQUEST, needs_ring=False),
        CmapRequest.ITER_INIT: Request(_iter_init, messages.KEY_REQUEST, needs_ring=False),
        CmapRequest.ITER_NEXT: Request(_iter_next, messages.HANDLE_REQUEST, needs_ring=False),
        CmapRequest.ITER_FINALIZE: Request(_iter_finalize, messages.HANDLE_REQUEST, needs_ring=False),
        CmapRequest.TRACK_ADD: Request(_track_add, messages.TRACK_ADD_REQUEST, needs_ring=False),
        CmapRequest.TRACK_DELETE: Request(_track_delete, messages.HANDLE_REQUEST, needs_ring=False),
        CmapRequest.SET_CURRENT_MAP: Request(_set_current_map, messages.MAP_REQUEST, needs_ring=False),
    }

    # --- time: only while somebody tracks statistics

    def next_deadline(self) -> int | None:
        return self._poll_deadline_ns

    def on_timer(self, now_ns: int) -> None:
        if self._poll_deadline_ns is None or now_ns < self._poll_deadline_ns:
            return
        self.stats.poll()
        self._poll_deadline_ns = now_ns + POLL_INTERVAL_NS if self.stats.is_tracked else None

    # --- configuration versions: a node that joins with an older configuration than the others' must go

    def _config_version(self) -> int:
        entry = self.view.cmap.get(CONFIG_VERSION)
        if entry is None or entry.kind is not ValueType.UINT64:
            return 0
        return int(entry.value)

    def _config_version_changed(self, _change: Change) -> None:
        self._own_version = self._config_version()
        self._announce(McastReason.NEW_CONFIG_VERSION)

    def _announce(self, reason: McastReason) -> None:
        entry = self.view.cmap.get(CONFIG_VERSION)
        value = b"" if entry is None else encode(entry)
        item = messages.MCAST_ITEM.encode(
            *messages.name_fields(CONFIG_VERSION), 0 if entry is None else entry.kind, len(value)
        )
        body = item + value.ljust(_padded(len(value)), b"\0")
        head = messages.MCAST.encode(
            self.ID << 16 | CmapExec.MCAST, messages.MCAST.size + len(body), reason, 1
        )
        self.outputs.append(Multicast(head, body))

    def _delivered_mcast(
        self, node_id: NodeId, head: Any, message: memoryview, order: str, _now_ns: int
    ) -> None:
        if head.reason not in (McastReason.SYNC, McastReason.NEW_CONFIG_VERSION):
            LOG.trace("Received mcast with unknown reason %u", head.reason)
            return
        version = _version_among(message[messages.MCAST.size :], head.items, order)
        LOG.trace("Received config version %d from node %d", version, node_id)
        if node_id != self.view.node_id:
            self._highest_version = max(self._highest_version, version)
        self.view.cmap.set_u64(f"runtime.members.{node_id}.config_version", version)

    DELIVERIES: ClassVar = {CmapExec.MCAST: Delivery(_delivered_mcast, messages.MCAST)}

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        self._sync_is_alone = not start.transitional or len(start.members) == 1
        self._own_version = self._highest_version = self._config_version()

    def sync_process(self, now_ns: int) -> bool:
        self._announce(McastReason.SYNC)
        return True

    def sync_activate(self, now_ns: int) -> None:
        """Compatibility: as in corosync, only the first synchronization with others may end the daemon."""
        if self._sync_is_alone:
            LOG.debug("Single node sync -> no action")
            return
        if self._had_first_sync:
            LOG.debug("Not first sync -> no action")
            return
        self._had_first_sync = True
        if self._own_version == 0:
            LOG.debug("My config version is 0 -> no action")
            return
        if self._highest_version != self._own_version:
            LOG.error(
                "Received config version (%d) is different than my config version (%d)! Exiting",
                self._highest_version,
                self._own_version,
            )
            self.outputs.append(StopDaemon(0))


def _padded(length: int) -> int:
    return (length + 7) & ~7


def _version_among(items: memoryview, count: int, order: str) -> int:
    """The configuration version that a peer announces; 0 if it has none. Raises MalformedMessage."""
    offset = 0
    for _ in range(count):
        item = messages.MCAST_ITEM.decode(items, offset, order)
        offset += messages.MCAST_ITEM.size
        if item.value_bytes > len(items) - offset:
            raise MalformedMessage(f"value of {item.value_bytes} bytes in {len(items) - offset}")
        if messages.key_of(item) == CONFIG_VERSION:
            if item.kind != ValueType.UINT64:
                return 0
            if item.value_bytes != 8:
                raise MalformedMessage(f"64 bit number of {item.value_bytes} bytes")
            value = items[offset : offset + 8]
            return int.from_bytes(value, "little" if order == LITTLE else "big")
        offset += _padded(item.value_bytes)
    return 0
