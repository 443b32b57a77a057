"""One ring: verbs, timers, the single node, and hostile frames."""

import logging
import random
from dataclasses import replace

import pytest

from pycorosync import log
from pycorosync.totem.config import MS, RingConfig
from pycorosync.totem.messages import (
    ORIGINAL,
    HoldCancel,
    Join,
    MergeDetect,
    MessageType,
    OrfToken,
    decode,
    write_mcast_header,
)
from pycorosync.totem.outputs import Broadcast, Deliver, Output, SendToken
from pycorosync.totem.packing import Packer
from pycorosync.totem.ring import SingleRing
from pycorosync.totem.states import State
from pycorosync.totem.timers import Timer
from pycorosync.types import Buffer, RingId
from pycorosync.wire.fixed import BIG
from tests.totem.harness import FAST, Network

START = 1_000_000_000


class Alone:
    """A node without others: its frames come back to itself."""

    def __init__(self, config: RingConfig = FAST, payload: int = 65446) -> None:
        self.now_ns = START
        self.packer = Packer(payload)
        self.ring = SingleRing(config, 1, 0, self.packer, random.Random(1))
        self.seen: list[Output] = []

    def start(self) -> "Alone":
        self.ring.start(self.now_ns)
        self.settle()
        assert self.ring.state is State.OPERATIONAL
        self.packer.end_sync()
        self.seen.clear()
        return self

    def settle(self) -> None:
        while self.ring.outputs:
            outputs, self.ring.outputs = self.ring.outputs, []
            self.seen += outputs
            for output in outputs:
                if isinstance(output, SendToken) or (isinstance(output, Broadcast) and output.loop_back):
                    self.ring.receive(output.frame, self.now_ns)

    def run(self, duration_ms: int) -> None:
        end_ns = self.now_ns + duration_ms * MS
        while (deadline := self.ring.next_deadline()) is not None and deadline <= end_ns:
            self.now_ns = deadline
            self.ring.on_timer(self.now_ns)
            self.settle()
        self.now_ns = end_ns

    def receive(self, frame: Buffer) -> None:
        self.ring.receive(frame, self.now_ns)
        self.settle()

    def count(self, kind: type) -> int:
        return sum(isinstance(output, kind) for output in self.seen)


def mcast(ring_id: RingId, seq: int, node_id: int = 2, payload: bytes = b"x") -> bytes:
    frame = bytearray(45) + payload
    write_mcast_header(frame, node_id, seq, 0, ring_id, ORIGINAL)
    return bytes(frame)


def test_a_single_node_delivers_a_message_in_one_visit_of_its_token() -> None:
    node = Alone().start()
    node.packer.add(b"message")
    node.ring.wake(node.now_ns)
    node.settle()
    assert [type(output) for output in node.seen] == [SendToken, Broadcast, Deliver]
    assert len(node.ring._window) == 0


def test_a_single_idle_node_wakes_only_for_its_hold_timer() -> None:
    node = Alone().start()
    node.run(10_000)
    rounds = node.count(SendToken)
    assert 10_000 // FAST.token_hold_ms - 2 <= rounds <= 10_000 // FAST.token_hold_ms + 1
    assert node.ring.state is State.OPERATIONAL
    assert node.ring.stats.operational_token_lost == 0


def test_a_single_idle_node_still_looks_for_others() -> None:
    node = Alone().start()
    node.run(3_000)
    frames = [output.frame for output in node.seen if isinstance(output, Broadcast)]
    assert {decode(frame)[0] for frame in frames} == {MessageType.MERGE_DETECT}
    assert len(frames) >= 3_000 // (FAST.merge_ms + FAST.token_hold_ms) - 1


def test_more_than_one_visit_can_send_goes_in_several() -> None:
    node = Alone(payload=1410).start()
    for _ in range(40):
        assert node.packer.add(bytes(1390))
    node.ring.wake(node.now_ns)
    node.settle()
    assert (node.count(Deliver), node.count(SendToken)) == (40, 3)


