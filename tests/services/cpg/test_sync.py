"""Rings form, break and merge: what members of groups hear, and that all nodes agree."""

from random import Random

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.groups import Process
from pycorosync.services.cpg.messages import SERVICE_ID, CpgExec, ModelFlags, Reason
from pycorosync.services.cpg.sync import DEPARTED_MAX, Synchronization
from pycorosync.services.service import SyncStart
from pycorosync.types import RingId
from pycorosync.wire.fixed import LITTLE
from tests.services.cpg.cluster import Client, Cluster
from tests.vectors import vectors


def cluster_of(nodes: int) -> Cluster:
    cluster = Cluster(nodes)
    cluster.form(range(1, nodes + 1))
    return cluster


def silence(*clients: Client) -> None:
    for client in clients:
        client.heard()


def agreed(cluster: Cluster, nodes: range | list[int]) -> list[Process]:
    """The processes that these nodes know, who must know the same."""
    known = [list(cluster.nodes[node_id].service._groups) for node_id in nodes]
    assert all(each == known[0] for each in known)
    return known[0]


def test_two_nodes_meet() -> None:
    cluster = Cluster(2)
    a, b, c = cluster.joined(1, 10), cluster.joined(2, 20), cluster.joined(2, 30, b"other")
    silence(a, b, c)
    cluster.form([1, 2])
    assert a.heard() == ["g is 1:10 2:20, joined 2:20/4", "ring [1, 2]"]
    assert b.heard() == ["g is 1:10 2:20, joined 1:10/4", "ring [1, 2]"]
    assert c.heard() == ["ring [1, 2]"]
    assert agreed(cluster, [1, 2]) == [(1, 10, b"g"), (2, 20, b"g"), (2, 30, b"other")]


def test_a_client_without_a_group_hears_of_rings_too() -> None:
    cluster = Cluster(2)
    a = cluster.client(1, 1)
    cluster.form([1, 2])
    assert a.heard() == ["ring [1, 2]"]


def test_all_processes_of_a_group_come_in_one_event_the_last_named_first() -> None:
    cluster = Cluster(3)
    a = cluster.joined(1, 1)
    for node_id, pid in ((2, 20), (2, 21), (3, 30), (3, 31)):
        cluster.joined(node_id, pid)
    silence(a)
    cluster.form([1, 2, 3])
    members = "1:1 2:20 2:21 3:30 3:31"
    assert a.heard() == [f"g is {members}, joined 3:31/4 3:30/4 2:21/4 2:20/4", "ring [1, 2, 3]"]


def test_a_node_goes_with_all_its_processes() -> None:
    cluster = cluster_of(3)
    a, b = cluster.joined(1, 1), cluster.joined(2, 2)
    for node_id, pid in ((3, 31), (3, 30), (3, 32)):
        cluster.joined(node_id, pid)
    other = cluster.joined(1, 9, b"other")
    silence(a, b, other)
    cluster.form([1, 2])
    expected = ["g is 1:1 2:2, left 3:30/3 3:31/3 3:32/3", "ring [1, 2]"]
    assert a.heard() == b.heard() == expected
    assert other.heard() == ["ring [1, 2]"]
    agreed(cluster, [1, 2])


def test_names_that_are_the_same_up_to_a_zero_are_different_groups() -> None:
    cluster = cluster_of(2)
    a, b = cluster.joined(1, 1, b"crmd\0"), cluster.joined(1, 2, b"crmd")
    cluster.joined(2, 3, b"crmd\0")
    cluster.joined(2, 4, b"crmd")
    silence(a, b)
    cluster.form([1])
    assert a.heard() == ["crmd\0 is 1:1, left 2:3/3", "ring [1]"]
    assert b.heard() == ["crmd is 1:2, left 2:4/3", "ring [1]"]
    cluster.form([2])
    cluster.form([1, 2])
    assert a.heard() == ["crmd\0 is 1:1 2:3, joined 2:3/4", "ring [1, 2]"]
    assert b.heard() == ["crmd is 1:2 2:4, joined 2:4/4", "ring [1, 2]"]


