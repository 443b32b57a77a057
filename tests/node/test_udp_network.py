"""udp and udpu as the node sees them."""

import pytest

from pycorosync.knet.outputs import Received, SendDatagram
from pycorosync.node.outputs import Binding
from pycorosync.node.udp_network import UdpNetwork
from tests.node.test_knet_network import TWO_NODES
from tests.nodes import CONFIGURATION, SimulatedNode

ONE_LINK = TWO_NODES.replace("    ring1_addr: 198.51.100.1\n", "").replace(
    "    ring1_addr: 198.51.100.2\n", ""
)


def _network(transport: str) -> UdpNetwork:
    return UdpNetwork(SimulatedNode(ONE_LINK.replace("knet", transport)).configuration.totem)


def test_udp_listens_to_a_group_too() -> None:
    assert _network("udpu").bindings() == (Binding(0, "192.0.2.1", 5405, None, 1),)
    (binding,) = _network("udp").bindings()
    assert binding.group is not None
    assert binding.group.startswith("239.")


@pytest.mark.parametrize("transport", ["udp", "udpu"])
def test_frames_pass_and_nothing_happens_by_itself(transport: str) -> None:
    network = _network(transport)
    network.start(0)
    assert network.next_deadline() is None
    network.send(b"frame", 2, 0)
    network.receive(0, ("192.0.2.2", 1234), b"answer", 0)
    assert isinstance(network.outputs[0], SendDatagram)
    assert network.outputs[1] == Received(2, b"answer")
    assert list(network.stats()) == []


def test_who_is_in_the_ring_is_reachable() -> None:
    network = _network("udpu")
    assert [network.reachable(node) for node in (1, 2)] == [True, False]
    network.on_membership((1, 2))
    assert network.reachable(2)
    assert [(link.connected, link.mtu, link.remote_address) for link in network.links(2)] == [
        (True, 1410, "192.0.2.2")
    ]


def test_udpu_tells_whom_it_speaks_to(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "corosync.TOTEM"):
        network = _network("udpu")
        network.start(0)
        alone = SimulatedNode(CONFIGURATION.replace("knet", "udpu")).configuration.totem
        network.reconfigure(alone, 0)
    assert [record.getMessage() for record in caplog.records if record.name == "corosync.TOTEM"][:5] == [
        "The network interface [192.0.2.1] is now up.",
        "The network interface [192.0.2.1] is now up.",
        "Configuring link 0",
        "adding new UDPU member {192.0.2.1}",
        "adding new UDPU member {192.0.2.2}",
    ]
    assert "removing UDPU member {192.0.2.2}" in caplog.text
