"""Who wants to know about which keys, and in which order they are told (corosync: libqb's trie notifiers).

Trackers of the longest key come first; among those of one key, the trackers of exactly this key, newest
first, then those of the prefix, oldest first; last the trackers of the whole map, newest first.
"""

from collections.abc import Callable
from typing import NamedTuple

from pycorosync.cmap.values import Entry, TrackEvent
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError


class Change(NamedTuple):
    """What happened to a key. `new` is None for DELETE; `old` is None for ADD, and for Store.bump's MODIFY.

    (The changes of a StatsMap carry both for every event; see there.)
    """

    event: TrackEvent
    key: str
    old: Entry | None
    new: Entry | None


Callback = Callable[[Change], object]

_PREFIX = int(TrackEvent.PREFIX)
_KNOWN = int(TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY | TrackEvent.PREFIX)


class _Tracker:
    __slots__ = ("callback", "events", "key")

    def __init__(self, key: str, events: int, callback: Callback) -> None:
        self.key = key
        self.events = events  # a plain int: operators of IntFlag are slow, and counters change often
        self.callback: Callback | None = callback  # None once it is removed


class Trackers:
    """A set of trackers. Each is called inside the call of notify that concerns it."""

    def __init__(self) -> None:
        self._by_handle: dict[int, _Tracker] = {}
        self._by_key: dict[str, list[_Tracker]] = {}  # in the order of notification
        self._lengths: list[int] = []  # of the keys in _by_key, longest first
        self._interested: dict[str, tuple[_Tracker, ...]] = {}  # key -> all its trackers, as far as known
        self._last_handle = 0

    def __len__(self) -> int:
        return len(self._by_handle)

    def add(self, key: str, events: int, callback: Callback) -> int:
        """Call `callback` with each Change of `key` that is one of `events`; a handle for remove.

        With PREFIX every key that begins with `key` is meant; "" then is the whole map. Raises
        ClientError(INVALID_PARAM) for events that do not exist.
        """
        if events & ~_KNOWN:
            raise ClientError(CsError.INVALID_PARAM)
        tracker = _Tracker(key, int(events), callback)
        peers = self._by_key.setdefault(key, [])
        if events & _PREFIX and key:
            peers.append(tracker)
        else:
            peers.insert(0, tracker)
        self._last_handle += 1
        self._by_handle[self._last_handle] = tracker
        self._changed()
        return self._last_handle

    def remove(self, handle: int) -> bool:
        """End a tracker, even from inside a callback: it is not called again. False if it is unknown."""
        tracker = self._by_handle.pop(handle, None)
        if tracker is None:
            return False
        tracker.callback = None
        peers = self._by_key[tracker.key]
        peers.remove(tracker)
        if not peers:
            del self._by_key[tracker.key]
        self._changed()
        return True

    def notify(self, event: TrackEvent, key: str, old: Entry | None, new: Entry | None) -> None:
        """Tell everyone who wants to know."""
        interested = self._interested.get(key)
        if interested is None:
            interested = self._interested[key] = self._find(key)
        if not interested:
            return
        wanted = int(event)
        change = Change(event, key, old, new)
        for tracker in interested:
            # An earlier callback may have removed this tracker.
            if tracker.events & wanted and tracker.callback is not None:
                tracker.callback(change)

    def forget(self, key: str) -> None:
        """The key is gone: its list of trackers need not be kept at hand."""
        self._interested.pop(key, None)

    def _changed(self) -> None:
        self._lengths = sorted({len(key) for key in self._by_key}, reverse=True)
        self._interested.clear()

    def _find(self, key: str) -> tuple[_Tracker, ...]:
        found: list[_Tracker] = []
        for length in self._lengths:
            if length <= len(key):
                found += (
                    tracker
                    for tracker in self._by_key.get(key[:length], ())
                    if tracker.events & _PREFIX or length == len(key)
                )
        return tuple(found)
