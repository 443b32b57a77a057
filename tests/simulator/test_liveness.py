"""P9: once the network is whole again, all become one ring within the timeouts."""

import pytest

from tests.simulator.checkers import check
from tests.simulator.cluster import Cluster, Setup

TOKEN_MS = 500
CONSENSUS_MS = 600


def hurt_and_heal(cluster: Cluster, *, duration_ms: int = 3000) -> None:
    cluster.run(duration_ms)
    cluster.heal()
    cluster.form(within_ms=3 * (TOKEN_MS + CONSENSUS_MS))
    check(cluster)


def started(nodes: int, transport: str, seed: int) -> Cluster:
    cluster = Cluster(seed, Setup(nodes=nodes, transport=transport, token_ms=TOKEN_MS))
    cluster.start()
    cluster.form()
    return cluster


@pytest.mark.parametrize("transport", ["knet", "udpu"])
@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_after_one_direction_of_one_edge_was_cut(nodes: int, transport: str) -> None:
    cluster = started(nodes, transport, nodes)
    with cluster.log.installed():
        for source, target in ((1, 2), (2, 1), (nodes, 1), (nodes - 1, nodes)):
            cluster.network.cut(source, target, [0])
            hurt_and_heal(cluster)


@pytest.mark.parametrize("transport", ["knet", "udpu"])
def test_after_one_edge_was_cut(transport: str) -> None:
    cluster = started(4, transport, 7)
    with cluster.log.installed():
        for one, other in ((1, 2), (1, 4), (2, 3), (3, 4)):
            cluster.network.cut(one, other, [0])
            cluster.network.cut(other, one, [0])
            hurt_and_heal(cluster)


@pytest.mark.parametrize("transport", ["knet", "udpu"])
@pytest.mark.parametrize(
    "sides", [[[1], [2, 3, 4]], [[1, 2], [3, 4]], [[1], [2], [3], [4]], [[1, 3, 4], [2]]]
)
def test_after_a_partition(sides: list[list[int]], transport: str) -> None:
    cluster = started(4, transport, 9)
    with cluster.log.installed():
        cluster.partition(*sides)
        for side in sides:
            cluster.form(*side)
        hurt_and_heal(cluster)


@pytest.mark.parametrize("transport", ["knet", "udpu"])
@pytest.mark.parametrize("token_ms", [200, 300, 1000, 3000])
def test_a_ring_that_nobody_disturbs_stays(token_ms: int, transport: str) -> None:
    """Timeouts below knet's heartbeat of 200 ms took links down that were well."""
    cluster = Cluster(token_ms, Setup(nodes=3, transport=transport, token_ms=token_ms))
    with cluster.log.installed():
        cluster.start()
        cluster.form()
        cluster.client(2)
        rings = len(cluster.rings)
        cluster.run(30_000)
        assert len(cluster.rings) == rings
        check(cluster)


@pytest.mark.parametrize("seed", range(4))
def test_the_larger_side_of_a_partition_goes_on_in_time(seed: int) -> None:
    cluster = started(5, "knet", seed)
    with cluster.log.installed():
        cluster.partition([1, 2], [3, 4, 5])
        cluster.form(3, 4, 5, within_ms=TOKEN_MS + CONSENSUS_MS + 200)
        assert all(cluster.daemon(node_id).node.view.quorate for node_id in (3, 4, 5))
        cluster.form(1, 2, within_ms=200)
        assert not any(cluster.daemon(node_id).node.view.quorate for node_id in (1, 2))
        hurt_and_heal(cluster)
