"""Does our reader put into the map what corosync puts there? Compares with corosync-cmapctl of a real daemon.

    cd compat-tests; python3 -m config.cmap_entries [--seeds N] [--only WORD]

For each configuration below, and for N generated ones that a daemon starts with, starts the real corosync on
a lab host (needs root), asks it for all keys, and compares with our entries and runtime entries, names, types
and values. Keys that services set while they run are left out. Exit status 1 if anything differs.
"""

import argparse
import json
import sys

from lab import REAL, Host, Lab, wait_until

from config.generator import generate

CONF = "/etc/corosync/corosync.conf"
# What others than the reader of the configuration set.
RUNNING = (
    "internal_configuration.", "runtime.blackbox.", "runtime.force_gather", "runtime.members.",
    "runtime.services.", "runtime.votequorum.", "stats.", "config.",
    "resources.watchdog_timeout",
    "resources.system.load_15min.current", "resources.system.load_15min.last_updated",
    "resources.system.load_15min.poll_period", "resources.system.load_15min.state",
    "resources.system.memory_used.current", "resources.system.memory_used.last_updated",
    "resources.system.memory_used.poll_period", "resources.system.memory_used.state",
)  # fmt: skip
OURS = f"""
import json
from pycorosync.config.load import runtime_entries
from pycorosync.daemon.configuration import read_configuration
names = {{2: "u8", 4: "u16", 5: "i32", 6: "u32", 8: "u64", 11: "str"}}
configuration = read_configuration("{CONF}")
entries = {{key: (kind, value) for key, kind, value in configuration.entries}}
entries |= {{key: (kind, value) for key, kind, value in runtime_entries(configuration)}}
print(json.dumps([f"{{key}} ({{names[kind]}}) = {{value}}" for key, (kind, value) in entries.items()]))
"""

TAIL = (
    "logging {\n  to_stderr: no\n  to_syslog: no\n  to_logfile: yes\n"
    "  logfile: /var/log/corosync/corosync.log\n}\n"
)
QUORUM = "quorum {\n  provider: corosync_votequorum\n}\n"
REST = QUORUM + TAIL


def nodes(count: int = 2, links: int = 1, extra: str = "", ids: bool = True, names: bool = True) -> str:
    """A nodelist."""
    text = ""
    for number in range(1, count + 1):
        text += "  node {\n" + (f"    name: n{number}\n" if names else "")
        text += (f"    nodeid: {number}\n" if ids else "") + extra
        text += "".join(f"    ring{link}_addr: 10.77.{link}.{number}\n" for link in range(links)) + "  }\n"
    return f"nodelist {{\n{text}}}\n"


def totem(options: str = "", inner: str = "") -> str:
    """A totem section; `options` separated by semicolons."""
    lines = "".join(f"  {line.strip()}\n" for line in options.split(";") if line.strip())
    return f"totem {{\n  version: 2\n  cluster_name: lab\n{lines}{inner}}}\n"


def interface(options: str) -> str:
    """An interface section."""
    return "  interface {\n" + "".join(f"    {line.strip()}\n" for line in options.split(";")) + "  }\n"


