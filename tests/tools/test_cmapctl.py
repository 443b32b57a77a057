"""corosync-cmapctl against recorded output of the real one (pycorosync/tools/cmapctl.py)."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pycorosync.client import session
from pycorosync.client.cmap import Cmap, Entry, TrackEvent, ValueType
from pycorosync.cmap.keys import READ_ONLY_WITH_VOTEQUORUM, mark_read_only
from pycorosync.cmap.stats import SRP
from pycorosync.cs_error import CsError
from pycorosync.services.cmap.messages import CmapRequest
from pycorosync.tools import cmapctl
from pycorosync.tools.cmapctl import TYPES, main, parsed
from tests.client.cmap_daemon import FakeDaemon
from tests.tools.recorded import runs

# What the recorded session found in its working directory.
FILES = {
    "mixed": b"# c\n\n  \n\t t.a u8 1\n   # d\nt.b str xx yy\n^t.zz\n^t.a junk\nt.c i16 -5\nt.d\tx u8 1\n",
    "mixed2": b"# c\n\n  \n\t t.a u8 1\n   # d\nt.b str xx yy\n^t.zz\n^t.a junk\nt.c i16 -5\n",
    "prefix": b"^^t.\n",
    "short": b"t.c u8\n",
    "noend": b"t.c u8 3",
    "range": b"t.e u8 300\nt.f u8 1\n",
    "crlf": b"t.g str a\r\n",
    "readonly": b"^^t.\ntotem.version u8 1\nt.h u8 1\n",
    "binary": b"a\0b\377\\\t~\177\200",
    "empty": b"",
}
Output = pytest.CaptureFixture[bytes]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    made = FakeDaemon()
    monkeypatch.setattr(session, "Connection", made.connect)
    monkeypatch.setattr(cmapctl, "RETRY_S", 0.0)
    return made


@pytest.fixture(autouse=True)
def no_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield


def load(daemon: FakeDaemon, listing: str) -> None:
    """Bring the map into the state that the tool has listed."""
    daemon.cmap.delete_all("")
    for key, type_name, text in re.findall(r"^(\S+) \((\w+)\) = (.*)$", listing, re.MULTILINE):
        kind = TYPES[type_name]
        daemon.cmap.set(key, kind, parsed(kind, type_name, text))
    mark_read_only(daemon.cmap, READ_ONLY_WITH_VOTEQUORUM)
    daemon.stats.add(lambda: ((f"stats.srp.{name}", kind, 0) for name, kind in SRP))


def test_a_recorded_session(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    session = runs("cmapctl/session.txt")
    load(daemon, session[0].stdout)
    for number, run in enumerate(session):
        status = main(list(run.arguments))
        written = capfdbinary.readouterr()
        # The recording was read as text, with its one \r\n as \n.
        shown = written.out.decode(errors="surrogateescape").replace("\r\n", "\n")
        found = (status, shown, written.err.decode().rstrip("\n"))
        assert found == (run.status, run.stdout, run.stderr.rstrip("\n")), f"{number}: {run}"
    assert len(session) > 100
    assert all(connection.closed for connection in daemon.connections.values())


# --- numbers as sscanf reads them

REFUSED = None
NUMBERS = [
    ("u8", "255", 255),
    ("u8", "-1", REFUSED),
    ("u8", " \t+7", 7),
    ("u8", "12abc", 12),
    ("u8", "007", 7),
    ("u8", "0x10", 0),
    ("u8", "- 1", REFUSED),
    ("u8", "", REFUSED),
    ("i8", "-129", REFUSED),
    ("u32", "4294967296", REFUSED),
    ("u64", "-1", 2**64 - 1),
    ("u64", "99999999999999999999", 2**64 - 1),
    ("u64", "-99999999999999999999", 2**64 - 1),
    ("u64", "-18446744073709551615", 1),
    ("u64", "-0", 0),
    ("i64", "9223372036854775808", 2**63 - 1),
    ("i64", "-99999999999999999999", -(2**63)),
    ("i32", "2147483648", REFUSED),
    ("dbl", ".5", 0.5),
    ("dbl", "1.e2x", 100.0),
    ("dbl", "1e", 1.0),
    ("dbl", "1e+", 1.0),
    ("dbl", "-1e400", float("-inf")),
    ("dbl", "0x1.8p1", 3.0),
    ("dbl", "0x.8", 0.5),
    ("dbl", "0x1p99999", float("inf")),
    ("dbl", "0x", REFUSED),
    ("dbl", ".", REFUSED),
    ("dbl", "e5", REFUSED),
    ("dbl", "in", REFUSED),
    ("dbl", "InfinityX", float("inf")),
    ("flt", "0.1", 0.10000000149011612),
    ("flt", "1e39", float("inf")),
    ("flt", "-1e39", float("-inf")),
]


@pytest.mark.parametrize(("type_name", "text", "value"), NUMBERS)
def test_numbers(
    type_name: str, text: str, value: float | None, daemon: FakeDaemon, capfdbinary: Output
) -> None:
    status = main(["-s", "my.key", type_name, "--", text])
    if value is REFUSED:
        assert status == 1
        assert capfdbinary.readouterr().err.startswith(f"{text} is not valid {type_name} ".encode())
        assert "my.key" not in daemon.cmap
    else:
        assert status == 0
        assert daemon.cmap.get("my.key") == Entry(TYPES[type_name], value)


def test_nan(daemon: FakeDaemon, capfdbinary: Output) -> None:
    assert main(["-s", "my.key", "dbl", "nan"]) == main(["-g", "my.key"]) == 0
    assert capfdbinary.readouterr().out == b"my.key (dbl) = nan\n"


# --- what a recording cannot show


def test_a_binary_value_from_standard_input(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capfdbinary: Output
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\0\377")))
    assert main(["-s", "my.key", "bin", "-"]) == main(["-b", "my.key"]) == 0
    assert capfdbinary.readouterr().out == b"my.key (bin) = a\\x00\\xFFFFFFFF\n"


def test_any_bytes_of_a_string_pass(daemon: FakeDaemon, capfdbinary: Output) -> None:
    assert main(["-s", "my.key", "str", "h\udcff\u00e4"]) == main(["-q", "-g", "my.key"]) == 0
    assert capfdbinary.readouterr().out == b"h\xff\xc3\xa4\n"


@pytest.mark.parametrize(
    ("refusals", "status", "complaint"),
    [
        ([CsError.LIBRARY], 1, b"Failed to initialize the cmap API. Error CS_ERR_LIBRARY\n"),
        ([CsError.ACCESS], 1, b"Failed to initialize the cmap API. Error CS_ERR_ACCESS\n"),
        ([CsError.TRY_AGAIN] * 10, 0, b""),
        ([CsError.TRY_AGAIN] * 11, 1, b"Failed to initialize the cmap API. Error CS_ERR_TRY_AGAIN\n"),
    ],
)
def test_connecting(
    refusals: list[CsError], status: int, complaint: bytes, daemon: FakeDaemon, capfdbinary: Output
) -> None:
    daemon.refusals.extend(refusals)
    assert main(["-g", "totem.version"]) == status
    assert capfdbinary.readouterr().err == complaint


def test_values_that_cannot_be_had_are_reported_and_passed_over(
    daemon: FakeDaemon, capfdbinary: Output
) -> None:
    daemon.failures[CmapRequest.GET] = daemon.refusals.copy()
    daemon.failures[CmapRequest.GET].append(CsError.ACCESS)
    daemon.cmap.set_u8("z.z", 1)
    assert main([]) == 0
    written = capfdbinary.readouterr()
    assert written.err == b"Can't get value of totem.version. Error CS_ERR_ACCESS\n"
    assert written.out == b"z.z (u8) = 1\n"


def test_values_are_asked_for_again(daemon: FakeDaemon, capfdbinary: Output) -> None:
    daemon.failures[CmapRequest.GET] = daemon.refusals.copy()
    daemon.failures[CmapRequest.GET].extend([CsError.TRY_AGAIN] * 10)
    assert main(["totem."]) == 0
    assert capfdbinary.readouterr().out == b"totem.version (u32) = 2\n"


# --- watching


class Watch:
    """Runs `corosync-cmapctl -T` and lets something happen once it watches."""

    def __init__(self, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
        self.daemon = daemon
        reader, self.writer = os.pipe()
        self._stdin = os.fdopen(reader)
        monkeypatch.setattr("sys.stdin", self._stdin)
        self._monkeypatch = monkeypatch

    def close(self) -> None:
        self._stdin.close()
        with suppress(OSError):
            os.close(self.writer)

    def run(self, *arguments: str, meanwhile: object) -> int:
        assert callable(meanwhile)
        real = Cmap.track

        def track(cmap: Cmap, *given: object) -> int:
            handle = real(cmap, *given)  # type: ignore[arg-type]
            meanwhile()
            return handle

        self._monkeypatch.setattr(Cmap, "track", track)
        return main(list(arguments))

    def type(self, text: bytes) -> None:
        os.write(self.writer, text)


@pytest.fixture
def watch(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    made = Watch(daemon, monkeypatch)
    yield made
    made.close()


def change_things(daemon: FakeDaemon) -> None:
    daemon.cmap.set_u8("tr.a", 1)
    daemon.cmap.set_u8("tr.a", 2)
    daemon.cmap.set("tr.b", ValueType.BINARY, b"\1")
    daemon.cmap.delete("tr.a")
    daemon.pump()


def test_changes_are_shown(watch: Watch, capfdbinary: Output) -> None:
    def meanwhile() -> None:
        change_things(watch.daemon)
        watch.type(b"q\n")

    assert watch.run("-T", "tr.", meanwhile=meanwhile) == 0
    assert capfdbinary.readouterr().out == (
        b'Type "q" to finish\ncreate> tr.a (u8) = 1\nmodify> tr.a (u8) = 2\n'
        b"create> tr.b (bin)\ndelete> tr.a (u8) = 2\n"
    )


def test_changes_of_one_key_quietly(watch: Watch, capfdbinary: Output) -> None:
    def meanwhile() -> None:
        change_things(watch.daemon)
        watch.type(b"something\nquit\n")

    assert watch.run("-qbt", "tr.b", meanwhile=meanwhile) == 0
    assert capfdbinary.readouterr().out == b'Type "q" to finish\ncreate> bin) = \\x01\n'


def test_a_closed_pipe_is_no_end_but_the_daemons_is(watch: Watch, capfdbinary: Output) -> None:
    def meanwhile() -> None:
        os.close(watch.writer)
        watch.daemon.connections[1].arrived(b"nonsense")

    assert watch.run("-T", "tr.", meanwhile=meanwhile) == 0
    assert capfdbinary.readouterr().err == b"Dispatch error CS_ERR_LIBRARY\n"


def test_a_refused_tracker(daemon: FakeDaemon, capfdbinary: Output) -> None:
    assert main(["-T", "x" * 256]) == 1
    assert capfdbinary.readouterr().err == b"Failed to add tracking function. Error CS_ERR_NAME_TOO_LONG\n"


def test_every_type_and_event_has_a_word() -> None:
    assert set(TYPES.values()) == set(ValueType)
    assert set(cmapctl.EVENT_NAMES) == {TrackEvent.ADD, TrackEvent.DELETE, TrackEvent.MODIFY}
