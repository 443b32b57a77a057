"""Messages that are built from lists."""

from pycorosync.services.cpg import encode
from pycorosync.services.cpg.groups import Process
from pycorosync.services.cpg.messages import ADDRESS, CONFCHG_EVENT, CpgExec, Reason
from pycorosync.types import RingId
from tests.vectors import Vector, vectors


def captured(name: str) -> list[Vector]:
    return [vector for vector in vectors("cpg") if vector.name == name]


def test_a_change_puts_those_who_left_before_those_who_joined() -> None:
    a, b, c = (Process(1, pid, b"g") for pid in (1, 2, 3))
    head, body = encode.confchg(b"g", [a], [b], [c], Reason.NODEUP)
    record = CONFCHG_EVENT.decode(head)
    assert (record.members, record.joined, record.left) == (1, 1, 1)
    assert record.header_size == len(head) + len(body)
    assert [(each.pid, each.reason) for each in ADDRESS.iterate(body)] == [(1, 0), (2, 4), (3, 4)]


def test_a_ring_event_is_as_long_as_the_real_one() -> None:
    (vector,) = captured("TOTEM_CONFCHG_EVENT")
    ring = RingId(int(vector.fields["ring_representative"]), int(vector.fields["ring_seq"]))
    head, body = encode.ring_event(ring, [int(node) for node in vector.items("node")])
    assert len(head) + len(body) == len(vector.data) == int(vector.fields["header_size"])
    assert body[:-4] == vector.data[44:-4]


def test_process_changes_are_those_of_the_real_daemon() -> None:
    for vector in captured("PROCJOIN"):
        fields = vector.fields
        process = Process(1, int(fields["pid"]), fields["group"].encode())
        function = CpgExec(int(fields["header_id"]) & 0xFFFF)
        head, body = encode.process_change(function, process, Reason(int(fields["reason"])))
        assert body == b""
        assert head[:20] + head[24:] == vector.data[:20] + vector.data[24:]  # a hole


def test_joinlists_and_downlists_are_as_long_as_the_real_ones() -> None:
    for vector in captured("JOINLIST"):
        count = len(vector.items("entry")) // 2
        head, body = encode.joinlist([Process(1, pid, b"g") for pid in range(count)])
        assert len(head + body) == len(vector.data)
    head, body = encode.downlist(3, [2])
    assert len(head + body) == len(captured("DOWNLIST")[0].data)


def test_names_for_the_log() -> None:
    assert encode.printable(b"crmd\0") == "crmd\\x00"
    assert encode.printable(b"a\\b \x7f\xff") == "a\\\\b \\x7F\\xFF"
