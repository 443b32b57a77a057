"""These tests run on a build whose data path is compiled, as the Debian package has it: all of it is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab.host import CHECKOUT, PACKAGE, environment
from packages.installed import MODULES


def compiled_modules() -> list[str]:
    """COMPILED of setup.py, which cannot be imported without building."""
    for node in ast.parse((CHECKOUT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            listed: list[str] = eval(ast.unparse(node.value))
            return listed
    raise AssertionError("setup.py has no COMPILED")


@pytest.mark.parametrize("name", compiled_modules())
def test_module_is_there(name: str) -> None:
    assert (CHECKOUT / "pycorosync" / f"{name}.py").is_file()


def test_daemons_on_hosts_run_compiled() -> None:
    """Or the source, if that was asked for (COMPILE=0)."""
    modules = ["pycorosync." + name.replace("/", ".") for name in compiled_modules()]
    code = f"import importlib\nfor name in {modules}: print(importlib.import_module(name).__file__)"
    installed = "PYCOROSYNC_DAEMON" in os.environ  # packages.installed has put its modules in their place
    python, place = ("/usr/bin/python3", MODULES) if installed else (sys.executable, PACKAGE)
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        env={} if installed else environment(None),
        check=True,
        cwd="/",
    )
    files = [Path(line) for line in done.stdout.split()]
    wanted = ".so" if installed or os.environ.get("PYCOROSYNC_BUILD") else ".py"
    assert {file.suffix for file in files} == {wanted}
    assert all(file.is_relative_to(place) for file in files)
