"""`--json` of the status tools (pycorosync/tools/json_status.py); every example of docs/json.md is JSON."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pycorosync.client import session
from pycorosync.client.cfg import LinkState, NodeStatus
from pycorosync.client.connection import LibraryError
from pycorosync.client.cpg import Iteration, Membership
from pycorosync.client.quorum import Model, QuorumChanged, QuorumType, TrackFlags
from pycorosync.client.votequorum import Info, NodeState, VotesInfo
from pycorosync.cmap.store import ValueType
from pycorosync.cs_error import CsError
from pycorosync.tools import cfgtool, cmapctl, cpgtool, json_status, quorumtool
from pycorosync.types import NodeId, RingId
from tests.client.cmap_daemon import FakeDaemon

DOC = Path(__file__).parents[2] / "docs" / "json.md"
TOOLS: dict[str, Callable[[list[str]], int]] = {
    "corosync-quorumtool": quorumtool.main,
    "corosync-cfgtool": cfgtool.main,
    "corosync-cpgtool": cpgtool.main,
    "corosync-cmapctl": cmapctl.main,
}
NO_LINK = LinkState(False, False, False, 0, "", "")


class Fake:
    """What the services in place of the daemon's have in common."""

    def close(self) -> None: ...


class FakeCfg(Fake):
    def local_node_id(self) -> NodeId:
        return 1

    def node_addresses(self, node_id: NodeId) -> list[str]:
        if node_id > 2:
            raise LibraryError(CsError.NOT_EXIST)
        return [f"192.0.2.{node_id}", f"198.51.100.{node_id}"]

    def node_status(self, node_id: NodeId) -> NodeStatus:
        if node_id == 1:
            links = (LinkState(True, True, False, 65536, "192.0.2.1", "192.0.2.1"), *(NO_LINK,) * 7)
            return NodeStatus(1, True, False, False, 0, 0, 0, links)
        links = (
            LinkState(True, True, True, 1397, "192.0.2.1", "192.0.2.2"),
            LinkState(True, False, False, 0, "198.51.100.1", "198.51.100.2"),
            *(NO_LINK,) * 6,
        )
        return NodeStatus(2, True, True, False, 0, 0, 0, links)


class FakeQuorum(Fake):
    quorate = True
    type = QuorumType.SET

    def __init__(self, model: Model) -> None:
        assert model is Model.V1

    def track_start(self, flags: TrackFlags) -> None:
        assert flags is TrackFlags.CURRENT

    def receive(self) -> QuorumChanged:
        return QuorumChanged(self.quorate, RingId(1, 9), (1, 2, 3))


class FakeVotequorum(Fake):
    def info(self, node_id: NodeId) -> VotesInfo:
        if node_id == 3:
            raise LibraryError(CsError.NOT_EXIST)
        flags = Info.QUORATE | Info.TWO_NODE
        if node_id == 2:
            flags |= Info.DEVICE_REGISTERED | Info.DEVICE_ALIVE
        return VotesInfo(node_id, NodeState.MEMBER, 1, 2, 2, 3, 2, flags, 1, "Qdevice")


class FakeCpg(Fake):
    def iterate(self, kind: Iteration) -> Iterator[Membership]:
        if kind is Iteration.NAMES:
            yield Membership(b"a\\b\xff", 0, 0)
        else:
            yield from (Membership(b"crmd\0", 1, 77), Membership(b"crmd\0", 3, 78))


@pytest.fixture(autouse=True)
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    made = FakeDaemon()
    monkeypatch.setattr(session, "Connection", made.connect)
    for name, fake in (
        ("Cfg", FakeCfg),
        ("Quorum", FakeQuorum),
        ("Votequorum", FakeVotequorum),
        ("Cpg", FakeCpg),
    ):
        monkeypatch.setattr(json_status, name, fake)
    for place, node_id in enumerate((2, 1)):
        made.cmap.set_u32(f"nodelist.node.{place}.nodeid", node_id)
        made.cmap.set_str(f"nodelist.node.{place}.name", f"n{node_id}")
    made.cmap.set_str("quorum.provider", "corosync_votequorum")
    return made


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    def run(program: str, *arguments: str) -> tuple[int, Any]:
        status = TOOLS[program](["--json", *arguments])
        out, err = capsys.readouterr()
        assert bool(out) != bool(err)
        return status, json.loads(out) if out else err

    return run


