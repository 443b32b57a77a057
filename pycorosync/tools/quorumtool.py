"""corosync-quorumtool: show and change votes (corosync: tools/corosync-quorumtool.c).

Exit status: 0 done, and quorate if that was asked; 2 not quorate; 1 error.
"""

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeVar

from pycorosync import COROSYNC_VERSION
from pycorosync.client.cfg import Cfg
from pycorosync.client.cmap import Cmap, ValueType
from pycorosync.client.connection import LibraryError
from pycorosync.client.quorum import Model, Quorum, QuorumChanged, QuorumType, TrackFlags
from pycorosync.client.votequorum import Info, NodeList, NodeState, Votequorum, VotesInfo
from pycorosync.cs_error import CsError
from pycorosync.tools import json_status
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, UINT32_MAX, complain, number, run_tool
from pycorosync.tools.options import Options
from pycorosync.types import NodeId, RingId, signed

EXIT_NOT_QUORATE: Final = 2
INT_MAX: Final = 2**31 - 1
LETTERS: Final = "VHaslpmfe:v:hin:o:"
USAGE: Final = """\
usage: 
{program} <options>

  options:

  -s             show quorum status
  -m             constantly monitor quorum status
  -l             list nodes
  -a             show all names or addresses for each node
  -p             when used with -s or -l, generates machine parsable output
  -v <votes>     change the number of votes for a node (*)
  -n <nodeid>    optional nodeid of node for -v
  -e <expected>  change expected votes for the cluster (*)
  -H             show nodeids in hexadecimal rather than decimal
  -i             show node IP addresses instead of the resolved name
  -o <a|n|i>     order by [a] IP address (default), [n] name, [i] nodeid
  -f             forcefully unregister a quorum device *DANGEROUS* (*)
  -h             show this help text
  -V             show version and exit

  (*) Starred items only work if votequorum is the quorum provider for corosync
"""  # noqa: W291
FLAG_WORDS: Final = (
    (Info.TWO_NODE, "2Node"),
    (Info.QUORATE, "Quorate"),
    (Info.WAIT_FOR_ALL, "WaitForAll"),
    (Info.LAST_MAN_STANDING, "LastManStanding"),
    (Info.AUTO_TIE_BREAKER, "AutoTieBreaker"),
    (Info.ALLOW_DOWNSCALE, "AllowDownscale"),
    (Info.DEVICE_REGISTERED, "Qdevice"),
)
_KEY_OF_ID: Final = re.compile(r"nodelist\.node\.([0-9]+)\.nodeid")
_NAME_MAX: Final = 254
_NO_RING: Final = RingId(0, -1)


Service = TypeVar("Service", Cmap, Quorum, Cfg, Votequorum)


class _Failed(Exception):
    """An error that has been reported."""


@dataclass
class _Settings:
    """What the options say."""

    command: "Callable[[_Session, _Settings], int]"
    all_addresses: bool = False
    numeric: bool = False
    hexadecimal: bool = False
    machine_parsable: bool = False
    order: str = "a"
    votes: int = 0
    node_id: NodeId | None = None


@dataclass
class _Session:
    """The services, as far as there are any. `provider` is None when there is no quorum provider."""

    cmap: Cmap
    quorum: Quorum
    cfg: Cfg
    provider: str | None
    votes: Votequorum | None = None
    our_node_id: NodeId = 0
    listed: RingId = _NO_RING  # the last ring whose node list has come
    names: dict[NodeId, str] = field(default_factory=dict)


def run() -> NoReturn:
    """The command."""
    run_tool(main)


def main(arguments: list[str]) -> int:
    """Do what the command line says; the exit status."""
    if (rest := json_status.without_option(arguments)) is not None:
        return json_status.answer("corosync-quorumtool", rest)
    try:
        settings = _read_options(arguments)
        if settings is None:
            return EXIT_SUCCESS
        with ExitStack() as stack:
            return settings.command(_connect(stack), settings)
    except _Failed:
        return EXIT_FAILURE
    finally:
        sys.stdout.flush()


def _fail(text: str) -> NoReturn:
    complain(text)
    raise _Failed


@contextmanager
def _or_fail(to: str) -> Iterator[None]:
    """Around a request: `to` says what it is for."""
    try:
        yield
    except LibraryError as fault:
        _fail(f"Unable to {to}: {fault.code.label}")


# --- the command line


