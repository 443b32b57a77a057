"""Settings that corosync accepts and that operators regret: options whose values do not go together.

Serves `corosync -t --explain`, which corosync does not have. Each trap is a row of TRAPS: a function that
tells of it, for a configuration that is otherwise good. Sources: corosync.conf(5), votequorum(5),
corosync-qdevice(8).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pycorosync.config.host import Lookup, get_integer
from pycorosync.config.logs import KNOWN_SUBSYSTEMS
from pycorosync.config.model import Configuration, LogTarget, Transport
from pycorosync.config.options import U32

# corosync.conf(5): the consensus timeout must be at least this much of the token timeout.
CONSENSUS_SHARE: Final = 1.2
RETRANSMITS_MIN: Final = 2  # tokens that may be lost before the ring breaks
WEAK_HASHES: Final = ("md5", "sha1")
# Of KNOWN_SUBSYSTEMS the names that lines carry, and those of the ring and of knet.
SUBSYSTEMS: Final = KNOWN_SUBSYSTEMS | {"TOTEM", "KNET", "VOTEQ", "LOG"}


class Trap(NamedTuple):
    """A trap that a configuration is in. `key` of the map is the one to look at; it need not be set."""

    key: str
    text: str
    suggestion: str = ""


def _consensus(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    timers, count = conf.totem.timers, len(conf.totem.nodes)
    needed = int(CONSENSUS_SHARE * timers.token_timeout_ms)
    if timers.consensus_ms < needed:
        of = f" (token and token_coefficient for {count} nodes)" if count > 2 else ""
        yield Trap(
            "totem.consensus",
            f"consensus of {timers.consensus_ms} ms is below 1.2 times the effective token timeout of "
            f"{timers.token_timeout_ms} ms{of}: nodes may form rings of their own and meet again for ever",
            f"at least {needed}, or no consensus at all",
        )


def _retransmits(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    timers = conf.totem.timers
    if timers.token_retransmit_ms * RETRANSMITS_MIN > timers.token_timeout_ms:
        yield Trap(
            "totem.token_retransmit",
            f"with a token timeout of {timers.token_timeout_ms} ms a token that is sent again after "
            f"{timers.token_retransmit_ms} ms gets less than {RETRANSMITS_MIN} chances",
            "no token_retransmit, so that it follows from token",
        )
    if timers.token_hold_ms >= timers.token_retransmit_ms:
        yield Trap(
            "totem.hold",
            f"a token held for {timers.token_hold_ms} ms is taken for lost after "
            f"{timers.token_retransmit_ms} ms",
            "no hold, so that it follows from token",
        )


def _joining(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    timers = conf.totem.timers
    if timers.send_join_ms > timers.join_ms:
        yield Trap(
            "totem.send_join",
            f"join messages wait up to {timers.send_join_ms} ms, longer than they are waited for "
            f"({timers.join_ms} ms)",
            f"at most {timers.join_ms}",
        )
    if timers.consensus_ms < 2 * timers.join_ms and timers.consensus_ms >= timers.join_ms:
        yield Trap(
            "totem.join",
            f"in a consensus timeout of {timers.consensus_ms} ms a join message is sent once only",
            f"at most {timers.consensus_ms // 2}",
        )


def _heartbeat(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    timers = conf.totem.timers
    if timers.heartbeat_failures_allowed:
        wait = timers.heartbeat_failures_allowed * timers.token_retransmit_ms + timers.max_network_delay_ms
        if wait >= timers.token_timeout_ms:
            yield Trap(
                "totem.heartbeat_failures_allowed",
                f"a missing heartbeat would be noticed after {wait} ms, the missing token after "
                f"{timers.token_timeout_ms} ms: the heartbeat is switched off",
            )


def _warning(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    if conf.totem.timers.token_warning_percent == 100:
        yield Trap("totem.token_warning", "warns when it is too late", "75")


def _window(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    timers = conf.totem.timers
    if timers.max_messages > timers.window_size:
        yield Trap(
            "totem.max_messages",
            f"a node may send {timers.max_messages} messages for a token, all nodes together "
            f"{timers.window_size} (window_size)",
            f"at most {timers.window_size}",
        )


def _pings(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    if conf.totem.transport is not Transport.KNET:
        return
    token_ms = conf.totem.timers.token_timeout_ms
    for link in conf.totem.links:
        prefix = f"totem.interface.{link.number}"
        if link.ping_timeout_ms < link.ping_interval_ms:
            yield Trap(
                f"{prefix}.knet_ping_timeout",
                f"link {link.number} is given up after {link.ping_timeout_ms} ms without a pong, "
                f"and asked every {link.ping_interval_ms} ms only",
                "at least twice knet_ping_interval",
            )
        if link.ping_timeout_ms >= token_ms and len(conf.totem.links) > 1:
            yield Trap(
                f"{prefix}.knet_ping_timeout",
                f"a dead link {link.number} is noticed after {link.ping_timeout_ms} ms, later than a lost "
                f"token ({token_ms} ms): the other links do not help",
                f"below {token_ms}",
            )


def _two_node(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    quorum, count = conf.quorum, len(conf.totem.nodes)
    if not quorum.two_node:
        return
    votes = quorum.expected_votes or sum(node.quorum_votes for node in conf.totem.nodes)
    if count != 2 or votes != 2:
        yield Trap(
            "quorum.two_node",
            f"has no effect with {count} nodes and {votes} expected votes",
            "only for two nodes with one vote each",
        )
        return
    yield Trap(
        "quorum.two_node",
        "when the nodes lose sight of each other both stay quorate: "
        "only fencing keeps the other from the data",
        "configure fencing (Pacemaker: stonith-enabled=true and a device that has been tried)",
    )
    if quorum.wait_for_all is False:
        yield Trap(
            "quorum.wait_for_all",
            "a node that starts alone is quorate at once, and fences the other",
            "no wait_for_all, which then follows two_node",
        )


def _even(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    quorum = conf.quorum
    votes = quorum.expected_votes or sum(node.quorum_votes for node in conf.totem.nodes)
    if quorum.provider is None or quorum.two_node or quorum.device is not None or quorum.auto_tie_breaker:
        return
    if votes and votes % 2 == 0:
        yield Trap(
            "quorum.expected_votes" if quorum.expected_votes else "quorum.provider",
            f"{votes} votes can split into halves, neither of which is quorate",
            "two_node with fencing, or a quorum device"
            if votes == 2
            else "a quorum device, or auto_tie_breaker",
        )


def _quorum(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    quorum = conf.quorum
    if quorum.provider is None:
        yield Trap(
            "quorum.provider",
            "without a provider every part of a split cluster goes on as if it were whole",
            "corosync_votequorum",
        )
        return
    votes = sum(node.quorum_votes for node in conf.totem.nodes)
    if quorum.expected_votes and conf.totem.nodes and quorum.device is None and quorum.expected_votes < votes:
        yield Trap(
            "quorum.expected_votes",
            f"the nodes have {votes} votes together",
            "no expected_votes with a nodelist",
        )
    if quorum.last_man_standing and not (quorum.wait_for_all or quorum.two_node):
        yield Trap(
            "quorum.last_man_standing",
            "without wait_for_all the parts of a split cluster can become quorate one after the other",
            "wait_for_all: 1",
        )
    if quorum.last_man_standing and quorum.last_man_standing_window_ms <= conf.totem.timers.token_timeout_ms:
        yield Trap(
            "quorum.last_man_standing_window",
            f"{quorum.last_man_standing_window_ms} ms is not longer than the token timeout: expected "
            "votes are lowered before the next loss is noticed",
            "10000",
        )


def _device(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    device = conf.quorum.device
    if device is None:
        return
    token_ms = conf.totem.timers.token_timeout_ms
    if device.sync_timeout_ms < device.timeout_ms:
        yield Trap(
            "quorum.device.sync_timeout",
            f"during a membership change the device gets {device.sync_timeout_ms} ms, less than usual "
            f"({device.timeout_ms} ms)",
            f"at least {device.timeout_ms}",
        )
    if device.timeout_ms < token_ms:
        yield Trap(
            "quorum.device.timeout",
            f"the device is given up after {device.timeout_ms} ms, sooner than a node ({token_ms} ms)",
        )


def _nodes(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    for link in conf.totem.links:
        for address, count in Counter(member.address for member in link.members).items():
            if count > 1:
                yield Trap("", f"{count} nodes have the address {address} on link {link.number}")
    for name, count in Counter(node.name for node in conf.totem.nodes).items():
        if name is not None and count > 1:
            yield Trap("", f"{count} nodes have the name {name}")
    for node in conf.totem.nodes:
        if node.name is None:
            key = f"nodelist.node.{node.position}.nodeid"
            yield Trap(
                key, f"node {node.node_id} has no name: Pacemaker and others have to guess it", "name: ..."
            )
    for node in conf.totem.nodes:
        if get_integer(entries, f"nodelist.node.{node.position}.quorum_votes", U32) == 0:
            key = f"nodelist.node.{node.position}.quorum_votes"
            yield Trap(key, f"node {node.node_id} has no vote")


def _crypto(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    crypto = conf.totem.crypto
    if conf.totem.transport is not Transport.KNET:
        name = conf.totem.transport.value
        yield Trap("totem.transport", f"{name} can neither encrypt nor use more than one link", "knet")
    elif not crypto.enabled:
        yield Trap(
            "totem.crypto_cipher",
            "whoever reaches the network can read and forge packets",
            "crypto_cipher: aes256 and crypto_hash: sha256, with a key of corosync-keygen",
        )
    elif crypto.hash in WEAK_HASHES:
        yield Trap("totem.crypto_hash", f"{crypto.hash} is weak", "sha256")


def _nozzle(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    for key in entries.keys("nozzle.")[:1]:
        yield Trap(key, "nozzle devices are not supported: no device is made")


def _logging(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    targets: list[tuple[str, LogTarget]] = [("logging", conf.logging.target)]
    targets += [(f"logging.logger_subsys.{name}", target) for name, target in conf.logging.subsystems.items()]
    for prefix, target in targets:
        if target.to_logfile and target.logfile is None:
            yield Trap(f"{prefix}.to_logfile", "there is no logfile to log to", "logfile: ...")
    target = conf.logging.target
    if not target.to_syslog and not (target.to_logfile and target.logfile):
        yield Trap(
            "logging.to_syslog", "a daemon in the background logs nowhere", "to_syslog: yes, or a logfile"
        )
    for name in conf.logging.subsystems:
        if name not in SUBSYSTEMS:
            yield Trap(
                f"logging.logger_subsys.{name}.subsys",
                f"no subsystem is called {name}",
                f"one of {', '.join(sorted(SUBSYSTEMS))}",
            )


TRAPS: Final[tuple[Callable[[Configuration, Lookup], Iterator[Trap]], ...]] = (
    _crypto, _nodes, _consensus, _retransmits, _joining, _heartbeat, _warning, _window, _pings,
    _quorum, _two_node, _even, _device, _nozzle, _logging,
)  # fmt: skip


def traps(conf: Configuration, entries: Lookup) -> Iterator[Trap]:
    """Every trap that a good configuration is in."""
    for trap in TRAPS:
        yield from trap(conf, entries)
