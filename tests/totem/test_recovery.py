"""What members of a new ring tell each other about their old one."""

from pycorosync.totem.messages import (
    ORIGINAL,
    RECOVERY_COPY,
    CommitEntry,
    CommitToken,
    Mcast,
    OrfToken,
    decode_mcast,
    write_mcast_header,
)
from pycorosync.totem.recovery import (
    Progress,
    RecoveryQueue,
    fill_entry,
    messages_to_originate,
    restore_old_messages,
    transitional_members,
    unwrap,
)
from pycorosync.totem.window import Window
from pycorosync.types import RingId

OLD, ELSEWHERE, NEW = RingId(1, 5), RingId(3, 5), RingId(1, 9)


def message(seq: int, ring_id: RingId = OLD, node_id: int = 1) -> Mcast:
    frame = bytearray(45) + b"%d" % seq
    write_mcast_header(frame, node_id, seq, 0, ring_id, ORIGINAL)
    return decode_mcast(bytes(frame), "<")


def window(*numbers: int) -> Window:
    filled = Window()
    for number in numbers:
        filled.add(message(number))
    return filled


def offer(*members: int) -> CommitToken:
    return CommitToken(1, 0, NEW, 0, members, (CommitEntry.empty(),) * len(members))


def test_entries_show_who_lacks_something() -> None:
    token = fill_entry(offer(1, 2, 3), 1, OLD, window(1, 2))
    assert (token.memb_index, token.token_seq, token.entries[0]) == (1, 1, CommitEntry(OLD, 2, 0, 1))
    token = fill_entry(token, 2, OLD, window(1, 2, 3, 5))
    # Node 2 has a hole; node 1 lacks what node 2 has.
    assert [entry.received for entry in token.entries] == [0, 0, 0]
    assert [entry.aru for entry in token.entries] == [2, 3, 0]


def test_entries_of_other_rings_are_not_compared() -> None:
    token = fill_entry(offer(1, 2), 1, OLD, window(1, 2))
    token = fill_entry(token, 2, ELSEWHERE, window(1, 2, 3))
    assert [entry.received for entry in token.entries] == [1, 1]


def test_who_lacks_more_than_an_earlier_one_is_marked() -> None:
    token = fill_entry(offer(1, 2), 1, OLD, window(1, 2, 3))
    token = fill_entry(token, 2, OLD, window(1))
    assert [entry.received for entry in token.entries] == [1, 0]


def test_transitional_members_come_straight_from_our_ring() -> None:
    entries = tuple(CommitEntry(ring, 0, 0, 1) for ring in (OLD, ELSEWHERE, OLD, OLD))
    token = CommitToken(1, 4, NEW, 4, (1, 2, 3, 4), entries)
    # 2 has been in another ring meanwhile; 4 was not in ours.
    assert transitional_members(token, (1, 2, 3), OLD) == (1, 3)


def test_everything_above_the_lowest_aru_is_originated() -> None:
    token = CommitToken(
        1,
        4,
        NEW,
        3,
        (1, 2, 3),
        (CommitEntry(OLD, 9, 0, 1), CommitEntry(OLD, 6, 0, 0), CommitEntry(ELSEWHERE, 1, 0, 0)),
    )
    have = window(*range(1, 8), 9)
    assert [m.seq for m in messages_to_originate(token, (1, 2), have)] == [7, 9]
    assert messages_to_originate(token, (1,), have) == []


def test_copies_are_not_copied_again() -> None:
    entries = (CommitEntry(NEW, 2, 0, 1), CommitEntry(NEW, 0, 0, 0))
    token = CommitToken(1, 4, RingId(1, 13), 2, (1, 2), entries)
    have = Window()
    have.add(copy_of(bytes(message(7).frame), 1))
    have.add(message(2, NEW))
    assert [m.seq for m in messages_to_originate(token, (1, 2), have)] == [2]


def test_a_copy_carries_the_whole_old_message() -> None:
    queue = RecoveryQueue([message(7, node_id=4)])
    frame = queue.next_frame()
    write_mcast_header(frame, 2, 1, 0, NEW, queue.encapsulated)
    copy = decode_mcast(frame, "<")
    assert (copy.node_id, copy.ring_id, copy.encapsulated) == (2, NEW, RECOVERY_COPY)
    inner = unwrap(copy)
    assert inner is not None
    assert (inner.node_id, inner.seq, inner.ring_id, bytes(inner.payload)) == (4, 7, OLD, b"7")
    assert queue.backlog == 0


def copy_of(inner: bytes, seq: int) -> Mcast:
    frame = bytearray(45) + inner
    write_mcast_header(frame, 2, seq, 0, NEW, RECOVERY_COPY)
    return decode_mcast(frame, "<")


def test_what_is_no_message_is_not_unwrapped() -> None:
    good = bytes(message(1).frame)
    for bad in (
        b"",
        good[:44],
        b"\0" * 45,
        good[:2] + b"\x02" + good[3:4] + b"",
        good[:3] + b"\x00" + good[4:],
    ):
        assert unwrap(copy_of(bad, 1)) is None


def test_only_what_is_missing_from_our_old_ring_is_restored() -> None:
    recovered, old = Window(), window(1, 2)
    for seq, inner in enumerate(
        [message(2), message(3), message(9, ELSEWHERE), message(5), message(100_000)], start=1
    ):
        recovered.add(copy_of(bytes(inner.frame), seq))
    restore_old_messages(recovered, old, OLD)
    assert [m.seq for m in old.between(0, 10)] == [1, 2, 3, 5]
    assert (old.aru, old.high_seq) == (3, 5)


def token(seq: int = 0, aru: int = 0, flag: int = 0) -> OrfToken:
    return OrfToken(
        node_id=1, seq=seq, token_seq=1, aru=aru, aru_addr=0, ring_id=NEW, backlog=0, fcc=0, retrans_flg=flag,
        requests=[],
    )  # fmt: skip


def test_with_nothing_to_recover_the_fourth_visit_installs_the_ring() -> None:
    progress = Progress()
    assert [progress.on_token(token(), False) for _ in range(4)] == [False, False, False, True]


def test_the_flag_is_raised_and_lowered_by_who_has_messages() -> None:
    progress, visit = Progress(), token()
    progress.on_token(visit, True)
    assert visit.retrans_flg == 1
    progress.on_token(visit, False)
    assert visit.retrans_flg == 0
    other = Progress()
    visit.retrans_flg = 1
    other.on_token(visit, False)
    assert visit.retrans_flg == 1


def test_the_ring_waits_until_everybody_has_everything() -> None:
    progress = Progress()
    for _ in range(5):
        assert not progress.on_token(token(seq=8, aru=5), False)
    assert not progress.on_token(token(seq=8, aru=8), False)
    assert progress.on_token(token(seq=8, aru=8), False)


def test_a_flag_in_between_starts_the_count_again() -> None:
    progress = Progress()
    for _ in range(3):
        progress.on_token(token(), False)
    progress.on_token(token(flag=1), False)
    assert [progress.on_token(token(), False) for _ in range(4)] == [False, False, False, True]
