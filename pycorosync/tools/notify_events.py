"""What corosync-notifyd tells of, and its words in the log."""

from typing import NamedTuple

from pycorosync.types import NodeId


class NodeEvent(NamedTuple):
    """A node has another state in this one's map: joined, left."""

    name: str
    node_id: NodeId
    state: str
    address: str

    @property
    def text(self) -> str:
        return f"{self.name}[{self.node_id}] ip:{self.address} {self.state}"


class QuorumEvent(NamedTuple):
    """The local node has become quorate, or not."""

    name: str
    node_id: NodeId
    state: str  # quorate, not quorate

    @property
    def text(self) -> str:
        words = "is now quorate" if self.state == "quorate" else "has lost quorum"
        return f"{self.name}[{self.node_id}] {words}"


class ClientEvent(NamedTuple):
    """A client of the local daemon has come or gone."""

    name: str
    node_id: NodeId
    client: str  # the daemon's name for the connection, its process, its command
    state: str  # connected, disconnected

    @property
    def text(self) -> str:
        where = "to" if self.state == "connected" else "from"
        return f"{self.name}[{self.node_id}] {self.client} is now {self.state} {where} corosync"


class LinkEvent(NamedTuple):
    """A link of the local node goes up or down."""

    name: str
    our_node_id: NodeId
    node_id: NodeId
    link: int
    state: str  # operational, disconnected

    @property
    def text(self) -> str:
        return f"{self.name}[{self.our_node_id}] link {self.link} to node {self.node_id} is now {self.state}"


NotifyEvent = NodeEvent | QuorumEvent | ClientEvent | LinkEvent
