"""A command that is interrupted while it still imports ends as a C program does: by the signal, silently."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pycorosync.tools import entry

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
TOOLS = sorted(name.removeprefix("corosync-") for name in PROJECT["project"]["scripts"] if "-" in name)

INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "pycorosync.tools.{tool}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from pycorosync.tools import entry
entry.{tool}()
"""


@pytest.mark.parametrize("tool", TOOLS)
def test_an_early_interrupt_ends_it_without_a_word(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(tool=tool)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_every_command_has_its_entry() -> None:
    scripts = PROJECT["project"]["scripts"]
    for tool in TOOLS:
        assert scripts[f"corosync-{tool}"] == f"pycorosync.tools.entry:{tool}"
        assert callable(getattr(entry, tool))
