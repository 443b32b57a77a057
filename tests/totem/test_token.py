"""Steps of a token's visit."""

from pycorosync.totem.config import RingConfig
from pycorosync.totem.messages import ORIGINAL, RETRANSMIT_ENTRIES_MAX, Mcast, OrfToken
from pycorosync.totem.packing import Packer
from pycorosync.totem.token import (
    FlowControl,
    TokenHolder,
    request_missing,
    take_requested,
    update_aru,
    window_has_room,
)
from pycorosync.totem.window import WINDOW_MAX, Window
from pycorosync.types import RingId

RING, OTHER = RingId(1, 5), RingId(1, 9)
CONFIG = RingConfig()


def token(seq: int = 0, aru: int = 0, aru_addr: int = 0, fcc: int = 0, backlog: int = 0) -> OrfToken:
    return OrfToken(
        node_id=1, seq=seq, token_seq=1, aru=aru, aru_addr=aru_addr, ring_id=RING, backlog=backlog, fcc=fcc,
        retrans_flg=0, requests=[],
    )  # fmt: skip


def filled(*numbers: int) -> Window:
    window = Window()
    for number in numbers:
        window.add(Mcast(1, 1, number, RING, ORIGINAL, b"%d" % number, "<"))
    return window


def test_allowance_is_bounded_by_messages_window_and_share() -> None:
    assert FlowControl().allowance(token(), 100, CONFIG) == 17
    assert FlowControl().allowance(token(fcc=40), 100, CONFIG) == 10
    flow = FlowControl()
    flow.last_backlog = 10
    # Our 10 of the 100 packets that wait everywhere: a tenth of the window.
    assert flow.allowance(token(backlog=100), 10, CONFIG) == 5


def test_a_ring_beyond_its_window_limits_by_messages_only() -> None:
    assert FlowControl().allowance(token(fcc=60), 100, CONFIG) == 17


def test_flow_control_replaces_our_part() -> None:
    flow, visit = FlowControl(), token(fcc=3, backlog=8)
    flow.allowance(visit, 20, CONFIG)
    flow.update(visit, 5)
    assert (visit.fcc, visit.backlog) == (8, 28)
    flow.allowance(visit, 0, CONFIG)
    flow.update(visit, 0)
    assert (visit.fcc, visit.backlog) == (3, 8)


def test_what_we_have_is_taken_from_the_requests() -> None:
    visit = token(seq=9)
    visit.requests = [(RING, 1), (OTHER, 2), (RING, 3), (RING, 4)]
    found = take_requested(visit, filled(1, 2, 4), RING, 17)
    assert [message.seq for message in found] == [1, 4]
    assert visit.requests == [(OTHER, 2), (RING, 3)]


def test_retransmission_is_bounded_by_the_allowance() -> None:
    visit = token(seq=9)
    visit.requests = [(RING, 1), (RING, 2)]
    assert len(take_requested(visit, filled(1, 2), RING, 1)) == 1
    assert visit.requests == [(RING, 2)]


def test_missing_numbers_are_asked_for_once() -> None:
    visit = token(seq=5)
    visit.requests = [(OTHER, 2), (RING, 4)]
    window = filled(1, 3)
    for _ in range(4):
        request_missing(visit, window, RING, 5)
    assert visit.requests == [(OTHER, 2), (RING, 4)]
    request_missing(visit, window, RING, 5)
    assert visit.requests == [(OTHER, 2), (RING, 4), (RING, 2), (RING, 5)]


def test_the_list_of_requests_is_bounded() -> None:
    visit = token(seq=1000)
    request_missing(visit, Window(), RING, 1)
    assert len(visit.requests) == RETRANSMIT_ENTRIES_MAX
    request_missing(visit, Window(), RING, 1)
    assert len(visit.requests) == RETRANSMIT_ENTRIES_MAX


def test_the_window_is_not_overrun() -> None:
    assert window_has_room(Window(), token(seq=WINDOW_MAX - 67), 17, CONFIG)
    assert not window_has_room(Window(), token(seq=WINDOW_MAX - 66), 17, CONFIG)


def test_aru_rules() -> None:
    for aru, aru_addr, ours, expected in [
        (8, 3, 5, (5, 1)),  # we lack something
        (5, 1, 8, (8, 1)),  # we got some of it
        (5, 1, 10, (10, 0)),  # we got all of it
        (8, 0, 10, (10, 0)),  # nobody lacks anything
        (5, 3, 10, (5, 3)),  # somebody else does
        (0xFFFFFFFF, 1, 0, (0, 1)),  # the first token, by its sender
    ]:
        visit = token(seq=10, aru=aru, aru_addr=aru_addr)
        update_aru(visit, 1, ours)
        assert (visit.aru, visit.aru_addr) == expected


def test_a_visit_sends_files_and_accounts() -> None:
    packer = Packer(1410)
    for number in range(30):
        packer.add(b"%d" % number + bytes(1390))
    window, visit, holder = Window(), token(), TokenHolder(1)
    sent = holder.use(visit, window, packer, RING, CONFIG)
    assert (len(sent.new), visit.seq, visit.fcc, window.aru, visit.aru, visit.aru_addr) == (
        17,
        17,
        17,
        17,
        17,
        0,
    )
    assert [window.get(1), window.get(17)] != [None, None]
    assert packer.backlog == visit.backlog - 17


def test_requests_come_before_new_messages() -> None:
    packer = Packer(1410)
    for number in range(30):
        packer.add(b"%d" % number + bytes(1390))
    visit = token(seq=3, aru=0, aru_addr=2)
    visit.requests = [(RING, 1), (RING, 2)]
    sent = TokenHolder(1).use(visit, filled(1, 2, 3), packer, RING, CONFIG)
    assert (sent.retransmitted, len(sent.new), visit.fcc) == ([b"1", b"2"], 15, 17)


def test_failing_to_receive_takes_many_rotations() -> None:
    config, holder = RingConfig(fail_to_recv_const=3), TokenHolder(2)
    visit = token(seq=9, aru=4, aru_addr=2)
    assert [holder.fails_to_receive(visit, 4, config) for _ in range(4)] == [False, False, False, True]
    assert not holder.fails_to_receive(visit, 3, config)