def test_waking_a_token_that_is_not_held_does_nothing() -> None:
    node = Alone()
    node.ring.wake(START)
    assert node.ring.outputs == []
    node.start()
    node.ring.wake(node.now_ns)
    node.ring.wake(node.now_ns)
    assert len(node.ring.outputs) == 1


def test_a_second_copy_of_a_token_changes_nothing() -> None:
    node = Alone().start()
    node.ring.wake(node.now_ns)
    (again,) = node.ring.outputs
    node.settle()
    node.seen.clear()
    node.receive(again.frame)  # type: ignore[union-attr]
    assert node.seen == []
    node.packer.add(b"message")
    node.ring.wake(node.now_ns)
    node.settle()
    assert node.count(Deliver) == 1


def test_a_hold_cancel_wakes_the_representative() -> None:
    network = Network(seed=1)
    network.start(1, 2)
    network.form(1, 2)
    network.run(500)
    assert network.members[1].ring._held
    assert network.members[2].ring._held
    begun_ns = network.now_ns
    network.members[2].send(b"message")
    network.run_until(lambda: len(network.members[1].delivered) == 1)
    assert network.now_ns - begun_ns < 5 * MS
    assert network.members[2].ring.stats.token_hold_cancel_tx == 1


def test_an_idle_ring_of_several_does_not_spin() -> None:
    network = Network(seed=2)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    network.run(1000)
    before = network.members[2].ring.stats.received[MessageType.ORF_TOKEN]
    network.run(1000)
    rounds = network.members[2].ring.stats.received[MessageType.ORF_TOKEN] - before
    assert rounds <= 1000 // FAST.token_hold_ms + 1


def test_the_token_is_missed_once_and_a_warning_comes_before() -> None:
    network = Network(seed=3)
    network.start(1, 2)
    network.form(1, 2)
    network.crash(2)
    lines: list[str] = []
    log.record_with(lambda _name, _level, text, arguments: lines.append(text % arguments))
    try:
        network.form(1)
    finally:
        log.record_with(None)
    assert any("Token has not been received in 225 ms" in line for line in lines)
    assert (
        "A processor failed, forming new configuration: token timed out (300ms), waiting 360ms for consensus."
        in lines
    )
    assert network.members[1].ring.stats.operational_token_lost == 1


def test_the_heartbeat_is_faster_than_the_token_timeout() -> None:
    config = replace(FAST, heartbeat_failures_allowed=2, token_ms=2000)
    network = Network(seed=4, config=config)
    network.start(1, 2)
    network.form(1, 2)
    network.crash(2)
    network.run_until(
        lambda: network.members[1].ring.state is State.GATHER, within_ms=config.heartbeat_ms + 60
    )


def test_joins_that_waited_while_the_process_was_paused_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    node = Alone().start()
    node.run(100)
    node.now_ns += 2000 * MS
    with caplog.at_level(logging.INFO, logger="corosync.TOTEM"):
        node.receive(Join(2, 2, 1, (2,), ()).encode())
    assert node.ring.state is State.OPERATIONAL
    assert caplog.messages == ["Process pause detected for 2037 ms, flushing membership messages."] or (
        "Process pause detected" in caplog.messages[0]
    )
    assert node.ring.stats.rx_msg_dropped == 1
    node.now_ns += FAST.join_ms * MS
    node.receive(Join(2, 2, 1, (2,), ()).encode())
    assert 2 in node.ring.proc


def test_a_straggler_of_an_old_ring_does_not_break_the_new_one() -> None:
    network = Network(seed=5)
    network.start(1, 2)
    network.form(1, 2)
    old = network.members[1].ring.ring_id
    network.members[1].ring.force_gather(network.now_ns)
    network.members[1].settle()
    network.run_until(lambda: network.formed(1, 2)() and network.members[1].ring.ring_id != old)
    member = network.members[1]
    member.ring.receive(mcast(old, 3), network.now_ns)
    member.ring.receive(MergeDetect(2, old).encode(), network.now_ns)
    assert member.ring.state is State.OPERATIONAL


