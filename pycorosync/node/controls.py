"""Keys through which an operator asks for something: see cmap_keys(7) (corosync: exec/main.c)."""

from collections.abc import Callable

from pycorosync.cmap.store import Change, Store, TrackEvent
from pycorosync.log import subsystem

LOG = subsystem("MAIN")

_SET = TrackEvent.ADD | TrackEvent.MODIFY


def publish(cmap: Store, on_dump: Callable[[], None], on_gather: Callable[[], None]) -> None:
    """Set the keys, and call back when somebody writes to them."""

    def dump(_change: Change) -> None:
        on_dump()

    def gather(change: Change) -> None:
        if change.new is None or change.new.value == "no":
            return
        cmap.set_str("runtime.force_gather", "no")
        LOG.error("Forcing into GATHER state")
        on_gather()

    for name in ("dump_flight_data", "dump_state"):
        cmap.set_str(f"runtime.blackbox.{name}", "no")
    cmap.track("runtime.blackbox.dump_flight_data", _SET | TrackEvent.DELETE, dump)
    cmap.set_str("runtime.force_gather", "no")
    cmap.track("runtime.force_gather", _SET, gather)
