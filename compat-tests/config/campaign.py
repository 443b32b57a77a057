"""Reloads under load: random changes of the configuration of three nodes, legal ones and others.

A change is drawn from the seed and made to a Cluster, which is the configuration as an operator thinks of it.
After a legal one every node has the same keys; an illegal one is refused, and changes nothing. Used by
test_campaign.py; by hand:

    cd compat-tests; python3 -m config.campaign KINDS [--seed 1] [--legal 25] [--illegal 6]

KINDS is a letter for each node, o for ours, r for a real one: ooo, ror, oro.
"""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from lab import Host, Lab
from lab.engine import AUTHKEY, CONF
from mixed.checker import check
from mixed.ring import KINDS, Ring
from mixed.talk import Talkers

NODES = (1, 2, 3)
# Keys that are a node's own, or count what happened.
OWN = re.compile(
    r"nodelist\.local_node_pos|totem\.interface\.\d+\.bindnetaddr|runtime\.votequorum\.this_node_id"
    r"|runtime\.(services|blackbox|members|force_gather|totem)\.|internal_configuration\.|resources\.|stats\."
)
PINGS = re.compile(r"runtime\.config\.totem\.interface\.(\d+)\.knet_ping_")
RELOADS = re.compile(r"config\.(reload|totemconfig_reload)_|runtime\.services\.")


@dataclass
class Cluster:
    """A configuration. What is None is left out."""

    totem: dict[str, object] = field(
        default_factory=lambda: {"token": 5000, "crypto_cipher": "aes256", "crypto_hash": "sha256"}
    )
    quorum: dict[str, object] = field(default_factory=dict)
    logging: dict[str, object] = field(default_factory=dict)
    interfaces: dict[int, dict[str, object]] = field(default_factory=dict)
    votes: dict[int, int] = field(default_factory=dict)
    links: int = 2
    fourth: bool = False  # a node that is listed and does not run
    key: bytes = bytes(range(256))

    def text(self) -> str:
        lines = ["totem {", "  version: 2", "  cluster_name: lab", *_lines(self.totem)]
        for number in range(self.links):
            if options := self.interfaces.get(number):
                lines += ["  interface {", f"    linknumber: {number}", *_lines(options, "    "), "  }"]
        lines += ["}", "nodelist {"]
        for number in (*NODES, *((4,) if self.fourth else ())):
            lines += ["  node {", f"    name: n{number}", f"    nodeid: {number}"]
            lines += [f"    ring{link}_addr: 10.77.{link}.{number}" for link in range(self.links)]
            if number in self.votes:
                lines.append(f"    quorum_votes: {self.votes[number]}")
            lines.append("  }")
        lines += ["}", "quorum {", "  provider: corosync_votequorum", *_lines(self.quorum), "}", "logging {"]
        logging = {"to_logfile": "yes", "logfile": "/var/log/corosync/corosync.log", "to_syslog": "no"}
        lines += [*_lines(logging | {"to_stderr": "no"} | self.logging), "}"]
        return "\n".join(lines) + "\n"


def _lines(options: dict[str, object], indent: str = "  ") -> list[str]:
    return [f"{indent}{key}: {value}" for key, value in options.items() if value is not None]


# --- changes


def _set(section: dict[str, object], rng: Random, choices: dict[str, list[object]]) -> str:
    key = rng.choice(sorted(choices))
    section[key] = rng.choice([*choices[key], None])
    return f"{key}: {section[key]}"


def _timers(cluster: Cluster, rng: Random) -> str:
    return _set(cluster.totem, rng, {
        "token": [4000, 6000, 9000], "token_coefficient": [0, 100, 650], "token_warning": [0, 50, 75],
        "join": [50, 80], "merge": [200, 300], "downcheck": [1000, 1500], "hold": [100, 200],
        "max_messages": [10, 17, 20], "window_size": [30, 50, 90], "fail_recv_const": [2500, 3000],
        "seqno_unchanged_const": [30, 40], "miss_count_const": [5, 9], "max_network_delay": [50, 60],
        "token_retransmits_before_loss_const": [4, 8], "send_join": [0, 5],
        "cancel_token_hold_on_retransmit": ["yes", "no"], "block_unlisted_ips": ["yes", "no"],
        "knet_pmtud_interval": [10, 30, 60], "config_version": [1, 2, 3, 4],
    })  # fmt: skip


def _compression(cluster: Cluster, rng: Random) -> str:
    cluster.totem["knet_compression_model"] = rng.choice(["zlib", "bzip2", None])
    return f"compression: {cluster.totem['knet_compression_model']}"


