"""corosync.conf as text: lines, sections and options with their line numbers (corosync: exec/coroparse.c).

The format is a format of lines, and its rules are few: protocol/corosync-conf.md lists them. pyparsing says
what one line is; how sections nest is a stack here, because a grammar that recurses would let a hostile
file with deep nesting choose the depth of our recursion.

A file is bytes. Lengths count bytes, so the text is handled as latin-1 (one character, one byte) in here,
and handed out as UTF-8, where bytes that are no UTF-8 become surrogate escapes.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from pyparsing import ParserElement, Regex

READ_BYTES: Final = 511  # one read takes this much at most; a line that needs more is too long
PATH_LIMIT: Final = 255  # a path must stay below this
BLANKS: Final = " \t\xa0"  # 0xa0: what a no-break space leaves behind, since corosync 3.1.9


class Kind(Enum):
    """What a line does."""

    OPEN = auto()
    OPTION = auto()
    CLOSE = auto()


class Statement(NamedTuple):
    """One line that means something. `path` is that of the section for OPEN and CLOSE."""

    kind: Kind
    line: int
    path: str
    key: str = ""
    value: str = ""


class Problem(NamedTuple):
    """Something that cannot be read. After a `fatal` one the rest of the text makes no sense."""

    line: int
    text: str
    fatal: bool


def _line_with(mark: str) -> ParserElement:
    """What stands before the first mark of its kind, and what behind it; both may be empty."""
    mark = f"\\{mark}"
    return Regex(rf"(?P<name>[^{mark}]*){mark}(?P<rest>[\x00-\xff]*)").leave_whitespace().parse_with_tabs()


# The order matters: a line with an opening brace opens a section, even if it has a colon.
_LINES: Final = (
    (Kind.OPEN, "{", _line_with("{")),
    (Kind.OPTION, ":", _line_with(":")),
    (Kind.CLOSE, "}", _line_with("}")),
)


def as_bytes_text(text: str | bytes) -> str:
    """The file's bytes as one character each."""
    if isinstance(text, bytes):
        return text.decode("latin-1")
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:  # surrogates that no decoder has made
        return text.encode("utf-8", "replace").decode("latin-1")


def as_text(raw: str) -> str:
    """The inverse of as_bytes_text for a part of the file."""
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "surrogateescape")


def byte_length(text: str) -> int:
    """How long a text is in the file."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _reads(raw: str) -> Iterator[tuple[str, bool]]:
    """Pieces as C's fgets gives them, and whether the piece came with the end of the file."""
    start = 0
    while start < len(raw):
        newline = raw.find("\n", start, start + READ_BYTES)
        end = newline + 1 if newline >= 0 else min(start + READ_BYTES, len(raw))
        yield raw[start:end], newline < 0 and end - start < READ_BYTES
        start = end


def _lines(raw: str) -> Iterator[tuple[int, str | Problem]]:
    """Numbered lines with something in them, without their ends, trailing blanks and comments."""
    for number, (piece, at_end) in enumerate(_reads(raw), 1):
        line = piece.split("\0", 1)[0]  # a NUL ends what is seen of a line
        if line:
            if not line.endswith("\n") and not at_end:
                yield number, Problem(number, "Line too long", fatal=True)
                return
            line = line.removesuffix("\n").removesuffix("\r").rstrip(BLANKS)
        content = line.lstrip(BLANKS)
        if content and content[0] != "#":
            yield number, line


def _name(text: str, mark: str, rest: str) -> str:
    """The name before a mark, a colon or a brace.

    Compatibility: corosync cuts the line at the last of the blanks behind the mark, then takes blanks, colons
    and braces off the end, but never the first character. So a line that has nothing but blanks before the
    mark, and blanks behind it, has the mark for its name.
    """
    name = (text + mark if rest.startswith(tuple(BLANKS)) else text).lstrip(BLANKS)
    return name.rstrip(BLANKS + ":{") or name[:1]


def _opened(line: int, path: str, name: str, rest: str) -> Statement | Problem:
    section = _name(name, "{", rest)
    if not section:
        return Problem(line, "Missing section name before opening bracket '{'", fatal=True)
    if rest.strip(BLANKS):
        return Problem(line, "Extra characters after opening bracket '{'", fatal=True)
    if len(path) + len(section) + 1 >= PATH_LIMIT:
        return Problem(line, "Start of section makes total cmap path too long", fatal=True)
    return Statement(Kind.OPEN, line, f"{path}.{section}" if path else section)


def _option(line: int, path: str, name: str, rest: str) -> Statement | Problem:
    key = _name(name, ":", rest)
    if len(path) + len(key) + 1 >= PATH_LIMIT:
        return Problem(line, "New key makes total cmap path too long", fatal=False)
    return Statement(Kind.OPTION, line, f"{path}.{key}" if path else key, key, rest.strip(BLANKS))


def _closed(line: int, path: str, name: str, rest: str) -> Statement | Problem:
    if name.strip(BLANKS) or rest.strip(BLANKS):
        return Problem(line, "Extra characters before or after closing bracket '}'", fatal=True)
    if not path:
        return Problem(line, "Unexpected closing brace", fatal=True)
    return Statement(Kind.CLOSE, line, path)


_MEANING: Final = {Kind.OPEN: _opened, Kind.OPTION: _option, Kind.CLOSE: _closed}


def _statement(number: int, path: str, line: str) -> Statement | Problem:
    for kind, mark, grammar in _LINES:
        if mark in line:
            parts = grammar.parse_string(line)
            return _MEANING[kind](number, path, parts["name"], parts["rest"])
    return Problem(number, "Line is not opening or closing section or key value", fatal=False)


def statements(raw: str) -> Iterator[Statement | Problem]:
    """What the text says, line by line, in latin-1 (see as_bytes_text); problems where they are met.

    Linear in the length of the text. Nothing follows a problem that is fatal. Every section that is opened
    is closed, unless a fatal problem came in between.
    """
    open_paths: list[str] = []
    number = 0
    for number, line in _lines(raw):
        if isinstance(line, Problem):
            yield line
            return
        path = open_paths[-1] if open_paths else ""
        found = _statement(number, path, line)
        yield found
        if isinstance(found, Problem):
            if found.fatal:
                return
        elif found.kind is Kind.OPEN:
            open_paths.append(found.path)
        elif found.kind is Kind.CLOSE:
            open_paths.pop()
    if open_paths:
        yield Problem(sum(1 for _ in _reads(raw)), "Missing closing brace", fatal=True)
