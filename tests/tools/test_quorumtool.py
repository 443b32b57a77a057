"""corosync-quorumtool against recorded output of the real one, with stand-ins for the services."""

import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pycorosync.client.cmap import Entry, Item, ValueType
from pycorosync.client.connection import LibraryError
from pycorosync.client.quorum import Event, QuorumChanged, QuorumType
from pycorosync.client.votequorum import Info, NodeList, NodeState, VotesInfo
from pycorosync.cs_error import CsError
from pycorosync.tools import quorumtool
from pycorosync.types import NodeId, RingId

DATA = Path(__file__).parent / "data" / "quorumtool"
RING, NONE = RingId(1, 9), Info(0)
DEVICE = Info.DEVICE_REGISTERED | Info.DEVICE_ALIVE | Info.DEVICE_CAST_VOTE


@dataclass
class State:
    """A cluster as one of its daemons sees it."""

    us: NodeId = 1
    members: tuple[NodeId, ...] = (1, 2)
    ring_id: RingId = RING
    flags: Info = Info.QUORATE
    expected: int = 2
    total: int = 2
    quorum: int = 2
    node_flags: Info = NONE
    votes: dict[NodeId, int] = field(default_factory=dict)
    device: str = ""
    device_votes: int = 0
    has_daemon: bool = True
    provider: str | None = "corosync_votequorum"
    named: bool = True
    set_error: CsError = CsError.OK

    @property
    def quorate(self) -> bool:
        return Info.QUORATE in self.flags

    def info(self, node_id: NodeId) -> VotesInfo:
        return VotesInfo(
            node_id,
            NodeState.MEMBER,
            self.votes.get(node_id, 1),
            self.expected,
            self.expected,
            self.total,
            self.quorum,
            self.flags | self.node_flags,
            self.device_votes,
            self.device,
        )


ALONE = State(members=(1,), ring_id=RingId(1, 0xD), total=1)
TWO_NODE = Info.TWO_NODE | Info.WAIT_FOR_ALL
STATES: dict[str, State] = {
    "00-nodaemon": State(has_daemon=False),
    "01-2of2-plain": State(),
    "02-1of2-plain": replace(ALONE, expected=4, total=3, quorum=3, votes={1: 3}),
    "02b-1of2-noquorum": replace(ALONE, flags=Info(0)),
    "03-two_node-wfa-first-boot": replace(ALONE, ring_id=RingId(1, 5), quorum=1, flags=TWO_NODE),
    "04-two_node-2of2": State(quorum=1, flags=TWO_NODE | Info.QUORATE),
    "05-two_node-1of2-after": replace(ALONE, quorum=1, flags=TWO_NODE | Info.QUORATE),
    "06-two_node-restarted-alone": replace(ALONE, ring_id=RingId(1, 0x12), quorum=1, flags=TWO_NODE),
    "07-two_node-wfa-off": replace(ALONE, ring_id=RingId(1, 5), quorum=1, flags=Info.TWO_NODE | Info.QUORATE),
    "11-4node-lms": State(
        members=(1, 2, 3, 4),
        ring_id=RingId(1, 0xD),
        flags=Info.QUORATE | Info.WAIT_FOR_ALL | Info.LAST_MAN_STANDING,
        expected=4,
        total=4,
        quorum=3,
    ),
    "13-noquorum": State(provider=None, members=(), ring_id=RingId(0, 0)),
    "14-udp": State(),
    "14-udpu": State(),
    "17-qdevice": State(expected=3, total=3, node_flags=DEVICE, device="Qdevice", device_votes=1),
    "18-qdevice-1of2": replace(
        ALONE, expected=3, total=2, quorum=2, node_flags=DEVICE, device="Qdevice", device_votes=1
    ),
    "20-qdevice-forced-unregister": replace(ALONE, expected=3, flags=Info(0)),
}
# Within one recording, what a command before has changed.
CHANGES = {
    ("02b-1of2-noquorum", "-e 1"): replace(ALONE, expected=1, quorum=1),
    ("02b-1of2-noquorum", "-e 2"): replace(ALONE, expected=1, quorum=1, set_error=CsError.INVALID_PARAM),
}


class Fake(AbstractContextManager["Fake"]):
    def __init__(self, state: State) -> None:
        if not state.has_daemon:
            raise LibraryError(CsError.LIBRARY)
        self.state = state
        self.closed = False

    def __exit__(self, *_: object) -> None:
        self.closed = True


