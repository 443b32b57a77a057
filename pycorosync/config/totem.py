"""The totem, interface and nodelist sections: links, nodes, the ring (corosync: exec/totemconfig.c).

Reading goes in corosync's order, because a fault that is met first hides the others there: transport and
crypto, the local node, interface sections, nodelist, timers. The checks are in checks.py. A link exists if
an interface section names it or a node has an address on it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pycorosync.config.crypto import CryptoFault, read_crypto
from pycorosync.config.entries import EntryMap
from pycorosync.config.grammar import as_bytes_text, byte_length
from pycorosync.config.host import (
    HostFacts,
    IPAddress,
    find_local_node,
    get_integer,
    get_string,
    last_position,
    node_keys,
    resolve,
)
from pycorosync.config.model import (
    DEFAULT_PORT,
    LINKS_MAX,
    NODES_MAX,
    CryptoConfig,
    LinkConfig,
    Member,
    NodeConfig,
    Timers,
    TotemConfig,
    Transport,
)
from pycorosync.config.options import STRING, U8, U16, U32, U64, default_of
from pycorosync.config.timers import read_timers
from pycorosync.errors import Fault

KNET_NODE_ID_LIMIT: Final = 65536
KNET_PACKET_MAX: Final = 65536
UDP_MTU: Final = 1500
LINK_MODE_BYTES: Final = 64
PARSE_ERROR: Final = "parse error in config: "
BROADCAST: Final = IPv4Address("255.255.255.255")

_LINK_KEY: Final = re.compile(r"totem\.interface\.([^.]+)\.(.+)")
_ADDRESS_KEY: Final = re.compile(r"ring([0-9]{1,9})_addr")
_LEADING_NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,9})")


@dataclass(slots=True)
class _Link:
    """A link while it is being put together."""

    number: int
    configured: bool = False
    local_address: IPAddress | None = None
    bind_address: IPAddress | None = None
    multicast_address: IPAddress | None = None
    members: list[Member] = field(default_factory=list)
    port: int = 0
    ttl: int = 0
    transport: str = "udp"
    priority: int = 0
    ping_interval_ms: int = 0
    ping_timeout_ms: int = 0
    ping_precision: int = 0
    pong_count: int = 0


def _preserved(link: LinkConfig) -> _Link:
    """The interface of udp or udpu at a reload: only its nodes may change."""
    return _Link(
        number=link.number,
        local_address=link.local_address,
        bind_address=link.bind_address,
        multicast_address=link.multicast_address,
        port=link.port,
        ttl=link.ttl,
        transport=link.transport,
        priority=link.priority,
    )


class _Stop(Exception):
    """Reading cannot go on after this fault."""


@dataclass(slots=True)
class Reading:
    """What came out of the totem section. `config` is None if reading could not go on after a fault."""

    config: TotemConfig | None = None
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def cluster_id(cluster_name: str) -> int:
    """The 16-bit number that stands for a cluster's name in multicast addresses."""
    value = 0
    for byte in as_bytes_text(cluster_name):
        value = (value << 1) + ord(byte) - (256 if ord(byte) > 127 else 0)
    return value & 0xFFFF


def multicast_address(cluster_name: str, link: int, version: int) -> IPAddress:
    """The group that a cluster without a mcastaddr uses."""
    number = (cluster_id(cluster_name) + link) & 0xFFFF
    if version == 4:
        # Compatibility: the remainder is by 255, not 256, so two names may share a group.
        return IPv4Address(f"239.192.{number >> 8}.{number % 0xFF}")
    return IPv6Address(f"ff15::{number:x}")


def generated_node_id(address: IPAddress | None, *, clear_high_bit: bool) -> int | None:
    """The id of a udp or udpu node that has none: its IPv4 address as a number."""
    if not isinstance(address, IPv4Address):
        return None
    node_id = int(address) & (0x7FFFFFFF if clear_high_bit else 0xFFFFFFFF)
    return None if node_id == 0xFFFFFFFF else node_id


