"""The statistics map: values that are asked for when somebody reads them (corosync: exec/stats.c).

Nothing is stored here. Whoever has figures registers a provider; the keys that its answer holds are the keys
that exist. Clients can only read, track, and clear (by writing to stats.clear.*).
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from pycorosync.cmap.trackers import Change, Trackers
from pycorosync.cmap.values import Entry, TrackEvent, Value, ValueType, same, size, wrapped
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError

POLL_INTERVAL_NS: Final = 1_500_000_000  # how often values that somebody tracks are compared
CLEAR_PREFIX: Final = "stats.clear."
CLEARABLE: Final = ("knet", "ipc", "totem", "schedmiss")
SCHEDULE_MISSES_MAX: Final = 10

Stat = tuple[str, ValueType, Value]
StatProvider = Callable[[], Iterable[Stat]]
Names = Sequence[tuple[str, ValueType]]

_U8, _U32, _U64 = ValueType.UINT8, ValueType.UINT32, ValueType.UINT64

PG: Final[Names] = (("msg_queue_avail", _U32), ("msg_reserved", _U32))

SRP: Final[Names] = (
    ("orf_token_tx", _U64),
    ("orf_token_rx", _U64),
    ("memb_merge_detect_tx", _U64),
    ("memb_merge_detect_rx", _U64),
    ("memb_join_tx", _U64),
    ("memb_join_rx", _U64),
    ("mcast_tx", _U64),
    ("mcast_retx", _U64),
    ("mcast_rx", _U64),
    ("memb_commit_token_tx", _U64),
    ("memb_commit_token_rx", _U64),
    ("token_hold_cancel_tx", _U64),
    ("token_hold_cancel_rx", _U64),
    ("operational_entered", _U64),
    ("operational_token_lost", _U64),
    ("gather_entered", _U64),
    ("gather_token_lost", _U64),
    ("commit_entered", _U64),
    ("commit_token_lost", _U64),
    ("recovery_entered", _U64),
    ("recovery_token_lost", _U64),
    ("consensus_timeouts", _U64),
    ("rx_msg_dropped", _U64),
    ("time_since_token_last_received", _U64),
    ("continuous_gather", _U32),
    ("continuous_sendmsg_failures", _U32),
    ("firewall_enabled_or_nic_failure", _U8),
    ("mtt_rx_token", _U32),
    ("avg_token_workload", _U32),
    ("avg_backlog_calc", _U32),
)

# Compatibility: rx_total_retries is what knet calls tx_total_retries.
KNET_LINK: Final[Names] = (
    ("enabled", _U8),
    ("connected", _U8),
    ("mtu", _U32),
    *(
        (f"{direction}_{kind}_{what}", _U64)
        for kind in ("data", "ping", "pong", "pmtu", "total")
        for what in ("packets", "bytes")
        for direction in ("tx", "rx")
    ),
    ("tx_total_errors", _U64),
    ("rx_total_retries", _U64),
    *(
        (f"tx_{kind}_{what}", _U32)
        for kind in ("pmtu", "ping", "pong", "data")
        for what in ("errors", "retries")
    ),
    ("latency_min", _U32),
    ("latency_max", _U32),
    ("latency_ave", _U32),
    ("latency_samples", _U32),
    ("down_count", _U32),
    ("up_count", _U32),
)

KNET_HANDLE: Final[Names] = (
    ("tx_uncompressed_packets", _U64),
    ("tx_compressed_packets", _U64),
    ("tx_compressed_original_bytes", _U64),
    ("tx_compressed_size_bytes", _U64),
    ("tx_compress_time_min", _U64),
    ("tx_compress_time_max", _U64),
    ("tx_compress_time_ave", _U64),
    ("rx_compressed_packets", _U64),
    ("rx_compressed_original_bytes", _U64),
    ("rx_compressed_size_bytes", _U64),
    ("rx_compress_time_min", _U64),
    ("rx_compress_time_max", _U64),
    ("rx_compress_time_ave", _U64),
    ("tx_crypt_time_min", _U64),
    ("tx_crypt_time_max", _U64),
    ("tx_crypt_time_ave", _U64),
    ("tx_crypt_byte_overhead", _U64),
    ("tx_crypt_packets", _U64),
    ("rx_crypt_time_min", _U64),
    ("rx_crypt_time_max", _U64),
    ("rx_crypt_time_ave", _U64),
    ("rx_crypt_packets", _U64),
)

IPC_CONNECTION: Final[Names] = (
    ("queueing", ValueType.INT32),
    ("queued", _U32),
    ("invalid_request", _U64),
    ("overload", _U64),
    ("sent", _U32),
    ("procname", ValueType.STRING),
    ("requests", _U64),
    ("responses", _U64),
    ("dispatched", _U64),
    ("send_retries", _U64),
    ("recv_retries", _U64),
    ("flow_control", _U32),
    ("flow_control_count", _U64),
)

IPC_GLOBAL: Final[Names] = (("active", _U64), ("closed", _U64))

SCHEDULE_MISS: Final[Names] = (("timestamp", _U64), ("delay", ValueType.FLOAT))


def stats_of(prefix: str, names: Names, source: object) -> Iterable[Stat]:
    """One of the tables above as a provider's answer: `prefix`.NAME is the attribute NAME of `source`."""
    return ((f"{prefix}.{name}", kind, getattr(source, name)) for name, kind in names)


