"""The choice of links."""

import pytest

from pycorosync.knet.crypto import Overhead
from pycorosync.knet.link import Link
from pycorosync.knet.peer import Peer
from pycorosync.knet.settings import LinkMode
from tests.knet.network import link_settings


def peer(mode: LinkMode, priorities: tuple[int, ...], up: set[int]) -> Peer:
    one = Peer(2, mode)
    for number in reversed(range(len(priorities))):
        link = Link(link_settings(number, priorities[number]), 2, number, Overhead())
        link.connected = number in up
        one.add_link(link)
    one.choose_routes()
    return one


def numbers(one: Peer) -> list[int]:
    return [link.number for link in one.routes()]


@pytest.mark.parametrize(
    ("priorities", "up", "best"),
    [
        ((1, 1), {0, 1}, [0]),
        ((1, 2), {0, 1}, [1]),
        ((1, 2), {0}, [0]),
        ((0, 0, 0), {1, 2}, [1]),
        ((1, 1), set(), []),
    ],
)
def test_passive(priorities: tuple[int, ...], up: set[int], best: list[int]) -> None:
    one = peer(LinkMode.PASSIVE, priorities, up)
    assert numbers(one) == best
    assert one.reachable == bool(best)


def test_active_and_rr() -> None:
    assert numbers(peer(LinkMode.ACTIVE, (1, 5, 1), {0, 1, 2})) == [0, 1, 2]
    turns = peer(LinkMode.RR, (1, 5, 1), {0, 2})
    assert [numbers(turns) for _ in range(4)] == [[0], [2], [0], [2]]
    assert numbers(peer(LinkMode.RR, (1, 1), {1})) == [1]


def test_a_link_of_unknown_width_is_not_taken() -> None:
    one = peer(LinkMode.ACTIVE, (1, 1), {0, 1})
    one.links[0].mtu_valid = False
    assert not one.choose_routes(), "still reachable"
    assert numbers(one) == [1]


def test_a_node_that_is_lost_begins_anew() -> None:
    one = peer(LinkMode.PASSIVE, (1,), {0})
    one.window.admits(9)
    one.window.mark(9)
    one.reassembly.add(10, 2, 1, b"half")
    one.links[0].connected = False
    assert one.choose_routes()
    assert not one.reachable
    assert len(one.reassembly) == 0
    assert one.window.admits(9)


def test_links_are_kept_in_order() -> None:
    assert list(peer(LinkMode.PASSIVE, (1, 1, 1), set()).links) == [0, 1, 2]
