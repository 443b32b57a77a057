"""The language of votequorum scenarios: one script is carried out on real corosync, on ours, and in virtual
time, and must show the same everywhere. README.md describes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

HERE: Final = Path(__file__).parent
NodeId = int


class Status(NamedTuple):
    """What corosync-quorumtool -s shows on one node. `members`: id and votes, and the device's letters."""

    exit_status: int
    quorate: bool
    expected: int
    highest: int
    total: int
    quorum: int
    blocked: bool
    flags: tuple[str, ...]
    members: tuple[str, ...]
    device: str = ""  # its votes and name

    def __str__(self) -> str:
        words = [
            f"{'quorate' if self.quorate else 'no quorum'} ({self.exit_status})",
            f"votes {self.total} of {self.expected}"
            + (f" (highest {self.highest})" if self.highest != self.expected else ""),
            f"quorum {self.quorum}{' blocked' if self.blocked else ''}",
            f"members {' '.join(self.members)}",
        ]
        if self.device:
            words.append(f"device {self.device}")
        if self.flags:
            words.append(" ".join(self.flags))
        return ", ".join(words)


@dataclass(frozen=True)
class Configuration:
    """What a script says of corosync.conf; the stage adds addresses and the rest."""

    nodes: tuple[NodeId, ...] = ()
    votes: dict[NodeId, int] = field(default_factory=dict)
    quorum: dict[str, str] = field(default_factory=dict)  # device.NAME for those of the device
    version: int = 1

    def sections(self, address: "Addresses") -> str:
        """The sections nodelist and quorum. `address`: a node's on link 0."""
        lines = ["nodelist {"]
        for node in self.nodes:
            lines += ["  node {", f"    name: n{node}", f"    nodeid: {node}"]
            lines.append(f"    ring0_addr: {address(node)}")
            if node in self.votes:
                lines.append(f"    quorum_votes: {self.votes[node]}")
            lines.append("  }")
        lines += ["}", "quorum {", "  provider: corosync_votequorum"]
        device = {key: value for key, value in self.quorum.items() if key.startswith("device.")}
        lines += [f"  {key}: {value}" for key, value in self.quorum.items() if key not in device]
        if device:
            lines += ["  device {"]
            lines += [f"    {key.removeprefix('device.')}: {value}" for key, value in device.items()]
            lines += ["  }"]
        return "\n".join([*lines, "}"]) + "\n"


class Addresses(Protocol):
    def __call__(self, node: NodeId, /) -> str: ...


class Stage(Protocol):
    """Where a script is carried out. Nodes are named by number; each action returns when it is done there."""

    def configure(self, configuration: Configuration) -> None:
        """Write the file on every host."""

    def start(self, nodes: Sequence[NodeId]) -> dict[NodeId, str]:
        """Start daemons; those that ended, and how: "ended STATUS TEXT"."""

    def stop(self, node: NodeId) -> None: ...

    def crash(self, node: NodeId) -> None: ...

    def split(self, sides: Sequence[Sequence[NodeId]]) -> None:
        """Only nodes of the same side hear each other; one side: all do."""

    def reload(self, node: NodeId) -> str:
        """As corosync-cfgtool -R: CS_OK or the error."""

    def set_expected(self, node: NodeId, votes: int) -> str: ...

    def set_votes(self, node: NodeId, about: NodeId, votes: int) -> str: ...

    def set_key(self, node: NodeId, key: str, kind: str, value: str) -> str: ...

    def device(self, node: NodeId, order: str) -> str:
        """register NAME, votes, abstains, silent, back, unregister, wins on, wins off."""

    def unregister(self, node: NodeId) -> str:
        """As corosync-quorumtool -f."""

    def wait(self, ms: int) -> None: ...

    def look(self, members: dict[NodeId, tuple[NodeId, ...]], wanted: Sequence[str] | None) -> list[str]:
        """The lines of all nodes that run, once each is in a ring of those members and nothing changes."""


@dataclass
class Step:
    """A line of the script, and what it showed. `ours`: what ours shows instead, and why, if it differs."""

    command: str
    shown: list[str]
    ours: list[str] = field(default_factory=list)
    because: list[str] = field(default_factory=list)

    def expected(self, ours: bool) -> list[str]:
        return self.ours if ours and self.because else self.shown


@dataclass
class Scenario:
    """A script and its recording."""

    name: str
    about: list[str]
    steps: list[Step]

    @classmethod
    def read(cls, path: Path) -> "Scenario":
        scenario = cls(path.stem, [], [])
        for line in path.read_text().splitlines():
            if line.startswith("#") and not scenario.steps:
                scenario.about.append(line)
            elif line.startswith("#"):
                scenario.steps[-1].because.append(line)
            elif line.startswith("> "):
                scenario.steps.append(Step(line[2:].strip(), []))
            elif line.strip():
                step = scenario.steps[-1]
                (step.ours if step.because else step.shown).append(line)
        return scenario

    def text(self) -> str:
        lines = list(self.about)
        for step in self.steps:
            if lines and (step.shown or lines[-1].startswith("#")):
                lines.append("")
            lines += [f"> {step.command}", *step.shown, *step.because, *step.ours]
        return "\n".join(lines) + "\n"

    def as_seen(self, *, ours: bool) -> str:
        """The text that a run of this script must give."""
        steps = [Step(step.command, step.expected(ours)) for step in self.steps]
        return replace(self, steps=steps).text()

    @property
    def hosts(self) -> int:
        """How many hosts it takes."""
        words = (step.command.split() for step in self.steps)
        return max(max(numbers(line[1:])) for line in words if line[0] == "nodes")


