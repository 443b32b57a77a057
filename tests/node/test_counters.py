"""Messages are counted in the map, those of streams too."""

from pycorosync.cmap.store import Store
from pycorosync.node.counters import MessageCounters
from pycorosync.services.cpg.service import CpgService
from pycorosync.services.service import NodeView
from pycorosync.services.stream import Stream
from tests.nodes import SimulatedNode
from tests.services.cpg.cluster import NoNetwork


def test_counters_are_added_to_the_keys_once() -> None:
    cmap = Store()
    service = CpgService(NodeView(node_id=1, cmap=cmap, transport=NoNetwork()))
    counters, stream = MessageCounters(), Stream(2, 2 << 16 | 3)
    counters.announce(cmap, service)
    counters.add_stream(stream)
    counters.sent(2 << 16)
    counters.forget_sent()
    counters.sent(2 << 16)
    counters.sent(2 << 16)
    counters.received(2 << 16)
    stream.sent, stream.received = 5, 7
    for _ in range(2):
        counters.publish(cmap, {2: service})
    values = [cmap.value(f"runtime.services.cpg.{key}") for key in ("0.tx", "0.rx", "3.tx", "3.rx")]
    assert values == [2, 1, 5, 7]


def test_messages_of_newer_releases_have_no_keys() -> None:
    simulated = SimulatedNode()
    keys = simulated.node.view.cmap.keys("runtime.services.votequorum.")
    assert "runtime.services.votequorum.3.tx" in keys
    assert "runtime.services.votequorum.4.tx" not in keys
    simulated.node._counters.sent(5 << 16 | 4)
    simulated.node.publish_counters()
