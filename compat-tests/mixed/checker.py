"""What the logs of several CPG members must satisfy together, whatever happened to the ring in between.

The properties are those of extended virtual synchrony as CPG shows it: a message arrives at most once and
whole, those of one sender in their order and without a gap while the sender stays a member, any two members
in the same order, the same messages at all members that go together from one ring to the next, and one's
own messages always.

A CPG member hears of a ring only when its daemon has synchronized in it. Two daemons may have gone from one
ring to another by different ways, one of them through a ring that broke up before: then each delivered what
the members of that ring could tell it, and may differ from the other. The daemons' logs tell the way.

Who came into a ring while a message was under way in parts lacks its beginning, so it never gets it; corosync
then drops the whole packet in which the last part comes, with the messages behind it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

Sender = str  # "node:pid"
Message = tuple[Sender, int]
END = "the end"
RECENT_RINGS = 8
PACKET_BYTES = 65446


@dataclass
class Log:
    """What one process sent and was told; `alive`: it was still a member when all had fallen silent."""

    name: str
    me: Sender = ""
    alive: bool = True
    sent: dict[int, int] = field(default_factory=dict)
    events: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    installed: list[str] = field(default_factory=list)  # every ring of its daemon, as "node.number"

    @property
    def delivered(self) -> list[Message]:
        return [(f"{node}:{pid}", int(number)) for kind, (node, pid, number, *_) in self.of("d")]

    @property
    def sizes(self) -> dict[Message, int]:
        return {(f"{node}:{pid}", int(number)): int(size) for _, (node, pid, number, size) in self.of("d")}

    def of(self, kind: str) -> Iterable[tuple[str, tuple[str, ...]]]:
        return (event for event in self.events if event[0] == kind)


def rings_in(log: str) -> list[str]:
    """The rings that a daemon says in its log to have formed; there the number is hexadecimal."""
    found = re.findall(r"A new membership \((\d+)\.([0-9a-f]+)\) was formed", log)
    return [f"{node}.{int(number, 16)}" for node, number in found]


def parse(name: str, text: str, alive: bool, daemon_log: str = "") -> Log:
    """The log that talk.c has written; a last line without an end is left out."""
    log = Log(name, alive=alive, installed=rings_in(daemon_log))
    for line in text[: text.rfind("\n") + 1].splitlines():
        kind, *words = line.split(" ")
        if kind == "i":
            log.me = f"{words[0]}:{words[1]}"
        elif kind == "s":
            log.sent[int(words[0])] = int(words[1])
        else:
            log.events.append((kind, tuple(words)))
    return log


def check(logs: Sequence[Log]) -> list[str]:
    """What is wrong; at most a few lines of each kind."""
    faults: list[str] = []
    senders = {log.me: log for log in logs}
    for log in logs:
        faults += _alone(log, senders)[:5]
    for one, other in combinations(logs, 2):
        faults += _order(one, other)[:3]
        faults += _same_set(one, other)[:3]
    return faults


def _alone(log: Log, senders: dict[Sender, Log]) -> list[str]:
    faults: list[str] = []
    last: dict[Sender, int] = {}
    was_away: set[Sender] = set()
    for kind, words in log.events:
        if kind == "l":
            was_away.update(words)
        elif kind == "x" and (log.alive or not words[0].startswith("cpg_")):
            faults.append(f"{log.name}: {' '.join(words)}")
        elif kind == "d":
            sender, number, size = f"{words[0]}:{words[1]}", int(words[2]), int(words[3])
            previous = last.get(sender)
            if previous is not None and number <= previous:
                faults.append(f"{log.name}: {sender} #{number} after #{previous}")
            elif previous is not None and number > previous + 1 and sender not in was_away:
                faults.append(f"{log.name}: {sender} #{number} follows #{previous}")
            known = senders.get(sender)
            if known is None or (known.alive and known.sent.get(number) != size):
                faults.append(f"{log.name}: {sender} #{number} of {size} bytes was never sent")
            last[sender] = number
            was_away.discard(sender)
    if log.alive:
        mine = {number for sender, number in log.delivered if sender == log.me}
        if lost := sorted(set(log.sent) - mine):
            faults.append(f"{log.name}: {len(lost)} own messages never came back, first #{lost[0]}")
    return faults


def _order(one: Log, other: Log) -> list[str]:
    """The messages that both have, each in its order."""
    theirs = set(other.delivered)
    ours = set(one.delivered)
    mine = [message for message in one.delivered if message in theirs]
    same = [message for message in other.delivered if message in ours]
    for a, b in zip(mine, same, strict=False):
        if a != b:
            return [f"{one.name} has {a} where {other.name} has {b}"]
    return []


Way = tuple[str, ...]


class Segment(NamedTuple):
    """What a process was told from one ring that it heard of to the next."""

    way: Way  # the rings of its daemon from the one to the other, with both
    before: Way  # the last rings of its daemon before these
    got: list[Message]
    is_first: bool  # it joined in the first of these rings, perhaps in the middle of it


def segments(log: Log) -> list[Segment]:
    parts: list[tuple[str, list[Message]]] = []
    for kind, words in log.events:
        if kind == "r":
            parts.append((".".join(words[:2]), []))
        elif kind == "d" and parts:
            parts[-1][1].append((f"{words[0]}:{words[1]}", int(words[2])))
    if not parts:
        return []  # its daemon died before it had heard of a ring
    following = [ring for ring, _ in parts[1:]] + [END if log.alive else ""]
    found = []
    for place, ((ring, got), then) in enumerate(zip(parts, following, strict=True)):
        begin = log.installed.index(ring) if ring in log.installed else 0
        known = ring in log.installed and then in log.installed[begin:]
        way = tuple(log.installed[begin : log.installed.index(then, begin) + 1]) if known else (ring, then)
        before = tuple(log.installed[max(0, begin - RECENT_RINGS) : begin])
        found.append(Segment(way, before, got, not place))
    return found


def _same_set(one: Log, other: Log) -> list[str]:
    """Who goes from one ring to the same next one has delivered the same; who came later, the later part."""
    faults = []
    theirs: dict[Way, list[Segment]] = defaultdict(list)
    for segment in segments(other):
        theirs[segment.way].append(segment)
    sizes = one.sizes | other.sizes
    for mine in segments(one):
        for their in theirs.get(mine.way, []) if mine.way[-1] else ():
            together = mine.before == their.before
            missing = _missing(mine, their, sizes, together) | _missing(their, mine, sizes, together)
            if missing:
                faults.append(
                    f"{one.name} and {other.name} went {' to '.join(mine.way)} with {len(mine.got)} and"
                    f" {len(their.got)} messages; not at both: {sorted(missing)[:4]}"
                )
    return faults


def _missing(here: Segment, there: Segment, sizes: Mapping[Message, int], together: bool) -> set[Message]:
    """What is here and should be there too."""
    got = set(there.got)
    whole = here.got
    if there.is_first:
        start = next((place for place, message in enumerate(whole) if message in got), len(whole))
        whole = whole[start:]
    missing = {message for message in whole if message not in got}
    if missing and (there.is_first or not together):
        missing -= _begun_before(whole, missing, sizes)
    return missing


def _begun_before(
    whole: Sequence[Message], missing: set[Message], sizes: Mapping[Message, int]
) -> set[Message]:
    """Of each sender, the first message, and what may have come in the same packet as its end."""
    excused: set[Message] = set()
    room: dict[Sender, int] = {}
    for message in whole:
        sender = message[0]
        if message not in missing:
            room[sender] = -1
        elif sender not in room:
            room[sender] = PACKET_BYTES
            excused.add(message)
        else:
            room[sender] -= sizes[message]
            if room[sender] >= 0:
                excused.add(message)
    return excused
