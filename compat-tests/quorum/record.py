"""Carry out the votequorum scenarios in the lab.

    make quorum RECORD=1       what real corosync shows becomes the recording
    make quorum [KINDS=ro]     compare: r real, o ours; several letters: the nodes in turn

Several labs work at the same time; each is used for one scenario after the other. Exit status 1 if anything
differs from the recording.
"""

import argparse
import difflib
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from lab import OURS, REAL, Engine, Lab

from quorum.stage import LabStage
from tests.scenarios.votequorum.script import Player, Scenario, scenarios

KINDS = {"r": REAL, "o": OURS}


def engines(kinds: str, hosts: int) -> dict[int, Engine]:
    """Whose daemon each node runs: "ro" is real corosync on the odd nodes and ours on the even ones."""
    return {node: KINDS[kinds[(node - 1) % len(kinds)]] for node in range(1, hosts + 1)}


def play(lab: Lab, kinds: str, scenario: Scenario, *, compare: bool) -> Scenario:
    """The scenario with what it showed."""
    stage = LabStage(lab, engines(kinds, len(lab.hosts)))
    try:
        return Player(stage).play(scenario, compare=compare, ours="o" in kinds)
    finally:
        stage.clear()


def difference(recorded: Scenario, seen: Scenario, kinds: str) -> str:
    """What is not as recorded; "" if all is."""
    wanted = recorded.as_seen(ours="o" in kinds)
    if wanted == seen.text():
        return ""
    lines = difflib.unified_diff(
        wanted.splitlines(), seen.text().splitlines(), "recorded", f"seen ({kinds})", lineterm="", n=2
    )
    return f"{recorded.name}:\n" + "\n".join(lines)


class Work:
    """Scenarios to be carried out, by as many labs as there are jobs."""

    def __init__(self, paths: Sequence[Path], kinds: str, *, record: bool) -> None:
        self.kinds = kinds
        self.record = record
        self.todo: queue.SimpleQueue[Path] = queue.SimpleQueue()
        # The largest first: they take longest.
        chosen = sorted(paths, key=lambda path: -len(Scenario.read(path).steps))
        for path in chosen:
            self.todo.put(path)
        self.hosts = max(Scenario.read(path).hosts for path in paths)
        self.failures: list[str] = []

    def run(self, jobs: int) -> None:
        threads = [threading.Thread(target=self._in_one_lab) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _in_one_lab(self) -> None:
        with Lab(hosts=self.hosts) as lab:
            while True:
                try:
                    path = self.todo.get_nowait()
                except queue.Empty:
                    return
                self._one(lab, path)

    def _one(self, lab: Lab, path: Path) -> None:
        scenario = Scenario.read(path)
        try:
            seen = play(lab, self.kinds, scenario, compare=not self.record)
        except Exception:
            self.failures.append(f"{path.stem}: {traceback.format_exc(limit=-4)}")
            print(f"{path.stem}: failed", flush=True)
            return
        if self.record:
            for step, old in zip(seen.steps, scenario.steps, strict=True):
                step.because, step.ours = old.because, old.ours
            path.write_text(seen.text())
            print(f"{path.stem}: recorded", flush=True)
            return
        report = difference(scenario, seen, self.kinds)
        if report:
            self.failures.append(report)
        print(f"{path.stem}: {'differs' if report else 'alike'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="quorum.record", description=__doc__)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("names", nargs="*", help="some scenarios only")
    parser.add_argument("--kinds", default="o", help="r real, o ours; several letters: nodes in turn")
    parser.add_argument("--jobs", type=int, default=4)
    options = parser.parse_args()
    paths = [path for path in scenarios() if not options.names or path.stem in options.names]
    work = Work(paths, "r" if options.what == "record" else options.kinds, record=options.what == "record")
    work.run(min(options.jobs, len(paths)))
    print("\n\n".join(work.failures))
    print(f"{len(paths) - len(work.failures)} of {len(paths)}")
    return 1 if work.failures else 0


if __name__ == "__main__":
    sys.exit(main())
