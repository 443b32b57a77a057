"""Every key of the configuration map that corosync knows: its type, who sets it, whether clients may, and
what it means (corosync: man page cmap_keys(7), set_icmap_ro_keys_flag in exec/main.c, exec/votequorum.c).

In a pattern, N stands for a number, NAME for a name without dots, and a closing * for any rest. The rows are
for people, for the man page, and for checks; the map itself takes any key that is named correctly. What
clients may not write is the list READ_ONLY, and nothing else.

The keys of the statistics map are in the tables of pycorosync.cmap.stats.
"""

import re
from enum import Enum
from functools import cache
from typing import Final, NamedTuple

from pycorosync.cmap.store import Store, ValueType

U8, U16, U32, U64 = ValueType.UINT8, ValueType.UINT16, ValueType.UINT32, ValueType.UINT64
I32, DBL, STR = ValueType.INT32, ValueType.DOUBLE, ValueType.STRING


class Setter(Enum):
    """Who gives a key its value."""

    FILE = "the configuration file"
    DAEMON = "the daemon"
    CLIENT = "clients"


class Key(NamedTuple):
    """One row."""

    pattern: str
    kind: ValueType | None  # None: several types are in use
    setter: Setter
    meaning: str


class ReadOnly(NamedTuple):
    """What set requests of clients are refused for; with `is_prefix`, all keys that begin with `key`."""

    key: str
    is_prefix: bool


READ_ONLY: Final = (
    *(
        ReadOnly(prefix, is_prefix=True)
        for prefix in (
            "internal_configuration.",
            "runtime.services.",
            "runtime.config.",
            "runtime.totem.",
            "uidgid.config.",
            "system.",
            "nodelist.",
        )
    ),
    *(
        ReadOnly(f"totem.{name}", is_prefix=False)
        for name in (
            "crypto_cipher",
            "crypto_hash",
            "crypto_model",
            "keyfile",
            "key",
            "secauth",
            "ip_version",
            "rrp_mode",
            "transport",
            "cluster_name",
            "netmtu",
            "threads",
            "version",
            "nodeid",
            "clear_node_high_bit",
        )
    ),
    ReadOnly("config.reload_in_progress", is_prefix=False),
    ReadOnly("config.totemconfig_reload_in_progress", is_prefix=False),
    ReadOnly("nodelist.local_node_pos", is_prefix=False),
)

# Marked only while votequorum is the quorum provider, by it.
READ_ONLY_WITH_VOTEQUORUM: Final = tuple(
    ReadOnly(f"quorum.{name}", is_prefix=False)
    for name in (
        "allow_downscale",
        "wait_for_all",
        "last_man_standing",
        "last_man_standing_window",
        "expected_votes_tracking",
        "auto_tie_breaker",
        "auto_tie_breaker_node",
    )
)


def mark_read_only(store: Store, rows: tuple[ReadOnly, ...] = READ_ONLY) -> None:
    """Tell the store what clients may not write."""
    for row in rows:
        store.set_read_only(row.key, prefix=row.is_prefix)


_FILE, _DAEMON, _CLIENT = Setter.FILE, Setter.DAEMON, Setter.CLIENT

_TOTEM = (
    Key("totem.version", U32, _FILE, "version of the file's format, always 2"),
    Key("totem.cluster_name", STR, _FILE, "name of the cluster"),
    Key("totem.config_version", U64, _FILE, "grows with each change; a node with an older one may not join"),
    Key("totem.transport", STR, _FILE, "knet, udpu or udp"),
    Key("totem.link_mode", STR, _FILE, "how knet uses several links: passive, active or rr"),
    Key("totem.ip_version", STR, _FILE, "which addresses of a name are taken"),
    Key("totem.nodeid", U32, _FILE, "node id when there is no nodelist"),
    Key("totem.clear_node_high_bit", STR, _FILE, "keep generated node ids below 2**31"),
    Key("totem.netmtu", U32, _FILE, "largest datagram in bytes"),
    Key("totem.crypto_model", STR, _FILE, "nss or openssl; both mean the same bytes"),
    Key("totem.crypto_cipher", STR, _FILE, "cipher of the links, or none"),
    Key("totem.crypto_hash", STR, _FILE, "hash of the links, or none"),
    Key("totem.secauth", STR, _FILE, "on: aes256 and sha256 unless said otherwise"),
    Key("totem.keyfile", STR, _FILE, "where the key is"),
    Key("totem.key", STR, _FILE, "the key itself"),
    Key("totem.threads", U32, _FILE, "of former versions; ignored"),
    Key("totem.rrp_mode", STR, _FILE, "of former versions; ignored"),
    Key("totem.interface.N.mcastport", U16, _FILE, "UDP port of link N"),
    Key("totem.interface.N.ttl", U8, _FILE, "time to live of multicasts"),
    Key(
        "totem.interface.N.knet_link_priority",
        U8,
        _FILE,
        "in passive mode the highest connected link is used",
    ),
    Key("totem.interface.N.*", None, _FILE, "other options of link N"),
    Key("totem.*", None, _FILE, "other options of the ring; runtime.config.totem has what is in use"),
)

