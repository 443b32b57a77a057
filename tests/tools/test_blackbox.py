"""corosync-blackbox: asks the daemon, then becomes the reader (pycorosync/tools/blackbox.py)."""

import os

import pytest

from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError
from pycorosync.tools import blackbox


class Elsewhere(Exception):
    """In place of execvp, which does not return."""


class Map:
    """The running daemon's map."""

    values: dict[str, object]

    def __enter__(self) -> "Map":
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, key: str) -> object:
        if key not in self.values:
            raise LibraryError(CsError.NOT_EXIST)
        return self.values[key]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    found: list[list[str]] = []
    monkeypatch.setattr("pycorosync.tools.cmapctl.main", found.append)
    monkeypatch.setattr(blackbox, "Cmap", Map)
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_500_000_000)
    return found


def fail(*_: object) -> None:
    raise LibraryError(CsError.LIBRARY)


@pytest.mark.parametrize(
    ("values", "path"),
    [({}, "/var/lib/corosync/fdata"), ({"system.state_dir": "/state"}, "/state/fdata")],
)
def test_the_daemon_is_asked_and_the_reader_shows_the_file(
    asked: list[list[str]], monkeypatch: pytest.MonkeyPatch, values: dict[str, object], path: str
) -> None:
    monkeypatch.setattr(Map, "values", values, raising=False)

    def execute(name: str, words: list[str]) -> None:
        raise Elsewhere(name, words)

    monkeypatch.setattr(os, "execvp", execute)
    with pytest.raises(Elsewhere) as end:
        blackbox.main([])
    assert end.value.args == ("qb-blackbox", ["qb-blackbox", path])
    assert asked == [
        ["-s", f"runtime.blackbox.{name}", "str", "1700000000"] for name in ("dump_state", "dump_flight_data")
    ]


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (FileNotFoundError(2, "No such file or directory"), 127, "not found"),
        (PermissionError(13, "Permission denied"), 126, "Permission denied"),
    ],
)
def test_a_reader_that_cannot_be_run(
    asked: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: OSError,
    status: int,
    text: str,
) -> None:
    monkeypatch.setattr(blackbox, "Cmap", fail)  # no daemon: goes on all the same

    def execute(*_: object) -> None:
        raise fault

    monkeypatch.setattr(os, "execvp", execute)
    assert blackbox.main([]) == status
    assert capsys.readouterr() == ("", f"corosync-blackbox: qb-blackbox: {text}\n")
    assert len(asked) == 2
