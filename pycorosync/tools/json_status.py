"""`--json` of the status tools: what they know, for programs. The schema stands in docs/json.md.

    corosync-quorumtool --json [-s | -l]        corosync-cpgtool --json [-n]
    corosync-cfgtool --json -s | -n             corosync-cmapctl --json [-m MAP] [-g KEY... | PREFIX...]

corosync's tools have nothing like it. One object is written, or none and a line on standard error. The exit
status is that of the same call without --json.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final, TypeVar

from pycorosync.client.cfg import Cfg, LinkState
from pycorosync.client.cmap import Cmap, CmapMap, Entry, ValueType
from pycorosync.client.connection import LibraryError
from pycorosync.client.cpg import Cpg, Iteration
from pycorosync.client.quorum import Model, Quorum, QuorumChanged, QuorumType, TrackFlags
from pycorosync.client.session import Session
from pycorosync.client.votequorum import Info, Votequorum
from pycorosync.cs_error import CsError
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, complain
from pycorosync.tools.options import Options
from pycorosync.types import NodeId

VERSION: Final = 1
OPTION: Final = "--json"
EXIT_NOT_QUORATE: Final = 2
UDP: Final = ("udp", "udpu")
FLAGS: Final = {
    "two_node": Info.TWO_NODE,
    "quorate": Info.QUORATE,
    "wait_for_all": Info.WAIT_FOR_ALL,
    "last_man_standing": Info.LAST_MAN_STANDING,
    "auto_tie_breaker": Info.AUTO_TIE_BREAKER,
    "allow_downscale": Info.ALLOW_DOWNSCALE,
    "qdevice": Info.DEVICE_REGISTERED,
}
KINDS: Final = {
    ValueType.INT8: "i8", ValueType.UINT8: "u8", ValueType.INT16: "i16", ValueType.UINT16: "u16",
    ValueType.INT32: "i32", ValueType.UINT32: "u32", ValueType.INT64: "i64", ValueType.UINT64: "u64",
    ValueType.FLOAT: "flt", ValueType.DOUBLE: "dbl", ValueType.STRING: "str", ValueType.BINARY: "bin",
}  # fmt: skip
MAPS: Final = {"icmap": CmapMap.DEFAULT, "default": CmapMap.DEFAULT, "stats": CmapMap.STATS}
KEY_OF_ID: Final = re.compile(r"nodelist\.node\.(\d+)\.nodeid", re.ASCII)

Service = TypeVar("Service", bound=Session[Any])
Answer = tuple[dict[str, Any], int]  # the object but for its head, and the exit status


class Refusal(Exception):
    """No object is written; the text is for standard error."""


def without_option(arguments: Sequence[str]) -> list[str] | None:
    """The command line without --json; None if it is not there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if OPTION not in arguments[:end]:
        return None
    return [word for place, word in enumerate(arguments) if word != OPTION or place > end]


def answer(program: str, arguments: list[str]) -> int:
    """Write what `program` is asked for; its exit status."""
    try:
        letters, read = PROGRAMS[program]
        options = Options(arguments, letters, program=program)
        chosen = dict(options)
        if "?" in chosen:
            return EXIT_FAILURE
        with ExitStack() as stack:
            content, status = read(stack, chosen, options.operands)
    except Refusal as refusal:
        complain(f"{program}: {refusal}")
        return EXIT_FAILURE
    except LibraryError as fault:
        complain(f"{program}: {fault.code.label}")
        return EXIT_FAILURE
    json.dump(content, sys.stdout, indent=2)
    print()
    return status


def connect(stack: ExitStack, make: Callable[[], Service], name: str) -> Service:
    """A service, which is closed with the stack. Raises Refusal."""
    try:
        service = make()
    except LibraryError as fault:
        raise Refusal(f"cannot connect to the {name} service: {fault.code.label}") from fault
    stack.callback(service.close)
    return service


def head(schema: str) -> dict[str, Any]:
    return {"schema": schema, "version": VERSION}


def value_of(cmap: Cmap, key: str) -> Any:
    try:
        return cmap.get(key)
    except LibraryError:
        return None


