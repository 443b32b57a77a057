"""Statements of the file become entries of the map, checked for their type (corosync: exec/coroparse.c)."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from pycorosync.cmap.store import Entry, Value, ValueType, is_valid_key
from pycorosync.cmap.values import INTEGER_RANGE
from pycorosync.config.grammar import (
    READ_BYTES,
    Kind,
    Problem,
    Statement,
    as_bytes_text,
    as_text,
    byte_length,
    statements,
)
from pycorosync.config.host import HostFacts
from pycorosync.config.options import SECTION_OF_PATH, STRING, U8, U16, U32, U64, Section, option_for
from pycorosync.errors import Fault

REASON_BYTES: Final = 256  # a reason for a bad value must be shorter, and so must ...
MESSAGE_BYTES: Final = 384  # ... the whole line with file name and number
UNPRINTABLE: Final = "Can't format parser error message"
FAULTS_MAX: Final = 100  # of one file; more would help nobody, and a hostile file must not fill our memory
KEY_BUFFER: Final = 254  # names that are put together are cut here

_INTEGER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_INT_MAX: Final = 2**31 - 1


class EntryMap:
    """Names with types and values, sorted like the map that they are for; remembers lines."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lines: dict[str, int] = {}
        self._sorted: list[str] | None = []

    def set(self, key: str, kind: ValueType, value: Value, line: int = 0) -> bool:
        """Whether the name may stand in the map; a second value replaces the first."""
        if key not in self._entries:
            if not is_valid_key(key):
                return False
            self._sorted = None
        self._entries[key] = Entry(kind, value)
        self._lines[key] = line
        return True

    def discard(self, key: str) -> bool:
        """Whether the name was there."""
        self._sorted = None
        return self._entries.pop(key, None) is not None

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def line(self, key: str) -> int:
        """Where the value came from; 0 if it is not from the file."""
        return self._lines.get(key, 0)

    def keys(self, prefix: str = "") -> list[str]:
        """Names that begin so, in byte order."""
        if self._sorted is None:
            self._sorted = sorted(self._entries)
        first = bisect_left(self._sorted, prefix)
        last = bisect_left(self._sorted, prefix + "\x7f", first)
        return self._sorted[first:last]

    def items(self) -> list[tuple[str, ValueType, Value]]:
        """Everything, in the order in which names first came."""
        return [(key, entry.kind, entry.value) for key, entry in self._entries.items()]

    def copy(self) -> "EntryMap":
        """A map that changes on its own."""
        other = EntryMap()
        other._entries, other._lines, other._sorted = self._entries.copy(), self._lines.copy(), None
        return other


class _Refused(Exception):
    """A value or name that the file may not have; the text is the reason."""


def parse_integer(text: str, kind: ValueType) -> int | None:
    """A number as C's strtoll reads it: blanks and a sign before it, nothing behind; None if it is none."""
    match = _INTEGER.fullmatch(text)
    if match is None or len(match[1]) > READ_BYTES:  # Python refuses to convert thousands of digits
        return None
    number = int(match[1])
    low, high = INTEGER_RANGE[kind]
    if kind is U64 and -high <= number < 0:
        return number + high + 1  # strtoull takes a minus sign and wraps around
    return number if low <= number <= high else None


def _integer(key: str, kind: ValueType, value: str) -> int:
    number = parse_integer(value, kind)
    if number is None:
        # Compatibility: corosync 3.1 ends in an assertion (status 134) when a 64-bit option is no number.
        low, high = INTEGER_RANGE[kind]
        reason = (
            f'Value of key "{key}" is expected to be integer in range ({low}..{high}), '
            f'but "{value}" was given'
        )
        raise _Refused(_limited(reason, REASON_BYTES))
    return number