class _Source(NamedTuple):
    prefix: str
    provider: StatProvider


class _Polled:
    """A tracker that wants to know when one value changes."""

    __slots__ = ("callback", "key", "last")

    def __init__(self, key: str, callback: Callable[[Change], object], last: Entry | None) -> None:
        self.key = key
        self.callback = callback
        self.last = last


class StatsMap:
    """All providers' keys as one map."""

    def __init__(self) -> None:
        self._sources: list[_Source] = []
        self._clear: dict[str, list[Callable[[], None]]] = {what: [] for what in CLEARABLE}
        self._trackers = Trackers()  # of keys that come and go
        self._polled: dict[int, _Polled] = {}
        self._known: dict[str, Entry] = {}  # what existed at the last refresh; kept while someone tracks that

    def add(self, provider: StatProvider, prefix: str = "stats.") -> None:
        """Ask `provider` for its keys from now on. All begin with `prefix`; a narrow one saves calls."""
        self._sources.append(_Source(prefix, provider))

    def add_clear(self, what: str, action: Callable[[], None]) -> None:
        """Call `action` when a client clears `what`, which is one of CLEARABLE."""
        self._clear[what].append(action)

    # --- reading

    def get(self, key: str) -> Entry | None:
        for source in self._sources:
            if key.startswith(source.prefix):
                for name, kind, value in source.provider():
                    if name == key:
                        return wrapped(kind, value)
        return None

    def items(self, prefix: str = "") -> list[tuple[str, Entry]]:
        """Names and entries that begin with `prefix`, in byte order of the names; a snapshot."""
        found = [
            (name, wrapped(kind, value))
            for source in self._sources
            if source.prefix.startswith(prefix) or prefix.startswith(source.prefix)
            for name, kind, value in source.provider()
            if name.startswith(prefix)
        ]
        found.sort(key=itemgetter(0))
        return found

    @staticmethod
    def size_in_iteration(entry: Entry) -> int:
        """Compatibility: while iterating, corosync says 0 for the length of strings (stats_map_iter_next)."""
        return 0 if entry.kind is ValueType.STRING else size(entry)

    # --- what clients may do

    @staticmethod
    def is_read_only(key: str) -> bool:
        return not key.startswith(CLEAR_PREFIX)

    def clear(self, key: str) -> None:
        """A client has written to stats.clear.WHAT; the value does not matter, nor does what follows WHAT.

        Raises ClientError(NOT_SUPPORTED) when WHAT is nothing that can be cleared.
        """
        wanted = [what for what in CLEARABLE if key.startswith(CLEAR_PREFIX + what)]
        if key.startswith(CLEAR_PREFIX + "all"):
            wanted = list(CLEARABLE)
        if not wanted:
            raise ClientError(CsError.NOT_SUPPORTED)
        for what in wanted:
            for action in self._clear[what]:
                action()

    # --- watching

    @property
    def is_tracked(self) -> bool:
        """Whether poll has anything to do."""
        return bool(self._trackers) or bool(self._polled)

    def track(self, key: str, events: int, callback: Callable[[Change], object]) -> int:
        """Like Store.track, with these limits: MODIFY works for single keys, and is noticed by poll.

        Raises ClientError: NOT_SUPPORTED for a prefix without both ADD and DELETE, INVALID_PARAM for events
        that do not exist.
        """
        if events & TrackEvent.PREFIX and not (events & TrackEvent.ADD and events & TrackEvent.DELETE):
            raise ClientError(CsError.NOT_SUPPORTED)
        if self._trackers:
            self.refresh()
        else:
            self._known = self._everything()
        handle = self._trackers.add(key, events & ~int(TrackEvent.MODIFY), callback)
        if events & TrackEvent.MODIFY and not events & TrackEvent.PREFIX:
            self._polled[handle] = _Polled(key, callback, self.get(key))
        return handle

    def untrack(self, handle: int) -> bool:
        """End a tracker; False if it is unknown."""
        self._polled.pop(handle, None)
        known = self._trackers.remove(handle)
        if not self._trackers:
            self._known = {}
        return known

    def refresh(self) -> None:
        """Tell trackers about keys that have come or gone.

        poll does it too; call it right after such a change, or short-lived keys go unnoticed.
        Compatibility: both `old` and `new` of such a Change hold the value (stats_map_notify_fn).
        Schedule misses are not announced.
        """
        if not self._trackers:
            return
        before, self._known = self._known, self._everything()
        now = self._known
        for key, entry in before.items():
            if key not in now:
                self._notify(TrackEvent.DELETE, key, entry)
        for key, entry in now.items():
            if key not in before:
                self._notify(TrackEvent.ADD, key, entry)

    def _everything(self) -> dict[str, Entry]:
        """In the providers' order, which is that of the notifications."""
        return {
            name: wrapped(kind, value) for source in self._sources for name, kind, value in source.provider()
        }

    def _notify(self, event: TrackEvent, key: str, entry: Entry) -> None:
        if not key.startswith("stats.schedmiss"):
            self._trackers.notify(event, key, entry, entry)
        self._trackers.forget(key)

    def poll(self) -> None:
        """Tell trackers about values that have changed: to be called each POLL_INTERVAL_NS."""
        self.refresh()
        for handle, polled in list(self._polled.items()):
            now = self.get(polled.key)
            before, polled.last = polled.last, now
            if now is not None and before is not None and not same(before, now) and handle in self._polled:
                # Compatibility: corosync sends the new value as the old one too; a true one harms nobody.
                polled.callback(Change(TrackEvent.MODIFY, polled.key, before, now))


class ScheduleMisses:
    """The last times when the daemon was not scheduled in time: a provider for "stats.schedmiss."."""

    PREFIX: Final = "stats.schedmiss."

    def __init__(self) -> None:
        self._misses: list[tuple[int, float]] = []  # newest first

    def add(self, timestamp_ms: int, delay_ms: float) -> None:
        """Note one: when, since 1970, and by how much."""
        self._misses = [(timestamp_ms, delay_ms), *self._misses][:SCHEDULE_MISSES_MAX]

    def clear(self) -> None:
        self._misses = []

    def __call__(self) -> Iterable[Stat]:
        for number, (timestamp_ms, delay_ms) in enumerate(self._misses):
            yield f"{self.PREFIX}{number}.timestamp", _U64, timestamp_ms
            yield f"{self.PREFIX}{number}.delay", ValueType.FLOAT, delay_ms
