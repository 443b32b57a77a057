"""A running node gets a new file, or a client changes a key (corosync: exec/cfg.c, exec/totemconfig.c).

A plan is made first, and touches nothing. Options that cannot change while a node runs keep their value, with
a notice; the rest of the file counts. A plan is refused as a whole if the new timers, links or key cannot be.

Compatibility: corosync deletes keys that the new file lacks before it has checked the file, and they stay
deleted if it then refuses it; here a refused plan changes nothing. What is accepted is the same, because all
nodes of a cluster must come to the same verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from pycorosync.config.checks import changeable_faults
from pycorosync.config.crypto import CryptoFault, read_crypto
from pycorosync.config.entries import EntryMap
from pycorosync.config.host import HostFacts, Lookup
from pycorosync.config.load import AccessFiles, access_ids, parse, totem_entries
from pycorosync.config.logs import read_logging
from pycorosync.config.model import (
    Configuration,
    LinkConfig,
    MapEntry,
    Member,
    RefusedConfig,
    TotemConfig,
)
from pycorosync.config.options import REFUSED_AT_RELOAD
from pycorosync.config.quorum import read_quorum
from pycorosync.config.timers import read_timers
from pycorosync.config.totem import PARSE_ERROR, reread_totem

# What is no longer in the file goes from the map, if it is below one of these. In corosync's order.
DELETED_BELOW: Final = ("logging.", "totem.", "nodelist.", "quorum.", "uidgid.config.", "nozzle.")


class Stage(Enum):
    """Where a plan was refused: the words that corosync puts before the reason."""

    PARSER = "Unable to reload config file: "  # and config.reload_status keeps its value
    INTERFACES = "Cannot configure new interface definitions: "
    CRYPTO = "Crypto configuration is not valid: "
    VALIDATE = "Configuration is not valid: "


class RefusedReload(Exception):
    """The new file cannot be used; the client gets CS_ERR_INVALID_PARAM.

    In the order of the log: `notices` (CFG, notice), `details` (TOTEM, error), str() (CFG, error).
    """

    def __init__(self, stage: Stage, reason: str, details: Sequence[str] = ()) -> None:
        super().__init__(stage.value + reason)
        self.stage = stage
        self.details = tuple(details)
        self.notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkChange:
    """What happens to one link: it is new (before is None), goes (after is None), or differs."""

    before: LinkConfig | None
    after: LinkConfig | None

    @property
    def number(self) -> int:
        link = self.after or self.before
        return -1 if link is None else link.number

    @property
    def added(self) -> tuple[Member, ...]:
        """Nodes that come to the link."""
        old = () if self.before is None else self.before.members
        return () if self.after is None else tuple(end for end in self.after.members if end not in old)

    @property
    def removed(self) -> tuple[Member, ...]:
        """Nodes that leave it."""
        new = () if self.after is None else self.after.members
        return () if self.before is None else tuple(end for end in self.before.members if end not in new)


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """What to do, in this order: notices (CFG, notice), deletes, sets, the live parts of `configuration`."""

    configuration: Configuration
    notices: tuple[str, ...]
    deletes: tuple[str, ...]
    sets: tuple[MapEntry, ...]  # in byte order; most of them are what the map already holds
    links: tuple[LinkChange, ...]
    crypto_changed: bool


def _deleted(entries: EntryMap, keys: Lookup) -> Iterator[str]:
    for prefix in DELETED_BELOW:
        for key in keys.keys(prefix):
            if entries.get(key) is None:
                yield key


def _keep_fixed(entries: EntryMap, keys: Lookup) -> Iterator[str]:
    """Take out of the new entries what cannot change; a notice for each."""
    for key in REFUSED_AT_RELOAD:
        entry = entries.get(key)
        if entry is not None and entry != keys.get(key):
            entries.discard(key)
            yield f"Modified entry '{key}' in corosync.conf cannot be changed at run-time"


def _changed_ends(before: LinkConfig, after: LinkConfig) -> Iterator[str]:
    old = {end.node_id: end.address for end in before.members}
    if before.transport != after.transport:
        yield (
            f"New config has different knet transport for link {after.number}. "
            "Internal value was NOT changed."
        )
    for end in after.members:
        address = old.get(end.node_id)
        if address is not None and address != end.address:
            yield (
                f"new config has different address for link {after.number} "
                f"(addr changed from {address} to {end.address}). Internal value was NOT changed."
            )


def _link_changes(running: TotemConfig, new: TotemConfig) -> tuple[LinkChange, ...]:
    numbers = sorted({link.number for link in (*running.links, *new.links)})
    changes = (LinkChange(running.link(number), new.link(number)) for number in numbers)
    return tuple(change for change in changes if change.before != change.after)


def _new_totem(entries: EntryMap, filename: str, host: HostFacts, running: TotemConfig) -> TotemConfig:
    """The ring and network of the new file, checked. Raises RefusedReload."""
    reading = reread_totem(entries, host, filename, running)
    if reading.faults or reading.config is None:
        raise RefusedReload(Stage.INTERFACES, reading.faults[0].text)
    totem = reading.config
    details = [
        line
        for change in _link_changes(running, totem)
        if change.before is not None and change.after is not None
        for line in _changed_ends(change.before, change.after)
    ]
    if details:
        reason = (
            "To reconfigure an interface it must be deleted and recreated. "
            "A working interface needs to be available to corosync at all times"
        )
        raise RefusedReload(Stage.INTERFACES, reason, details)
    try:
        totem = replace(totem, crypto=read_crypto(entries, host))
    except CryptoFault as fault:
        raise RefusedReload(Stage.CRYPTO, str(fault)) from fault
    for _, complaint in changeable_faults(totem, entries):
        raise RefusedReload(Stage.VALIDATE, PARSE_ERROR + complaint)
    return totem


def plan_reload(
    text: str | bytes,
    filename: str,
    *,
    host: HostFacts,
    running: Configuration,
    keys: Lookup,
    uidgid_files: AccessFiles = (),
) -> ReloadPlan:
    """What a new file changes. `keys` is the running node's map. Raises RefusedReload.

    `host` answers facts_wanted(...) for the new file.
    """
    try:
        entries = parse(text, filename, host, uidgid_files)
    except RefusedConfig as refused:
        raise RefusedReload(Stage.PARSER, refused.faults[0].text) from refused
    deletes = tuple(_deleted(entries, keys))
    notices = tuple(_keep_fixed(entries, keys))
    try:
        totem = _new_totem(entries, filename, host, running.totem)
    except RefusedReload as refused:
        refused.notices = notices
        raise
    new = replace(
        running,
        entries=tuple(entries.items()),
        totem=totem,
        quorum=replace(read_quorum(entries), provider=running.quorum.provider),
        # Compatibility: corosync accepts a reload with values that its logging section may not have.
        logging=read_logging(entries, host, filename, []),
        uids=access_ids(entries, "uid"),
        gids=access_ids(entries, "gid"),
        warnings=(),
        start_faults=(),
    )
    sets = sorted([*entries.items(), *totem_entries(totem)])
    return ReloadPlan(
        configuration=new,
        notices=notices,
        deletes=deletes,
        sets=tuple(sets),
        links=_link_changes(running.totem, totem),
        crypto_changed=totem.crypto != running.totem.crypto,
    )


def change_option(
    running: TotemConfig, keys: Lookup, changed: str, *, deleted: bool = False
) -> tuple[TotemConfig, list[MapEntry], list[str]] | None:
    """A client has set or deleted a key of the map: the new timers, their runtime keys, and complaints.

    None if the key is no option that can be changed so. Complaints are logged (TOTEM, error) and nothing
    more: what a client sets goes, as in corosync. Links' pings stay as they are.
    """
    if changed not in _CHANGEABLE:
        return None
    members = running.link(0)
    count = 0 if members is None else len(members.members)
    timers = read_timers(keys, count, changed if deleted else None)
    totem = replace(running, timers=timers)
    complaints = [f"{PARSE_ERROR}{text}" for _, text in changeable_faults(totem, keys)]
    return totem, totem_entries(totem), complaints[:1]


_CHANGEABLE: Final = frozenset(
    f"totem.{name}"
    for name in (
        "token", "token_warning", "token_coefficient", "token_retransmit", "hold",
        "token_retransmits_before_loss_const", "join", "send_join", "consensus", "merge", "downcheck",
        "fail_recv_const", "seqno_unchanged_const", "heartbeat_failures_allowed", "max_network_delay",
        "window_size", "max_messages", "miss_count_const", "knet_pmtud_interval", "knet_mtu",
        "knet_compression_threshold", "knet_compression_level", "knet_compression_model",
        "block_unlisted_ips", "cancel_token_hold_on_retransmit",
    )
)  # fmt: skip
