"""Every option of corosync.conf(5) and votequorum(5): type, choices, default, and what a reload does to it.

Other names are no error: they are kept in the map as strings, and nobody reads them. A value is checked when
its line is read for its type and its choices (`refusal` is what is said then); limits that depend on several
options are checked later (totem.py, timers.py, logs.py, quorum.py). Source: protocol/corosync-conf.md.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

from pycorosync.cmap.store import Value, ValueType

U8, U16, U32, U64 = ValueType.UINT8, ValueType.UINT16, ValueType.UINT32, ValueType.UINT64
I32, STRING, BINARY = ValueType.INT32, ValueType.STRING, ValueType.BINARY
YES_NO: Final = ("yes", "no")


class Section(Enum):
    """Sections whose options mean something. One that has no name here counts as the section around it."""

    NONE = ""
    TOTEM = "totem"
    INTERFACE = "totem.interface"
    MEMBER = "totem.interface.member"
    LOGGER_SUBSYS = "logging.logger_subsys"
    LOGGING_DAEMON = "logging.logging_daemon"
    UIDGID = "uidgid"
    QUORUM = "quorum"
    QDEVICE = "quorum.device"
    NODELIST = "nodelist"
    NODE = "nodelist.node"
    SYSTEM = "system"
    RESOURCES = "resources"
    RESOURCES_SYSTEM = "resources.system"
    RESOURCES_PROCESS = "resources.process"


SECTION_OF_PATH: Final = {section.value: section for section in Section if section is not Section.NONE}
# In these an option is known by its last word, so sections inside them that have no name work the same.
BY_KEY: Final = (Section.NODE, Section.RESOURCES, Section.RESOURCES_SYSTEM, Section.RESOURCES_PROCESS)


class Reload(Enum):
    """What happens to a changed value when the configuration is reloaded."""

    LIVE = auto()  # takes effect at once
    REFUSED = auto()  # a notice says so, the old value stays
    NEXT_START = auto()  # the map shows it, the running node goes on as before


class Option(NamedTuple):
    """One option. `default` is what holds without it; None if that depends on others or is nothing."""

    path: str  # as the file nests it
    kind: ValueType = STRING
    default: Value | None = None
    choices: tuple[str, ...] = ()
    refusal: str = ""  # said when the value is none of the choices; nothing is said if this is empty
    reload: Reload = Reload.NEXT_START


CRYPTO_MODELS: Final = ("nss", "openssl")
COMPRESSION_MODELS: Final = ("zlib", "lz4", "lz4hc", "lzo2", "lzma", "bzip2", "zstd")
CIPHERS: Final = ("none", "aes256", "aes192", "aes128")
HASHES: Final = ("none", "md5", "sha1", "sha256", "sha384", "sha512")
IP_VERSIONS: Final = ("ipv4", "ipv6", "ipv6-4", "ipv4-6")


def one_of(words: tuple[str, ...]) -> str:
    """The words as a sentence lists them: a, b or c."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


