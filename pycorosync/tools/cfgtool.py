"""corosync-cfgtool: state of links, reload, shutdown (corosync: tools/corosync-cfgtool.c).

Others read this text by its exact shape: a blank ends `LINK ID 0 ` where the transport is not knet, nodes
that cannot be reached are missing from -n, `%d` shows large node ids as negative numbers in errors.
"""

import re
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from pycorosync.client.cfg import Cfg, LinkState, NodeStatus, ShutdownFlag
from pycorosync.client.cmap import Cmap, ValueType
from pycorosync.client.connection import LibraryError
from pycorosync.cs_error import CsError
from pycorosync.tools import json_status
from pycorosync.tools.common import (
    EXIT_FAILURE,
    EXIT_SUCCESS,
    UINT32_MAX,
    LongOption,
    LongOptions,
    complain,
    number,
    run_tool,
)
from pycorosync.types import signed

PROGRAM = "corosync-cfgtool"
LINKS = range(8)
SHUTDOWN_ATTEMPTS, ATTEMPT_INTERVAL_S = 30, 1.0
KILL_REASON = "Killed by corosync-cfgtool"

LETTERS = "i:snbrRLk:a:hH"
FORCE = "force"
NAMES = {
    "if": LongOption("i", takes_argument=True),
    "status": LongOption("s"),
    "nodes": LongOption("n"),
    "brief": LongOption("b"),
    "reload": LongOption("R"),
    "reopen": LongOption("L"),
    "kill": LongOption("k", takes_argument=True),
    "address": LongOption("a", takes_argument=True),
    "shutdown": LongOption("H"),
    FORCE: LongOption(FORCE),
}

HELP = """\
corosync-cfgtool [[-i <interface ip>] [-b] -s] [-R] [-L] [-k nodeid] [-a nodeid] [-h] [-H]

A tool for displaying and configuring active parameters within corosync.
options:
	-i	Finds only information about the specified interface IP address or link id when used with -s..
	-s	Displays the status of the current links on this node.
	-n	Displays the status of the connected nodes and their links.
	-b	Displays the brief status of the current links on this node when used with -s.
	-R	Tell all instances of corosync in this cluster to reload corosync.conf.
	-L	Tell corosync to reopen all logging files.
	-k	Kill a node identified by node id.
	-a	Display the IP address(es) of a node
	-h	Print basic usage.
	-H	Shutdown corosync cleanly on this node.
		--force will shut down corosync regardless of daemon vetos"""


class Failure(Exception):
    """The tool ends with EXIT_FAILURE; the text is for standard error."""


class Choice(NamedTuple):
    """What the command line asks for: the letter of an action, and what belongs to it."""

    action: str = ""
    node_id: int = 0
    brief: bool = False
    force: bool = False


def main(arguments: list[str]) -> int:
    """Do what the options say, the last action of several; returns the exit status."""
    if (rest := json_status.without_option(arguments)) is not None:
        return json_status.answer("corosync-cfgtool", rest)
    choice = Choice()
    for letter, argument in LongOptions(arguments, LETTERS, NAMES, program=PROGRAM):
        match letter:
            case "s" | "n" | "R" | "L" | "H":
                choice = choice._replace(action=letter)
            case "b":
                choice = choice._replace(brief=True)
            case "force":
                choice = choice._replace(force=True)
            case "k" | "a":
                node_id = number(argument, 1, UINT32_MAX)
                if node_id is None:
                    complain("The nodeid was not valid, try a positive number")
                    return EXIT_FAILURE
                choice = choice._replace(action=letter, node_id=node_id)
            case "?":
                return EXIT_FAILURE
    try:
        return ACTIONS[choice.action](choice)
    except Failure as failure:
        sys.stdout.flush()
        complain(str(failure))
        return EXIT_FAILURE


def _usage(_choice: Choice) -> int:
    print(HELP)
    return EXIT_SUCCESS


def _connect(*, named: bool = False) -> Cfg:
    """The service. Some actions name the error that stops them, others show its number."""
    try:
        return Cfg()
    except LibraryError as fault:
        shown = fault.code.label if named else int(fault.code)
        raise Failure(f"Could not initialize corosync configuration API error {shown}") from fault


