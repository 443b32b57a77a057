"""Do we know which configurations pass `corosync -t` and yet keep a node from starting?

    cd compat-tests; python3 -m config.starts

Starts the real corosync with each on a lab host (needs root) and compares its exit status, and the reason in
its log, with our start_faults. Exit status 1 if anything differs.
"""

import json
import re
import sys

from lab import REAL, Host, Lab, wait_until

from config.cmap_entries import CONF, TAIL, nodes, serves, totem

LOGFILE = "/var/log/corosync/corosync.log"
REASON = re.compile(r"failed to load for reason '(.*)'|error   \[MAIN  \] (Priority value .* is invalid)")
OURS = f"""
import json
from pycorosync.daemon.configuration import read_configuration
found = read_configuration("{CONF}").start_faults
print(json.dumps([found[0][0].exit_status, found[0][1].text] if found else [0, ""]))
"""
DEVICE = "device {; model: net; votes: 1; }"
NO_VOTES = "device {; model: net; }"
CASES = {
    "plain": (2, ""),
    "two_node with device": (2, f"two_node: 1; {DEVICE}"),
    "last_man_standing with device": (2, f"last_man_standing: 1; {DEVICE}"),
    "auto_tie_breaker with device": (2, f"auto_tie_breaker: 1; {DEVICE}"),
    "bad tie breaker with device": (2, f"auto_tie_breaker: 1; auto_tie_breaker_node: foo; {DEVICE}"),
    "zero tie breaker with device": (2, f"auto_tie_breaker: 1; auto_tie_breaker_node: 0 1; {DEVICE}"),
    "listed tie breaker with device": (2, f"auto_tie_breaker: 1; auto_tie_breaker_node: 2 1; {DEVICE}"),
    "odd tie breaker with device": (3, f"auto_tie_breaker: 1; {DEVICE}"),
    "odd tie breaker and last man": (3, "auto_tie_breaker: 1; last_man_standing: 1"),
    "odd tie breaker, last man, wait": (3, "auto_tie_breaker: 1; last_man_standing: 1; wait_for_all: 1"),
    "odd tie breaker, last man, two_node": (3, "auto_tie_breaker: 1; last_man_standing: 1; two_node: 1"),
    "allow_downscale with device": (2, f"allow_downscale: 1; {DEVICE}"),
    "expected_votes, device without votes": (2, f"expected_votes: 3; {NO_VOTES}"),
    "expected_votes, device": (2, f"expected_votes: 3; {DEVICE}"),
    "expected_votes too low": (2, f"expected_votes: 2; {DEVICE}"),
    "device without votes": (2, NO_VOTES),
    "device without model": (2, "two_node: 1; device {; votes: 1; }"),
    "several": (3, f"two_node: 1; auto_tie_breaker: 1; last_man_standing: 1; {DEVICE}"),
    "two_node with tie breaker": (2, "two_node: 1; auto_tie_breaker: 1"),
    "expected_votes zero": (2, "expected_votes: 0"),
}


def text_of(count: int, options: str) -> str:
    lines = "".join(f"  {line.strip()}\n" for line in options.split(";"))
    return totem() + nodes(count) + f"quorum {{\n  provider: corosync_votequorum\n{lines}}}\n" + TAIL


def real_start(host: Host, text: str) -> tuple[int, str]:
    """Exit status and reason; 0 if it serves."""
    host.path(LOGFILE).write_text("")
    daemon = REAL.start(host, text, ready=False)
    wait_until(lambda: not daemon.running or serves(host), "the daemon to form a membership or to end", 60)
    if daemon.running:
        daemon.stop()
        return 0, ""
    found = REASON.search(host.path(LOGFILE).read_text(errors="replace"))
    return daemon.wait(), "" if found is None else found[1] or found[2]


def main() -> int:
    texts = {name: text_of(*case) for name, case in CASES.items()}
    texts["uneven votes"] = text_of(2, NO_VOTES).replace("nodeid: 1\n", "nodeid: 1\n    quorum_votes: 2\n")
    texts["uneven votes and device votes"] = texts["uneven votes"].replace(
        "model: net", "model: net\n  votes: 1"
    )
    texts["unknown provider"] = text_of(2, "").replace("corosync_votequorum", "corosync_qdisk")
    for priority in ("max", "min", "-20", "x", "1x", "2147483648", "", "+5"):
        texts[f"priority {priority}"] = text_of(2, "") + f"system {{\n  priority: {priority}\n}}\n"
    differences = 0
    with Lab(hosts=1, links=1) as lab:
        for name, text in texts.items():
            real = real_start(lab[1], text)
            ours = tuple(json.loads(lab[1].run(sys.executable, "-c", OURS, check=True).stdout))
            if real != ours:
                differences += 1
                print(f"{name}: real {real}, ours {ours}")
    print(f"{len(texts)} starts, {differences} differ")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
