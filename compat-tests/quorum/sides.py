"""Never two quorate sides: judges what watch.py wrote on each host."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# A line's time is that of the watcher's turn on the CPU, which comes late on a busy machine.
LATE_S = 1.0


class Reign(NamedTuple):
    """A node was quorate, with these members, from one moment to another."""

    node: int
    begin_s: float
    end_s: float
    members: frozenset[int]


def reigns(node: int, lines: Iterable[str], end_s: float) -> list[Reign]:
    """Those in the lines of one watcher."""
    entries = [json.loads(line) for line in lines if line.startswith("[")]
    found = []
    for place, (begin_s, quorate, members) in enumerate(entries):
        until_s = entries[place + 1][0] if place + 1 < len(entries) else end_s
        if quorate:
            found.append(Reign(node, begin_s, until_s, frozenset(members)))
    return found


def conflicts(by_node: Mapping[int, list[Reign]]) -> list[tuple[Reign, Reign]]:
    """Pairs of reigns at one time in memberships that have nobody in common."""
    every = [reign for reigns_ in by_node.values() for reign in reigns_]
    return [
        (one, other)
        for place, one in enumerate(every)
        for other in every[place + 1 :]
        if one.node != other.node
        and not one.members & other.members
        and min(one.end_s, other.end_s) - max(one.begin_s, other.begin_s) > LATE_S
    ]