_TOTEM: Final = (
    Option("totem.version", U32, reload=Reload.REFUSED),
    Option("totem.transport", STRING, "knet", reload=Reload.REFUSED),  # udpu, udp or knet: checked later
    Option("totem.cluster_name", STRING, reload=Reload.REFUSED),
    Option("totem.config_version", U64, 0, reload=Reload.LIVE),
    Option("totem.nodeid", U32),  # obsolete, brings a warning
    Option("totem.threads", U32, 0, reload=Reload.REFUSED),
    Option("totem.netmtu", U32, reload=Reload.REFUSED),
    Option("totem.link_mode", STRING, "passive"),
    Option("totem.ip_version", STRING, None, IP_VERSIONS, "Invalid ip_version type", Reload.REFUSED),
    Option("totem.clear_node_high_bit", STRING, "no"),
    Option("totem.secauth", STRING, "off", reload=Reload.LIVE),
    Option("totem.keyfile", STRING, "/etc/corosync/authkey", reload=Reload.LIVE),
    Option("totem.key", STRING, reload=Reload.LIVE),
    Option("totem.crypto_model", STRING, "nss", CRYPTO_MODELS,
           f"Invalid crypto model. Should be {one_of(CRYPTO_MODELS)}", Reload.LIVE),
    Option("totem.crypto_cipher", STRING, "none", CIPHERS,
           f"Invalid cipher type. Should be {one_of(CIPHERS)}", Reload.LIVE),
    Option("totem.crypto_hash", STRING, "none", HASHES,
           f"Invalid hash type. Should be {one_of(HASHES)}", Reload.LIVE),
    Option("totem.token", U32, 3000, reload=Reload.LIVE),
    Option("totem.token_warning", U32, 75, reload=Reload.LIVE),  # percent of the token timeout, 0..100
    Option("totem.token_coefficient", U32, 650, reload=Reload.LIVE),
    Option("totem.token_retransmit", U32, reload=Reload.LIVE),
    Option("totem.token_retransmits_before_loss_const", U32, 4, reload=Reload.LIVE),
    Option("totem.hold", U32, reload=Reload.LIVE),
    Option("totem.join", U32, 50, reload=Reload.LIVE),
    Option("totem.send_join", U32, 0, reload=Reload.LIVE),
    Option("totem.consensus", U32, reload=Reload.LIVE),
    Option("totem.merge", U32, 200, reload=Reload.LIVE),
    Option("totem.downcheck", U32, 1000, reload=Reload.LIVE),
    Option("totem.fail_recv_const", U32, 2500, reload=Reload.LIVE),
    Option("totem.seqno_unchanged_const", U32, 30, reload=Reload.LIVE),
    Option("totem.heartbeat_failures_allowed", U32, 0, reload=Reload.LIVE),
    Option("totem.max_network_delay", U32, 50, reload=Reload.LIVE),
    Option("totem.window_size", U32, 50, reload=Reload.LIVE),
    Option("totem.max_messages", U32, 17, reload=Reload.LIVE),
    Option("totem.miss_count_const", U32, 5, reload=Reload.LIVE),
    Option("totem.knet_pmtud_interval", U32, 30, reload=Reload.LIVE),  # seconds
    Option("totem.knet_mtu", U32, 0, reload=Reload.LIVE),
    Option("totem.knet_compression_model", STRING, "none", COMPRESSION_MODELS,
           f"Invalid compression model. Should be {one_of(COMPRESSION_MODELS)}", Reload.LIVE),
    Option("totem.knet_compression_threshold", U32, 0, reload=Reload.LIVE),
    Option("totem.knet_compression_level", I32, 0, reload=Reload.LIVE),
    Option("totem.block_unlisted_ips", STRING, "yes", reload=Reload.LIVE),
    Option("totem.cancel_token_hold_on_retransmit", STRING, "no", reload=Reload.LIVE),
    # Left over from corosync 2: still numbers, no longer read.
    Option("totem.rrp_mode", STRING, reload=Reload.REFUSED),
    Option("totem.rrp_token_expired_timeout", U32),
    Option("totem.rrp_problem_count_timeout", U32),
    Option("totem.rrp_problem_count_threshold", U32),
    Option("totem.rrp_problem_count_mcast_threshold", U32),
    Option("totem.rrp_autorecovery_check_timeout", U32),
)  # fmt: skip

_INTERFACE: Final = (
    Option("totem.interface.linknumber", U8, 0),
    Option("totem.interface.bindnetaddr", STRING),
    Option("totem.interface.mcastaddr", STRING),
    Option("totem.interface.broadcast", STRING, "no"),
    Option("totem.interface.mcastport", U16),
    Option("totem.interface.ttl", U8, 1),
    Option("totem.interface.knet_link_priority", U8, 1, reload=Reload.LIVE),
    Option("totem.interface.knet_ping_interval", U32, reload=Reload.LIVE),
    Option("totem.interface.knet_ping_timeout", U32, reload=Reload.LIVE),
    Option("totem.interface.knet_ping_precision", U32, 2048, reload=Reload.LIVE),
    Option("totem.interface.knet_pong_count", U32, 2, reload=Reload.LIVE),
    Option("totem.interface.knet_transport", STRING, "udp"),  # udp or sctp, checked at the start
    Option("totem.interface.member.memberaddr", STRING),
)

_NODELIST: Final = (
    Option("nodelist.node.nodeid", U32, reload=Reload.LIVE),
    Option("nodelist.node.name", STRING, reload=Reload.LIVE),
    Option("nodelist.node.quorum_votes", U32, 1, reload=Reload.LIVE),
    *(Option(f"nodelist.node.ring{link}_addr", STRING, reload=Reload.LIVE) for link in range(8)),
)

_QUORUM: Final = (
    Option("quorum.provider", STRING, reload=Reload.REFUSED),
    Option("quorum.expected_votes", U32, reload=Reload.LIVE),
    Option("quorum.votes", U32, reload=Reload.LIVE),
    Option("quorum.two_node", U8, 0, reload=Reload.LIVE),
    Option("quorum.wait_for_all", U8),  # follows two_node if it is not set
    Option("quorum.last_man_standing", U8, 0),
    Option("quorum.last_man_standing_window", U32, 10000),
    Option("quorum.auto_tie_breaker", U8, 0),
    Option("quorum.auto_tie_breaker_node", STRING, "lowest"),
    Option("quorum.allow_downscale", U8, 0),
    Option("quorum.expected_votes_tracking", U8, 0),
    Option("quorum.leaving_timeout", U32),
    Option("quorum.device.model", STRING, reload=Reload.LIVE),
    Option("quorum.device.votes", U32, reload=Reload.LIVE),
    Option("quorum.device.timeout", U32, 10000, reload=Reload.LIVE),
    Option("quorum.device.sync_timeout", U32, 30000, reload=Reload.LIVE),
    Option("quorum.device.master_wins", U8, reload=Reload.LIVE),
)

