"""The checked configuration, as values that do not change (corosync: struct totem_config and its users)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from pycorosync.cmap.store import Value, ValueType
from pycorosync.config.host import IPAddress
from pycorosync.errors import ConfigError, Fault
from pycorosync.types import NodeId

MapEntry: TypeAlias = tuple[str, ValueType, Value]
LINKS_MAX: Final = 8
NODES_MAX: Final = 384
DEFAULT_PORT: Final = 5405


class Phase(Enum):
    """Where a configuration was refused: how corosync says it, and its exit status.

    `source` is the place that "exiting with status 8 at main.c:1417." names (corosync 3.1.7).
    """

    PARSER = ("parser", 8, "main.c:1372")  # said on stderr, logging is not up yet
    LOGGING = ("logging", 7, "main.c:1393")  # said on stderr
    READ = ("read", 8, "main.c:1417")  # logged as the file's own logging section wants it
    VALIDATE = ("validate", 8, "main.c:1445")  # logged likewise
    START = ("start", 8, "main.c:1487")  # logged; `corosync -t` does not look
    QUORUM = ("quorum", 20, "service.c:356")  # logged when the quorum services start

    def __init__(self, label: str, exit_status: int, source: str) -> None:
        self.label = label
        self.exit_status = exit_status
        self.source = source


class Transport(Enum):
    """totem.transport."""

    KNET = "knet"
    UDPU = "udpu"
    UDP = "udp"


class Debug(Enum):
    """logging.debug."""

    OFF = "off"
    ON = "on"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A node of the nodelist."""

    position: int  # in the file, from 0; part of the names of its keys
    node_id: NodeId  # 0 if it has none
    name: str | None
    addresses: Mapping[int, str]  # by link, as written in the file
    quorum_votes: int


@dataclass(frozen=True, slots=True)
class Member:
    """A node's end of a link."""

    node_id: NodeId
    address: IPAddress


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """One link (knet), or the one interface (udp, udpu)."""

    number: int
    local_address: IPAddress | None
    bind_address: IPAddress | None
    multicast_address: IPAddress | None
    members: tuple[Member, ...]  # in byte order of the nodes' positions
    port: int
    ttl: int
    transport: str  # of knet: udp or sctp
    priority: int
    ping_interval_ms: int
    ping_timeout_ms: int
    ping_precision: int
    pong_count: int


@dataclass(frozen=True, slots=True)
class CryptoConfig:
    """How packets are protected. Empty key when they are not."""

    model: str = "nss"
    cipher: str = "none"
    hash: str = "none"
    key: bytes = field(default=b"", repr=False)

    @property
    def enabled(self) -> bool:
        return self.cipher != "none" or self.hash != "none"


@dataclass(frozen=True, slots=True)
class Timers:
    """What can change while the node runs: timeouts, counts and limits of the ring and of knet."""

    token_timeout_ms: int
    token_warning_percent: int
    token_retransmit_ms: int
    token_hold_ms: int
    token_retransmits_before_loss: int
    join_ms: int
    send_join_ms: int
    consensus_ms: int
    merge_ms: int
    downcheck_ms: int
    fail_to_receive: int
    seqno_unchanged: int
    heartbeat_failures_allowed: int
    max_network_delay_ms: int
    window_size: int
    max_messages: int
    miss_count: int
    knet_pmtud_interval_s: int
    knet_mtu: int
    knet_compression_threshold: int
    knet_compression_level: int
    knet_compression_model: str
    block_unlisted_ips: bool
    cancel_token_hold_on_retransmit: bool


@dataclass(frozen=True, slots=True)
class TotemConfig:
    """Everything about the ring and the network under it."""

    version: int
    transport: Transport
    cluster_name: str | None
    config_version: int
    ip_version: str
    link_mode: str
    node_id: NodeId
    local_node_position: int | None
    nodes: tuple[NodeConfig, ...]  # in byte order of their positions: 0, 1, 10, 2
    links: tuple[LinkConfig, ...]  # those that are configured, by number
    crypto: CryptoConfig
    timers: Timers
    net_mtu: int
    broadcast: bool
    clear_node_high_bit: bool

    def link(self, number: int) -> LinkConfig | None:
        """The link of that number if it is configured."""
        return next((link for link in self.links if link.number == number), None)

    def node(self, node_id: NodeId) -> NodeConfig | None:
        """The node of that id."""
        return next((node for node in self.nodes if node.node_id == node_id), None)


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """quorum.device: a qdevice that may vote."""

    model: str
    votes: int | None
    timeout_ms: int
    sync_timeout_ms: int
    master_wins: bool


@dataclass(frozen=True, slots=True)
class QuorumConfig:
    """The quorum section as written; votes of nodes are in the nodelist."""

    provider: str | None
    expected_votes: int | None
    votes: int | None
    two_node: bool
    wait_for_all: bool | None  # None: follows two_node
    last_man_standing: bool
    last_man_standing_window_ms: int
    auto_tie_breaker: bool
    auto_tie_breaker_node: str | None
    allow_downscale: bool
    expected_votes_tracking: bool
    device: DeviceConfig | None


@dataclass(frozen=True, slots=True)
class LogTarget:
    """What one subsystem logs and where, with everything it inherits filled in."""

    to_stderr: bool
    to_syslog: bool
    to_logfile: bool
    logfile: str | None
    logfile_priority: str  # alert crit debug emerg err info notice warning
    syslog_priority: str
    syslog_facility: str
    debug: Debug


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """The logging section. `subsystems` holds only those with a section of their own."""

    target: LogTarget
    subsystems: Mapping[str, LogTarget]
    timestamp: str  # off, on or hires
    fileline: bool
    function_name: bool
    blackbox: bool
    warnings: tuple[str, ...] = ()

    def of(self, subsystem: str) -> LogTarget:
        """What holds for a subsystem."""
        return self.subsystems.get(subsystem, self.target)


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """The system section. `priority` is as written: max, min or a number."""

    qb_ipc_type: str
    sched_rr: bool
    priority: str | None
    move_to_root_cgroup: str  # yes, no or auto
    allow_knet_handle_fallback: bool
    state_dir: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file that can be used.

    `entries` is all that the file puts into the map, with what is derived from it (local_node_pos,
    bindnetaddr ...), without the runtime keys: see runtime_entries. `warnings` are log lines of the MAIN
    subsystem. `start_faults` do not trouble `corosync -t`, but a node does not start with them.
    """

    filename: str
    entries: tuple[MapEntry, ...]
    totem: TotemConfig
    quorum: QuorumConfig
    logging: LoggingConfig
    system: SystemConfig
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    warnings: tuple[str, ...] = ()
    start_faults: tuple[tuple[Phase, Fault], ...] = ()


class RefusedConfig(ConfigError):
    """A file that cannot be used. The first of `faults` is what corosync would stop at, word by word.

    `logging` and `system` are there from phase READ on: the fault is logged as the file wants it, and a
    state directory that does not exist comes before it (status 16). `warnings` are logged before a fault of
    phase VALIDATE.
    """

    def __init__(
        self,
        phase: Phase,
        faults: list[Fault],
        logging: LoggingConfig | None = None,
        system: SystemConfig | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(faults)
        self.phase = phase
        self.logging = logging
        self.system = system
        self.warnings = warnings