def _read_options(arguments: list[str]) -> _Settings | None:
    """None if the answer has been given: -h and -V."""
    settings = _Settings(_show_status)
    program = os.path.basename(sys.argv[0])
    for letter, argument in Options(arguments, LETTERS):
        match letter:
            case "f" | "s" | "m" | "l":
                settings.command = _COMMANDS[letter]
            case "a":
                settings.all_addresses = True
            case "i":
                settings.numeric = True
            case "H":
                settings.hexadecimal = True
            case "p":
                settings.machine_parsable = True
            case "e":
                what = "New expected votes value was not valid, try a positive number"
                settings.votes = _number(argument, 1, INT_MAX, what)
                settings.command = _set_expected
            case "n":
                what = "The nodeid was not valid, try a positive number"
                settings.node_id = _number(argument, 1, UINT32_MAX, what)
            case "v":
                what = "New votes value was not valid, try a positive number or zero"
                settings.votes = _number(argument, 0, INT_MAX, what)
                settings.command = _set_votes
            case "o":
                if argument not in ("a", "i", "n"):
                    _fail("Invalid ordering option. valid orders are a(address), i(node ID) or n(name)")
                settings.order = argument
            case "V":
                print(f"corosync-quorumtool version: {COROSYNC_VERSION}")
                return None
            case "h":
                print(USAGE.format(program=program))
                return None
            case _:
                print(USAGE.format(program=program))
                raise _Failed
    return settings


def _number(text: str, lowest: int, highest: int, otherwise: str) -> int:
    found = number(text, lowest, highest)
    if found is None:
        _fail(otherwise)
    return found


# --- the services


def _connect(stack: ExitStack) -> _Session:
    cmap = _connected(stack, Cmap, "Cannot initialize CMAP service")
    quorum = _connected(stack, lambda: Quorum(Model.V0), "Cannot initialize QUORUM service")
    cfg = _connected(stack, Cfg, "Cannot initialise CFG service")
    session = _Session(cmap, quorum, cfg, _provider(cmap, quorum))
    if session.provider == "corosync_votequorum":
        session.votes = _connected(stack, Votequorum, "Cannot initialise VOTEQUORUM service")
        our_node_id = _value(cmap, "runtime.votequorum.this_node_id", ValueType.UINT32)
        if not isinstance(our_node_id, int):
            _fail("Unable to retrieve this_node_id")
        session.our_node_id = our_node_id
    return session


def _connected(stack: ExitStack, service: Callable[[], Service], otherwise: str) -> Service:
    try:
        return stack.enter_context(service())
    except LibraryError:
        _fail(otherwise)


def _provider(cmap: Cmap, quorum: Quorum) -> str | None:
    if quorum.type is QuorumType.FREE:
        return None
    provider = _value(cmap, "quorum.provider", ValueType.STRING)
    return provider if isinstance(provider, str) else None


def _value(cmap: Cmap, key: str, kind: ValueType) -> object:
    """A key's value, None if there is none or it has another type."""
    try:
        entry = cmap.entry(key)
    except LibraryError:
        return None
    return entry.value if entry.kind is kind else None


def _with_votes(session: _Session, what: str) -> Votequorum:
    if session.votes is None:
        _fail(f"You cannot {what}, corosync is not using votequorum")
    return session.votes


# --- commands: each returns the exit status


def _set_votes(session: _Session, settings: _Settings) -> int:
    votes = _with_votes(session, "change node votes")
    node_id = session.our_node_id if settings.node_id is None else settings.node_id
    with _or_fail(f"set votes {settings.votes} for nodeid: {node_id}"):
        votes.set_votes(node_id, settings.votes)
    return EXIT_SUCCESS


def _set_expected(session: _Session, settings: _Settings) -> int:
    votes = _with_votes(session, "change expected votes")
    with _or_fail("set expected votes"):
        votes.set_expected_votes(settings.votes)
    return EXIT_SUCCESS


def _unregister_device(session: _Session, settings: _Settings) -> int:
    votes = _with_votes(session, "unregister quorum device")
    with _or_fail("get quorum device info"):
        info = votes.info(session.our_node_id)
    if Info.DEVICE_REGISTERED in info.flags:
        with _or_fail("unregister quorum device"):
            votes.unregister_device(info.device_name)
    return EXIT_SUCCESS


def _show_nodes(session: _Session, settings: _Settings) -> int:
    _track_quorum(session, TrackFlags.CURRENT)
    _show_members(session, settings, _next_quorum(session))
    return EXIT_SUCCESS


