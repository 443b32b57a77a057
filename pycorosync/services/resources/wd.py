"""Keeps the host's watchdog quiet while all resources are well (corosync: exec/wd.c).

A resource is what has a `state` and a `recovery` below resources.TYPE.NAME: mon's, or a process under libsam.
It has failed when its state says so, or when nobody has written last_updated in time. Then `recovery`
decides: watchdog and quit let the watchdog run out, reboot and shutdown act on the host at once, anything
else is only logged. It has no socket and no messages. Specification: protocol/resources.md.

Compatibility: unlike corosync, a poll_period that changes at run time counts, the watchdog is tickled twice
in its timeout also where the device has kept its own, and a resource that has lost its state or recovery is
not checked.
"""

from collections.abc import Callable
from typing import ClassVar, Final

from pycorosync.cmap.store import Change, TrackEvent, ValueType
from pycorosync.log import ALERT, CRIT, subsystem
from pycorosync.services.resources.host import HostResources, NoHost, Watchdog
from pycorosync.services.resources.machine import CONFIG_CHANGED, FAILED, FAILURE, RUNNING, STOPPED, Machine
from pycorosync.services.resources.timer import MS_NS, Timer
from pycorosync.services.service import NodeView, Service

LOG = subsystem("WD")

TIMEOUT_KEY: Final = "resources.watchdog_timeout"
DEVICE_KEY: Final = "resources.watchdog_device"
TIMEOUT_S: Final = 6
TIMEOUT_MIN_S: Final = 2
TIMEOUT_MAX_S: Final = 120
CHECK_PERIOD_MS: Final = 6000
CHECK_PERIOD_MIN_MS: Final = 500
CHECK_PERIOD_MAX_MS: Final = 120_000
ANY: Final = TrackEvent.ADD | TrackEvent.MODIFY | TrackEvent.DELETE | TrackEvent.PREFIX


class _Resource:
    """One resource, from the appearance of its state to its deletion."""

    def __init__(self, view: NodeView, path: str, name: str, failed: "Callable[[_Resource], None]") -> None:
        self._cmap = view.cmap
        self._path = path
        self._failed = failed
        self._period_ms = CHECK_PERIOD_MS
        self.name = name
        self.recovery = ""
        self.machine = Machine(name, LOG)
        self.timer = Timer()
        period = self._cmap.get(path + "poll_period")
        if period is None or period.kind is not ValueType.UINT64:
            self._cmap.set_u64(path + "poll_period", CHECK_PERIOD_MS)
        elif (period_ms := self._usable_period()) is not None:
            self._period_ms = period_ms

    def _usable_period(self) -> int | None:
        """The configured period, if it is in range."""
        entry = self._cmap.get(self._path + "poll_period")
        if entry is None or entry.kind is not ValueType.UINT64:
            return None
        period_ms = int(entry.value)
        if CHECK_PERIOD_MIN_MS <= period_ms <= CHECK_PERIOD_MAX_MS:
            return period_ms
        LOG.warning("Could NOT use poll_period:%u ms for resource %s", period_ms, self.name)
        return None

    def _is_complete(self) -> bool:
        """Whether it has all that is needed to check it. It is stopped otherwise."""
        for key in ("recovery", "state"):
            if not isinstance(self._cmap.value(self._path + key), str):
                LOG.warning("resource %s missing a %s key.", self.name, key)
                self.timer.stop()
                self.machine.enter(CONFIG_CHANGED, STOPPED)
                return False
        self.recovery = self._cmap.get_str(self._path + "recovery")
        return True

    def begin(self) -> bool:
        """Check it from now on, whatever its state; whether that is possible."""
        if not self._is_complete():
            return False
        # Who watches the resource may need some time to start.
        self.timer.start(max(2 * self._period_ms, CHECK_PERIOD_MS) * MS_NS)
        self.machine.enter(CONFIG_CHANGED, RUNNING)
        return True

    def changed(self, key: str) -> None:
        """One of its keys, but its figures, has been added or has another value."""
        delay_ms = self._period_ms
        if key == "poll_period" and (period_ms := self._usable_period()) is not None:
            LOG.debug("poll_period changing from:%u to %u.", self._period_ms, period_ms)
            # The longer of both first: who watches the resource has to follow.
            delay_ms = max(period_ms, self._period_ms)
            self._period_ms = period_ms
        if not self._is_complete():
            return
        if self._cmap.get_str(self._path + "state") == STOPPED:
            self.timer.stop()
            self.machine.enter(CONFIG_CHANGED, STOPPED)
        else:
            self.timer.start(delay_ms * MS_NS)
            self.machine.enter(CONFIG_CHANGED, RUNNING)

    def check(self, now_ns: int) -> None:
        """See how it is, and note when to look again."""
        if self._is_well(now_ns):
            self.timer.start(self._period_ms * MS_NS)
        elif self.machine.state == RUNNING:
            self._failed(self)
            self.machine.enter(FAILURE, FAILED)

    def _is_well(self, now_ns: int) -> bool:
        updated = self._cmap.get(self._path + "last_updated")
        state = self._cmap.value(self._path + "state")
        if updated is None or updated.kind is not ValueType.UINT64 or not isinstance(state, str):
            return False
        if state == "disabled":
            return False
        if updated.value == 0:
            return True  # nobody has had time to write it
        limit_ns = int(updated.value) + self._period_ms * MS_NS * 3 // 2
        if limit_ns < now_ns:
            late_ms = now_ns // MS_NS - limit_ns // MS_NS
            LOG.error("last_updated %u ms too late, period:%u.", late_ms, self._period_ms)
            return False
        return state != FAILED


