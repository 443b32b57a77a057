"""Reads tests/tools/data: what real tools printed, command by command.

$ COMMAND
rc: STATUS
--- stdout
...
--- stderr
...
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parent / "data"


class Run(NamedTuple):
    """One call of a tool."""

    state: str
    arguments: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"{self.state}:{' '.join(self.arguments)}"


def runs(file: str) -> list[Run]:
    """Every call in a file of the data folder."""
    path = DATA / file
    pattern = re.compile(
        r"^\$ ([^\n]*)\nrc: (\d+)\n--- stdout\n(.*?)--- stderr\n(.*?)(?=^\$ |\Z)", re.DOTALL | re.MULTILINE
    )
    return [
        Run(path.stem, tuple(shlex.split(command)[1:]), int(status), stdout, stderr)
        for command, status, stdout, stderr in pattern.findall(path.read_text())
    ]
