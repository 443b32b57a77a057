"""The knet engine as the node's network: its settings from the configuration, its state for services
(corosync: exec/totemknet.c).
"""

from collections.abc import Iterable

from pycorosync.cmap.stats import KNET_HANDLE, KNET_LINK, Stat, stats_of
from pycorosync.config.grammar import byte_length
from pycorosync.config.host import Lookup, get_string
from pycorosync.config.model import CryptoConfig, LinkConfig, Timers, TotemConfig, Transport
from pycorosync.knet.crypto import CryptoSettings, Entropy
from pycorosync.knet.engine import OWN_MTU, Knet
from pycorosync.knet.link import LinkSettings
from pycorosync.knet.outputs import Address, Kind, Output
from pycorosync.knet.settings import CompressionSettings, KnetSettings, LinkMode
from pycorosync.log import subsystem
from pycorosync.node.network import Network, configured_addresses
from pycorosync.node.outputs import Binding
from pycorosync.services.service import LinkStatus
from pycorosync.types import Buffer, NodeId

TOTEM = subsystem("TOTEM")

_NS_IN_MS, _NS_IN_S = 1_000_000, 1_000_000_000
USABLE_TRANSPORT = "udp"
NOZZLE_MAC_BYTES = 17
# libknet's: its own interval, and what it lets be set.
PMTUD_INTERVAL_S, PMTUD_INTERVAL_MAX_S, MANUAL_MTU_MAX = 60, 86400, 65535
ACTIVATE, CLEAN_UP = 1, 2  # phases of a change of keys


class KnetNetwork(Network):
    """See Network in network.py."""

    def __init__(self, totem: TotemConfig, entropy: Entropy) -> None:
        self.name = "knet"
        self._totem = totem
        self._settings = knet_settings(totem)
        self._knet = Knet(self._settings, crypto_settings(totem.crypto), entropy)
        self._crypto_pending = False

    @property
    def outputs(self) -> list[Output]:
        return self._knet.outputs

    @outputs.setter
    def outputs(self, empty: list[Output]) -> None:
        self._knet.outputs = empty

    def start(self, now_ns: int) -> None:
        for link in self._totem.links:
            _log_link(link, self._totem.node_id)
        self._knet.start(now_ns)

    def bindings(self) -> tuple[Binding, ...]:
        return tuple(
            Binding(link.number, str(link.local_address), link.port)
            for link in usable_links(self._totem)
            if link.local_address is not None
        )

    def send(self, frame: Buffer, to: NodeId, now_ns: int, *, loop_back: bool = False) -> None:
        self._knet.send(frame, to, now_ns, loop_back=loop_back)

    def receive(self, link: int, source: Address, datagram: Buffer, now_ns: int) -> None:
        self._knet.receive(link, source, datagram, now_ns)

    def on_send_error(
        self, link: int, address: Address, kind: Kind, error: int, kernel_mtu: int, now_ns: int
    ) -> None:
        self._knet.on_send_error(link, address, kind, error, kernel_mtu, now_ns)

    def on_network_error(self, link: int, address: Address, error: int) -> None:
        self._knet.on_network_error(link, address, error)

    def on_timer(self, now_ns: int) -> None:
        self._knet.on_timer(now_ns)

    def next_deadline(self) -> int | None:
        return self._knet.next_deadline()

    def reachable(self, node_id: NodeId) -> bool:
        return self._knet.is_reachable(node_id)

    # --- configuration

    def reconfigure(self, totem: TotemConfig, now_ns: int) -> None:
        """Nodes, links, keys. New keys are accepted at once, and sent with from phase ACTIVATE on."""
        if totem.crypto != self._totem.crypto:
            crypto = totem.crypto
            index = self._knet.load_crypto(crypto_settings(crypto))
            self._crypto_pending = True
            TOTEM.info(
                "kronosnet crypto reconfigured on index %d: %s/%s/%s",
                index,
                crypto.model,
                crypto.cipher,
                crypto.hash,
            )
        before = {link.number: link for link in self._totem.links}
        for link in totem.links:
            if before.get(link.number) != link:
                _log_link(link, totem.node_id)
        for name in refused_by_libknet(totem.timers):
            TOTEM.warning("knet_handle_%s failed: Invalid argument (22)", name.removesuffix("_set"))
        settings = knet_settings(totem, self._settings)
        self._totem, self._settings = totem, settings
        self._knet.reconfigure(settings, now_ns)

    def on_membership(self, members: tuple[NodeId, ...]) -> None:
        """knet knows by its links who is there."""

    def reconfigure_crypto(self, phase: int, now_ns: int) -> None:
        """Every node has loaded the new keys, or sends with them."""
        if not self._crypto_pending:
            return
        if phase == ACTIVATE:
            self._knet.use_crypto(now_ns)
        elif phase == CLEAN_UP:
            self._knet.forget_crypto(now_ns)
            self._crypto_pending = False

    # --- what services see

    def addresses(self, node_id: NodeId) -> list[str]:
        return configured_addresses(self._totem, node_id)

    def links(self, node_id: NodeId) -> list[LinkStatus]:
        own = node_id == self._totem.node_id
        near = {link.number: link for link in self._knet.links(node_id)}
        found = []
        for link in self._totem.links:
            for member in link.members:
                if member.node_id != node_id:
                    continue
                end = near.get(link.number)
                found.append(
                    LinkStatus(
                        link=link.number,
                        enabled=own or end is not None,
                        connected=own or (end is not None and end.connected),
                        dynamic_connected=False,
                        mtu=OWN_MTU
                        if own
                        else (0 if end is None else end.mtu),  # the last known when it is down
                        local_address=str(link.local_address or ""),
                        remote_address=str(member.address),
                    )
                )
        return found

    # --- statistics

    def stats(self) -> Iterable[Stat]:
        """stats.knet.*"""
        yield from stats_of("stats.knet.handle", KNET_HANDLE, self._knet.handle_stats)
        # What we send to ourselves has no link; knet counts it as if it had one.
        yield from stats_of(f"stats.knet.node{self._totem.node_id}.link0", KNET_LINK, self._knet.own_stats())
        for node_id in sorted({member.node_id for link in self._totem.links for member in link.members}):
            for near in self._knet.links(node_id):
                yield from stats_of(f"stats.knet.node{node_id}.link{near.number}", KNET_LINK, near.status())

    def clear_stats(self) -> None:
        self._knet.clear_stats()


