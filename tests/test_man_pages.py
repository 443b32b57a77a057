"""The man pages say everything: each option with its default, key, statistic, letter of a command line."""

import importlib
import re
from pathlib import Path

import pytest

from pycorosync.cmap import stats
from pycorosync.cmap.keys import KEYS
from pycorosync.config.options import OPTIONS, REFUSED_AT_RELOAD, Option
from pycorosync.daemon import command_line
from pycorosync.tools import json_status
from pycorosync.tools.common import LongOption

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs/man"
SCRIPTS = re.findall(
    r'^(corosync[a-z-]*) = "(\S+):run"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
)
TERM = re.compile(r"(?:``[^`]+``(?:, )?)+")
QUORUM_OPTIONS = [path for path in OPTIONS if path.startswith("quorum.") and path != "quorum.provider"]


def page(name: str) -> str:
    return (PAGES / f"{name}.rst").read_text()


def sections(text: str) -> dict[str, str]:
    """Title -> text of each section."""
    parts = re.split(r"^(\S.*)\n(?:=+|-+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def definitions(text: str) -> dict[str, str]:
    """Term -> what is said about it, for each ``term`` that begins a definition."""
    found = {}
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if TERM.fullmatch(line) and lines[place + 1].startswith("    "):
            said = []
            for following in lines[place + 1 :]:
                if following and not following.startswith("    "):
                    break
                said.append(following.strip())
            for term in re.findall("``([^`]+)``", line):
                found[term] = " ".join(said)
    return found


def described(option: Option) -> str | None:
    """What corosync.conf(5) or votequorum(5) says about an option."""
    section, _, key = option.path.rpartition(".")
    if option.path in QUORUM_OPTIONS:
        return definitions(page("votequorum.5")).get(key)
    text = sections(page("corosync.conf.5")).get(section, "")
    return definitions(text).get(re.sub(r"^ring\d_addr$", "ringX_addr", key))


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.path)
def test_each_option_is_described_with_its_default(option: Option) -> None:
    said = described(option)
    assert said is not None, f"{option.path} is not in the man page"
    if option.default is not None and not option.path.startswith("logging.logger_subsys."):
        assert f"Default: {option.default!s}." in said, f"{option.path}: {said}"
    for choice in option.choices:
        assert f"``{choice}``" in said or choice == "none", f"{option.path} may be {choice}"


def test_nothing_is_described_that_does_not_exist() -> None:
    known = {re.sub(r"ring\d_addr$", "ringX_addr", path) for path in OPTIONS} | set(REFUSED_AT_RELOAD)
    for section, text in sections(page("corosync.conf.5")).items():
        for term in definitions(text):
            assert f"{section}.{term}" in known, f"{section}.{term}"
    for term in definitions(page("votequorum.5")):
        assert f"quorum.{term}" in known or f"quorum.device.{term}" in known, term


def test_what_a_reload_does_not_change_is_listed() -> None:
    listed = re.findall("``([a-z._]+)``", sections(page("corosync.conf.5"))["RELOAD"])
    assert sorted(listed) == sorted(REFUSED_AT_RELOAD)


def test_each_key_of_the_map_is_described() -> None:
    prefixes = re.findall(r"^\.\. keys: (\S+)$", page("cmap_keys.7"), re.MULTILINE)
    for key in KEYS:
        assert [prefix for prefix in prefixes if key.pattern.startswith(prefix)], key.pattern


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("stats.pg.*", stats.PG),
        ("stats.srp.*", stats.SRP),
        ("stats.knet.nodeN.linkN.*", stats.KNET_LINK),
        ("stats.knet.handle.*", stats.KNET_HANDLE),
        ("stats.ipcs.*", stats.IPC_CONNECTION),
        ("stats.schedmiss.N.*", stats.SCHEDULE_MISS),
    ],
)
def test_each_statistic_is_described(section: str, names: stats.Names) -> None:
    text = sections(page("cmap_keys.7"))[section]
    assert sorted(set(re.findall(r"\*\*([a-z_]+)\*\*", text))) == sorted(name for name, _ in names)


def options_in(text: str) -> set[str]:
    """-x and --xyz at the beginning of a definition in the section OPTIONS."""
    found = set()
    for line in sections(text)["OPTIONS"].splitlines():
        if line.startswith("-"):
            found |= {word.partition("=")[0] for word in re.findall(r"(?:^|, )(-[^ ,]+)", line)}
    return found


def letters(text: str) -> set[str]:
    """A string for getopt as options."""
    return {f"-{letter}" for letter in text.replace(":", "")}


@pytest.mark.parametrize(("command", "module"), SCRIPTS, ids=lambda value: str(value).rpartition(".")[2])
def test_each_command_line_option_is_described(command: str, module: str) -> None:
    said = options_in(page(f"{command}.8")) if "\nOPTIONS\n" in page(f"{command}.8") else set()
    if command == "corosync":
        shown = set(re.findall(r"^ +(-[a-z-]+)", command_line.USAGE, re.MULTILINE)) | set(command_line.LONG)
    else:
        tool = importlib.import_module(module)
        names: dict[str, LongOption] = getattr(tool, "NAMES", {})
        shown = letters(getattr(tool, "LETTERS", "")) | {f"--{name}" for name in names}
        shown |= {json_status.OPTION} if hasattr(tool, "json_status") else set()
        # A tool that keeps its letters to itself tells of them.
        shown = shown or set(re.findall(r"^ +(-[A-Za-z])\b", getattr(tool, "USAGE", ""), re.MULTILINE))
    assert said == shown


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.rst")), ids=lambda path: path.stem)
def test_other_pages_that_are_named_exist(path: Path) -> None:
    from_elsewhere = {"corosync-qdevice.8"}
    for name, section in re.findall(r"\*\*([a-z._-]+)\*\*\\\((\d)\)", path.read_text()):
        other = f"{name}.{section}"
        assert (PAGES / f"{other}.rst").exists() or other in from_elsewhere, f"{path.name}: {other}"
