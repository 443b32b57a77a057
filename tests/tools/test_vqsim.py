"""corosync-vqsim: sessions from a pipe, with a clock of their own."""

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pycorosync.tools.vqsim import main


def conf(nodes: int = 3, quorum: str = "") -> str:
    listed = "".join(
        f"  node {{\n    nodeid: {node}\n    ring0_addr: 192.0.2.{node}\n  }}\n"
        for node in range(1, nodes + 1)
    )
    section = f"quorum {{\n  provider: corosync_votequorum\n{quorum}}}\n"
    return f"totem {{\n  version: 2\n}}\nnodelist {{\n{listed}}}\n{section}"


class Result:
    """What a session printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err
        self.parts = [part.partition("\n")[2] for part in out.split("#vqsim> ")]

    @property
    def shown(self) -> list[str]:
        """What the last command showed."""
        return [line for line in self.parts[-2].splitlines() if line[:1].isdigit()]


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    def play(commands: str, text: str = "", options: tuple[str, ...] = ()) -> Result:
        path = tmp_path / "corosync.conf"
        path.write_text(text or conf())
        reader, writer = os.pipe()
        os.write(writer, "".join(f"{command.strip()}\n" for command in commands.split(";")).encode())
        os.close(writer)
        now = [time.monotonic_ns()]
        monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
        monkeypatch.setattr(
            time, "sleep", lambda seconds: now.__setitem__(0, now[0] + int(seconds * 1e9) + 1)
        )
        with os.fdopen(reader) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            status = main(["-c", str(path), *options])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return play


Play = Callable[..., Result]


def test_nodes_of_the_file_come_up(session: Play) -> None:
    result = session("show")
    assert result.status == 0
    assert result.out.startswith(
        "0:1: q=1 ring=[1.c] nodes=[1 2 3]\n0:2: q=1 ring=[1.c] nodes=[1 2 3]\n"
        "0:3: q=1 ring=[1.c] nodes=[1 2 3]\n#autofence: off\n#vqsim> show\n"
    )


def test_down_and_up(session: Play) -> None:
    result = session("down 2 3; up 2; down 9; up 1; show")
    assert "0:2: Quit (on request)\n0:3: Quit (on request)\n0:1: q=0 ring=[1.14] nodes=[1]\n" in result.out
    assert result.shown == ["0:1: q=1 ring=[1.18] nodes=[1 2]", "0:2: q=1 ring=[1.18] nodes=[1 2]"]
    assert result.err.splitlines() == [
        "ERR: nodeid 9 is not up",
        "ERR: nodeid 1 already exists in partition 0",
    ]


def test_a_node_that_the_file_does_not_have(session: Play) -> None:
    assert session("up 1:7; split 0:7; show").shown[-1] == "0:7: q=1 ring=[1.10] nodes=[1 2 3 7]"


def test_split_and_join(session: Play) -> None:
    result = session("split 1:2,3; show; join 0 1; show")
    assert "0:1: q=0 ring=[1.10] nodes=[1]\n1:2: q=1 ring=[2.4] nodes=[2 3]\n" in result.out
    assert result.shown[0] == "0:1: q=1 ring=[1.14] nodes=[1 2 3]"


def test_move_of_a_node_that_is_not_there(session: Play) -> None:
    assert "ERR: node 8 does not exist" in session("move 1:8").out


def test_autofence_sends_the_losers_off(session: Play) -> None:
    result = session("autofence on; split 1:2,3; show")
    assert "0:1: Quit (autofenced)" in result.out
    assert result.shown == ["1:2: q=1 ring=[2.4] nodes=[2 3]", "1:3: q=1 ring=[2.4] nodes=[2 3]"]


def test_two_node_and_its_wait(session: Play) -> None:
    result = session("down 1; down 2; up 2; show", conf(2, "  two_node: 1\n"))
    assert result.shown == ["0:2: q=0 ring=[2.14] nodes=[2]"]


def test_without_synchronization_each_change_is_shown(session: Play) -> None:
    result = session("sync off; show", options=("-n",))
    assert "#sync: off" in result.out
    assert "q=UNINITIALIZED" in result.out


def test_help_for_what_is_no_command(session: Play) -> None:
    result = session("nonsense; join; autofence; # nothing; ; help")
    assert result.out.count("up         [<partition>:]") == 4


@pytest.mark.parametrize("word", ["sync", "assert", "autofence", "qdevice"])
def test_switches_are_on_or_off(session: Play, word: str) -> None:
    result = session(f"{word} maybe")
    assert result.err.startswith("ERR: ")
    assert "'on' or 'off'" in result.err


def test_a_switched_off_device_that_never_registered(session: Play) -> None:
    assert "1: qdevice poll failed: 12" in session("qdevice off 1").err


def test_refused_configuration(session: Play) -> None:
    result = session("show", conf(2, "  two_node: 1\n  device {\n    model: net\n  }\n"))
    assert result.status == 1
    assert "votequorum exec init failed: configuration error: two_node and quorum device" in result.err


def test_no_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    assert main(["-c", "/nonexistent/corosync.conf"]) == 0
    sys.stdin.close()
    assert "Error loading corosync.conf" in capsys.readouterr().err


def test_output_file(session: Play, tmp_path: Path) -> None:
    result = session("show", options=("-o", str(tmp_path / "out")))
    assert (tmp_path / "out").read_text().count("0:1: q=1") == 2
    assert "q=1" not in result.out


def test_output_file_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", "/nonexistent/out"]) == 3
    assert "Unable to open /nonexistent/out for output" in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    assert "[-c <config-file>] [-o <output-file>]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["up 99:1", "up 1,x", "join 0 77", "split -1:2", "timeout x", "down ,", "join x y"]
)
def test_odd_commands_end_nothing(session: Play, command: str) -> None:
    assert session(f"{command}; show").shown[-1].startswith("0:")


def test_bytes_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\xff\xfe\x00 up\nshow\n")
    os.close(writer)
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    (tmp_path / "conf").write_text(conf())
    assert main(["-c", str(tmp_path / "conf")]) == 0
    sys.stdin.close()
