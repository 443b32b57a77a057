"""What extended virtual synchrony and the services promise, as rules over the traces of a simulated cluster.

The numbers P1..P9 are those of the properties of Moser, Amir, Melliar-Smith and Agarwal (ICDCS 1994): P1
integrity, P2 local order, P3 configuration agreement, P4 self-delivery, P5 same set, P6 agreed order.
"""

import sys
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final, TypeVar

from pycorosync.client.cpg import Change, Member
from pycorosync.services.cpg.messages import FRAGMENT_MAX, Reason
from pycorosync.totem.packing import SMALLEST_SHARE
from pycorosync.types import NodeId
from tests.simulator.cluster import Cluster
from tests.simulator.host import Daemon
from tests.simulator.trace import (
    ClientTrace,
    Delivered,
    Installed,
    NodeTrace,
    Ordered,
    Ring,
    RingKey,
    Synchronized,
)

Item = TypeVar("Item")
# A message in fragments may have begun some rings before its end: only those with the same recent rings must
# agree on it.
RECENT_RINGS: Final = 8


def check(cluster: Cluster) -> None:
    """Every rule, at the end of a run that has come to rest with all hosts in one ring."""
    check_always(cluster)
    check_rest(cluster)


def check_always(cluster: Cluster) -> None:
    """The rules that hold at any time."""
    traces = [trace for host in cluster.hosts.values() for trace in host.lives_traced]
    for trace in traces:
        check_node(trace)
    for host in cluster.hosts.values():
        check_names(host.lives_traced)
    check_same_order([[e for e in trace.entries if isinstance(e, Ordered)] for trace in traces], "nodes")
    check_same_set(cluster, traces)
    check_companions(traces)
    for client in cluster.clients:
        check_client(client)
    for group in {client.group for client in cluster.clients}:
        members = [client for client in cluster.clients if client.group == group]
        check_same_order(
            [[e[:2] for e in client.entries if isinstance(e, Delivered)] for client in members],
            f"group {group!r}",
        )
        check_integrity(members)
        check_no_gap(members)
    check_views(cluster)
    check_quorum(cluster)


# --- the total order, as nodes see it


def check_node(trace: NodeTrace) -> None:
    """P1, P2: no message twice, no configuration twice, a member of each; and while the process groups
    synchronize, they hear of nothing else.
    """
    seen: set[Ordered] = set()
    rings: set[RingKey] = set()
    synchronizing = True
    for entry in trace.entries:
        if isinstance(entry, Synchronized):
            synchronizing = False
        elif isinstance(entry, Ordered):
            assert not synchronizing, f"node {trace.node_id} delivers {entry} in a synchronization"
            assert entry not in seen, f"node {trace.node_id} delivers {entry} twice"
            seen.add(entry)
        elif isinstance(entry, Installed):
            assert entry.ring not in rings, f"node {trace.node_id} installs {entry.ring} twice"
            assert trace.node_id in entry.members
            rings.add(entry.ring)
            synchronizing = True


def check_names(lives: Iterable[NodeTrace]) -> None:
    """P3: after a crash, too, a ring is a new one."""
    known: dict[RingKey, int] = {}
    for trace in lives:
        for entry in trace.entries:
            # Of a ring whose number was not stored when the daemon crashed nobody has heard.
            if isinstance(entry, Installed) and entry.ring.ring_id.seq <= trace.stored:
                first = known.setdefault(entry.ring, trace.life)
                assert first == trace.life, f"node {trace.node_id} installs {entry.ring} in two lives"


