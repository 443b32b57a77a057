"""What the layers of a node count, as keys of the statistics map (corosync: exec/stats.c)."""

from collections.abc import Callable, Iterable

from pycorosync.cmap.stats import Stat, StatsMap
from pycorosync.cmap.store import ValueType
from pycorosync.node.network import Network
from pycorosync.totem.packing import Packer
from pycorosync.totem.ring import SingleRing
from pycorosync.totem.stats import packer_entries


def register(
    stats: StatsMap, network: Network, ring: SingleRing, packer: Packer, now_ns: Callable[[], int]
) -> None:
    """stats.knet.*, stats.srp.* and stats.pg.*; `now_ns` tells the node's time."""
    stats.add(network.stats, "stats.knet.")
    stats.add_clear("knet", network.clear_stats)
    stats.add(lambda: typed(ring.stats.entries(now_ns())), "stats.srp.")
    stats.add(lambda: typed(packer_entries(packer)), "stats.pg.")
    stats.add_clear("totem", ring.stats.clear)


def typed(entries: Iterable[tuple[str, int, int]]) -> Iterable[Stat]:
    """Figures of a layer that does not know the map's types by name."""
    return ((key, ValueType(kind), value) for key, kind, value in entries)
