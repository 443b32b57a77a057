"""What a file would change in a running daemon, and when (`corosync -t --against-running`).

The daemon's map tells what it runs with: the same plan is made of it as in a reload (reload.py), and each key
that the plan touches is looked up in the table of options. The map does not hold the key of the cluster, so
whether that has changed stays unknown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from pycorosync.cmap.store import Entry
from pycorosync.config.entries import EntryMap
from pycorosync.config.findings import path_of
from pycorosync.config.host import HostFacts, Lookup
from pycorosync.config.load import AccessFiles, access_ids, read_system
from pycorosync.config.logs import read_logging
from pycorosync.config.model import Configuration
from pycorosync.config.options import OPTIONS, REFUSED_AT_RELOAD, Reload
from pycorosync.config.quorum import read_quorum
from pycorosync.config.reload import RefusedReload, ReloadPlan, plan_reload
from pycorosync.config.totem import read_totem

# Where the keys of a file are; below them are also some that the daemon makes up.
FILE_PREFIXES: Final = (
    "logging.", "totem.", "nodelist.", "quorum.", "uidgid.config.", "nozzle.", "system.", "resources.",
    "pload.",
)  # fmt: skip
_MADE_UP: Final = re.compile(
    r"nodelist\.local_node_pos|totem\.interface\.[0-9]+\.(bindnetaddr|mcastaddr|mcastport)|resources\..*"
)


class Effect(Enum):
    """When a difference comes into force."""

    LIVE = "applied by a reload"
    RESTART = "needs a restart; a reload says that it cannot be changed"
    NEXT_START = "needs a restart; a reload only shows the new value"
    UNREAD = "nothing reads it"


class Difference(NamedTuple):
    """One key that differs. None where there is no value."""

    key: str
    running: str | None
    new: str | None
    effect: Effect


@dataclass(frozen=True, slots=True)
class Comparison:
    """`refused`: why a reload would change nothing at all; empty if it would not be refused."""

    differences: tuple[Difference, ...]
    refused: tuple[str, ...] = ()
    crypto: bool = False  # packets are protected: the key may have changed, too


class NotComparable(Exception):
    """The daemon's map makes no configuration."""


def file_keys(keys: Lookup) -> EntryMap:
    """Of a running daemon's map, what its file may have put there."""
    entries = EntryMap()
    for prefix in FILE_PREFIXES:
        for key in keys.keys(prefix):
            entry = keys.get(key)
            if entry is not None:
                entries.set(key, entry.kind, entry.value)
    return entries


def _running(entries: EntryMap, host: HostFacts, filename: str) -> Configuration:
    """The configuration that a daemon with these keys runs with. Raises NotComparable."""
    entries = entries.copy()
    reading = read_totem(entries, host, filename)
    if reading.config is None:
        raise NotComparable(reading.faults[0].text)
    return Configuration(
        filename=filename,
        entries=tuple(entries.items()),
        totem=reading.config,
        quorum=read_quorum(entries),
        logging=read_logging(entries, host, filename, []),
        system=read_system(entries),
        uids=access_ids(entries, "uid"),
        gids=access_ids(entries, "gid"),
    )


def _effect(key: str) -> Effect:
    if key in REFUSED_AT_RELOAD:
        return Effect.RESTART
    option = OPTIONS.get(path_of(key))
    if option is None:
        return Effect.UNREAD
    return {
        Reload.LIVE: Effect.LIVE,
        Reload.REFUSED: Effect.RESTART,
        Reload.NEXT_START: Effect.NEXT_START,
    }[option.reload]


def _shown(entry: Entry | None) -> str | None:
    return None if entry is None else str(entry.value)


def _differences(running: EntryMap, new: EntryMap) -> Iterator[Difference]:
    for key in sorted({*running.keys(), *new.keys()}):
        before, after = running.get(key), new.get(key)
        if before == after or (after is None and _MADE_UP.fullmatch(key)):
            continue
        if key == "nodelist.local_node_pos" or (
            before is None and _MADE_UP.fullmatch(key) and key.endswith("addr")
        ):
            continue  # follows from the nodelist, which is compared itself
        yield Difference(key, _shown(before), _shown(after), _effect(key))


def compare(
    text: str | bytes,
    filename: str,
    *,
    host: HostFacts,
    keys: Lookup,
    entries: EntryMap,
    uidgid_files: AccessFiles = (),
) -> Comparison:
    """What a good file changes in the daemon whose map is `keys`. `entries`: those of the file.

    `host` answers facts_wanted(...) for the file, and facts_of_keys(...) for the map. Raises NotComparable.
    """
    running = file_keys(keys)
    configuration = _running(running, host, filename)
    differences = tuple(_differences(running, entries))
    try:
        plan: ReloadPlan = plan_reload(
            text, filename, host=host, running=configuration, keys=keys, uidgid_files=uidgid_files
        )
    except RefusedReload as refused:
        return Comparison(differences, (*refused.details, str(refused)))
    return Comparison(differences, (), plan.configuration.totem.crypto.enabled)
