"""The keys of the system resources that corosync can monitor (corosync: exec/mon.c).

Published are, for memory_used and load_15min under resources.system.NAME: current, last_updated, state and
poll_period, as corosync publishes them while monitoring is not configured (no `max`): both stay "stopped".
Nothing is sampled here; when a `max` is configured, a warning says so. It has no socket and no messages.
Specification: protocol/resources.md.
"""

import re
from typing import ClassVar, Final, NamedTuple

from pycorosync.cmap.store import Change, Store, TrackEvent, Value, ValueType
from pycorosync.log import subsystem
from pycorosync.services.service import NodeView, Service

LOG = subsystem("MON")

POLL_PERIOD_MS: Final = 3000
POLL_PERIOD_MIN_MS: Final = 500
POLL_PERIOD_MAX_MS: Final = 120_000


class _Resource(NamedTuple):
    name: str
    kind: ValueType  # of .current
    zero: Value

    @property
    def path(self) -> str:
        return f"resources.system.{self.name}."


RESOURCES: Final = (
    _Resource("memory_used", ValueType.INT32, 0),
    _Resource("load_15min", ValueType.DOUBLE, 0.0),
)


class MonService(Service):
    """Service 6."""

    ID: ClassVar = 6
    NAME: ClassVar = "mon"
    TITLE: ClassVar = "corosync resource monitoring service"
    HAS_IPC: ClassVar = False

    def __init__(self, view: NodeView) -> None:
        super().__init__(view)
        for resource in RESOURCES:
            _publish(view.cmap, resource)
            view.cmap.track(resource.path + "max", TrackEvent.ADD | TrackEvent.MODIFY, _max_configured)


def _publish(cmap: Store, resource: _Resource) -> None:
    cmap.set(resource.path + "current", resource.kind, resource.zero)
    cmap.set_u64(resource.path + "last_updated", 0)
    cmap.set_str(resource.path + "state", "stopped")
    configured = leading_number(cmap.get_str(resource.path + "poll_period"))
    if configured is None:
        cmap.set_u64(resource.path + "poll_period", POLL_PERIOD_MS)
    elif not POLL_PERIOD_MIN_MS <= configured <= POLL_PERIOD_MAX_MS:
        LOG.warning("Could NOT use poll_period:%u ms for resource %s", configured, resource.name)
    if resource.path + "max" in cmap:
        _warn(resource.path + "max")


def _max_configured(change: Change) -> None:
    _warn(change.key)


def _warn(key: str) -> None:
    LOG.warning("%s is set, but resources are not monitored", key)


def leading_number(text: str) -> int | None:
    """The number that the text begins with, as sscanf("%u") reads it; None if there is none."""
    match = re.match(r"\s*\+?(\d+)", text)
    return int(match[1]) if match else None
