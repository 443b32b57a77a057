"""corosync-cmapctl: show, set, delete, load and watch keys (corosync: tools/corosync-cmapctl.c)."""

import os
import re
import select
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

from pycorosync.client.cmap import Cmap, CmapMap, Entry, Notification, TrackEvent, Value, ValueType
from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError
from pycorosync.tools import json_status
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, run_tool
from pycorosync.tools.options import Options

LETTERS: Final = "m:hqgsdDtTbp:C:"
ATTEMPTS_MAX: Final = 10
RETRY_S: Final = 1.0

TYPES: Final = {
    "i8": ValueType.INT8,
    "u8": ValueType.UINT8,
    "i16": ValueType.INT16,
    "u16": ValueType.UINT16,
    "i32": ValueType.INT32,
    "u32": ValueType.UINT32,
    "i64": ValueType.INT64,
    "u64": ValueType.UINT64,
    "flt": ValueType.FLOAT,
    "dbl": ValueType.DOUBLE,
    "str": ValueType.STRING,
    "bin": ValueType.BINARY,
}
TYPE_NAMES: Final = {kind: name for name, kind in TYPES.items()}
SIGNED_RANGE: Final = {
    ValueType.INT8: (-(2**7), 2**7 - 1),
    ValueType.INT16: (-(2**15), 2**15 - 1),
    ValueType.INT32: (-(2**31), 2**31 - 1),
    ValueType.INT64: (-(2**63), 2**63 - 1),
}
UNSIGNED_MAX: Final = {
    ValueType.UINT8: 2**8 - 1,
    ValueType.UINT16: 2**16 - 1,
    ValueType.UINT32: 2**32 - 1,
    ValueType.UINT64: 2**64 - 1,
}
MAPS: Final = {"icmap": CmapMap.DEFAULT, "default": CmapMap.DEFAULT, "stats": CmapMap.STATS}
CLEARABLE: Final = ("knet", "totem", "ipc", "schedmiss", "all")
EVENT_NAMES: Final = {TrackEvent.ADD: "create", TrackEvent.DELETE: "delete", TrackEvent.MODIFY: "modify"}

HELP: Final = """
usage:  corosync-cmapctl [-b] [-DdghsqTCt] [-p filename] [-m map] [params...]

    -b show binary values

    -m select map to use
          The  default  map is 'icmap' which contains configuration information and some runtime variables \
used by corosync.\x20
          A 'stats' map is also available which displays network statistics - in great detail when knet is \
used as the transport.
Set key:
    corosync-cmapctl -s key_name type value

    where type is one of ([i|u][8|16|32|64] | flt | dbl | str | bin)
    for bin, value is file name (or - for stdin)

    map can be either 'icmap' (the default) which contains corosync
    configuration information, or 'stats' which contains statistics
    about the networking and IPC traffic in some detail.

Clear stats:
    corosync-cmapctl -C [knet|ipc|totem|schedmiss|all]
    The 'stats' map is implied

Load settings from a file:
    corosync-cmapctl -p filename

    the format of the file is:
    [^[^]]<key_name>[ <type> <value>]
    Keys prefixed with single caret ('^') are deleted (see -d).
    Keys (actually prefixes) prefixed with double caret ('^^') are deleted by prefix (see -D).
    <type> and <value> are optional (not checked) in above cases.
    Other keys are set (see -s) so both <type> and <value> are required.

Delete key:
    corosync-cmapctl -d key_name...

Delete multiple keys with prefix:
    corosync-cmapctl -D key_prefix...

Get key:
    corosync-cmapctl [-b] -g key_name...

Quiet mode:
    corosync-cmapctl [-b] -q -g key_name...

Display all keys:
    corosync-cmapctl [-b]

Display keys with prefix key_name:
    corosync-cmapctl [-b] key_name...

Track changes on keys with key_name:
    corosync-cmapctl [-b] -t key_name

Track changes on keys with key prefix:
    corosync-cmapctl [-b] -T key_prefix
"""


class _Failed(Exception):
    pass


@dataclass
class _Settings:
    """What the options say."""

    action: "Action"
    map: CmapMap = CmapMap.DEFAULT
    show_binary: bool = False
    quiet: bool = False
    track_prefix: bool = True
    filename: str = ""
    clear: str = ""
    keys: list[str] = field(default_factory=list)


class Action(NamedTuple):
    """What the tool is asked to do; `run` returns the exit status."""

    run: Callable[[Cmap, _Settings], int]
    needs_keys: bool = True


