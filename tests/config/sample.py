"""Texts and hosts for the tests of the configuration, and what corosync 3.1.7 was recorded to say.

data/faulty.jsonl      configurations with one fault each, or none: status and text of `corosync -t`, and of a
                       start where that differs
data/verdicts.jsonl    one generated configuration of each kind of verdict, with the facts of its host
                       (compat-tests/config/verdicts.py --record)
data/entries.jsonl     the keys of a daemon's map (compat-tests/config/cmap_entries.py --record)
data/reloads.jsonl     what a reload said and did (compat-tests/config/reloads.py --record)
"""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pycorosync.cmap.store import Entry, Value, ValueType
from pycorosync.config.host import FileFault, HostFacts, LocalAddress
from pycorosync.config.load import load
from pycorosync.config.model import Configuration, MapEntry, RefusedConfig

FILE = "/etc/corosync/corosync.conf"
DATA = Path(__file__).parent / "data"
KEY = bytes(range(256))
TYPE_NAMES = {
    ValueType.UINT8: "u8",
    ValueType.UINT16: "u16",
    ValueType.INT32: "i32",
    ValueType.UINT32: "u32",
    ValueType.UINT64: "u64",
    ValueType.STRING: "str",
}


def recorded(name: str) -> list[dict[str, Any]]:
    """The cases of a file of recordings."""
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def host(name: str = "n1", *addresses: str, net: int = 77) -> HostFacts:
    """A host of the laboratory: its addresses are 10.<net>.<link>.1 unless others are given."""
    own = addresses or ("127.0.0.1", f"10.{net}.0.1", f"10.{net}.1.1")
    return HostFacts(
        hostname=name,
        addresses=tuple(LocalAddress(ip_address(address)) for address in own),
        users={"root": 0, "nobody": 65534},
        groups={"root": 0},
        key_files={"/etc/corosync/authkey": KEY},
    )


def facts(plain: dict[str, Any]) -> HostFacts:
    """The facts of a recording."""
    return HostFacts(
        hostname=plain["hostname"],
        addresses=tuple(LocalAddress(ip_address(address), name) for address, name in plain["addresses"]),
        resolved={
            name: tuple(ip_address(text) for text in found) for name, found in plain["resolved"].items()
        },
        users=plain["users"],
        groups=plain["groups"],
        key_files={
            path: bytes(found) if isinstance(found, int) else FileFault(*found)
            for path, found in plain["key_files"].items()
        },
        log_faults=plain["log_faults"],
    )


def conf(totem: str = "", *, nodes: str | None = None, rest: str = "") -> str:
    """A file that is good by itself; `totem` is lines of its section, `nodes` replaces the nodelist."""
    nodelist = nodes if nodes is not None else nodelist_of(2)
    lines = "".join(f"  {line.strip()}\n" for line in totem.split(";") if line.strip())
    return f"totem {{\n  version: 2\n  cluster_name: lab\n{lines}}}\n{nodelist}{rest}"


def nodelist_of(count: int, links: int = 1, *, names: bool = True) -> str:
    """Nodes n1 .. with ids and addresses 10.77.<link>.<number>."""
    text = ""
    for number in range(1, count + 1):
        name = f"    name: n{number}\n" if names else ""
        addresses = "".join(f"    ring{link}_addr: 10.77.{link}.{number}\n" for link in range(links))
        text += f"  node {{\n{name}    nodeid: {number}\n{addresses}  }}\n"
    return f"nodelist {{\n{text}}}\n"


def loaded(text: str | bytes, where: HostFacts | None = None) -> Configuration:
    """The configuration in a text, on host n1."""
    return load(text, FILE, host=where or host())


def refused(text: str | bytes, where: HostFacts | None = None) -> RefusedConfig:
    """How a text is refused; fails if it is not."""
    try:
        loaded(text, where)
    except RefusedConfig as found:
        return found
    raise AssertionError("the configuration was accepted")


def as_map(entries: list[MapEntry] | tuple[MapEntry, ...]) -> dict[str, Value]:
    """Values by name."""
    return {key: value for key, _, value in entries}


def listing(entries: list[MapEntry]) -> list[str]:
    """As corosync-cmapctl prints them, sorted."""
    return sorted(f"{key} ({TYPE_NAMES[kind]}) = {value!s}" for key, kind, value in entries)


class FakeMap:
    """The reading half of a map."""

    def __init__(self, entries: list[MapEntry] | tuple[MapEntry, ...]) -> None:
        self.entries = {key: Entry(kind, value) for key, kind, value in entries}

    def get(self, key: str, /) -> Entry | None:
        return self.entries.get(key)

    def keys(self, prefix: str = "", /) -> list[str]:
        return sorted(key for key in self.entries if key.startswith(prefix))
