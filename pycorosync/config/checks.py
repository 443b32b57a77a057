"""What a totem configuration must satisfy (corosync: totem_config_validate of exec/totemconfig.c)."""

from collections.abc import Iterator
from typing import Final

from pycorosync.config.entries import EntryMap
from pycorosync.config.host import Lookup, get_integer, get_string
from pycorosync.config.model import LinkConfig, TotemConfig, Transport
from pycorosync.config.options import U32
from pycorosync.config.timers import timer_faults
from pycorosync.config.totem import PARSE_ERROR
from pycorosync.errors import Fault

LINK_MODES: Final = ("active", "rr", "passive")


def _local_faults(config: TotemConfig) -> Iterator[tuple[str, str]]:
    if not config.links:
        yield "", f"{PARSE_ERROR}No interfaces defined"
    if config.local_node_position is None:
        yield "", f"{PARSE_ERROR}No valid name found for local host"


def _link_faults(config: TotemConfig, link: LinkConfig) -> Iterator[tuple[str, str]]:
    prefix = f"totem.interface.{link.number}"
    multicast = config.transport is Transport.UDP
    if multicast and link.multicast_address is None:
        yield f"{prefix}.mcastaddr", f"No multicast address specified for interface {link.number}"
    if link.port == 0:
        yield f"{prefix}.mcastport", f"No multicast port specified for interface {link.number}"
    if not multicast and link.ttl != 1:
        yield (
            f"{prefix}.ttl",
            f"Can only set ttl on multicast transport types for interface {link.number}",
        )
    if config.transport is not Transport.KNET and link.priority != 1:
        yield (
            f"{prefix}.knet_link_priority",
            f"Can only set link priority on knet transport type for interface {link.number}",
        )
    group = link.multicast_address
    if group is not None and group.version == 6 and not config.node_id:
        yield (
            f"{prefix}.mcastaddr",
            f"An IPV6 network requires that a node ID be specified for interface {link.number}",
        )
    if group is not None and multicast and not config.broadcast:
        if link.bind_address is None or group.version != link.bind_address.version:
            yield (
                f"{prefix}.mcastaddr",
                f"Multicast address family does not match bind address family for interface {link.number}",
            )
        if group.version == 4 and not group.is_multicast:
            yield (
                f"{prefix}.mcastaddr",
                f"mcastaddr is not a correct multicast address for interface {link.number}",
            )


def _several_links_faults(config: TotemConfig, entries: Lookup) -> Iterator[tuple[str, str]]:
    if len(config.links) < 2:
        return
    members = len(config.links[0].members)
    if any(get_string(entries, f"nodelist.node.{position}.name") is None for position in range(members)):
        yield "", "for a multi-link configuration, all nodes must have a 'name' attribute"
    if any(len(link.members) != members for link in config.links):
        yield "", "Not all nodes have the same number of links"


def _family_faults(config: TotemConfig) -> Iterator[tuple[str, str]]:
    for link in config.links:
        for member in link.members[1:]:
            first = link.members[0]
            if member.address.version != first.address.version:
                yield (
                    "",
                    f"Nodes for link {link.number} have different IP families "
                    f"(compared {member.address} with {first.address})",
                )
                break


def changeable_faults(config: TotemConfig, entries: Lookup) -> Iterator[tuple[str, str]]:
    """Option and complaint for what a reload checks too; complaints without the words before them."""
    found = False
    for option, complaint in timer_faults(config.timers, entries):
        # One that is not set only follows from another that was complained about.
        if not found or entries.get(option) is not None:
            found = True
            yield option, complaint
    yield from _several_links_faults(config, entries)
    yield from _family_faults(config)


def duplicate_ids(entries: Lookup, config: TotemConfig) -> list[tuple[str, str]]:
    """Complaints about node ids that two nodes have; corosync prints the last one, so that comes first.

    Compatibility: with more than ten nodes corosync does not compare all of them; we do.
    """
    seen: set[int] = set()
    found: list[tuple[str, str]] = []
    for node in sorted(config.nodes, key=lambda node: node.position):
        key = f"nodelist.node.{node.position}.nodeid"
        node_id = get_integer(entries, key, U32)
        if node_id is None:
            continue
        if node_id in seen:
            found.append((key, f"Nodeid {node_id} appears twice in corosync.conf"))
        seen.add(node_id)
    return found[::-1]


def _transport_faults(config: TotemConfig) -> Iterator[tuple[str, str]]:
    if config.link_mode not in LINK_MODES:
        yield (
            "totem.link_mode",
            f'The Knet link mode "{config.link_mode}" specified is invalid.  '
            "It must be active, passive or rr.",
        )
    if config.transport is Transport.KNET:
        return
    if len(config.links) > 1:
        yield "", f"{len(config.links)} is too many configured interfaces for non-Knet transport."
    if config.crypto.enabled:
        yield (
            "totem.crypto_cipher",
            "crypto_cipher & crypto_hash are only valid for the Knet transport.",
        )


def check_totem(config: TotemConfig, entries: EntryMap, filename: str) -> list[Fault]:
    """All that is wrong with it, the first as corosync says it."""
    complaints = list(_local_faults(config))
    prefixed: list[tuple[str, str]] = []
    for link in config.links:
        prefixed.extend(_link_faults(config, link))
    if config.version != 2:
        prefixed.append(("totem.version", "This totem parser can only parse version 2 configurations."))
    prefixed.extend(changeable_faults(config, entries))
    complaints.extend((key, PARSE_ERROR + text) for key, text in prefixed)
    complaints.extend(duplicate_ids(entries, config))
    complaints.extend((key, PARSE_ERROR + text) for key, text in _transport_faults(config))
    return [Fault(filename, entries.line(key) if key else 0, text) for key, text in complaints]
