"""SNMPv2c traps for corosync-notifyd, with pyasn1 (corosync: tools/corosync-notifyd.c, COROSYNC-MIB).

Compatibility: the uptime is the seconds since 1970, as if they were hundredths. Clients that come and go are
not told.
"""

import itertools
import re
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from pyasn1.codec.ber import encoder
from pyasn1.type import namedtype, tag, univ

from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, NotifyEvent, QuorumEvent

PORT: Final = 162
SYS_UPTIME: Final = "1.3.6.1.2.1.1.3.0"
TRAP_OID: Final = "1.3.6.1.6.3.1.1.4.1.0"
COROSYNC: Final = "1.3.6.1.4.1.35488"
NODE_NAME, NODE_ID, NODE_STATUS, NODE_ADDRESS, OUR_NODE_ID = (f"{COROSYNC}.1.{n}" for n in range(1, 6))
QUORUM, LINK, LINK_STATUS = (f"{COROSYNC}.1.{n}" for n in (21, 60, 61))
TRAP_NODE, TRAP_QUORUM, TRAP_LINK = (f"{COROSYNC}.0.{n}" for n in (1, 2, 4))
VERSION_2C: Final = 1


def _application(number: int) -> Any:
    return univ.Integer.tagSet.tagImplicitly(tag.Tag(tag.tagClassApplication, tag.tagFormatSimple, number))


class Unsigned32(univ.Integer):  # type: ignore[misc]
    tagSet = _application(2)


class TimeTicks(univ.Integer):  # type: ignore[misc]
    tagSet = _application(3)


class Trap(univ.Sequence):  # type: ignore[misc]
    """SNMPv2-Trap-PDU of RFC 3416."""

    tagSet = univ.Sequence.tagSet.tagImplicitly(tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 7))
    componentType = namedtype.NamedTypes(
        namedtype.NamedType("request-id", univ.Integer()),
        namedtype.NamedType("error-status", univ.Integer()),
        namedtype.NamedType("error-index", univ.Integer()),
        namedtype.NamedType("variable-bindings", univ.SequenceOf()),
    )


Variables = list[tuple[str, Any]]


def variables_of(event: NotifyEvent) -> tuple[str, Variables] | None:
    """The trap's name and what it carries; None for events that have no trap."""
    text, unsigned = univ.OctetString, Unsigned32
    match event:
        case NodeEvent(name, node_id, state, address):
            return TRAP_NODE, [
                (NODE_NAME, text(name)),
                (NODE_ID, unsigned(node_id)),
                (NODE_ADDRESS, text(address)),
                (NODE_STATUS, text(state)),
            ]
        case QuorumEvent(name, node_id, state):
            return TRAP_QUORUM, [
                (NODE_NAME, text(name)),
                (NODE_ID, unsigned(node_id)),
                (QUORUM, text(state)),
            ]
        case LinkEvent(name, our_node_id, node_id, link, state):
            return TRAP_LINK, [
                (NODE_NAME, text(name)),
                (OUR_NODE_ID, unsigned(our_node_id)),
                (NODE_ID, unsigned(node_id)),
                (LINK, univ.Integer(link)),
                (LINK_STATUS, text(state)),
            ]
        case ClientEvent():
            return None


def trap(name: str, variables: Variables, *, community: str, request_id: int, seconds: int) -> bytes:
    """The message."""
    bindings = univ.SequenceOf()
    head = [(SYS_UPTIME, TimeTicks(seconds & 0xFFFFFFFF)), (TRAP_OID, univ.ObjectIdentifier(name))]
    for oid, value in head + variables:
        binding = univ.Sequence()
        binding[0], binding[1] = univ.ObjectIdentifier(oid), value
        bindings.append(binding)
    pdu = Trap()
    for place, number in enumerate((request_id, 0, 0)):
        pdu[place] = number
    pdu[3] = bindings
    message = univ.Sequence()
    message[0], message[1], message[2] = univ.Integer(VERSION_2C), univ.OctetString(community), pdu
    return bytes(encoder.encode(message))


def place_of(manager: str) -> tuple[str, int]:
    """Host and port in `[udp:|udp6:]HOST[:PORT]`; an address of IPv6 is in brackets, or has no port."""
    rest = re.sub(r"^udp6?:", "", manager)
    if match := re.fullmatch(r"\[([^]]*)\](?::(\d+))?|([^:]*):(\d+)", rest):
        host, port = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
        return host, int(port or PORT)
    return rest, PORT


class SnmpNotifier:
    """One socket for our life, opened with the first trap."""

    def __init__(self, manager: str, community: str, log: Callable[[str, str], None]) -> None:
        self._manager = manager
        self._community = community
        self._log = log
        self._socket: socket.socket | None = None
        self._request_ids = itertools.count(1 + secrets.randbelow(2**30))

    def notify(self, event: NotifyEvent) -> None:
        found = variables_of(event)
        if found is None:
            return
        if self._socket is None and not self._open():
            self._log("notice", "Failed to init SNMP session.")
            return
        message = trap(
            *found,
            community=self._community,
            request_id=next(self._request_ids) & 0x7FFFFFFF,
            seconds=time.time_ns() // 1_000_000_000,
        )
        if not self._send(message):
            self._log("error", "Could not send SNMP trap")

    def _open(self) -> bool:
        try:
            host, port = place_of(self._manager)
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind)
            self._socket.connect(address)
        except (OSError, ValueError) as fault:
            self._log("error", f"Could not create snmp transport: {fault}")
            self.close()
        return self._socket is not None

    def _send(self, message: bytes) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(message)
        except ConnectionRefusedError:
            # Of the trap before: nobody listened. This one has not been sent.
            return self._send_again(message)
        except OSError:
            return False
        return True

    def _send_again(self, message: bytes) -> bool:
        try:
            return self._socket is not None and self._socket.send(message) == len(message)
        except OSError:
            return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
