"""What went wrong in corosync's history, played with whole nodes. Each test names the commit or issue of
corosync that it stands for; the rules of checkers.py judge the outcome.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from pycorosync.services.cpg.messages import Reason
from tests.simulator.checkers import check
from tests.simulator.clients import CpgClient
from tests.simulator.cluster import Cluster, Setup
from tests.simulator.network import MS, US
from tests.simulator.trace import Delivered


@contextmanager
def cluster_of(nodes: int, *, seed: int = 1, form: bool = True, **options: object) -> Iterator[Cluster]:
    """A cluster that has formed; when the test is over all hosts must be up, agree and have seen the same."""
    cluster = Cluster(seed, Setup(nodes=nodes, **options))  # type: ignore[arg-type]
    with cluster.log.installed():
        if form:
            cluster.start()
            cluster.form()
        yield cluster
        cluster.heal()
        for host in cluster.hosts.values():
            host.resume()
            host.start()
        cluster.form()
        cluster.quiesce()
        check(cluster)


def talk(*clients: CpgClient, count: int = 20, size: int = 300) -> None:
    for number in range(count):
        for client in clients:
            client.send(size + number)


def keep_talking(cluster: Cluster, *clients: CpgClient, size: int, every_ms: int, count: int) -> None:
    for number in range(count):
        for client in clients:
            cluster.schedule.after(number * every_ms * MS, client.send, size + number)


@pytest.mark.parametrize("transport", ["knet", "udpu"])
def test_a_slow_node_restarts_again_and_again_under_load(transport: str) -> None:
    """e7a82370, C#660: buffers were switched before recovered fragments had been delivered."""
    with cluster_of(3, seed=101, transport=transport) as cluster:
        clients = [cluster.client(1), cluster.client(2)]
        for source in (1, 2):
            path = cluster.network.path(source, 3)
            path.large_loss, path.delay_ns = 0.1, 2 * MS
        keep_talking(cluster, *clients, size=20_000, every_ms=20, count=200)
        for _ in range(3):
            cluster.run(1500)
            cluster.host(3).crash()
            cluster.run(500)
            cluster.start(3)


@pytest.mark.parametrize(("size", "pause_ms"), [(100, 700), (100, 4000), (1_500_000, 4000)])
def test_what_a_paused_node_had_to_send_comes_in_order(size: int, pause_ms: int) -> None:
    """40263892, 92e0f9c7: new messages overtook the synchronization; half a fragment blocked it for ever."""
    with cluster_of(2, seed=102) as cluster:
        one, two = cluster.client(1), cluster.client(2)
        cluster.quiesce()
        talk(one, two, count=2, size=size)
        cluster.run(2)
        cluster.host(2).pause()
        cluster.run(pause_ms)
        talk(two, count=3)
        cluster.host(2).resume()


def test_one_who_receives_no_data_for_a_while_catches_up() -> None:
    """e48ddf99, 6646a864: data was lost or late, and the receiver never caught up."""
    with cluster_of(3, seed=105, transport="udpu") as cluster:
        clients = [cluster.client(node_id) for node_id in (1, 2, 3)]
        cluster.quiesce()
        for source in (1, 2):
            cluster.network.path(source, 3).large_loss = 1.0
        keep_talking(cluster, *clients[:2], size=60_000, every_ms=10, count=10)
        cluster.run(400)
    assert all(len(client.trace.sent) == 10 for client in clients[:2])


def test_many_messages_are_recovered() -> None:
    """adf8d6db, 3020fd57, 208d907f, b4367e60, 80d621e2: more than 206 of them overflowed buffers."""
    with cluster_of(3, seed=123, transport="udpu", token_ms=3000) as cluster:
        clients = [cluster.client(node_id) for node_id in (1, 2, 3)]
        cluster.quiesce()
        for source in (1, 2):
            cluster.network.path(source, 3).large_loss = 1.0
        talk(*clients[:2], count=20, size=60_000)
        cluster.run(300)
        window = cluster.daemon(1).node._ring._window
        assert window.high_seq - window.released > 250, "there is much to recover"
        cluster.host(2).crash()
        cluster.heal()
        # The tokens that are still going round would have it all sent again before.
        cluster.partition([1], [3], [2])
        cluster.run(3000 + 1000)
        cluster.heal()
        cluster.form(1, 3)


