"""knet as the node sees it."""

from dataclasses import replace
from random import Random

import pytest

from pycorosync.knet.outputs import Received, SendDatagram, SendDatagrams
from pycorosync.node.knet_network import KnetNetwork, knet_settings, nozzle_complaint, refused_by_libknet
from pycorosync.node.outputs import Binding
from tests.nodes import CONFIGURATION, SimulatedNode

TWO_NODES = CONFIGURATION.replace(
    "    ring0_addr: 192.0.2.1\n  }\n",
    "    ring0_addr: 192.0.2.1\n    ring1_addr: 198.51.100.1\n  }\n"
    "  node {\n    name: n2\n    nodeid: 2\n    ring0_addr: 192.0.2.2\n    ring1_addr: 198.51.100.2\n  }\n",
)
TOKEN = b"\x70\xc0\x03\x00" + bytes(60)
MS = 1_000_000


def _network(text: str = TWO_NODES) -> KnetNetwork:
    return KnetNetwork(SimulatedNode(text).configuration.totem, Random(1).randbytes)


@pytest.fixture
def network() -> KnetNetwork:
    started = _network()
    started.start(0)
    started.outputs = []
    return started


def test_addresses_come_by_link_and_unknown_nodes_have_none(network: KnetNetwork) -> None:
    assert network.addresses(2) == ["192.0.2.2", "198.51.100.2"]
    assert network.addresses(3) == []


def test_a_socket_for_each_link(network: KnetNetwork) -> None:
    assert network.bindings() == (Binding(0, "192.0.2.1", 5405), Binding(1, "198.51.100.1", 5406))


def test_before_anybody_answers_only_we_are_reachable(network: KnetNetwork) -> None:
    assert [network.reachable(node) for node in (1, 2, 3)] == [True, False, False]
    assert [(link.link, link.connected, link.remote_address) for link in network.links(1)] == [
        (0, True, "192.0.2.1"),
        (1, True, "198.51.100.1"),
    ]
    # 522 bytes fit into the smallest packet that every IPv4 network carries.
    assert [(link.enabled, link.connected, link.mtu) for link in network.links(2)] == [(True, False, 522)] * 2


def test_peers_are_pinged_on_every_link_and_a_lone_node_stays_silent(network: KnetNetwork) -> None:
    deadline = network.next_deadline()
    assert deadline is not None
    network.on_timer(deadline)
    sent = {(output.link, output.address) for output in network.outputs if isinstance(output, SendDatagram)}
    assert sent == {(0, ("192.0.2.2", 5405)), (1, ("198.51.100.2", 5406))}
    alone = _network(CONFIGURATION)
    alone.start(0)
    assert alone.next_deadline() is None


def test_our_own_frames_come_back_without_the_wire(network: KnetNetwork) -> None:
    network.send(TOKEN, 1, 0)
    assert [type(output) for output in network.outputs] == [Received]
    stats = {key: value for key, _, value in network.stats()}
    assert stats["stats.knet.node1.link0.tx_data_packets"] == 1
    network.clear_stats()
    assert {key: value for key, _, value in network.stats()}["stats.knet.node1.link0.tx_data_packets"] == 0


def _exchange(one: KnetNetwork, two: KnetNetwork, now_ns: int) -> list[Received]:
    """Carry datagrams between both ends; what node 2 receives."""
    received = []
    hosts = {
        "192.0.2.1": (one, two),
        "198.51.100.1": (one, two),
        "192.0.2.2": (two, one),
        "198.51.100.2": (two, one),
    }
    while one.outputs or two.outputs:
        for near, own in ((one, ("192.0.2.1", "198.51.100.1")), (two, ("192.0.2.2", "198.51.100.2"))):
            outputs, near.outputs = near.outputs, []
            for output in outputs:
                if isinstance(output, Received) and near is two:
                    received.append(output)
                if not isinstance(output, SendDatagram | SendDatagrams):
                    continue
                assert isinstance(output.address, tuple)
                far = hosts[output.address[0]][0]
                source = (own[output.link], output.address[1])
                payloads = (
                    [output.payload]
                    if isinstance(output, SendDatagram)
                    else [b"".join(d) for d in output.datagrams]
                )
                for payload in payloads:
                    far.receive(output.link, source, bytes(payload), now_ns)
    return received


