"""The links of every node as configured, with what services and the stats map show of them
(corosync: the address lists of exec/totemknet.c, exec/totemudpu.c).

It serves a ring that no other node has joined: our own links lead to ourselves and are always up, all others
are down. What a node sends to itself never leaves the process, so its own links count it and nothing else.
"""

from collections.abc import Iterable

from pycorosync.cmap.stats import KNET_HANDLE, KNET_LINK, Stat
from pycorosync.cmap.store import ValueType
from pycorosync.config.model import TotemConfig, Transport
from pycorosync.log import subsystem
from pycorosync.services.service import LinkStatus
from pycorosync.types import NodeId

TOTEM = subsystem("TOTEM")

# knet does not measure the way to ourselves; it reports the largest packet.
OWN_MTU = 65535
_NEVER_MEASURED: dict[ValueType, int] = {ValueType.UINT32: 2**32 - 1, ValueType.UINT64: 2**64 - 1}


class ConfiguredLinks:
    """See Transport in services/service.py."""

    def __init__(self, totem: TotemConfig) -> None:
        self._totem = totem
        self.name = totem.transport.value
        self._crypto_index = 1  # knet holds two configurations, and changes between them
        self.own_packets = 0
        self.own_bytes = 0

    def reconfigure(self, totem: TotemConfig) -> None:
        """The nodelist, the links or the keys have changed."""
        crypto = totem.crypto
        if self.name == Transport.KNET.value and crypto != self._totem.crypto:
            self._crypto_index = 3 - self._crypto_index
            TOTEM.info(
                "kronosnet crypto reconfigured on index %d: %s/%s/%s",
                self._crypto_index,
                crypto.model,
                crypto.cipher,
                crypto.hash,
            )
        self._totem = totem

    def addresses(self, node_id: NodeId) -> list[str]:
        """The addresses of a node, by link."""
        return [
            str(member.address)
            for link in self._totem.links
            for member in link.members
            if member.node_id == node_id
        ]

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        """The state of every link to a node."""
        own = node_id == self._totem.node_id
        return [
            LinkStatus(
                link=link.number,
                enabled=True,
                connected=own,
                dynamic_connected=False,
                mtu=self._mtu if own else 0,
                local_address=str(link.local_address or ""),
                remote_address=str(member.address),
            )
            for link in self._totem.links
            for member in link.members
            if member.node_id == node_id
        ]

    def reconfigure_crypto(self, phase: int) -> None:
        """Every node has loaded the new keys: phase 1 sends with them, phase 2 forgets the old ones.

        What we send to ourselves is not encrypted: both phases leave us as we are.
        """

    def reachable(self, node_id: NodeId) -> bool:
        """Whether any link to the node is up."""
        return node_id == self._totem.node_id

    @property
    def _mtu(self) -> int:
        return OWN_MTU if self._totem.transport is Transport.KNET else self._totem.net_mtu

    def count_own(self, size_bytes: int) -> None:
        """A packet has gone from us to ourselves."""
        self.own_packets += 1
        self.own_bytes += size_bytes

    def clear_stats(self) -> None:
        """`corosync-cmapctl -C knet`."""
        self.own_packets = self.own_bytes = 0

    def stats(self) -> Iterable[Stat]:
        """stats.knet.*; the udp transports have none."""
        if self._totem.transport is not Transport.KNET:
            return
        for name, kind in KNET_HANDLE:
            yield (
                f"stats.knet.handle.{name}",
                kind,
                _NEVER_MEASURED[kind] if name.endswith("_time_min") else 0,
            )
        first = self._totem.links[0].number
        for link in self._totem.links:
            for member in link.members:
                # knet reaches ourselves over one link only, whatever the others are.
                if member.node_id != self._totem.node_id or link.number == first:
                    yield from self._link_stats(link.number, member.node_id)

    def _link_stats(self, link: int, node_id: NodeId) -> Iterable[Stat]:
        own = node_id == self._totem.node_id
        figures: dict[str, int] = {"enabled": 1, "latency_min": _NEVER_MEASURED[ValueType.UINT32]}
        if own:
            figures |= {"connected": 1, "mtu": OWN_MTU, "up_count": 1}
            for what in ("data", "total"):
                figures[f"tx_{what}_packets"] = self.own_packets
                figures[f"tx_{what}_bytes"] = self.own_bytes
        for name, kind in KNET_LINK:
            yield f"stats.knet.node{node_id}.link{link}.{name}", kind, figures.get(name, 0)
