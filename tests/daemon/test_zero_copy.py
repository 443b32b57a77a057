"""Files of clients: only libcpg's, only the client's own, and never more than the client has left in them."""

import os
from pathlib import Path

import pytest

from pycorosync.cs_error import CsError
from pycorosync.daemon.zero_copy import FILES_MAX, ZeroCopyBuffers, capacity
from pycorosync.errors import ClientError
from pycorosync.services.cpg.zero_copy import SharedBuffers

NAME = "corosync_zerocopy-aB3xYz"
ME = os.getuid()


@pytest.fixture
def buffers(tmp_path: Path) -> ZeroCopyBuffers:
    return ZeroCopyBuffers((os.fsencode(tmp_path),))


def make(folder: Path, size: int = 100, name: str = NAME) -> bytes:
    path = folder / name
    path.write_bytes(bytes(size))
    return os.fsencode(path)


def refused(buffers: ZeroCopyBuffers, path: bytes, size: int = 100, uid: int = ME) -> CsError:
    with pytest.raises(ClientError) as caught:
        buffers.open(path, size, uid)
    return caught.value.code


def test_daemon_and_client_see_the_same_bytes(tmp_path: Path, buffers: ZeroCopyBuffers) -> None:
    path = make(tmp_path)
    with open(path, "r+b", buffering=0) as clients_own:
        port: SharedBuffers = buffers
        handle = port.open(path, 100, ME)
        assert handle != 0
        assert not os.path.exists(path)
        port.write(handle, b"from the daemon", 8)
        assert os.pread(clients_own.fileno(), 15, 8) == b"from the daemon"
        os.pwrite(clients_own.fileno(), b"from the client", 50)
        assert bytes(port.read(handle, 15, 50)) == b"from the client"
        assert bytes(port.read(handle, 0, 50)) == b""
        port.close(handle)


def test_a_file_that_is_cut_short_is_an_error(tmp_path: Path, buffers: ZeroCopyBuffers) -> None:
    path = make(tmp_path)
    with open(path, "r+b") as clients_own:
        handle = buffers.open(path, 100, ME)
        clients_own.truncate(60)
        with pytest.raises(ClientError) as caught:
            buffers.read(handle, 50, 20)
        assert caught.value.code is CsError.INVALID_PARAM
        assert len(buffers.read(handle, 40, 20)) == 40


@pytest.mark.parametrize(
    "path",
    [b"", b"/", b"corosync_zerocopy-aB3xYz", b"/etc/passwd", b"/dev/shm", b"/dev/shm/", b"/dev/shm/qb-1-2-3"],
)
def test_other_paths_are_refused(path: bytes) -> None:
    assert refused(ZeroCopyBuffers(), path) is CsError.INVALID_PARAM


@pytest.mark.parametrize(
    "name", ["corosync_zerocopy-aB3xY", "corosync_zerocopy-../../x", "corosync_zerocopy-aB3xY\n"]
)
def test_other_names_are_refused(tmp_path: Path, buffers: ZeroCopyBuffers, name: str) -> None:
    assert refused(buffers, os.fsencode(tmp_path / name)) is CsError.INVALID_PARAM


def test_other_folders_are_refused(tmp_path: Path, buffers: ZeroCopyBuffers) -> None:
    (tmp_path / "sub").mkdir()
    assert refused(buffers, make(tmp_path / "sub")) is CsError.INVALID_PARAM
    dotted = os.fsencode(tmp_path) + b"/sub/../" + NAME.encode()
    assert refused(buffers, dotted) is CsError.INVALID_PARAM


def test_what_is_not_the_clients_own_file_is_refused_and_stays(
    tmp_path: Path, buffers: ZeroCopyBuffers
) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"x" * 100)
    link = tmp_path / NAME
    link.symlink_to(target)
    assert refused(buffers, os.fsencode(link)) is CsError.ACCESS
    link.unlink()
    os.link(target, link)
    assert refused(buffers, os.fsencode(link)) is CsError.ACCESS
    link.unlink()
    os.mkfifo(link)
    assert refused(buffers, os.fsencode(link)) is CsError.ACCESS
    link.unlink()
    link.mkdir()
    assert refused(buffers, os.fsencode(link)) is CsError.ACCESS
    link.rmdir()
    assert refused(buffers, os.fsencode(link)) is CsError.ACCESS  # nothing there
    path = make(tmp_path)
    assert refused(buffers, path, uid=ME + 1) is CsError.ACCESS
    assert refused(buffers, path, size=101) is CsError.ACCESS
    assert link.read_bytes() == bytes(100)
    assert target.read_bytes() == b"x" * 100


def test_refusals_cost_no_descriptors(tmp_path: Path, buffers: ZeroCopyBuffers) -> None:
    path = make(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        refused(buffers, path, uid=ME + 1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_there_are_only_so_many_and_one_too_many_leaves_nothing(tmp_path: Path) -> None:
    buffers = ZeroCopyBuffers((os.fsencode(tmp_path),), files_max=20)
    handles = {buffers.open(make(tmp_path), 100, ME) for _ in range(20)}
    assert len(handles) == 20
    path = make(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    assert refused(buffers, path) is CsError.NO_RESOURCES
    assert len(os.listdir("/proc/self/fd")) == before
    assert not os.path.exists(path)
    for handle in handles:
        buffers.close(handle)
    again = buffers.open(make(tmp_path), 100, ME)
    assert again not in handles
    buffers.close(again)


def test_the_clients_keep_descriptors() -> None:
    assert capacity(1024) == 512
    assert capacity(1 << 20) == FILES_MAX


def test_a_closed_handle_is_gone(tmp_path: Path, buffers: ZeroCopyBuffers) -> None:
    handle = buffers.open(make(tmp_path), 100, ME)
    buffers.close(handle)
    for call in (
        lambda: buffers.read(handle, 1, 0),
        lambda: buffers.write(handle, b"x", 0),
        lambda: buffers.close(handle),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.code is CsError.NOT_EXIST
