"""Which node this host is, and what addresses names stand for."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.config.host import (
    HostFacts,
    LocalAddress,
    find_by_hostname,
    find_local_node,
    get_integer,
    get_string,
    last_position,
    literal,
    node_keys,
    resolve,
)
from pycorosync.config.model import MapEntry
from tests.config.sample import FakeMap

STRING, U8, U32 = ValueType.STRING, ValueType.UINT8, ValueType.UINT32


def nodes(*names: str, key: str = "name") -> FakeMap:
    return FakeMap([(f"nodelist.node.{position}.{key}", STRING, name) for position, name in enumerate(names)])


def on(*addresses: tuple[str, str | None], hostname: str = "nowhere") -> HostFacts:
    local = tuple(LocalAddress(ip_address(address), name) for address, name in addresses)
    return HostFacts(hostname=hostname, addresses=local)


@pytest.mark.parametrize(
    ("names", "hostname", "position"),
    [
        (("a", "b"), "b", 1),
        (("a", "b"), "c", None),
        (("a", "b"), "b.example.org", 1),
        (("a", "b.example"), "b.example.org", 1),
        (("b", "b.example"), "b.example.org", 1),  # the longer name goes first
        (("a", "b.other.net"), "b.example.org", 1),  # then without domains
        (("a", "bb"), "b", None),
        (("a", "B"), "b", None),
        (("b", "b"), "b", 0),
    ],
)
def test_a_node_is_known_by_the_name_of_its_host(
    names: tuple[str, ...], hostname: str, position: int | None
) -> None:
    assert find_by_hostname(nodes(*names), hostname) == position
    assert find_by_hostname(nodes(*names, key="ring0_addr"), hostname) == position
    assert find_local_node(nodes(*names), HostFacts(hostname=hostname)) == position


def test_only_names_and_first_addresses_are_names() -> None:
    assert find_by_hostname(nodes("a", key="ring1_addr"), "a") is None


@pytest.mark.parametrize(
    ("names", "address", "reverse", "position"),
    [
        (("x", "10.0.0.2"), "10.0.0.2", None, 1),
        (("x", "alias"), "10.0.0.2", "alias", 1),
        (("x", "alias"), "10.0.0.2", "alias.example", 1),
        (("x", "alias.example"), "10.0.0.2", "alias", None),
        (("x", "::2"), "::2", "::2", 1),
        (("x", "y"), "10.0.0.2", "10.0.0.2", None),
    ],
)
def test_a_node_is_known_by_the_addresses_of_its_host(
    names: tuple[str, ...], address: str, reverse: str | None, position: int | None
) -> None:
    assert find_local_node(nodes(*names), on((address, reverse))) == position


def test_a_node_is_known_by_what_its_name_resolves_to() -> None:
    where = replace(on(("10.0.0.2", None)), resolved={"y": (ip_address("::9"), ip_address("10.0.0.2"))})
    assert find_local_node(nodes("x", "y"), where) == 1
    assert find_local_node(nodes("x", "z"), where) is None
    # A written address of this host needs no resolver, not even one of IPv6.
    assert find_local_node(nodes("x", "::2", key="ring0_addr"), on(("::2", None))) == 1


def test_nodes_are_in_byte_order_of_their_position() -> None:
    entries = FakeMap([(f"nodelist.node.{position}.name", STRING, "x") for position in (0, 2, 10)])
    assert [position for position, _, _ in node_keys(entries)] == [0, 10, 2]
    assert last_position(entries) == 2
    assert last_position(FakeMap([])) is None


def test_other_keys_are_no_nodes() -> None:
    entries: list[MapEntry] = [
        ("nodelist.node.x.name", STRING, "a"),
        ("nodelist.node.1", STRING, "a"),
        ("nodelist.local_node_pos", U32, 1),
    ]
    assert list(node_keys(FakeMap(entries))) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [("ipv4", "10.0.0.1"), ("ipv6", "::1"), ("ipv6-4", "::1"), ("ipv4-6", "10.0.0.1")],
)
def test_the_family_decides_between_addresses(version: str, expected: str) -> None:
    found = tuple(ip_address(text) for text in ("10.0.0.1", "::1", "10.0.0.2"))
    assert resolve(HostFacts(resolved={"name": found}), "name", version) == ip_address(expected)


def test_the_other_family_is_taken_if_there_is_no_choice() -> None:
    where = HostFacts(resolved={"name": (ip_address("10.0.0.1"),)})
    assert resolve(where, "name", "ipv6-4") == ip_address("10.0.0.1")
    assert resolve(where, "name", "ipv6") is None
    assert resolve(where, "10.0.0.9", "ipv6-4") == ip_address("10.0.0.9")
    assert resolve(where, "10.0.0.9", "ipv6") is None
    assert resolve(where, "unknown", "ipv4") is None


@pytest.mark.parametrize("text", ["10.1", "name", "", "fe80::1%eth0", "0", "1.2.3.4 "])
def test_what_takes_a_resolver(text: str) -> None:
    assert literal(text) is None


def test_a_value_of_another_type_is_no_value() -> None:
    entries = FakeMap([("totem.a", U32, 5), ("totem.b", STRING, "x")])
    assert get_integer(entries, "totem.a", U32) == 5
    assert get_integer(entries, "totem.a", U8) is None
    assert get_integer(entries, "totem.b", U32) is None
    assert get_string(entries, "totem.b") == "x"
    assert get_string(entries, "totem.a") is None
    assert get_string(entries, "totem.c") is None