@pytest.mark.parametrize("transport", ["knet", "udpu"])
def test_a_node_that_starts_gets_the_middle_of_a_long_message(transport: str) -> None:
    """3442f911, 5780b2b6: it delivered a part, or threw away every later message of the synchronization."""
    with cluster_of(3, seed=109, form=False, transport=transport) as cluster:
        cluster.start(1, 2)
        cluster.form(1, 2)
        clients = [cluster.client(1), cluster.client(2)]
        cluster.quiesce()
        keep_talking(cluster, *clients, size=900_000, every_ms=10, count=8)
        cluster.run(15)
        cluster.start(3)
        cluster.run(5)
        cluster.form(1, 2, 3)
        clients.append(cluster.client(3))
        talk(*clients)


@pytest.mark.parametrize("after_ms", [0, 300, 1100, 1600])
def test_lowest_node_restarts_before_the_others_give_it_up(after_ms: int) -> None:
    """3675dace: it came back under the name of the ring that it had been in, without that ring's messages.

    From 1000 ms on the others miss the token and call for it, until they give it up at 2200 ms: their joins
    wait for it when it starts, so that it forms no ring of its own before.
    """
    with cluster_of(3, seed=113, transport="udpu") as cluster:
        clients = [cluster.client(node_id) for node_id in (1, 2, 3)]
        talk(*clients)
        cluster.run(50)
        cluster.host(1).crash()
        cluster.run(after_ms)
        cluster.host(1).start(busy_ms=60)
        cluster.run(100)
        talk(*clients[1:])
        cluster.form(1, 2, 3, within_ms=3500)


@pytest.mark.parametrize("transport", ["knet", "udpu"])
def test_partition_heals_while_a_third_node_is_down(transport: str) -> None:
    """cfbb021e: two singletons rejected each other for ever through their lists of failed nodes."""
    with cluster_of(3, seed=115, transport=transport) as cluster:
        cluster.host(3).crash()
        cluster.run(200)
        cluster.partition([1], [2], [3])
        cluster.run(4000)
        cluster.heal()
        cluster.form(1, 2, within_ms=3 * (1000 + 1200))


def test_a_new_node_costs_no_token_timeout() -> None:
    """d9914003: a join that came in OPERATIONAL was dropped."""
    with cluster_of(3, seed=116, form=False, transport="udpu", token_ms=3000) as cluster:
        cluster.start(1, 2)
        cluster.form(1, 2)
        cluster.start(3)
        cluster.form(1, 2, 3, within_ms=500)


@pytest.mark.parametrize("leaver", [1, 2, 3])
def test_a_leave_costs_no_timeout(leaver: int) -> None:
    """e45bbcc9: the message that says so had lost the name of the node that leaves."""
    with cluster_of(3, seed=118, token_ms=3000) as cluster:
        rest = [node_id for node_id in (1, 2, 3) if node_id != leaver]
        client = cluster.client(rest[0])
        cluster.client(leaver)
        cluster.quiesce()
        cluster.host(leaver).stop()
        cluster.form(*rest, within_ms=500)
        assert [member.node_id for member in client.members] == rest[:1]
        for node_id in rest:
            lines = [line for line in cluster.log.lines if f"node {node_id}:" in line]
            assert not any("leave message" in line for line in lines), "it is told from a crash"


