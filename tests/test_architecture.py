"""The rules of docs/architecture.md: who may import whom, where I/O lives, sizes, a test for each module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pycorosync"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60

EVERYONE = {"types", "record", "deadlines", "errors", "cs_error", "log", "__version__", "COROSYNC_VERSION"}
MAY_IMPORT = {
    "types": set(),
    "record": set(),
    "deadlines": set(),
    "errors": set(),
    "cs_error": set(),
    "log": set(),
    "wire": set(),
    "knet": {"wire"},
    "udp": {"knet"},  # its outputs are knet's
    "totem": {"wire"},
    "cmap": set(),
    "config": {"cmap"},
    "services": {"wire", "cmap"},
    "ipc": {"wire", "bundled"},  # bundled: what a distribution lacks, in its package only
    "node": {"wire", "knet", "udp", "totem", "services", "cmap", "config"},
    "client": {"ipc", "wire", "services"},
    "tools": {"client", "config"},
    "daemon": {"node", "ipc", "config", "cmap", "services", "knet", "client"},  # client: explanation.py
    "__main__": {"daemon"},
}
# A file that may see more than its layer, and what.
SEES_MORE = {
    "tools/virtual_cluster.py": {"cmap", "services", "wire"},  # engines without a daemon
    "tools/vqsim.py": {"cmap"},
}
FORBIDDEN = {
    "socket", "select", "selectors", "time", "datetime", "random", "secrets",
    "os", "threading", "asyncio", "subprocess", "multiprocessing", "signal",
}  # fmt: skip
DOES_IO = {"daemon", "client", "tools"}
DOES_IO_FILES = {"ipc/semaphore.py", "ipc/shared_memory.py"}
# `from pycorosync.services.service import ...`: the headers that every message begins with.
# `from pycorosync.cmap.values import ...`: the types of values, which cmap's messages carry.
MESSAGES_MAY_IMPORT = {"wire", "types", "record", "errors", "cs_error", "services.service", "cmap.values"}

# A module without a test file of its own, and why.
NEEDS_NO_TEST = {
    "__init__.py": "the version",
    "types.py": "declares names only",
    "errors.py": "declares names only",
    "services/outputs.py": "declares names only",
    "node/outputs.py": "declares names only",
    "node/network.py": "declares names only",
    "services/stream.py": "declares names; cpg's traffic is one",
    "__main__.py": "one call",
}
# file -> function -> why it may be longer than MAX_FUNCTION_LINES.
LONG_FUNCTIONS: dict[str, dict[str, str]] = {}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported name in full, with its line. `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: write imports in full"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def may_see(layer: str, names: list[str]) -> bool:
    """Of the services, the client library sees how their messages look, the daemon what they put out."""
    if layer == "client":
        return names[0] == "service" or names[1:2] == ["messages"]
    if layer == "daemon":
        return names[0] in {"outputs", "service"}
    return True


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_layers(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer == "__init__":
        assert not list(imported(path))
        return
    allowed = MAY_IMPORT[layer] | EVERYONE | {layer} | SEES_MORE.get(name_of(path), set())
    for name, line in imported(path):
        head, *rest = name.split(".")
        if head != "pycorosync":
            continue
        place = f"{name_of(path)}:{line}"
        assert rest, f"{place}: import the module that is meant"
        assert rest[0] in allowed, f"{place}: {layer} may not import {name}"
        if rest[0] == "services":
            assert may_see(layer, rest[1:]), f"{place}: {layer} may not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_io_stays_in_the_shell(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer in DOES_IO or name_of(path) in DOES_IO_FILES:
        return
    for name, line in imported(path):
        assert name.split(".")[0] not in FORBIDDEN, f"{name_of(path)}:{line}: {name} belongs in daemon/"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[-3] == "services"], ids=name_of)
def test_services_do_not_know_each_other(path: Path) -> None:
    own = path.parent.name
    siblings = {folder.name for folder in (PACKAGE / "services").iterdir() if folder.is_dir()} - {own}
    for name, line in imported(path):
        parts = name.split(".")
        if parts[:2] == ["pycorosync", "services"]:
            assert parts[2] not in siblings, f"{name_of(path)}:{line}: {own} may not import {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "messages.py"], ids=name_of)
def test_messages_can_be_shared_by_client_and_daemon(path: Path) -> None:
    for name, line in imported(path):
        if name.startswith("pycorosync."):
            below = name.removeprefix("pycorosync.")
            assert any(below == one or below.startswith(f"{one}.") for one in MESSAGES_MAY_IMPORT), (
                f"{name_of(path)}:{line}: messages may not import {name}"
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_does_in_its_first_line(path: Path) -> None:
    text = path.read_text()
    if path.name == "__init__.py" and not text.strip():
        return
    doc = ast.get_docstring(ast.parse(text))
    assert doc, f"{name_of(path)} has no docstring"
    assert doc.splitlines()[0].strip()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_FILE_LINES, f"{name_of(path)} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_fits_a_screen(path: Path) -> None:
    excused = LONG_FUNCTIONS.get(name_of(path), {})
    for function in functions(path):
        assert function.end_lineno is not None
        lines = function.end_lineno - function.lineno + 1
        assert lines <= MAX_FUNCTION_LINES or function.name in excused, (
            f"{name_of(path)}:{function.lineno}: {function.name} has {lines} lines"
        )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_input_is_never_checked_with_assert(path: Path) -> None:
    # python -O removes asserts, and a failed one blames us for what a peer or client sent. At module level
    # they state the size of a declaration, which no input changes.
    for function in functions(path):
        for node in ast.walk(function):
            assert not isinstance(node, ast.Assert), f"{name_of(path)}:{node.lineno}: assert in a function"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_module_has_its_test_file(path: Path) -> None:
    name = name_of(path)
    if name in NEEDS_NO_TEST or (path.name == "__init__.py" and len(ast.parse(path.read_text()).body) <= 1):
        return
    parent = path.relative_to(PACKAGE).parent
    test = ROOT / "tests" / parent / f"test_{path.stem.strip('_')}.py"
    # A folder below services/ may keep one file for all of its modules.
    candidates = [test, ROOT / "tests" / "services" / f"test_{parent.name}_{path.stem}.py"]
    assert any(candidate.exists() for candidate in candidates), f"{name} has no {test.relative_to(ROOT)}"


def test_the_excuses_are_still_needed() -> None:
    for name in NEEDS_NO_TEST:
        assert (PACKAGE / name).exists(), f"{name} is gone: remove it from NEEDS_NO_TEST"
    for name, excused in LONG_FUNCTIONS.items():
        present = {function.name for function in functions(PACKAGE / name)}
        assert set(excused) <= present, f"{name}: {set(excused) - present} are gone: remove them"


def test_the_rules_catch_what_they_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pycorosync"
    bad = package / "totem" / "of_no_such_name.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("import time\nfrom pycorosync.knet.engine import Knet\ndef f(x):\n    assert x\n")
    monkeypatch.setitem(globals(), "PACKAGE", package)
    for rule in (
        test_imports_follow_the_layers,
        test_io_stays_in_the_shell,
        test_input_is_never_checked_with_assert,
        test_a_module_says_what_it_does_in_its_first_line,
        test_each_module_has_its_test_file,
    ):
        with pytest.raises(AssertionError):
            rule(bad)
