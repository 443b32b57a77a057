"""The knet engine: messages to and from other nodes over several links (libknet; protocol/knet.md).

Feed it with what arrives (`receive`), what is to be sent (`send`), what the sockets complain of
(`on_send_error`, `on_network_error`) and time (`on_timer` at `next_deadline`); then take what is in
`outputs`, in order, and empty it. It does not know sockets, clocks or chance.

Two things that libknet does in threads are the caller's to arrange: datagrams that wait in a socket are fed
before time is, or a link counts as silent though it has spoken; and no turn of the loop feeds so many of
them that pings are late.
"""

from collections.abc import Callable, Iterable
from typing import Final

from pycorosync.deadlines import first_of
from pycorosync.errors import MalformedMessage
from pycorosync.knet.crypto import CryptoSettings, Entropy, Keyring
from pycorosync.knet.link import HEARTBEAT_NS, TICKS_PER_BACKOFF, Link, LinkSettings, Pong
from pycorosync.knet.messages import (
    CORE_SIZE,
    DATA_TYPE,
    PAYLOAD_MAX,
    PING,
    PMTUD,
    VERSION,
    PacketType,
    answer,
    encode_ping,
    sent_at,
)
from pycorosync.knet.network_errors import NOBODY_THERE, too_large
from pycorosync.knet.outputs import (
    Address,
    Datagrams,
    HostReachable,
    HostUnreachable,
    Kind,
    LinkDown,
    LinkUp,
    Output,
    Received,
    SendDatagram,
    SendDatagrams,
)
from pycorosync.knet.peer import Peer
from pycorosync.knet.pmtud import Discovery
from pycorosync.knet.receiver import Complaints, Receiver, text_of
from pycorosync.knet.sender import Sender
from pycorosync.knet.settings import KnetSettings
from pycorosync.knet.stats import Dropped, HandleStats, LinkStats
from pycorosync.knet.target import ALL, with_target
from pycorosync.log import WARNING, subsystem
from pycorosync.types import Buffer, NodeId

KNET = subsystem("KNET")

# For so long after a change of keys or cipher the old ones still open what comes.
OLD_CRYPTO_NS: Final = 10_000_000_000
OWN_MTU: Final = 65535  # of the way to ourselves, as knet reports it
_HEADER_REST: Final = 3  # what libknet wants behind the core of any packet before it looks at it