def test_every_datagram_comes_twice() -> None:
    """4ee84c51: a second copy of the commit token had the ring begin anew."""
    with cluster_of(3, seed=119, form=False, transport="udpu") as cluster:
        for source in (1, 2, 3):
            for target in (1, 2, 3):
                path = cluster.network.path(source, target)
                path.duplicate, path.reorder_ns = 1.0, 300 * US
        cluster.start()
        cluster.form()
        talk(*[cluster.client(node_id) for node_id in (1, 2, 3)])
        cluster.run(2000)
        assert len(cluster.rings) <= 8, "rings break up for nothing"


def test_partitions_merge_while_both_are_busy() -> None:
    """2429481b: no merge while traffic flowed on both sides."""
    with cluster_of(4, seed=121) as cluster:
        clients = [cluster.client(node_id) for node_id in (1, 2, 3, 4)]
        cluster.quiesce()
        cluster.partition([1, 2], [3, 4])
        cluster.form(1, 2)
        cluster.form(3, 4)
        keep_talking(cluster, *clients, size=3000, every_ms=1, count=300)
        cluster.heal()
        cluster.form(1, 2, 3, 4, within_ms=8000)


@pytest.mark.parametrize("seed", range(3))
def test_a_member_dies_while_its_list_is_on_its_way(seed: int) -> None:
    """2ab885ab, C#828: it came, told its processes, died before the barrier, and its ghost stayed."""
    with cluster_of(3, seed=129 + seed, transport="udpu", token_ms=300) as cluster:
        for round_ in range(10):
            cluster.client(3)
            cluster.client(1)
            cluster.quiesce()
            cluster.partition([1, 2], [3])
            cluster.form(1, 2)
            cluster.form(3)
            cluster.heal()
            known = len(cluster.rings)
            cluster.run_until(lambda known=known: len(cluster.rings) > known, 2000, "a merge")  # type: ignore[misc]
            for _ in range(2 + 7 * round_):  # somewhere in the synchronization
                cluster.step()
            cluster.host(3).crash()
            cluster.run(30 * round_)
            cluster.start(3)
            cluster.form()


@pytest.mark.parametrize("seed", range(3))
def test_all_start_at_nearly_the_same_time(seed: int) -> None:
    """0fab390a, 7e7a32ff, 154895df: barriers and service messages of others came before one was ready."""
    with cluster_of(5, seed=130 + seed, form=False, transport="udpu") as cluster:
        for round_ in range(3):
            for node_id, host in cluster.hosts.items():
                cluster.schedule.after(cluster.rng.randrange(1 + 3 * round_ * node_id) * MS, host.start)
            cluster.run(1)
            cluster.run_until(lambda: len(cluster.alive) == 5, 1000, "all are up")
            cluster.form()
            talk(*[cluster.client(node_id) for node_id in cluster.alive], count=3)
            cluster.quiesce()
            for host in cluster.hosts.values():
                host.crash()


@pytest.mark.parametrize("joined_before", [True, False])
def test_a_client_dies_while_what_it_sent_waits_for_the_synchronization(joined_before: bool) -> None:
    """97c28ea7: its departure overtook its messages, or even its join, and a ghost stayed."""
    with cluster_of(3, seed=132, transport="udpu") as cluster:
        witness = cluster.client(2)
        victim = cluster.client(3) if joined_before else None
        cluster.quiesce()
        cluster.partition([1], [2, 3])
        cluster.run(1500)  # the token is lost, and nothing gets out
        victim = victim or cluster.client(3)
        talk(victim, count=3)
        node = cluster.daemon(3).node
        cluster.run_until(lambda: node.view.synchronizing, 5000, "a new ring", look_every=1)
        assert victim.idle, "the daemon has taken everything"
        victim.close()
        cluster.form(2, 3)
        cluster.quiesce()
        heard = [entry for entry in witness.trace.entries if isinstance(entry, Delivered)]
        assert [entry.number for entry in heard] == [0, 1, 2]
        assert witness.members == (witness.me,)