Ask = Callable[..., tuple[int, Any]]


@pytest.mark.parametrize("options", [(), ("-s",)])
def test_quorum_status(ask: Ask, options: tuple[str, ...]) -> None:
    device = {"name": "Qdevice", "votes": 1, "alive": True, "casts_vote": False, "master_wins": False}
    first = ["192.0.2.1", "198.51.100.1"]
    second = ["192.0.2.2", "198.51.100.2"]
    members = [
        {"node_id": 1, "name": "n1", "local": True, "addresses": first, "votes": 1, "device": None},
        {"node_id": 2, "name": "n2", "local": False, "addresses": second, "votes": 1, "device": device},
        {"node_id": 3, "name": None, "local": False, "addresses": [], "votes": None, "device": None},
    ]
    assert ask("corosync-quorumtool", *options) == (
        0,
        {
            "schema": "quorum-status",
            "version": 1,
            "provider": "corosync_votequorum",
            "local_node_id": 1,
            "ring": {"representative": 1, "sequence": 9},
            "quorate": True,
            "votes": {
                "expected": 2,
                "highest_expected": 2,
                "total": 3,
                "quorum": 2,
                "flags": ["two_node", "quorate"],
            },
            "members": members,
        },
    )
    assert ask("corosync-quorumtool", "-l") == (
        0,
        {"schema": "quorum-nodes", "version": 1, "local_node_id": 1, "members": members},
    )


def test_without_quorum_and_without_a_provider(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeQuorum, "quorate", False)
    monkeypatch.setattr(FakeQuorum, "type", QuorumType.FREE)
    status, found = ask("corosync-quorumtool")
    assert status == 2
    assert (found["provider"], found["votes"], found["quorate"]) == (None, None, False)
    assert {member["votes"] for member in found["members"]} == {None}
    assert ask("corosync-quorumtool", "-l")[0] == 0


def test_link_status(ask: Ask, daemon: FakeDaemon) -> None:
    daemon.cmap.set_str("totem.interface.1.knet_transport", "sctp")
    common = {"version": 1, "local_node_id": 1, "transport": "knet"}
    assert ask("corosync-cfgtool", "-s") == (
        0,
        {"schema": "link-status"}
        | common
        | {
            "links": [
                {
                    "link": 0,
                    "transport": "udp",
                    "address": "192.0.2.1",
                    "nodes": [{"node_id": 2, "connected": True}],
                },
                {
                    "link": 1,
                    "transport": "sctp",
                    "address": "198.51.100.1",
                    "nodes": [{"node_id": 2, "connected": False}],
                },
            ]
        },
    )
    status, found = ask("corosync-cfgtool", "-n")
    assert status == 0
    assert [node["node_id"] for node in found["nodes"]] == [1, 2]
    assert found["nodes"][1] == {
        "node_id": 2,
        "local": False,
        "reachable": True,
        "remote": True,
        "external": False,
        "links": [
            {
                "link": 0,
                "transport": "udp",
                "source": "192.0.2.1",
                "destination": "192.0.2.2",
                "connected": True,
                "mtu": 1397,
            },
            {
                "link": 1,
                "transport": "sctp",
                "source": "198.51.100.1",
                "destination": "198.51.100.2",
                "connected": False,
                "mtu": 0,
            },
        ],
    }


def test_a_node_alone_and_udpu(ask: Ask, daemon: FakeDaemon) -> None:
    daemon.cmap.set_str("totem.transport", "udpu")
    daemon.cmap.delete("nodelist.node.0.nodeid")
    assert ask("corosync-cfgtool", "-s")[1]["links"] == [
        {"link": 0, "transport": None, "address": "192.0.2.1", "nodes": []}
    ]
    daemon.cmap.delete("nodelist.node.1.nodeid")
    assert ask("corosync-cfgtool", "-s") == (1, "corosync-cfgtool: No nodes found in nodelist\n")