def test_a_partition_heals() -> None:
    cluster = cluster_of(4)
    clients = {node_id: cluster.joined(node_id, node_id * 10) for node_id in range(1, 5)}
    silence(*clients.values())
    cluster.form([1, 2])
    cluster.form([3, 4])
    assert clients[1].heard()[0] == "g is 1:10 2:20, left 3:30/3 4:40/3"
    assert clients[4].heard()[0] == "g is 3:30 4:40, left 1:10/3 2:20/3"
    cluster.form([1, 2, 3, 4])
    assert clients[1].heard()[0] == "g is 1:10 2:20 3:30 4:40, joined 4:40/4 3:30/4"
    assert clients[4].heard()[0] == "g is 1:10 2:20 3:30 4:40, joined 2:20/4 1:10/4"
    agreed(cluster, range(1, 5))


def test_a_node_that_left_and_came_back_at_once_has_left_and_joined() -> None:
    """It was paused, or restarted: the others have formed a ring with it that it was not in before."""
    cluster = cluster_of(3)
    a, c = cluster.joined(1, 1), cluster.joined(3, 3)
    silence(a, c)
    cluster.nodes[3].ring = RingId(3, 999)  # it went through a ring of its own
    cluster.form([1, 2, 3])
    assert a.heard() == [
        "g is 1:1, left 3:3/3",
        "g is 1:1 3:3, joined 3:3/4",
        "ring [1, 2, 3]",
    ]
    assert c.heard() == ["g is 3:3, left 1:1/3", "g is 1:1 3:3, joined 1:1/4", "ring [1, 2, 3]"]


def test_a_restarted_node_has_lost_its_processes() -> None:
    cluster = cluster_of(2)
    a = cluster.joined(1, 1)
    cluster.joined(2, 2)
    silence(a)
    cluster.boot(2)
    cluster.form([1, 2])
    assert a.heard() == ["g is 1:1, left 2:2/3", "ring [1, 2]"]


def test_a_process_that_went_while_we_did_not_hear_it_is_removed() -> None:
    """Its node stayed with us as far as the ring knows; its joinlist tells the truth."""
    cluster = cluster_of(2)
    a, b = cluster.joined(1, 1), cluster.joined(2, 2)
    silence(a)
    b.vanish()
    cluster.nodes[2].service.on_delivery(
        2, CpgExec.PROCLEAVE, memoryview(cluster.nodes[2].unsent.pop()), LITTLE, 0
    )
    cluster.form([1, 2])
    assert a.heard() == ["g is 1:1, left 2:2/5", "ring [1, 2]"]


def test_a_member_that_dies_between_its_joinlist_and_the_barrier_leaves_no_ghost() -> None:
    cluster = cluster_of(2)
    a = cluster.joined(1, 1)
    cluster.boot(3)
    cluster.joined(3, 33)
    silence(a)
    cluster.begin([1, 2, 3])
    cluster.exchange([1, 2, 3])
    # No abort: the services that wait for the barrier are not told by every version.
    cluster.form([1, 2])
    assert a.heard() == ["ring [1, 2]"]
    assert agreed(cluster, [1, 2]) == [(1, 1, b"g")]


def test_an_aborted_synchronization_leaves_nothing_behind() -> None:
    cluster = Cluster(2)
    a = cluster.joined(1, 1)
    cluster.joined(2, 2)
    silence(a)
    cluster.begin([1, 2])
    cluster.exchange([1, 2])
    cluster.abort([1, 2])
    cluster.form([1])
    assert a.heard() == ["ring [1]"]
    cluster.form([1, 2])
    assert a.heard() == ["g is 1:1 2:2, joined 2:2/4", "ring [1, 2]"]


def test_a_node_that_left_in_an_unfinished_synchronization_has_left() -> None:
    """It came back before the end with the same processes, which missed what was said meanwhile."""
    cluster = cluster_of(3)
    a = cluster.joined(1, 1)
    cluster.joined(3, 3)
    silence(a)
    cluster.begin([1, 2])
    cluster.nodes[3].ring = RingId(3, 999)
    cluster.abort([1, 2])
    cluster.begin([1, 2, 3])
    cluster.abort([1, 2, 3])
    cluster.form([1, 2, 3])  # 1 and 3 come from one ring now
    assert a.heard() == ["g is 1:1, left 3:3/3", "g is 1:1 3:3, joined 3:3/4", "ring [1, 2, 3]"]


def leave_in_sync(cluster: Cluster, client: Client) -> bytes:
    """The client's connection ends; its leave, which the ring has not taken yet."""
    client.vanish()
    return cluster.nodes[client.node_id].unsent.pop()


