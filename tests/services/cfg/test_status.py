"""The answers about links and addresses (pycorosync/services/cfg/status.py)."""

from ipaddress import ip_address
from typing import Any

import pytest

from pycorosync.cs_error import CsError
from pycorosync.services.cfg import messages, status
from tests.services.cfg.fakes import FakeTransport, view


def text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode()


def addresses(data: bytes) -> tuple[int, int, list[bytes]]:
    """(error, family, addresses)"""
    head = messages.NODE_ADDRS_HEAD.decode(data)
    assert head.header_size == len(data) == 32 + 16 * head.count
    return head.header_error, head.family, [data[32 + 16 * n :][:16] for n in range(head.count)]


def test_addresses_by_link() -> None:
    found = [bytes([10, 0, link, 2]).ljust(16, b"\0") for link in (0, 1)]
    assert addresses(status.node_addrs(view(), 2)) == (CsError.OK, 2, found)


def test_node_zero_is_the_local_one() -> None:
    assert addresses(status.node_addrs(view(), 0)) == addresses(status.node_addrs(view(), 1))


def test_an_unknown_node_has_no_address() -> None:
    assert addresses(status.node_addrs(view(), 9)) == (CsError.NOT_EXIST, 0, [])


def test_addresses_of_the_other_family_have_no_room() -> None:
    transport = FakeTransport()
    transport.address_of[2] = ["::1", "10.0.0.2", "fd00::2%eth0", "no address"]
    expected = [ip_address("::1").packed, ip_address("fd00::2").packed]
    assert addresses(status.node_addrs(view(transport), 2)) == (CsError.OK, 10, expected)


def interfaces(data: bytes) -> list[tuple[str, str]]:
    assert len(data) == 10272
    record = messages.RING_STATUS_RESPONSE.decode(data)
    return [
        (text(record.names[128 * number :][:128]), text(record.statuses[512 * number :][:512]))
        for number in range(record.count)
    ]


def test_ring_status_shows_every_node_on_every_link() -> None:
    transport = FakeTransport(node_ids=(3, 1, 2))
    transport.down = {(2, 1)}
    transport.address_of[3] = ["10.0.0.3"]
    found = interfaces(status.ring_status(view(transport)))
    assert found == [("0 10.0.0.1", "n33"), ("1 10.0.1.1", "n1d")]


def test_ring_status_without_knet() -> None:
    assert interfaces(status.ring_status(view(FakeTransport("udpu", links=1)))) == [("0 10.0.0.1", "OK")]


def decoded(data: bytes) -> tuple[Any, list[Any]]:
    assert len(data) == 4200
    links = [messages.LINK_STATUS.decode(data, 40 + 520 * number) for number in range(8)]
    return messages.NODE_STATUS_HEAD.decode(data), links


def test_node_status_of_another_node() -> None:
    transport = FakeTransport()
    transport.down = {(2, 1)}
    data, error = status.node_status(view(transport), 2, 1)
    head, links = decoded(data)
    assert error is CsError.OK
    assert (head.version, head.node_id, head.reachable) == (1, 2, 1)
    assert [(link.enabled, link.connected, link.mtu) for link in links] == [(1, 1, 1397), (1, 0, 1397)] + [
        (0, 0, 0)
    ] * 6
    assert (text(links[1].source), text(links[1].destination)) == ("10.0.1.1", "10.0.1.2")


def test_the_local_node_has_one_link_to_itself() -> None:
    _, links = decoded(status.node_status(view(), 1, 1)[0])
    assert [link.enabled for link in links] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert (links[0].mtu, text(links[0].source), text(links[0].destination)) == (
        65535,
        "10.0.0.1",
        "10.0.0.1",
    )


@pytest.mark.parametrize("name", ["udp", "udpu"])
def test_udp_shows_the_other_address_only(name: str) -> None:
    node = view(FakeTransport(name, links=1))
    node.members = (1,)
    head, links = decoded(status.node_status(node, 2, 1)[0])
    assert (head.reachable, links[0].enabled, links[0].connected) == (0, 1, 0)
    assert (text(links[0].source), text(links[0].destination)) == ("10.0.0.2", "")
    node.members = (1, 2)
    head, links = decoded(status.node_status(node, 2, 1)[0])
    assert (head.reachable, links[0].connected) == (1, 1)


def test_udp_answers_for_a_node_that_it_does_not_know() -> None:
    head, links = decoded(status.node_status(view(FakeTransport("udp", links=1)), 9, 1)[0])
    assert (head.header_error, head.node_id, head.reachable, links[0].enabled) == (CsError.OK, 9, 0, 0)


@pytest.mark.parametrize(
    ("node_id", "version", "error"), [(9, 1, CsError.FAILED_OPERATION), (2, 2, CsError.NOT_SUPPORTED)]
)
def test_errors_come_in_a_small_structure(node_id: int, version: int, error: CsError) -> None:
    data, code = status.node_status(view(), node_id, version)
    assert code is error
    record = messages.NODE_STATUS_ERROR.decode(data)
    assert (len(data), record.header_size, record.header_error) == (32, 32, error)


def test_addresses_that_are_too_long_are_cut() -> None:
    transport = FakeTransport(links=1)
    transport.address_of[1] = ["x" * 600]
    ((name, _),) = interfaces(status.ring_status(view(transport)))
    assert name == "0 " + "x" * 125


def test_addresses_of_knet_over_ipv6_have_a_scope() -> None:
    transport = FakeTransport(links=1)
    transport.address_of = {1: ["fd77::1"], 2: ["fd77::2"]}
    _, links = decoded(status.node_status(view(transport), 2, 1)[0])
    assert (text(links[0].source), text(links[0].destination)) == ("fd77::1%2", "fd77::2%2")