def numbers(words: Iterable[str]) -> tuple[int, ...]:
    """1 2 5-7 as numbers."""
    found: list[int] = []
    for word in words:
        low, _, high = word.partition("-")
        found += range(int(low), int(high or low) + 1)
    return tuple(found)


def together(shown: dict[NodeId, str]) -> list[str]:
    """One line for all nodes that show the same."""
    by_text: dict[str, list[NodeId]] = {}
    for node in sorted(shown):
        by_text.setdefault(shown[node], []).append(node)
    return [f"{' '.join(map(str, nodes))}: {text}" for text, nodes in by_text.items()]


class Player:
    """Carries out a script on a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.configuration = Configuration()
        self.running: set[NodeId] = set()
        self.sides: list[tuple[NodeId, ...]] = []

    def play(self, scenario: Scenario, *, compare: bool, ours: bool = True) -> Scenario:
        """The same script with what it showed now. `compare`: wait for what was recorded."""
        done = replace(scenario, steps=[])
        for step in scenario.steps:
            lines = self.carry_out(step.command.split(), step.expected(ours) if compare else None)
            done.steps.append(Step(step.command, lines))
        return done

    def carry_out(self, words: list[str], wanted: list[str] | None) -> list[str]:
        word, rest = words[0], words[1:]
        if word in ("nodes", "votes", "quorum"):
            self._configure(word, rest)
            return []
        result = ACTIONS[word](self, rest)
        if word == "start" and result:
            return result
        expected = wanted if wanted is None else [line for line in wanted if not line.startswith("result ")]
        seen = self.stage.look({node: self._members(node) for node in sorted(self.running)}, expected)
        return [*result, *seen]

    def _configure(self, word: str, rest: list[str]) -> None:
        configuration = self.configuration
        if word == "nodes":
            configuration = replace(configuration, nodes=numbers(rest))
        elif word == "votes":
            votes = configuration.votes | {int(rest[0]): int(rest[1])}
            configuration = replace(configuration, votes=votes)
        else:
            options = {**configuration.quorum, rest[0]: " ".join(rest[1:])}
            if not rest[1:]:
                del options[rest[0]]
            configuration = replace(configuration, quorum=options)
        self.configuration = replace(configuration, version=configuration.version + bool(self.running))

    def _members(self, node: NodeId) -> tuple[NodeId, ...]:
        side = next((side for side in self.sides if node in side), tuple(self.running))
        return tuple(sorted(self.running.intersection(side)))

    # --- actions: each returns what it showed itself

    def _start(self, rest: list[str]) -> list[str]:
        nodes = numbers(rest)
        self.stage.configure(self.configuration)
        ended = self.stage.start(nodes)
        self.running.update(set(nodes).difference(ended))
        return together(ended)

    def _stop(self, rest: list[str]) -> list[str]:
        for node in numbers(rest):
            self.stage.stop(node)
            self.running.remove(node)
        return []

    def _crash(self, rest: list[str]) -> list[str]:
        for node in numbers(rest):
            self.stage.crash(node)
            self.running.remove(node)
        return []

    def _split(self, rest: list[str]) -> list[str]:
        self.sides = [numbers(side.split()) for side in " ".join(rest).split("|")]
        self.stage.split(self.sides)
        return []

    def _heal(self, rest: list[str]) -> list[str]:
        self.sides = []
        self.stage.split([])
        return []

    def _wait(self, rest: list[str]) -> list[str]:
        self.stage.wait(int(rest[0]))
        return []

    def _reload(self, rest: list[str]) -> list[str]:
        self.stage.configure(self.configuration)
        return [f"result {self.stage.reload(int(rest[0]))}"]

    def _expected(self, rest: list[str]) -> list[str]:
        return [f"result {self.stage.set_expected(int(rest[0]), int(rest[1]))}"]

    def _give(self, rest: list[str]) -> list[str]:
        return [f"result {self.stage.set_votes(int(rest[0]), int(rest[1]), int(rest[2]))}"]

    def _key(self, rest: list[str]) -> list[str]:
        return [f"result {self.stage.set_key(int(rest[0]), *rest[1:4])}"]

    def _device(self, rest: list[str]) -> list[str]:
        order = " ".join(rest[1:])
        return [f"result {self.stage.device(node, order)}" for node in numbers(rest[:1])]

    def _unregister(self, rest: list[str]) -> list[str]:
        return [f"result {self.stage.unregister(int(rest[0]))}"]


ACTIONS: Final = {
    "start": Player._start,
    "stop": Player._stop,
    "crash": Player._crash,
    "split": Player._split,
    "heal": Player._heal,
    "wait": Player._wait,
    "reload": Player._reload,
    "expected": Player._expected,
    "give": Player._give,
    "key": Player._key,
    "device": Player._device,
    "unregister": Player._unregister,
}


def scenarios() -> list[Path]:
    """The scripts in this folder."""
    return sorted(HERE.glob("*.txt"))
