"""The rules find what they are there for: traces of a good run, each spoilt in one way."""

import random
from collections.abc import Callable

import pytest

from pycorosync.client.cpg import Change
from pycorosync.types import RingId
from tests.simulator.checkers import check
from tests.simulator.clients import contents
from tests.simulator.cluster import Cluster, Setup
from tests.simulator.network import US, Datagram, Network, Schedule, address
from tests.simulator.trace import ClientTrace, Delivered, Installed, NodeTrace, Ordered, RingKey


def good_run() -> Cluster:
    cluster = Cluster(1, Setup(nodes=3, transport="udpu", token_ms=300))
    with cluster.log.installed():
        cluster.start()
        cluster.form()
        for node_id in (1, 2):
            for _ in range(3):
                cluster.client(node_id).send(100)
        cluster.quiesce()
        cluster.host(3).crash()
        cluster.form(1, 2)
        for client in cluster.cpg_clients:
            client.send(50)
        cluster.quiesce()
        cluster.start(3)
        cluster.form()
        cluster.run(50)
        check(cluster)
    return cluster


def trace_of(cluster: Cluster) -> NodeTrace:
    return cluster.host(1).lives_traced[0]


def client_of(cluster: Cluster) -> ClientTrace:
    return cluster.clients[0]


def positions(entries: list[object], kind: type) -> list[int]:
    return [position for position, entry in enumerate(entries) if isinstance(entry, kind)]


def swap_in_order(cluster: Cluster) -> None:
    entries = trace_of(cluster).entries
    first, second = positions(list(entries), Ordered)[-2:]
    entries[first], entries[second] = entries[second], entries[first]


def repeat_in_order(cluster: Cluster) -> None:
    entries = trace_of(cluster).entries
    entries.append(entries[positions(list(entries), Ordered)[-1]])


def lose_from_order(cluster: Cluster) -> None:
    entries = trace_of(cluster).entries
    del entries[positions(list(entries), Ordered)[-1]]


def repeat_a_ring(cluster: Cluster) -> None:
    entries = trace_of(cluster).entries
    entries.append(entries[positions(list(entries), Installed)[-1]])


def lose_at_client(cluster: Cluster) -> None:
    entries = client_of(cluster).entries
    del entries[positions(list(entries), Delivered)[-1]]


def swap_at_client(cluster: Cluster) -> None:
    entries = client_of(cluster).entries
    first, second = positions(list(entries), Delivered)[-2:]
    entries[first], entries[second] = entries[second], entries[first]


def repeat_at_client(cluster: Cluster) -> None:
    entries = client_of(cluster).entries
    entries.append(entries[positions(list(entries), Delivered)[-1]])


def forget_to_send(cluster: Cluster) -> None:
    client_of(cluster).sent.pop()


def lose_a_change(cluster: Cluster) -> None:
    entries = client_of(cluster).entries
    del entries[positions(list(entries), Change)[1]]


def haunt(cluster: Cluster) -> None:
    cpg = cluster.daemon(2).cpg
    (process, *_) = cpg._groups
    cpg._groups.add(process._replace(pid=4711))


def decide_alone(cluster: Cluster) -> None:
    cluster.decisions.append((3, RingKey(RingId(3, 99), 0), True, (3,), 3))


def disagree_on_quorum(cluster: Cluster) -> None:
    cluster.daemon(2).node.view.quorate = False


@pytest.mark.parametrize(
    "spoil",
    [
        swap_in_order, repeat_in_order, lose_from_order, repeat_a_ring, lose_at_client, swap_at_client,
        repeat_at_client, forget_to_send, lose_a_change, haunt, decide_alone, disagree_on_quorum,
    ],
    ids=lambda spoil: spoil.__name__,
)  # fmt: skip
def test_each_rule_can_fail(spoil: Callable[[Cluster], None]) -> None:
    cluster = good_run()
    spoil(cluster)
    with pytest.raises(AssertionError):
        check(cluster)


def test_two_memberships_of_one_name_are_found() -> None:
    cluster = good_run()
    key, members = next(iter(cluster.rings.items()))
    start = cluster.daemon(1).cpg._sync._start
    with pytest.raises(AssertionError, match="has"):
        cluster.on_ring(cluster.host(1), start._replace(ring_id=key.ring_id, members=(*members, 9)))


def test_a_seed_says_everything() -> None:
    """Two runs of one seed are the same run."""
    one, other = good_run(), good_run()
    assert trace_of(one).entries == trace_of(other).entries
    assert list(one.log.lines) == list(other.log.lines)


def test_contents_differ() -> None:
    cluster = good_run()
    me = cluster.cpg_clients[0].me
    seen = {contents(me, number, size) for number in range(50) for size in (8, 100, 5000)}
    assert len(seen) == 150


# --- the network


def arrivals(spoil: Callable[[Network], None], count: int = 200) -> list[tuple[int, bytes]]:
    """When each of so many datagrams from 1 to 2, sent 1 ms apart, arrives."""
    found: list[tuple[int, bytes]] = []

    def arrive(node_id: int, datagrams: list[Datagram]) -> None:
        found.extend((schedule.now_ns, datagram.payload) for datagram in datagrams)

    schedule = Schedule(0)
    network = Network(schedule, random.Random(1), arrive, lambda *_: None, lambda node_id: node_id != 3)
    for node_id in (1, 2, 3):
        network.add(node_id, 1)
    spoil(network)
    for number in range(count):
        payload = number.to_bytes(2, "big") * 600
        schedule.at(number * 1000 * US, network.send, 1, 0, address(2, 0), [payload])
    while schedule.next_ns is not None:
        schedule.step()
    return found


def numbers(found: list[tuple[int, bytes]]) -> list[int]:
    return [int.from_bytes(payload[:2], "big") for _, payload in found]


def test_a_good_network_keeps_everything_in_order() -> None:
    assert numbers(arrivals(lambda network: None)) == list(range(200))


@pytest.mark.parametrize(
    ("fault", "value", "lost", "more"),
    [("loss", 0.5, True, False), ("large_loss", 0.5, True, False), ("duplicate", 0.5, False, True),
     ("reorder", 0.5, False, False), ("cut", True, True, False)],
)  # fmt: skip
def test_faults_do_what_they_say(fault: str, value: float, lost: bool, more: bool) -> None:
    found = numbers(arrivals(lambda network: setattr(network.path(1, 2), fault, value)))
    assert (set(found) < set(range(200))) == lost
    assert (len(found) > len(set(found))) == more
    assert (found != sorted(found)) == (fault in ("reorder", "duplicate"))


def test_corruption_changes_contents() -> None:
    found = arrivals(lambda network: setattr(network.path(1, 2), "corrupt", 0.5))
    damaged = [payload for _, payload in found if len(payload) != 1200 or len(set(payload)) > 2]
    assert 50 < len(damaged) < 150


def test_who_sends_to_a_host_without_a_daemon_is_told() -> None:
    told: list[tuple[object, ...]] = []
    schedule = Schedule(0)
    network = Network(
        schedule, random.Random(1), lambda *_: None, lambda *all_: told.append(all_), lambda _: False
    )
    network.add(1, 1)
    network.add(2, 1)
    network.send(1, 0, address(2, 0), [b"x"])
    while schedule.next_ns is not None:
        schedule.step()
    assert told == [(1, 0, address(2, 0))]
