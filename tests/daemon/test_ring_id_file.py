"""The ring sequence on disk (pycorosync/daemon/ring_id_file.py)."""

import os
import shutil
import struct
from pathlib import Path

import pytest

from pycorosync.daemon.process import ExitStatus, StartError
from pycorosync.daemon.ring_id_file import RingIdFile


def test_a_missing_file_is_made_with_zero(tmp_path: Path) -> None:
    file = RingIdFile(str(tmp_path), 4294967295)
    assert file.create_or_load() == 0
    path = tmp_path / "ringid_4294967295"
    assert path.read_bytes() == bytes(8)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_stored_is_loaded_again(tmp_path: Path) -> None:
    file = RingIdFile(str(tmp_path), 1)
    file.create_or_load()
    file.store(0x123456789ABCDEF0)
    assert (tmp_path / "ringid_1").read_bytes() == struct.pack("=Q", 0x123456789ABCDEF0)
    assert RingIdFile(str(tmp_path), 1).create_or_load() == 0x123456789ABCDEF0


def test_storing_never_leaves_an_empty_file(tmp_path: Path) -> None:
    """The file keeps its inode and is not truncated: a crash in between finds the old number."""
    file = RingIdFile(str(tmp_path), 1)
    file.store(5)
    with open(tmp_path / "ringid_1", "rb", buffering=0) as watcher:
        file.store(6)
        assert watcher.read() == struct.pack("=Q", 6)


def test_a_short_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "ringid_1").write_bytes(b"\x01\x02\x03")
    assert RingIdFile(str(tmp_path), 1).create_or_load() == 0
    assert (tmp_path / "ringid_1").read_bytes() == bytes(8)


def test_of_a_long_file_the_first_eight_bytes_count(tmp_path: Path) -> None:
    (tmp_path / "ringid_1").write_bytes(struct.pack("=Q", 12) + b"tail")
    assert RingIdFile(str(tmp_path), 1).create_or_load() == 12


def test_a_file_that_cannot_be_made_ends_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "ringid_1").mkdir()
    path = tmp_path / "ringid_1"
    with pytest.raises(StartError) as caught:
        RingIdFile(str(tmp_path), 1).create_or_load()
    assert caught.value.status is ExitStatus.STORE_RING_ID
    assert caught.value.text == f"Couldn't create ringid file '{path}': Is a directory (21)"


def test_a_sequence_that_cannot_be_stored_ends_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "ringid_1").symlink_to("/dev/full")
    with pytest.raises(StartError) as caught:
        RingIdFile(str(tmp_path), 1).store(0xABC)
    assert caught.value.status == 21
    assert (
        caught.value.text == "Couldn't store new ring id abc to stable storage: No space left on device (28)"
    )


def test_a_file_that_cannot_be_written_ends_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 3)
    with pytest.raises(StartError) as caught:
        RingIdFile(str(tmp_path), 1).create_or_load()
    assert caught.value.status == 21
    assert (
        caught.value.text == f"Couldn't write ringid file '{tmp_path}/ringid_1': No space left on device (28)"
    )


def test_a_folder_that_has_gone_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    file = RingIdFile(str(folder), 1)
    file.create_or_load()
    shutil.rmtree(folder)
    file.store(8)
    assert file.create_or_load() == 8
