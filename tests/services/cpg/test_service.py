"""Groups on one ring: joining, leaving, sending, asking. Synchronization is in test_sync.py."""

from random import Random

import pytest

from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.services.cpg import messages
from pycorosync.services.cpg.messages import (
    FRAGMENT_MAX,
    MEMBERS_MAX,
    SERVICE_ID,
    CpgExec,
    CpgRequest,
    CpgResponse,
    Iteration,
    ModelFlags,
    Part,
    Reason,
)
from pycorosync.services.cpg.service import BUFFERS_MAX, LISTINGS_MAX, CpgService
from pycorosync.services.outputs import Multicast, Respond
from pycorosync.wire.fixed import BIG, LITTLE
from tests.services.cpg.cluster import Client, Cluster, Memory


def memory(cluster: Cluster, node_id: int) -> Memory:
    buffers = cluster.nodes[node_id].service.shared_buffers
    assert isinstance(buffers, Memory)
    return buffers


def test_the_answer_to_a_join_comes_before_the_event_that_it_causes() -> None:
    cluster = Cluster(1)
    client = cluster.client(1, 10)
    service = cluster.nodes[1].service
    layout = messages.JOIN_REQUEST
    request = layout.encode(CpgRequest.JOIN, layout.size, 1, b"g", 10, 0)
    service.on_request(client.number, CpgRequest.JOIN, memoryview(request), 0)
    assert [type(output) for output in service.outputs] == [Respond, Multicast]


def test_members_hear_of_each_other_in_the_order_of_node_and_pid() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    a = cluster.joined(1, 30)
    b = cluster.joined(2, 5)
    c = cluster.joined(1, 7)
    assert a.heard() == [
        "g is 1:30, joined 1:30/1",
        "g is 1:30 2:5, joined 2:5/1",
        "g is 1:7 1:30 2:5, joined 1:7/1",
    ]
    assert b.heard() == ["g is 1:30 2:5, joined 2:5/1", "g is 1:7 1:30 2:5, joined 1:7/1"]
    assert c.heard() == ["g is 1:7 1:30 2:5, joined 1:7/1"]


def test_one_who_leaves_hears_of_it_and_of_nothing_more() -> None:
    cluster = Cluster(1)
    a, b = cluster.joined(1, 1), cluster.joined(1, 2)
    a.heard(), b.heard()
    assert a.leave(b"g") is CsError.OK
    b.mcast(b"before")  # the leave is ordered first
    cluster.settle()
    assert a.heard() == b.heard()[:1] == ["g is 1:2, left 1:1/2"]
    b.mcast(b"after")
    cluster.settle()
    assert a.heard() == []
    assert b.heard() == ["g 1:2 says b'after'"]


def test_messages_ordered_before_a_leave_reach_the_one_who_leaves() -> None:
    cluster = Cluster(1)
    a, b = cluster.joined(1, 1), cluster.joined(1, 2)
    a.heard()
    b.mcast(b"one")
    a.leave(b"g")
    cluster.settle()
    assert a.heard() == ["g 1:2 says b'one'", "g is 1:2, left 1:1/2"]


def test_one_who_left_may_join_again() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.leave(b"g")
    cluster.settle()
    assert a.join(b"other") is CsError.OK
    cluster.settle()
    assert a.heard()[-1] == "other is 1:1, joined 1:1/1"
    assert a.leave(b"other") is CsError.OK
    cluster.settle()
    assert a.join(b"g") is CsError.OK


def test_a_process_that_dies_leaves_with_procdown() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    a, b = cluster.joined(1, 1), cluster.joined(2, 2)
    b.heard()
    a.vanish()
    cluster.settle()
    assert b.heard() == ["g is 2:2, left 1:1/5"]


