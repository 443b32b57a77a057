"""Watches the memory and the load of the host (corosync: exec/mon.c).

For memory_used and load_15min there are, under resources.system.NAME: current, last_updated (ns of the
monotonic clock), state and poll_period. A resource is sampled while it has a `max`; more than that is a
failure, which stays until an operator changes something. What it leads to is the watchdog service's business.
It has no socket and no messages. Specification: protocol/resources.md.

Compatibility: as with corosync, `max` and `poll_period` count only as strings, a `poll_period` in the file is
therefore replaced, and a `max` that is added later counts from its first change on. Unlike corosync, a `max`
that is deleted or of another type stops the resource, where corosync leaves it "running" and unsampled.
"""

import re
from collections.abc import Callable
from typing import ClassVar, Final

from pycorosync.cmap.store import Change, TrackEvent, Value, ValueType
from pycorosync.log import subsystem
from pycorosync.services.resources.host import HostResources, NoHost
from pycorosync.services.resources.machine import CONFIG_CHANGED, FAILED, FAILURE, RUNNING, STOPPED, Machine
from pycorosync.services.resources.timer import MS_NS, Timer
from pycorosync.services.service import NodeView, Service

LOG = subsystem("MON")

POLL_PERIOD_MS: Final = 3000
POLL_PERIOD_MIN_MS: Final = 500
POLL_PERIOD_MAX_MS: Final = 120_000
INT32_MAX: Final = 2**31 - 1
ANY: Final = TrackEvent.ADD | TrackEvent.MODIFY | TrackEvent.DELETE | TrackEvent.PREFIX


class _Resource:
    """One monitored figure."""

    def __init__(
        self,
        view: NodeView,
        name: str,
        kinds: tuple[ValueType, ValueType],
        read: Callable[[], float],
        parse: Callable[[str], float | None],
    ) -> None:
        """`kinds` of `current`: before the first sample, and from then on."""
        self._cmap = view.cmap
        self._name = name
        self._path = f"resources.system.{name}."
        self._kind = kinds[1]
        self._read = read
        self._parse = parse
        self._max: float = INT32_MAX
        self._period_ms = POLL_PERIOD_MS
        self._machine = Machine(name, LOG)
        self.timer = Timer()
        zero: Value = 0.0 if kinds[0] is ValueType.DOUBLE else 0
        view.cmap.set(self._path + "current", kinds[0], zero)
        view.cmap.set_u64(self._path + "last_updated", 0)
        view.cmap.set_str(self._path + "state", STOPPED)
        self._read_first_period()
        self._configure()
        view.cmap.track(self._path, ANY, self._changed)

    def _read_first_period(self) -> None:
        configured = leading_number(self._cmap.get_str(self._path + "poll_period"))
        if configured is None:
            self._cmap.set_u64(self._path + "poll_period", self._period_ms)
        else:
            self._use_period(configured)

    def _use_period(self, period_ms: int) -> bool:
        if POLL_PERIOD_MIN_MS <= period_ms <= POLL_PERIOD_MAX_MS:
            self._period_ms = period_ms
            return True
        LOG.warning("Could NOT use poll_period:%u ms for resource %s", period_ms, self._name)
        return False

    def _changed(self, change: Change) -> None:
        if change.event is TrackEvent.DELETE:
            LOG.warning('resource "%s" deleted from cmap!', self._name)
            self._configure()
        elif change.event is TrackEvent.MODIFY and change.key.rpartition(".")[2] in ("max", "poll_period"):
            self._configure()

    def _configure(self) -> None:
        self._read_period()
        self.timer.stop()
        entry = self._cmap.get(self._path + "max")
        limit = self._parse(entry.value) if entry is not None and isinstance(entry.value, str) else None
        if limit is None:
            self._max = INT32_MAX
            self._enter(CONFIG_CHANGED, STOPPED)
            return
        self._max = limit
        self._enter(CONFIG_CHANGED, RUNNING)
        self.timer.start(0)

    def _read_period(self) -> None:
        text = self._cmap.value(self._path + "poll_period")
        if not isinstance(text, str):
            return
        period_ms = leading_number(text)
        if period_ms is None:
            LOG.warning("Could NOT use poll_period: %s (not uint64 type) for resource %s", text, self._name)
            return
        before = self._period_ms
        if self._use_period(period_ms):
            LOG.debug("poll_period changing from:%u to %u.", before, period_ms)

    def _enter(self, event: str, state: str) -> None:
        if self._machine.enter(event, state):
            self._cmap.set_str(self._path + "state", state)

    def sample(self, now_ns: int) -> None:
        """Take a sample, and note when the next is due."""
        # First: what is set below may change the configuration, and with it the timer.
        self.timer.start(self._period_ms * MS_NS)
        value = self._read()
        if value <= 0:
            return
        self._cmap.set(self._path + "current", self._kind, value)
        self._cmap.set_u64(self._path + "last_updated", now_ns)
        if value > self._max and self._machine.state != FAILED:
            self._enter(FAILURE, FAILED)


class MonService(Service):
    """Service 6."""

    ID: ClassVar = 6
    NAME: ClassVar = "mon"
    TITLE: ClassVar = "corosync resource monitoring service"
    HAS_IPC: ClassVar = False

    def __init__(self, view: NodeView, host: HostResources | None = None) -> None:
        super().__init__(view)
        host = host or NoHost()
        # Compatibility: the type of memory_used.current changes with the first sample.
        kinds = (ValueType.INT32, ValueType.UINT32)
        self._resources = (
            _Resource(view, "memory_used", kinds, host.memory_used_percent, leading_integer),
            _Resource(view, "load_15min", (ValueType.DOUBLE,) * 2, host.load_15min, leading_float),
        )

    def next_deadline(self) -> int | None:
        deadlines = [resource.timer.next_deadline() for resource in self._resources]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        for resource in self._resources:
            if resource.timer.expired(now_ns):
                resource.sample(now_ns)


def leading_number(text: str) -> int | None:
    """The number that the text begins with, as sscanf("%u") reads it; None if there is none."""
    match = re.match(r"\s*\+?(\d+)", text, re.ASCII)
    return int(match[1]) if match else None


def leading_integer(text: str) -> int | None:
    """As sscanf("%d"), within 32 bits."""
    match = re.match(r"\s*([+-]?\d+)", text, re.ASCII)
    return max(-INT32_MAX - 1, min(int(match[1]), INT32_MAX)) if match else None


def leading_float(text: str) -> float | None:
    """As sscanf("%lf"), for decimal numbers."""
    match = re.match(r"\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)", text, re.ASCII)
    return float(match[1]) if match else None