_NODELIST = (
    Key("nodelist.local_node_pos", U32, _DAEMON, "our own position in the list, from 0"),
    Key("nodelist.node.N.nodeid", U32, _FILE, "id of the node at position N"),
    Key("nodelist.node.N.name", STR, _FILE, "its name"),
    Key("nodelist.node.N.quorum_votes", U32, _FILE, "its votes"),
    Key("nodelist.node.N.NAME", STR, _FILE, "ringL_addr: its address on link L; others are kept for clients"),
)

_QUORUM = (
    Key("quorum.provider", STR, _FILE, "corosync_votequorum, or absent"),
    Key("quorum.expected_votes", U32, _FILE, "votes that there would be with all nodes up"),
    Key("quorum.votes", U32, _FILE, "our votes without a nodelist"),
    Key("quorum.two_node", U8, _FILE, "one of two nodes is enough; implies wait_for_all"),
    Key("quorum.wait_for_all", U8, _FILE, "no quorum before all nodes were seen at once"),
    Key("quorum.cancel_wait_for_all", U8, _CLIENT, "1: do not wait any longer"),
    Key("quorum.last_man_standing", U8, _FILE, "expected votes follow nodes that are gone for a while"),
    Key("quorum.last_man_standing_window", U32, _FILE, "that while, in ms"),
    Key("quorum.auto_tie_breaker", U8, _FILE, "half of the votes suffices for one side"),
    Key("quorum.auto_tie_breaker_node", STR, _FILE, "which side: lowest, highest, or node ids"),
    Key("quorum.allow_downscale", U8, _FILE, "expected votes follow nodes that leave in an orderly way"),
    Key("quorum.expected_votes_tracking", U8, _FILE, "remember the most nodes ever seen"),
    Key("quorum.device.model", STR, _FILE, "kind of quorum device"),
    Key("quorum.device.votes", U32, _FILE, "its votes"),
    Key("quorum.device.timeout", U32, _FILE, "how long a device may be silent, in ms"),
    Key("quorum.device.sync_timeout", U32, _FILE, "the same while nodes come or go, in ms"),
    Key("quorum.device.*", None, _FILE, "for the device's own daemon"),
)

_OTHER_SECTIONS = (
    Key("logging.*", STR, _FILE, "options of the log; may be changed while running"),
    Key("system.*", STR, _FILE, "options of the process"),
    Key("uidgid.config.uid.N", U8, _FILE, "this user may connect; forgotten at a reload that lacks it"),
    Key("uidgid.config.gid.N", U8, _FILE, "this group may connect; forgotten at a reload that lacks it"),
    Key("uidgid.uid.N", U8, _CLIENT, "1: this user may connect, whatever the files say"),
    Key("uidgid.gid.N", U8, _CLIENT, "1: this group may connect, whatever the files say"),
    Key("cfg.shutdown_timeout", U32, _CLIENT, "how long programs may take to agree to a shutdown, in ms"),
    Key("pload.start", STR, _CLIENT, "start of the load generator"),
    Key("pload.count", U32, _CLIENT, "its number of messages"),
    Key("pload.size", U32, _CLIENT, "their size in bytes"),
)

_RESOURCES = (
    Key("resources.system.memory_used.current", I32, _DAEMON, "memory and swap in use, in percent"),
    Key("resources.system.load_15min.current", DBL, _DAEMON, "load average of 15 minutes"),
    Key("resources.system.NAME.last_updated", U64, _DAEMON, "when, in ns of the monotonic clock; 0: never"),
    Key("resources.system.NAME.poll_period", U64, _FILE, "how often the resource is looked at, in ms"),
    Key("resources.system.NAME.state", STR, _DAEMON, "stopped, running or failed"),
    Key("resources.system.NAME.max", STR, _FILE, "more than this is a failure"),
    Key("resources.system.NAME.recovery", STR, _FILE, "what a failure leads to"),
    Key(
        "resources.process.N.NAME",
        None,
        _CLIENT,
        "libsam: recovery, poll_period, last_updated, state of a pid",
    ),
    Key("resources.watchdog_device", STR, _FILE, "the watchdog's device; off or absent: none is used"),
    Key("resources.watchdog_timeout", U32, _DAEMON, "the watchdog's timeout in s, 2 to 120"),
)

