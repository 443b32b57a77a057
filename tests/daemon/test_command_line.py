"""The daemon's options (pycorosync/daemon/command_line.py)."""

import re

import pytest

from pycorosync.daemon.command_line import (
    PATH_BYTES_MAX,
    Options,
    PathTooLong,
    UsageError,
    parse_arguments,
    version_text,
)
from pycorosync.daemon.configuration import DEFAULT_FILE


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", Options(DEFAULT_FILE)),
        ("-f", Options(DEFAULT_FILE, foreground=True)),
        ("-t", Options(DEFAULT_FILE, test_only=True)),
        ("-ftc /a", Options("/a", foreground=True, test_only=True)),
        ("-c/a -f", Options("/a", foreground=True)),
        ("-c /a -c b/c", Options("b/c")),
        ("word -f - word", Options(DEFAULT_FILE, foreground=True)),
        ("-t -- -f -z", Options(DEFAULT_FILE, test_only=True)),
        ("-c -- -f", Options("--", foreground=True)),
        ("-t --explain", Options(DEFAULT_FILE, test_only=True, explain=True)),
        ("--against-running", Options(DEFAULT_FILE, test_only=True, against_running=True)),
        ("-c --explain", Options("--explain")),
    ],
)
def test_options_are_read_as_getopt_does(line: str, options: Options) -> None:
    assert parse_arguments(line.split()) == options


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("-h", "invalid option -- 'h'"),
        ("-tfz", "invalid option -- 'z'"),
        ("--explainn", "invalid option -- '-'"),
        ("--help", "invalid option -- '-'"),
        ("-c", "option requires an argument -- 'c'"),
        ("-tc", "option requires an argument -- 'c'"),
        ("-z -v", "invalid option -- 'z'"),
    ],
)
def test_what_is_wrong_is_said_in_getopts_words(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(complaint)}$"):
        parse_arguments(line.split())


@pytest.mark.parametrize("line", ["-v", "-fv", "-v -z", "-v -c"])
def test_the_version_ends_the_reading(line: str) -> None:
    assert parse_arguments(line.split()) is None


def test_a_path_has_a_limit() -> None:
    longest = "/" + "x" * (PATH_BYTES_MAX - 1)
    assert parse_arguments(["-c", longest]) == Options(longest)
    for path in (longest + "x", "/" + "ä" * (PATH_BYTES_MAX // 2)):
        with pytest.raises(PathTooLong):
            parse_arguments(["-c", path, "-z"])
    assert parse_arguments(["-c", ""]) == Options("")


def test_the_first_dotted_number_of_the_version_is_corosyncs() -> None:
    text = version_text()
    found = re.search(r"\d+(\.\d+)+", text)
    assert found is not None
    assert text.startswith(f"Corosync Cluster Engine, version '{found[0]}'\n")
    assert found[0].startswith("3.")
    assert re.search(r"^Available crypto models: .*openssl", text, re.MULTILINE)
    assert re.search(r"^Available compression models: zlib ", text, re.MULTILINE)