class Knet:
    """One node's end of all links."""

    def __init__(
        self,
        settings: KnetSettings,
        crypto: CryptoSettings,
        entropy: Entropy,
        stopwatch: Callable[[], int] | None = None,
    ) -> None:
        """`stopwatch` returns nanoseconds and serves for the statistics of crypto and compression only.

        Raises ValueError for crypto that does not exist. Nothing happens before `start`.
        """
        self.outputs: list[Output] = []
        self.handle_stats = HandleStats()
        self._own_stats = LinkStats(enabled=1, connected=1, mtu=OWN_MTU, up_count=1)
        self._settings = settings
        self._node_id = settings.node_id
        self._keyring = Keyring(crypto, entropy)
        self._peers: dict[NodeId, Peer] = {}
        self._sources: dict[tuple[int, Address], Link] = {}  # whose datagrams come from there
        self._tick_at_ns: int | None = None
        self._ticks = 0
        self._forget_at_ns: int | None = None  # the configuration of crypto before the latest
        self._complaints = Complaints()
        self._sender = Sender(settings.node_id, self._keyring, self.handle_stats, stopwatch)
        self._receiver = Receiver(
            settings.node_id, self._keyring, self.handle_stats, self._complaints, stopwatch
        )
        # `outputs` may be emptied by putting another list in its place.
        self._discovery = Discovery(
            settings.node_id,
            self._links,
            self._transmit,
            self._on_validity,
            lambda changed: self.outputs.append(changed),
        )

    # --- configuration

    def start(self, now_ns: int) -> None:
        """Begin to ping."""
        self._tick_at_ns = now_ns + HEARTBEAT_NS
        self._discovery.reset(self._keyring.overhead)
        self._apply(self._settings, now_ns)

    def reconfigure(self, settings: KnetSettings, now_ns: int) -> None:
        """Nodes and links come and go, others change how they behave; what stays is not disturbed.

        A link whose address has changed is a new one.
        """
        self._apply(settings, now_ns)

    def _apply(self, settings: KnetSettings, now_ns: int) -> None:
        self._settings = settings
        self._discovery.interval_ns = settings.pmtud_interval_ns
        KNET.info("pmtud: MTU manually set to: %d", settings.manual_mtu)
        mtu_changed = settings.manual_mtu != self._discovery.manual_mtu
        self._discovery.manual_mtu = settings.manual_mtu
        self._sender.configure(settings.compression)
        self._remove_links(settings)
        self._change_links(settings)
        if mtu_changed:
            self._discovery.start_all(now_ns)

    def _remove_links(self, settings: KnetSettings) -> None:
        """Take away what is configured no more, or elsewhere."""
        numbers = {link.number: link for link in settings.links}
        for peer in list(self._peers.values()):
            addresses = settings.peers.get(peer.node_id, {})
            for link in list(peer.links.values()):
                wanted = numbers.get(link.number)
                stays = wanted is not None and wanted.ip_version == link.settings.ip_version
                if not stays or addresses.get(link.number) != link.address:
                    self._remove_link(peer, link)
            if not addresses:
                del self._peers[peer.node_id]

    def _remove_link(self, peer: Peer, link: Link) -> None:
        del peer.links[link.number]
        del self._sources[link.number, link.address]
        if link.fall():
            self.outputs.append(LinkDown(peer.node_id, link.number))
        self._discovery.stop(link)
        self._choose_routes(peer)

    def _change_links(self, settings: KnetSettings) -> None:
        for node_id, addresses in settings.peers.items():
            if not addresses:
                continue
            peer = self._peers.setdefault(node_id, Peer(node_id, settings.mode))
            changed = peer.mode is not settings.mode
            peer.mode = settings.mode
            for link_settings in settings.links:
                address = addresses.get(link_settings.number)
                if address is not None:
                    changed |= self._configure_link(peer, link_settings, address)
            if changed:
                self._choose_routes(peer)

    def _configure_link(self, peer: Peer, settings: LinkSettings, address: Address) -> bool:
        """True if that may change the routes."""
        link = peer.links.get(settings.number)
        if link is None:
            link = Link(settings, peer.node_id, address, self._keyring.overhead)
            peer.add_link(link)
            self._sources[settings.number, address] = link
            return True
        changed = link.settings.priority != settings.priority
        link.settings = settings
        return changed

    def load_crypto(self, settings: CryptoSettings) -> int:
        """Accept what is sealed with a new configuration too; returns its index. Raises ValueError."""
        if self._forget_at_ns is not None:
            self._forget_crypto()
        self._keyring.load(settings)
        return self._keyring.index

    def use_crypto(self, now_ns: int) -> None:
        """Phase 1: everybody accepts the new configuration, send with it."""
        self._keyring.use()
        self._discovery.reset(self._keyring.overhead)
        self._discovery.start_all(now_ns)

    def forget_crypto(self, now_ns: int) -> None:
        """Phase 2: everybody should send with the new configuration; soon, accept no other.

        Compatibility: libknet accepts no other at once. A node that has missed the message of phase 1 then
        goes on with the old configuration, in which nobody hears it ask for that message.
        """
        self._forget_at_ns = now_ns + OLD_CRYPTO_NS

    def _forget_crypto(self) -> None:
        self._forget_at_ns = None
        self._keyring.forget()

    # --- state, for whoever shows it

    @property
    def data_mtu(self) -> int:
        """How many bytes of a message go into one fragment."""
        return self._discovery.data_mtu

    def is_reachable(self, node_id: NodeId) -> bool:
        """Whether a link to the node is up; to ourselves always."""
        return node_id == self._node_id or (node_id in self._peers and self._peers[node_id].reachable)

    def links(self, node_id: NodeId) -> list[Link]:
        """The links to another node, by number."""
        peer = self._peers.get(node_id)
        return list(peer.links.values()) if peer else []

    @property
    def dropped(self) -> Dropped:
        return self._receiver.dropped

    def own_stats(self) -> LinkStats:
        """Of what we sent to ourselves."""
        return self._own_stats

    def clear_stats(self) -> None:
        self.handle_stats.clear()
        self._own_stats = LinkStats(enabled=1, connected=1, mtu=OWN_MTU)
        for link in self._links():
            link.clear_stats()

    def _links(self) -> Iterable[Link]:
        return [link for peer in self._peers.values() for link in peer.links.values()]

    # --- time

    def next_deadline(self) -> int | None:
        if not self._peers or self._tick_at_ns is None:
            return None
        return first_of(self._tick_at_ns, self._discovery.next_deadline())

    def on_timer(self, now_ns: int) -> None:
        if self._tick_at_ns is not None and now_ns >= self._tick_at_ns:
            self._tick_at_ns = now_ns + HEARTBEAT_NS
            self._on_heartbeat(now_ns)
        self._discovery.on_timer(now_ns)

    def _on_heartbeat(self, now_ns: int) -> None:
        if self._forget_at_ns is not None and now_ns >= self._forget_at_ns:
            self._forget_crypto()
        self._ticks += 1
        if self._ticks % TICKS_PER_BACKOFF == 0:
            for link in self._links():
                link.adjust_patience()
        self._send_pings(now_ns, timed=True)
        self._discovery.on_heartbeat(now_ns)

    def _send_pings(self, now_ns: int, *, timed: bool) -> None:
        """Ping where it is due, or everywhere; see which links are down."""
        fallen = [link for link in self._links() if self._check(link, now_ns, timed=timed)]
        for link in fallen:
            self._choose_routes(self._peers[link.node_id])

    def _check(self, link: Link, now_ns: int, *, timed: bool) -> bool:
        """True if the link was up and is down now."""
        if link.refused:
            return self._take_down(link)
        if not timed or link.ping_is_due(now_ns):
            ping = encode_ping(self._node_id, link.number, now_ns, self._sender.seq, timed=timed)
            self._transmit(Kind.PING, link, ping)
            link.on_ping_sent(now_ns)
        return link.is_silent(now_ns) and self._take_down(link)

    def _take_down(self, link: Link) -> bool:
        """The only way down, but for links that are removed; the caller chooses routes. True if it was up."""
        if not link.fall():
            return False
        KNET.info("link: host: %d link: %d is down", link.node_id, link.number)
        self.outputs.append(LinkDown(link.node_id, link.number))
        self._discovery.stop(link)
        return True

    def _take_up(self, link: Link, now_ns: int) -> None:
        """The only way up. Fragments become small at once, as the link may not carry large ones."""
        KNET.info("rx: host: %d link: %d is up", link.node_id, link.number)
        link.rise()
        self.outputs.append(LinkUp(link.node_id, link.number))
        KNET.info("link: Resetting MTU for link %d because host %d joined", link.number, link.node_id)
        self._discovery.reset(self._keyring.overhead)
        self._choose_routes(self._peers[link.node_id])
        self._discovery.start(link, now_ns)

    def _on_validity(self, link: Link) -> None:
        self._choose_routes(self._peers[link.node_id])

    def _choose_routes(self, peer: Peer) -> None:
        if peer.choose_routes():
            reachable = peer.reachable
            self.outputs.append((HostReachable if reachable else HostUnreachable)(peer.node_id))

    # --- sending

    def send(self, message: Buffer, to: NodeId, now_ns: int, *, loop_back: bool = False) -> bool:
        """Send a totem frame to one node, or to ALL that can be reached; to ourselves it never leaves.

        Sets the frame's target, in a copy if it has another one. A broadcast comes back as Received only if
        `loop_back` is set. False if nobody could be reached: such a message has no number and leaves no
        trace. The buffer must not change afterwards. Raises ValueError for 0 or more than PAYLOAD_MAX
        bytes, and for what is no totem frame.
        """
        if not 0 < len(message) <= PAYLOAD_MAX:
            raise ValueError(f"a message of {len(message)} bytes")
        try:
            message = with_target(message, to)
        except MalformedMessage as fault:
            raise ValueError(str(fault)) from fault
        if to in (ALL, self._node_id):
            self._own_stats.tx_data_packets += 1
            self._own_stats.tx_data_bytes += len(message)
            if loop_back or to != ALL:
                self.outputs.append(Received(self._node_id, message))
        peers = self._reachable(to)
        if peers:
            if self._sender.next_seq():
                self._send_pings(now_ns, timed=False)
            datagrams = self._sender.prepare(message, self.data_mtu, broadcast=to == ALL)
            for peer in peers:
                self._dispatch(peer, datagrams)
        return bool(peers) or to == self._node_id

    def _reachable(self, to: NodeId) -> list[Peer]:
        if to == ALL:
            return [peer for peer in self._peers.values() if peer.reachable]
        peer = self._peers.get(to)
        return [peer] if peer and peer.reachable else []

    def _dispatch(self, peer: Peer, datagrams: Datagrams) -> None:
        for link in peer.routes():
            link.stats.tx_data_packets += len(datagrams)
            link.stats.tx_data_bytes += datagrams.size
            self.outputs.append(SendDatagrams(link.number, link.address, datagrams))

    def _transmit(self, kind: Kind, link: Link, packet: bytes) -> None:
        """Send one of the packets that keep links going."""
        packet = self._sender.seal(packet)
        stats = link.stats
        if kind is Kind.PING:
            stats.tx_ping_packets += 1
            stats.tx_ping_bytes += len(packet)
        elif kind is Kind.PONG:
            stats.tx_pong_packets += 1
            stats.tx_pong_bytes += len(packet)
        else:
            stats.tx_pmtu_packets += 1
            stats.tx_pmtu_bytes += len(packet)
        self.outputs.append(SendDatagram(kind, link.number, link.address, packet))

    # --- what the sockets say

    def on_send_error(
        self, link: int, address: Address, kind: Kind, error: int, kernel_mtu: int, now_ns: int
    ) -> None:
        """A datagram could not be sent; `error` is the errno, `kernel_mtu` what the kernel says of the size.

        No link goes down for it: what does not get through is missed soon enough.
        """
        near = self._sources.get((link, address))
        if near is None:
            return
        if too_large(error, kind):
            self._discovery.on_too_large(near, kernel_mtu, now_ns, probe=kind is Kind.PMTUD)
            return
        name = f"tx_{kind.value}_errors"
        setattr(near.stats, name, getattr(near.stats, name) + 1)

    def on_network_error(self, link: int, address: Address, error: int) -> None:
        """The network (ICMP) says that something sent to `address` went nowhere; `error` is the errno.

        If it says that nobody is there, a link that is up goes down with the next heartbeat.
        """
        near = self._sources.get((link, address))
        if near is not None and near.connected and error in NOBODY_THERE:
            KNET.debug("udp: Setting down host %d link %d", near.node_id, near.number)
            near.refused = True

    # --- receiving

    def receive(self, link: int, source: Address, datagram: Buffer, now_ns: int) -> None:
        """One datagram that came to the socket of `link`. Its buffer must not change afterwards."""
        near = self._sources.get((link, source))
        dropped = self._receiver.dropped
        if near is None and self._settings.check_sources:
            dropped.unknown_source += 1
            text = "rx: Packet rejected from %s"
            self._complaints.log("source", now_ns, WARNING, text, text_of(source))
            return
        packet = self._receiver.open(datagram, source, now_ns)
        if packet is None:
            return
        if len(packet) < CORE_SIZE + _HEADER_REST or packet[0] != VERSION:
            dropped.malformed += 1
            return
        kind = packet[1]
        node_id = packet[2] << 8 | packet[3]
        if kind == DATA_TYPE:
            if near is None or near.node_id != node_id:
                dropped.wrong_source += 1
            else:
                self._on_data(near, packet, packet is not datagram, now_ns)
            return
        handler = _HANDLERS.get(kind)
        if handler is None or len(packet) < handler[1]:
            dropped.malformed += 1
            return
        number = packet[6]
        if near is None:
            peer = self._peers.get(node_id)
            near = peer.links.get(number) if peer else None
        if near is None or near.node_id != node_id or near.number != number:
            dropped.wrong_source += 1
            return
        handler[0](self, near, packet, now_ns)

    def _on_data(self, link: Link, packet: Buffer, was_sealed: bool, now_ns: int) -> None:
        link.stats.rx_data_packets += 1
        link.stats.rx_data_bytes += len(packet)
        self.handle_stats.rx_crypt_packets += was_sealed
        message = self._receiver.message(self._peers[link.node_id], packet, now_ns)
        if message is not None:
            self.outputs.append(Received(link.node_id, message))

    def _on_ping(self, link: Link, packet: Buffer, _now_ns: int) -> None:
        link.stats.rx_ping_packets += 1
        link.stats.rx_ping_bytes += len(packet)
        peer = self._peers[link.node_id]
        ping = PING.decode(packet, order=">")
        if peer.restarts.is_restart(ping.seq, link.number, timed=bool(ping.timed)):
            peer.forget_messages(ping.seq)
        elif not ping.timed and ping.seq:
            peer.window.admits(ping.seq)
        self._transmit(Kind.PONG, link, answer(packet, self._node_id))

    def _on_pong(self, link: Link, packet: Buffer, now_ns: int) -> None:
        link.stats.rx_pong_packets += 1
        link.stats.rx_pong_bytes += len(packet)
        verdict = link.on_pong(sent_at(PING.decode(packet, order=">").timestamp), now_ns)
        if verdict is Pong.RAISES:
            self._take_up(link, now_ns)
        elif verdict is Pong.COUNTED:
            KNET.debug(
                "rx: host: %d link: %d received pong: %d", link.node_id, link.number, link.received_pongs
            )
        elif verdict is Pong.LATE:
            KNET.debug(
                "rx: Incoming pong packet from host: %d link: %d has higher latency than pong_timeout. "
                "Discarding",
                link.node_id,
                link.number,
            )

    def _on_probe(self, link: Link, packet: Buffer, _now_ns: int) -> None:
        link.stats.rx_pmtu_packets += 1
        link.stats.rx_pmtu_bytes += len(packet)
        reply = self._sender.seal(answer(packet, self._node_id))
        # Not counted as sent, as in libknet.
        self.outputs.append(SendDatagram(Kind.PMTUD, link.number, link.address, reply))

    def _on_probe_reply(self, link: Link, packet: Buffer, now_ns: int) -> None:
        link.stats.rx_pmtu_packets += 1
        link.stats.rx_pmtu_bytes += len(packet)
        self._discovery.on_reply(link, PMTUD.decode(packet, order=">").size, now_ns)


# What to do with the packets that keep links going, and how long they are at least.
_HANDLERS: dict[int, tuple[Callable[[Knet, Link, Buffer, int], None], int]] = {
    PacketType.PING: (Knet._on_ping, PING.size),
    PacketType.PONG: (Knet._on_pong, PING.size),
    PacketType.PMTUD: (Knet._on_probe, PMTUD.size),
    PacketType.PMTUD_REPLY: (Knet._on_probe_reply, PMTUD.size),
}
