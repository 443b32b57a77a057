"""The map of typed values that every part of a node reads and clients watch (corosync: exec/icmap.c).

Iteration is in byte order of the names: the order of libqb's trie, and of every list that tools print.
A tracker is told about real changes only, at once, inside the call that made the change.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from pycorosync.cmap.trackers import Change, Trackers
from pycorosync.cmap.values import (
    INTEGER_RANGE,
    Entry,
    TrackEvent,
    Value,
    ValueType,
    adjusted,
    checked,
    same,
    size,
)
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError

__all__ = [
    "KEY_MAX",
    "KEY_MIN",
    "Change",
    "Entry",
    "Store",
    "TrackEvent",
    "Value",
    "ValueType",
    "is_valid_key",
    "valid_key_from",
]

KEY_MIN: Final = 3
KEY_MAX: Final = 255
_KEY = re.compile(rf"[A-Za-z0-9._\-/:]{{{KEY_MIN},{KEY_MAX}}}")
_NOT_IN_KEY = re.compile(r"[^A-Za-z0-9._\-/:]")
# Sorts after every name that begins with a prefix to which it is appended.
_AFTER_ALL = "\U0010ffff"

Default = TypeVar("Default")


def is_valid_key(key: str) -> bool:
    """Whether a new key may have this name: 3 to 255 of letters, digits and ._-/: ."""
    return _KEY.fullmatch(key) is not None


def valid_key_from(text: str) -> str:
    """The text with every character that a name may not hold replaced by an underscore."""
    return _NOT_IN_KEY.sub("_", text)


class Store:
    """The map. Keys and values are checked as they come in; who may write is for the caller to ask."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: list[str] = []  # the keys of _entries, always in order
        self._trackers = Trackers()
        self._read_only_keys: set[str] = set()
        self._read_only_prefixes: tuple[str, ...] = ()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    @property
    def size_bytes(self) -> int:
        """Length of all names and values together, for limits."""
        return self._bytes

    # --- writing

    def set(self, key: str, kind: ValueType, value: Value) -> None:
        """Give a key a value, and a type if it is new or had another one.

        Raises ClientError: INVALID_PARAM for a value that does not fit its type or is longer than 16 KiB,
        NAME_TOO_LONG for a name that is too short, too long, or has characters that are not allowed.
        """
        new = Entry(kind, checked(kind, value))
        old = self._entries.get(key)
        if old is not None:
            if same(old, new):
                return
            self._bytes += size(new) - size(old)
            self._entries[key] = new
            if self._trackers:
                self._trackers.notify(TrackEvent.MODIFY, key, old, new)
            return
        if _KEY.fullmatch(key) is None:
            raise ClientError(CsError.NAME_TOO_LONG)
        self._bytes += len(key) + size(new)
        self._entries[key] = new
        insort(self._names, key)
        if self._trackers:
            self._trackers.notify(TrackEvent.ADD, key, None, new)

    def set_u8(self, key: str, value: int) -> None:
        self.set(key, ValueType.UINT8, value)

    def set_u16(self, key: str, value: int) -> None:
        self.set(key, ValueType.UINT16, value)

    def set_u32(self, key: str, value: int) -> None:
        self.set(key, ValueType.UINT32, value)

    def set_u64(self, key: str, value: int) -> None:
        self.set(key, ValueType.UINT64, value)

    def set_i32(self, key: str, value: int) -> None:
        self.set(key, ValueType.INT32, value)

    def set_str(self, key: str, value: str) -> None:
        self.set(key, ValueType.STRING, value)

    def adjust(self, key: str, step: int) -> None:
        """Add `step` to an integer, wrapping round at the ends of its type.

        Raises ClientError: NOT_EXIST, or INVALID_PARAM when the value is not an integer.
        """
        old = self._entries.get(key)
        if old is None:
            raise ClientError(CsError.NOT_EXIST)
        self.set(key, *adjusted(old, step))

    def bump(self, key: str, step: int = 1) -> None:
        """adjust for counters: no comparison, and trackers are not told the old value (icmap_fast_inc)."""
        old = self._entries.get(key)
        if old is None:
            raise ClientError(CsError.NOT_EXIST)
        new = self._entries[key] = adjusted(old, step)
        if self._trackers:
            self._trackers.notify(TrackEvent.MODIFY, key, None, new)

    def delete(self, key: str) -> bool:
        """Remove a key; False if there is none."""
        old = self._entries.pop(key, None)
        if old is None:
            return False
        self._bytes -= len(key) + size(old)
        del self._names[bisect_left(self._names, key)]
        if self._trackers:
            self._trackers.notify(TrackEvent.DELETE, key, old, None)
            self._trackers.forget(key)
        return True

    def delete_all(self, prefix: str) -> int:
        """Remove every key that begins with `prefix`; how many there were."""
        return sum(self.delete(key) for key in self.keys(prefix))

    def update(self, entries: Iterable[tuple[str, ValueType, Value]]) -> None:
        """set() each of the entries, in their order."""
        for key, kind, value in entries:
            self.set(key, kind, value)

    # --- reading

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def value(self, key: str, default: Default | None = None) -> Value | Default | None:
        """The value alone, of whatever type."""
        entry = self._entries.get(key)
        return default if entry is None else entry.value

    def get_int(self, key: str, default: int = 0) -> int:
        """An integer of any size; the default also when the key holds something else."""
        entry = self._entries.get(key)
        if entry is None or entry.kind not in INTEGER_RANGE or not isinstance(entry.value, int):
            return default
        return entry.value

    def get_str(self, key: str, default: str = "") -> str:
        """A string; the default also when the key holds something else."""
        entry = self._entries.get(key)
        return entry.value if entry is not None and isinstance(entry.value, str) else default

    def keys(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, in order; a snapshot."""
        if not prefix:
            return self._names.copy()
        start = bisect_left(self._names, prefix)
        return self._names[start : bisect_left(self._names, prefix + _AFTER_ALL, start)]

    def items(self, prefix: str = "") -> list[tuple[str, Entry]]:
        """Names and entries that begin with `prefix`, in order; a snapshot."""
        return [(key, self._entries[key]) for key in self.keys(prefix)]

    def key_after(self, key: str, prefix: str = "") -> str | None:
        """The first name after `key` (which need not exist; "" for the start) that begins with `prefix`.

        Iterating in this way costs no memory and meets keys that are added on the way.
        """
        index = bisect_right(self._names, key) if key else bisect_left(self._names, prefix)
        if index < len(self._names) and self._names[index].startswith(prefix):
            return self._names[index]
        return None

    def copy(self) -> "Store":
        """A map with the same entries, without trackers and read-only marks."""
        twin = Store()
        twin._entries = self._entries.copy()
        twin._names = self._names.copy()
        twin._bytes = self._bytes
        return twin

    # --- watching

    def track(self, key: str, events: TrackEvent, callback: Callable[[Change], object]) -> int:
        """Call `callback` with each Change of `key` that is one of `events`; the handle for untrack.

        With PREFIX every key that begins with `key` is meant; "" then is the whole map. The key need not
        exist, nor be one that could. Events that are unknown raise ClientError(INVALID_PARAM).
        """
        return self._trackers.add(key, events, callback)

    def untrack(self, handle: int) -> bool:
        """End a tracker, even from inside a callback: it is not called again. False if it is unknown."""
        return self._trackers.remove(handle)

    # --- what clients may not write

    def set_read_only(self, key: str, flag: bool = True, *, prefix: bool = False) -> None:
        """Mark a key, or every key that begins with it, as not writable by clients (or end that)."""
        if prefix:
            others = tuple(known for known in self._read_only_prefixes if known != key)
            self._read_only_prefixes = (*others, key) if flag else others
        elif flag:
            self._read_only_keys.add(key)
        else:
            self._read_only_keys.discard(key)

    def is_read_only(self, key: str) -> bool:
        """Whether clients may not write the key. The store itself does not mind."""
        return key in self._read_only_keys or key.startswith(self._read_only_prefixes)
