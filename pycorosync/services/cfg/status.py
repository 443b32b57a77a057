"""The answers about links and addresses (corosync: exec/cfg.c with totemknet_ifaces_get,
totemknet_nodestatus_get and their twins for udp and udpu). Specification: protocol/cfg.md.

Compatibility: IPv6 addresses that begin with two zero bytes, such as ::1, are listed; corosync drops them.
"""

import ipaddress
from typing import Final

from pycorosync.cs_error import CsError
from pycorosync.services.cfg import messages
from pycorosync.services.cfg.messages import CfgResponse
from pycorosync.services.service import LinkStatus, NodeView
from pycorosync.types import NodeId

AF_INET: Final = 2  # as Linux numbers them
AF_INET6: Final = 10
KNET: Final = "knet"
NODELIST: Final = "nodelist.node."


def configured_node_ids(view: NodeView) -> list[NodeId]:
    """Every node of the nodelist, ascending."""
    found = set()
    for key in view.cmap.keys(NODELIST):
        if key.count(".") == 3 and key.endswith(".nodeid"):
            found.add(view.cmap.get_int(key))
    return sorted(found - {0})


def node_addrs(view: NodeView, node_id: NodeId) -> bytes:
    """GET_NODE_ADDRS: the addresses of a node by link; error NOT_EXIST and no address if it is unknown."""
    addresses = [
        found
        for text in view.transport.addresses(node_id or view.node_id)
        if (found := _parse_address(text)) is not None
    ]
    # The answer has room for one family only: that of the first link.
    packed = [found.packed for found in addresses if found.version == addresses[0].version]
    family = 0
    if addresses:
        family = AF_INET if addresses[0].version == 4 else AF_INET6
    body = b"".join(address.ljust(messages.ADDRESS_SIZE, b"\0") for address in packed)
    size = messages.NODE_ADDRS_HEAD.size + len(body)
    error = CsError.OK if packed else CsError.NOT_EXIST
    head = messages.NODE_ADDRS_HEAD.encode(CfgResponse.GET_NODE_ADDRS, size, error, family, len(packed))
    return head + body


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def ring_status(view: NodeView) -> bytes:
    """RING_STATUS_GET: for each of our links its number with our address, and the state of every node on it.

    The state is one character for each node, ascending: `n` for ourselves, a digit (1 enabled, 2 connected,
    4 by a dynamic address), `d` for a node without this link. udp and udpu say `OK`.
    """
    own = {link.link: address for link, address in _own_links(view)}
    knet = view.transport.name == KNET
    states = _knet_states(view, list(own)) if knet else dict.fromkeys(own, "OK")
    names = b"".join(
        _text(f"{number} {address}", messages.INTERFACE_NAME_MAX) for number, address in own.items()
    )
    statuses = b"".join(_text(states[number], messages.INTERFACE_STATUS_MAX) for number in own)
    size = messages.RING_STATUS_RESPONSE.size
    return messages.RING_STATUS_RESPONSE.encode(
        CfgResponse.RING_STATUS_GET, size, CsError.OK, len(own), names, statuses
    )


def _own_links(view: NodeView) -> list[tuple[LinkStatus, str]]:
    links = view.transport.links(view.node_id)
    addresses = view.transport.addresses(view.node_id)
    return list(zip(links, addresses, strict=False))[: messages.INTERFACES_MAX]


def _knet_states(view: NodeView, numbers: list[int]) -> dict[int, str]:
    states = dict.fromkeys(numbers, "")
    for node_id in configured_node_ids(view):
        links = {link.link: link for link in view.transport.links(node_id)}
        for number in numbers:
            if node_id == view.node_id:
                states[number] += "n"
            elif link := links.get(number):
                state = link.enabled | link.connected << 1 | link.dynamic_connected << 2
                states[number] += str(state)
            else:
                states[number] += "d"
    return states


def node_status(view: NodeView, node_id: NodeId, version: int) -> tuple[bytes, CsError]:
    """NODE_STATUS_GET: the answer and the error it carries. FAILED_OPERATION for a node that knet does not
    know; udp and udpu answer for any node. NOT_SUPPORTED for another version of the structure.
    """
    knet = view.transport.name == KNET
    if knet and not view.transport.addresses(node_id):
        return _status_error(CsError.FAILED_OPERATION), CsError.FAILED_OPERATION
    if version != messages.STATUS_VERSION_1:
        return _status_error(CsError.NOT_SUPPORTED), CsError.NOT_SUPPORTED
    size = messages.NODE_STATUS_HEAD.size + messages.LINKS_MAX * messages.LINK_STATUS.size
    reachable = _reachable(view, node_id)
    # Remote and external nodes, and versions of knet's wire format, do not exist in libknet1.
    unused = (0,) * 5
    head = messages.NODE_STATUS_HEAD.encode(
        CfgResponse.NODE_STATUS_GET, size, CsError.OK, version, node_id, reachable, *unused
    )
    links = {link.link: link for link in view.transport.links(node_id)}
    if knet and node_id == view.node_id:
        # knet reaches its own host through one loopback link, whatever links there are to others.
        links = {number: link for number, link in links.items() if number == 0}
    records = [_link_record(view, links.get(number), reachable) for number in range(messages.LINKS_MAX)]
    return head + b"".join(records), CsError.OK


def _reachable(view: NodeView, node_id: NodeId) -> bool:
    if view.transport.name == KNET:
        return view.transport.reachable(node_id)
    # Without links of their own, udp and udpu only know who is in the membership.
    return node_id in view.members


def _link_record(view: NodeView, link: LinkStatus | None, reachable: bool) -> bytes:
    if link is None:
        return bytes(messages.LINK_STATUS.size)
    if view.transport.name == KNET:
        connected, dynamic = link.connected, link.dynamic_connected
        source, destination = _scoped(link.local_address), _scoped(link.remote_address)
    else:
        # Compatibility: totemudp and totemudpu put the other node's address first and leave the second empty.
        connected, dynamic = reachable, False
        source, destination = link.remote_address, ""
    return messages.LINK_STATUS.encode(
        link.enabled,
        connected,
        dynamic,
        link.mtu,
        _text(source, messages.HOST_MAX),
        _text(destination, messages.HOST_MAX),
    )


def _scoped(address: str) -> str:
    """Compatibility: corosync hands every IPv6 address to knet as one of the second interface's scope."""
    return f"{address}%2" if ":" in address else address


def _status_error(error: CsError) -> bytes:
    size = messages.NODE_STATUS_ERROR.size
    return messages.NODE_STATUS_ERROR.encode(CfgResponse.NODE_STATUS_GET, size, error, 0)


def _text(text: str, size: int) -> bytes:
    """A string as C keeps it: cut to leave room for the NUL, padded with NULs."""
    return text.encode(errors="surrogateescape")[: size - 1].ljust(size, b"\0")
