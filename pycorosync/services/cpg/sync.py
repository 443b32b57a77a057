"""What one synchronization learns: who left with their nodes, who came with theirs
(corosync: downlist and joinlist in exec/cpg.c). Specification: protocol/cpg.md.

Each node finds out by itself which nodes have left; downlists of others are only a mark in the order of
messages. Joinlists are the truth about the processes of the others.
"""

from collections.abc import Iterable
from typing import Final

from pycorosync.services.cpg.groups import Process
from pycorosync.services.service import SyncStart
from pycorosync.types import NodeId, RingId

DEPARTED_MAX: Final = 16384  # departures remembered in one synchronization; there are far fewer clients


class Synchronization:
    """The synchronization that is going on, and the configuration that the last finished one brought."""

    def __init__(self, local: NodeId) -> None:
        self._local = local
        self.running = False
        self.ring_id = RingId(0, 0)
        self.members: tuple[NodeId, ...] = ()
        self._start = SyncStart(RingId(0, 0), (), ())
        self._left: set[NodeId] = set()
        self._joinlists: dict[NodeId, list[Process]] = {}
        self._departed: set[Process] = set()
        self._arrived: set[Process] = set()

    def begin(self, start: SyncStart) -> None:
        """A new configuration. What an unfinished synchronization brought is forgotten.

        Compatibility: corosync also forgets which nodes had left in the unfinished one. A node that left
        and came back while we synchronized has missed messages, so for us it stays among those who left.
        """
        self._forget()
        self.running = True
        self._start = start
        self._left |= set(self.members) - set(start.transitional) - {self._local}

    def abort(self) -> None:
        """The configuration changed before the end."""
        self._forget()

    def _forget(self) -> None:
        self.running = False
        self._joinlists.clear()
        self._departed.clear()
        self._arrived.clear()

    @property
    def left(self) -> tuple[NodeId, ...]:
        """Members of the last finished configuration who did not stay with us ever since."""
        return tuple(node for node in self.members if node in self._left)

    # --- messages

    def on_downlist(self, node_id: NodeId) -> None:
        """A node's list begins. One of its joinlists that came before is of an unfinished synchronization."""
        self._joinlists.pop(node_id, None)

    def on_joinlist(self, node_id: NodeId, processes: Iterable[Process]) -> bool:
        """A node's processes; False if nobody has asked for them."""
        if not self.running or node_id not in self._start.members:
            return False
        self._joinlists.pop(node_id, None)
        self._joinlists[node_id] = [process for process in processes if process not in self._departed]
        return True

    def on_join(self, process: Process) -> None:
        """A process has joined: its node may have made its joinlist before."""
        if self.running:
            self._departed.discard(process)
            if len(self._arrived) < DEPARTED_MAX:
                self._arrived.add(process)

    def on_leave(self, process: Process) -> None:
        """A process has left: it may be in its node's joinlist all the same.

        Compatibility: corosync brings such a process back at the end, until the next synchronization.
        """
        if not self.running:
            return
        self._arrived.discard(process)
        if len(self._departed) < DEPARTED_MAX:
            self._departed.add(process)
        listed = self._joinlists.get(process.node_id, [])
        if process in listed:
            listed.remove(process)

    # --- the end

    def finish(self) -> tuple[list[Process], set[Process], tuple[NodeId, ...]]:
        """Every member's messages are in: (processes of others, processes known to live, nodes that left).

        The order is corosync's: what came last is first.
        """
        listed = [
            process
            for node_id, processes in reversed(self._joinlists.items())
            if node_id != self._local
            for process in reversed(processes)
        ]
        alive = self._arrived.union(listed)
        left = self.left
        self._left.clear()
        self.ring_id, self.members = self._start.ring_id, self._start.members
        self._forget()
        return listed, alive, left