class WdService(Service):
    """Service 7. Made after the monitoring service, whose resources it lists."""

    ID: ClassVar = 7
    NAME: ClassVar = "wd"
    TITLE: ClassVar = "corosync watchdog service"
    HAS_IPC: ClassVar = False

    def __init__(self, view: NodeView, host: HostResources | None = None) -> None:
        super().__init__(view)
        self._host = host or NoHost()
        self._dog: Watchdog | None = None
        self._all_well = True
        self._timeout_s = 0
        self._tickle_timer = Timer()
        self._resources: dict[str, _Resource] = {}  # by path
        self._trackers: dict[str, int] = {}
        self._read_first_timeout()
        view.cmap.track(TIMEOUT_KEY, TrackEvent.MODIFY, self._timeout_changed)
        self._open_device()
        self._scan_resources()
        for prefix in ("resources.process.", "resources.system."):
            view.cmap.track(prefix, TrackEvent.ADD | TrackEvent.PREFIX, self._resource_added)

    # --- the watchdog

    def _read_first_timeout(self) -> None:
        entry = self.view.cmap.get(TIMEOUT_KEY)
        if entry is None or entry.kind is not ValueType.UINT32:
            self._apply_timeout(TIMEOUT_S)
        elif TIMEOUT_MIN_S <= int(entry.value) <= TIMEOUT_MAX_S:
            self._apply_timeout(int(entry.value))
            return
        else:
            LOG.warning("Set watchdog_timeout is out of range (2..120).")
            LOG.info("use default value %d seconds.", TIMEOUT_S)
            self._apply_timeout(TIMEOUT_S)
        self.view.cmap.set_u32(TIMEOUT_KEY, self._timeout_s)

    def _timeout_changed(self, _change: Change) -> None:
        entry = self.view.cmap.get(TIMEOUT_KEY)
        if entry is not None and entry.kind is ValueType.UINT32:
            seconds = int(entry.value)
            if TIMEOUT_MIN_S <= seconds <= TIMEOUT_MAX_S:
                self._apply_timeout(seconds)
                return
        LOG.warning("Set watchdog_timeout is out of range (2..120).")
        self.view.cmap.set_u32(TIMEOUT_KEY, self._timeout_s)

    def _apply_timeout(self, seconds: int) -> None:
        before = self._dog.timeout_s() if self._dog else None
        if before == seconds == self._timeout_s:
            return
        self._timeout_s = seconds
        if self._dog and before != seconds:
            if self._dog.sets_timeout:
                self._dog.set_timeout(seconds)
            self._timeout_s = self._dog.timeout_s() or seconds
        tickle_ms = self._timeout_s * 1000 // 2
        self._tickle_timer.start(tickle_ms * MS_NS)
        if self._timeout_s == seconds:
            LOG.debug("The Watchdog timeout is %d seconds", self._timeout_s)
            LOG.debug("The tickle timeout is %u ms", tickle_ms)
        else:
            text = "Could not change the Watchdog timeout from %d to %d seconds"
            LOG.warning(text, before or 0, seconds)

    def _open_device(self) -> None:
        path = self.view.cmap.value(DEVICE_KEY)
        if not isinstance(path, str):
            LOG.warning("Watchdog not enabled by configuration")
            return
        if path in ("", "off"):
            LOG.warning("Watchdog disabled by configuration")
            return
        try:
            dog = self._dog = self._host.open_watchdog(path)
        except FileNotFoundError:
            LOG.warning("No watchdog %s, try modprobe <a watchdog>", path)
            return
        except OSError:
            LOG.warning("Watchdog %s exists but couldn't be opened.", path)
            return
        LOG.info("Watchdog %s is now being tickled by corosync.", path)
        LOG.debug("%s", dog.identity)
        self._apply_timeout(self._timeout_s)
        dog.enable()

    def _tickle(self) -> None:
        if not self._all_well:
            LOG.log(ALERT, "NOT tickling the watchdog!")
            return
        if self._dog:
            self._dog.tickle()
        self._tickle_timer.start(self._timeout_s * 1000 // 2 * MS_NS)

    def on_unload(self, now_ns: int) -> None:
        if self._dog:
            LOG.info("magically closing the watchdog.")
            if not self._dog.close():
                LOG.error("failed to write V to the watchdog.")

    # --- resources

    def _scan_resources(self) -> None:
        found = [key for key in self.view.cmap.keys("resources.") if _resource_of_state(key)]
        if not [key for key in found if self._create(key)]:
            LOG.info("no resources configured.")

    def _resource_added(self, change: Change) -> None:
        if _resource_of_state(change.key):
            self._create(change.key)

    def _create(self, state_key: str) -> bool:
        """Take note of the resource that has this state; whether it is checked."""
        path = state_key.removesuffix("state")
        if path in self._resources:
            return False
        resource = _Resource(self.view, path, _resource_of_state(state_key), self._recover)
        self._resources[path] = resource
        self._trackers[path] = self.view.cmap.track(
            path, ANY, lambda change: self._resource_changed(path, change)
        )
        return resource.begin()

    def _resource_changed(self, path: str, change: Change) -> None:
        key = change.key.rpartition(".")[2]
        resource = self._resources[path]
        if change.event is not TrackEvent.DELETE:
            if key not in ("last_updated", "current"):
                resource.changed(key)
        elif key == "state":
            LOG.warning('resource "%s" deleted from cmap!', resource.name)
            del self._resources[path]
            self.view.cmap.untrack(self._trackers.pop(path))

    def _recover(self, resource: _Resource) -> None:
        LOG.log(CRIT, '%s resource "%s" failed!', resource.recovery, resource.name)
        match resource.recovery:
            case "watchdog" | "quit":
                self._all_well = False
            case "reboot":
                self._host.reboot()
            case "shutdown":
                self._host.power_off()

    # --- time

    def next_deadline(self) -> int | None:
        if not self._resources:
            return self._tickle_timer.next_deadline()
        timers = [self._tickle_timer, *(resource.timer for resource in self._resources.values())]
        deadlines = [timer.next_deadline() for timer in timers]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        for resource in list(self._resources.values()):
            if resource.timer.expired(now_ns):
                resource.check(now_ns)
        if self._tickle_timer.expired(now_ns):
            self._tickle()


def _resource_of_state(key: str) -> str:
    """NAME in resources.TYPE.NAME.state; "" if the key is another."""
    parts = key.split(".")
    return parts[2] if len(parts) == 4 and parts[0] == "resources" and parts[3] == "state" else ""