_LOG_TARGETS: Final = (
    ("to_stderr", "yes"), ("to_syslog", "yes"), ("to_logfile", "no"), ("to_file", "no"), ("logfile", None),
    ("logfile_priority", "info"), ("syslog_facility", "daemon"), ("syslog_priority", "info"),
    ("syslog_level", None), ("debug", "off"),
)  # fmt: skip

_LOGGING: Final = (
    Option("logging.timestamp", STRING, "hires", reload=Reload.LIVE),
    Option("logging.fileline", STRING, "off", reload=Reload.LIVE),
    Option("logging.function_name", STRING, "off", reload=Reload.LIVE),
    Option("logging.blackbox", STRING, "on", reload=Reload.LIVE),
    *(Option(f"logging.{key}", STRING, default, reload=Reload.LIVE) for key, default in _LOG_TARGETS),
    Option("logging.logger_subsys.subsys", STRING, reload=Reload.LIVE),
    *(Option(f"logging.logger_subsys.{key}", STRING, reload=Reload.LIVE) for key, _ in _LOG_TARGETS),
    Option("logging.logging_daemon.name", STRING),
    Option("logging.logging_daemon.subsys", STRING),
)

_SYSTEM: Final = (
    Option("system.qb_ipc_type", STRING, "native", ("native", "shm", "socket"), "Invalid system.qb_ipc_type",
           Reload.REFUSED),
    Option("system.sched_rr", STRING, "yes", YES_NO, "Invalid system.sched_rr value", Reload.REFUSED),
    Option("system.priority", STRING, reload=Reload.REFUSED),  # max, min or a number, checked at the start
    Option("system.move_to_root_cgroup", STRING, "auto", (*YES_NO, "auto"),
           "Invalid system.move_to_root_cgroup", Reload.REFUSED),
    Option("system.allow_knet_handle_fallback", STRING, "no", YES_NO,
           "Invalid system.allow_knet_handle_fallback", Reload.REFUSED),
    Option("system.state_dir", STRING, "/var/lib/corosync", reload=Reload.REFUSED),
)  # fmt: skip

_OTHERS: Final = (
    Option("uidgid.uid", STRING, reload=Reload.LIVE),
    Option("uidgid.gid", STRING, reload=Reload.LIVE),
    Option("resources.watchdog_device", STRING),
    Option("resources.watchdog_timeout", U32, 6, reload=Reload.LIVE),
    Option("resources.system.poll_period", U64, reload=Reload.LIVE),
    Option("resources.process.poll_period", U64, reload=Reload.LIVE),
    Option("pload.count", STRING),  # meant to be a number, but corosync never gives the section its state
    Option("pload.size", STRING),
    Option("pload.start", STRING),
    Option("nozzle.name", STRING),
    Option("nozzle.ipaddr", STRING),
    Option("nozzle.ipprefix", STRING),
    Option("nozzle.macaddr", STRING),
)

OPTIONS: Final = {
    option.path: option
    for option in (*_TOTEM, *_INTERFACE, *_NODELIST, *_QUORUM, *_LOGGING, *_SYSTEM, *_OTHERS)
}

# In the order in which corosync looks at them, and so prints its notices.
REFUSED_AT_RELOAD: Final = (
    "totem.version", "totem.threads", "totem.ip_version", "totem.rrp_mode", "totem.netmtu",
    "totem.interface.ringnumber", "totem.interface.bindnetaddr", "totem.interface.mcastaddr",
    "totem.interface.broadcast", "totem.interface.mcastport", "totem.interface.ttl", "totem.transport",
    "totem.cluster_name", "quorum.provider", "system.move_to_root_cgroup",
    "system.allow_knet_handle_fallback", "system.sched_rr", "system.priority", "system.qb_ipc_type",
    "system.state_dir",
)  # fmt: skip


def option_for(section: Section, path: str, key: str) -> Option | None:
    """The option that a line in this section sets; None for one that nobody knows."""
    if section in BY_KEY:
        return OPTIONS.get(f"{section.value}.{key}") if "." not in key else None
    return OPTIONS.get(path) if path.rpartition(".")[0] == section.value else None


def default_of(path: str) -> Value:
    """The default of an option that has one."""
    value = OPTIONS[path].default
    if value is None:
        raise KeyError(path)
    return value
