"""What the logs of several CPG members must satisfy together, whatever happened to the ring in between.

The properties are those of extended virtual synchrony as CPG shows it: a message arrives at most once and
whole, those of one sender in their order and without a gap while the sender stays a member, any two members
in the same order, the same messages at all members that go together from one ring to the next, and one's
own messages always.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

Sender = str  # "node:pid"
Message = tuple[Sender, int]
END = "the end"


@dataclass
class Log:
    """What one process sent and was told; `alive`: it was still a member when all had fallen silent."""

    name: str
    me: Sender = ""
    alive: bool = True
    sent: dict[int, int] = field(default_factory=dict)
    events: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    @property
    def delivered(self) -> list[Message]:
        return [(f"{node}:{pid}", int(number)) for kind, (node, pid, number, *_) in self.of("d")]

    def of(self, kind: str) -> Iterable[tuple[str, tuple[str, ...]]]:
        return (event for event in self.events if event[0] == kind)


def parse(name: str, text: str, alive: bool) -> Log:
    """The log that talk.c has written; a last line without an end is left out."""
    log = Log(name, alive=alive)
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


def segments(log: Log) -> list[tuple[str, list[Message], str]]:
    """Each ring that the process was in: its id, what was delivered in it, and the id of the next."""
    parts: list[tuple[str, list[Message]]] = []
    for kind, words in log.events:
        if kind == "r":
            parts.append((".".join(words[:2]), []))
        elif kind == "d" and parts:
            parts[-1][1].append((f"{words[0]}:{words[1]}", int(words[2])))
    following = [ring for ring, _ in parts[1:]] + [END if log.alive else ""]
    return [(ring, got, then) for (ring, got), then in zip(parts, following, strict=True)]


def _same_set(one: Log, other: Log) -> list[str]:
    """Who goes from one ring to the same next one has delivered the same; who came later, the later part."""
    faults = []
    theirs: dict[tuple[str, str], list[tuple[int, list[Message]]]] = defaultdict(list)
    for place, (ring, got, then) in enumerate(segments(other)):
        theirs[ring, then].append((place, got))
    for place, (ring, got, then) in enumerate(segments(one)):
        for their_place, their_got in theirs.get((ring, then), []) if then else ():
            a, b = got, their_got
            # Who joined in the middle of this ring has only what came after.
            if place == 0:
                b = b[max(0, len(b) - len(a)) :] if their_place or len(b) > len(a) else b
            if their_place == 0:
                a = a[max(0, len(a) - len(b)) :] if place or len(a) > len(b) else a
            if a != b:
                missing = sorted(set(a) ^ set(b))[:4]
                faults.append(
                    f"{one.name} and {other.name} went from ring {ring} to {then} with"
                    f" {len(got)} and {len(their_got)} messages; not at both: {missing}"
                )
    return faults
