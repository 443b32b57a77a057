"""The synchronization barrier among several nodes."""

from random import Random
from typing import Any, ClassVar

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.services import sync
from pycorosync.services.service import Service, SyncStart
from pycorosync.services.sync import MulticastSync, State, SyncCompleted, Synchronizer
from pycorosync.types import RingId

RING = RingId(1, 4)


class Recorder(Service):
    """A service that notes what it is called for, and may need several tries to send."""

    SYNCHRONIZES: ClassVar = True

    def __init__(self, number: int, tries: int = 1) -> None:
        self.ID = number  # type: ignore[misc]
        self.TITLE = f"service {number}"  # type: ignore[misc]
        self.outputs = []
        self.calls: list[Any] = []
        self.tries = tries

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        self.calls.append(("init", start))

    def sync_process(self, now_ns: int) -> bool:
        self.calls.append("process")
        self.tries -= 1
        return self.tries <= 0

    def sync_activate(self, now_ns: int) -> None:
        self.calls.append("activate")

    def sync_abort(self) -> None:
        self.calls.append("abort")

    @property
    def verbs(self) -> list[str]:
        return [call if isinstance(call, str) else call[0] for call in self.calls]


class Group:
    """Synchronizers whose messages reach all of them in one order."""

    def __init__(self, services: dict[int, list[Recorder]]) -> None:
        self.nodes = {
            node: Synchronizer({service.ID: service for service in mine}) for node, mine in services.items()
        }
        self.completed: dict[int, int] = dict.fromkeys(self.nodes, 0)

    def start(self, ring_id: RingId = RING) -> None:
        members = tuple(sorted(self.nodes))
        for synchronizer in self.nodes.values():
            synchronizer.on_transitional(members)
            synchronizer.start(ring_id, members, 0)

    def run(self, rng: Random) -> None:
        """Deliver messages until none is left; which node's comes next is chance, its own order is not."""
        while True:
            ready = []
            for node, synchronizer in self.nodes.items():
                while synchronizer.outputs and isinstance(synchronizer.outputs[0], SyncCompleted):
                    synchronizer.outputs.pop(0)
                    self.completed[node] += 1
                if synchronizer.outputs:
                    ready.append(node)
            if not ready:
                return
            sender = rng.choice(ready)
            message = self.nodes[sender].outputs.pop(0)
            assert isinstance(message, MulticastSync)
            for synchronizer in self.nodes.values():
                synchronizer.receive(sender, memoryview(message.payload), "<", 0)
                synchronizer.go_on(0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("count", [1, 2, 5])
def test_services_take_their_turns_in_ascending_order_everywhere(count: int, seed: int) -> None:
    services = {node: [Recorder(number) for number in (0, 2, 5)] for node in range(1, count + 1)}
    group = Group(services)
    group.start()
    group.run(Random(seed))
    assert set(group.completed.values()) == {1}
    for mine in services.values():
        assert [service.verbs for service in mine] == [["init", "process", "activate"]] * 3


def test_a_service_that_only_another_node_has_is_an_empty_step() -> None:
    services = {1: [Recorder(0), Recorder(5)], 2: [Recorder(2)]}
    group = Group(services)
    group.start()
    group.run(Random(1))
    assert group.completed == {1: 1, 2: 1}
    assert services[2][0].verbs == ["init", "process", "activate"]


def test_nodes_without_any_service_finish_too() -> None:
    group = Group({1: [], 2: []})
    group.start()
    group.run(Random(1))
    assert group.completed == {1: 1, 2: 1}


def test_a_service_that_could_not_send_everything_is_asked_again() -> None:
    slow = Recorder(2, tries=4)
    group = Group({1: [slow], 2: [Recorder(2)]})
    group.start()
    for _ in range(10):
        group.run(Random(1))
        for synchronizer in group.nodes.values():
            synchronizer.go_on(0)
    assert group.completed == {1: 1, 2: 1}
    assert slow.verbs == ["init", "process", "process", "process", "process", "activate"]


def test_an_abort_voids_the_messages_of_the_old_ring() -> None:
    mine = Recorder(2)
    synchronizer = Synchronizer({2: mine})
    synchronizer.on_transitional((1,))
    synchronizer.start(RING, (1, 2), 0)
    old = [output.payload for output in synchronizer.outputs if isinstance(output, MulticastSync)]
    synchronizer.outputs.clear()
    synchronizer.abort()
    synchronizer.start(RingId(1, 8), (1,), 0)
    synchronizer.outputs.clear()
    for payload in old:
        synchronizer.receive(1, memoryview(payload), "<", 0)
    assert synchronizer.state is State.BUILD
    assert not synchronizer.outputs


def test_only_the_service_under_way_hears_of_an_abort() -> None:
    first, second = Recorder(0), Recorder(2)
    group = Group({1: [first, second], 2: [Recorder(0), Recorder(2)]})
    group.start()
    for node in (1, 2):
        message = group.nodes[node].outputs.pop(0)
        assert isinstance(message, MulticastSync)
        group.nodes[1].receive(node, memoryview(message.payload), "<", 0)
    assert group.nodes[1].state is State.BARRIER
    group.nodes[1].abort()
    assert (first.verbs[-1], second.verbs[-1]) == ("abort", "init")


def test_who_came_along_is_told_only_of_present_members() -> None:
    mine = Recorder(0)
    synchronizer = Synchronizer({0: mine})
    synchronizer.on_transitional((1, 2, 3))
    synchronizer.start(RING, (1, 3, 4), 0)
    assert mine.calls == [("init", SyncStart(RING, (1, 3, 4), (1, 3)))]


@pytest.mark.parametrize("count", [-1, 129, 2**31 - 1])
def test_a_service_list_that_claims_too_many_entries_is_malformed(count: int) -> None:
    synchronizer = Synchronizer({})
    synchronizer.start(RING, (1, 2), 0)
    message = sync.SERVICE_BUILD.encode(1, 552, *RING, count, b"")
    with pytest.raises(MalformedMessage):
        synchronizer.receive(2, memoryview(message), "<", 0)


@pytest.mark.parametrize("seed", range(20))
def test_random_messages_change_nothing(seed: int) -> None:
    rng = Random(seed)
    synchronizer = Synchronizer({2: Recorder(2)})
    synchronizer.start(RING, (1, 2), 0)
    for _ in range(200):
        message = bytearray(rng.randbytes(rng.choice((0, 8, 15, 16, 31, 32, 500, 552, 600))))
        if len(message) > 16:
            message[0:4] = rng.choice((0, 1, 2)).to_bytes(4, "little")
        try:
            synchronizer.receive(rng.randrange(4), memoryview(bytes(message)), rng.choice("<>"), 0)
        except MalformedMessage:
            continue
    assert synchronizer.state is State.BUILD, f"seed {seed}"
