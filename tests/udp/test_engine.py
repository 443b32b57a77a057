"""Frames in plain datagrams."""

import pytest

from pycorosync.knet.outputs import Kind, Received, SendDatagram
from pycorosync.udp.engine import ALL, FRAME_BYTES_MAX, Udp, UdpSettings

PEERS = {2: ("192.0.2.2", 5405), 3: ("192.0.2.3", 5405)}
GROUP = ("239.192.1.1", 5405)


def _sent(engine: Udp) -> list[object]:
    outputs, engine.outputs = engine.outputs, []
    return [output.address if isinstance(output, SendDatagram) else output for output in outputs]


def test_udpu_sends_to_each_member_and_udp_to_the_group() -> None:
    unicast, multicast = Udp(UdpSettings(1, PEERS, None)), Udp(UdpSettings(1, PEERS, GROUP))
    for engine in (unicast, multicast):
        engine.send(b"frame", ALL)
    assert unicast.outputs[0] == SendDatagram(Kind.DATA, 0, ("192.0.2.2", 5405), b"frame")
    assert _sent(unicast) == [("192.0.2.2", 5405), ("192.0.2.3", 5405)]
    assert _sent(multicast) == [GROUP]


@pytest.mark.parametrize("group", [None, GROUP])
def test_a_token_goes_to_its_target_alone(group: tuple[str, int] | None) -> None:
    engine = Udp(UdpSettings(1, PEERS, group))
    engine.send(b"token", 3)
    assert _sent(engine) == [("192.0.2.3", 5405)]
    engine.send(b"token", 9)
    assert _sent(engine) == []


def test_what_is_for_us_never_leaves() -> None:
    engine = Udp(UdpSettings(1, PEERS, None))
    engine.send(b"token", 1)
    assert _sent(engine) == [Received(1, b"token")]
    engine.send(b"join", ALL, loop_back=True)
    assert _sent(engine) == [Received(1, b"join"), ("192.0.2.2", 5405), ("192.0.2.3", 5405)]


def test_a_sender_is_known_by_its_host_whatever_its_port() -> None:
    engine = Udp(UdpSettings(1, PEERS, None))
    engine.receive(("192.0.2.3", 40000), b"frame")
    assert engine.outputs == [Received(3, b"frame")]


@pytest.mark.parametrize("check", [True, False])
def test_strangers_are_heard_only_where_that_is_configured(check: bool) -> None:
    engine = Udp(UdpSettings(1, PEERS, None, check_sources=check))
    engine.receive(("198.51.100.7", 5405), b"frame")
    assert engine.outputs == ([] if check else [Received(0, b"frame")])
    assert engine.dropped.unknown_source == int(check)


def test_a_datagram_that_cannot_be_one_is_dropped() -> None:
    engine = Udp(UdpSettings(1, PEERS, None))
    engine.receive(("192.0.2.3", 5405), bytes(FRAME_BYTES_MAX + 1))
    assert not engine.outputs
    assert engine.dropped.too_long == 1


def test_nodes_come_and_go() -> None:
    engine = Udp(UdpSettings(1, PEERS, None))
    engine.reconfigure(UdpSettings(1, {2: PEERS[2]}, None))
    engine.send(b"frame", ALL)
    assert _sent(engine) == [("192.0.2.2", 5405)]
    engine.receive(("192.0.2.3", 5405), b"frame")
    assert engine.dropped.unknown_source == 1
