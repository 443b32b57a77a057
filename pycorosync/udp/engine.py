"""The udp and udpu transports: a totem frame is a datagram, nothing more (corosync: exec/totemudp.c,
exec/totemudpu.c; protocol/udp.md).

udpu sends what is for all to each member in turn, udp to a multicast group. Nothing is numbered, encrypted,
acknowledged or fragmented: the ring copes with loss, and packs no frame larger than the network takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pycorosync.knet.outputs import Address, Kind, Output, Received, SendDatagram
from pycorosync.log import subsystem
from pycorosync.types import Buffer, NodeId

LOG = subsystem("TOTEM")

ALL: NodeId = 0
LINK = 0  # there is only one
FRAME_BYTES_MAX = 65507


@dataclass(frozen=True, slots=True)
class UdpSettings:
    """Addresses are (host, port). `group` None: send to each member instead (udpu)."""

    node_id: NodeId
    peers: Mapping[NodeId, Address]  # without ourselves
    group: Address | None
    check_sources: bool = True  # block_unlisted_ips


@dataclass(slots=True)
class Dropped:
    """Datagrams that were not passed on, by reason."""

    unknown_source: int = 0
    too_long: int = 0


class Udp:
    """The verbs are those of Knet."""

    def __init__(self, settings: UdpSettings) -> None:
        self.outputs: list[Output] = []
        self.dropped = Dropped()
        self._settings = settings
        self._hosts = _hosts(settings)

    def reconfigure(self, settings: UdpSettings) -> None:
        """Nodes come and go."""
        self._settings = settings
        self._hosts = _hosts(settings)

    def send(self, frame: Buffer, to: NodeId, *, loop_back: bool = False) -> None:
        """To one node, or to ALL; to ourselves it never leaves. A node that is not known gets nothing.

        A broadcast comes back as Received only if `loop_back` is set: what the multicast group returns to us
        is dropped.
        """
        settings = self._settings
        if to == settings.node_id or (to == ALL and loop_back):
            self.outputs.append(Received(settings.node_id, frame))
        if to == ALL and settings.group is not None:
            self._send_to(settings.group, frame)
        elif to == ALL:
            for address in settings.peers.values():
                self._send_to(address, frame)
        elif address := settings.peers.get(to):
            self._send_to(address, frame)

    def _send_to(self, address: Address, frame: Buffer) -> None:
        self.outputs.append(SendDatagram(Kind.DATA, LINK, address, frame))

    def receive(self, source: Address, datagram: Buffer) -> None:
        """One datagram from the socket. Its buffer must not change afterwards."""
        node_id = self._hosts.get(host_of(source))
        if node_id is None and self._settings.check_sources:
            self.dropped.unknown_source += 1
            LOG.debug("Packet rejected from %s", host_of(source))
        elif len(datagram) > FRAME_BYTES_MAX:
            self.dropped.too_long += 1
        elif node_id != self._settings.node_id:
            self.outputs.append(Received(node_id or 0, datagram))


def host_of(address: Address) -> object:
    """Without the port: a sender's port is any."""
    return address[0] if isinstance(address, tuple) and address else address


def _hosts(settings: UdpSettings) -> dict[object, NodeId]:
    return {host_of(address): node_id for node_id, address in settings.peers.items()}
