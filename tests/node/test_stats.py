"""Who watches the statistics map hears of every connection, however short."""

from pycorosync.cmap.stats import Stat
from pycorosync.cmap.store import TrackEvent, ValueType
from pycorosync.services.cmap import messages
from pycorosync.services.cmap.messages import CmapMap, CmapRequest
from pycorosync.services.service import ClientInfo
from tests.nodes import SimulatedNode

CMAP, CFG = 0, 1


def test_a_connection_that_comes_and_goes_is_announced() -> None:
    simulated = SimulatedNode()
    simulated.start()
    connected: set[int] = set()

    def provide() -> list[Stat]:
        return [(f"stats.ipcs.service1.9.{client:#x}.requests", ValueType.UINT64, 5) for client in connected]

    simulated.stats.add(provide, "stats.ipcs.")
    watcher = simulated.connect(CMAP)
    layout = messages.MAP_REQUEST
    simulated.request(watcher, CMAP, layout.encode(CmapRequest.SET_CURRENT_MAP, layout.size, CmapMap.STATS))
    layout = messages.TRACK_ADD_REQUEST
    events = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.PREFIX
    track = layout.encode(CmapRequest.TRACK_ADD, layout.size, *messages.name_fields("stats.ipcs."), events, 1)
    assert simulated.request(watcher, CMAP, track)

    connected.add(7)
    client = simulated.connect(CFG)
    connected.clear()
    simulated.node.on_client_gone(ClientInfo(client, CFG, 100, 0, 0), simulated.now_ns)
    simulated.settle()
    heard = [messages.NOTIFY_EVENT.decode(event) for event in simulated.events[watcher]]
    assert [(event.event, messages.key_of(event)) for event in heard] == [
        (TrackEvent.ADD, "stats.ipcs.service1.9.0x7.requests"),
        (TrackEvent.DELETE, "stats.ipcs.service1.9.0x7.requests"),
    ]