class _File:
    """One file: goes through its statements, collects entries and faults."""

    def __init__(self, filename: str, host: HostFacts, entries: EntryMap, faults: list[Fault]) -> None:
        self._filename = filename
        self._host = host
        self._entries = entries
        self._faults = faults
        self._line = 0
        self._node_position = 0
        self._interface: dict[str, tuple[int | str, int]] = {}  # with the lines that they are from
        self._members: list[str] = []
        self._items: list[tuple[str, str, int]] = []  # of a logger_subsys or logging_daemon section; line
        self._subsystem: str | None = None
        self._daemon: str | None = None

    def read(self, text: str | bytes, *, access: bool = False) -> None:
        """Go through corosync.conf, or with `access` through a file of uidgid.d."""
        sections = [Section.NONE]
        handle = self._access_statement if access else self._main_statement
        for statement in statements(as_bytes_text(text)):
            self._line = statement.line
            if isinstance(statement, Problem):
                self._fault(statement.text)
            else:
                try:
                    handle(sections, _decoded(statement))
                except _Refused as refused:
                    self._fault(str(refused))
            if len(self._faults) >= FAULTS_MAX:
                return

    def _main_statement(self, sections: list[Section], statement: Statement) -> None:
        if statement.kind is Kind.OPTION:
            self._option(sections[-1], statement)
        elif statement.kind is Kind.OPEN:
            section = SECTION_OF_PATH.get(statement.path)
            sections.append(section or sections[-1])
            if section is not None:
                self._opened(section)
        else:
            self._closed(sections.pop())

    def _fault(self, reason: str) -> None:
        text = f"parser error: {self._filename}:{self._line}: {reason}"
        self._faults.append(Fault(self._filename, self._line, _limited(text, MESSAGE_BYTES)))

    def _set(self, key: str, kind: ValueType, value: Value, line: int | None = None) -> None:
        if not self._entries.set(key, kind, value, self._line if line is None else line):
            reason = f'Can\'t store key "{key}" into icmap, returned error is CS_ERR_NAME_TOO_LONG'
            raise _Refused(_limited(reason, REASON_BYTES))

    def _set_joined(self, key: str, kind: ValueType, value: Value, line: int | None = None) -> None:
        """Like _set, for a name that is put together here: it is cut where corosync's buffer ends."""
        self._set(key if byte_length(key) <= KEY_BUFFER else _cut(key), kind, value, line)

    # --- options

    def _option(self, section: Section, statement: Statement) -> None:
        handler = _OPTION_HANDLERS.get(section)
        if handler is not None:
            handler(self, statement)
            return
        path, value = statement.path, statement.value
        option = option_for(section, path, statement.key)
        if option is None or option.kind is STRING:
            if option is not None and option.refusal and value not in option.choices:
                raise _Refused(option.refusal)
            self._set(path, STRING, value)
        else:
            self._set(path, option.kind, _integer(path, option.kind, value))

    def _node_option(self, statement: Statement) -> None:
        key = _cut(f"nodelist.node.{self._node_position}.{statement.key}")
        option = option_for(Section.NODE, statement.path, statement.key)
        if option is not None and option.kind is U32:
            self._set(key, U32, _integer(key, U32, statement.value))
        else:
            self._set(key, STRING, statement.value)

    def _interface_option(self, statement: Statement) -> None:
        option = option_for(Section.INTERFACE, statement.path, statement.key)
        if option is None:
            self._set(statement.path, STRING, statement.value)
        elif option.kind is STRING:
            self._interface[statement.key] = (statement.value, self._line)
        else:
            number = _integer(statement.path, option.kind, statement.value)
            self._interface[statement.key] = (number, self._line)

    def _member_option(self, statement: Statement) -> None:
        if statement.key != "memberaddr":
            raise _Refused("Only memberaddr is allowed in member section")
        self._members.append(statement.value)

    def _subsystem_option(self, statement: Statement) -> None:
        if statement.key == "subsys":
            self._subsystem = statement.value
        else:
            self._items.append((statement.key, statement.value, self._line))

    def _daemon_option(self, statement: Statement) -> None:
        if statement.key == "name":
            self._daemon = statement.value
        else:
            self._subsystem_option(statement)

    def _uidgid_option(self, statement: Statement) -> None:
        if statement.key not in ("uid", "gid"):
            raise _Refused("uidgid: Only uid and gid are allowed items")
        self._allow(statement.key, statement.value)

    def _allow(self, key: str, value: str) -> None:
        number = parse_integer(value, U32)
        if number is None or number == 0xFFFFFFFF:  # -1 stands for "nobody" in the C interface
            known, what, where = (
                (self._host.users, "user", "passwd")
                if key == "uid"
                else (self._host.groups, "group", "group")
            )
            if value not in known:
                raise _Refused(
                    f"The '{value}' {what} is not found in /etc/{where}, please read the documentation."
                )
            number = known[value]
        self._set(f"uidgid.config.{key}.{number}", U8, 1)

    # --- sections

    def _opened(self, section: Section) -> None:
        if section is Section.INTERFACE:
            self._interface, self._members = {}, []
        elif section is Section.LOGGER_SUBSYS:
            self._items, self._subsystem = [], None
        elif section is Section.LOGGING_DAEMON:
            self._items, self._subsystem, self._daemon = [], None, None
        elif section is Section.NODELIST:
            self._node_position = 0

    def _closed(self, section: Section) -> None:
        if section is Section.NODE:
            self._node_position += 1
        elif section is Section.INTERFACE:
            self._end_of_interface()
        elif section is Section.LOGGER_SUBSYS:
            if self._subsystem is None:
                raise _Refused("No subsys key in logger_subsys directive")
            self._end_of_subsystem(f"logging.logger_subsys.{self._subsystem}")
        elif section is Section.LOGGING_DAEMON:
            self._end_of_daemon()

    def _end_of_interface(self) -> None:
        prefix = f"totem.interface.{self._interface.get('linknumber', (0, 0))[0]}"
        for key, kind in _INTERFACE_ORDER:
            value, line = self._interface.get(key, (None, 0))
            # Compatibility: the C variables are signed, and a negative one counts as not set.
            if value is not None and (isinstance(value, str) or value <= _INT_MAX):
                self._set_joined(f"{prefix}.{key}", kind, value, line)
        for position, address in enumerate(reversed(self._members)):  # the last one is number 0
            self._set_joined(f"{prefix}.member.{position}", STRING, address)

    def _end_of_subsystem(self, prefix: str) -> None:
        for key, value, line in reversed(self._items):  # so the first of two equal ones wins
            self._set_joined(f"{prefix}.{key}", STRING, value, line)
        if self._subsystem is not None:
            self._set_joined(f"{prefix}.subsys", STRING, self._subsystem)

    def _end_of_daemon(self) -> None:
        if self._daemon is None:
            raise _Refused("No name key in logging_daemon directive")
        if self._daemon == "corosync":
            inner = "" if self._subsystem is None else f".logger_subsys.{self._subsystem}"
            self._end_of_subsystem(f"logging{inner}")
            return
        inner = "" if self._subsystem is None else f".{self._subsystem}"
        prefix = f"logging.logging_daemon.{self._daemon}{inner}"
        self._end_of_subsystem(prefix)
        self._set_joined(f"{prefix}.name", STRING, self._daemon)

    # --- uidgid.d

    def _access_statement(self, _sections: list[Section], statement: Statement) -> None:
        if statement.kind is Kind.OPEN and statement.path != "uidgid":
            raise _Refused("uidgid: Can't add subsection different than uidgid")
        if statement.kind is Kind.OPTION:
            if statement.path not in ("uidgid.uid", "uidgid.gid"):
                raise _Refused("uidgid: Only uid and gid are allowed items")
            self._allow(statement.key[-3:], statement.value)