def shown(text: str) -> str:
    """Bytes that are not UTF-8 as \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# --- corosync-quorumtool


def quorum(stack: ExitStack, chosen: dict[str, str], operands: list[str]) -> Answer:
    """Who is there, and whether they are quorate."""
    only_one_of(chosen, operands)
    cmap = connect(stack, Cmap, "cmap")
    cfg = connect(stack, Cfg, "cfg")
    service = connect(stack, lambda: Quorum(Model.V1), "quorum")
    provider = value_of(cmap, "quorum.provider") if service.type is QuorumType.SET else None
    votes = connect(stack, Votequorum, "votequorum") if provider == "corosync_votequorum" else None
    event = _quorum_event(service)
    local = cfg.local_node_id()
    names = _names(cmap)
    members = [_member(cfg, votes, node_id, names.get(node_id), local) for node_id in event.members]
    if "l" in chosen:
        return head("quorum-nodes") | {"local_node_id": local, "members": members}, EXIT_SUCCESS
    ring = {"representative": event.ring_id.representative, "sequence": event.ring_id.seq}
    content = head("quorum-status") | {
        "provider": provider,
        "local_node_id": local,
        "ring": ring,
        "quorate": event.quorate,
        "votes": _votes(votes, local),
        "members": members,
    }
    return content, EXIT_SUCCESS if event.quorate else EXIT_NOT_QUORATE


def _quorum_event(service: Quorum) -> QuorumChanged:
    service.track_start(TrackFlags.CURRENT)
    while True:
        if isinstance(event := service.receive(), QuorumChanged):
            return event


def _names(cmap: Cmap) -> dict[NodeId, str]:
    names: dict[NodeId, str] = {}
    for item in list(cmap.items("nodelist.node.")):
        if found := KEY_OF_ID.fullmatch(item.key):
            node_id, name = value_of(cmap, item.key), value_of(cmap, f"nodelist.node.{found[1]}.name")
            if isinstance(node_id, int) and isinstance(name, str):
                names.setdefault(node_id, shown(name))
    return names


def _votes(votes: Votequorum | None, node_id: NodeId) -> dict[str, Any] | None:
    if votes is None:
        return None
    info = votes.info(node_id)
    return {
        "expected": info.expected_votes,
        "highest_expected": info.highest_expected,
        "total": info.total_votes,
        "quorum": info.quorum,
        "flags": [name for name, flag in FLAGS.items() if flag in info.flags],
    }


def _member(
    cfg: Cfg, votes: Votequorum | None, node_id: NodeId, name: str | None, local: NodeId
) -> dict[str, Any]:
    addresses: list[str] = []
    with suppress(LibraryError):
        addresses = cfg.node_addresses(node_id)
    info = None
    with suppress(LibraryError):
        info = votes.info(node_id) if votes else None
    device = None
    if info and Info.DEVICE_REGISTERED in info.flags:
        device = {
            "name": shown(info.device_name),
            "votes": info.device_votes,
            "alive": Info.DEVICE_ALIVE in info.flags,
            "casts_vote": Info.DEVICE_CAST_VOTE in info.flags,
            "master_wins": Info.DEVICE_MASTER_WINS in info.flags,
        }
    return {
        "node_id": node_id,
        "name": name,
        "local": node_id == local,
        "addresses": addresses,
        "votes": info.votes if info else None,
        "device": device,
    }


# --- corosync-cfgtool


def links(stack: ExitStack, chosen: dict[str, str], operands: list[str]) -> Answer:
    """The links of the local node: by link (-s), or by node (-n)."""
    only_one_of(chosen, operands)
    if not chosen:
        raise Refusal("--json needs -s or -n")
    cfg = connect(stack, Cfg, "cfg")
    cmap = connect(stack, Cmap, "cmap")
    transport = value_of(cmap, "totem.transport") or "knet"
    local = cfg.local_node_id()
    configured = (value_of(cmap, item.key) for item in list(cmap.items("nodelist.node.")) if _is_id(item.key))
    node_ids = sorted(node_id for node_id in configured if isinstance(node_id, int))
    if not node_ids:
        raise Refusal("No nodes found in nodelist")
    nodes = [
        {
            "node_id": node_id,
            "local": node_id == local,
            "reachable": status.reachable,
            "remote": status.remote,
            "external": status.external,
            "links": [
                _link(number, _link_transport(cmap, transport, number), link)
                for number, link in enumerate(status.links)
                if link.enabled
            ],
        }
        for node_id in node_ids
        for status in [cfg.node_status(node_id)]
    ]
    common = {"local_node_id": local, "transport": transport}
    if "n" in chosen:
        return head("node-status") | common | {"nodes": nodes}, EXIT_SUCCESS
    return head("link-status") | common | {"links": list(_by_link(nodes))}, EXIT_SUCCESS


def _is_id(key: str) -> bool:
    return KEY_OF_ID.fullmatch(key) is not None


def _link_transport(cmap: Cmap, transport: str, number: int) -> str | None:
    if transport in UDP:
        return None
    configured = value_of(cmap, f"totem.interface.{number}.knet_transport")
    return configured if isinstance(configured, str) else "udp"


def _link(number: int, transport: str | None, link: LinkState) -> dict[str, Any]:
    return {
        "link": number,
        "transport": transport,
        "source": link.source,
        "destination": link.destination,
        "connected": link.connected,
        "mtu": link.mtu,
    }


def _by_link(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The other way round. The local node has but one link, to itself: the others tell which there are."""
    others = [node for node in nodes if not node["local"]] or nodes
    for number in sorted({link["link"] for node in others for link in node["links"]}):
        ends = [(node, link) for node in nodes for link in node["links"] if link["link"] == number]
        pattern = next(link for node, link in ends if node in others)
        yield {
            "link": number,
            "transport": pattern["transport"],
            "address": pattern["source"],
            "nodes": [
                {"node_id": node["node_id"], "connected": link["connected"]}
                for node, link in ends
                if not node["local"]
            ],
        }


