"""The sockets of the links, over the loopback interface."""

import errno
import time
from collections.abc import Callable
from typing import Any

from pycorosync.daemon.loop import Loop
from pycorosync.daemon.udp import LinkSockets, _split
from pycorosync.knet.outputs import Datagrams, Kind, SendDatagram, SendDatagrams
from pycorosync.node.outputs import Binding

PATIENCE_NS = 30 * 10**9


class Recorder:
    """A node that notes what the sockets tell it."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[int, Any, bytes]] = []
        self.send_errors: list[tuple[Kind, int, int]] = []
        self.network_errors: list[int] = []
        self.outputs: list[object] = []

    def on_datagram(self, link: int, source: Any, datagram: bytes, now_ns: int) -> None:
        self.datagrams.append((link, source, bytes(datagram)))
        if bytes(datagram).startswith(b"answer"):
            self.outputs.append(bytes(datagram))

    def on_send_error(self, link: int, to: Any, kind: Kind, error: int, kernel_mtu: int, now_ns: int) -> None:
        self.send_errors.append((kind, error, kernel_mtu))

    def on_network_error(self, link: int, address: Any, error: int) -> None:
        self.network_errors.append(error)


class Links:
    """Sockets on the loopback interface, and a loop that runs until something has happened."""

    def __init__(self, *hosts: str) -> None:
        self.node = Recorder()
        self._until: Callable[[], bool] = lambda: True
        self._give_up_ns = 0
        self.loop = Loop(self._turn)
        self.carried_out: list[tuple[int, object]] = []  # after how many datagrams
        node: Any = self.node
        self.sockets = LinkSockets(self.loop, node, self._carry_out, probes_mtu=True)
        self.sockets.configure(tuple(Binding(number, host, 0) for number, host in enumerate(hosts)))

    def _carry_out(self, _now_ns: int) -> None:
        self.carried_out += [(len(self.node.datagrams), output) for output in self.node.outputs]
        self.node.outputs.clear()

    def address(self, link: int) -> Any:
        return self.sockets._links[link].main.getsockname()[:2]

    def _turn(self, now_ns: int) -> int:
        if self._until() or now_ns > self._give_up_ns:
            self.loop.stop()
        return now_ns + 10**7

    def run(self, until: Callable[[], bool]) -> None:
        self._until, self._give_up_ns = until, time.monotonic_ns() + PATIENCE_NS
        self.loop.run()
        assert until(), "it never happened"


def test_a_datagram_arrives_with_its_link_and_source() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    links.sockets.send(SendDatagram(Kind.PING, 0, links.address(1), b"ping"), 0)
    source = links.address(0)
    links.run(lambda: bool(links.node.datagrams))
    assert links.node.datagrams == [(1, source, b"ping")]
    links.sockets.close()


def test_fragments_arrive_one_by_one_in_order() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    pieces = [bytes([number]) * 1000 for number in range(100)] + [b"last"]
    datagrams = Datagrams([part for piece in pieces for part in (b"head", piece)], 2)
    links.sockets.send_fragments(SendDatagrams(0, links.address(1), datagrams), 0)
    links.run(lambda: len(links.node.datagrams) == len(pieces))
    assert [datagram for _, _, datagram in links.node.datagrams] == [b"head" + piece for piece in pieces]
    links.sockets.close()


def test_without_segmentation_in_the_kernel_the_same_arrives() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    links.sockets._links[0].segments = False
    datagrams = Datagrams([bytes(1000)] * 5, 1)
    links.sockets.send_fragments(SendDatagrams(0, links.address(1), datagrams), 0)
    links.run(lambda: len(links.node.datagrams) == 5)
    links.sockets.close()


def test_a_refusal_by_the_network_reaches_the_node() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    gone = links.address(1)
    links.sockets.configure((Binding(0, "127.0.0.1", 0),))
    links.sockets.send(SendDatagram(Kind.PING, 0, gone, b"ping"), 0)
    links.run(lambda: bool(links.node.network_errors))
    assert links.node.network_errors == [errno.ECONNREFUSED]
    links.sockets.close()


def test_what_is_too_large_is_told_with_the_kernels_mtu() -> None:
    links = Links("127.0.0.1")
    links.sockets.send(SendDatagram(Kind.PMTUD, 0, ("127.0.0.1", 9), bytes(65530)), 0)
    ((kind, error, _),) = links.node.send_errors
    assert (kind, error) == (Kind.PMTUD, errno.EMSGSIZE)
    links.sockets.close()


def test_links_that_stay_are_not_disturbed() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    before = links.address(0)
    links.sockets.configure((Binding(0, "127.0.0.1", 0),))
    assert links.address(0) == before
    assert list(links.sockets._links) == [0]
    links.sockets.send(SendDatagram(Kind.PING, 1, before, b"to a link that is gone"), 0)
    links.sockets.close()


def test_an_answer_goes_out_before_the_next_datagram_is_read() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    for text in (b"one", b"answer two", b"three", b"answer four"):
        links.sockets.send(SendDatagram(Kind.PING, 0, links.address(1), text), 0)
    links.run(lambda: len(links.node.datagrams) == 4)
    assert links.carried_out == [(2, b"answer two"), (4, b"answer four")]
    links.sockets.close()


def test_joined_datagrams_are_cut_apart_again() -> None:
    joined = [(17, 104, (3).to_bytes(4, "little"))]
    assert [bytes(part) for part in _split(b"abcdefgh", joined)] == [b"abc", b"def", b"gh"]
    for nonsense in ([], [(17, 104, bytes(4))], [(17, 104, b"\xff\xff\xff\xff")], [(17, 104, b"\1")]):
        assert [bytes(part) for part in _split(b"abc", nonsense)] == [b"abc"]


def test_what_one_peer_refuses_does_not_cost_another_its_datagram() -> None:
    links = Links("127.0.0.1", "127.0.0.2")
    there = links.address(1)
    nobody = ("127.0.0.3", there[1])
    for number in range(20):
        links.sockets.send(SendDatagram(Kind.PING, 0, nobody, b"for nobody"), 0)
        links.sockets.send(SendDatagram(Kind.PING, 0, there, b"%d" % number), 0)
    links.sockets.send(SendDatagram(Kind.PING, 0, nobody, b"for nobody"), 0)
    datagrams = Datagrams([b"head", bytes(1000), b"head", b"last"], 2)
    links.sockets.send_fragments(SendDatagrams(0, there, datagrams), 0)
    links.run(lambda: len(links.node.datagrams) == 22)
    assert [int(datagram) for _, _, datagram in links.node.datagrams[:20]] == list(range(20))
    assert links.node.send_errors == []
    assert set(links.node.network_errors) == {errno.ECONNREFUSED}
    links.sockets.close()
