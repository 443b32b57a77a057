"""Ring files: their names, owners, sizes, and how they are tidied."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pycorosync.ipc import shared_memory
from pycorosync.ipc.shared_memory import SHARED_MEMORY_DIRECTORY, RingFile, ring_name


def _name() -> str:
    return f"{ring_name(os.getpid(), 1, 2)}-request-test"


def test_a_ring_is_two_files_that_only_its_owner_may_open() -> None:
    file = RingFile.create(_name(), 1048576, os.getuid(), os.getgid())
    try:
        for suffix, size in (("header", 8252), ("data", 1052672)):
            status = os.stat(f"{file.path}-{suffix}")
            assert (status.st_mode & 0o777, status.st_size, status.st_uid) == (0o600, size, os.getuid())
            assert status.st_blocks * 512 >= size, "pages are allocated when the ring is made"
    finally:
        file.close()
    assert not list(SHARED_MEMORY_DIRECTORY.glob(f"{Path(file.path).name}*"))


def test_the_other_side_sees_what_is_written() -> None:
    made = RingFile.create(_name(), 1000, os.getuid(), os.getgid())
    opened = RingFile.open(made.path, 1000)
    try:
        assert opened.ring.write(b"request", b"")
        chunk = made.ring.peek()
        assert chunk is not None
        assert bytes(chunk) == b"request"
        del chunk
    finally:
        opened.close()
        made.close()


def test_a_name_that_exists_is_refused_and_left_alone() -> None:
    name = _name()
    path = SHARED_MEMORY_DIRECTORY / f"{name}-header"
    path.write_text("somebody else's")
    try:
        with pytest.raises(FileExistsError):
            RingFile.create(name, 1000, os.getuid(), os.getgid())
        assert path.read_text() == "somebody else's"
    finally:
        path.unlink()


def test_a_full_file_system_is_an_error_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def full(_fd: int, _offset: int, length: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(shared_memory, "map_once", lambda _fd, _length: _Unmapped())
    name = _name()
    with pytest.raises(OSError, match="No space") as caught:
        RingFile.create(name, 1000, os.getuid(), os.getgid())
    assert caught.value.errno == errno.ENOSPC
    assert not list(SHARED_MEMORY_DIRECTORY.glob(f"{name}*"))


class _Unmapped:
    address = 0
    view = memoryview(bytearray(8252))

    def unmap(self) -> None:
        pass


def test_names_cannot_be_guessed() -> None:
    names = {ring_name(1, 2, 3) for _ in range(1000)}
    assert len(names) == 1000
    assert all(len(name.rsplit("-", 1)[1]) == 32 for name in names)


def test_what_dead_servers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    gone, here = int(dead.stdout), os.getpid()
    stale = [tmp_path / f"qb-{gone}-5-7-0123456789abcdef-event-cpg-data", tmp_path / f"qb-{gone}-5-7-AbCdEf"]
    stale[0].touch()
    stale[1].mkdir()
    (stale[1] / "qb-request-cpg-header").touch()
    kept = [
        tmp_path / f"qb-{here}-5-7-0123456789abcdef-event-cpg-data",
        tmp_path / "qb-corosync-1-blackbox",
        tmp_path / "x",
    ]
    for path in kept:
        path.touch()
    assert shared_memory.remove_stale(tmp_path) == 2
    assert sorted(tmp_path.iterdir()) == sorted(kept)