# --- links and nodes


class Cluster(NamedTuple):
    """What the tool needs to know before it asks about links."""

    transport: str
    local: int
    node_ids: list[int]  # ascending
    link_transports: list[str]  # by link

    @property
    def knet(self) -> bool:
        return self.transport not in ("udp", "udpu")


def _show_links(choice: Choice) -> int:
    with _connect() as cfg:
        cluster = _cluster(cfg)
        print(f"Local node ID {cluster.local}, transport {cluster.transport}")
        nodes = [_status_or_complaint(cfg, node_id) for node_id in cluster.node_ids]
        others = [number for number, node_id in enumerate(cluster.node_ids) if node_id != cluster.local]
        # The local node has but one link, to itself: another one tells which links there are.
        pattern = nodes[others[-1] if others else 0]
        for link in LINKS:
            if pattern.links[link].enabled:
                print(f"LINK ID {link} {cluster.link_transports[link]}")
                print(f"\taddr\t= {pattern.links[link].source}")
                _show_link_states(cluster, nodes, link, brief=choice.brief)
    return EXIT_SUCCESS


def _show_link_states(cluster: Cluster, nodes: list[NodeStatus], link: int, *, brief: bool) -> None:
    states = [(node_id == cluster.local, node) for node_id, node in zip(cluster.node_ids, nodes, strict=True)]
    if brief:
        digits = [
            "n" if local else str(node.links[link].enabled | node.links[link].connected << 1)
            for local, node in states
        ]
        print(f"\tstatus\t= {''.join(digits)}")
        return
    print("\tstatus:")
    for local, node in states:
        state = "connected" if node.links[link].connected else "disconnected"
        print(f"\t\tnodeid: {node.node_id:10}:\t{'localhost' if local else state}")


def _status_or_complaint(cfg: Cfg, node_id: int) -> NodeStatus:
    try:
        return cfg.node_status(node_id)
    except LibraryError as fault:
        sys.stdout.flush()
        complain(
            f"Could not get the node status for nodeid {signed(node_id)}, the error is: {int(fault.code)}"
        )
        no_link = LinkState(False, False, False, 0, "", "")
        return NodeStatus(0, False, False, False, 0, 0, 0, (no_link,) * len(LINKS))


def _show_nodes(_choice: Choice) -> int:
    with _connect() as cfg:
        cluster = _cluster(cfg)
        print(f"Local node ID {cluster.local}, transport {cluster.transport}")
        for node_id in cluster.node_ids:
            try:
                node = cfg.node_status(node_id)
            except LibraryError:
                continue
            if node.reachable and node.node_id != cluster.local:
                _show_node(cluster, node)
    return EXIT_SUCCESS


def _show_node(cluster: Cluster, node: NodeStatus) -> None:
    words = ["remote"] * node.remote + ["external"] * node.external
    print(" ".join([f"nodeid: {node.node_id} reachable", *words]))
    arrow = "->" if cluster.knet else ""
    for link, transport in zip(LINKS, cluster.link_transports, strict=True):
        state = node.links[link]
        if state.enabled:
            words = ["connected"] * state.connected + ["dynconnected"] * state.dynamic_connected
            place = f"({state.source}{arrow}{state.destination})"
            print(" ".join([f"   LINK: {link} {transport} {place} enabled", *words, f"mtu: {state.mtu}"]))
    print()


def _cluster(cfg: Cfg) -> Cluster:
    try:
        cmap = Cmap()
    except LibraryError as fault:
        raise Failure(f"Could not initialize corosync cmap API error {int(fault.code)}") from fault
    with cmap:
        transport = _string(cmap, "totem.transport") or "knet"
        try:
            local = cfg.local_node_id()
        except LibraryError as fault:
            text = f"Could not get the local node id, the error is: {int(fault.code)}"
            raise Failure(text) from fault
        try:
            node_ids = _node_ids(cmap)
        except LibraryError as fault:
            raise Failure(f"Could not get nodelist from cmap. error {int(fault.code)}") from fault
        if not node_ids:
            raise Failure("No nodes found in nodelist")
        knet = transport not in ("udp", "udpu")
        return Cluster(transport, local, node_ids, _link_transports(cmap, "udp" if knet else ""))