def test_a_process_that_leaves_after_its_joinlist_does_not_come_back() -> None:
    cluster = Cluster(2)
    a, b = cluster.joined(1, 1), cluster.joined(2, 2)
    silence(a)
    cluster.begin([1, 2])
    cluster.exchange([1, 2])
    cluster.deliver(2, leave_in_sync(cluster, b))
    cluster.activate([1, 2])
    assert a.heard() == ["ring [1, 2]"]
    assert agreed(cluster, [1, 2]) == [(1, 1, b"g")]


def test_a_process_that_leaves_just_before_its_joinlist_does_not_come_back() -> None:
    cluster = Cluster(2)
    a, b = cluster.joined(1, 1), cluster.joined(2, 2)
    silence(a)
    cluster.begin([1, 2])
    leave = leave_in_sync(cluster, b)
    assert cluster.nodes[2].service.sync_process(0)  # its list is made before the leave is delivered
    cluster.deliver(2, leave)
    cluster.exchange([1])
    cluster.settle()
    cluster.activate([1, 2])
    assert a.heard() == ["ring [1, 2]"]
    assert agreed(cluster, [1, 2]) == [(1, 1, b"g")]


def test_a_process_that_joins_during_synchronization_stays() -> None:
    cluster = cluster_of(2)
    a = cluster.joined(1, 1)
    silence(a)
    cluster.begin([1, 2])
    cluster.exchange([1, 2])
    message = messages.PROCJOIN.encode(SERVICE_ID << 16, 168, 1, b"g", 22, Reason.JOIN)
    cluster.deliver(2, message)
    cluster.activate([1, 2])
    assert a.heard() == ["g is 1:1 2:22, joined 2:22/1", "ring [1, 2]"]
    agreed(cluster, [1, 2])


def test_joinlists_that_nobody_asked_for_are_ignored() -> None:
    cluster = cluster_of(2)
    a = cluster.joined(1, 1)
    silence(a)
    joinlist = joinlist_of(77, b"g")
    cluster.deliver(2, joinlist)  # no synchronization
    cluster.begin([1, 2])
    cluster.deliver(3, joinlist, to=[1, 2])  # no member
    cluster.exchange([1, 2])
    cluster.activate([1, 2])
    assert a.heard() == ["ring [1, 2]"]


def test_the_joinlist_of_a_real_node_is_understood() -> None:
    cluster = cluster_of(2)
    vector = next(vector for vector in vectors("cpg") if vector.name == "JOINLIST")
    pid, group = vector.items("entry")
    a = cluster.joined(1, 1, group.encode())
    silence(a)
    cluster.begin([1, 2])
    cluster.exchange([1, 2])
    cluster.deliver(2, vector.data)
    cluster.activate([1, 2])
    assert a.heard() == [f"{group} is 1:1 2:{pid}, joined 2:{pid}/4", "ring [1, 2]"]


def test_a_stale_joinlist_is_replaced() -> None:
    """It waited in its node's queue while a synchronization was aborted."""
    cluster = cluster_of(2)
    a = cluster.joined(1, 1)
    silence(a)
    cluster.begin([1, 2])
    cluster.deliver(2, joinlist_of(77, b"g"))
    cluster.exchange([1, 2])  # node 2 has no processes and sends a downlist only
    cluster.activate([1, 2])
    assert a.heard() == ["ring [1, 2]"]


def joinlist_of(pid: int, group: bytes) -> bytes:
    entry = messages.JOINLIST_ENTRY.encode(pid, len(group), group)
    layout = messages.JOINLIST
    return layout.encode(SERVICE_ID << 16 | CpgExec.JOINLIST, layout.size + len(entry), 0) + entry


@pytest.mark.parametrize("damage", ["short", "long", "half", "name"])
def test_a_broken_joinlist_is_malformed(damage: str) -> None:
    cluster = cluster_of(2)
    message = joinlist_of(77, b"g")
    header = messages.JOINLIST
    code = SERVICE_ID << 16 | CpgExec.JOINLIST
    broken = {
        "short": message[:-1],
        "long": header.encode(code, len(message) + 144, 0) + message[24:],
        "half": header.encode(code, len(message) - 72, 0) + message[24:-72],
        "name": message[:32] + b"\xff\xff\xff\xff" + message[36:],
    }[damage]
    with pytest.raises(MalformedMessage):
        cluster.nodes[1].service.on_delivery(2, CpgExec.JOINLIST, memoryview(broken), LITTLE, 0)


