"""Does our reader judge configurations as corosync does? Compares status and text of `corosync -t`.

    cd compat-tests; python3 -m config.verdicts [--count 300] [--seed 0] [--keep DIR]

Makes one lab host (needs root), writes generated configurations there (see generator.py), lets the real
`corosync -t` judge each, and our reader under the same host name, addresses and files. Prints each
difference with its seed; exit status 1 if there are any. No daemon is started.

Not counted as differences: where the real one crashes (an assertion for a 64-bit option that is no number,
memory errors for sections inside logger_subsys) ours must say what is wrong; corosync up to 3.1.8 does not
take 0xa0 for a blank; node ids that corosync fails to compare beyond the tenth node.
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

from lab import Host, Lab

from config.generator import generate

FILE = "/etc/corosync/case.conf"
CASES = "/var/lib/corosync/cases"
ERROR_LINE = re.compile(rb"error   \[MAIN  \] (.*)")
DETAIL = re.compile(r"[0-9]+|\"[^\"]*\"|'[^']*'")  # what may differ between cases of one kind
PLACE = re.compile(r"^parser error: [^ ]*: ")
WARNING_LINE = re.compile(rb"^warning \[MAIN  \] (.*)", re.MULTILINE)
MAIN_LOCATION = re.compile(rb"^main[\w.:]* ")
LOCATION = re.compile(rb"[\w.:]+ ")  # with function_name or fileline
FINAL = b"Corosync Cluster Engine exiting with status"

REAL_LOOP = f"""
for case in {CASES}/*.conf; do
  cp "$case" {FILE}
  timeout 20 corosync -t -c {FILE} >"${{case%.conf}}.out" 2>"${{case%.conf}}.err"
  echo $? >"${{case%.conf}}.status"
done 2>/dev/null
"""
OUR_LOOP = f"""
import dataclasses, json, pathlib, shutil, socket
from pycorosync.config.load import facts_wanted
from pycorosync.config.model import RefusedConfig
from pycorosync.daemon.configuration import look_up, read_configuration
def plain(value):
    return len(value) if isinstance(value, bytes) else str(value)
for case in sorted(pathlib.Path("{CASES}").glob("*.conf")):
    shutil.copy(case, "{FILE}")
    try:
        verdict = [0, "", "", list(read_configuration("{FILE}").warnings)]
    except RefusedConfig as refused:
        verdict = [refused.phase.exit_status, refused.phase.label, refused.faults[0].text, []]
    case.with_suffix(".ours").write_text(json.dumps(verdict))
    facts = look_up(facts_wanted(case.read_bytes(), "{FILE}", socket.gethostname()))
    case.with_suffix(".facts").write_text(json.dumps(dataclasses.asdict(facts), default=plain))
"""


def real_verdict(case: Path) -> tuple[int, list[bytes]]:
    """Exit status, and the lines that say why."""
    status = int(case.with_suffix(".status").read_text())
    said = case.with_suffix(".err").read_bytes()
    errors = [text for text in ERROR_LINE.findall(said) if FINAL not in text]
    return status, errors or [said.rstrip(b"\n")]


def difference(case: Path) -> str | None:
    """What differs, if anything does."""
    status, said = real_verdict(case)
    ours, phase, text, warnings = json.loads(case.with_suffix(".ours").read_text())
    if status > 128:
        return None if ours else f"real crashed with {status}, ours accepts"
    if status != ours:
        return f"status: real {status} {said!r}, ours {ours} {phase} {text!r}"
    raw = text.encode("utf-8", "surrogateescape")
    silent = said == [b""] and phase in ("read", "validate")
    if status and not silent and raw not in said[-1]:
        return f"text: real {said[-1]!r}, ours {raw!r}"
    if status and not silent and said[-1] != raw and not LOCATION.fullmatch(said[-1].removesuffix(raw)):
        return f"more text: real {said[-1]!r}, ours {raw!r}"
    found = WARNING_LINE.findall(case.with_suffix(".err").read_bytes())
    real_warnings = [MAIN_LOCATION.sub(b"", text).decode() for text in found]
    ours_at_start = [text for text in warnings if "has been obsoleted" not in text]  # its log is not up yet
    if not status and real_warnings and real_warnings != ours_at_start:
        return f"warnings: real {real_warnings}, ours {warnings}"
    return None


def recordable(case: Path, status: int) -> bool:
    """Not a crash, and no places in the source before the words."""
    said = case.with_suffix(".err").read_bytes()
    return status < 128 and (FINAL not in said or b"] " + FINAL in said)


def record(file: TextIO, case: Path) -> None:
    """Keep what corosync said, with the facts of its host: a line of tests/config/data/verdicts.jsonl."""
    status, said = real_verdict(case)
    facts = json.loads(case.with_suffix(".facts").read_text())
    verdict = {"status": status, "text": said[-1].decode("latin-1") if status else ""}
    config = case.read_bytes().decode("latin-1")
    file.write(json.dumps({"name": f"seed {int(case.stem)}"} | verdict | {"facts": facts, "config": config}))
    file.write("\n")


def run(host: Host, count: int, seed: int) -> list[Path]:
    """Let both judge; the cases' files."""
    cases = host.path(CASES)
    cases.mkdir(parents=True)
    for number in range(seed, seed + count):
        (cases / f"{number:06}.conf").write_bytes(generate(number))
    key = host.path("/etc/corosync/authkey")
    key.write_bytes(bytes(256))
    host.path("/etc/corosync/short").write_bytes(bytes(100))
    for command in (["sh", "-c", REAL_LOOP], [sys.executable, "-c", OUR_LOOP]):
        host.run(*command, check=True, limit_s=3600)
    return sorted(cases.glob("*.conf"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="copy the differing configurations here")
    parser.add_argument("--texts", action="store_true", help="count what corosync said")
    parser.add_argument("--record", type=argparse.FileType("w"), help="keep one case of each kind in a file")
    options = parser.parse_args()
    seen: Counter[int] = Counter()
    texts: Counter[str] = Counter()
    kinds: Counter[tuple[int, str]] = Counter()
    differences = 0
    with Lab(hosts=1, links=2, name="config") as lab:
        for case in run(lab[1], options.count, options.seed):
            status, said = real_verdict(case)
            seen[status] += 1
            texts[PLACE.sub("", said[-1].decode(errors="replace"))] += 1
            kind = (status, DETAIL.sub("?", said[-1].decode("latin-1")))
            if options.record and kinds[kind] < (12 if status == 0 else 1) and recordable(case, status):
                kinds[kind] += 1
                record(options.record, case)
            found = difference(case)
            if found is not None:
                differences += 1
                print(f"seed {int(case.stem)}: {found}")
                if options.keep:
                    options.keep.mkdir(exist_ok=True)
                    (options.keep / case.name).write_bytes(case.read_bytes())
    if options.texts:
        for text, count in texts.most_common():
            print(f"{count:5} {text}")
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(seen.items()))
    print(f"{options.count} configurations (real exit statuses {statuses}), {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