def _node_ids(cmap: Cmap) -> list[int]:
    keys = [item.key for item in cmap.items("nodelist.node.")]
    found = []
    for key in keys:
        if re.fullmatch(r"nodelist\.node\.\d+\.nodeid", key, re.ASCII):
            entry = cmap.entry(key)
            if entry.kind is ValueType.UINT32:
                found.append(int(entry.value))
    return sorted(found)


def _link_transports(cmap: Cmap, default: str) -> list[str]:
    found = [default] * len(LINKS)
    for link in LINKS:
        configured = _string(cmap, f"totem.interface.{link}.knet_transport")
        found[link] = default if configured is None else configured
    return found


def _string(cmap: Cmap, key: str) -> str | None:
    try:
        value = cmap.get(key)
    except LibraryError:
        return None
    return value if isinstance(value, str) else None


# --- actions


def _reload(_choice: Choice) -> int:
    print("Reloading corosync.conf...")
    with _connect(named=True) as cfg:
        try:
            cfg.reload_config()
        except LibraryError as fault:
            sys.stdout.flush()
            complain(f"Could not reload configuration. Error {fault.code.label}")
            if (reason := _from_map("config.reload_refusal")) is not None:
                complain(f"Reason: {reason}")
            status = int(fault.code)
        else:
            print("Done")
            status = EXIT_SUCCESS
    return _reload_errors() or status


def _reload_errors() -> int:
    """What went wrong when the new configuration was put to use, as corosync since 3.1.8 tells it."""
    text = _from_map("config.reload_error_message")
    if text is None:
        return EXIT_SUCCESS
    print(f"ERROR from reload: {text} - see syslog for more information")
    sys.stdout.flush()
    complain("Errors in appying config, corosync.conf might not match the running system")
    return EXIT_FAILURE


def _from_map(key: str) -> str | None:
    try:
        with Cmap() as cmap:
            return _string(cmap, key)
    except LibraryError:
        return None


def _reopen(_choice: Choice) -> int:
    with _connect(named=True) as cfg:
        try:
            cfg.reopen_log_files()
        except LibraryError as fault:
            complain(f"Could not reopen corosync logging files. Error {fault.code.label}")
            return int(fault.code)
    return EXIT_SUCCESS


def _shut_down(choice: Choice) -> int:
    """Compatibility: the exit status is 0 whatever the daemon answers."""
    flag = ShutdownFlag.REGARDLESS if choice.force else ShutdownFlag.REQUEST
    with _connect() as cfg:
        print("Shutting down corosync")
        code = CsError.OK
        for _ in range(SHUTDOWN_ATTEMPTS):
            try:
                cfg.try_shutdown(flag)
                code = CsError.OK
            except LibraryError as fault:
                code = fault.code
            if code is not CsError.TRY_AGAIN:
                break
            time.sleep(ATTEMPT_INTERVAL_S)
        if code is not CsError.OK:
            sys.stdout.flush()
            complain(f"Could not shutdown (error = {int(code)})")
    return EXIT_SUCCESS


def _show_addresses(choice: Choice) -> int:
    with _connect() as cfg:
        try:
            addresses = cfg.node_addresses(choice.node_id)
        except LibraryError as fault:
            raise Failure(f"Could not get node address for nodeid {signed(choice.node_id)}") from fault
        print(" ".join(addresses))
    return EXIT_SUCCESS


def _kill(choice: Choice) -> int:
    print(f"Killing node {choice.node_id}")
    with _connect() as cfg:
        try:
            cfg.kill_node(choice.node_id, KILL_REASON)
        except LibraryError as fault:
            raise Failure(f"Could not kill node (error = {fault.code.label})") from fault
    return EXIT_SUCCESS


ACTIONS: dict[str, Callable[[Choice], int]] = {
    "": _usage,
    "s": _show_links,
    "n": _show_nodes,
    "R": _reload,
    "L": _reopen,
    "k": _kill,
    "a": _show_addresses,
    "H": _shut_down,
}


def run() -> NoReturn:
    """The command corosync-cfgtool."""
    run_tool(main)
