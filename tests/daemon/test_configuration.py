"""Reading the files of the configuration, and looking up what they refer to
(pycorosync/daemon/configuration.py).
"""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from pycorosync.config.host import FileFault, Wanted
from pycorosync.config.model import Phase, RefusedConfig
from pycorosync.daemon.configuration import look_up, read_configuration, read_files, read_for_reload
from pycorosync.node.reconfiguration import ConfigurationFiles

TEXT = """
totem {
  version: 2
}
nodelist {
  node {
    nodeid: 1
    ring0_addr: 127.0.0.1
  }
}
"""


@pytest.fixture(autouse=True)
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getnameinfo", lambda address, _flags: (f"name-of-{address[0]}", "0"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "corosync.conf"
    path.write_text(TEXT)
    return path


def test_the_files_of_uidgid_d_are_those_beside_the_configuration(file: Path) -> None:
    directory = file.parent / "uidgid.d"
    directory.mkdir()
    (directory / "one").write_text("uidgid {\n  uid: 4711\n}\n")
    (directory / "two").write_text("uidgid {\n  gid: 4712\n  uid: root\n}\n")
    (directory / "below").mkdir()
    (directory / "dangling").symlink_to("/nonexistent/file")
    text, access = read_files(str(file))
    assert text == TEXT.encode()
    assert sorted(access) == [
        (f"{directory}/one", b"uidgid {\n  uid: 4711\n}\n"),
        (f"{directory}/two", b"uidgid {\n  gid: 4712\n  uid: root\n}\n"),
    ]
    configuration = read_configuration(str(file))
    assert configuration.uids == {4711, 0}
    assert configuration.gids == {4712}


def test_a_relative_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    (file.parent / "uidgid.d").mkdir()
    (file.parent / "uidgid.d" / "one").write_text("uidgid {\n  uid: 4711\n}\n")
    configuration = read_configuration("corosync.conf")
    assert configuration.uids == {4711}
    assert configuration.totem.node_id == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nonexistent", "No such file or directory"),
        ("", "No such file or directory"),
        ("/", "Is a directory"),
        ("a\0b", "embedded null byte"),
        ("/" + "x" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_read(path: str, reason: str) -> None:
    with pytest.raises(RefusedConfig) as caught:
        read_files(path)
    assert caught.value.phase is Phase.PARSER
    assert caught.value.faults[0].text == f"Can't read file {path}: {reason}"
    assert read_for_reload(path) == f"Can't read file {path}: {reason}"


def test_what_is_said_about_a_long_path_is_cut_as_corosync_cuts_it() -> None:
    with pytest.raises(RefusedConfig) as caught:
        read_files("/" + "x" * 4000)
    assert caught.value.faults[0].text == f"Can't read file /{'x' * 494}"


def test_a_reload_gets_the_files_and_judges_nothing(file: Path) -> None:
    file.write_text("totem {\n  version: 3\n  cluster_name\n")
    files = read_for_reload(str(file))
    assert isinstance(files, ConfigurationFiles)
    assert (files.text, files.filename) == (file.read_bytes(), str(file))
    with pytest.raises(RefusedConfig):
        read_configuration(str(file))


def test_what_cannot_be_found_is_left_out(tmp_path: Path) -> None:
    key = tmp_path / "authkey"
    key.write_bytes(bytes(5000))
    log = tmp_path / "corosync.log"
    facts = look_up(
        Wanted(
            names=("127.0.0.1", "x" * 300),
            local_names=False,
            users=("root", "no such user", "a\0b"),
            groups=("root", "no such group"),
            key_file=str(key),
            log_files=(str(log), "/nonexistent/log", "a\0b"),
        )
    )
    assert facts.hostname == os.uname().nodename
    assert facts.resolved == {
        "127.0.0.1": (ip_address("127.0.0.1"),),
        "x" * 300: (),
    }
    assert (facts.users, facts.groups) == ({"root": 0}, {"root": 0})
    assert facts.key_files == {str(key): bytes(4096)}
    assert facts.log_faults == {
        "/nonexistent/log": "No such file or directory (2)",
        "a\0b": "embedded null byte (22)",
    }
    assert log.exists()
    local = {address for address, _ in facts.addresses}
    assert ip_address("127.0.0.1") in local


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/nonexistent", FileFault("open", "No such file or directory")),
        ("/", FileFault("read", "Is a directory")),
        ("a\0b", FileFault("open", "embedded null byte")),
    ],
)
def test_a_key_that_cannot_be_read(path: str, fault: FileFault) -> None:
    assert look_up(Wanted(key_file=path)).key_files == {path: fault}


def test_a_reverse_name_is_looked_up_only_if_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(-2, "Name or service not known")

    assert {name for _, name in look_up(Wanted()).addresses} == {None}
    for address, name in look_up(Wanted(local_names=True)).addresses:
        assert name == (f"name-of-{address}" if address.version == 4 else None)
    monkeypatch.setattr("socket.getnameinfo", fail)
    assert {name for _, name in look_up(Wanted(local_names=True)).addresses} == {None}