def _connected(text: str = TWO_NODES) -> tuple[KnetNetwork, KnetNetwork, int]:
    one = _network(text)
    swapped = (
        text.replace("name: n1", "name: tmp").replace("name: n2", "name: n1").replace("name: tmp", "name: n2")
    )
    two = _network(swapped)
    now_ns = 0
    for network in (one, two):
        network.start(now_ns)
    while not (one.reachable(2) and two.reachable(1)):
        now_ns += 200 * MS
        assert now_ns < 60_000 * MS, "the links never come up"
        for network in (one, two):
            network.on_timer(now_ns)
        _exchange(one, two, now_ns)
    return one, two, now_ns


def test_two_nodes_find_each_other_and_frames_pass() -> None:
    one, two, now_ns = _connected()
    one.send(TOKEN, 2, now_ns)
    assert [(got.node_id, bytes(got.payload)[:4]) for got in _exchange(one, two, now_ns)] == [(1, TOKEN[:4])]
    assert [link.connected for link in one.links(2)] == [True, True]


def test_new_keys_are_accepted_before_they_are_used_and_forgotten_when_all_have_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def keyed(letter: str) -> str:
        crypto = f"crypto_cipher: aes256\n  crypto_hash: sha256\n  key: {letter * 128}"
        return TWO_NODES.replace("transport: knet", f"transport: knet\n  {crypto}")

    one, two, now_ns = _connected(keyed("a"))
    new = SimulatedNode(keyed("b")).configuration.totem
    with caplog.at_level("INFO", "corosync.TOTEM"):
        one.reconfigure(new, now_ns)
    assert "kronosnet crypto reconfigured on index 2: nss/aes256/sha256" in caplog.text
    one.send(TOKEN, 2, now_ns)
    assert len(_exchange(one, two, now_ns)) == 1, "still sent with the old keys"
    one.reconfigure_crypto(1, now_ns)
    one.send(TOKEN, 2, now_ns)
    assert not _exchange(one, two, now_ns), "sent with keys that the other does not have"


def test_what_libknet_refuses_leaves_what_was_before() -> None:
    totem = SimulatedNode(TWO_NODES).configuration.totem
    bad = replace(totem, timers=replace(totem.timers, knet_mtu=70_000, knet_pmtud_interval_s=90_000))
    assert refused_by_libknet(totem.timers) == []
    assert refused_by_libknet(bad.timers) == ["pmtud_setfreq", "pmtud_set"]
    at_start = knet_settings(bad)
    assert (at_start.manual_mtu, at_start.pmtud_interval_ns) == (0, 60 * 1000 * MS)
    good = replace(totem, timers=replace(totem.timers, knet_mtu=1400, knet_pmtud_interval_s=7))
    later = knet_settings(bad, knet_settings(good))
    assert (later.manual_mtu, later.pmtud_interval_ns) == (1400, 7 * 1000 * MS)


def test_a_link_over_sctp_is_one_that_the_kernel_does_not_have(caplog: pytest.LogCaptureFixture) -> None:
    interface = "  interface {\n    linknumber: 1\n    knet_transport: sctp\n  }\n}\nnodelist {"
    text = TWO_NODES.replace("}\nnodelist {", interface, 1)
    network = _network(text)
    with caplog.at_level("ERROR", "corosync.TOTEM"):
        network.start(0)
    texts = [record.getMessage() for record in caplog.records if record.name == "corosync.TOTEM"]
    assert "knet_link_set_config failed: Protocol not supported (93)" in texts
    assert network.bindings() == (Binding(0, "192.0.2.1", 5405),)
    assert [link.enabled for link in network.links(2)] == [True, False]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, None),
        ({"ipaddr": "10.1.1.0"}, None),
        ({"name": "noz0"}, "No IP address supplied for Nozzle device"),
        ({"name": "noz0", "ipaddr": "10.1.1.0"}, "No prefix supplied for Nozzle IP address"),
        (
            {"name": "noz0", "ipaddr": "10.1.1.0", "ipprefix": "24", "macaddr": "x"},
            "macaddr for nozzle device is not in the correct format 'x'",
        ),
        (
            {"name": "noz0", "ipaddr": "10.1.1.0", "ipprefix": "24"},
            "Unable to init nozzle device noz0: Operation not supported",
        ),
    ],
)
def test_what_is_said_about_a_nozzle(options: dict[str, str], complaint: str | None) -> None:
    lines = "".join(f"  {key}: {value}\n" for key, value in options.items())
    node = SimulatedNode(f"{TWO_NODES}nozzle {{\n{lines}}}\n")
    assert nozzle_complaint(node.node.view.cmap) == complaint