def test_groups(ask: Ask) -> None:
    members = [
        {"node_id": 1, "pid": 77, "addresses": ["192.0.2.1", "198.51.100.1"]},
        {"node_id": 3, "pid": 78, "addresses": []},
    ]
    head = {"schema": "cpg-groups", "version": 1}
    group = {"name": "crmd\\x00", "name_hex": "63726d6400", "members": members}
    assert ask("corosync-cpgtool") == (0, head | {"groups": [group]})
    names = [{"name": "a\\\\b\\xff", "name_hex": "615c62ff"}]
    assert ask("corosync-cpgtool", "-n") == (0, head | {"groups": names})


def test_keys(ask: Ask, daemon: FakeDaemon) -> None:
    cmap = daemon.cmap
    cmap.set("test.bin", ValueType.BINARY, b"\0\xff")
    cmap.set("test.dbl", ValueType.DOUBLE, 1.5)
    cmap.set("test.flt", ValueType.FLOAT, float("-inf"))
    cmap.set_str("test.str", "ä\udcff\\")
    cmap.set_u64("test.u64", 2**64 - 1)
    wanted = [
        {"key": "test.bin", "type": "bin", "value": "00ff"},
        {"key": "test.dbl", "type": "dbl", "value": 1.5},
        {"key": "test.flt", "type": "flt", "value": "-inf"},
        {"key": "test.str", "type": "str", "value": "ä\\xff\\"},
        {"key": "test.u64", "type": "u64", "value": 2**64 - 1},
    ]
    head = {"schema": "cmap-keys", "version": 1, "map": "icmap"}
    assert ask("corosync-cmapctl", "test.", "nope.", "test.b") == (0, head | {"keys": wanted})
    assert ask("corosync-cmapctl", "nope.") == (1, head | {"keys": []})
    assert ask("corosync-cmapctl", "-g", "test.u64") == (0, head | {"keys": wanted[-1:]})
    found = ask("corosync-cmapctl", "-g", "test.u64", "nope")
    assert found == (1, "corosync-cmapctl: Can't get key nope. Error CS_ERR_NOT_EXIST\n")
    _status, found = ask("corosync-cmapctl", "-m", "stats")
    assert found["map"] == "stats"
    assert len(ask("corosync-cmapctl")[1]["keys"]) == len(cmap)


@pytest.mark.parametrize(
    ("program", "arguments", "text"),
    [
        ("corosync-quorumtool", ("-m",), "corosync-quorumtool: invalid option -- 'm'\n"),
        (
            "corosync-quorumtool",
            ("-s", "-l"),
            "corosync-quorumtool: --json goes with one of the options that show something\n",
        ),
        ("corosync-cfgtool", (), "corosync-cfgtool: --json needs -s or -n\n"),
        ("corosync-cfgtool", ("-R",), "corosync-cfgtool: invalid option -- 'R'\n"),
        ("corosync-cmapctl", ("-g",), "corosync-cmapctl: Expected key after options\n"),
        (
            "corosync-cmapctl",
            ("-m", "x"),
            "corosync-cmapctl: invalid map name, must be 'default', 'icmap' or 'stats'\n",
        ),
    ],
)
def test_what_it_does_not_go_with(ask: Ask, program: str, arguments: tuple[str, ...], text: str) -> None:
    assert ask(program, *arguments) == (1, text)


@pytest.mark.parametrize("program", sorted(TOOLS))
def test_without_a_daemon(ask: Ask, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LibraryError(CsError.LIBRARY)

    for name in ("Cmap", "Cfg", "Cpg", "Quorum"):
        monkeypatch.setattr(json_status, name, refuse)
    status, text = ask(program, *(["-s"] if program == "corosync-cfgtool" else []))
    assert status == 1
    assert re.fullmatch(
        rf"{program}: cannot connect to the \w+ service: CS_ERR_LIBRARY\n",
        text,
    )


def test_where_the_option_stands() -> None:
    assert json_status.without_option(["-s"]) is None
    assert json_status.without_option(["-s", "--json"]) == ["-s"]
    assert json_status.without_option(["--", "--json"]) is None
    assert json_status.without_option(["--json", "--", "--json"]) == ["--", "--json"]


def test_the_examples_of_the_documentation() -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOC.read_text(), re.DOTALL)]
    assert len(examples) == 5
    named = {example["schema"] for example in examples if "schema" in example}
    assert named == {"quorum-status", "link-status", "cpg-groups", "cmap-keys"}