def run() -> NoReturn:
    """The command."""
    run_tool(main)


def main(arguments: list[str]) -> int:
    """Do what the command line says; the exit status."""
    if (rest := json_status.without_option(arguments)) is not None:
        return json_status.answer("corosync-cmapctl", rest)
    try:
        settings = _read_options(arguments)
        if settings is None:
            _out(HELP + "\n")
            return EXIT_SUCCESS
        if not settings.keys and settings.action.needs_keys:
            _fail("Expected key after options")
        with _connect(settings.map) as cmap:
            return settings.action.run(cmap, settings)
    except _Failed:
        return EXIT_FAILURE
    finally:
        sys.stdout.buffer.flush()


def _read_options(arguments: list[str]) -> _Settings | None:
    """None: help is wanted."""
    settings = _Settings(SHOW)
    options = Options(arguments, LETTERS, program="corosync-cmapctl")
    map_is_given = False
    for letter, argument in options:
        if letter == "h":
            return None
        if letter == "?":
            raise _Failed
        if letter in ACTIONS:
            settings.action = ACTIONS[letter]
        if letter == "b":
            settings.show_binary = True
        elif letter == "q":
            settings.quiet = True
        elif letter == "p":
            settings.filename = argument
        elif letter == "t":
            # Compatibility: -t stays in force when -T follows.
            settings.track_prefix = False
        elif letter == "C":
            if argument not in CLEARABLE:
                _fail("argument to -C should be 'knet', 'totem', 'ipc', 'schedmiss' or 'all'")
            settings.clear, settings.map = argument, CmapMap.STATS
        elif letter == "m":
            if argument in MAPS:
                settings.map, map_is_given = MAPS[argument], True
            elif not map_is_given:
                _fail("invalid map name, must be 'default', 'icmap' or 'stats'")
    settings.keys = options.operands
    return settings


def _connect(which: CmapMap) -> Cmap:
    for attempt in range(ATTEMPTS_MAX + 1):
        try:
            return Cmap(which)
        except LibraryError as fault:
            if fault.code is not CsError.TRY_AGAIN or attempt == ATTEMPTS_MAX:
                _fail(f"Failed to initialize the cmap API. Error {fault.code.label}")
        time.sleep(RETRY_S)
    raise _Failed


# --- showing


def _show(cmap: Cmap, settings: _Settings) -> int:
    """Compatibility: a failure only if none of the prefixes had a key."""
    without_result = sum(not _show_prefix(cmap, prefix, settings) for prefix in settings.keys or [""])
    return EXIT_FAILURE if without_result >= max(1, len(settings.keys)) else EXIT_SUCCESS


def _show_prefix(cmap: Cmap, prefix: str, settings: _Settings) -> bool:
    """Whether there was any key."""
    found = False
    for key, kind in _keys(cmap, prefix):
        found = True
        _show_key(cmap, key, kind, settings)
    return found


def _keys(cmap: Cmap, prefix: str) -> Iterator[tuple[str, ValueType]]:
    items = cmap.items(prefix)
    while True:
        try:
            item = next(items, None)
        except LibraryError as fault:
            _fail(f"Failed to initialize iteration. Error {fault.code.label}")
        if item is None:
            return
        yield item.key, item.kind


def _get(cmap: Cmap, settings: _Settings) -> int:
    for key in settings.keys:
        try:
            kind = cmap.info(key).kind
        except LibraryError as fault:
            _fail(f"Can't get key {key}. Error {fault.code.label}")
        _show_key(cmap, key, kind, settings)
    return EXIT_SUCCESS


def _show_key(cmap: Cmap, key: str, kind: ValueType, settings: _Settings) -> None:
    if kind is ValueType.BINARY and not settings.show_binary:
        _out(line_of(key, Entry(kind, b""), settings.quiet, settings.show_binary))
        return
    try:
        entry = _persistently(lambda: cmap.entry(key))
    except LibraryError as fault:
        _err(f"Can't get value of {key}. Error {fault.code.label}")
        return
    _out(line_of(key, entry, settings.quiet, settings.show_binary))


def _persistently(ask: Callable[[], Entry]) -> Entry:
    for _ in range(ATTEMPTS_MAX):
        try:
            return ask()
        except LibraryError as fault:
            if fault.code is not CsError.TRY_AGAIN:
                raise
        time.sleep(RETRY_S)
    return ask()