_INTERFACE_ORDER: Final = (
    ("bindnetaddr", STRING), ("mcastaddr", STRING), ("broadcast", STRING), ("mcastport", U16), ("ttl", U8),
    ("knet_link_priority", U8), ("knet_ping_interval", U32), ("knet_ping_timeout", U32),
    ("knet_ping_precision", U32), ("knet_pong_count", U32), ("knet_transport", STRING),
)  # fmt: skip

_OPTION_HANDLERS: Final = {
    Section.NODE: _File._node_option,
    Section.INTERFACE: _File._interface_option,
    Section.MEMBER: _File._member_option,
    Section.LOGGER_SUBSYS: _File._subsystem_option,
    Section.LOGGING_DAEMON: _File._daemon_option,
    Section.UIDGID: _File._uidgid_option,
}


def _decoded(statement: Statement) -> Statement:
    if statement.value.isascii() and statement.path.isascii():
        return statement
    kind, line, path, key, value = statement
    return Statement(kind, line, as_text(path), as_text(key), as_text(value))


def _limited(text: str, limit: int) -> str:
    return text if byte_length(text) < limit else UNPRINTABLE


def _cut(key: str) -> str:
    return as_text(as_bytes_text(key)[:KEY_BUFFER])


def read_main(text: str | bytes, filename: str, host: HostFacts, faults: list[Fault]) -> EntryMap:
    """The entries of corosync.conf; what is wrong with it goes to `faults`, the first as corosync says it."""
    entries = EntryMap()
    _File(filename, host, entries, faults).read(text)
    return entries


def read_access(
    text: str | bytes, filename: str, host: HostFacts, entries: EntryMap, faults: list[Fault]
) -> None:
    """Add the entries of a file of uidgid.d: users and groups that may connect."""
    _File(filename, host, entries, faults).read(text, access=True)


def options_of(text: str | bytes) -> Iterator[Statement]:
    """The lines that set something, unchecked: to find out what has to be looked up."""
    for statement in statements(as_bytes_text(text)):
        if isinstance(statement, Statement) and statement.kind is Kind.OPTION:
            yield _decoded(statement)
