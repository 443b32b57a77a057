"""How long three nodes take to form a ring, and to form one anew when a node dies, stops or comes back: all
real and all ours, turn about. Times are those of the log lines by which each node tells of its membership.

    python3 -m bench.changes [ROUNDS]     (in compat-tests/)
"""

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from lab import Lab, wait_until
from mixed.ring import Ring

RINGS = {"real": "rrr", "ours": "ooo"}
LINE = re.compile(r"^\w+ +\d+ (\d+):(\d+):([\d.]+) .*\[QUORUM\] Members\[(\d+)\]", re.MULTILINE)
DAY_S = 86400


def told(ring: Ring, number: int, members: int) -> list[float]:
    """When the node said that it is one of so many, in seconds of the day."""
    found = LINE.findall(ring.log(number, 10**7))
    return [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s, count in found if int(count) == members]


def second_of_day() -> float:
    now = datetime.now()
    return (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def measure(ring: Ring, nodes: tuple[int, ...], members: int, event: Callable[[], None]) -> float:
    """Seconds from the event until the last of the nodes tells of the new membership."""
    before = {number: len(told(ring, number, members)) for number in nodes}
    began = second_of_day()
    event()
    wait_until(lambda: all(len(told(ring, n, members)) > before[n] for n in nodes), f"Members[{members}]", 60)
    return max((told(ring, n, members)[before[n]] - began) % DAY_S for n in nodes)


def lives(kinds: str) -> dict[str, float]:
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds)
        took = {"three start": measure(ring, (1, 2, 3), 3, ring.start)}
        ring.wait_whole()
        ring.wait_links(1)
        took["one crashes"] = measure(ring, (1, 2), 2, lambda: ring.crash(3))
        took["it comes back"] = measure(ring, (1, 2, 3), 3, lambda: ring.start(3))
        ring.wait_whole()
        ring.wait_links(1)
        took["one stops"] = measure(ring, (1, 2), 2, lambda: ring.stop(3))
        return took


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for name in RINGS if number % 2 else reversed(RINGS):
            for what, seconds in lives(RINGS[name]).items():
                samples[what, name].append(seconds)
    print("|  | real, s | ours, s | ours / real |\n|---|---|---|---|")
    for what in dict.fromkeys(what for what, _ in samples):
        real, ours = (statistics.median(samples[what, name]) for name in RINGS)
        print(f"| {what} | {real:.2f} | {ours:.2f} | {ours / real:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