def test_our_own_frames_from_the_network_are_harmless() -> None:
    node = Alone().start()
    ring_id = node.ring.ring_id
    for frame in (
        mcast(RingId(1, 99), 1, node_id=1),
        MergeDetect(1, RingId(1, 99)).encode(),
        mcast(ring_id, 1, 1),
    ):
        node.receive(frame)
    assert node.ring.state is State.OPERATIONAL


def test_big_endian_neighbours_are_met() -> None:
    node = Alone().start()
    node.receive(MergeDetect(2, RingId(2, 5)).encode(BIG))
    assert 2 in node.ring.proc
    node.receive(Join(2, 2, 77, (1, 2), ()).encode(BIG))
    assert node.ring.state is State.COMMIT
    assert node.ring.ring_id == (1, 81)


def test_reconfiguring_takes_effect_with_the_next_timer() -> None:
    node = Alone().start()
    node.ring.reconfigure(replace(FAST, token_hold_ms=20))
    node.run(60)
    node.seen.clear()
    node.run(1000)
    assert node.count(SendToken) >= 48


def test_malformed_frames_are_counted_and_reported_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    node = Alone().start()
    with caplog.at_level(logging.INFO, logger="corosync.TOTEM"):
        for _ in range(50):
            node.receive(b"\x70\xc0\x03\x00 far too short")
    assert node.ring.stats.rx_msg_dropped == 50
    assert len(caplog.messages) == 1
    assert node.ring.state is State.OPERATIONAL


def test_a_token_with_an_impossible_number_is_not_used() -> None:
    node = Alone().start()
    node.run(1)
    ring = node.ring
    token = OrfToken(
        node_id=1, seq=0x7000_0000, token_seq=ring._token_seq + 1, aru=0, aru_addr=0, ring_id=ring.ring_id,
        backlog=0, fcc=0, retrans_flg=0, requests=[],
    )  # fmt: skip
    node.receive(token.encode())
    assert ring.stats.rx_msg_dropped == 1
    node.packer.add(b"still works")
    node.ring.wake(node.now_ns)
    node.settle()
    assert node.count(Deliver) == 1


def hostile_frames(rng: random.Random, ring_id: RingId) -> bytes:
    """Well-formed frames with contents that no honest node sends."""
    rings = [
        ring_id,
        RingId(1, 1),
        RingId(2, 1 << 63),
        RingId(rng.randrange(1 << 32), rng.randrange(1 << 64)),
    ]
    ring = rng.choice(rings)
    node_id = rng.choice([1, 2, 3, rng.randrange(1, 1 << 32)])
    number = rng.choice([0, 1, 5, 0x7FFFFFFF, 0xFFFFFFFF, rng.randrange(1 << 32)])
    some = tuple({rng.randrange(1, 6) for _ in range(rng.randrange(5))})
    match rng.randrange(5):
        case 0:
            return mcast(ring, number, node_id)
        case 1:
            return MergeDetect(node_id, ring).encode()
        case 2:
            ring_seq = rng.choice([0, 5, (1 << 64) - 1])
            return Join(rng.choice([0, node_id]), node_id, ring_seq, some, some[1:]).encode()
        case 3:
            return HoldCancel(node_id, ring).encode()
    requests = [(rng.choice(rings), rng.randrange(1 << 32)) for _ in range(rng.randrange(31))]
    return OrfToken(
        node_id=node_id, seq=number, token_seq=rng.randrange(1 << 32), aru=number, aru_addr=node_id,
        ring_id=ring, backlog=number, fcc=number, retrans_flg=rng.choice([0, 1, -1]), requests=requests,
    ).encode()  # fmt: skip


