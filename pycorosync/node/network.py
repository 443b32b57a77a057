"""What is below the ring, as the node and its services see it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from pycorosync.cmap.stats import Stat
from pycorosync.config.model import TotemConfig, Transport
from pycorosync.knet.outputs import Address, Kind, Output
from pycorosync.node.outputs import Binding
from pycorosync.services.service import LinkStatus
from pycorosync.types import Buffer, NodeId

# A frame's payload leaves room for two mcast headers: the message's own, and that of a recovery copy.
_TWO_MCAST_HEADERS = 90
_KNET_MESSAGE_BYTES = 65536


class Network(ABC):
    """One of knet, udp, udpu. See Knet for what the verbs mean."""

    name: str

    @property
    def outputs(self) -> list[Output]:
        raise NotImplementedError

    @outputs.setter
    def outputs(self, empty: list[Output]) -> None:
        raise NotImplementedError

    @abstractmethod
    def start(self, now_ns: int) -> None: ...

    @abstractmethod
    def bindings(self) -> tuple[Binding, ...]: ...

    @abstractmethod
    def send(self, frame: Buffer, to: NodeId, now_ns: int, *, loop_back: bool = False) -> None: ...

    @abstractmethod
    def receive(self, link: int, source: Address, datagram: Buffer, now_ns: int) -> None: ...

    @abstractmethod
    def on_send_error(
        self, link: int, address: Address, kind: Kind, error: int, kernel_mtu: int, now_ns: int
    ) -> None: ...

    @abstractmethod
    def on_network_error(self, link: int, address: Address, error: int) -> None: ...

    @abstractmethod
    def on_timer(self, now_ns: int) -> None: ...

    @abstractmethod
    def next_deadline(self) -> int | None: ...

    @abstractmethod
    def on_membership(self, members: tuple[NodeId, ...]) -> None: ...

    @abstractmethod
    def reconfigure(self, totem: TotemConfig, now_ns: int) -> None: ...

    @abstractmethod
    def reconfigure_crypto(self, phase: int, now_ns: int) -> None: ...

    @abstractmethod
    def addresses(self, node_id: NodeId) -> list[str]: ...

    @abstractmethod
    def links(self, node_id: NodeId) -> list[LinkStatus]: ...

    @abstractmethod
    def reachable(self, node_id: NodeId) -> bool: ...

    @abstractmethod
    def stats(self) -> Iterable[Stat]: ...

    @abstractmethod
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
