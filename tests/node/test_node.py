"""One whole node: start, gate, messages, flow of time."""

import errno
import struct

import pytest

from pycorosync import log
from pycorosync.cs_error import CsError
from pycorosync.node.outputs import Ready
from pycorosync.services.service import REQUEST_HEADER, RESPONSE_HEADER
from tests.nodes import SimulatedNode

CMAP, CFG, CPG, QUORUM, VOTEQUORUM = 0, 1, 2, 3, 5
GROUP = struct.pack("=I4x128s", 4, b"test")


@pytest.fixture
def simulated() -> SimulatedNode:
    started = SimulatedNode()
    started.start()
    return started


def _join(simulated: SimulatedNode, pid: int) -> int:
    client = simulated.connect(CPG, pid=pid)
    join = REQUEST_HEADER.encode(0, 168) + GROUP + struct.pack("=I4xI4x", pid, 0)
    response = simulated.request(client, CPG, join)
    assert response is not None
    assert RESPONSE_HEADER.decode(response).error == CsError.OK
    return client


def _mcast(body: bytes) -> bytes:
    return struct.pack("=i4xi4xi4xi4xi4x", 2, 40 + len(body), 0, 2, len(body)) + body


def test_a_lone_node_forms_a_ring_at_once_and_serves() -> None:
    simulated = SimulatedNode()
    with pytest.raises(OSError, match="refused") as caught:
        simulated.connect(CMAP)
    assert caught.value.errno == errno.EAGAIN
    simulated.start()
    assert [output for output in simulated.done if isinstance(output, Ready)] == [Ready()]
    assert simulated.node.view.members == (1,)
    assert simulated.node.view.quorate
    assert simulated.value("runtime.members.1.status") == "joined"
    assert simulated.value("runtime.members.1.ip") == "r(0) ip(192.0.2.1) "


@pytest.mark.parametrize(("stored", "ring"), [(0, 5), (5, 10), (9, 14), (2**32, 2**32 + 5)])
def test_the_ring_id_grows_from_the_stored_one_and_is_saved_before_use(stored: int, ring: int) -> None:
    simulated = SimulatedNode(ring_seq=stored)
    simulated.start()
    assert simulated.node.view.ring_id.seq == ring
    assert simulated.saved[-1] == ring


def test_an_idle_node_wants_nothing_for_a_while(simulated: SimulatedNode) -> None:
    simulated.advance(10_000)
    runs = 0
    end = simulated.now_ns + 10**10
    while (deadline := simulated.node.next_deadline()) is not None and deadline < end:
        simulated.now_ns = deadline
        simulated.settle()
        runs += 1
    assert runs < 50, "ten idle seconds take so many wake-ups"


@pytest.mark.parametrize(
    ("uid", "gid", "key", "allowed"),
    [
        (0, 5, None, True),
        (5, 0, None, True),
        (5, 6, None, False),
        (5, 6, "uidgid.uid.5", True),
        (5, 6, "uidgid.gid.6", True),
        (5, 6, "uidgid.config.uid.5", True),
        (5, 6, "uidgid.config.gid.6", True),
        (5, 6, "uidgid.gid.5", False),
    ],
)
def test_who_may_connect(
    simulated: SimulatedNode, uid: int, gid: int, key: str | None, allowed: bool
) -> None:
    if key:
        simulated.node.view.cmap.set_u8(key, 1)
    if allowed:
        simulated.connect(CPG, uid=uid, gid=gid)
    else:
        with pytest.raises(OSError, match="refused") as caught:
            simulated.connect(CPG, uid=uid, gid=gid)
        assert caught.value.errno == errno.EACCES


@pytest.mark.parametrize(
    "message",
    [
        b"",
        bytes(15),
        REQUEST_HEADER.encode(4, 15),
        REQUEST_HEADER.encode(4, -1),
        REQUEST_HEADER.encode(4, 17),
        REQUEST_HEADER.encode(99, 16),
        REQUEST_HEADER.encode(-1, 16),
        REQUEST_HEADER.encode(0, 16),
    ],
)
def test_a_request_with_wrong_sizes_or_ids_is_refused(simulated: SimulatedNode, message: bytes) -> None:
    client = simulated.connect(CPG)
    response = simulated.request(client, CPG, message)
    assert response is not None
    assert RESPONSE_HEADER.decode(response).error == CsError.INVALID_PARAM


def test_a_multicast_comes_back_to_every_member_in_order(simulated: SimulatedNode) -> None:
    sender, listener = _join(simulated, 100), _join(simulated, 101)
    for events in simulated.events.values():
        events.clear()
    bodies = [bytes([number]) * (number * 1000) for number in range(1, 100)]
    for body in bodies:
        assert simulated.request(sender, CPG, _mcast(body)) is None
    for client in (sender, listener):
        assert [event[184:] for event in simulated.events[client]] == bodies
    assert simulated.value("runtime.services.cpg.3.tx") == len(bodies)
    assert simulated.value("runtime.services.cpg.3.rx") == len(bodies)


