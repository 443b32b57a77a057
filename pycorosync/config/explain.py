"""All that is wrong with a file, and all that is strange about it, at once (`corosync -t --explain`).

corosync stops at the first fault. Here each phase (load.py) goes on with what the one before could read. A
fault that may only follow from an earlier one, because it points at no line of its own, is then left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pycorosync.config.checks import check_totem
from pycorosync.config.entries import FAULTS_MAX, EntryMap, read_access, read_main
from pycorosync.config.findings import (
    Finding,
    Lines,
    Severity,
    allowed_values,
    close_value,
    misspelt,
    obsolete,
    path_of,
    repeated,
    shown,
)
from pycorosync.config.grammar import Problem, as_bytes_text, statements
from pycorosync.config.host import HostFacts
from pycorosync.config.load import AccessFiles, find_start_faults, load
from pycorosync.config.logs import read_logging
from pycorosync.config.model import Configuration, RefusedConfig
from pycorosync.config.timers import read_timers, timer_faults
from pycorosync.config.totem import PARSE_ERROR, Reading, read_totem
from pycorosync.config.traps import traps
from pycorosync.errors import Fault

_REPAIRS_MAX: Final = FAULTS_MAX


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say about a file: errors first, each kind in the order of the lines.

    `status` is what `corosync -t` ends with, `refused` why, `configuration` what can be used if it is 0.
    """

    status: int
    findings: tuple[Finding, ...]
    configuration: Configuration | None = None
    refused: RefusedConfig | None = None


def explain(
    text: str | bytes, filename: str, *, host: HostFacts, uidgid_files: AccessFiles = ()
) -> Explanation:
    """Everything about a file. `host` answers facts_wanted(...)."""
    lines = {filename: Lines(text)} | {name: Lines(content) for name, content in uidgid_files}
    warnings = [finding for look in (misspelt, obsolete, repeated) for finding in look(text, filename)]
    try:
        configuration = load(text, filename, host=host, uidgid_files=uidgid_files)
    except RefusedConfig as refused:
        faults, start_faults = _all_faults(refused, text, filename, host, uidgid_files)
        errors = [_finding(Severity.ERROR, fault, lines) for fault in dict.fromkeys(faults)]
        warnings += _start_warnings(start_faults, lines)
        findings = (errors[0], *_sorted(errors[1:]), *_sorted(warnings))
        return Explanation(refused.phase.exit_status, findings, refused=refused)
    entries = _entries_of(configuration, text, filename, host)
    for trap in traps(configuration, entries):
        path = path_of(trap.key)
        value = entries.get(trap.key)
        given = "" if value is None or not entries.line(trap.key) else shown(str(value.value))
        warnings.append(
            Finding(
                Severity.WARNING,
                filename,
                entries.line(trap.key),
                trap.text,
                path,
                given,
                "",
                trap.suggestion,
            )
        )
    warnings += [Finding(Severity.WARNING, filename, 0, warning) for warning in configuration.warnings]
    warnings += _start_warnings((fault for _, fault in configuration.start_faults), lines)
    return Explanation(0, _sorted(warnings), configuration)


def _sorted(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.line))


def _entries_of(configuration: Configuration, text: str | bytes, filename: str, host: HostFacts) -> EntryMap:
    """The entries with their lines."""
    entries = EntryMap()
    read = read_main(text, filename, host, [])
    for key, kind, value in configuration.entries:
        entries.set(key, kind, value, read.line(key))
    return entries


def _finding(severity: Severity, fault: Fault, lines: dict[str, Lines]) -> Finding:
    path, value = lines[fault.filename].option(fault.line) if fault.filename in lines else ("", "")
    text = fault.text.removeprefix(PARSE_ERROR).removeprefix("parser error: ")
    text = text.removeprefix(f"{fault.filename}:{fault.line}: ")
    allowed, close = allowed_values(path), close_value(path, value)
    return Finding(severity, fault.filename, fault.line, text, path, shown(value), allowed, close)


def _start_warnings(faults: Iterable[Fault], lines: dict[str, Lines]) -> list[Finding]:
    return [
        _finding(
            Severity.WARNING,
            fault._replace(text=f"{fault.text}: corosync -t accepts it, a start does not"),
            lines,
        )
        for fault in faults
    ]


def _all_faults(
    refused: RefusedConfig, text: str | bytes, filename: str, host: HostFacts, uidgid_files: AccessFiles
) -> tuple[list[Fault], list[Fault]]:
    """The fault that corosync would stop at and then the others; and those that only a start looks at."""
    found: list[Fault] = []
    entries = read_main(text, filename, host, found)
    for name, content in uidgid_files:
        read_access(content, name, host, entries, found)
    if any(isinstance(problem, Problem) and problem.fatal for problem in statements(as_bytes_text(text))):
        # What comes behind it is unknown, and half a file has faults that the whole has not.
        return [*refused.faults[:1], *found], []
    read_logging(entries, host, filename, found)
    reading, faults = _read_with_repairs(entries, host, filename)
    _add(found, faults)
    _add(found, _later_faults(reading, entries, filename))
    start_faults: list[Fault] = []
    if reading.config is not None:
        _add(
            start_faults, (fault for _, fault in find_start_faults(entries, filename, reading.config)), found
        )
    return [*refused.faults[:1], *found], start_faults


def _add(found: list[Fault], faults: Iterable[Fault], before: Iterable[Fault] = ()) -> None:
    """Those that do not just follow from what was found before."""
    known = {fault.line for fault in (*found, *before)}
    found += [fault for fault in faults if not known or (fault.line and fault.line not in known)]


def _read_with_repairs(entries: EntryMap, host: HostFacts, filename: str) -> tuple[Reading, list[Fault]]:
    """Read on behind each fault, without the option that it is about."""
    entries, found = entries.copy(), []
    for _ in range(_REPAIRS_MAX):
        reading = read_totem(entries.copy(), host, filename)
        found += reading.faults
        lines = {fault.line for fault in reading.faults if fault.line}
        if not lines:
            return reading, found
        for key in entries.keys(""):
            if entries.line(key) in lines:
                entries.discard(key)
    return reading, found


def _later_faults(reading: Reading, entries: EntryMap, filename: str) -> Iterator[Fault]:
    """What the checks find; if reading came to no end, only those of the timers."""
    if reading.config is not None:
        yield from check_totem(reading.config, entries, filename)
        return
    for key, complaint in timer_faults(read_timers(entries, 0), entries):
        yield Fault(filename, entries.line(key), PARSE_ERROR + complaint)
