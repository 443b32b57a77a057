"""The flight recorder's ring and its file (pycorosync/daemon/flight_recorder.py)."""

import os
import stat
from pathlib import Path
from random import Random

import pytest

from pycorosync import log
from pycorosync.daemon.flight_recorder import PRIORITIES, RING_BYTES, TAGS, FlightRecorder, store
from tests.daemon.flight_data import Line, read

SECOND = 1_000_000_000


def dumped(recorder: FlightRecorder, path: Path) -> list[Line]:
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    recorder.write_to(fd)
    os.close(fd)
    return read(path)


def test_what_is_recorded_can_be_read(tmp_path: Path) -> None:
    recorder = FlightRecorder()
    assert dumped(recorder, tmp_path / "x") == []
    recorder.record("MAIN", log.NOTICE, "main", 1397, "starting up", 5 * SECOND + 7)
    recorder.record("KNET", log.TRACE, "_send", 1, "äöü 100% %s", 6 * SECOND)
    assert dumped(recorder, tmp_path / "x") == [
        Line(5, 8, "main", 1397, 5 * SECOND + 7, "starting up"),
        Line(8, 16, "_send", 1, 6 * SECOND, "äöü 100% %s"),
    ]
    # Two lines take a page or two of the disk.
    assert (tmp_path / "x").stat().st_size == RING_BYTES + 40
    assert (tmp_path / "x").stat().st_blocks * 512 < 65536


def test_every_subsystem_and_level_has_its_number(tmp_path: Path) -> None:
    recorder = FlightRecorder()
    assert set(TAGS) == set(log.SUBSYSTEMS)
    assert len(set(TAGS.values())) == len(TAGS)
    for name in log.SUBSYSTEMS:
        for level in PRIORITIES:
            recorder.record(name, level, "f", 1, "t", 0)
    found = [(line.tag, line.priority) for line in dumped(recorder, tmp_path / "x")]
    assert found == [(tag, priority) for tag in (TAGS[n] for n in log.SUBSYSTEMS) for priority in range(9)]


def test_too_long_a_line_is_cut(tmp_path: Path) -> None:
    recorder = FlightRecorder()
    recorder.record("CPG", log.DEBUG, "f" * 300, 1, "x" * 2000, 0)
    (line,) = dumped(recorder, tmp_path / "x")
    assert (line.function, line.text) == ("f" * 100, "x" * 500)


@pytest.mark.parametrize("seed", range(20))
def test_the_latest_lines_survive(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    recorder = FlightRecorder(random.choice((2048, 4096, 8192)))
    size, written = recorder._size, []
    for number in range(random.randrange(1, 300)):
        text = f"{number} " + "x" * random.randrange(480)
        recorder.record("CPG", log.DEBUG, "f", number, text, number)
        written.append(text)
        if number % 50 == 0:
            dumped(recorder, tmp_path / "x")
    found = [line.text for line in dumped(recorder, tmp_path / "x")]
    assert found == written[len(written) - len(found) :], f"seed {seed}"
    # Only for want of room has anything been given up.
    lost = written[: len(written) - len(found)]
    room = size - sum(len(text) + 60 for text in found)
    assert not lost or room < len(lost[-1]) + 100, f"seed {seed}"


def test_the_file_and_the_link(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = FlightRecorder()
    for text in ("one", "two"):
        recorder.record("MAIN", log.INFO, "f", 1, text, 0)
        store(recorder, str(tmp_path))
    link = tmp_path / "fdata"
    target = Path(os.readlink(link))
    assert target.parent == tmp_path
    assert target.name.startswith("fdata-2")
    assert target.name.endswith(f"-{os.getpid()}")
    assert stat.S_IMODE(target.stat().st_mode) == 0o700 & ~_umask()
    assert [line.text for line in read(link)] == ["one", "two"]
    assert caplog.messages == []


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_faults_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store(FlightRecorder(), str(tmp_path / "missing"))
    store(None, str(tmp_path))
    (tmp_path / "fdata").mkdir()
    store(FlightRecorder(), str(tmp_path))
    assert caplog.messages[:2] == ["Can't store blackbox file: No such file or directory (2)"] * 2
    assert caplog.messages[2].startswith(f"Can't create symlink to '{tmp_path}/fdata-")
    assert caplog.messages[2].endswith(f"for corosync blackbox file '{tmp_path}/fdata'")


def test_memory_is_given_back() -> None:
    recorder = FlightRecorder()
    recorder.close()
    with pytest.raises(ValueError, match="closed"):
        recorder.record("MAIN", log.INFO, "f", 1, "t", 0)
