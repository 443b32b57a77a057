"""Messages: one order for all members, through loss, flow control, crashes, partitions and restarts."""

import random
from dataclasses import replace

import pytest

from pycorosync.totem.messages import MCAST, MessageType, decode_mcast
from pycorosync.totem.outputs import MembershipKind
from pycorosync.totem.recovery import unwrap
from pycorosync.types import Buffer
from tests.totem.checkers import (
    check_no_duplicates,
    check_same_order,
    check_sender_order,
    check_virtual_synchrony,
)
from tests.totem.harness import FAST, Delivered, Member, Network


class Senders:
    """Gives each message of a node its number, so that order and loss can be seen."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.numbers: dict[int, int] = {}
        self.sent: list[bytes] = []

    def send(self, node_id: int, size: int = 20) -> None:
        number = self.numbers.get(node_id, 0)
        message = (b"%d:%d:" % (node_id, number)).ljust(size, b"0123456789"[number % 10 : number % 10 + 1])
        if self.network.members[node_id].send(message):
            self.numbers[node_id] = number + 1
            self.sent.append(message)


def check_all(members: list[Member]) -> None:
    check_same_order(members)
    check_virtual_synchrony(members)
    check_no_duplicates(members)
    check_sender_order(members)


def formed(seed: int, size: int = 3, loss: float = 0.0, payload: int = 65446) -> tuple[Network, Senders]:
    network = Network(seed=seed, payload=payload)
    nodes = range(1, size + 1)
    network.start(*nodes)
    network.form(*nodes)
    network.loss = loss
    return network, Senders(network)


def everybody_has(network: Network, count: int) -> bool:
    return all(len(member.delivered) >= count for member in network.members.values())


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_everybody_delivers_everything_in_one_order(size: int) -> None:
    network, senders = formed(seed=20 + size, size=size)
    for _ in range(100):
        for node_id in network.members:
            senders.send(node_id, network.rng.randrange(1, 3000))
        network.step()
    network.run_until(lambda: everybody_has(network, 100 * size))
    members = list(network.members.values())
    check_all(members)
    assert sorted(d.message for d in members[0].delivered) == sorted(senders.sent)


@pytest.mark.parametrize("seed", range(8))
def test_lost_mcasts_are_retransmitted(seed: int) -> None:
    network, senders = formed(seed=30 + seed, size=3)

    def lose_every_fifth_mcast(_source: int, _target: int, frame: Buffer) -> bool:
        return bytes(frame)[3] == MessageType.MCAST and network.rng.random() < 0.2

    network.drop = lose_every_fifth_mcast
    for _ in range(60):
        for node_id in (1, 2, 3):
            senders.send(node_id, network.rng.randrange(1, 100_000))
        network.run(2)
    expected = len(senders.sent)
    network.run_until(lambda: everybody_has(network, expected))
    check_all(list(network.members.values()))
    assert sum(member.ring.stats.mcast_retx for member in network.members.values()) > 0
    assert all(len([c for c in member.changes if c.left]) == 0 for member in network.members.values())


def test_nothing_is_kept_that_everybody_has() -> None:
    network, senders = formed(seed=40)
    for _ in range(300):
        senders.send(1, 2000)
        network.run(1)
    network.run(500)
    assert all(len(member.ring._window) == 0 for member in network.members.values())


@pytest.mark.parametrize("payload", [1410, 65446])
def test_a_large_message_travels_through_many_rotations(payload: int) -> None:
    network, senders = formed(seed=41, payload=payload)
    senders.send(2, 1_000_000)
    senders.send(1, 300_000)
    senders.send(2, 10)
    network.run_until(lambda: everybody_has(network, 3))
    check_all(list(network.members.values()))
    assert sorted(len(d.message) for d in network.members[3].delivered) == [10, 300_000, 1_000_000]


def test_flow_control_bounds_what_one_visit_sends() -> None:
    network, _ = formed(seed=42, size=2, payload=1410)
    member = network.members[1]
    for number in range(60):
        assert member.packer.add(b"1:%d:" % number + bytes(1390))
    per_token: list[int] = []

    def count(source: int, _target: int, frame: Buffer) -> bool:
        kind = bytes(frame)[3]
        if source == 1 and kind == MessageType.MCAST:
            per_token[-1] += 1
        elif source == 1 and kind == MessageType.ORF_TOKEN:
            per_token.append(0)
        return False

    per_token.append(0)
    network.drop = count
    member.settle()
    network.run_until(lambda: everybody_has(network, 60))
    assert max(per_token) == 17
    assert sum(per_token) == 60


def test_messages_that_only_survivors_hold_are_recovered() -> None:
    # Node 1 orders messages that only node 2 receives, and dies. Node 3 gets them from node 2.
    network, senders = formed(seed=43)
    network.drop = lambda source, target, frame: (
        source == 1 and target == 3 and bytes(frame)[3] == MessageType.MCAST
    )
    for _ in range(10):
        senders.send(1, 3000)
    network.run_until(lambda: len(network.members[2].delivered) == 10)
    assert network.members[3].delivered == []
    network.crash(1)
    network.form(2, 3)
    survivors = [network.members[2], network.members[3]]
    assert [d.message for d in survivors[1].delivered] == senders.sent
    check_all(survivors)


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_hundreds_of_messages_are_recovered(loss: float) -> None:
    # T03, T23: more than a visit can send or a list of requests can hold, with holes, and losses on the way.
    patient = replace(FAST, miss_count_const=1000)  # nobody asks for retransmission in the old ring
    network = Network(seed=49, config=patient, payload=1410)
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    senders = Senders(network)
    network.drop = lambda source, target, frame: (
        source == 1 and target == 3 and bytes(frame)[3] == MessageType.MCAST
    )
    for _ in range(40):
        senders.send(1, 15_000)
    network.run_until(lambda: len(network.members[2].delivered) == 40)
    network.crash(1)
    for member in network.members.values():
        member.ring.reconfigure(FAST)
    network.loss = loss
    network.form(2, 3, within_ms=60_000)
    network.loss = 0.0
    assert [d.message for d in network.members[3].delivered] == senders.sent
    check_all([network.members[2], network.members[3]])
    network.run(200)
    assert all(len(member.ring._window) == 0 for member in network.members.values())


def test_recovery_copies_contain_the_old_frames() -> None:
    network, senders = formed(seed=44)
    copies = []

    def watch(source: int, target: int, frame: Buffer) -> bool:
        data = bytes(frame)
        if data[3] == MessageType.MCAST and data[4] == 1:
            copies.append(data)
        return source == 1 and target == 3 and data[3] == MessageType.MCAST

    network.drop = watch
    old = network.members[2].ring.ring_id
    senders.send(1)
    network.run_until(lambda: len(network.members[2].delivered) == 1)
    network.crash(1)
    network.form(2, 3)
    inner = [unwrap(decode_mcast(copy, "<")) for copy in copies]
    assert inner
    assert all(message is not None and message.ring_id == old and message.node_id == 1 for message in inner)
    assert all(len(copy) > 2 * MCAST.size for copy in copies)


def test_behind_a_hole_only_messages_of_those_who_stay_are_delivered() -> None:
    # Node 1's second message gets to nobody, its third to everybody; then it dies. Node 2's message is fine.
    network, senders = formed(seed=45)
    fate = {b"1:1:": True}

    def lose(source: int, _target: int, frame: Buffer) -> bool:
        return source == 1 and any(mark in bytes(frame) for mark in fate)

    network.drop = lose
    for number in range(3):
        senders.send(1)  # in a frame of its own
        network.run_until(lambda: len(network.members[1].delivered) == number + 1)  # noqa: B023
    senders.send(2, 100)
    network.run(3)
    network.crash(1)
    network.form(2, 3)
    for node_id in (2, 3):
        assert [d.message[:4] for d in network.members[node_id].delivered] == [b"1:0:", b"2:0:"]


def test_messages_sent_while_the_ring_changes_wait_for_the_new_one() -> None:
    network, senders = formed(seed=46)
    network.crash(3)
    network.run(320)  # the token is lost, the others are in GATHER
    for _ in range(5):
        senders.send(1)
    network.form(1, 2)
    network.run_until(lambda: everybody_has(network, 5))
    ring_id = network.members[1].ring.ring_id
    assert {d.ring_id for d in network.members[2].delivered} == {ring_id}


def test_a_node_that_joins_amid_a_large_message_gets_what_follows() -> None:
    # T09: it has not seen the beginning; complete messages behind the end must reach it as they reach others.
    network, senders = formed(seed=47, size=2, payload=1410)
    for size in (200_000, 10, 20, 30):
        senders.send(1, size)
    while not network.members[2].ring._window.aru:
        network.step()
    network.start(3)
    network.form(1, 2, 3)
    network.run_until(lambda: len(network.members[2].delivered) == 4)
    network.run_until(lambda: len(network.members[3].delivered) >= 3)
    assert [len(d.message) for d in network.members[3].delivered] in ([10, 20, 30], [200_000, 10, 20, 30])
    check_same_order([network.members[1], network.members[2]])


def test_a_node_that_hears_but_is_never_heard_gives_up_its_place() -> None:
    network = Network(seed=48, config=replace(FAST, fail_to_recv_const=50, token_ms=2000, consensus_ms=2400))
    network.start(1, 2, 3)
    network.form(1, 2, 3)
    senders = Senders(network)
    network.drop = lambda _source, target, frame: target == 3 and bytes(frame)[3] == MessageType.MCAST
    for _ in range(3):
        senders.send(1)
    network.run_until(lambda: network.members[3].ring.members == (3,), within_ms=20_000)


@pytest.mark.parametrize("seed", range(25))
def test_random_faults(seed: int) -> None:
    """Loss, crashes, restarts, partitions, in random order; then peace, and everything must hold."""
    network, senders = formed(seed=1000 + seed, size=4, loss=0.01)
    rng = random.Random(seed)
    gone: list[Member] = []
    for _ in range(30):
        match rng.randrange(10):
            case 0 if len(network.members) > 1:
                node_id = rng.choice(sorted(network.members))
                gone.append(network.members[node_id])
                rng.choice([network.crash, network.leave])(node_id)
            case 1:
                network.start(*sorted({1, 2, 3, 4} - set(network.members)))
            case 2:
                side = set(rng.sample([1, 2, 3, 4], 2))
                network.partition(side, {1, 2, 3, 4} - side)
            case 3 | 4:
                network.heal()
            case _:
                for _ in range(20):
                    senders.send(rng.choice(sorted(network.members)), rng.choice([10, 500, 5000, 150_000]))
        network.run(rng.choice([1, 10, 100, 700]))
    network.heal()
    network.loss = 0.0
    network.start(*sorted({1, 2, 3, 4} - set(network.members)))
    network.form(1, 2, 3, 4, within_ms=30_000)
    before = len(network.members[1].delivered)
    for node_id in (1, 2, 3, 4):
        senders.send(node_id)
    network.run_until(
        lambda: any(d.message == senders.sent[-1] for d in network.members[1].delivered[before:])
    )
    network.run(500)
    members = gone + list(network.members.values())
    check_same_order(members)
    check_virtual_synchrony(members)
    check_no_duplicates(members)
    check_sender_order(members)
    assert all(isinstance(entry, Delivered) or entry.kind in MembershipKind for entry in members[0].log)
