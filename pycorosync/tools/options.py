"""Command lines as getopt(3) reads them: option by option, operands last, and in its words."""

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple


class Option(NamedTuple):
    """One option as it stands on the command line; `argument` is "" for those that have none."""

    letter: str
    argument: str


class Options:
    """Iterate to get the options; what is then in `operands` is the rest, in its order.

    Options and operands may be mixed; `--` ends the options. The letter "?" stands for a mistake, about which
    getopt's line has been written to standard error. Options before a mistake have been given out by then.
    """

    def __init__(self, arguments: list[str], letters: str, *, program: str | None = None) -> None:
        """`letters` as for getopt: a colon follows each that takes an argument."""
        self._arguments = arguments
        self._letters = letters
        self._program = os.path.basename(sys.argv[0]) if program is None else program
        self.operands: list[str] = []

    def __iter__(self) -> Iterator[Option]:
        rest = iter(self._arguments)
        for word in rest:
            if word == "--":
                self.operands += rest
            elif len(word) > 1 and word.startswith("-"):
                yield from self._cluster(word[1:], rest)
            else:
                self.operands.append(word)

    def _cluster(self, cluster: str, rest: Iterator[str]) -> Iterator[Option]:
        """The options of one word, the last of which may have its argument in the next."""
        for place, letter in enumerate(cluster, start=1):
            at = self._letters.find(letter) if letter != ":" else -1
            if at < 0:
                yield self._mistake(f"invalid option -- '{letter}'")
            elif self._letters[at + 1 : at + 2] != ":":
                yield Option(letter, "")
            else:
                argument = cluster[place:] or next(rest, None)
                if argument is None:
                    yield self._mistake(f"option requires an argument -- '{letter}'")
                else:
                    yield Option(letter, argument)
                return

    def _mistake(self, text: str) -> Option:
        print(f"{self._program}: {text}", file=sys.stderr)
        return Option("?", "")