def test_multicasts_that_do_not_fit_wait_in_their_ring_and_none_is_lost(simulated: SimulatedNode) -> None:
    sender = _join(simulated, 100)
    simulated.events[sender].clear()
    node, body = simulated.node, bytes(1_000_000)
    message = memoryview(_mcast(body))
    taken = 0
    while node.on_request(sender, CPG, message, simulated.now_ns, simulated.counters):
        taken += 1
        assert taken < 100, "the queue has no bound"
    assert not node.accepts_messages
    query = simulated.request(sender, CPG, REQUEST_HEADER.encode(4, 16))
    assert query is not None, "requests that need no ring are served"
    simulated.settle()
    assert node.accepts_messages
    assert len(simulated.events[sender]) == taken


def test_a_full_queue_turns_requests_with_an_answer_away(simulated: SimulatedNode) -> None:
    sender = _join(simulated, 100)
    message = memoryview(_mcast(bytes(1_000_000)))
    while simulated.node.on_request(sender, CPG, message, simulated.now_ns, simulated.counters):
        pass
    fragment = bytes(1_000_000)
    partial = struct.pack(
        "=i4xi4x8xi4xi4xi4xi4x", 12, 56 + len(fragment), 2, 2 * len(fragment), len(fragment), 1
    )
    request = memoryview(partial + fragment)
    assert simulated.node.on_request(sender, CPG, request, simulated.now_ns, simulated.counters)
    simulated.settle()
    response = RESPONSE_HEADER.decode(simulated.responses[sender].pop())
    assert response.error == CsError.TRY_AGAIN
    assert simulated.counters.overload == 1


def test_a_dead_client_leaves_its_group_even_when_the_queue_is_full(simulated: SimulatedNode) -> None:
    sender, listener = _join(simulated, 100), _join(simulated, 101)
    message = memoryview(_mcast(bytes(1_000_000)))
    while simulated.node.on_request(sender, CPG, message, simulated.now_ns, simulated.counters):
        pass
    simulated.events[listener].clear()
    from pycorosync.services.service import ClientInfo

    simulated.node.on_client_gone(ClientInfo(sender, CPG, 100, 0, 0), simulated.now_ns)
    simulated.settle()
    last = simulated.events[listener][-1]
    members, joined, left = struct.unpack_from("=I4xI4xI4x", last, 160)
    assert (members, joined, left) == (1, 0, 1)


def test_forcing_a_gather_forms_the_next_ring(simulated: SimulatedNode) -> None:
    before = simulated.node.view.ring_id
    simulated.node.view.cmap.set_str("runtime.force_gather", "yes")
    simulated.advance(10_000)
    assert simulated.node.view.ring_id.seq > before.seq
    assert simulated.value("runtime.force_gather") == "no"
    assert not simulated.node.view.synchronizing


def test_a_delivered_message_of_an_unknown_kind_is_dropped(simulated: SimulatedNode) -> None:
    for number in (2 << 16 | 99, 99 << 16, 7 << 16, 0xFFFFFFFF):
        message = memoryview(struct.pack("<I4xi4x", number, 16))
        simulated.node._deliveries.deliver(1, message, "<", simulated.now_ns)
    simulated.settle()


def test_leaving_ends_all_activity(simulated: SimulatedNode) -> None:
    simulated.node.leave(simulated.now_ns)
    simulated.settle()
    assert simulated.node._ring.next_deadline() is None


def test_no_line_is_logged_for_a_message(simulated: SimulatedNode) -> None:
    # The flight recorder gets lines of every level: one for each message would cost more than the message.
    client = _join(simulated, 100)
    lines: list[str] = []
    log.record_with(lambda _name, _level, text, _arguments: lines.append(text))
    try:
        for _ in range(100):
            simulated.request(client, CPG, _mcast(b"x" * 100))
    finally:
        log.record_with(None)
    assert len(simulated.events[client]) >= 100
    assert lines == []


def test_a_multicast_that_the_packer_does_not_take_after_all_is_not_lost(
    simulated: SimulatedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is longer than the request for which there was room."""
    client = _join(simulated, 7)
    simulated.events[client].clear()
    packer = simulated.node._packer
    add, refusals = packer.add, [1]
    monkeypatch.setattr(
        packer, "add", lambda *parts, **group: not refusals.pop() if refusals else add(*parts, **group)
    )
    simulated.request(client, CPG, _mcast(b"first"))
    simulated.advance(1000)
    simulated.request(client, CPG, _mcast(b"second"))
    assert [event[184:] for event in simulated.events[client]] == [b"first", b"second"]
