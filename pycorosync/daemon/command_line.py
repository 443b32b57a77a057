"""The daemon's options, and what it says about itself (corosync: the first half of main() in exec/main.c)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pycorosync import COROSYNC_VERSION, __version__
from pycorosync.config.options import CRYPTO_MODELS
from pycorosync.daemon.configuration import DEFAULT_FILE
from pycorosync.knet.compress import MODELS

PATH_BYTES_MAX = 4096
# Of what corosync can be built with, what this program has.
FEATURES: tuple[str, ...] = ("dbus", "monitoring", "watchdog", "systemd", "xmlconf", "snmp")

# What corosync does not have; either means -t. The usage is corosync's, word by word, and does not name them.
LONG = {"--explain": "explain", "--against-running": "against_running"}

USAGE = """usage:
        -c     : Corosync config file path.
        -f     : Start application in foreground.
        -t     : Test configuration and exit.
        -v     : Display version, git revision and some useful information about Corosync and exit.
"""


class UsageError(Exception):
    """The command line cannot be used; the text is getopt(3)'s, without the program's name."""


class PathTooLong(Exception):
    """The configuration file's path is longer than a path can be."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    configuration_file: str = DEFAULT_FILE
    foreground: bool = False
    test_only: bool = False
    explain: bool = False
    against_running: bool = False


def parse_arguments(arguments: Sequence[str]) -> Options | None:
    """The options, as getopt(3) finds them; None for -v. The first that ends the program decides, as with C.

    Other words are ignored. Raises UsageError, PathTooLong.
    """
    path, seen = DEFAULT_FILE, set()
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word in LONG:
            seen.add(word)
            continue
        letters = word[1:] if word.startswith("-") else ""
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "c":
                value = letters or next(words, None)
                if value is None:
                    raise UsageError("option requires an argument -- 'c'")
                if len(value.encode(errors="surrogateescape")) > PATH_BYTES_MAX:
                    raise PathTooLong
                path, letters = value, ""
            elif letter not in "ftv":
                raise UsageError(f"invalid option -- '{letter}'")
            elif letter == "v":
                return None
            seen.add(letter)
    long = {name for word, name in LONG.items() if word in seen}
    return Options(
        path,
        foreground="f" in seen,
        test_only="t" in seen or bool(long),
        explain="explain" in long,
        against_running="against_running" in long,
    )


def features() -> str:
    """Each behind a blank, as corosync's build writes them."""
    return "".join(f" {name}" for name in FEATURES)


def version_text() -> str:
    """`corosync -v`: scripts look for the first dotted number."""
    return (
        f"Corosync Cluster Engine, version '{COROSYNC_VERSION}'\n"
        f"pycorosync {__version__}\n"
        f"\nBuilt-in features:{features()}\n"
        f"Available crypto models: {' '.join(CRYPTO_MODELS)}\n"
        f"Available compression models: {' '.join(model.name for model in MODELS if model.available)}\n"
    )
