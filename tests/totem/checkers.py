"""What extended virtual synchrony promises, checked on what the members saw."""

from collections import defaultdict
from collections.abc import Iterable

from pycorosync.totem.outputs import MembershipChanged, MembershipKind
from pycorosync.types import RingId
from tests.totem.harness import Member


def check_same_order(members: Iterable[Member]) -> None:
    """Members that were in a ring together saw its messages in one order, one a prefix of the other."""
    by_ring: dict[RingId, list[tuple[int, list[bytes]]]] = defaultdict(list)
    for member in members:
        for ring_id, messages in _by_ring(member).items():
            by_ring[ring_id].append((member.node_id, messages))
    for ring_id, sequences in by_ring.items():
        longest = max((messages for _, messages in sequences), key=len)
        for node_id, messages in sequences:
            assert messages == longest[: len(messages)], (ring_id, node_id)


def check_virtual_synchrony(members: Iterable[Member]) -> None:
    """Members that went from one ring to the next together saw the same messages in between."""
    seen: dict[tuple[RingId, RingId, tuple[int, ...]], tuple[int, list[bytes]]] = {}
    for member in members:
        for old, new, together, messages in _steps(member):
            if member.node_id not in together:
                continue
            first_node, first = seen.setdefault((old, new, together), (member.node_id, messages))
            assert first == messages, (old, new, first_node, member.node_id)


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


def _steps(member: Member) -> Iterable[tuple[RingId, RingId, tuple[int, ...], list[bytes]]]:
    """(old ring, new ring, who came along, messages of the old ring) for each change but the first."""
    old: RingId | None = None
    together: tuple[int, ...] = ()
    messages: list[bytes] = []
    for entry in member.log:
        if not isinstance(entry, MembershipChanged):
            messages.append(entry.message)
        elif entry.kind is MembershipKind.TRANSITIONAL:
            together = entry.members
        else:
            if old is not None:
                yield old, entry.ring_id, together, messages
            old, messages = entry.ring_id, []
