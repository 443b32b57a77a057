"""The keys and log lines of the watchdog service (corosync: exec/wd.c).

Published are resources.watchdog_timeout, with its range enforced, and the poll_period of each resource that
has a `state`. Without resources.watchdog_device that is all that corosync does too. Nothing here opens or
tickles a watchdog, nor checks resources that ask for recovery; when either is configured, a warning says so.
It has no socket and no messages. Specification: protocol/resources.md.
"""

from typing import ClassVar, Final

from pycorosync.cmap.store import Change, TrackEvent, ValueType
from pycorosync.log import subsystem
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


class WdService(Service):
    """Service 7. Made after the monitoring service, whose resources it lists."""

    ID: ClassVar = 7
    NAME: ClassVar = "wd"
    TITLE: ClassVar = "corosync watchdog service"
    HAS_IPC: ClassVar = False

    def __init__(self, view: NodeView) -> None:
        super().__init__(view)
        self._timeout_s = self._initial_timeout()
        view.cmap.track(TIMEOUT_KEY, TrackEvent.MODIFY, self._timeout_changed)
        self._report_device()
        self._scan_resources()
        for prefix in ("resources.process.", "resources.system."):
            view.cmap.track(prefix, TrackEvent.ADD | TrackEvent.PREFIX, self._resource_added)

    def _initial_timeout(self) -> int:
        entry = self.view.cmap.get(TIMEOUT_KEY)
        if entry is not None and entry.kind is ValueType.UINT32:
            if TIMEOUT_MIN_S <= int(entry.value) <= TIMEOUT_MAX_S:
                return int(entry.value)
            LOG.warning("Set watchdog_timeout is out of range (2..120).")
            LOG.info("use default value %d seconds.", TIMEOUT_S)
        self.view.cmap.set_u32(TIMEOUT_KEY, TIMEOUT_S)
        return TIMEOUT_S

    def _timeout_changed(self, change: Change) -> None:
        new = change.new
        if (
            new is not None
            and new.kind is ValueType.UINT32
            and TIMEOUT_MIN_S <= int(new.value) <= TIMEOUT_MAX_S
        ):
            self._timeout_s = int(new.value)
            return
        LOG.warning("Set watchdog_timeout is out of range (2..120).")
        self.view.cmap.set_u32(TIMEOUT_KEY, self._timeout_s)

    def _report_device(self) -> None:
        entry = self.view.cmap.get(DEVICE_KEY)
        if entry is None or entry.kind is not ValueType.STRING:
            LOG.warning("Watchdog not enabled by configuration")
        elif entry.value in ("", "off"):
            LOG.warning("Watchdog disabled by configuration")
        else:
            LOG.warning("Watchdog %s is configured, but watchdogs are not supported: not opened", entry.value)

    def _scan_resources(self) -> None:
        found = [key for key in self.view.cmap.keys("resources.") if _resource_of_state(key)]
        recovering = [key for key in found if self._create(key)]
        if not recovering:
            LOG.info("no resources configured.")

    def _resource_added(self, change: Change) -> None:
        if _resource_of_state(change.key):
            self._create(change.key)

    def _create(self, state_key: str) -> bool:
        """Take note of the resource that has this state; whether it asks for recovery."""
        path, name = state_key.removesuffix("state"), _resource_of_state(state_key)
        cmap = self.view.cmap
        period = cmap.get(path + "poll_period")
        if period is None or period.kind is not ValueType.UINT64:
            cmap.set_u64(path + "poll_period", CHECK_PERIOD_MS)
        elif not CHECK_PERIOD_MIN_MS <= int(period.value) <= CHECK_PERIOD_MAX_MS:
            LOG.warning("Could NOT use poll_period:%u ms for resource %s", period.value, name)
        if not cmap.get_str(path + "recovery"):
            LOG.warning("resource %s missing a recovery key.", name)
            return False
        LOG.warning("resource %s has a recovery key, but resources are not checked", name)
        return True


def _resource_of_state(key: str) -> str:
    """NAME in resources.TYPE.NAME.state; "" if the key is another."""
    parts = key.split(".")
    return parts[2] if len(parts) == 4 and parts[0] == "resources" and parts[3] == "state" else ""
