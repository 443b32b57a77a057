"""What the shell looked up for the configuration, and which of the nodes this host is.

The configuration does no I/O, so the answers of resolver, password file and key file are handed in.
`facts_wanted` (load.py) says what to ask for. Stands for the lookups of corosync's exec/totemip.c, and for
the search for the local node in exec/totemconfig.c.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple, Protocol, TypeAlias

from pycorosync.cmap.store import Entry, ValueType

IPAddress: TypeAlias = IPv4Address | IPv6Address
NODE_PREFIX: Final = "nodelist.node."
_NODE_KEY: Final = re.compile(r"nodelist\.node\.([0-9]{1,9})\.(.+)")


class LocalAddress(NamedTuple):
    """An address of one of this host's interfaces, and the name that a reverse lookup gives for it.

    `name` is the address itself when there is no name, as getnameinfo does it; None if the lookup failed or
    was not wanted.
    """

    address: IPAddress
    name: str | None = None


class FileFault(NamedTuple):
    """A file that could not be used: what was tried (open or read), and the error's text."""

    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Answers from the operating system. What is missing counts as not found."""

    hostname: str = ""
    addresses: tuple[LocalAddress, ...] = ()  # in the order of getifaddrs
    resolved: Mapping[str, tuple[IPAddress, ...]] = field(default_factory=dict)  # as getaddrinfo lists them
    users: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    key_files: Mapping[str, bytes | FileFault] = field(default_factory=dict)
    log_faults: Mapping[str, str] = field(default_factory=dict)  # "No such file or directory (2)"


class Wanted(NamedTuple):
    """What a configuration needs looked up; see HostFacts for the shape of the answers."""

    names: tuple[str, ...] = ()
    local_names: bool = False  # whether the reverse names of local addresses matter
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    key_file: str | None = None
    log_files: tuple[str, ...] = ()


class Lookup(Protocol):
    """The reading half of a map: config's own, or the running node's."""

    def get(self, key: str, /) -> Entry | None: ...
    def keys(self, prefix: str = "", /) -> list[str]: ...


def get_string(entries: Lookup, key: str) -> str | None:
    """The value if there is one and it is a string."""
    entry = entries.get(key)
    return entry.value if entry is not None and isinstance(entry.value, str) else None


def get_integer(entries: Lookup, key: str, kind: ValueType) -> int | None:
    """The value if there is one of exactly this type; another integer type does not count."""
    entry = entries.get(key)
    return entry.value if entry is not None and entry.kind is kind and isinstance(entry.value, int) else None


def node_keys(entries: Lookup) -> Iterator[tuple[int, str, str]]:
    """Position, last part and full name of each nodelist key, in byte order: node 10 before node 2."""
    for key in entries.keys(NODE_PREFIX):
        match = _NODE_KEY.fullmatch(key)
        if match is not None:
            yield int(match[1]), match[2], key


def literal(text: str) -> IPAddress | None:
    """The address that a text spells out; None if it takes a resolver to tell."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if getattr(address, "scope_id", None) is None else None


def resolve(host: HostFacts, text: str, ip_version: str) -> IPAddress | None:
    """The address that corosync would use for a name: of the wanted family, the first that was found.

    ip_version is one of options.IP_VERSIONS; with "ipv6-4" IPv6 goes before IPv4, with "ipv4-6" the reverse.
    """
    spelled = literal(text)
    found = (spelled,) if spelled is not None else host.resolved.get(text, ())
    version_4 = next((address for address in found if address.version == 4), None)
    version_6 = next((address for address in found if address.version == 6), None)
    if ip_version == "ipv4":
        return version_4
    if ip_version == "ipv6":
        return version_6
    return version_6 or version_4 if ip_version == "ipv6-4" else version_4 or version_6


def _node_called(names: list[tuple[int, str]], wanted: str, *, strip_domain: bool = False) -> int | None:
    for position, name in names:
        if (name.split(".", 1)[0] if strip_domain else name) == wanted:
            return position
    return None


def _names(entries: Lookup) -> list[tuple[int, str]]:
    """Names by which nodes are known: `name` before `ring0_addr`, for both may be host names."""
    return [
        (position, text)
        for position, what, key in node_keys(entries)
        if what in ("name", "ring0_addr") and (text := get_string(entries, key)) is not None
    ]


def find_by_hostname(entries: Lookup, hostname: str) -> int | None:
    """The node with this host's name: exactly, then with less and less of the domain, then without any."""
    names = _names(entries)
    name = hostname
    while True:
        position = _node_called(names, name)
        if position is not None:
            return position
        if "." not in name:
            return _node_called(names, name, strip_domain=True)
        name = name.rpartition(".")[0]


def _find_by_address(names: list[tuple[int, str]], addresses: tuple[LocalAddress, ...]) -> int | None:
    for address, name in addresses:
        candidates = [] if name is None else [name, name.split(".", 1)[0]]
        if address.version == 4:
            # Compatibility: corosync hands the size of an IPv4 address to getnameinfo, so IPv6 fails here.
            candidates.append(str(address))
        for candidate in candidates:
            position = _node_called(names, candidate)
            if position is not None:
                return position
    return None


def find_local_node(entries: Lookup, host: HostFacts) -> int | None:
    """Position in the nodelist of the node that this host is; None if it is none of them.

    By the host's name, then by names and numbers of its addresses, then by what the nodes' names resolve to.
    """
    position = find_by_hostname(entries, host.hostname)
    if position is not None:
        return position
    names = _names(entries)
    position = _find_by_address(names, host.addresses)
    if position is not None:
        return position
    local = {address.packed for address, _ in host.addresses}
    for position, text in names:
        spelled = literal(text)
        found = (spelled,) if spelled is not None else host.resolved.get(text, ())
        if any(address.packed in local for address in found):
            return position
    return None


def last_position(entries: Lookup) -> int | None:
    """The last node in byte order.

    Compatibility: where the local node is not found, corosync goes on with this one until its checks refuse
    the configuration, so the first complaint may be about it.
    """
    last = None
    for last, _, _ in node_keys(entries):  # noqa: B007 - the last one is wanted
        pass
    return last