def check_same_order(sequences: Iterable[list[Item]], what: str) -> None:
    """P6: what two of them both have, they have in the same order."""
    with_sets = [(sequence, set(sequence)) for sequence in sequences if sequence]
    for (first, one), (second, other) in combinations(with_sets, 2):
        common = one & other
        if len(common) < 2:
            continue
        left = [item for item in first if item in common]
        right = [item for item in second if item in common]
        if left != right:
            at = next(i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
            raise AssertionError(f"{what}: order differs at {at}: {left[at]} and {right[at]}")


def check_same_set(cluster: Cluster, traces: Iterable[NodeTrace]) -> None:
    """P5: those who go from one configuration to the next together delivered the same in between.

    But for a message in fragments that had begun before one of them came: of each sender, the first.
    """
    small = (65_446 if cluster.setup.transport == "knet" else 1410) // SMALLEST_SHARE  # of a packet's payload
    seen: dict[object, tuple[NodeId, tuple[RingKey, ...], list[Ordered]]] = {}
    for trace in traces:
        path: list[RingKey] = []
        previous: Installed | None = None
        messages: list[Ordered] = []
        for entry in trace.entries:
            if isinstance(entry, Ordered):
                messages.append(entry)
            elif isinstance(entry, Installed):
                if previous is not None:
                    path.append(previous.ring)
                    recent = tuple(path[-RECENT_RINGS:])
                    key = (previous.ring, entry.came_with, entry.ring)
                    node_id, their_recent, theirs = seen.setdefault(key, (trace.node_id, recent, messages))
                    least = sys.maxsize if recent == their_recent else small
                    first, second = _known(theirs, messages, least), _known(messages, theirs, least)
                    assert first == second, (
                        f"{previous.ring} -> {entry.ring}: nodes {node_id} and {trace.node_id} delivered "
                        f"{len(first)} and {len(second)}: {_difference(first, second)}"
                    )
                previous, messages = entry, []


def _known(messages: list[Ordered], others: list[Ordered], least: int) -> list[Ordered]:
    """What both must have: without each sender's first message if that has at least `least` bytes and the
    others do not have it.
    """
    senders: set[NodeId] = set()
    known = []
    for message in messages:
        is_first = message.node_id not in senders
        senders.add(message.node_id)
        if not (is_first and message.size >= least and message not in others):
            known.append(message)
    return known


def check_companions(traces: Iterable[NodeTrace]) -> None:
    """P7: those who come along come directly from the same ring, and all who do come along."""
    arrivals: dict[RingKey, dict[NodeId, tuple[object, tuple[NodeId, ...]]]] = {}
    for trace in traces:
        previous: object = ("none", trace.node_id, trace.life)
        for entry in trace.entries:
            if isinstance(entry, Installed):
                arrivals.setdefault(entry.ring, {})[trace.node_id] = (previous, entry.came_with)
                previous = entry.ring
    for ring, nodes in arrivals.items():
        for node_id, (previous, came_with) in nodes.items():
            for other, (their_previous, _) in nodes.items():
                if other != node_id:
                    assert (other in came_with) == (previous == their_previous), (
                        f"node {node_id} comes into {ring} from {previous} with {came_with}, "
                        f"{other} from {their_previous}"
                    )


def _difference(first: list[Item], second: list[Item]) -> str:
    only_first = [item for item in first if item not in second]
    only_second = [item for item in second if item not in first]
    return f"only the one {only_first[:4]}, only the other {only_second[:4]}"


# --- groups, as clients see them


def check_client(trace: ClientTrace) -> None:
    """P1, P2, P4, and that the list of members is what the changes say."""
    me = Member(trace.node_id, trace.pid)
    members: tuple[Member, ...] | None = None
    numbers: dict[Member, int] = {}
    for entry in trace.entries:
        if isinstance(entry, Change):
            joined = {Member(one.node_id, one.pid) for one in entry.joined}
            left = {Member(one.node_id, one.pid) for one in entry.left}
            if members is None:
                assert me in joined, f"{trace}: begins with {entry}"
                members = tuple(set(entry.members) - joined)
            assert left <= set(members), f"{trace}: {left - set(members)} left without being there"
            assert not joined & set(members), f"{trace}: {joined & set(members)} joined twice"
            expected = (set(members) | joined) - left
            assert set(entry.members) == expected, f"{trace}: {entry} after {members}"
            assert list(entry.members) == sorted(set(entry.members)), f"{trace}: {entry}"
            members = entry.members
        elif isinstance(entry, Delivered):
            assert entry.sender in (members or ()), f"{trace}: {entry} from none of {members}"
            last = numbers.get(entry.sender, -1)
            assert entry.number > last, f"{trace}: {entry} after number {last}"
            numbers[entry.sender] = entry.number


def check_integrity(members: Iterable[ClientTrace]) -> None:
    """P1: what is delivered was sent. A message in parts may come out though its sender died in between."""
    sent = {
        (Member(client.node_id, client.pid), message.number): message.size
        for client in members
        for message in client.sent
    }
    for client in members:
        for entry in client.entries:
            if isinstance(entry, Delivered) and entry.size <= FRAGMENT_MAX:
                assert sent.get((entry.sender, entry.number)) == entry.size, f"{client}: {entry} not sent"


def check_no_gap(members: Sequence[ClientTrace]) -> None:
    """P4, P5 as clients see them: nothing that a member has sent is missing between two of its messages."""
    sent = {
        (Member(client.node_id, client.pid), message.number) for client in members for message in client.sent
    }
    for client in members:
        last: dict[Member, int] = {}
        for entry in client.entries:
            if isinstance(entry, Change):
                for gone in entry.left:
                    last.pop(Member(gone.node_id, gone.pid), None)
            elif isinstance(entry, Delivered):
                begin = last.get(entry.sender, entry.number) + 1
                lost = [number for number in range(begin, entry.number) if (entry.sender, number) in sent]
                assert not lost, f"{client}: {entry} comes without {lost}"
                last[entry.sender] = entry.number


def check_views(cluster: Cluster) -> None:
    """Members of a group on nodes with the same configurations see the same between them: messages, and who
    joined and left.
    """
    togetherness: dict[tuple[NodeId, RingKey, RingKey], tuple[object, ...]] = {}
    for host in cluster.hosts.values():
        for trace in host.lives_traced:
            togetherness |= _routes(trace)
    seen: dict[object, tuple[ClientTrace, list[object]]] = {}
    for client in cluster.clients:
        for before, after, between in _segments(client):
            together = togetherness.get((client.node_id, before.ring, after.ring))
            if together is None:
                continue
            key = (client.group, before.ring, after.ring, together)
            known, first = seen.setdefault(key, (client, between))
            assert first == between, (
                f"{before.ring} -> {after.ring}: {known} and {client}: {_difference(first, between)}"
            )


def _routes(trace: NodeTrace) -> dict[tuple[NodeId, RingKey, RingKey], tuple[object, ...]]:
    """By which configurations, with whom, a node came from one ring that clients heard of to the next."""
    found: dict[tuple[NodeId, RingKey, RingKey], tuple[object, ...]] = {}
    start: RingKey | None = None
    steps: list[object] = []
    for entry in trace.entries:
        if isinstance(entry, Installed):
            steps += [entry.came_with, entry.ring]
        elif not isinstance(entry, Ordered):
            if start is not None:
                found[trace.node_id, start, entry.ring] = tuple(steps)
            start, steps = entry.ring, []
    return found


def _segments(client: ClientTrace) -> Iterable[tuple[Ring, Ring, list[object]]]:
    """What a client saw between two rings; changes that the rings caused are left out."""
    me = Member(client.node_id, client.pid)
    before: Ring | None = None
    between: list[object] = []
    is_member = False
    told: set[RingKey] = set()
    for entry in client.entries:
        if isinstance(entry, Ring):
            if entry.ring in told:
                continue
            if before is not None:
                yield before, entry, between
            # The first ring that it hears of may have begun before it joined.
            before, between = (entry if is_member and told else None), []
            told.add(entry.ring)
        elif isinstance(entry, Change) and not is_member:
            is_member = me in entry.members
        elif isinstance(entry, Change) and me not in entry.members:
            return
        elif isinstance(entry, Delivered):
            if entry.size < 1000:
                between.append(entry)
        elif {one.reason for one in (*entry.left, *entry.joined)} <= {Reason.JOIN, Reason.LEAVE}:
            between.append((entry.left, entry.joined))


# --- quorum


def check_quorum(cluster: Cluster) -> None:
    """Never two partitions that both may act, and one opinion in each ring."""
    features = dict(cluster.setup.quorum)
    if {"two_node", "last_man_standing", "allow_downscale", "auto_tie_breaker"} & set(features):
        return
    for node_id, key, quorate, members, configured in cluster.decisions:
        enough = 2 * len(members) > configured
        assert enough or not quorate, f"node {node_id} is quorate in {key} with {members}"


def check_one_quorate(cluster: Cluster) -> None:
    """At this moment: of rings whose members are all there, at most one may act.

    A ring of which somebody has gone on to another is only not aware of that yet. last_man_standing cannot
    promise it, in corosync either: {2, 3, 4} without 1 come to expect three votes; when the partition changes
    to {1, 2} and {3, 4}, node 2 tells node 1 so, and both sides have two of three.
    """
    features = dict(cluster.setup.quorum)
    if "two_node" in features or "last_man_standing" in features:
        return
    views = {
        node_id: host.daemon.node.view for node_id, host in cluster.hosts.items() if host.daemon is not None
    }
    quorate = {
        view.ring_id: view.members
        for view in views.values()
        if view.quorate
        and not view.synchronizing
        and all(n in views and views[n].ring_id == view.ring_id for n in view.members)
    }
    assert len(quorate) <= 1, f"all of {quorate} are quorate"


# --- at rest


def check_rest(cluster: Cluster) -> None:
    """All is healed and quiet: everybody knows the same, and it is true."""
    daemons = [cluster.daemon(node_id) for node_id in cluster.alive]
    truth = sorted(
        (client.me.node_id, client.pid, client.group)
        for daemon in daemons
        for client in daemon.cpg_clients()
        if client.joined and not client.leaving
    )
    for daemon in daemons:
        known = daemon.cpg.everybody()
        assert known == truth, f"node {daemon.host.node_id} knows {known}, true is {truth}"
        for client in daemon.cpg_clients():
            expected = tuple(Member(n, pid) for n, pid, group in truth if group == client.group)
            if client.joined and not client.leaving:
                assert client.members == expected, f"{client.trace}: {client.members} for {expected}"
                check_own_messages(client.trace)
    quorate = {daemon.node.view.quorate for daemon in daemons}
    assert len(quorate) == 1, f"quorate: {[daemon.node.view.quorate for daemon in daemons]}"
    if len(daemons) * 2 > len(cluster.hosts):
        assert quorate == {True}
    for daemon in daemons:
        check_nothing_is_left(daemon)
        watcher = cluster.watchers[daemon.host.node_id]
        assert watcher.decisions[-1].members == tuple(cluster.alive), watcher.decisions[-1]
        assert watcher.lists[-1].members == tuple(cluster.alive), watcher.lists[-1]


def check_nothing_is_left(daemon: Daemon) -> None:
    """Nothing waits, nothing was begun and not ended, nothing made no sense."""
    node, where = daemon.node, f"node {daemon.host.node_id}"
    unpacker, malformed = node._deliveries.unpacker, node._deliveries.malformed_messages
    assert not malformed, f"{where}: {malformed} malformed messages"
    assert not unpacker.malformed, f"{where}: {unpacker.malformed} malformed packets"
    assert node._packer.idle, f"{where}: messages wait for the token"
    assert not node._outbox.overdue, f"{where}: messages wait for the queue"
    half = {**unpacker._normal, **unpacker._sync}
    assert not half, f"{where}: half a message of {sorted(half)}"
    assert len(node._ring._window) < 200, f"{where}: the window keeps {len(node._ring._window)} messages"


def check_own_messages(trace: ClientTrace) -> None:
    """P4: everything that it sent has come back."""
    me = Member(trace.node_id, trace.pid)
    sent = [message.number for message in trace.sent]
    own = [entry.number for entry in trace.entries if isinstance(entry, Delivered) and entry.sender == me]
    assert own == sent, f"{trace}: {len(sent)} sent, {len(own)} came back: {_difference(sent, own)}"
