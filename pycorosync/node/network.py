"""What is below the ring, as the node and its services see it."""

from collections.abc import Iterable
from typing import Protocol

from pycorosync.cmap.stats import Stat
from pycorosync.config.model import TotemConfig, Transport
from pycorosync.knet.outputs import Address, Kind, Output
from pycorosync.node.outputs import Binding
from pycorosync.services.service import LinkStatus
from pycorosync.types import Buffer, NodeId

# A frame's payload leaves room for two mcast headers: the message's own, and that of a recovery copy.
_TWO_MCAST_HEADERS = 90
_KNET_MESSAGE_BYTES = 65536


class Network(Protocol):
    """One of knet, udp, udpu. See Knet for what the verbs mean."""

    name: str
    outputs: list[Output]

    def start(self, now_ns: int) -> None: ...

    def bindings(self) -> tuple[Binding, ...]: ...

    def send(self, frame: Buffer, to: NodeId, now_ns: int, *, loop_back: bool = False) -> None: ...

    def receive(self, link: int, source: Address, datagram: Buffer, now_ns: int) -> None: ...

    def on_send_error(
        self, link: int, address: Address, kind: Kind, error: int, kernel_mtu: int, now_ns: int
    ) -> None: ...

    def on_network_error(self, link: int, address: Address, error: int) -> None: ...

    def on_timer(self, now_ns: int) -> None: ...

    def next_deadline(self) -> int | None: ...

    def on_membership(self, members: tuple[NodeId, ...]) -> None: ...

    def reconfigure(self, totem: TotemConfig, now_ns: int) -> None: ...

    def reconfigure_crypto(self, phase: int, now_ns: int) -> None: ...

    def addresses(self, node_id: NodeId) -> list[str]: ...

    def links(self, node_id: NodeId) -> list[LinkStatus]: ...

    def reachable(self, node_id: NodeId) -> bool: ...

    def stats(self) -> Iterable[Stat]: ...

    def clear_stats(self) -> None: ...


def frame_payload_bytes(totem: TotemConfig) -> int:
    """How much a packet may carry: protocol/totempg.md."""
    whole = _KNET_MESSAGE_BYTES if totem.transport is Transport.KNET else totem.net_mtu
    return whole - _TWO_MCAST_HEADERS


def configured_addresses(totem: TotemConfig, node_id: NodeId) -> list[str]:
    """The addresses of a node, by link; none if it is unknown."""
    return [
        str(member.address) for link in totem.links for member in link.members if member.node_id == node_id
    ]
