"""What the tools share: long options, numbers as strtol(3) reads them, the frame around main."""

import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, NoReturn, TextIO

from pycorosync.tools.options import Option, Options

EXIT_SUCCESS, EXIT_FAILURE = 0, 1
UINT32_MAX = 2**32 - 1
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)


class LongOption(NamedTuple):
    """What `--name` stands for: the letter that it is given out as, and whether it takes an argument."""

    letter: str
    takes_argument: bool = False


class LongOptions(Options):
    """As getopt_long(3): `--name`, `--name=argument`, `--name argument`, and beginnings of names."""

    def __init__(
        self,
        arguments: list[str],
        letters: str,
        names: Mapping[str, LongOption],
        *,
        program: str | None = None,
    ) -> None:
        super().__init__(arguments, letters, program=program)
        self._names = names

    def _cluster(self, cluster: str, rest: Iterator[str]) -> Iterator[Option]:
        if cluster.startswith("-"):
            yield self._long(cluster[1:], rest)
        else:
            yield from super()._cluster(cluster, rest)

    def _long(self, text: str, rest: Iterator[str]) -> Option:
        given, equals, argument = text.partition("=")
        matches = [name for name in self._names if name.startswith(given)]
        if given in self._names:
            matches = [given]
        if not matches:
            return self._mistake(f"unrecognized option '--{text}'")
        if len({self._names[name] for name in matches}) > 1:
            possibilities = "".join(f" '--{name}'" for name in matches)
            return self._mistake(f"option '--{text}' is ambiguous; possibilities:{possibilities}")
        name = matches[0]
        option = self._names[name]
        if not option.takes_argument:
            if equals:
                return self._mistake(f"option '--{name}' doesn't allow an argument")
            return Option(option.letter, "")
        if equals:
            return Option(option.letter, argument)
        following = next(rest, None)
        if following is None:
            return self._mistake(f"option '--{name}' requires an argument")
        return Option(option.letter, following)


def number(text: str, low: int, high: int) -> int | None:
    """A whole number in the given range, or None. Leading blanks and a sign are fine, other text is not."""
    match = NUMBER.fullmatch(text)
    value = int(match[1]) if match and len(text) < 64 else None
    return value if value is not None and low <= value <= high else None


def complain(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr)


def run_tool(main: Callable[[list[str]], int]) -> NoReturn:
    """End the process with what main makes of the arguments.

    As a C program does: a reader that goes away, and the user's interrupt, end it without a word.
    """
    for number_ in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number_, signal.SIG_DFL)
    streams: tuple[TextIO, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        # Names from the map may hold any bytes.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape")
    sys.exit(main(sys.argv[1:]))
