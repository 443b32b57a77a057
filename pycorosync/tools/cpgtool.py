"""corosync-cpgtool: show the process groups of the cluster (corosync: tools/corosync-cpgtool.c)."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from pycorosync.client.cfg import Cfg
from pycorosync.client.connection import LibraryError
from pycorosync.client.cpg import Cpg, Iteration, Membership
from pycorosync.tools import json_status
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, run_tool
from pycorosync.tools.options import Options
from pycorosync.types import NodeId

LETTERS: Final = "hd:ne"
HELP: Final = """{program} [-d delimiter] [-e] [-n] [-h]

A tool for displaying cpg groups and members.
options:
\t-d\tDelimiter between fields.
\t-e\tDon't escape unprintable characters in group name.
\t-n\tDisplay only all existing group names.
\t-h\tDisplay this help.
"""


HEADING: Final = b"Group Name\t%10s\t%10s\n" % (b"PID", b"Node ID")


@dataclass
class _Settings:
    """What the options say. Names and delimiters are bytes: nobody knows their encoding."""

    delimiter: bytes = b""
    escape: bool = True
    names_only: bool = False


class Addresses(Protocol):
    """The part of Cfg that this tool needs."""

    def node_addresses(self, node_id: NodeId) -> list[str]: ...


def run() -> NoReturn:
    """The command corosync-cpgtool."""
    run_tool(main)


def main(arguments: list[str]) -> int:
    """Do what the command line says; the exit status."""
    if (rest := json_status.without_option(arguments)) is not None:
        return json_status.answer("corosync-cpgtool", rest)
    settings = _Settings()
    for letter, argument in Options(arguments, LETTERS):
        match letter:
            case "d":
                settings.delimiter = os.fsencode(argument)[:1]
            case "n":
                settings.names_only = True
            case "e":
                settings.escape = False
            case "h":
                _write(HELP.format(program=os.path.basename(sys.argv[0])).encode())
                return EXIT_SUCCESS
            case _:
                return EXIT_FAILURE
    try:
        cpg = Cpg()
    except LibraryError as fault:
        return _fail(f"Could not initialize corosync cpg API error {fault.code:d}")
    with cpg:
        try:
            cfg = Cfg()
        except LibraryError as fault:
            return _fail(f"Could not initialize corosync configuration API error {fault.code:d}")
        with cfg:
            return _show_names(cpg, settings) if settings.names_only else _show_members(cpg, cfg, settings)


def _show_names(cpg: Cpg, settings: _Settings) -> int:
    try:
        groups = cpg.iterate(Iteration.NAMES)
    except LibraryError as fault:
        return _fail(f"Cannot initialize cpg iterator error {fault.code:d}")
    # One that breaks off halfway counts as complete, as in corosync's tool.
    with suppress(LibraryError):
        for entry in groups:
            _write(shown_name(entry.group, settings.escape) + (settings.delimiter or b"\n"))
    if settings.delimiter:
        _write(b"\n")
    return EXIT_SUCCESS


def _show_members(cpg: Cpg, cfg: Addresses, settings: _Settings) -> int:
    try:
        entries = cpg.iterate(Iteration.ALL)
    except LibraryError as fault:
        return _fail(f"Cannot initialize cpg iterator error {fault.code:d}")
    delimiter = settings.delimiter
    _write(delimiter.join((b"GRP_NAME", b"PID", b"NODEID\n")) if delimiter else HEADING)
    group = b""
    try:
        for entry in entries:
            name = shown_name(entry.group, settings.escape)
            if delimiter:
                _write(delimiter.join((name, b"%d" % entry.pid, b"%d\n" % entry.node_id)))
                continue
            if entry.group != group:
                group = entry.group
                _write(name + b"\n")
            _write(_member_line(cfg, entry))
    except LibraryError as fault:
        return _fail(f"cpg iteration error {fault.code:d}")
    return EXIT_SUCCESS


def _member_line(cfg: Addresses, entry: Membership) -> bytes:
    try:
        addresses = cfg.node_addresses(entry.node_id)
    except LibraryError:
        addresses = []
    shown = " ".join(addresses).encode()
    return b"\t\t%10d\t%10d (%s)\n" % (entry.pid, entry.node_id, shown)


def shown_name(name: bytes, escape: bool) -> bytes:
    """A group's name as it is, or with what is not printable ASCII as \\xNN and a backslash doubled.

    Compatibility: corosync prints a byte above 0x7F as the 32-bit number that a signed char becomes.
    """
    if not escape:
        return name
    return b"".join(_ESCAPED[byte] for byte in name)


def _escaped(byte: int) -> bytes:
    if byte == ord("\\"):
        return b"\\\\"
    if 0x20 <= byte < 0x7F:
        return bytes([byte])
    return b"\\x%02X" % (byte if byte < 0x80 else byte | 0xFFFFFF00)


_ESCAPED: Final = [_escaped(byte) for byte in range(256)]


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return EXIT_FAILURE