def _show_status(session: _Session, settings: _Settings) -> int:
    with _or_fail("get cluster quorate status"):
        is_quorate = session.quorum.is_quorate()
    _track_quorum(session, TrackFlags.CURRENT)
    event = _next_quorum(session)
    with suppress(LibraryError):
        session.quorum.track_stop()
    _track_votes(session, TrackFlags.CURRENT)
    _take_node_lists(session, 0)
    _show_everything(session, settings, is_quorate, event)
    return EXIT_SUCCESS if is_quorate else EXIT_NOT_QUORATE


def _monitor(session: _Session, settings: _Settings) -> int:
    """Ends only with an error."""
    if session.quorum.type is QuorumType.FREE:
        print("\nQuorum is not configured - cannot monitor")
        return _show_status(session, settings)
    _track_quorum(session, TrackFlags.CHANGES)
    _track_votes(session, TrackFlags.CHANGES)
    while True:
        event = _next_quorum(session)
        _take_node_lists(session, event.ring_id.seq)
        try:
            _show_everything(session, settings, event.quorate, event)
        finally:
            print()


_COMMANDS: Final = {"f": _unregister_device, "s": _show_status, "m": _monitor, "l": _show_nodes}


def _track_quorum(session: _Session, flags: TrackFlags) -> None:
    with _or_fail("start quorum status tracking"):
        session.quorum.track_start(flags)


def _next_quorum(session: _Session) -> QuorumChanged:
    while True:
        with _or_fail("dispatch quorum status"):
            event = session.quorum.receive()
        if isinstance(event, QuorumChanged):
            return event


def _track_votes(session: _Session, flags: TrackFlags) -> None:
    """Ask for the node list, which is where the ring's representative is named."""
    if session.votes is None:
        if session.provider is None:
            # Compatibility: without a provider corosync's tool uses a handle that it never opened.
            _fail(f"Unable to start votequorum status tracking: {CsError.BAD_HANDLE.label}")
        return
    with _or_fail("start votequorum status tracking"):
        session.votes.track_start(flags)


def _take_node_lists(session: _Session, lowest_seq: int) -> None:
    """Wait for a node list of this ring or a later one: it may come after the answer, or the quorum event."""
    votes = session.votes
    if votes is None:
        return
    with _or_fail("dispatch votequorum status"):
        while (found := votes.receive(None if session.listed.seq < lowest_seq else 0)) is not None:
            if isinstance(found, NodeList):
                session.listed = found.ring_id


# --- output


def _show_everything(session: _Session, settings: _Settings, is_quorate: bool, event: QuorumChanged) -> None:
    print("Quorum information")
    print("------------------")
    print(f"Date:             {time.ctime()}")
    print(f"Quorum provider:  {session.provider or 'Not configured'}")
    print(f"Nodes:            {len(event.members)}")
    our_id = f"0x{session.our_node_id:08x}" if settings.hexadecimal else f"{session.our_node_id}"
    print(f"Node ID:          {our_id}")
    seq = event.ring_id.seq
    print(f"Ring ID:          {f'{seq:x}' if session.votes is None else session.listed._replace(seq=seq)}")
    print(f"Quorate:          {'Yes' if is_quorate else 'No'}")
    if session.votes is None:
        return
    code = CsError.OK
    info = NO_INFO
    try:
        info = session.votes.info(session.our_node_id)
    except LibraryError as fault:
        code = fault.code
    if code in (CsError.OK, CsError.NOT_EXIST):
        _show_votes(info)
    else:
        print(f"Unable to get node info: {code.label}", file=sys.stderr)
    _show_members(session, settings, event)
    if code is not CsError.OK:
        raise _Failed


def _show_votes(info: VotesInfo) -> None:
    blocked = " " if Info.QUORATE in info.flags else "Activity blocked"
    words = "".join(f"{word} " for flag, word in FLAG_WORDS if flag in info.flags)
    print("\nVotequorum information")
    print("----------------------")
    print(f"Expected votes:   {info.expected_votes}")
    print(f"Highest expected: {info.highest_expected}")
    print(f"Total votes:      {info.total_votes}")
    print(f"Quorum:           {info.quorum} {blocked}")
    print(f"Flags:            {words}")


NO_INFO: Final = VotesInfo(0, NodeState.MEMBER, 0, 0, 0, 0, 0, Info(0), 0, "")


@dataclass
class _Row:
    """One member in the list."""

    node_id: NodeId
    info: VotesInfo
    name: str


