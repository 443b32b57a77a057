"""The local node's configuration and statistics maps (corosync: lib/cmap.c).

Specification: protocol/cmap.md.
"""

from collections.abc import Callable, Iterator
from typing import ClassVar, Final, NamedTuple

from pycorosync.client.connection import LibraryError
from pycorosync.client.session import DispatchingSession, cut, decode
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError
from pycorosync.services.cmap import messages
from pycorosync.services.cmap.messages import (
    CmapMap,
    CmapRequest,
    CmapResponse,
    Entry,
    TrackEvent,
    Value,
    ValueType,
)

__all__ = ["Cmap", "CmapMap", "Entry", "Item", "Notification", "TrackEvent", "Value", "ValueType"]

# Almost every value fits here, and is had with one request instead of two.
_USUAL_VALUE_BYTES: Final = 512
# A value that grows between the question for its size and the one for itself.
_GET_ATTEMPTS: Final = 10
EVERY_CHANGE: Final = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY


class Item(NamedTuple):
    """What an iteration tells about a key."""

    key: str
    kind: ValueType
    size: int  # in bytes, a string's with its closing zero; 0 for strings of the statistics map


class Notification(NamedTuple):
    """A change of a tracked key. `old` or `new` is None where there is none, or none is told."""

    handle: int
    event: TrackEvent
    key: str
    old: Entry | None
    new: Entry | None


Callback = Callable[[Notification], None]


