"""Events of the votequorum service, read back with the client library."""

from pycorosync.client.votequorum import ExpectedVotesChanged, NodeList, QuorumChanged, event_of
from pycorosync.services.outputs import SendEvent
from pycorosync.services.votequorum import events
from pycorosync.types import RingId

CONTEXT = 0x1122334455667788


def seen(output: SendEvent) -> object:
    assert output.client == 7
    return event_of(bytes(output.head) + bytes(output.body))


def test_quorum() -> None:
    states = [(2, 1), (1, 2), (0, 0)]
    assert seen(events.quorum(7, CONTEXT, True, states)) == QuorumChanged(CONTEXT, True, tuple(states))
    assert seen(events.quorum(7, 0, False, [])) == QuorumChanged(0, False, ())


def test_node_list() -> None:
    ring_id = RingId(3, 1 << 40)
    assert seen(events.node_list(7, CONTEXT, ring_id, (1, 3))) == NodeList(CONTEXT, ring_id, (1, 3))


def test_expected_votes() -> None:
    assert seen(events.expected_votes(7, CONTEXT, 5)) == ExpectedVotesChanged(CONTEXT, 5)


def test_size_counts_head_and_body() -> None:
    output = events.quorum(7, 0, True, [(1, 1)])
    assert int.from_bytes(bytes(output.head)[8:12], "little") == len(output.head) + len(output.body) == 56
