"""The load generator's place among the services (corosync: exec/pload.c).

corosync's pload fills the ring with messages when a key holds the right sentence, and ends every daemon of
the cluster when all have arrived. This service takes part in nothing of that: it has the id, the name and the
counters that corosync has, accepts the messages of a peer that was made to start, and says what it ignores.
It has no socket. Specification: protocol/resources.md.
"""

from typing import Any, ClassVar, Final

from construct import Int32ul, Struct

from pycorosync.cmap.store import Change, TrackEvent
from pycorosync.log import subsystem
from pycorosync.services.service import REQUEST_HEADER_LAYOUT, Delivery, NodeView, Service
from pycorosync.types import NodeId
from pycorosync.wire.fixed import Fixed

LOG = subsystem("PLOAD")

START_KEY: Final = "pload.start"
START_VALUE: Final = "i_totally_understand_pload_will_crash_my_cluster_and_kill_corosync_on_exit"

# Compatibility: the sender leaves header.size undefined.
START: Final = Fixed(
    "PloadStart", Struct("header" / REQUEST_HEADER_LAYOUT, "count" / Int32ul, "bytes" / Int32ul)
)
assert START.size == 24
LOAD: Final = Fixed("PloadMcast", Struct("header" / REQUEST_HEADER_LAYOUT))


class PloadService(Service):
    """Service 4."""

    ID: ClassVar = 4
    NAME: ClassVar = "pload"
    TITLE: ClassVar = "corosync profile loading service"
    HAS_IPC: ClassVar = False

    def __init__(self, view: NodeView) -> None:
        super().__init__(view)
        view.cmap.track(START_KEY, TrackEvent.ADD | TrackEvent.MODIFY, self._start_requested)

    def _start_requested(self, change: Change) -> None:
        if change.new is not None and change.new.value == START_VALUE:
            LOG.warning("pload is not available: no load is generated")

    def _delivered_start(
        self, node_id: NodeId, start: Any, _message: memoryview, _order: str, _now_ns: int
    ) -> None:
        LOG.warning("Node %u starts pload (%u messages): not taking part", node_id, start.count)

    def _delivered_load(
        self, _node_id: NodeId, _head: Any, _message: memoryview, _order: str, _now_ns: int
    ) -> None:
        """A message of the load: its arrival is all that it is for."""

    DELIVERIES: ClassVar = {0: Delivery(_delivered_start, START), 1: Delivery(_delivered_load, LOAD)}