def line_of(key: str, entry: Entry, quiet: bool, show_binary: bool) -> str:
    """The line that shows a key. Compatibility: of a binary value, -q hides only the name."""
    kind, value = entry
    if kind is ValueType.BINARY:
        text = "bin)" if quiet else f"{key} (bin)"
        return f"{text} = {_escaped(value)}\n" if show_binary else f"{text}\n"
    shown = f"{value:f}" if isinstance(value, float) else str(value)
    return f"{shown}\n" if quiet else f"{key} ({TYPE_NAMES[kind]}) = {shown}\n"


def _escaped(value: Value) -> str:
    """Compatibility: bytes above 0x7f are shown as negative numbers of 32 bits."""
    shown = []
    for byte in value if isinstance(value, bytes) else b"":
        if byte == 0x5C:
            shown.append("\\\\")
        elif 0x20 <= byte < 0x7F:
            shown.append(chr(byte))
        else:
            shown.append(f"\\x{byte:02X}" if byte < 0x80 else f"\\xFFFFFF{byte:02X}")
    return "".join(shown)


# --- changing


def _set(cmap: Cmap, settings: _Settings) -> int:
    if len(settings.keys) < 3:
        _fail("At least 3 parameters are expected for set")
    _set_key(cmap, *settings.keys[:3])
    return EXIT_SUCCESS


def _set_key(cmap: Cmap, key: str, type_name: str, text: str) -> None:
    kind = TYPES.get(type_name)
    if kind is None:
        _fail(f"Unknown type {type_name}")
    value = _contents_of(text) if kind is ValueType.BINARY else parsed(kind, type_name, text)
    try:
        if value == b"":
            # Compatibility: libcmap refuses the null pointer that an empty file leaves.
            raise LibraryError(CsError.INVALID_PARAM)
        cmap.set(key, kind, value)
    except LibraryError as fault:
        _fail(f"Failed to set key {key}. Error {fault.code.label}")


def parsed(kind: ValueType, type_name: str, text: str) -> Value:
    """The value that sscanf(3) reads from the beginning of the text; what follows does not matter."""
    if kind is ValueType.STRING:
        return text
    value: int | float | None
    if kind in SIGNED_RANGE or kind in UNSIGNED_MAX:
        value = _scan_integer(text, signed=kind in SIGNED_RANGE)
    else:
        value = _scan_real(text)
    if value is None:
        _fail(f"{text} is not valid {type_name} type value")
    lowest, highest = SIGNED_RANGE.get(kind) or (0, UNSIGNED_MAX.get(kind, 0))
    if isinstance(value, int) and not lowest <= value <= highest:
        _fail(f"{text} is not valid {type_name} integer")
    return _rounded(value) if kind is ValueType.FLOAT else value


def _scan_integer(text: str, *, signed: bool) -> int | None:
    """A number of 64 bits; larger ones become the largest, and unsigned negative ones wrap round."""
    match = re.match(r"[ \t-\r]*([+-]?)([0-9]+)", text)
    if match is None:
        return None
    number = int(match[2])
    if signed:
        return max(-number, -(2**63)) if match[1] == "-" else min(number, 2**63 - 1)
    if number > 2**64 - 1:
        return 2**64 - 1
    return (2**64 - number) % 2**64 if match[1] == "-" else number


