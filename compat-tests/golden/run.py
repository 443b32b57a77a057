"""Replays states in the lab: the answers of real corosync are recorded anew, and compared with ours.

    cd compat-tests; python3 -m golden.run [--only WORD] [--record DIR] [--again]

For each state: real tools on the real daemon (the reference), then real tools on our daemon, our tools on the
real one, ours on ours. Prints every difference, and how many answers were equal. Differences that are excused
are rules of masking.py and nowhere else. `--again` also compares real corosync with itself. Exit status 1 if
anything differs.
"""

import argparse
import difflib
import sys
from functools import cache
from pathlib import Path

from lab import OURS, REAL, Lab

from golden.stage import Answer, Combination, Stage
from golden.states import STATES

REFERENCE = Combination(REAL, REAL)
# The real daemon's log often lacks lines around a reload, a race of its log thread: once equal is equal.
LOG_ATTEMPTS = 5
COMBINATIONS = (Combination(OURS, REAL), Combination(REAL, OURS), Combination(OURS, OURS))


def replay(name: str, combination: Combination) -> tuple[Answer, ...]:
    """Every answer that the combination gives in a state."""
    state = STATES[name]
    with Lab(hosts=state.hosts, links=state.links) as lab:
        stage = Stage(lab, combination)
        state.play(stage)
        return tuple(stage.answers)


@cache
def reference(name: str) -> tuple[Answer, ...]:
    """Those of real corosync."""
    return replay(name, REFERENCE)


def compare(name: str, combination: Combination) -> tuple[tuple[Answer, ...], dict[int, str]]:
    """The combination's answers in a state, and how they differ from real corosync's."""
    found = replay(name, combination)
    left = differences(reference(name), found)
    for _ in range(LOG_ATTEMPTS - 1):
        if not left or not all(found[number].is_log for number in left):
            break
        if combination.daemon is REAL:
            found = replay(name, combination)
        again = differences(replay(name, REFERENCE), found)
        left = {number: report for number, report in again.items() if number in left}
    return found, left


def differences(wanted: tuple[Answer, ...], found: tuple[Answer, ...]) -> dict[int, str]:
    """A report for each answer that is not equal, by its place."""
    reports = {}
    for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
        assert one.question == other.question
        if one.text != other.text:
            lines = difflib.unified_diff(
                one.text.splitlines(), other.text.splitlines(), "real", "found", lineterm="", n=1
            )
            reports[number] = "\n".join([one.question, *lines])
    return reports


def record(directory: Path, name: str, combination: Combination, answers: tuple[Answer, ...]) -> None:
    """Keep the answers, as they are compared."""
    directory.mkdir(parents=True, exist_ok=True)
    text = "".join(f"=== {answer.question}\n{answer.text}\n" for answer in answers)
    (directory / f"{name}-{combination.daemon}-{combination.tools}.txt").write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="states with this in their name")
    parser.add_argument("--record", type=Path, help="keep the answers in this folder")
    parser.add_argument("--ours", action="store_true", help="compare our tools on our daemon only")
    parser.add_argument("--again", action="store_true", help="compare real corosync with itself, too")
    options = parser.parse_args()
    equal = different = 0
    for name in (name for name in STATES if options.only in name):
        wanted = reference(name)
        if options.record:
            record(options.record, name, REFERENCE, wanted)
        for combination in (
            *((REFERENCE,) if options.again else ()),
            *COMBINATIONS[-1 if options.ours else 0 :],
        ):
            found, reports = compare(name, combination)
            if options.record:
                record(options.record, name, combination, found)
            equal, different = equal + len(wanted) - len(reports), different + len(reports)
            print(f"{name}: {combination}: {len(wanted) - len(reports)} of {len(wanted)} equal", flush=True)
            for report in reports.values():
                print("    " + report.replace("\n", "\n    "), flush=True)
    print(f"{equal} answers equal, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