def test_a_process_that_dies_before_its_join_is_delivered_leaves_too() -> None:
    cluster = Cluster(1)
    a, b = cluster.client(1, 1), cluster.joined(1, 2)
    b.heard()
    a.join(b"g")
    a.vanish()
    cluster.settle()
    assert b.heard() == ["g is 1:1 1:2, joined 1:1/1", "g is 1:2, left 1:1/5"]


def test_a_process_that_dies_while_it_leaves_leaves_once() -> None:
    cluster = Cluster(1)
    a, b = cluster.joined(1, 1), cluster.joined(1, 2)
    b.heard()
    a.leave(b"g")
    a.vanish()
    cluster.settle()
    assert b.heard() == ["g is 1:2, left 1:1/2"]


def test_after_finalize_there_are_no_events_and_the_others_see_procdown() -> None:
    cluster = Cluster(1)
    a, b = cluster.joined(1, 1), cluster.joined(1, 2)
    a.heard(), b.heard()
    assert a.finalize() is CsError.OK
    b.mcast(b"x")
    cluster.settle()
    assert a.heard() == []
    assert b.heard() == ["g 1:2 says b'x'"]
    a.vanish()
    cluster.settle()
    assert b.heard() == ["g is 1:2, left 1:1/5"]


# --- refusals


def test_a_pid_joins_a_group_once() -> None:
    cluster = Cluster(1)
    cluster.joined(1, 1)
    assert cluster.client(1, 1).join(b"g") is CsError.EXIST
    assert cluster.client(1, 1).join(b"other") is CsError.OK
    assert cluster.client(1, 2).join(b"g") is CsError.OK


def test_a_connection_is_in_one_group() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    assert a.join(b"g") is CsError.OK
    assert a.join(b"other") is CsError.EXIST  # its join is under way
    cluster.settle()
    assert a.join(b"other") is CsError.EXIST
    a.leave(b"g")
    assert a.join(b"other") is CsError.BUSY  # libcpg repeats it
    cluster.settle()
    assert a.join(b"other") is CsError.OK


def test_joining_again_has_to_wait_for_the_leave_of_an_earlier_connection() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.vanish()
    again = cluster.client(1, 1)
    assert again.join(b"g") is CsError.TRY_AGAIN
    cluster.settle()
    assert again.join(b"g") is CsError.OK


def test_leaving() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    assert a.leave(b"g") is CsError.NOT_EXIST
    a.join(b"g")
    assert a.leave(b"g") is CsError.BUSY
    cluster.settle()
    assert a.leave(b"another") is CsError.NOT_EXIST
    assert a.leave(b"g") is CsError.OK
    assert a.leave(b"g") is CsError.NOT_EXIST


def test_names() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    too_long = messages.JOIN_REQUEST.encode(CpgRequest.JOIN, 168, 129, b"x" * 128, 1, 0)
    a.send(too_long)
    assert messages.PLAIN_RESPONSE.decode(a.responses.pop()).header_error == CsError.NAME_TOO_LONG
    assert a.join(b"x" * 128) is CsError.OK
    b, c, d = (cluster.client(1, pid) for pid in (2, 3, 4))
    assert b.join(b"with\0zero") is CsError.OK
    assert c.join(b"with") is CsError.OK
    assert d.join(b"") is CsError.OK
    cluster.settle()
    assert b.heard() == ["with\0zero is 1:2, joined 1:2/1"]
    assert c.heard() == ["with is 1:3, joined 1:3/1"]
    d.vanish()
    cluster.settle()
    assert a.members(b"") == []


def test_what_follows_a_name_in_its_field_does_not_matter() -> None:
    cluster = Cluster(1)
    a, b = cluster.joined(1, 1), cluster.client(1, 2)
    layout = messages.JOIN_REQUEST
    b.send(layout.encode(CpgRequest.JOIN, layout.size, 1, b"g and garbage", 2, 0))
    cluster.settle()
    assert a.heard()[-1] == "g is 1:1 1:2, joined 1:2/1"