class _Totem:
    """Reads one configuration. Writes what it derives back to `entries`, as corosync does."""

    def __init__(self, entries: EntryMap, host: HostFacts, filename: str) -> None:
        self._entries = entries
        self._host = host
        self._filename = filename
        self._reload = False
        self._reading = Reading()
        self._links = [_Link(number) for number in range(LINKS_MAX)]
        self._transport = Transport.KNET
        self._ip_version = "ipv6-4"
        self._broadcast = False
        self._clear_high_bit = False
        self._node_id = 0
        self._position: int | None = None

    def read(self) -> Reading:
        """The configuration as a start finds it."""
        return self._until_stopped(self._read)

    def reread(self, running: TotemConfig) -> Reading:
        """The configuration as a reload finds it: what only a start can set stays as it is running."""
        return self._until_stopped(lambda: self._reread(running))

    def _until_stopped(self, read: Callable[[], TotemConfig]) -> Reading:
        with suppress(_Stop):
            self._reading.config = read()
        return self._reading

    def _fault(self, text: str, key: str = "") -> None:
        line = self._entries.line(key) if key else 0
        self._reading.faults.append(Fault(self._filename, line, text))

    def _stop(self, text: str, key: str = "") -> _Stop:
        self._fault(text, key)
        return _Stop()

    def _string(self, key: str) -> str | None:
        return get_string(self._entries, key)

    def _u32(self, key: str) -> int | None:
        return get_integer(self._entries, key, U32)

    def _read(self) -> TotemConfig:
        self._transport = self._read_transport()
        crypto = self._read_crypto()
        link_mode = self._read_link_mode()
        self._clear_high_bit = self._string("totem.clear_node_high_bit") == "yes"
        usual = "ipv4" if self._transport is Transport.UDP else "ipv6-4"
        self._ip_version = self._string("totem.ip_version") or usual
        both_given = self._bind_to_nodelist()
        self._read_interfaces()
        self._warn(both_given=both_given)
        if self._broadcast:
            self._links[0].multicast_address = BROADCAST
        if self._transport is Transport.UDP:
            self._store_multicast()
        if self._has_nodelist():
            self._read_local_node()
            self._read_members()
            self._complete_links(self._find_local())
        timers = self._derive_timers()
        net_mtu = KNET_PACKET_MAX if self._transport is Transport.KNET else UDP_MTU
        return TotemConfig(
            version=self._u32("totem.version") or 0,
            transport=self._transport,
            cluster_name=self._string("totem.cluster_name"),
            config_version=get_integer(self._entries, "totem.config_version", U64) or 0,
            ip_version=self._ip_version,
            link_mode=link_mode,
            node_id=self._node_id,
            local_node_position=self._u32("nodelist.local_node_pos"),
            nodes=tuple(self._nodes()),
            links=tuple(self._link_configs()),
            crypto=crypto,
            timers=timers,
            net_mtu=self._u32("totem.netmtu") or net_mtu,
            broadcast=self._broadcast,
            clear_node_high_bit=self._clear_high_bit,
        )

    def _reread(self, running: TotemConfig) -> TotemConfig:
        """Without crypto, whose faults are said in other words (reload.py)."""
        self._reload = True
        self._transport, self._ip_version = running.transport, running.ip_version
        self._clear_high_bit, self._node_id = running.clear_node_high_bit, running.node_id
        if running.transport is not Transport.KNET and running.links:
            self._links[0] = _preserved(running.links[0])
        self._read_interfaces()
        self._read_members()
        position = find_local_node(self._entries, self._host)
        if position is not None:
            self._entries.set("nodelist.local_node_pos", U32, position)
        self._complete_links(position)
        for link in self._links:
            before = running.link(link.number)
            if link.local_address is None and before is not None:
                # Compatibility: a node that is no longer listed would take another node's address in
                # corosync; it keeps its own.
                link.local_address = before.local_address
        return replace(
            running,
            config_version=get_integer(self._entries, "totem.config_version", U64) or 0,
            local_node_position=self._u32("nodelist.local_node_pos"),
            nodes=tuple(self._nodes()),
            timers=self._derive_timers(),
            links=tuple(self._link_configs()),
        )

    def _read_transport(self) -> Transport:
        word = self._string("totem.transport")
        try:
            return Transport.KNET if word is None else Transport(word)
        except ValueError:
            raise self._stop(
                "Invalid transport type. Should be udpu, udp or knet", "totem.transport"
            ) from None

    def _read_crypto(self) -> CryptoConfig:
        try:
            return read_crypto(self._entries, self._host)
        except CryptoFault as fault:
            self._fault(str(fault), fault.option)
            return CryptoConfig()

    def _read_link_mode(self) -> str:
        word = self._string("totem.link_mode")
        if word is None:
            return str(default_of("totem.link_mode"))
        if byte_length(word) >= LINK_MODE_BYTES:
            self._fault("totem.link_mode is too long", "totem.link_mode")
        return word

    def _warn(self, *, both_given: bool) -> None:
        warn = self._reading.warnings
        if self._u32("totem.nodeid") is not None:
            warn.append(
                "nodeid in totem section is deprecated and ignored. "
                "Nodelist (or autogenerated) nodeid is going to be used."
            )
        if both_given:
            warn.append(
                "interface section bindnetaddr is used together with nodelist. "
                "Nodelist one is going to be used."
            )
        if warn:
            warn.append("Please migrate config file to nodelist.")

    # --- the local node and interface sections

    def _find_local(self) -> int | None:
        """The local node's position, which also goes to the map; the last node's if it is not found."""
        position = find_local_node(self._entries, self._host)
        if position is None:
            return last_position(self._entries)
        self._entries.set("nodelist.local_node_pos", U32, position)
        return position

    def _has_nodelist(self) -> bool:
        return (
            self._string("nodelist.node.0.name") is not None
            or self._string("nodelist.node.0.ring0_addr") is not None
        )

    def _bind_to_nodelist(self) -> bool:
        """Make interface sections from the local node's addresses. True if both kinds are in the file."""
        given = self._string("totem.interface.0.bindnetaddr") is not None
        listed = self._string("nodelist.node.0.ring0_addr") is not None
        self._position = None
        if given and not listed:
            return False
        self._position = self._find_local()
        if self._position is not None:
            for link, address, key in self._addresses_of(self._position):
                line = self._entries.line(key)
                self._entries.set(f"totem.interface.{link}.bindnetaddr", STRING, address, line)
        return given

    def _addresses_of(self, position: int) -> list[tuple[int, str, str]]:
        """Link, address and key of a node's addresses, in byte order of the keys."""
        prefix = f"nodelist.node.{position}."
        found = []
        for key in self._entries.keys(prefix):
            match = _ADDRESS_KEY.fullmatch(key.removeprefix(prefix))
            text = self._string(key)
            if match is not None and text is not None:
                found.append((int(match[1]), text, key))
        return found

    def _read_interfaces(self) -> None:
        seen: set[int] = set()
        for key in self._entries.keys("totem.interface."):
            match = _LINK_KEY.fullmatch(key)
            if match is None or (self._transport is Transport.UDP and match[2] != "bindnetaddr"):
                continue
            leading = _LEADING_NUMBER.match(match[1])
            number = int(leading[1]) if leading is not None else 0
            if not 0 <= number < LINKS_MAX:
                if self._reload:
                    continue
                self._fault(self._link_too_high(number), key)
                return
            if number not in seen:
                seen.add(number)
                self._read_interface(self._links[number])

    def _link_too_high(self, number: int) -> str:
        shown = number % 2**32
        return f"{PARSE_ERROR}interface ring number {shown} is bigger than allowed maximum {LINKS_MAX - 1}"

    def _read_interface(self, link: _Link) -> None:
        prefix = f"totem.interface.{link.number}"
        if not self._reload:
            self._read_fixed_addresses(link, prefix)
        port = get_integer(self._entries, f"{prefix}.mcastport", U16)
        step = 2 if self._broadcast else 1  # with broadcast each link takes a pair of ports
        link.port = DEFAULT_PORT + step * link.number if port is None else port
        ttl = get_integer(self._entries, f"{prefix}.ttl", U8)
        link.ttl = 1 if ttl is None else ttl
        transport = self._string(f"{prefix}.knet_transport")
        if transport in ("udp", "sctp"):
            link.transport = transport
        elif transport is not None and not self._reload:
            # Compatibility: corosync lets a reload pass, too; the rest of the interfaces it then forgets.
            raise self._stop(
                "Unrecognised knet_transport. expected 'udp' or 'sctp'", f"{prefix}.knet_transport"
            )
        link.configured = True
        priority = get_integer(self._entries, f"{prefix}.knet_link_priority", U8)
        link.priority = 1 if priority is None else priority
        link.ping_interval_ms = self._u32(f"{prefix}.knet_ping_interval") or 0
        link.ping_timeout_ms = self._u32(f"{prefix}.knet_ping_timeout") or 0
        precision = self._u32(f"{prefix}.knet_ping_precision")
        pongs = self._u32(f"{prefix}.knet_pong_count")
        link.ping_precision = (
            int(default_of("totem.interface.knet_ping_precision")) if precision is None else precision
        )
        link.pong_count = int(default_of("totem.interface.knet_pong_count")) if pongs is None else pongs
        self._read_old_members(link, f"{prefix}.member.")

    def _read_fixed_addresses(self, link: _Link, prefix: str) -> None:
        """What only the start reads."""
        text = self._string(f"{prefix}.bindnetaddr")
        if text is not None:
            link.bind_address = resolve(self._host, text, self._ip_version)
            if link.bind_address is None:
                raise self._stop(f"failed to parse bindnet address '{text}'", f"{prefix}.bindnetaddr")
        text = self._string(f"{prefix}.mcastaddr")
        if text is not None:
            link.multicast_address = resolve(self._host, text, self._ip_version)
            if link.multicast_address is None:
                raise self._stop(f"failed to parse mcast address '{text}'", f"{prefix}.mcastaddr")
        elif self._transport is Transport.UDP:
            name = self._string("totem.cluster_name")
            bound = self._links[0].bind_address
            if name is not None:
                version = 4 if bound is None else bound.version
                link.multicast_address = multicast_address(name, link.number, version)
        if self._string(f"{prefix}.broadcast") == "yes":
            self._broadcast = True

    def _read_old_members(self, link: _Link, prefix: str) -> None:
        """Members from before there were nodelists; the nodelist, which a node needs, replaces them."""
        keys = self._entries.keys(prefix)
        if not keys:
            return
        ignored = "member section is used together with nodelist. Members ignored."
        if self._string("nodelist.node.0.ring0_addr") is not None:
            if ignored not in self._reading.warnings:
                self._reading.warnings.insert(0, ignored)
            return
        deprecated = "member section is deprecated."
        if deprecated not in self._reading.warnings:
            self._reading.warnings.append(deprecated)
        for key in keys:
            text = self._string(key)
            if text is None:
                continue
            address = resolve(self._host, text, self._ip_version)
            if address is None:
                raise self._stop(f"failed to parse node address '{text}'", key)
            link.members.append(Member(0, address))

    def _store_multicast(self) -> None:
        """Group and port that were made up also go to the map."""
        for link in self._links:
            if not link.configured:
                continue
            prefix = f"totem.interface.{link.number}"
            if self._string(f"{prefix}.mcastaddr") is None and link.multicast_address is not None:
                self._entries.set(f"{prefix}.mcastaddr", STRING, str(link.multicast_address))
            if get_integer(self._entries, f"{prefix}.mcastport", U16) is None:
                self._entries.set(f"{prefix}.mcastport", U16, link.port)

    # --- the nodelist

    def _generated(self, position: int) -> int | None:
        text = self._string(f"nodelist.node.{position}.ring0_addr")
        address = None if text is None else resolve(self._host, text, "ipv4")
        return generated_node_id(address, clear_high_bit=self._clear_high_bit)

    def _read_local_node(self) -> None:
        if self._entries.get("nodelist.local_node_pos") is None or self._position is None:
            self._position = self._find_local()
        if self._position is None:
            return
        key = f"nodelist.node.{self._position}.nodeid"
        self._node_id = self._u32(key) or 0
        if self._node_id:
            return
        if self._transport is Transport.KNET:
            raise self._stop("Knet requires an explicit nodeid for the local node", key)
        generated = self._generated(self._position)
        if generated is None:
            raise self._stop("An IPV6 network requires that a node ID be specified", key)
        self._node_id = generated

    def _read_members(self) -> None:
        """Each node's addresses become ends of links. Replaces members of interface sections."""
        for link in self._links:
            link.members.clear()
        positions = dict.fromkeys(position for position, _, _ in node_keys(self._entries))
        for position in positions:
            for number, text, key in self._addresses_of(position):
                self._read_member(position, number, text, key)

    def _read_member(self, position: int, number: int, text: str, key: str) -> None:
        id_key = f"nodelist.node.{position}.nodeid"
        node_id = self._u32(id_key) or 0
        if number >= LINKS_MAX:
            raise self._stop(self._link_too_high(number), key)
        if not node_id and self._transport is Transport.KNET:
            raise self._stop(f"Knet requires an explicit nodeid to be specified for address '{text}'.", key)
        if not node_id and self._string(f"nodelist.node.{position}.ring0_addr") is not None:
            generated = self._generated(position)
            if generated is None:
                raise self._stop(
                    f"An IPV6 network requires that a node ID be specified for address '{text}'.", key
                )
            node_id = generated
            self._entries.set(id_key, U32, node_id)
        if self._transport is Transport.KNET and node_id >= KNET_NODE_ID_LIMIT:
            raise self._stop(
                f"Knet requires nodeid to be less than {KNET_NODE_ID_LIMIT} for address '{text}'.", id_key
            )
        address = resolve(self._host, text, self._ip_version)
        if address is None:
            raise self._stop(f"failed to parse node address '{text}'", key)
        link = self._links[number]
        if len(link.members) >= NODES_MAX:
            # Compatibility: corosync writes past the end of its table.
            raise self._stop(f"{PARSE_ERROR}more than {NODES_MAX} nodes on link {number}", key)
        link.members.append(Member(node_id, address))
        link.configured = True

    def _complete_links(self, position: int | None) -> None:
        """Fill in links that only the nodelist knows, if the local node is on them."""
        for link in self._links:
            # Only the plain name counts here, whereas ring00_addr is otherwise as good as ring0_addr.
            text = self._string(f"nodelist.node.{position}.ring{link.number}_addr")
            if not link.configured or text is None:
                continue
            link.local_address = resolve(self._host, text, self._ip_version)
            if link.local_address is None:
                continue
            link.priority = link.priority or 1
            link.ping_precision = link.ping_precision or int(
                default_of("totem.interface.knet_ping_precision")
            )
            link.pong_count = link.pong_count or int(default_of("totem.interface.knet_pong_count"))
            link.port = link.port or DEFAULT_PORT + link.number
            link.ttl = link.ttl or (1 if self._reload else 0)

    # --- the result

    def _derive_timers(self) -> Timers:
        """The timers, and those of links that follow from them.

        Compatibility: at a reload corosync takes the links' from the token timeout as it was before.
        """
        timers = read_timers(self._entries, len(self._links[0].members))
        for link in self._links:
            if link.configured:
                link.pong_count = link.pong_count or int(default_of("totem.interface.knet_pong_count"))
                link.ping_timeout_ms = link.ping_timeout_ms or timers.token_timeout_ms // link.pong_count
                link.ping_interval_ms = link.ping_interval_ms or timers.token_timeout_ms // (
                    link.pong_count * 2
                )
        return timers

    def _link_configs(self) -> Iterator[LinkConfig]:
        for link in self._links:
            if link.configured:
                yield LinkConfig(
                    number=link.number,
                    local_address=link.local_address,
                    bind_address=link.bind_address,
                    multicast_address=link.multicast_address,
                    members=tuple(link.members),
                    port=link.port,
                    ttl=link.ttl,
                    transport=link.transport,
                    priority=link.priority,
                    ping_interval_ms=link.ping_interval_ms,
                    ping_timeout_ms=link.ping_timeout_ms,
                    ping_precision=link.ping_precision,
                    pong_count=link.pong_count,
                )

    def _nodes(self) -> Iterator[NodeConfig]:
        for position in dict.fromkeys(position for position, _, _ in node_keys(self._entries)):
            prefix = f"nodelist.node.{position}"
            votes = self._u32(f"{prefix}.quorum_votes")
            yield NodeConfig(
                position=position,
                node_id=self._u32(f"{prefix}.nodeid") or 0,
                name=self._string(f"{prefix}.name"),
                addresses={number: text for number, text, _ in self._addresses_of(position)},
                quorum_votes=1 if votes is None else votes,
            )


def read_totem(entries: EntryMap, host: HostFacts, filename: str) -> Reading:
    """The totem configuration of a start, unchecked (see checks.py). Derived keys are added to `entries`."""
    return _Totem(entries, host, filename).read()


def reread_totem(entries: EntryMap, host: HostFacts, filename: str, running: TotemConfig) -> Reading:
    """The totem configuration of a reload, unchecked, with the running one's crypto."""
    return _Totem(entries, host, filename).reread(running)
