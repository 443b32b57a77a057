"""`corosync -t --explain` and `--against-running`: prints what pycorosync.config finds. corosync has neither.

Both go to standard output. The exit status is that of `corosync -t`, but EXIT_NO_DAEMON if there is nothing
to compare with.
"""

import socket
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pycorosync.client.cmap import Cmap
from pycorosync.client.connection import LibraryError
from pycorosync.cmap.store import Entry
from pycorosync.config.against import FILE_PREFIXES, Comparison, Effect, NotComparable, compare, file_keys
from pycorosync.config.entries import EntryMap
from pycorosync.config.explain import Explanation, explain
from pycorosync.config.findings import Finding, Severity, lines_of, shown
from pycorosync.config.host import HostFacts
from pycorosync.config.load import facts_of_keys, facts_wanted, parse
from pycorosync.config.model import RefusedConfig, SystemConfig
from pycorosync.daemon.command_line import Options
from pycorosync.daemon.configuration import AccessFiles, look_up, read_files
from pycorosync.daemon.process import ExitStatus, StartError, enter_state_directory

EXIT_NO_DAEMON: Final = 1


def explain_configuration(options: Options) -> int:
    """What the options ask for; returns the exit status."""
    path = options.configuration_file
    try:
        text, access = read_files(path)
    except RefusedConfig as refused:
        _print([f"{fault.filename}: error: {fault.text}" for fault in refused.faults])
        return refused.phase.exit_status
    host = look_up(facts_wanted(text, path, socket.gethostname(), access))
    found = _with_state_directory(explain(text, path, host=host, uidgid_files=access), path)
    if options.explain:
        _print_findings(found)
    elif found.status:
        _print(lines_of(found.findings[0]))
    if not options.against_running:
        return found.status
    if found.status:
        _print(["The file cannot be used: a reload would change nothing."])
        return found.status
    return _compare(text, path, access, host)


def _with_state_directory(found: Explanation, path: str) -> Explanation:
    """The same, if the state directory can be used: that comes before totem is read."""
    system: SystemConfig | None = None
    if found.configuration is not None:
        system = found.configuration.system
    elif found.refused is not None:
        system = found.refused.system
    if system is None:
        return found
    try:
        enter_state_directory(system.state_dir)
    except StartError as fault:
        finding = Finding(Severity.ERROR, path, 0, fault.text, "system.state_dir", shown(system.state_dir))
        return replace(found, status=int(fault.status), findings=(finding, *found.findings))
    return found


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line.encode(errors="backslashreplace").decode() + "\n")


def _print_findings(found: Explanation) -> None:
    for finding in found.findings:
        _print(lines_of(finding))
    errors = sum(finding.severity is Severity.ERROR for finding in found.findings)
    warnings = len(found.findings) - errors
    _print([f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}, exit status {found.status}"])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# --- the running daemon


def _compare(text: bytes, path: str, access: AccessFiles, host: HostFacts) -> int:
    try:
        keys = _running_keys()
    except LibraryError as fault:
        sys.stderr.write(f"There is no running daemon to compare with: {fault.code.label}\n")
        return EXIT_NO_DAEMON
    running = look_up(facts_of_keys(file_keys(keys), socket.gethostname()))
    host = replace(
        host,
        addresses=running.addresses if not host.addresses else host.addresses,
        resolved={**running.resolved, **host.resolved},
        key_files={**running.key_files, **host.key_files},
    )
    entries = parse(text, path, host, access)
    try:
        _print_comparison(compare(text, path, host=host, keys=keys, entries=entries, uidgid_files=access))
    except NotComparable as fault:
        sys.stderr.write(f"The configuration of the running daemon cannot be read: {fault}\n")
        return EXIT_NO_DAEMON
    return ExitStatus.OK


def _running_keys() -> EntryMap:
    """The part of the running daemon's map that a file can set. Raises LibraryError."""
    entries = EntryMap()
    with Cmap() as cmap:
        for prefix in FILE_PREFIXES:
            for key in [item.key for item in cmap.items(prefix)]:
                entry: Entry = cmap.entry(key)
                entries.set(key, entry.kind, entry.value)
    return entries


def _print_comparison(found: Comparison) -> None:
    if found.refused:
        _print(["A reload of this file would be refused, and change nothing:"])
        _print(f"    {line}" for line in found.refused)
    for difference in found.differences:
        before, after = (
            "-" if value is None else shown(value) for value in (difference.running, difference.new)
        )
        _print([f"{difference.key}: {before} => {after}: {difference.effect.value}"])
    restarts = sum(
        difference.effect in (Effect.RESTART, Effect.NEXT_START) for difference in found.differences
    )
    if not found.differences:
        _print(["The running daemon has this configuration."])
    else:
        count = len(found.differences)
        _print([f"{_counted(count, 'difference')}, {restarts} of them need a restart"])
    if found.crypto:
        _print(["The key of the cluster is not compared: a reload reads it again."])