def test_a_group_has_no_more_members_than_libcpg_has_room_for() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    for pid in range(MEMBERS_MAX):
        cluster.joined(1 + pid % 2, pid)
    late = cluster.client(1, 9999)
    assert late.join(b"g") is CsError.NO_SPACE
    assert late.join(b"other") is CsError.OK
    assert len(late.members(b"g")) == MEMBERS_MAX


def test_lists_are_cut_where_libcpg_ends() -> None:
    """Nodes that do not look, such as corosync's, can make a group larger."""
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    for pid in range(200):
        cluster.deliver(1, procjoin(CpgExec.PROCJOIN, 1000 + pid))
    heard = a.heard()
    assert len(heard) == 201
    assert len(heard[-1].split(",")[0].split()) - 2 == MEMBERS_MAX
    assert len(a.members(b"g")) == MEMBERS_MAX


def procjoin(function: CpgExec, pid: int, group: bytes = b"g", reason: int = Reason.JOIN) -> bytes:
    return messages.PROCJOIN.encode(SERVICE_ID << 16 | function, 168, len(group), group, pid, reason)


def test_a_join_that_comes_twice_counts_once() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    cluster.deliver(1, procjoin(CpgExec.PROCJOIN, 5))
    cluster.deliver(1, procjoin(CpgExec.PROCJOIN, 5))
    assert a.heard()[1:] == ["g is 1:1 1:5, joined 1:5/1"]


def test_the_leave_of_a_stranger_is_no_news() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.heard()
    cluster.deliver(1, procjoin(CpgExec.PROCLEAVE, 5))
    assert a.heard() == []


# --- sending


def test_every_member_gets_every_message_once_and_others_none() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    a, b, c = cluster.joined(1, 1), cluster.joined(2, 2), cluster.joined(1, 3, b"other")
    for client in (a, b, c):
        client.heard()
    a.mcast(b"one")
    b.mcast(b"")
    c.mcast(b"two")
    cluster.settle()
    assert a.heard() == b.heard() == ["g 1:1 says b'one'", "g 2:2 says b''"]
    assert c.heard() == ["other 1:3 says b'two'"]


def test_what_is_sent_between_join_and_its_delivery_arrives() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    a.join(b"g")
    a.mcast(b"early")
    cluster.settle()
    assert a.heard() == ["g is 1:1, joined 1:1/1", "g 1:1 says b'early'"]


def test_who_is_in_no_group_sends_nothing_and_gets_no_answer() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    a.mcast(b"x")
    assert a.responses == []
    assert cluster.nodes[1].unsent == []