CASES = {
    "plain": totem() + nodes() + REST,
    "one node": totem() + nodes(1) + REST,
    "two links": totem("link_mode: active; config_version: 7") + nodes(2, 2) + REST,
    "no names": totem() + nodes(2, 1, names=False) + REST,
    "eleven nodes": totem() + nodes(11) + REST,
    "coefficient": totem("token_coefficient: 100; token: 1000") + nodes(4) + REST,
    "coefficient zero": totem("token_coefficient: 0") + nodes(4) + REST,
    "udp": totem("transport: udp") + nodes() + REST,
    "udp without ids": totem("transport: udp") + nodes(2, ids=False) + REST,
    "udp broadcast": totem("transport: udp", interface("linknumber: 0; broadcast: yes")) + nodes() + REST,
    "udp own group": totem(
        "transport: udp", interface("bindnetaddr: 10.77.0.1; mcastaddr: 239.1.2.3; mcastport: 5500; ttl: 4")
    ) + nodes() + REST,
    "udpu": totem("transport: udpu") + nodes() + REST,
    "udpu without ids": totem("transport: udpu; clear_node_high_bit: yes") + nodes(3, ids=False) + REST,
    "crypto": totem("crypto_cipher: aes128; crypto_hash: sha512; crypto_model: openssl") + nodes() + REST,
    "secauth": totem("secauth: on") + nodes() + REST,
    "compression": totem(
        "knet_compression_model: zlib; knet_compression_threshold: 500; knet_compression_level: 3"
    ) + nodes() + REST,
    "compression level negative": totem("knet_compression_model: zlib; knet_compression_level: -1")
    + nodes() + REST,
    "explicit timers": totem(
        "token: 5001; token_retransmit: 777; hold: 99; join: 60; send_join: 10; consensus: 9000; "
        "merge: 250; downcheck: 1100; fail_recv_const: 100; seqno_unchanged_const: 20; token_warning: 0; "
        "window_size: 90; "
        "max_messages: 20; miss_count_const: 6; max_network_delay: 70; "
        "heartbeat_failures_allowed: 3; "
        "token_retransmits_before_loss_const: 10; knet_pmtud_interval: 60; netmtu: 1400; threads: 0"
    ) + nodes() + REST,
    "zero timers": totem(
        "token: 0; join: 0; window_size: 0; hold: 0; consensus: 0; send_join: 0; token_warning: 0"
    ) + nodes() + REST,
    "long token": totem("token: 20000001") + nodes(3) + REST,
    "flags": totem("block_unlisted_ips: no; cancel_token_hold_on_retransmit: yes") + nodes() + REST,
    "flags wrong": totem("block_unlisted_ips: 0; cancel_token_hold_on_retransmit: on") + nodes() + REST,
    "interfaces": totem(
        "", interface("linknumber: 0; knet_link_priority: 5; mcastport: 5555; knet_ping_interval: 150")
        + interface("linknumber: 1; knet_ping_timeout: 900; knet_pong_count: 4; knet_transport: udp; x: y")
    ) + nodes(2, 2) + REST,
    "two node": totem() + nodes() + "quorum {\n  provider: corosync_votequorum\n  two_node: 1\n}\n" + TAIL,
    "quorum options": totem() + nodes(4, extra="    quorum_votes: 2\n")
    + "quorum {\n  provider: corosync_votequorum\n  wait_for_all: 1\n  last_man_standing: 1\n"
    "  last_man_standing_window: 20000\n  auto_tie_breaker: 1\n  auto_tie_breaker_node: 1 2\n"
    "  expected_votes: 8\n  leaving_timeout: 3\n}\n" + TAIL,
    "device": totem() + nodes() + "quorum {\n  provider: corosync_votequorum\n  device {\n    model: net\n"
    "    votes: 1\n    timeout: 9000\n    sync_timeout: 20000\n    master_wins: 1\n    net {\n      host: q\n"
    "      algorithm: ffsplit\n    }\n  }\n}\n" + TAIL,
    "no quorum": totem() + nodes() + TAIL,
    "logging": totem() + nodes() + REST[:-2] + "  timestamp: on\n  debug: off\n"
    "  logger_subsys {\n    subsys: QUORUM\n    debug: on\n    debug: off\n    syslog_priority: ERR\n  }\n"
    "  logger_subsys {\n    to_syslog: no\n    subsys: CPG\n  }\n"
    "  logging_daemon {\n    name: qdevice\n    debug: on\n  }\n"
    "  logging_daemon {\n    name: qdevice\n    subsys: X\n    debug: on\n  }\n"
    "  logging_daemon {\n    name: corosync\n    subsys: CFG\n    debug: off\n  }\n"
    "  logging_daemon {\n    name: corosync\n    fileline: on\n  }\n}\n",
    "odd lines": "totem.version: 9\nfoo: bar\n" + totem("a.b.c: 1; interface.0.ttl: 5; empty:; :  ")
    + "unknown {\n  x: y\n  deep {\n    z: 1\n  }\n}\n" + nodes() + REST,
    "others": totem() + nodes() + REST
    + "system {\n  qb_ipc_type: shm\n  sched_rr: no\n  priority: min\n  move_to_root_cgroup: no\n}\n"
    "uidgid {\n  uid: nobody\n  gid: root\n  uid: 77\n}\nresources {\n  watchdog_device: off\n  system {\n"
    "    load_15min {\n      max: 5.5\n      recovery: none\n    }\n  }\n}\n"
    "pload {\n  count: 5\n  size: x\n}\nnozzle {\n  name: noz0\n}\n",
    "nodes twice": totem() + nodes(2) + "nodelist {\n  node {\n    quorum_votes: 3\n  }\n}\n" + REST,
    "inner section": totem() + nodes(1).replace("  }", "    inner {\n      foo: 1\n    }\n  }") + REST,
    "members too": totem("", interface("bindnetaddr: 10.77.0.0; member {; memberaddr: 10.77.0.8; "
                                       "memberaddr: 10.77.0.9; }")) + nodes() + REST,
    "big votes": totem() + nodes(2) + QUORUM.replace("}", "  expected_votes: 4294967295\n}") + TAIL,
    "crlf": (totem("token: 4000") + nodes() + REST).replace("\n", "\r\n"),
}  # fmt: skip