# --- corosync-cpgtool


def groups(stack: ExitStack, chosen: dict[str, str], operands: list[str]) -> Answer:
    """The process groups of the cluster, with -n only their names."""
    only_one_of(chosen, operands)
    cpg = connect(stack, Cpg, "cpg")
    cfg = connect(stack, Cfg, "cfg")
    found: dict[bytes, list[dict[str, Any]]] = {}
    for entry in cpg.iterate(Iteration.NAMES if "n" in chosen else Iteration.ALL):
        members = found.setdefault(entry.group, [])
        if "n" not in chosen:
            addresses: list[str] = []
            with suppress(LibraryError):
                addresses = cfg.node_addresses(entry.node_id)
            members.append({"node_id": entry.node_id, "pid": entry.pid, "addresses": addresses})
    listed = []
    for name, members in found.items():
        group: dict[str, Any] = {"name": _group_name(name), "name_hex": name.hex()}
        listed.append(group if "n" in chosen else group | {"members": members})
    return head("cpg-groups") | {"groups": listed}, EXIT_SUCCESS


def _group_name(name: bytes) -> str:
    """What is not printable ASCII as \\xNN, and a backslash doubled."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else "\\\\" if byte == 0x5C else f"\\x{byte:02x}"
        for byte in name
    )


# --- corosync-cmapctl


def keys(stack: ExitStack, chosen: dict[str, str], operands: list[str]) -> Answer:
    """Keys with types and values: those named (-g), or all that begin with one of the prefixes."""
    which = chosen.pop("m", "icmap")
    only_one_of(chosen)
    if which not in MAPS:
        raise Refusal("invalid map name, must be 'default', 'icmap' or 'stats'")
    if "g" in chosen and not operands:
        raise Refusal("Expected key after options")
    cmap = connect(stack, lambda: Cmap(MAPS[which]), "cmap")
    if "g" in chosen:
        names, status = operands, EXIT_SUCCESS
    else:
        names = list(
            dict.fromkeys(item.key for prefix in operands or [""] for item in list(cmap.items(prefix)))
        )
        status = EXIT_SUCCESS if names else EXIT_FAILURE
    listed = []
    for name in names:
        try:
            listed.append({"key": shown(name)} | _typed(cmap.entry(name)))
        except LibraryError as fault:
            # One that has gone between the list and the question is not missed.
            if "g" in chosen or fault.code is not CsError.NOT_EXIST:
                raise Refusal(f"Can't get key {name}. Error {fault.code.label}") from fault
    shown_map = "stats" if MAPS[which] is CmapMap.STATS else "icmap"
    return head("cmap-keys") | {"map": shown_map, "keys": listed}, status


def _typed(entry: Entry) -> dict[str, Any]:
    value = entry.value
    if isinstance(value, bytes):
        value = value.hex()
    elif isinstance(value, str):
        value = shown(value)
    elif isinstance(value, float) and value - value != 0:
        value = repr(value)  # inf, nan: JSON has no numbers for them
    return {"type": KINDS[entry.kind], "value": value}


# --- which options go together


def only_one_of(chosen: dict[str, str], operands: Sequence[str] = ()) -> None:
    """Raises Refusal for what --json does not go with."""
    if len(chosen) > 1 or operands:
        raise Refusal("--json goes with one of the options that show something")


Reader = Callable[[ExitStack, dict[str, str], list[str]], Answer]
PROGRAMS: Final[dict[str, tuple[str, Reader]]] = {
    "corosync-quorumtool": ("sl", quorum),
    "corosync-cfgtool": ("sn", links),
    "corosync-cpgtool": ("n", groups),
    "corosync-cmapctl": ("gm:", keys),
}