def _show_members(session: _Session, settings: _Settings, event: QuorumChanged) -> None:
    infos = [_info(session, node_id) for node_id in event.members]
    rows = [
        _Row(node_id, info, _node_name(session, settings, node_id))
        for node_id, info in zip(event.members, infos, strict=True)
    ]
    has_device = any(Info.DEVICE_REGISTERED in row.info.flags for row in rows)
    shows_device = session.votes is not None and (has_device or settings.machine_parsable)
    columns = ["Nodeid", *(["Votes"] if session.votes else []), *(["Qdevice"] if shows_device else [])]
    print("\nMembership information")
    print("----------------------")
    print("".join(f"{column:>10} " for column in columns) + "Name")
    # The daemon lists them in ascending order of their ids; the addresses are not looked at.
    if settings.order == "i":
        # Compatibility: ids are compared as signed numbers.
        rows.sort(key=lambda row: signed(row.node_id))
    elif settings.order == "n":
        rows.sort(key=lambda row: os.fsencode(row.name))
    our_flags = Info(0)
    for row in rows:
        cells = [f"{row.info.votes}"] if session.votes else []
        if shows_device:
            cells.append(_device_state(row.info.flags))
        is_local = row.node_id == session.our_node_id
        if is_local:
            our_flags = row.info.flags
        line = _shown_id(settings, row.node_id) + "".join(f"{cell:>10} " for cell in cells) + row.name
        print(line + (" (local)" if is_local else ""))
    if has_device:
        _show_device(settings, infos[0], Info.DEVICE_CAST_VOTE in our_flags)


def _info(session: _Session, node_id: NodeId) -> VotesInfo:
    if session.votes is None:
        return NO_INFO
    try:
        return session.votes.info(node_id)
    except LibraryError:
        print(f"Unable to get node {node_id} info")
        return NO_INFO


def _shown_id(settings: _Settings, node_id: NodeId) -> str:
    return f"0x{node_id:08x} " if settings.hexadecimal else f"{node_id:>10} "


def _device_state(flags: Info) -> str:
    if Info.DEVICE_REGISTERED not in flags:
        return "NR"
    return ",".join(
        (
            "A" if Info.DEVICE_ALIVE in flags else "NA",
            "V" if Info.DEVICE_CAST_VOTE in flags else "NV",
            "MW" if Info.DEVICE_MASTER_WINS in flags else "NMW",
        )
    )


def _show_device(settings: _Settings, info: VotesInfo, casts_vote: bool) -> None:
    """The last row: the device's votes count as none while it does not vote for us."""
    votes = info.device_votes if casts_vote else 0
    remark = "" if casts_vote else f" (votes {info.device_votes})"
    print(f"{_shown_id(settings, 0)}{votes:>10}            {info.device_name}{remark}")


# --- names


def _node_name(session: _Session, settings: _Settings, node_id: NodeId) -> str:
    """The name in the nodelist or else the first address, resolved if possible; with -a all addresses."""
    name = "" if settings.numeric else _configured_name(session, node_id)
    try:
        addresses = session.cfg.node_addresses(node_id)
    except LibraryError as fault:
        print(f"Unable to get node address for nodeid {node_id}: {fault.code.label}", file=sys.stderr)
        return ""
    shown = len(addresses) if settings.all_addresses else 1
    # Compatibility: a name stands in the place of the first address.
    for place, address in list(enumerate(addresses[:shown]))[1 if name else 0 :]:
        name += (", " if place else "") + _resolved(address, settings.numeric)
    return name


def _configured_name(session: _Session, node_id: NodeId) -> str:
    if not session.names:
        session.names = _names(session.cmap)
    return session.names.get(node_id, "")


def _names(cmap: Cmap) -> dict[NodeId, str]:
    """The nodelist's names. If an id is there twice, the first that has a name counts."""
    names: dict[NodeId, str] = {}
    try:
        for item in cmap.items("nodelist.node."):
            if found := _KEY_OF_ID.fullmatch(item.key):
                node_id = _value(cmap, item.key, ValueType.UINT32)
                name = _value(cmap, f"nodelist.node.{found[1]}.name", ValueType.STRING)
                if isinstance(node_id, int) and isinstance(name, str):
                    names.setdefault(node_id, name[:_NAME_MAX])
    except LibraryError:
        pass
    return names


def _resolved(address: str, numeric: bool) -> str:
    """The host name of an address if there is one; nothing if the resolver does not answer."""
    try:
        return socket.getnameinfo((address, 0), socket.NI_NUMERICHOST if numeric else 0)[0]
    except OSError:
        return ""