_REAL = re.compile(
    r"""[ \t-\r]*
    (?P<sign>[+-]?)
    (?: (?P<word>inf(?:inity)?|nan)
      | 0x(?P<hex>(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?)
      | (?!0x)(?P<decimal>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def _scan_real(text: str) -> float | None:
    match = _REAL.match(text)
    if match is None:
        return None
    if match["hex"]:
        try:
            return float.fromhex(f"{match['sign']}0x{match['hex']}")
        except OverflowError:
            return float(f"{match['sign']}inf")
    return float(match["sign"] + (match["word"] or match["decimal"]))


def _rounded(value: float) -> float:
    """To 32 bits; what is too large becomes infinite, as C has it."""
    try:
        number: float = struct.unpack("=f", struct.pack("=f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return number


def _contents_of(filename: str) -> bytes:
    if filename == "-":
        return sys.stdin.buffer.read()
    try:
        with open(filename, "rb") as file:
            return file.read()
    except IsADirectoryError:
        # Compatibility: in C a directory can be opened, but not read.
        return b""
    except OSError as fault:
        _fail(f"Can't open input file: {fault.strerror}")


def _delete(cmap: Cmap, settings: _Settings) -> int:
    for key in settings.keys:
        if not _delete_key(cmap, key):
            return EXIT_FAILURE
    return EXIT_SUCCESS


def _delete_key(cmap: Cmap, key: str) -> bool:
    try:
        cmap.delete(key)
    except LibraryError as fault:
        _err(f"Can't delete key {key}. Error {fault.code.label}")
        return False
    return True


def _delete_prefixes(cmap: Cmap, settings: _Settings) -> int:
    for prefix in settings.keys:
        _delete_prefix(cmap, prefix)
    return EXIT_SUCCESS


def _delete_prefix(cmap: Cmap, prefix: str) -> None:
    for key, _ in _keys(cmap, prefix):
        _delete_key(cmap, key)


def _load(cmap: Cmap, settings: _Settings) -> int:
    """Compatibility: a file that cannot be opened is no failure."""
    try:
        with open(settings.filename, "rb") as file:
            for line in file:
                _load_line(cmap, line.decode("utf-8", "surrogateescape"))
    except IsADirectoryError:
        pass
    except OSError as fault:
        _err(f"Couldn't open file.: {fault.strerror}")
    return EXIT_SUCCESS


def _load_line(cmap: Cmap, line: str) -> None:
    line = line.lstrip(" \t")
    words = [word for word in re.split("[ \n]", line) if word]
    if not words or line.startswith("#"):
        return
    key = words[0]
    if key.startswith("^^"):
        _delete_prefix(cmap, key[2:])
    elif key.startswith("^"):
        _delete_key(cmap, key[1:])
    elif len(words) < 3:
        _fail(f"Both type and value for key {key} are required")
    else:
        _set_key(cmap, key, words[1], words[2])


def _clear(cmap: Cmap, settings: _Settings) -> int:
    """Compatibility: nobody asks whether it worked."""
    with suppress(LibraryError):
        cmap.set(f"stats.clear.{settings.clear}", ValueType.UINT32, 1)
    return EXIT_SUCCESS


# --- watching


def _track(cmap: Cmap, settings: _Settings) -> int:
    events = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY
    if settings.track_prefix:
        events |= TrackEvent.PREFIX
    for key in settings.keys:
        try:
            cmap.track(key, events, lambda change: _show_change(change, settings))
        except LibraryError as fault:
            _fail(f"Failed to add tracking function. Error {fault.code.label}")
    _out('Type "q" to finish\n')
    _watch(cmap)
    return EXIT_SUCCESS


def _show_change(change: Notification, settings: _Settings) -> None:
    entry = change.old if change.event is TrackEvent.DELETE else change.new
    name = EVENT_NAMES.get(change.event)
    if name is not None and entry is not None:
        _out(f"{name}> {line_of(change.key, entry, settings.quiet, settings.show_binary)}")


def _watch(cmap: Cmap) -> None:
    """Until standard input has a line that begins with q, or ends. A closed pipe is no end: only ignored."""
    poll = select.poll()
    poll.register(cmap.fileno(), select.POLLIN)
    stdin = sys.stdin.fileno()
    poll.register(stdin, select.POLLIN)
    sys.stdout.buffer.flush()
    done = False
    while not done:
        ready = dict(poll.poll())
        if ready.get(stdin, 0) & select.POLLIN:
            line = os.read(stdin, 4096)
            done = not line or any(part.startswith(b"q") for part in line.split(b"\n"))
        elif stdin in ready:
            poll.unregister(stdin)
        if cmap.fileno() in ready:
            try:
                cmap.dispatch()
            except LibraryError as fault:
                _err(f"Dispatch error {fault.code.label}")
                done = True
            sys.stdout.buffer.flush()


# --- output


def _out(text: str) -> None:
    """Names and values come as any bytes, and leave as the same."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    if sys.stdout.isatty():
        sys.stdout.buffer.flush()


def _err(text: str) -> None:
    sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stderr.flush()


def _fail(text: str) -> NoReturn:
    _err(text)
    raise _Failed


SHOW: Final = Action(_show, needs_keys=False)
ACTIONS: Final = {
    "g": Action(_get),
    "s": Action(_set),
    "d": Action(_delete),
    "D": Action(_delete_prefixes),
    "p": Action(_load, needs_keys=False),
    "C": Action(_clear, needs_keys=False),
    "t": Action(_track),
    "T": Action(_track),
}