def nozzle_complaint(keys: Lookup) -> str | None:
    """What is said about the nozzle section. Its devices are not supported: none is made."""
    if get_string(keys, "nozzle.name") is None:
        return None
    if get_string(keys, "nozzle.ipaddr") is None:
        return "No IP address supplied for Nozzle device"
    if get_string(keys, "nozzle.ipprefix") is None:
        return "No prefix supplied for Nozzle IP address"
    macaddr = get_string(keys, "nozzle.macaddr")
    if macaddr is not None and byte_length(macaddr) != NOZZLE_MAC_BYTES:
        return f"macaddr for nozzle device is not in the correct format '{macaddr}'"
    return f"Unable to init nozzle device {get_string(keys, 'nozzle.name')}: Operation not supported"


def log_nozzle(totem: TotemConfig, keys: Lookup) -> None:
    """At the start and after each reload."""
    if totem.transport is Transport.KNET and (complaint := nozzle_complaint(keys)):
        TOTEM.error("%s", complaint)


def usable_links(totem: TotemConfig) -> tuple[LinkConfig, ...]:
    """Links of this engine. Of knet_transport it has udp: one over sctp is as on a kernel without it."""
    return tuple(link for link in totem.links if link.transport == USABLE_TRANSPORT)


def _log_link(link: LinkConfig, own: NodeId) -> None:
    TOTEM.info("Configuring link %d", link.number)
    TOTEM.info(
        "Configured link number %d: local addr: %s, port=%d", link.number, link.local_address, link.port
    )
    if link.transport != USABLE_TRANSPORT:
        for member in link.members:
            if member.node_id != own:
                TOTEM.error("knet_link_set_config failed: Protocol not supported (93)")


def crypto_settings(crypto: CryptoConfig) -> CryptoSettings:
    return CryptoSettings(crypto.model, crypto.cipher, crypto.hash, crypto.key)


def refused_by_libknet(timers: Timers) -> list[str]:
    """What it does not accept, by the names of its calls; corosync warns, and what was set before holds."""
    interval = 1 <= timers.knet_pmtud_interval_s <= PMTUD_INTERVAL_MAX_S
    mtu = timers.knet_mtu <= MANUAL_MTU_MAX
    return ["pmtud_setfreq"] * (not interval) + ["pmtud_set"] * (not mtu)


def knet_settings(totem: TotemConfig, before: KnetSettings | None = None) -> KnetSettings:
    """The engine's settings. Addresses are (host, port), as sockets name the source of a datagram.

    `before`: those of a network that runs.
    """
    peers: dict[NodeId, dict[int, Address]] = {}
    for link in usable_links(totem):
        for member in link.members:
            if member.node_id != totem.node_id:
                peers.setdefault(member.node_id, {})[link.number] = (str(member.address), link.port)
    timers = totem.timers
    refused = refused_by_libknet(timers)
    interval_ns, mtu = timers.knet_pmtud_interval_s * _NS_IN_S, timers.knet_mtu
    if "pmtud_setfreq" in refused:
        interval_ns = PMTUD_INTERVAL_S * _NS_IN_S if before is None else before.pmtud_interval_ns
    if "pmtud_set" in refused:
        mtu = 0 if before is None else before.manual_mtu
    return KnetSettings(
        node_id=totem.node_id,
        mode=LinkMode(totem.link_mode),
        links=tuple(_link_settings(link) for link in usable_links(totem)),
        peers=peers,
        pmtud_interval_ns=interval_ns,
        manual_mtu=mtu,
        compression=CompressionSettings(
            timers.knet_compression_model, timers.knet_compression_level, timers.knet_compression_threshold
        ),
        check_sources=timers.block_unlisted_ips,
    )


def _link_settings(link: LinkConfig) -> LinkSettings:
    address = link.local_address or (link.members[0].address if link.members else None)
    return LinkSettings(
        number=link.number,
        ip_version=address.version if address is not None else 4,
        priority=link.priority,
        ping_interval_ns=link.ping_interval_ms * _NS_IN_MS,
        ping_timeout_ns=link.ping_timeout_ms * _NS_IN_MS,
        ping_precision=link.ping_precision,
        pong_count=link.pong_count,
    )