def test_the_downlist_names_those_who_left() -> None:
    cluster = cluster_of(3)
    cluster.begin([1, 3])
    service = cluster.nodes[1].service
    service.sync_process(0)
    cluster.nodes[1].collect()
    (message,) = cluster.nodes[1].unsent
    head = messages.DOWNLIST.decode(message)
    assert (len(message), head.header_size, head.old_members, head.left) == (1568, 1568, 3, 1)
    assert list(memoryview(message)[32:40].cast("I")) == [2, 0]


def test_the_first_ring_event_of_a_newcomer_is_of_the_finished_configuration() -> None:
    cluster = cluster_of(2)
    a = cluster.client(1, 1)
    a.join(b"g", ModelFlags.DELIVER_INITIAL_TOTEM_CONF)
    joined = cluster.nodes[1].unsent.pop()
    cluster.boot(3)
    cluster.begin([1, 2, 3])
    cluster.deliver(1, joined)
    assert a.heard() == ["g is 1:1, joined 1:1/1", "ring [1, 2]"]
    cluster.exchange([1, 2, 3])
    cluster.activate([1, 2, 3])
    assert a.heard() == ["ring [1, 2, 3]"]


@pytest.mark.parametrize("seed", range(25))
def test_nodes_of_a_ring_always_agree(seed: int) -> None:
    """Clients come, go and talk; rings break and merge, some before they have synchronized."""
    rng = Random(seed)
    cluster = Cluster(5)
    clients: list[Client] = []
    for step in range(150):
        action = rng.random()
        if action < 0.35:
            client = cluster.client(rng.randint(1, 5), rng.randint(1, 1000))
            client.join(rng.choice((b"g", b"h", b"g\0")))
            clients.append(client)
        elif action < 0.6 and clients:
            clients.pop(rng.randrange(len(clients))).vanish()
        elif action < 0.8 and clients:
            rng.choice(clients).mcast(b"%d" % step)
        else:
            reconfigure(rng, cluster)
        cluster.settle()
    cluster.form(range(1, 6))
    known = agreed(cluster, range(1, 6))
    live = {
        Process(
            client.node_id, client.pid, cluster.nodes[client.node_id].service._clients[client.number].group
        )
        for client in clients
        if cluster.nodes[client.node_id].service._clients[client.number].may_send
    }
    assert set(known) == live, f"seed {seed}"
    for client in clients:
        check_history(client, f"seed {seed}")


def reconfigure(rng: Random, cluster: Cluster) -> None:
    """Every node ends up in a ring, after changes that may be cut off at any point."""
    nodes = list(range(1, 6))
    rng.shuffle(nodes)
    cuts = sorted(rng.sample(range(1, 5), rng.randint(0, 2)))
    rings = [nodes[start:end] for start, end in zip([0, *cuts], [*cuts, 5], strict=True)]
    for ring in rings:
        cluster.settle()
        cluster.begin(ring)
        if rng.random() < 0.3:
            cluster.exchange(rng.sample(ring, rng.randint(1, len(ring))))
            if rng.random() < 0.5:
                cluster.abort(ring)
    for ring in rings:
        cluster.form(ring)


def check_history(client: Client, seed: str) -> None:
    """What a member is told must add up: each list of members follows from the one before."""
    members: set[str] | None = None
    for event in client.heard():
        if " is " not in event:
            continue
        parts = event.split(" is ")[1].split(", ")
        now = set(parts[0].split()) - {"empty"}
        left = {
            word.split("/")[0] for part in parts[1:] if part.startswith("left") for word in part.split()[1:]
        }
        joined = {
            word.split("/")[0] for part in parts[1:] if part.startswith("joined") for word in part.split()[1:]
        }
        if members is not None:
            assert left <= members, f"{seed}: {event}"
            assert not joined & members, f"{seed}: {event}"
            assert now == members - left | joined, f"{seed}: {event}"
        members = now


def test_departures_are_remembered_up_to_a_limit() -> None:
    sync = Synchronization(1)
    sync.begin(SyncStart(RingId(1, 4), (1, 2), (1,)))
    for pid in range(DEPARTED_MAX + 10):
        sync.on_leave(Process(2, pid, b"g"))
        sync.on_join(Process(2, pid + 1_000_000, b"g"))
    assert len(sync._departed) == len(sync._arrived) == DEPARTED_MAX
