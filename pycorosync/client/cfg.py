"""Python library for the configuration of the running cluster (corosync: lib/cfg.c, libcfg).

    with Cfg() as cfg:
        print(cfg.local_node_id(), cfg.node_addresses(2))
        cfg.track_start()
        for request in cfg.events():          # or: async for request in cfg.events_async()
            cfg.reply_to_shutdown(True)

Every method raises LibraryError with the code that libcfg's function returns.
"""

import ipaddress
import socket
from typing import Any, ClassVar, NamedTuple

from pycorosync.client.connection import LibraryError
from pycorosync.client.session import Session, cut, decode, text_of
from pycorosync.cs_error import CsError
from pycorosync.services.cfg import messages
from pycorosync.services.cfg.messages import CfgRequest, CfgResponse, ShutdownFlag
from pycorosync.types import NodeId

__all__ = ["Cfg", "Interface", "LinkState", "NodeStatus", "ShutdownFlag", "ShutdownRequested"]


class LinkState(NamedTuple):
    """One link to a node, as the local node sees it."""

    enabled: bool
    connected: bool
    dynamic_connected: bool
    mtu: int  # bytes
    source: str
    destination: str


class NodeStatus(NamedTuple):
    """A node as the local node sees it; `links` by link number, always eight."""

    node_id: NodeId
    reachable: bool
    remote: bool
    external: bool
    onwire_min: int
    onwire_max: int
    onwire_version: int
    links: tuple[LinkState, ...]


class Interface(NamedTuple):
    """One of our links: `NUMBER ADDRESS`, and one character for each node (see protocol/cfg.md)."""

    name: str
    status: str


class ShutdownRequested(NamedTuple):
    """Somebody wants to shut down the local node: answer with reply_to_shutdown()."""

    flags: int
    expired: bool = False  # True: the time for answers is over, this is only told


class Cfg(Session[ShutdownRequested]):
    """A connection to the cfg service."""

    SERVICE: ClassVar = messages.SERVICE_NAME

    # --- this node and its links

    def local_node_id(self) -> NodeId:
        response = self._ask(CfgRequest.LOCAL_GET, messages.EMPTY_REQUEST)
        return int(decode(messages.LOCAL_GET_RESPONSE, response).node_id)

    def node_addresses(self, node_id: NodeId) -> list[str]:
        """The addresses of a node by link; node 0 is the local one. NOT_EXIST for an unknown node."""
        response = self._ask(CfgRequest.GET_NODE_ADDRS, messages.NODE_REQUEST, node_id)
        head = decode(messages.NODE_ADDRS_HEAD, response)
        size, start = messages.ADDRESS_SIZE, messages.NODE_ADDRS_HEAD.size
        if head.count > messages.INTERFACES_MAX:
            raise LibraryError(CsError.LIBRARY)
        packed = [cut(response, start + size * number, size) for number in range(head.count)]
        if head.family == socket.AF_INET6:
            return [str(ipaddress.IPv6Address(item)) for item in packed]
        return [str(ipaddress.IPv4Address(item[:4])) for item in packed]

    def ring_status(self) -> list[Interface]:
        """Our links and the state of every node on each."""
        response = self._ask(CfgRequest.RING_STATUS_GET, messages.EMPTY_REQUEST)
        record = decode(messages.RING_STATUS_RESPONSE, response)
        return [
            Interface(
                text_of(record.names[messages.INTERFACE_NAME_MAX * number :][: messages.INTERFACE_NAME_MAX]),
                text_of(
                    record.statuses[messages.INTERFACE_STATUS_MAX * number :][: messages.INTERFACE_STATUS_MAX]
                ),
            )
            for number in range(min(record.count, messages.INTERFACES_MAX))
        ]

    def node_status(self, node_id: NodeId) -> NodeStatus:
        """What the local node knows of another. FAILED_OPERATION for an unknown node (with knet)."""
        response = self._ask(
            CfgRequest.NODE_STATUS_GET, messages.NODE_STATUS_REQUEST, node_id, messages.STATUS_VERSION_1
        )
        head = decode(messages.NODE_STATUS_HEAD, response)
        if head.version != messages.STATUS_VERSION_1:
            raise LibraryError(CsError.NOT_SUPPORTED)
        links = []
        for number in range(messages.LINKS_MAX):
            offset = messages.NODE_STATUS_HEAD.size + messages.LINK_STATUS.size * number
            links.append(_link_state(decode(messages.LINK_STATUS, response, offset)))
        return NodeStatus(
            head.node_id,
            bool(head.reachable),
            bool(head.remote),
            bool(head.external),
            head.onwire_min,
            head.onwire_max,
            head.onwire_version,
            tuple(links),
        )

    # --- actions

    def kill_node(self, node_id: NodeId, reason: str) -> None:
        """End corosync on a node. NOT_EXIST if it is no member, NAME_TOO_LONG for a reason over 255 bytes."""
        text = reason.encode(errors="surrogateescape")
        if len(text) >= messages.NAME_MAX:
            raise LibraryError(CsError.NAME_TOO_LONG)
        self._ask(CfgRequest.KILL_NODE, messages.KILL_NODE_REQUEST, node_id, len(text) + 1, text)

    def try_shutdown(self, flag: ShutdownFlag = ShutdownFlag.REQUEST) -> None:
        """Shut down the local node. BUSY if a client objects, EXIST if another try is under way.

        Returns when the decision is made, after 5 seconds at the latest (cmap: cfg.shutdown_timeout, in ms).
        """
        self._ask(CfgRequest.TRY_SHUTDOWN, messages.TRY_SHUTDOWN_REQUEST, flag)

    def reload_config(self) -> None:
        """Let every node read its corosync.conf again; returns when the local one has. INVALID_PARAM if it
        cannot be used; the log says why.
        """
        self._ask(CfgRequest.RELOAD_CONFIG, messages.EMPTY_REQUEST)

    def reopen_log_files(self) -> None:
        """Let the local node open its log files anew, after a rotation."""
        self._ask(CfgRequest.REOPEN_LOG_FILES, messages.EMPTY_REQUEST)

    # --- being asked about shutdowns

    def track_start(self) -> None:
        """From now on events tell when somebody wants to shut down the local node."""
        self._ask(CfgRequest.TRACK_START, messages.TRACK_START_REQUEST, 0)

    def track_stop(self) -> None:
        self._ask(CfgRequest.TRACK_STOP, messages.EMPTY_REQUEST)

    def reply_to_shutdown(self, agree: bool) -> None:
        """Answer a ShutdownRequested. ACCESS if none is open any more."""
        self._ask(CfgRequest.REPLY_TO_SHUTDOWN, messages.REPLY_TO_SHUTDOWN_REQUEST, agree)

    def _event(self, data: bytes) -> ShutdownRequested:
        record = decode(messages.TEST_SHUTDOWN_EVENT, data)
        if record.header_id != CfgResponse.TEST_SHUTDOWN:
            raise LibraryError(CsError.LIBRARY)
        return ShutdownRequested(record.flags, record.header_error != CsError.OK)


def _link_state(record: Any) -> LinkState:
    return LinkState(
        bool(record.enabled),
        bool(record.connected),
        bool(record.dynamic_connected),
        record.mtu,
        text_of(record.source),
        text_of(record.destination),
    )
