"""What the engine is told about the cluster: which nodes, at which addresses, how to treat the links."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pycorosync.knet.compress import NO_MODEL
from pycorosync.knet.link import LinkSettings
from pycorosync.knet.messages import LINKS_MAX, NODE_ID_MAX
from pycorosync.knet.outputs import Address
from pycorosync.types import NodeId


class LinkMode(Enum):
    """Which of the links to a node a message takes."""

    PASSIVE = "passive"  # the one with the highest priority
    ACTIVE = "active"  # all
    RR = "rr"  # each in turn


@dataclass(frozen=True, slots=True)
class CompressionSettings:
    model: str = NO_MODEL
    level: int = 0
    threshold: int = 0  # bytes above which messages are compressed; 0 = 100


@dataclass(frozen=True, slots=True)
class KnetSettings:
    """All but the keys. Raises ValueError for what no checked configuration holds."""

    node_id: NodeId
    mode: LinkMode
    links: tuple[LinkSettings, ...]
    peers: Mapping[NodeId, Mapping[int, Address]]  # address by link number; without ourselves
    pmtud_interval_ns: int
    manual_mtu: int = 0  # size of IP packets, instead of finding it out; 0 = find out
    compression: CompressionSettings = field(default_factory=CompressionSettings)
    check_sources: bool = True  # block_unlisted_ips; data is always checked

    def __post_init__(self) -> None:
        numbers = {link.number for link in self.links}
        if len(numbers) != len(self.links) or not numbers <= set(range(LINKS_MAX)):
            raise ValueError(f"links {sorted(numbers)}")
        for node_id in (self.node_id, *self.peers):
            if not 1 <= node_id <= NODE_ID_MAX:
                raise ValueError(f"knet has no node {node_id}")
        if self.node_id in self.peers:
            raise ValueError("peers are others")
        if any(not set(addresses) <= numbers for addresses in self.peers.values()):
            raise ValueError("an address on a link that is not configured")
