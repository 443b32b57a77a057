"""Does a reload change in our plan what it changes in corosync? Compares map and log lines of real reloads.

    cd compat-tests; python3 -m config.reloads [--only WORD]

For each pair of configurations below: starts the real corosync with the first on a lab host (needs root),
reloads the second, and compares the keys of its map with those that our plan leads to, and what it logs about
the configuration with our words. Exit status 1 if anything differs.

Known and left out: corosync derives the links' ping timers of a reload from the token timeout before it; it
deletes keys for a file that it then refuses; it keeps runtime keys of links that are gone (so do we).
"""

import argparse
import json
import re
import sys

from lab import REAL, Host, Lab, wait_until

from config.cmap_entries import CONF, QUORUM, REST, TAIL, counted, interface, nodes, serves, totem

ATTEMPTS = 5  # the real log often lacks a line around a reload: a race of its log thread
LOGFILE = "/var/log/corosync/corosync.log"
SAID = re.compile(
    r"(?:Modified entry|Unable to reload|Cannot configure new|Crypto configuration is not|"
    r"Configuration is not valid|[Nn]ew config has different).*"
)
OURS = f"""
import json, socket, sys
from pathlib import Path
from pycorosync.cmap.store import Store
from pycorosync.config.load import facts_wanted, runtime_entries
from pycorosync.config.reload import RefusedReload, plan_reload
from pycorosync.daemon.configuration import look_up, read_configuration
names = {{2: "u8", 4: "u16", 5: "i32", 6: "u32", 8: "u64", 11: "str"}}
running = read_configuration("/etc/corosync/before.conf")
store = Store()
for key, kind, value in [*running.entries, *runtime_entries(running)]:
    store.set(key, kind, value)
text = Path("{CONF}").read_bytes()
host = look_up(facts_wanted(text, "{CONF}", socket.gethostname()))
said = []
try:
    plan = plan_reload(text, "{CONF}", host=host, running=running, keys=store)
    said = list(plan.notices)
    for key in plan.deletes:
        store.delete(key)
    for key, kind, value in plan.sets:
        store.set(key, kind, value)
    accepted = True
except RefusedReload as refused:
    said = [*refused.notices, *refused.details, str(refused)]
    accepted = False
lines = [f"{{key}} ({{names[store.get(key).kind]}}) = {{store.get(key).value}}" for key in store.keys()]
print(json.dumps([accepted, said, lines]))
"""

OPEN = TAIL[:-2]  # the logging section, still open
BASE = totem() + nodes(2, 2) + REST
ONE_LINK = totem() + nodes(2, 1) + REST
UDPU = totem("transport: udpu") + nodes() + REST
PAIRS = {
    "same": (BASE, BASE),
    "token set": (ONE_LINK, totem("token: 5000") + nodes() + REST),
    "token dropped": (totem("token: 5000") + nodes() + REST, ONE_LINK),
    "too short": (ONE_LINK, totem("token: 10") + nodes() + REST),
    "refused with notices": (BASE, totem("transport: udpu; token: 10") + nodes(2, 2) + REST),
    "no number": (ONE_LINK, totem("token: abc") + nodes() + REST),
    "unclosed": (ONE_LINK, ONE_LINK + "foo {\n"),
    "node added": (ONE_LINK, totem() + nodes(3) + REST),
    "node removed": (totem() + nodes(4) + REST, totem() + nodes(2) + REST),
    "link added": (ONE_LINK, BASE),
    "link removed": (BASE, ONE_LINK),
    "transport": (BASE, totem("transport: udpu; netmtu: 1400") + nodes(2, 2) + REST),
    "name and version": (
        BASE,
        BASE.replace("cluster_name: lab", "cluster_name: x").replace("version: 2", "version: 3"),
    ),
    "config version": (
        totem("config_version: 1") + nodes() + TAIL,
        totem("config_version: 2") + nodes() + TAIL,
    ),
    "cipher": (ONE_LINK, totem("crypto_cipher: aes256; crypto_hash: sha256") + nodes() + REST),
    "cipher without hash": (ONE_LINK, totem("crypto_cipher: aes256") + nodes() + REST),
    "no key file": (ONE_LINK, totem("secauth: on; keyfile: /nonexistent") + nodes() + REST),
    "address": (BASE, BASE.replace("ring1_addr: 10.77.1.2", "ring1_addr: 10.77.1.3")),
    "knet transport": (
        BASE,
        totem("", interface("linknumber: 1; knet_transport: sctp")) + nodes(2, 2) + REST,
    ),
    "knet transport wrong": (
        ONE_LINK,
        totem("", interface("linknumber: 0; knet_transport: x")) + nodes() + REST,
    ),
    "link options": (
        BASE,
        totem("", interface("linknumber: 1; knet_link_priority: 9; mcastport: 5999; knet_ping_timeout: 800"))
        + nodes(2, 2)
        + REST,
    ),
    "names missing": (BASE, totem() + nodes(2, 2, names=False) + REST),
    "link of one node": (ONE_LINK, ONE_LINK.replace("10.77.0.2\n", "10.77.0.2\n    ring1_addr: 10.77.1.2\n")),
    "ring too high": (ONE_LINK, ONE_LINK.replace("10.77.0.2\n", "10.77.0.2\n    ring8_addr: 10.77.1.2\n")),
    "no such host": (ONE_LINK, ONE_LINK.replace("10.77.0.2", "no.such.host.invalid")),
    "no nodeid": (ONE_LINK, ONE_LINK.replace("nodeid: 2", "quorum_votes: 1")),
    "families": (ONE_LINK, totem() + nodes(3).replace("10.77.0.3", "fe80::3") + REST),
    "logging": (
        ONE_LINK,
        totem() + nodes() + QUORUM + OPEN + "  debug: off\n  logger_subsys {\n    subsys: CPG\n"
        "    debug: off\n  }\n}\n",
    ),
    "logging dropped": (totem() + nodes() + QUORUM + OPEN + "  fileline: off\n}\n", ONE_LINK),
    "logging wrong": (ONE_LINK, totem() + nodes() + QUORUM + OPEN + "  fileline: perhaps\n}\n"),
    "quorum": (
        ONE_LINK,
        totem() + nodes() + "quorum {\n  provider: corosync_votequorum\n  two_node: 1\n}\n" + TAIL,
    ),
    "quorum provider": (totem() + nodes() + TAIL, ONE_LINK),
    "system": (ONE_LINK, ONE_LINK + "system {\n  sched_rr: no\n  state_dir: /x\n  foo: bar\n}\n"),
    "uidgid": (ONE_LINK + "uidgid {\n  uid: 5\n}\n", ONE_LINK + "uidgid {\n  uid: 6\n  gid: 7\n}\n"),
    "udpu node": (UDPU, totem("transport: udpu") + nodes(3) + REST),
    "udpu ids": (
        totem("transport: udpu") + nodes(2, ids=False) + REST,
        totem("transport: udpu") + nodes(3, ids=False) + REST,
    ),
    "udp": (totem("transport: udp") + nodes() + REST, totem("transport: udp; token: 2000") + nodes(3) + REST),
    "unknown section": (ONE_LINK + "foo {\n  a: 1\n}\n", ONE_LINK + "foo {\n  b: 1\n}\n"),
    "duplicate id": (ONE_LINK, totem() + nodes(3).replace("nodeid: 3", "nodeid: 2") + REST),
    "coefficient": (totem() + nodes(3) + TAIL, totem("token_coefficient: 0") + nodes(3) + TAIL),
    "link mode": (BASE, totem("link_mode: active; ip_version: ipv4") + nodes(2, 2) + REST),
}
PINGS = re.compile(r"runtime\.config\.totem\.interface\.[0-9]+\.knet_ping_")


