"""What services and the stats map see of a network that nobody else has joined."""

import pytest

from pycorosync.node.links import ConfiguredLinks
from tests.nodes import CONFIGURATION, SimulatedNode

TWO_NODES = CONFIGURATION.replace(
    "    ring0_addr: 192.0.2.1\n  }\n",
    "    ring0_addr: 192.0.2.1\n    ring1_addr: 198.51.100.1\n  }\n"
    "  node {\n    name: n2\n    nodeid: 2\n    ring0_addr: 192.0.2.2\n    ring1_addr: 198.51.100.2\n  }\n",
)


@pytest.fixture
def links() -> ConfiguredLinks:
    return ConfiguredLinks(SimulatedNode(TWO_NODES).configuration.totem)


def test_addresses_come_by_link_and_unknown_nodes_have_none(links: ConfiguredLinks) -> None:
    assert links.addresses(2) == ["192.0.2.2", "198.51.100.2"]
    assert links.addresses(3) == []


def test_only_we_are_reachable(links: ConfiguredLinks) -> None:
    assert [links.reachable(node) for node in (1, 2, 3)] == [True, False, False]
    assert [(link.link, link.connected, link.remote_address) for link in links.links(1)] == [
        (0, True, "192.0.2.1"),
        (1, True, "198.51.100.1"),
    ]
    assert [link.connected for link in links.links(2)] == [False, False]


def test_what_we_send_to_ourselves_is_counted_and_can_be_cleared(links: ConfiguredLinks) -> None:
    links.count_own(100)
    links.count_own(50)
    stats = {key: value for key, _, value in links.stats()}
    assert stats["stats.knet.node1.link0.tx_data_packets"] == 2
    assert stats["stats.knet.node1.link0.tx_total_bytes"] == 150
    assert stats["stats.knet.node2.link0.tx_total_bytes"] == 0
    links.clear_stats()
    assert {key: value for key, _, value in links.stats()}["stats.knet.node1.link0.tx_data_packets"] == 0


def test_the_udp_transports_have_no_knet_statistics() -> None:
    configuration = SimulatedNode(CONFIGURATION.replace("knet", "udpu")).configuration
    assert list(ConfiguredLinks(configuration.totem).stats()) == []


def test_a_change_of_keys_is_told_with_the_index_that_alternates(
    links: ConfiguredLinks, caplog: pytest.LogCaptureFixture
) -> None:
    plain = SimulatedNode(TWO_NODES).configuration.totem
    crypto = "crypto_cipher: aes256\n  crypto_hash: sha256\n  key: " + "k" * 128
    sealed = SimulatedNode(
        TWO_NODES.replace("transport: knet", f"transport: knet\n  {crypto}")
    ).configuration.totem
    with caplog.at_level("INFO", "corosync.TOTEM"):
        for totem in (sealed, sealed, plain):
            links.reconfigure(totem)
    assert [record.getMessage() for record in caplog.records if record.name == "corosync.TOTEM"] == [
        "kronosnet crypto reconfigured on index 2: nss/aes256/sha256",
        "kronosnet crypto reconfigured on index 1: nss/none/none",
    ]