@pytest.mark.parametrize("seed", range(15))
def test_hostile_frames_do_not_end_the_ring(seed: int) -> None:
    rng = random.Random(seed)
    node = Alone().start()
    for _ in range(400):
        frame = bytearray(hostile_frames(rng, node.ring.ring_id))
        if rng.random() < 0.3:
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        node.receive(bytes(frame))
        node.run(rng.choice([0, 0, 1, 20, 400]))
        assert len(node.ring.proc) <= 384
    # Left in peace, it forms its ring again.
    node.run(20_000)
    assert node.ring.state is State.OPERATIONAL, f"seed {seed}"


@pytest.mark.parametrize("seed", range(5))
def test_replayed_traffic_of_earlier_rings_does_no_harm(seed: int) -> None:
    network = Network(seed=seed)
    recorded: list[bytes] = []

    def record(_source: int, _target: int, frame: Buffer) -> bool:
        recorded.append(bytes(frame))
        return False

    network.drop = record
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    network.members[1].send(b"once")
    network.crash(3)
    network.form(1, 2)
    network.start(3)
    network.form(1, 2, 3)
    network.drop = lambda *_: False
    rng = random.Random(seed)
    for frame in rng.sample(recorded, min(len(recorded), 300)):
        member = network.members[rng.choice([1, 2, 3])]
        member.ring.receive(frame, network.now_ns)
        member.settle()
        network.run(rng.choice([0, 1]))
    network.form(1, 2, 3, within_ms=20_000)
    for member in network.members.values():
        assert sum(delivered.message == b"once" for delivered in member.delivered) <= 1


def test_timers_of_an_operational_ring() -> None:
    node = Alone().start()
    timers = node.ring._timers
    runs = {timer for timer in Timer if timers.runs(timer)}
    assert runs == {
        Timer.TOKEN, Timer.TOKEN_WARNING, Timer.TOKEN_RETRANSMIT, Timer.TOKEN_HOLD, Timer.MERGE_DETECT,
    }  # fmt: skip


def test_stats_count_what_happens() -> None:
    network = Network(seed=6)
    network.start(1, 2)
    network.form(1, 2)
    stats = network.members[2].ring.stats
    assert stats.received[MessageType.MCAST] >= 1
    assert stats.mcast_tx >= 1
    assert stats.memb_join_tx >= 1
    assert stats.received[MessageType.JOIN] >= 1
    assert (stats.commit_entered, stats.recovery_entered, stats.operational_entered) in ((1, 1, 1), (2, 2, 2))
    assert stats.memb_commit_token_tx >= 2


def test_messages_numbered_around_the_end_of_the_numbers() -> None:
    """A ring that has sent 2**32 messages goes on."""
    network = Network(seed=7)
    network.start(1, 2)
    network.form(1, 2)
    network.run_until(lambda: network.members[1].ring._held and not network._events)
    start = 0xFFFFFF00
    for member in network.members.values():
        ring = member.ring
        window = ring._window
        shift = (start - window.aru) & 0xFFFFFFFF
        assert len(window) == 0
        window.released = window.delivered = window.aru = window.high_seq = start
        ring._holder.last_aru = start
        ring._holder.last_seq = start
        held = decode(ring._saved_token)[1]
        assert isinstance(held, OrfToken)
        held.seq = held.aru = (held.seq + shift) & 0xFFFFFFFF
        ring._saved_token = held.encode(target=ring._successor)
    for number in range(600):
        assert network.members[1 + number % 2].send(b"%d" % number)
        network.run_until(lambda: network.members[2].packer.idle and network.members[1].packer.idle)
    network.run_until(lambda: all(len(member.delivered) == 600 for member in network.members.values()))
    assert network.members[1].delivered == network.members[2].delivered
    assert network.members[1].ring._window.aru < 0x1000
    assert not [change for change in network.members[1].changes if change.left]