def reload_real(host: Host, name: str, before: str, after: str) -> tuple[int, list[str], set[str]]:
    """Status of cfgtool, lines about the configuration, keys afterwards."""
    host.path(LOGFILE).write_text("")
    real = REAL.start(host, before, ready=False)
    try:
        wait_until(lambda: not real.running or serves(host), f"the daemon of {name} to form a membership", 60)
        host.write(CONF, after)
        status = host.run("/usr/sbin/corosync-cfgtool", "-R").returncode
        keys = counted(host.run("/usr/sbin/corosync-cmapctl", check=True).stdout.splitlines())
    finally:
        real.stop()
    said = [match.group() for match in SAID.finditer(host.path(LOGFILE).read_text(errors="replace"))]
    return status, said, keys


def compare(host: Host, name: str, before: str, after: str, recorded: dict[str, object]) -> list[str]:
    """What differs. What the real one did goes to `recorded`."""
    status, said, keys = reload_real(host, name, before, after)
    recorded |= {"name": name, "before": before, "after": after, "accepted": status == 0, "said": said}
    recorded["keys"] = sorted(key for key in keys if not PINGS.match(key)) if status == 0 else []
    host.write(CONF, after)
    host.write("/etc/corosync/before.conf", before)
    accepted, our_words, lines = json.loads(host.run(sys.executable, "-c", OURS, check=True).stdout)
    differences = []
    if accepted != (status == 0):
        differences.append(f"real status {status}, ours {'accepts' if accepted else 'refuses'}")
    if said != our_words:
        differences.append(f"real says {said}, ours {our_words}")
    if accepted and status == 0:
        theirs = {line for line in keys if not PINGS.match(line)}
        ours = {line for line in counted(lines) if not PINGS.match(line)}
        differences += [f"only real: {line}" for line in sorted(theirs - ours)]
        differences += [f"only ours: {line}" for line in sorted(ours - theirs)]
    return differences


def alike(host: Host, name: str, before: str, after: str, recorded: dict[str, object]) -> bool:
    """Whether both do the same, in one of the attempts."""
    for _ in range(ATTEMPTS):
        differences = compare(host, name, before, after, recorded)
        if not differences:
            return True
    for difference in differences:
        print(f"{name}: {difference}")
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="pairs with this in their name")
    parser.add_argument("--record", type=argparse.FileType("w"), help="keep what the real one did in a file")
    options = parser.parse_args()
    verdicts = []
    with Lab(hosts=1, links=2) as lab:
        for name, pair in PAIRS.items():
            if options.only in name:
                recorded: dict[str, object] = {}
                verdicts.append(alike(lab[1], name, *pair, recorded))
                if options.record:
                    options.record.write(json.dumps(recorded) + "\n")
    print(f"{verdicts.count(True)} reloads alike, {verdicts.count(False)} differ")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
