"""What a node is made of, from its configuration: the map, the ring's limits, and the services in the order
in which they start (corosync: exec/main.c, exec/service.c, exec/quorum.c).
"""

from collections.abc import Iterator

from pycorosync.cmap.keys import mark_read_only
from pycorosync.cmap.stats import StatsMap
from pycorosync.cmap.store import Store
from pycorosync.config.load import runtime_entries
from pycorosync.config.model import Configuration, Timers, TotemConfig, Transport
from pycorosync.errors import ConfigError
from pycorosync.knet.crypto import Entropy
from pycorosync.node.knet_network import KnetNetwork
from pycorosync.node.network import Network
from pycorosync.node.udp_network import UdpNetwork
from pycorosync.services.cfg.service import CfgService
from pycorosync.services.cmap.service import CmapService
from pycorosync.services.cpg.service import CpgService
from pycorosync.services.cpg.zero_copy import SharedBuffers
from pycorosync.services.outputs import QuorumChanged
from pycorosync.services.quorum.service import QuorumService
from pycorosync.services.resources.host import HostResources
from pycorosync.services.resources.mon import MonService
from pycorosync.services.resources.pload import PloadService
from pycorosync.services.resources.wd import WdService
from pycorosync.services.service import NodeView, Service
from pycorosync.services.votequorum.service import VotequorumService
from pycorosync.totem.config import RingConfig


def build_store(configuration: Configuration) -> Store:
    """The configuration map as it is before any service has started."""
    store = Store()
    mark_read_only(store)
    store.update(configuration.entries)
    store.update(runtime_entries(configuration))
    return store


def build_network(totem: TotemConfig, entropy: Entropy) -> Network:
    """What the transport option selects. Raises ValueError for what this host's libraries do not have."""
    if totem.transport is Transport.KNET:
        return KnetNetwork(totem, entropy)
    return UdpNetwork(totem)


def build_services(
    view: NodeView,
    stats: StatsMap,
    buffers: SharedBuffers,
    stored_expected_votes: int,
    now_ns: int,
    host: HostResources | None = None,
) -> Iterator[Service]:
    """Every service, made when its turn has come, so that log lines and keys appear in corosync's order.

    Raises ConfigError when a quorum provider is unknown or refuses its options: the daemon ends with 20.
    """
    yield CmapService(view, stats)
    yield CfgService(view)
    yield CpgService(view, buffers)
    yield PloadService(view)
    yield MonService(view, host)
    yield WdService(view, host)
    quorum = QuorumService(view)
    if provider := quorum.start():
        votequorum = VotequorumService(view)
        try:
            votequorum.start(now_ns, stored_expected_votes)
        except ConfigError:
            quorum.provider_failed(provider)
            raise
        for output in votequorum.outputs:
            # Of the first count: when the node carries the outputs, the quorum service is not loaded yet.
            if isinstance(output, QuorumChanged):
                quorum.on_quorum(output.quorate, output.members, output.ring_id, now_ns)
        yield votequorum
    yield quorum


def ring_config(timers: Timers) -> RingConfig:
    """The ring's share of the timers."""
    return RingConfig(
        token_ms=timers.token_timeout_ms,
        token_warning_percent=timers.token_warning_percent,
        token_retransmit_ms=timers.token_retransmit_ms,
        token_hold_ms=timers.token_hold_ms,
        consensus_ms=timers.consensus_ms,
        join_ms=timers.join_ms,
        send_join_ms=timers.send_join_ms,
        merge_ms=timers.merge_ms,
        downcheck_ms=timers.downcheck_ms,
        fail_to_recv_const=timers.fail_to_receive,
        seqno_unchanged_const=timers.seqno_unchanged,
        window_size=timers.window_size,
        max_messages=timers.max_messages,
        miss_count_const=timers.miss_count,
        heartbeat_failures_allowed=timers.heartbeat_failures_allowed,
        max_network_delay_ms=timers.max_network_delay_ms,
        cancel_token_hold_on_retransmit=timers.cancel_token_hold_on_retransmit,
    )