@pytest.mark.parametrize("claimed", [6, 1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_multicast_request_longer_than_its_chunk_is_dropped(claimed: int) -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.send(messages.MCAST_REQUEST.encode(CpgRequest.MCAST, 45, 0, 2, claimed) + b"hello")
    assert cluster.nodes[1].unsent == []
    assert a.responses == []
    assert cluster.nodes[1].service.dropped_multicasts == 1


def test_a_multicast_request_may_be_shorter_than_its_chunk() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.heard()
    a.send(messages.MCAST_REQUEST.encode(CpgRequest.MCAST, 45, 0, 2, 2) + b"hello")
    cluster.settle()
    assert a.heard() == ["g 1:1 says b'he'"]


def test_a_truncated_multicast_request_is_dropped() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    whole = messages.MCAST_REQUEST.encode(CpgRequest.MCAST, 40, 0, 2, 0)
    for length in range(16, len(whole)):
        a.send(whole[:length])
    assert cluster.nodes[1].unsent == []
    assert cluster.nodes[1].service.dropped_multicasts == 24


def mcast(size: int, body: bytes, order: str = LITTLE) -> bytes:
    layout = messages.MCAST
    code = SERVICE_ID << 16 | CpgExec.MCAST
    return layout.encode(code, layout.size + len(body), 1, b"g", size, 1, 1, 77, order=order) + body


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_a_delivery_longer_than_its_message_is_malformed(order: str) -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.heard()
    service = cluster.nodes[1].service
    for message in (
        mcast(6, b"hello", order),
        mcast(0xFFFFFFFF, b"hello", order),
        mcast(0, b"", order)[:183],
    ):
        with pytest.raises(MalformedMessage):
            service.on_delivery(1, CpgExec.MCAST, memoryview(message), order, 0)
    assert service.outputs == []


def test_a_node_of_the_other_byte_order_is_understood() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.heard()
    node = cluster.nodes[1]
    head = messages.PROCJOIN.encode(SERVICE_ID << 16, 168, 1, b"g", 9, Reason.JOIN, order=BIG)
    node.service.on_delivery(2, CpgExec.PROCJOIN, memoryview(head), BIG, 0)
    node.service.on_delivery(2, CpgExec.MCAST, memoryview(mcast(5, b"hello", BIG)), BIG, 0)
    node.collect()
    assert a.heard() == ["g is 1:1 2:9, joined 2:9/1", "g 2:1 says b'hello'"]


def test_a_node_without_a_member_in_the_group_is_not_heard() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.heard()
    node = cluster.nodes[1]
    node.service.on_delivery(2, CpgExec.MCAST, memoryview(mcast(1, b"x")), LITTLE, 0)
    node.collect()
    assert a.heard() == []


# --- messages in parts


def test_parts_arrive_as_parts() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    a, b = cluster.joined(1, 1), cluster.joined(2, 2)
    b.heard()
    assert a.mcast_part(b"abc", 7, Part.FIRST) is CsError.OK
    assert a.mcast_part(b"de", 7, Part.CONTINUED) is CsError.OK
    assert a.mcast_part(b"fg", 7, Part.LAST) is CsError.OK
    cluster.settle()
    assert b.heard() == ["g 1:1 part 1 of 7: b'abc'", "g 1:1 part 2 of 7: b'de'", "g 1:1 part 3 of 7: b'fg'"]


def test_a_change_of_members_interrupts_a_message_in_parts() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    assert a.mcast_part(b"abc", 7, Part.FIRST) is CsError.OK
    cluster.joined(1, 2)
    assert a.mcast_part(b"de", 7, Part.CONTINUED) is CsError.INTERRUPT
    assert a.mcast_part(b"abc", 3, Part.FIRST) is CsError.OK


def test_parts_need_a_group() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    assert a.mcast_part(b"abc", 7, Part.FIRST) is CsError.NOT_EXIST


def test_parts_must_add_up() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    assert a.mcast_part(b"abc", 2, Part.FIRST) is CsError.INVALID_PARAM
    assert a.mcast_part(b"abc", 4, Part.FIRST) is CsError.OK
    assert a.mcast_part(b"de", 4, Part.LAST) is CsError.INVALID_PARAM
    assert a.mcast_part(b"abc", 9, Part.FIRST) is CsError.OK
    assert a.mcast_part(b"de", 9, Part.LAST) is CsError.INVALID_PARAM
    assert cluster.client(1, 2).mcast_part(b"x", 1, Part.CONTINUED) is CsError.NOT_EXIST


def test_a_part_longer_than_its_request_is_refused() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    layout = messages.PARTIAL_MCAST_REQUEST
    a.send(layout.encode(CpgRequest.PARTIAL_MCAST, layout.size + 3, 0, 2, 9, 4, Part.FIRST) + b"abc")
    assert messages.PLAIN_RESPONSE.decode(a.responses.pop()).header_error == CsError.INVALID_PARAM
    assert cluster.nodes[1].unsent == []


def test_a_part_longer_than_its_message_is_malformed() -> None:
    cluster = Cluster(1)
    cluster.joined(1, 1)
    layout = messages.PARTIAL_MCAST
    message = (
        layout.encode(SERVICE_ID << 16 | 6, layout.size + 3, 1, b"g", 9, 4, 1, Part.FIRST, 1, 7) + b"abc"
    )
    with pytest.raises(MalformedMessage):
        cluster.nodes[1].service.on_delivery(1, CpgExec.PARTIAL_MCAST, memoryview(message), LITTLE, 0)


# --- questions


def test_membership_and_local_get_need_no_group() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    cluster.joined(2, 5)
    cluster.joined(1, 6)
    a = cluster.client(1, 1)
    assert a.members(b"g") == ["1:6", "2:5"]
    assert a.members(b"none") == []
    answer = a.ask(CpgRequest.LOCAL_GET, messages.PLAIN_REQUEST)
    assert messages.LOCAL_GET_RESPONSE.decode(answer).node_id == 1
    assert len(a.ask(CpgRequest.MEMBERSHIP, messages.MEMBERSHIP_REQUEST, 1, b"g")) == 9248


def test_iterations_have_the_order_of_the_real_daemon() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    for node_id, pid, group in ((1, 10, b"a"), (1, 11, b"b"), (1, 12, b"a"), (2, 3, b"a"), (2, 4, b"c")):
        cluster.joined(node_id, pid, group)
    client = cluster.client(1, 1)
    assert client.iterate(Iteration.ALL) == ["c@2:4", "b@1:11", "a@1:10", "a@2:3", "a@1:12"]
    assert client.iterate(Iteration.NAMES) == ["c@0:0", "b@0:0", "a@0:0"]
    assert client.iterate(Iteration.ONE_GROUP, b"a") == ["a@1:10", "a@2:3", "a@1:12"]
    assert client.iterate(Iteration.ONE_GROUP, b"none") == []


def test_an_iteration_shows_what_was_when_it_began() -> None:
    cluster = Cluster(1)
    a, b = cluster.joined(1, 1), cluster.client(1, 2)
    layout = messages.ITERATION_INITIALIZE_REQUEST
    handle = messages.ITERATION_INITIALIZE_RESPONSE.decode(
        b.ask(CpgRequest.ITERATION_INITIALIZE, layout, 0, b"", Iteration.ALL)
    ).handle
    a.vanish()
    cluster.settle()
    entry = messages.ITERATION_NEXT_RESPONSE.decode(
        b.ask(CpgRequest.ITERATION_NEXT, messages.ITERATION_REQUEST, handle)
    )
    assert (entry.node_id, entry.pid) == (1, 1)
    next_error = b.error(CpgRequest.ITERATION_NEXT, messages.ITERATION_REQUEST, handle)
    assert next_error is CsError.NO_SECTIONS


def test_handles_of_others_and_of_nobody_are_refused() -> None:
    cluster = Cluster(1)
    a, b = cluster.client(1, 1), cluster.client(1, 2)
    layout = messages.ITERATION_INITIALIZE_REQUEST
    handle = messages.ITERATION_INITIALIZE_RESPONSE.decode(
        a.ask(CpgRequest.ITERATION_INITIALIZE, layout, 0, b"", Iteration.ALL)
    ).handle
    for number in (CpgRequest.ITERATION_NEXT, CpgRequest.ITERATION_FINALIZE):
        assert b.error(number, messages.ITERATION_REQUEST, handle) is CsError.LIBRARY
        assert a.error(number, messages.ITERATION_REQUEST, handle + 1) is CsError.LIBRARY
    assert a.error(CpgRequest.ITERATION_FINALIZE, messages.ITERATION_REQUEST, handle) is CsError.OK
    assert a.error(CpgRequest.ITERATION_FINALIZE, messages.ITERATION_REQUEST, handle) is CsError.LIBRARY


@pytest.mark.parametrize("kind", [0, 4, 0xFFFFFFFF])
def test_unknown_iterations_are_refused(kind: int) -> None:
    a = Cluster(1).client(1, 1)
    layout = messages.ITERATION_INITIALIZE_REQUEST
    assert a.error(CpgRequest.ITERATION_INITIALIZE, layout, 0, b"", kind) is CsError.INVALID_PARAM


def test_a_client_has_so_many_iterations() -> None:
    a = Cluster(1).client(1, 1)
    layout = messages.ITERATION_INITIALIZE_REQUEST
    for _ in range(LISTINGS_MAX):
        assert a.error(CpgRequest.ITERATION_INITIALIZE, layout, 0, b"", 3) is CsError.OK
    assert a.error(CpgRequest.ITERATION_INITIALIZE, layout, 0, b"", 3) is CsError.NO_MEMORY


# --- the ring


def test_who_asked_for_it_hears_of_the_ring_after_its_join() -> None:
    cluster = Cluster(2)
    cluster.form([1, 2])
    a = cluster.joined(1, 1, flags=ModelFlags.DELIVER_INITIAL_TOTEM_CONF)
    b = cluster.joined(1, 2)
    assert a.heard() == ["g is 1:1, joined 1:1/1", "ring [1, 2]", "g is 1:1 1:2, joined 1:2/1"]
    assert b.heard() == ["g is 1:1 1:2, joined 1:2/1"]


# --- zero copy


def zero_copy_alloc(client: Client, path: bytes, size: int) -> CsError:
    return client.error(CpgRequest.ZERO_COPY_ALLOC, messages.ZERO_COPY_ALLOC_REQUEST, size, path)


def test_zero_copy_from_alloc_to_free() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.heard()
    files = memory(cluster, 1).files
    file = files[b"/dev/shm/x"] = bytearray(156)
    assert zero_copy_alloc(a, b"/dev/shm/x", 156) is CsError.OK
    address = messages.ZERO_COPY_HEADER.decode(file).server_address
    assert address != 0
    file[16:61] = messages.MCAST_REQUEST.encode(CpgRequest.MCAST, 45, 0, 2, 5) + b"hello"
    execute = CpgRequest.ZERO_COPY_EXECUTE, messages.ZERO_COPY_EXECUTE_REQUEST
    answer = messages.PLAIN_RESPONSE.decode(a.ask(*execute, address))
    assert (answer.header_id, answer.header_error) == (CpgResponse.MCAST, CsError.OK)
    cluster.settle()
    assert a.heard() == ["g 1:1 says b'hello'"]
    free = CpgRequest.ZERO_COPY_FREE, messages.ZERO_COPY_FREE_REQUEST
    assert a.error(*free, 156, address) is CsError.OK
    assert a.error(*execute, address) is CsError.INVALID_PARAM
    assert a.error(*free, 156, address) is CsError.NOT_EXIST
    assert memory(cluster, 1).open_files == {}


@pytest.mark.parametrize("size", [101, 0x7FFFFFFF, 0xFFFFFFFF])
def test_zero_copy_does_not_read_past_the_buffer(size: int) -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    file = memory(cluster, 1).files[b"/dev/shm/x"] = bytearray(156)
    zero_copy_alloc(a, b"/dev/shm/x", 156)
    address = messages.ZERO_COPY_HEADER.decode(file).server_address
    file[16:56] = messages.MCAST_REQUEST.encode(CpgRequest.MCAST, 45, 0, 2, size)
    error = a.error(CpgRequest.ZERO_COPY_EXECUTE, messages.ZERO_COPY_EXECUTE_REQUEST, address)
    assert error is CsError.INVALID_PARAM
    file[16:56] = messages.MCAST_REQUEST.encode(CpgRequest.MCAST, 45, 0, 2, 100)
    del file[100:]  # the client has cut its file short
    error = a.error(CpgRequest.ZERO_COPY_EXECUTE, messages.ZERO_COPY_EXECUTE_REQUEST, address)
    assert error is CsError.INVALID_PARAM


def test_zero_copy_refusals() -> None:
    cluster = Cluster(1)
    a, b = cluster.client(1, 1), cluster.client(1, 2)
    files = memory(cluster, 1).files
    assert zero_copy_alloc(a, b"/dev/shm/x", 56) is CsError.ACCESS
    files[b"/dev/shm/x"] = bytearray(100)
    assert zero_copy_alloc(a, b"/dev/shm/x", 55) is CsError.INVALID_PARAM
    assert zero_copy_alloc(a, b"/dev/shm/x", 1 << 31) is CsError.INVALID_PARAM
    for number in range(BUFFERS_MAX):
        files[b"%d" % number] = bytearray(56)
        assert zero_copy_alloc(a, b"%d" % number, 56) is CsError.OK
    assert zero_copy_alloc(a, b"/dev/shm/x", 56) is CsError.NO_RESOURCES
    assert b"/dev/shm/x" not in files  # its name is taken all the same
    assert len(memory(cluster, 1).open_files) == BUFFERS_MAX
    execute = CpgRequest.ZERO_COPY_EXECUTE, messages.ZERO_COPY_EXECUTE_REQUEST
    assert a.error(*execute, 1) is CsError.NOT_EXIST  # in no group
    b.join(b"g")
    assert b.error(*execute, 1) is CsError.INVALID_PARAM  # another's buffer
    a.vanish()
    assert memory(cluster, 1).open_files == {}


# --- anything at all


def test_every_request_that_is_too_short_is_refused() -> None:
    cluster = Cluster(1)
    a = cluster.client(1, 1)
    for number, request in CpgService.REQUESTS.items():
        for length in range(16, request.layout.size):
            a.send(number.to_bytes(8, "little") + bytes(length - 8))
            if request.answers:
                answer = messages.PLAIN_RESPONSE.decode(a.responses.pop())
                assert answer.header_error == CsError.INVALID_PARAM
            assert a.responses == []


@pytest.mark.parametrize("seed", range(20))
def test_random_requests_and_deliveries_do_no_harm(seed: int) -> None:
    rng = Random(seed)
    cluster = Cluster(2)
    cluster.form([1, 2])
    clients = [cluster.client(1 + pid % 2, pid) for pid in range(6)]
    for _ in range(400):
        client = rng.choice(clients)
        number = rng.choice(list(CpgService.REQUESTS))
        client.send(number.to_bytes(8, "little") + random_bytes(rng, CpgService.REQUESTS[number].layout.size))
        answers = len(client.responses)
        assert answers == CpgService.REQUESTS[number].answers
        client.responses.clear()
        function = rng.choice(list(CpgService.DELIVERIES))
        size = CpgService.DELIVERIES[function].layout.size
        code = (SERVICE_ID << 16 | function).to_bytes(8, "little")
        cluster.deliver(rng.choice((1, 2)), code + random_bytes(rng, size))
        if rng.random() < 0.05:
            cluster.form([1, 2])
        cluster.settle()
        for each in clients:
            each.heard()
    assert processes(cluster.nodes[1].service) == processes(cluster.nodes[2].service), f"seed {seed}"


def random_bytes(rng: Random, size: int) -> bytes:
    """The rest of a message: often small numbers, now and then large ones or of the wrong length."""
    words = [
        rng.choice((0, 1, 2, 3, 3, rng.randrange(256), rng.getrandbits(64)))
        for _ in range((size - 8) // 8 + rng.choice((0, 1, 18)))
    ]
    data = b"".join(word.to_bytes(8, "little") for word in words)
    return data[: rng.randrange(8, len(data))] if rng.random() < 0.1 and len(data) > 8 else data


def processes(service: CpgService) -> list[object]:
    return list(service._groups)


def test_the_largest_single_message_is_taken() -> None:
    cluster = Cluster(1)
    a = cluster.joined(1, 1)
    a.mcast(bytes(FRAGMENT_MAX))
    (message,) = cluster.nodes[1].unsent
    assert len(message) == messages.MCAST.size + FRAGMENT_MAX
