"""corosync.conf to a checked Configuration, without I/O (corosync: the configuration half of exec/main.c).

The phases are corosync's, and a phase is not begun when the one before found faults: the text (PARSER),
the logging section (LOGGING), reading totem and nodelist (READ), checking them (VALIDATE). What `corosync -t`
does not look at, but keeps a node from starting, ends up in Configuration.start_faults.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pycorosync.config.checks import check_totem
from pycorosync.config.entries import EntryMap, options_of, parse_integer, read_access, read_main
from pycorosync.config.host import HostFacts, Lookup, Wanted, find_by_hostname, get_string, literal
from pycorosync.config.logs import log_files, read_logging
from pycorosync.config.model import (
    Configuration,
    MapEntry,
    Phase,
    RefusedConfig,
    SystemConfig,
    TotemConfig,
)
from pycorosync.config.options import U32, default_of
from pycorosync.config.quorum import PROVIDERS, conflicts, read_quorum
from pycorosync.config.timers import timer_entries
from pycorosync.config.totem import read_totem
from pycorosync.errors import Fault

ACCESS_PREFIX: Final = "uidgid.config."
_ADDRESS_KEY: Final = re.compile(
    r"nodelist\.node\.[0-9]+\.ring[0-9]+_addr|totem\.interface\..+\.(?:bindnetaddr|mcastaddr|member\.[0-9]+)"
)
_NAME_KEY: Final = re.compile(r"nodelist\.node\.[0-9]+\.name")
_PRIORITY: Final = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")

AccessFiles = Sequence[tuple[str, str | bytes]]


def facts_wanted(text: str | bytes, filename: str, hostname: str, uidgid_files: AccessFiles = ()) -> Wanted:
    """What has to be looked up before `load` can judge this file; never raises.

    Ask in this order, as corosync does: log files, key file, names; users and groups at any time.
    """
    users: dict[str, None] = {}
    groups: dict[str, None] = {}
    for content in (text, *(content for _, content in uidgid_files)):
        for statement in options_of(content):
            kind = {"uid": users, "gid": groups}.get(statement.path.rpartition(".")[2])
            if kind is not None and parse_integer(statement.value, U32) is None:
                kind[statement.value] = None
    wanted = facts_of_keys(read_main(text, filename, HostFacts(), []), hostname)
    return wanted._replace(users=tuple(users), groups=tuple(groups))


def facts_of_keys(entries: Lookup, hostname: str) -> Wanted:
    """The same for a map, whose users and groups are numbers already."""
    by_name = find_by_hostname(entries, hostname) is not None
    names: dict[str, None] = {}
    for key in entries.keys(""):
        name = get_string(entries, key)
        if (
            name is not None
            and (_ADDRESS_KEY.fullmatch(key) or (not by_name and _NAME_KEY.fullmatch(key)))
            and literal(name) is None
        ):
            names[name] = None
    key_file = get_string(entries, "totem.keyfile")
    if key_file is None and entries.get("totem.key") is None:
        key_file = str(default_of("totem.keyfile"))
    return Wanted(
        names=tuple(names),
        local_names=not by_name,
        key_file=key_file,
        log_files=tuple(log_files(entries)),
    )


def parse(text: str | bytes, filename: str, host: HostFacts, uidgid_files: AccessFiles = ()) -> EntryMap:
    """The entries of the file and of those in uidgid.d. Raises RefusedConfig of phase PARSER.

    The files of uidgid.d are (full name, text), in the order in which the directory lists them.
    """
    faults: list[Fault] = []
    entries = read_main(text, filename, host, faults)
    for name, content in uidgid_files:
        read_access(content, name, host, entries, faults)
    if faults:
        raise RefusedConfig(Phase.PARSER, faults)
    return entries


def read_system(entries: EntryMap) -> SystemConfig:
    """The system section."""

    def word(name: str) -> str:
        found = get_string(entries, f"system.{name}")
        return str(default_of(f"system.{name}")) if found is None else found

    return SystemConfig(
        qb_ipc_type=word("qb_ipc_type"),
        sched_rr=word("sched_rr") == "yes",
        priority=get_string(entries, "system.priority"),
        move_to_root_cgroup=word("move_to_root_cgroup"),
        allow_knet_handle_fallback=word("allow_knet_handle_fallback") == "yes",
        state_dir=word("state_dir"),
    )


def access_ids(entries: EntryMap, kind: str) -> frozenset[int]:
    """Numbers of users ("uid") or groups ("gid") that the files let connect."""
    prefix = f"{ACCESS_PREFIX}{kind}."
    return frozenset(int(key.removeprefix(prefix)) for key in entries.keys(prefix))


def _bad_priority(priority: str | None) -> bool:
    if priority is None or priority in ("max", "min"):
        return False
    if not priority:
        return False  # Compatibility: C's strtol takes an empty text for zero
    return not _PRIORITY.fullmatch(priority) or not -(2**31) <= int(priority) <= 2**31 - 1


def find_start_faults(entries: EntryMap, filename: str, totem: TotemConfig) -> Iterator[tuple[Phase, Fault]]:
    """What `corosync -t` does not look at, but keeps a node from starting."""
    priority = get_string(entries, "system.priority")
    if _bad_priority(priority):
        text = f"Priority value {priority} is invalid"
        yield Phase.START, Fault(filename, entries.line("system.priority"), text)
    quorum = read_quorum(entries)
    if quorum.provider is not None and quorum.provider not in PROVIDERS:
        yield Phase.QUORUM, Fault(filename, entries.line("quorum.provider"), "Invalid quorum provider")
    known = totem.local_node_position is not None
    for text in conflicts(quorum, totem.nodes, local_known=known):
        yield Phase.QUORUM, Fault(filename, 0, text)


def build(entries: EntryMap, filename: str, host: HostFacts) -> Configuration:
    """The configuration that the entries make. Raises RefusedConfig of the later phases."""
    faults: list[Fault] = []
    logging = read_logging(entries, host, filename, faults)
    if faults:
        raise RefusedConfig(Phase.LOGGING, faults)
    system = read_system(entries)
    reading = read_totem(entries, host, filename)
    warnings = tuple(reading.warnings)
    if reading.faults or reading.config is None:
        raise RefusedConfig(Phase.READ, reading.faults, logging, system)
    totem = reading.config
    faults = check_totem(totem, entries, filename)
    if faults:
        raise RefusedConfig(Phase.VALIDATE, faults, logging, system, warnings)
    quorum = read_quorum(entries)
    return Configuration(
        filename=filename,
        entries=tuple(entries.items()),
        totem=totem,
        quorum=quorum,
        logging=logging,
        system=system,
        uids=access_ids(entries, "uid"),
        gids=access_ids(entries, "gid"),
        warnings=logging.warnings + warnings,
        start_faults=tuple(find_start_faults(entries, filename, totem)),
    )


def load(
    text: str | bytes, filename: str, *, host: HostFacts, uidgid_files: AccessFiles = ()
) -> Configuration:
    """The configuration in a file. Bytes are better than text: line ends and odd bytes stay as they are.

    Raises RefusedConfig (a ConfigError) with the phase, and the faults of that phase.
    """
    return build(parse(text, filename, host, uidgid_files), filename, host)


def runtime_entries(configuration: Configuration) -> list[MapEntry]:
    """runtime.config.totem.*: every timer that holds, set or derived, and each link's pings."""
    return totem_entries(configuration.totem)


def totem_entries(totem: TotemConfig) -> list[MapEntry]:
    """The same of the part that they are about."""
    found = timer_entries(totem.timers)
    for link in totem.links:
        prefix = f"runtime.config.totem.interface.{link.number}"
        found.append((f"{prefix}.knet_ping_timeout", U32, link.ping_timeout_ms))
        found.append((f"{prefix}.knet_ping_interval", U32, link.ping_interval_ms))
    return found
