"""Which processes of the cluster are in which groups, and who on this node hears of it
(corosync: process_info_list and cpg_pd_list in exec/cpg.c).

The order of processes is part of what clients see: by node id, then pid, then time of joining. Every node
keeps the same order because every node sees the same joins.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from pycorosync.services.cpg.messages import Iteration
from pycorosync.types import ClientId, NodeId


class Process(NamedTuple):
    """A member of a group. The same process may be in several groups."""

    node_id: NodeId
    pid: int
    group: bytes


class Group:
    """The members of one group, and the clients of this node that get its messages."""

    __slots__ = ("members", "name", "nodes", "receivers")

    def __init__(self, name: bytes) -> None:
        self.name: Final = name
        self.members: list[Process] = []  # in order
        self.nodes: dict[NodeId, int] = {}  # how many members a node has; none is not listed
        self.receivers: tuple[ClientId, ...] = ()  # the newest connection first


class Groups:
    """Every group of the cluster that has a member or a local client."""

    def __init__(self) -> None:
        self.by_name: dict[bytes, Group] = {}  # for the data path; only this class changes it
        self._processes: list[Process] = []  # in order

    def __len__(self) -> int:
        return len(self._processes)

    def __iter__(self) -> Iterator[Process]:
        """Every membership, in order."""
        return iter(self._processes)

    def __contains__(self, process: Process) -> bool:
        group = self.by_name.get(process.group)
        return group is not None and process.node_id in group.nodes and process in group.members

    def get(self, name: bytes) -> Group:
        """The group of that name; an empty one that is not kept if there is none."""
        return self.by_name.get(name) or Group(name)

    def members(self, name: bytes) -> list[Process]:
        """Members of a group, in order."""
        return self.get(name).members

    # --- members

    def add(self, process: Process) -> bool:
        """Insert a process at its place; False if it is there already."""
        if process in self:
            return False
        group = self.by_name.setdefault(process.group, Group(process.group))
        for ordered in (group.members, self._processes):
            ordered.insert(bisect_right(ordered, process[:2], key=_place), process)
        group.nodes[process.node_id] = group.nodes.get(process.node_id, 0) + 1
        return True

    def remove(self, process: Process) -> bool:
        """Take a process out of its group; False if it was not there."""
        if process not in self:
            return False
        group = self.by_name[process.group]
        group.members.remove(process)
        self._processes.remove(process)
        if group.nodes[process.node_id] == 1:
            del group.nodes[process.node_id]
        else:
            group.nodes[process.node_id] -= 1
        self._forget_if_empty(group)
        return True

    def remove_where(self, wanted: Callable[[Process], bool]) -> list[Process]:
        """Take out every process that is wanted, and return them in order."""
        gone = [process for process in self._processes if wanted(process)]
        for process in gone:
            self.remove(process)
        return gone

    # --- local clients

    def set_receivers(self, name: bytes, clients: Iterable[ClientId]) -> None:
        """The clients of this node that get the messages of a group."""
        group = self.by_name.setdefault(name, Group(name))
        group.receivers = tuple(clients)
        self._forget_if_empty(group)

    def _forget_if_empty(self, group: Group) -> None:
        if not group.members and not group.receivers:
            self.by_name.pop(group.name, None)

    # --- lists for clients

    def listing(self, kind: Iteration, name: bytes) -> list[Process]:
        """What an iteration shows; node id and pid are 0 where only names are wanted.

        Compatibility: corosync's order. Groups come in the reverse order of their first processes, and in
        a group the first process is followed by the others in reverse.
        """
        names = list(dict.fromkeys(process.group for process in self._processes))
        names.reverse()
        if kind is Iteration.NAMES:
            return [Process(0, 0, each) for each in names]
        if kind is Iteration.ONE_GROUP:
            names = [each for each in names if each == name]
        shown = []
        for each in names:
            first, *others = self.by_name[each].members
            shown += [first, *reversed(others)]
        return shown


def _place(process: Process) -> tuple[NodeId, int]:
    return process[:2]