class FakeCmap(Fake):
    def entries(self) -> dict[str, Entry]:
        found = {"runtime.votequorum.this_node_id": Entry(ValueType.UINT32, self.state.us)}
        if self.state.provider is not None:
            found["quorum.provider"] = Entry(ValueType.STRING, self.state.provider)
        for position, node_id in enumerate((1, 2, 3, 4, 0x40A80003, 0xFFFFFFFF)):
            found[f"nodelist.node.{position}.nodeid"] = Entry(ValueType.UINT32, node_id)
            if self.state.named:
                found[f"nodelist.node.{position}.name"] = Entry(ValueType.STRING, f"n{node_id}")
        return found

    def entry(self, key: str) -> Entry:
        try:
            return self.entries()[key]
        except KeyError:
            raise LibraryError(CsError.NOT_EXIST) from None

    def items(self, prefix: str) -> list[Item]:
        return [Item(key, kind, 0) for key, (kind, _) in self.entries().items() if key.startswith(prefix)]


class FakeQuorum(Fake):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.type = QuorumType.FREE if state.provider is None else QuorumType.SET
        self.pending: list[Event] = []

    def is_quorate(self) -> bool:
        return self.state.quorate

    def track_start(self, flags: int) -> None:
        self.pending.append(QuorumChanged(self.state.quorate, self.state.ring_id, self.state.members))

    def track_stop(self) -> None:
        pass

    def receive(self) -> Event:
        if not self.pending:
            raise LibraryError(CsError.LIBRARY)  # the daemon is gone
        return self.pending.pop(0)


class FakeVotes(Fake):
    calls: list[tuple[Any, ...]] = []  # noqa: RUF012 - emptied by the fixture
    pending = 0

    def info(self, node_id: NodeId) -> VotesInfo:
        return self.state.info(node_id)

    def track_start(self, flags: int) -> None:
        self.pending += 1

    def receive(self, timeout_s: float) -> NodeList | None:
        if not self.pending:
            return None
        self.pending -= 1
        return NodeList(0, self.state.ring_id, self.state.members)

    def set_votes(self, node_id: NodeId, votes: int) -> None:
        self._change("set_votes", node_id, votes)
        if node_id not in self.state.members:
            raise LibraryError(CsError.NAME_NOT_FOUND)

    def set_expected_votes(self, votes: int) -> None:
        self._change("set_expected_votes", votes)

    def unregister_device(self, name: str) -> None:
        self._change("unregister_device", name)

    def _change(self, *call: Any) -> None:
        self.calls.append(call)
        if self.state.set_error is not CsError.OK:
            raise LibraryError(self.state.set_error)


class FakeCfg(Fake):
    def node_addresses(self, node_id: NodeId) -> list[str]:
        if node_id > 4:
            raise LibraryError(CsError.NOT_EXIST)
        return [f"10.79.0.{node_id}", f"10.79.1.{node_id}"]


Tool = Callable[[State, str], tuple[int, str, str]]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """Run a command line in a state: exit status, output, errors. Dates are masked."""

    def unresolved(address: tuple[str, int], flags: int) -> tuple[str, str]:
        if not flags & socket.NI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_AGAIN, "no name server")
        return address[0], ""

    def execute(state: State, arguments: str) -> tuple[int, str, str]:
        quorum = FakeQuorum if state.has_daemon else Fake
        monkeypatch.setattr(quorumtool, "Cmap", lambda: FakeCmap(state))
        monkeypatch.setattr(quorumtool, "Quorum", lambda model: quorum(state))
        monkeypatch.setattr(quorumtool, "Cfg", lambda: FakeCfg(state))
        monkeypatch.setattr(quorumtool, "Votequorum", lambda: FakeVotes(state))
        status = quorumtool.main(arguments.split())
        out, err = capsys.readouterr()
        return status, masked(out), err

    monkeypatch.setattr("sys.argv", ["corosync-quorumtool"])
    monkeypatch.setattr(socket, "getnameinfo", unresolved)
    FakeVotes.calls.clear()
    return execute


def masked(text: str) -> str:
    return re.sub(r"(?m)^Date:             \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$", "Date: masked", text)


RECORD = re.compile(
    r"\$ corosync-quorumtool(?P<arguments>[^#\n]*?) +# on n(?P<node>\d)\n"
    r"rc: (?P<status>\d+)\n--- stdout\n(?P<out>.*?)--- stderr\n(?P<err>.*?)(?=^\$ corosync|\Z)",
    re.DOTALL | re.MULTILINE,
)


def recorded() -> list[Any]:
    cases = []
    for path in sorted(DATA.glob("*.txt")):
        state = STATES[path.stem]
        for number, match in enumerate(RECORD.finditer(path.read_text())):
            arguments = match["arguments"].strip()
            state = CHANGES.get((path.stem, arguments), state)
            here = replace(state, us=int(match["node"]))
            expected = (int(match["status"]), masked(match["out"]), match["err"])
            cases.append(pytest.param(here, arguments, expected, id=f"{path.stem}-{number} {arguments}"))
    return cases