_RUNTIME = (
    Key("config.reload_in_progress", U8, _DAEMON, "1 while a changed configuration file is taken over"),
    Key("config.totemconfig_reload_in_progress", U8, _DAEMON, "0 once the ring's part of that is done"),
    Key("config.reload_refusal", STR, _DAEMON, "why the last reload was refused; not in corosync"),
    Key("config.reload_status", I32, _DAEMON, "result of the last reload, as a cs_error_t"),
    Key("internal_configuration.service.N.name", STR, _DAEMON, "name of the loaded service N"),
    Key("internal_configuration.service.N.ver", U32, _DAEMON, "its version"),
    Key("runtime.blackbox.dump_flight_data", STR, _CLIENT, "yes: write the flight recorder to a file"),
    Key("runtime.blackbox.dump_state", STR, _CLIENT, "yes: log the services' state"),
    Key("runtime.force_gather", STR, _CLIENT, "yes: look for members again"),
    Key("runtime.config.totem.knet_compression_model", STR, _DAEMON, "compression in use"),
    Key("runtime.config.totem.knet_compression_level", I32, _DAEMON, "its level"),
    Key("runtime.config.totem.interface.N.NAME", U32, _DAEMON, "knet_ping_interval, knet_ping_timeout in ms"),
    Key("runtime.config.totem.NAME", U32, _DAEMON, "the ring's option in use, given, default or computed"),
    Key("runtime.members.N.config_version", U64, _DAEMON, "configuration version of node N"),
    Key("runtime.members.N.ip", STR, _DAEMON, "its addresses: r(LINK) ip(ADDRESS) and a blank, repeated"),
    Key("runtime.members.N.join_count", U32, _DAEMON, "how often it has joined"),
    Key("runtime.members.N.status", STR, _DAEMON, "joined or left"),
    Key("runtime.services.NAME.service_id", U16, _DAEMON, "id of the service"),
    Key("runtime.services.NAME.N.rx", U64, _DAEMON, "messages of kind N that came in"),
    Key("runtime.services.NAME.N.tx", U64, _DAEMON, "messages of kind N that were sent"),
    Key("runtime.votequorum.this_node_id", U32, _DAEMON, "our node id"),
    Key("runtime.votequorum.lowest_node_id", U32, _DAEMON, "lowest id among the members"),
    Key("runtime.votequorum.highest_node_id", U32, _DAEMON, "highest id among the members"),
    Key("runtime.votequorum.two_node", U8, _DAEMON, "two_node is in effect"),
    Key("runtime.votequorum.ev_barrier", U32, _DAEMON, "the most expected votes so far"),
    Key("runtime.votequorum.ev_tracking_barrier", U32, _DAEMON, "the most nodes ever seen"),
    Key("runtime.votequorum.atb_type", U32, _DAEMON, "tie breaker: 0 none, 1 lowest, 2 highest, 3 list"),
    Key("runtime.votequorum.wait_for_all_status", U8, _DAEMON, "1 while waiting for all nodes"),
    Key("runtime.votequorum.qdevice_can_operate", U8, _DAEMON, "a quorum device is allowed"),
    Key("runtime.votequorum.qdevice_master_wins", U8, _DAEMON, "the device's side wins"),
)

# The first row that matches a key describes it.
KEYS: Final = (*_TOTEM, *_NODELIST, *_QUORUM, *_OTHER_SECTIONS, *_RESOURCES, *_RUNTIME)


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], Key], ...]:
    return tuple((_expression(row.pattern), row) for row in KEYS)


def _expression(pattern: str) -> re.Pattern[str]:
    wildcards = {"N": "[0-9]+", "NAME": "[^.]+", "*": ".+"}
    return re.compile(r"\.".join(wildcards.get(part, re.escape(part)) for part in pattern.split(".")))


def describe(key: str) -> Key | None:
    """The row about a key; None for one that a client or a newer configuration has made up."""
    for expression, row in _compiled():
        if expression.fullmatch(key):
            return row
    return None