def counted(lines: list[str]) -> set[str]:
    return {line for line in lines if not line.startswith(RUNNING)}


def serves(host: Host) -> bool:
    """Whether the first membership is there, and so everything that is set before."""
    return host.run("/usr/sbin/corosync-cmapctl", "runtime.members.").returncode == 0


def compare(host: Host, name: str, text: str, recorded: list[dict[str, object]] | None) -> bool | None:
    """Whether both agree; None if the real daemon does not start with this. Real keys go to `recorded`."""
    real = REAL.start(host, text, ready=False)
    try:
        wait_until(lambda: not real.running or serves(host), f"the daemon of {name} to form a membership", 60)
        if not real.running:
            print(f"{name}: the real daemon ended with {real.wait()}")
            return None
        listing = host.run("/usr/sbin/corosync-cmapctl", check=True).stdout
    finally:
        real.stop()
    theirs = counted(listing.splitlines())
    ours = counted(json.loads(host.run(sys.executable, "-c", OURS, check=True).stdout))
    if recorded is not None:
        recorded.append({"name": name, "config": text, "keys": sorted(theirs)})
    for line in sorted(theirs - ours):
        print(f"{name}: only real:  {line}")
    for line in sorted(ours - theirs):
        print(f"{name}: only ours:  {line}")
    return theirs == ours


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="also so many generated configurations")
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--record", type=argparse.FileType("w"), help="keep the real keys in a file")
    options = parser.parse_args()
    recorded: list[dict[str, object]] = []
    cases = {name: text for name, text in CASES.items() if options.only in name}
    for seed in range(0, 3 * options.seeds, 3):  # every third seed is a plain one
        cases[f"seed {seed}"] = generate(seed).decode()
    with Lab(hosts=1, links=2) as lab:
        verdicts = [compare(lab[1], name, text, recorded) for name, text in cases.items()]
    if options.record:
        options.record.writelines(json.dumps(line) + "\n" for line in recorded)
    same, other, unstarted = (verdicts.count(verdict) for verdict in (True, False, None))
    print(f"{same} configurations alike, {other} differ, {unstarted} not started")
    return 1 if other or not same else 0


if __name__ == "__main__":
    sys.exit(main())