@pytest.mark.parametrize(("state", "arguments", "expected"), recorded())
def test_output_is_that_of_the_real_tool(
    tool: Tool, state: State, arguments: str, expected: tuple[int, str, str]
) -> None:
    assert tool(state, arguments) == expected


def test_recordings_are_read() -> None:
    assert len(recorded()) > 120
    assert {path.stem for path in DATA.glob("*.txt")} == set(STATES)


def rows(output: str) -> list[str]:
    return output.split("Name\n", 1)[1].splitlines()


def test_device_that_does_not_vote(tool: Tool) -> None:
    flags = Info.DEVICE_REGISTERED | Info.DEVICE_ALIVE
    state = State(expected=3, node_flags=flags, device="Qdevice", device_votes=1)
    assert rows(tool(state, "-l")[1]) == [
        "         1          1   A,NV,NMW n1 (local)",
        "         2          1   A,NV,NMW n2",
        "         0          0            Qdevice (votes 1)",
    ]
    dead = replace(state, node_flags=Info.DEVICE_REGISTERED | Info.DEVICE_MASTER_WINS)
    assert rows(tool(dead, "-lH")[1]) == [
        "0x00000001          1   NA,NV,MW n1 (local)",
        "0x00000002          1   NA,NV,MW n2",
        "0x00000000          0            Qdevice (votes 1)",
    ]


def test_device_is_unregistered_by_its_name(tool: Tool) -> None:
    state = STATES["17-qdevice"]
    assert tool(state, "-f") == (0, "", "")
    assert FakeVotes.calls == [("unregister_device", "Qdevice")]
    refused = replace(state, set_error=CsError.NOT_EXIST)
    assert tool(refused, "-f") == (1, "", "Unable to unregister quorum device: CS_ERR_NOT_EXIST\n")


def test_order_by_node_id_is_signed_and_by_name_is_not(tool: Tool) -> None:
    state = State(members=(1, 2, 3, 4))
    assert [row.split()[2] for row in rows(tool(state, "-l -o i")[1])] == ["n1", "n2", "n3", "n4"]
    state = State(members=(1, 0x40A80003, 0xFFFFFFFF))
    status, out, err = tool(state, "-l -o i")
    assert [row.split()[0] for row in rows(out)] == ["4294967295", "1", "1084751875"]
    assert (status, err.count("Unable to get node address for nodeid 4294967295: CS_ERR_NOT_EXIST\n")) == (
        0,
        1,
    )


def test_without_names_addresses_are_resolved(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getnameinfo", lambda address, flags: (f"host-{address[0]}", ""))
    state = State(named=False)
    assert rows(tool(state, "-l")[1])[1] == "         2          1 host-10.79.0.2"
    assert rows(tool(state, "-la")[1])[1] == "         2          1 host-10.79.0.2, host-10.79.1.2"


def test_votes_of_this_node_or_another(tool: Tool) -> None:
    assert tool(State(), "-v 3") == (0, "", "")
    assert tool(State(), "-n 2 -v 0") == (0, "", "")
    assert FakeVotes.calls == [("set_votes", 1, 3), ("set_votes", 2, 0)]
    error = "Unable to set votes 1 for nodeid: 99: CS_ERR_NAME_NOT_FOUND\n"
    assert tool(State(), "-n 99 -v 1") == (1, "", error)


@pytest.mark.parametrize(
    "number",
    [pytest.param("9" * 5000, id="many digits"), "", "1x", "0x1", "1_0", "٣", "2147483648", "--1", "1 "],
)
def test_numbers_are_read_as_strtoll_does(number: str) -> None:
    with pytest.raises(quorumtool._Failed):
        quorumtool._number(number, 0, quorumtool.INT_MAX, "no")
    assert quorumtool._number(" +7", 0, quorumtool.INT_MAX, "no") == 7


def test_options_before_a_mistake_count(tool: Tool) -> None:
    status, out, _ = tool(State(has_daemon=False), "-V -z")
    assert (status, out) == (0, "corosync-quorumtool version: 3.1.7\n")
    status, out, err = tool(State(), "-z -V")
    assert (status, err) == (1, "corosync-quorumtool: invalid option -- 'z'\n")
    assert out.startswith("usage: \n")


def test_monitor_shows_every_change_and_ends_with_the_daemon(tool: Tool) -> None:
    status, out, err = tool(State(), "-m")
    assert (status, err) == (1, "Unable to dispatch quorum status: CS_ERR_LIBRARY\n")
    assert out == tool(State(), "-s")[1] + "\n"


def test_other_provider_has_no_votes(tool: Tool) -> None:
    state = State(provider="corosync_ykd", ring_id=RingId(0, 0x1F))
    status, out, err = tool(state, "-s")
    assert (status, err) == (0, "")
    assert "Quorum provider:  corosync_ykd\n" in out
    assert "Ring ID:          1f\n" in out
    assert "Membership" not in out
