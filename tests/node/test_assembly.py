"""What a node is made of."""

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.errors import ConfigError
from pycorosync.node.assembly import build_store, ring_config
from pycorosync.node.network import frame_payload_bytes
from tests.nodes import CONFIGURATION, SimulatedNode


def test_the_map_holds_the_file_and_the_timers_that_follow_from_it() -> None:
    store = build_store(SimulatedNode().configuration)
    assert store.get_str("totem.cluster_name") == "test"
    entry = store.get("runtime.config.totem.token_retransmit")
    assert entry is not None
    assert (entry.kind, entry.value) == (ValueType.UINT32, 714)
    assert store.is_read_only("totem.cluster_name")
    assert not store.is_read_only("totem.token")


def test_services_load_in_the_order_of_corosync() -> None:
    assert list(SimulatedNode().node.services) == [0, 1, 2, 4, 6, 7, 5, 3]


def test_without_a_provider_there_is_no_votequorum() -> None:
    text = CONFIGURATION.replace("  provider: corosync_votequorum\n", "")
    assert list(SimulatedNode(text).node.services) == [0, 1, 2, 4, 6, 7, 3]


def test_an_unknown_provider_is_the_operators_fault() -> None:
    with pytest.raises(ConfigError):
        SimulatedNode(CONFIGURATION.replace("corosync_votequorum", "corosync_dice"))


@pytest.mark.parametrize(("transport", "payload"), [("knet", 65446), ("udpu", 1410), ("udp", 1410)])
def test_how_much_a_packet_carries(transport: str, payload: int) -> None:
    totem = SimulatedNode(CONFIGURATION.replace("knet", transport)).configuration.totem
    assert frame_payload_bytes(totem) == payload


def test_every_timer_of_the_file_reaches_the_ring() -> None:
    text = CONFIGURATION.replace(
        "version: 2", "version: 2\n  token: 5000\n  window_size: 77\n  max_messages: 9"
    )
    config = ring_config(SimulatedNode(text).configuration.totem.timers)
    assert (config.token_ms, config.consensus_ms, config.window_size, config.max_messages) == (
        5000,
        6000,
        77,
        9,
    )
