"""The expected votes that survive a restart (pycorosync/daemon/expected_votes_file.py)."""

import sys
from pathlib import Path

import pytest

from pycorosync.daemon.expected_votes_file import ExpectedVotesFile


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    file = ExpectedVotesFile(str(tmp_path))
    assert file.load() == 0
    file.store(5)
    assert file.load() == 5
    file.store(2**32 - 1)
    assert ExpectedVotesFile(str(tmp_path)).load() == 2**32 - 1


def test_the_file_is_corosyncs(tmp_path: Path) -> None:
    ExpectedVotesFile(str(tmp_path)).store(7)
    path = tmp_path / "ev_tracking"
    assert path.read_bytes() == (7).to_bytes(4, sys.byteorder)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"abc"])
def test_a_file_that_is_too_short_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ev_tracking").write_bytes(content)
    assert ExpectedVotesFile(str(tmp_path)).load() == 0


def test_a_number_that_cannot_be_stored_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ev_tracking"
    path.mkdir()
    file = ExpectedVotesFile(str(tmp_path))
    assert file.load() == 0
    file.store(3)
    assert caplog.messages == [f"Couldn't store the expected votes in {path}: Is a directory"]