class Cmap(DispatchingSession[Notification]):
    """A connection to one of the maps. Every method raises LibraryError(CsError)."""

    SERVICE: ClassVar = messages.SERVICE_NAME

    def __init__(self, which: CmapMap = CmapMap.DEFAULT) -> None:
        super().__init__()
        self._callbacks: dict[int, Callback | None] = {}  # by the handle that notifications carry
        self._own_handles: dict[int, int] = {}  # the daemon's handle -> that one
        self._handles: dict[int, int] = {}  # and back
        self._last_own_handle = 0
        try:
            self._ask(CmapRequest.SET_CURRENT_MAP, messages.MAP_REQUEST, which)
        except LibraryError:
            self.close()
            raise

    # --- one key

    def get(self, key: str) -> Value:
        """The value of a key. NOT_EXIST if there is none."""
        return self.entry(key).value

    def entry(self, key: str) -> Entry:
        """Value and type of a key. NOT_EXIST if there is none."""
        room = _USUAL_VALUE_BYTES
        for _ in range(_GET_ATTEMPTS):
            try:
                return self._get(key, room)
            except LibraryError as fault:
                # INVALID_PARAM: there is more than we left room for.
                if fault.code is not CsError.INVALID_PARAM:
                    raise
            room = self.info(key).size
        raise LibraryError(CsError.TRY_AGAIN)

    def info(self, key: str) -> Item:
        """Type and size of a key's value. NOT_EXIST if there is none."""
        head = decode(messages.GET_RESPONSE, self._ask_get(key, 0))
        return Item(key, _kind(head.kind), head.value_bytes)

    def _get(self, key: str, room: int) -> Entry:
        response = self._ask_get(key, room)
        head = decode(messages.GET_RESPONSE, response)
        return _entry(head.kind, cut(response, messages.GET_RESPONSE.size, head.value_bytes))

    def _ask_get(self, key: str, room: int) -> bytes:
        return self._ask(CmapRequest.GET, messages.GET_REQUEST, *_name(key), room)

    def set(self, key: str, kind: ValueType, value: Value) -> None:
        """Give a key a value. ACCESS if it may not be written, NAME_TOO_LONG if it cannot be a name."""
        name = _name(key)
        try:
            data = messages.encode(Entry(kind, messages.checked(kind, value)))
        except ClientError as fault:
            raise LibraryError(fault.code) from fault
        if kind is ValueType.STRING:
            data = data[:-1]  # the closing zero is not sent
        self._ask(CmapRequest.SET, messages.SET_REQUEST, *name, len(data), kind, body=data)

    def delete(self, key: str) -> None:
        """Remove a key. NOT_EXIST if there is none, ACCESS if it may not be written."""
        self._ask(CmapRequest.DELETE, messages.KEY_REQUEST, *_name(key))

    def increment(self, key: str) -> None:
        """Add one to an integer. INVALID_PARAM if the key holds something else."""
        self._ask(CmapRequest.ADJUST_INT, messages.ADJUST_REQUEST, *_name(key), 1)

    def decrement(self, key: str) -> None:
        """Take one from an integer. INVALID_PARAM if the key holds something else."""
        self._ask(CmapRequest.ADJUST_INT, messages.ADJUST_REQUEST, *_name(key), -1)

    # --- many keys

    def items(self, prefix: str = "") -> Iterator[Item]:
        """The keys that begin with `prefix`, in order. Values are asked for one by one, with entry()."""
        answer = self._ask(CmapRequest.ITER_INIT, messages.KEY_REQUEST, *_name(prefix))
        handle = decode(messages.HANDLE_RESPONSE, answer).handle
        request = messages.HANDLE_REQUEST
        for answer in self._walk(CmapRequest.ITER_NEXT, CmapRequest.ITER_FINALIZE, request, handle):
            item = decode(messages.ITER_NEXT_RESPONSE, answer)
            yield Item(messages.key_of(item), _kind(item.kind), item.value_bytes)

    # --- changes

    def track(self, key: str, events: TrackEvent = EVERY_CHANGE, callback: Callback | None = None) -> int:
        """Ask for notifications about a key, or with TrackEvent.PREFIX all that begin with it ("": all).

        They are had from events(), events_async() or receive(); dispatch() calls `callback`.
        """
        self._last_own_handle += 1
        own_handle = self._last_own_handle
        self._callbacks[own_handle] = callback
        try:
            answer = self._ask(
                CmapRequest.TRACK_ADD, messages.TRACK_ADD_REQUEST, *_name(key), events, own_handle
            )
        except LibraryError:
            del self._callbacks[own_handle]
            raise
        handle: int = decode(messages.HANDLE_RESPONSE, answer).handle
        self._own_handles[handle] = own_handle
        self._handles[own_handle] = handle
        return handle

    def untrack(self, handle: int) -> None:
        """End the notifications that track() returned this handle for; those under way are dropped."""
        answer = self._ask(CmapRequest.TRACK_DELETE, messages.HANDLE_REQUEST, handle)
        own_handle = decode(messages.HANDLE_RESPONSE, answer).handle
        self._callbacks.pop(own_handle, None)
        self._own_handles.pop(handle, None)
        self._handles.pop(own_handle, None)

    def _callback(self, event: Notification) -> Callback | None:
        return self._callbacks.get(self._own_handles.get(event.handle, 0))

    def _event(self, data: bytes) -> Notification | None:
        # None if its tracker has been deleted meanwhile.
        head = decode(messages.NOTIFY_EVENT, data)
        handle = self._handles.get(head.own_handle)
        if head.header_id != CmapResponse.NOTIFY:
            raise LibraryError(CsError.LIBRARY)
        if handle is None:
            return None
        new_start = messages.NOTIFY_EVENT.size
        old_start = new_start + head.new_bytes
        new, old = cut(data, new_start, head.new_bytes), cut(data, old_start, head.old_bytes)
        return Notification(
            handle,
            TrackEvent(head.event),
            messages.key_of(head),
            _entry(head.old_kind, old) if head.old_kind else None,
            _entry(head.new_kind, new) if head.new_kind else None,
        )


_KINDS: Final = frozenset(ValueType)


def _name(key: str) -> tuple[int, bytes]:
    length, raw = messages.name_fields(key)
    if length >= messages.NAME_FIELD_BYTES:
        raise LibraryError(CsError.NAME_TOO_LONG)
    return length, raw


def _kind(number: int) -> ValueType:
    if number not in _KINDS:
        raise LibraryError(CsError.LIBRARY)
    return ValueType(number)


def _entry(kind: int, data: bytes) -> Entry:
    try:
        return messages.decode(kind, data)
    except ClientError as fault:
        raise LibraryError(CsError.LIBRARY) from fault
