"""corosync-keygen against recorded output of the real one, and its files (pycorosync/tools/keygen.py)."""

import os
from pathlib import Path

import pytest

from pycorosync.tools import keygen
from tests.tools.recorded import Run, runs

START = "Corosync Cluster Engine Authentication key generator.\n"


def call(*arguments: str) -> int:
    try:
        return keygen.main(list(arguments))
    except SystemExit as end:
        return int(str(end.code))


@pytest.mark.parametrize("run", runs("keygen.txt"), ids=str)
def test_as_recorded(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    status = call(*run.arguments)
    assert (status, *capsys.readouterr()) == (run.status, run.stdout, run.stderr)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [((), 256), (("-s", "128"), 128), (("--size=4096", "--less-secure"), 4096), (("-l", "-s", " +130"), 130)],
)
def test_a_key_for_its_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], size: int
) -> None:
    path = tmp_path / "key"
    assert call("-k", str(path), *arguments) == 0
    assert path.stat().st_size == size
    assert path.stat().st_mode & 0o777 == 0o400
    text = f"{START}Gathering {size * 8} bits for key from /dev/urandom.\nWriting corosync key to {path}.\n"
    assert capsys.readouterr() == (text, "")


def test_an_old_key_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old" * 1000)
    path.chmod(0o600)
    call("-k", str(path))
    first = path.read_bytes()
    assert len(first) == 256
    path.chmod(0o600)
    call("-k", str(path))
    assert path.read_bytes() != first


def test_the_source_is_used(tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "key"
    source.write_bytes(bytes(range(256)) * 2)
    assert call("-r", str(source), "--key-file", str(path)) == 0
    assert path.read_bytes() == bytes(range(256))


def test_a_source_that_ends_too_early_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, path = tmp_path / "source", tmp_path / "key"
    source.write_bytes(b"abc")
    assert call("-r", str(source), "-k", str(path)) == 1
    out, err = capsys.readouterr()
    assert out.endswith("Press keys on your keyboard to generate entropy (2024 bits still needed).\n")
    assert err == f"corosync-keygen: Unexpected end of {source}\n"
    assert not path.exists()


def test_a_slow_source_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: read(fd, min(size, 100)))
    path = tmp_path / "key"
    assert call("-k", str(path)) == 0
    assert path.stat().st_size == 256


def test_a_source_that_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("-r", str(tmp_path), "-k", str(tmp_path / "key")) == 1
    assert capsys.readouterr().err == "corosync-keygen: Could not read /dev/random: Is a directory\n"


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    assert call("-k", "/dev/full") == 4
    assert capsys.readouterr().err == "corosync-keygen: Could not write /dev/full: No space left on device\n"


def test_permissions_that_cannot_be_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    assert call("-k", str(tmp_path / "key")) == 3
    text = "corosync-keygen: Failed to set key file permissions to 0400: Operation not permitted\n"
    assert capsys.readouterr().err == text