def _crypto(cluster: Cluster, rng: Random) -> str:
    cipher, hashing = rng.choice(["aes128", "aes192", "aes256"]), rng.choice(["sha1", "sha256", "sha512"])
    cluster.totem |= {"crypto_cipher": cipher, "crypto_hash": hashing}
    return f"crypto: {cipher} {hashing}"


def _key(cluster: Cluster, rng: Random) -> str:
    cluster.key = rng.randbytes(rng.choice([128, 256, 1024]))
    return "another key"


def _links(cluster: Cluster, rng: Random) -> str:
    cluster.links = rng.choice([number for number in (1, 2, 3) if number != cluster.links])
    return f"links: {cluster.links}"


def _interface(cluster: Cluster, rng: Random) -> str:
    options = cluster.interfaces.setdefault(rng.randrange(cluster.links), {})
    return _set(options, rng, {
        "knet_link_priority": [0, 1, 5], "knet_ping_interval": [200, 300], "knet_ping_timeout": [800, 900],
        "knet_ping_precision": [1024, 2048], "knet_pong_count": [1, 2, 3],
    })  # fmt: skip


def _fourth(cluster: Cluster, rng: Random) -> str:
    cluster.fourth = not cluster.fourth
    return f"a fourth node: {cluster.fourth}"


def _votes(cluster: Cluster, rng: Random) -> str:
    cluster.votes[rng.choice(NODES)] = rng.choice([1, 2, 3])
    return f"votes: {cluster.votes}"


def _quorum(cluster: Cluster, rng: Random) -> str:
    return _set(cluster.quorum, rng, {"expected_votes": [3, 4, 5]})


def _logging(cluster: Cluster, rng: Random) -> str:
    return _set(cluster.logging, rng, {
        "debug": ["on", "off"], "timestamp": ["on", "hires", "off"], "logfile_priority": ["info", "debug"],
        "fileline": ["on", "off"], "function_name": ["on", "off"],
    })  # fmt: skip


Change = Callable[[Cluster, Random], str]
LEGAL: tuple[Change, ...] = (
    _timers, _timers, _timers, _compression, _crypto, _key, _links, _interface, _interface, _fourth, _votes,
    _quorum, _logging,
)  # fmt: skip


# Edits of a good text that no node may take.
def _last(line: str) -> Callable[[str], str]:
    """Behind all other options of totem, so that nothing overrides it."""
    return lambda text: text.replace("}\nnodelist {", f"  {line}\n}}\nnodelist {{")


ILLEGAL: dict[str, Callable[[str], str]] = {
    "token too short": _last("token: 10\n  token_coefficient: 0"),
    "no number": _last("join: x"),
    "consensus below join": _last("join: 900\n  consensus: 800"),
    "warning of more than all": _last("token_warning: 101"),
    "cipher without hash": _last("crypto_hash: none"),
    "no key file": _last("keyfile: /nonexistent"),
    "unknown cipher": _last("crypto_cipher: rot13"),
    "unclosed": lambda text: text + "foo {\n",
    "brace too many": lambda text: text + "}\n",
    "no line": lambda text: "nonsense\n" + text,
    "another address": lambda text: text.replace("ring0_addr: 10.77.0.2", "ring0_addr: 10.77.0.99"),
    "no such host": lambda text: text.replace("ring0_addr: 10.77.0.3", "ring0_addr: no.such.host.invalid"),
    "no id": lambda text: text.replace("nodeid: 3", "ring9: x"),
    "ring too high": lambda text: text.replace("nodeid: 2", "nodeid: 2\n    ring8_addr: 10.77.0.2"),
    "a link of one node": lambda text: text.replace("nodeid: 1\n", "nodeid: 1\n    ring7_addr: 10.77.0.1\n"),
    "two families": lambda text: text.replace("ring0_addr: 10.77.0.3", "ring0_addr: fd77::3"),
    "id of no number": lambda text: text.replace(
        "nodelist {", "nodelist {\n  node {\n    nodeid: -1\n  }", 1
    ),
}


# --- the campaign