def test_a_process_that_left_while_we_were_paused_is_gone() -> None:
    """fbe8768f, b55f32fe."""
    with cluster_of(3, seed=134) as cluster:
        paused, leaver, dead = cluster.client(3), cluster.client(1), cluster.client(2)
        cluster.quiesce()
        cluster.host(3).pause()
        cluster.form_without(3)
        leaver.leave()
        dead.close()
        cluster.run(500)
        cluster.host(3).resume()
        cluster.form(1, 2, 3)
        cluster.quiesce()
        assert [member.node_id for member in paused.members] == [3]


def test_reason_tells_a_dead_node_from_a_dead_process() -> None:
    """0e86aa4a, dd9e177a."""
    with cluster_of(3, seed=138) as cluster:
        watcher, leaver, dead, lost = (cluster.client(node_id) for node_id in (1, 2, 2, 3))
        cluster.quiesce()
        leaver.leave()
        cluster.run(50)
        dead.close()
        cluster.run(50)
        cluster.host(3).crash()
        cluster.form(1, 2)
        cluster.quiesce()
        left = [
            (one.pid, Reason(one.reason))
            for change in watcher.trace.entries
            for one in getattr(change, "left", ())
        ]
        assert left == [
            (leaver.pid, Reason.LEAVE),
            (dead.pid, Reason.PROCDOWN),
            (lost.pid, Reason.NODEDOWN),
        ]


@pytest.mark.parametrize("transport", ["knet", "udpu"])
def test_a_node_is_added_and_removed_by_reloads(transport: str) -> None:
    """C#234, C#408, C#445: the list of nodes changes under way."""
    with cluster_of(4, seed=149, form=False, transport=transport) as cluster:
        four = cluster.setup
        three = replace(four, nodes=3)
        for host in cluster.hosts.values():
            host.text = three.text()
        cluster.start(1, 2, 3)
        cluster.form(1, 2, 3)
        clients = [cluster.client(node_id) for node_id in (1, 2, 3)]
        keep_talking(cluster, *clients, size=2000, every_ms=20, count=300)
        rings = len(cluster.rings)
        for _ in range(2):
            cluster.reload(2, four)
            cluster.run(300)
            assert len(cluster.rings) == rings, "a reload breaks no ring"
            cluster.start(4)
            cluster.form(1, 2, 3, 4)
            cluster.client(4)
            cluster.run(300)
            cluster.host(4).stop()
            cluster.form(1, 2, 3)
            rings = len(cluster.rings)
            cluster.reload(3, three)
            cluster.run(300)
            assert cluster.daemon(1).node.view.transport.addresses(4) == []
        cluster.reload(1, four)
        cluster.run(300)


def test_keys_change_under_load() -> None:
    """ce03c683 and the reasons for its two phases: nobody is locked out, and nothing is lost."""
    with cluster_of(3, seed=150, crypto=True) as cluster:
        clients = [cluster.client(node_id) for node_id in (1, 2, 3)]
        cluster.quiesce()
        keep_talking(cluster, *clients, size=3000, every_ms=5, count=500)
        rings = len(cluster.rings)
        for number in range(1, 4):
            for host in cluster.hosts.values():
                host.key = bytes(255 - number for _ in range(256))
            cluster.reload(number)
            cluster.run(700)
            assert len(cluster.rings) == rings
        plain = replace(cluster.setup, crypto=False)
        cluster.reload(1, plain)
        cluster.run(700)
        assert len(cluster.rings) == rings


def test_a_node_with_an_older_file_gives_way() -> None:
    """2d0e8114, C#248: the highest config_version survives."""
    with cluster_of(3, seed=148) as cluster:
        late = cluster.host(3)
        late.crash()
        cluster.form(1, 2)
        old_text = late.text
        cluster.reload(1)
        cluster.run(200)
        late.text = old_text
        late.start()
        cluster.run_until(lambda: cluster.alive == [1, 2], 10_000, "node 3 gives way")
        cluster.form(1, 2)
        late.text = cluster.text
