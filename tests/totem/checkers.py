"""What extended virtual synchrony promises, checked on what the members saw."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from pycorosync.totem.outputs import MembershipChanged, MembershipKind
from pycorosync.types import RingId
from tests.totem.harness import Member


def check_same_order(members: Iterable[Member]) -> None:
    """What two members of a ring both delivered, they delivered in the same order.

    One may have delivered more than the other: when they part, each completes what its own side has.
    """
    by_ring: dict[RingId, list[tuple[int, list[bytes]]]] = defaultdict(list)
    for member in members:
        for ring_id, messages in _by_ring(member).items():
            by_ring[ring_id].append((member.node_id, messages))
    for ring_id, sequences in by_ring.items():
        for (one, first), (two, second) in combinations(sequences, 2):
            common = set(first) & set(second)
            ordered = [[message for message in side if message in common] for side in (first, second)]
            assert ordered[0] == ordered[1], (ring_id, one, two)


def check_virtual_synchrony(members: Iterable[Member]) -> None:
    """Members that came into a ring together and went on together delivered the same in it.

    Of messages in fragments that is asked only of members with the same recent rings: one that joined lately
    lacks a message that had begun before, even if its end travels some rings later.
    """
    seen: dict[object, tuple[int, list[bytes]]] = {}
    for member in members:
        rings: list[RingId] = []
        for came_with, ring_id, goes_with, next_ring_id, messages in _stays(member):
            rings.append(ring_id)
            if member.node_id not in came_with or member.node_id not in goes_with:
                continue
            whole = [message for message in messages if len(message) < member.network.payload // 4]
            for key, delivered in (
                ((came_with, ring_id, goes_with, next_ring_id), whole),
                ((came_with, tuple(rings[-5:]), goes_with, next_ring_id), messages),
            ):
                first_node, first = seen.setdefault(key, (member.node_id, delivered))
                assert first == delivered, (*key, first_node, member.node_id)


def check_no_duplicates(members: Iterable[Member]) -> None:
    for member in members:
        messages = [delivered.message for delivered in member.delivered]
        assert len(messages) == len(set(messages)), member.node_id


def check_sender_order(members: Iterable[Member]) -> None:
    """The messages of one sender are numbered: b"sender:number:..."; nobody sees them out of order."""
    for member in members:
        last: dict[bytes, int] = {}
        for delivered in member.delivered:
            sender, number = delivered.message.split(b":", 2)[:2]
            assert int(number) > last.get(sender, -1), (member.node_id, sender, number)
            last[sender] = int(number)


def _by_ring(member: Member) -> dict[RingId, list[bytes]]:
    messages: dict[RingId, list[bytes]] = defaultdict(list)
    for delivered in member.delivered:
        messages[delivered.ring_id].append(delivered.message)
    return messages


def _stays(
    member: Member,
) -> Iterable[tuple[tuple[int, ...], RingId, tuple[int, ...], RingId, list[bytes]]]:
    """For each ring that a member left again: who came along, which, who went along, whereto, messages."""
    ring_id: RingId | None = None
    came_with: tuple[int, ...] = ()
    goes_with: tuple[int, ...] = ()
    messages: list[bytes] = []
    for entry in member.log:
        if not isinstance(entry, MembershipChanged):
            messages.append(entry.message)
        elif entry.kind is MembershipKind.TRANSITIONAL:
            goes_with = entry.members
        else:
            if ring_id is not None:
                yield came_with, ring_id, goes_with, entry.ring_id, messages
            came_with, ring_id, messages = goes_with, entry.ring_id, []