class Campaign:
    """A ring under load, and its configuration."""

    def __init__(self, lab: Lab, kinds: str, seed: int, per_second: float = 100) -> None:
        self.lab = lab
        self.rng = Random(seed)
        self.ring = Ring(lab, kinds)
        self.cluster = Cluster()
        self.write()
        self.ring.conf = self.cluster.text()
        self.ring.start()
        self.ring.wait_whole()
        self.ring.wait_links(self.cluster.links)
        self.talkers = Talkers(self.ring, seed=seed, per_second=per_second)
        self.talkers.start()
        self.talkers.wait_sent(100)
        self.ring_id = self.ring.ring_id(1)
        self.faults: list[str] = []

    def write(self, text: str | None = None) -> None:
        """The file and the key on every host."""
        for host in self.lab.hosts:
            host.write(CONF, self.cluster.text() if text is None else text)
            key = host.path(AUTHKEY)
            if key.exists():
                key.chmod(0o600)
            key.write_bytes(self.cluster.key)
            key.chmod(0o400)

    def ask(self) -> tuple[int, str]:
        """Ask one of the nodes for a reload; status and words."""
        done = self.lab[self.rng.choice(NODES)].run("/usr/sbin/corosync-cfgtool", "-R")
        return done.returncode, done.stdout + done.stderr

    def keys(self, host: Host) -> set[str]:
        listing = host.run("/usr/sbin/corosync-cmapctl", check=True).stdout.splitlines()
        return {line for line in listing if not OWN.match(line)}

    def agree(self, what: str, *, at_rest: bool = False) -> None:
        """Every node must have the same keys.

        A real node derives links' timers from the token timeout before the reload: after another one of the
        same file they are right (`at_rest`). It keeps those of links that are gone, or of a refused file.
        """
        ours = all(engine is KINDS["o"] for engine in self.ring.engines.values())

        def counts(line: str) -> bool:
            timer = PINGS.match(line)
            return ours or timer is None or (at_rest and int(timer[1]) < self.cluster.links)

        found = {host.name: set(filter(counts, self.keys(host))) for host in self.lab.hosts}
        for name, lines in found.items():
            for line in sorted(lines ^ found["n1"])[:6]:
                self.faults.append(f"{what}: n1 and {name} do not agree: {line}")

    def legal(self, number: int) -> None:
        what = f"change {number}, {self.rng.choice(LEGAL)(self.cluster, self.rng)}"
        self.write()
        status, words = self.ask()
        if status:
            self.faults.append(f"{what}: refused: {words}")
        self.settle()
        self.agree(what)

    def settle(self, *, accepted: bool = True) -> None:
        """Until every node has done what it was told: the one that was asked answers for itself only.

        A real node that cannot parse the file says for ever that it reconfigures totem.
        """
        progress = f"config.{'totemconfig_' if accepted else ''}reload_in_progress"
        self.talkers.wait_sent(40)
        for number in NODES:
            while "= 1" in self.lab[number].run("/usr/sbin/corosync-cmapctl", "-g", progress).stdout:
                self.talkers.wait_sent(5)

    def illegal(self, number: int) -> None:
        name = self.rng.choice(sorted(ILLEGAL))
        ours = [n for n, engine in self.ring.engines.items() if engine is KINDS["o"]]
        before = {n: self._without_reloads(n) for n in ours}
        self.write(ILLEGAL[name](self.cluster.text()))
        status, words = self.ask()
        if not status or "Could not reload configuration. Error CS_ERR_INVALID_PARAM" not in words:
            self.faults.append(f"illegal {number}, {name}: status {status}, {words}")
        self.settle(accepted=False)
        for n, keys in before.items():
            for line in sorted(keys ^ self._without_reloads(n))[:6]:
                self.faults.append(f"illegal {number}, {name}: changed on n{n}: {line}")
        # A real node has deleted keys, though it refused the file: give them back.
        self.write()
        self.ask()
        self.settle()

    def _without_reloads(self, number: int) -> set[str]:
        return {line for line in self.keys(self.lab[number]) if not RELOADS.match(line)}

    def finish(self) -> list[str]:
        """What was wrong, all in all."""
        self.write()
        self.ask()
        self.settle()
        self.agree("at the end", at_rest=True)
        after = self.ring.ring_id(1)
        if after != self.ring_id:
            self.faults.append(f"a new ring was formed: {self.ring_id}, then {after}")
        self.talkers.wait_sent(100)
        self.faults += check(self.talkers.finish())
        self.faults += self.ring.complaints()
        return self.faults


def run(kinds: str, seed: int, legal: int, illegal: int) -> list[str]:
    """So many changes in a ring of these kinds; what was wrong."""
    with Lab(hosts=len(NODES), links=3) as lab:
        campaign = Campaign(lab, kinds, seed)
        for number in range(legal):
            campaign.legal(number)
        for number in range(illegal):
            campaign.illegal(number)
        return campaign.finish()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--legal", type=int, default=25)
    parser.add_argument("--illegal", type=int, default=6)
    options = parser.parse_args()
    faults = run(options.kinds, options.seed, options.legal, options.illegal)
    for fault in faults:
        print(fault)
    print(
        f"{options.kinds}, seed {options.seed}: {options.legal} legal and {options.illegal} illegal changes, "
        f"{len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
