"""The udp and udpu engine as the node's network (corosync: exec/totemudp.c, exec/totemudpu.c)."""

from collections.abc import Iterable

from pycorosync.cmap.stats import Stat
from pycorosync.config.model import LinkConfig, Member, TotemConfig, Transport
from pycorosync.knet.outputs import Address, Kind, Output
from pycorosync.log import subsystem
from pycorosync.node.network import Network, configured_addresses, frame_payload_bytes
from pycorosync.node.outputs import Binding
from pycorosync.services.service import LinkStatus
from pycorosync.types import Buffer, NodeId
from pycorosync.udp.engine import Udp, UdpSettings

TOTEM = subsystem("TOTEM")


class UdpNetwork(Network):
    """See Network in network.py."""

    def __init__(self, totem: TotemConfig) -> None:
        self.name = totem.transport.value
        self._totem = totem
        self._udp = Udp(udp_settings(totem))
        self._members: frozenset[NodeId] = frozenset((totem.node_id,))
        link = _link(totem)
        if link is not None:
            TOTEM.notice("The network interface [%s] is now up.", link.local_address)

    @property
    def outputs(self) -> list[Output]:
        return self._udp.outputs

    @outputs.setter
    def outputs(self, empty: list[Output]) -> None:
        self._udp.outputs = empty

    def start(self, now_ns: int) -> None:
        """Nothing has to begin; the log says who will be spoken to."""
        link = _link(self._totem)
        if link is not None:
            TOTEM.info("Configuring link %d", link.number)
            self._log_members((), link.members)

    def _log_members(self, before: tuple[Member, ...], after: tuple[Member, ...]) -> None:
        if self._multicasts:
            return
        for member in after:
            if member not in before:
                TOTEM.notice("adding new UDPU member {%s}", member.address)
        for member in before:
            if member not in after:
                TOTEM.notice("removing UDPU member {%s}", member.address)

    def bindings(self) -> tuple[Binding, ...]:
        link = _link(self._totem)
        if link is None or link.local_address is None:
            return ()
        group = str(link.multicast_address) if self._multicasts else None
        return (Binding(link.number, str(link.local_address), link.port, group, link.ttl),)

    @property
    def _multicasts(self) -> bool:
        return self._totem.transport is Transport.UDP

    def send(self, frame: Buffer, to: NodeId, now_ns: int, *, loop_back: bool = False) -> None:
        self._udp.send(frame, to, loop_back=loop_back)

    def receive(self, link: int, source: Address, datagram: Buffer, now_ns: int) -> None:
        self._udp.receive(source, datagram)

    def on_send_error(
        self, link: int, address: Address, kind: Kind, error: int, kernel_mtu: int, now_ns: int
    ) -> None:
        """The ring recovers what is lost."""

    def on_network_error(self, link: int, address: Address, error: int) -> None:
        """The ring notices who is gone."""

    def on_timer(self, now_ns: int) -> None:
        """Nothing happens by itself."""

    def next_deadline(self) -> int | None:
        return None

    def reconfigure(self, totem: TotemConfig, now_ns: int) -> None:
        before, after = _link(self._totem), _link(totem)
        self._log_members(before.members if before else (), after.members if after else ())
        self._totem = totem
        self._udp.reconfigure(udp_settings(totem))

    def reconfigure_crypto(self, phase: int, now_ns: int) -> None:
        """These transports have no keys."""

    def on_membership(self, members: tuple[NodeId, ...]) -> None:
        """Who is in the ring: these transports know of nobody else."""
        self._members = frozenset(members)

    def addresses(self, node_id: NodeId) -> list[str]:
        return configured_addresses(self._totem, node_id)

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        connected = self.reachable(node_id)
        mtu = frame_payload_bytes(self._totem)
        # Compatibility: what corosync calls the local address here is the node's.
        return [
            LinkStatus(0, True, connected, False, mtu, address, address)
            for address in self.addresses(node_id)[:1]
        ]

    def reachable(self, node_id: NodeId) -> bool:
        return node_id in self._members

    def stats(self) -> Iterable[Stat]:
        """stats.knet.* exists with knet only."""
        return ()

    def clear_stats(self) -> None:
        """Nothing is counted."""


def _link(totem: TotemConfig) -> LinkConfig | None:
    return totem.links[0] if totem.links else None


def udp_settings(totem: TotemConfig) -> UdpSettings:
    """The engine's settings. Addresses are (host, port), as sockets name the source of a datagram."""
    link = _link(totem)
    if link is None:
        return UdpSettings(totem.node_id, {}, None)
    peers: dict[NodeId, Address] = {
        member.node_id: (str(member.address), link.port)
        for member in link.members
        if member.node_id != totem.node_id
    }
    group = (str(link.multicast_address), link.port) if totem.transport is Transport.UDP else None
    return UdpSettings(totem.node_id, peers, group, totem.timers.block_unlisted_ips)
