"""The cluster of corosync-vqsim, with a clock that the test turns."""

from pycorosync.cmap.store import Store
from pycorosync.tools.virtual_cluster import Simulation

MS = 1_000_000


class Clock:
    """Turns, and lets the cluster do what is due."""

    def __init__(self, nodes: int, **options: int | str) -> None:
        store = Store()
        store.set_str("quorum.provider", "corosync_votequorum")
        for node in range(1, nodes + 1):
            store.set_u32(f"nodelist.node.{node - 1}.nodeid", node)
            store.set_str(f"nodelist.node.{node - 1}.ring0_addr", f"192.0.2.{node}")
        for name, value in options.items():
            key = "quorum." + name.replace("__", ".")
            if isinstance(value, str):
                store.set_str(key, value)
            elif name.startswith("device"):
                store.set_u32(key, value)
            else:
                store.set_u8(key, value)
        self.now_ns = 0
        self.cluster = Simulation(store, lambda: self.now_ns)
        for node_id in self.cluster.configured():
            assert self.cluster.create(node_id, 0)
        self.advance(100)

    def advance(self, ms: int) -> None:
        end = self.now_ns + ms * MS
        while (due := self.cluster.next_ns()) is not None and due <= end:
            self.now_ns = max(self.now_ns, due)
            self.cluster.run()
        self.now_ns = end

    def split(self, *node_ids: int) -> None:
        """Into partition 1."""
        for node_id in node_ids:
            found = self.cluster.find(node_id)
            assert found is not None
            self.cluster.move(found[1], found[0], self.cluster.partitions[1])
        self.cluster.send_rings(new=True)
        self.advance(100)

    @property
    def quorate(self) -> list[int]:
        return [node.node_id for _, node in self.cluster.nodes() if node.service.quorate]


def test_the_majority_is_quorate() -> None:
    clock = Clock(3)
    assert clock.quorate == [1, 2, 3]
    assert clock.cluster.consistent()
    clock.split(1)
    assert sorted(clock.quorate) == [2, 3]


def test_the_last_man_needs_his_window() -> None:
    clock = Clock(4, last_man_standing=1)
    for lost in (4, 3):
        found = clock.cluster.find(lost)
        assert found is not None
        clock.cluster.remove(*found, "on request")
        clock.advance(11_000)
    assert clock.quorate == [1, 2]


def test_a_device_polls_and_votes() -> None:
    clock = Clock(2, device__model="net", device__votes=1)
    (_, one), _ = clock.cluster.nodes()
    one.switch_device(True, clock.now_ns)
    clock.cluster.deliver()
    clock.advance(11_000)
    clock.split(2)
    assert clock.quorate == [1]
    one.switch_device(False, clock.now_ns)
    clock.cluster.deliver()
    clock.advance(100)
    assert clock.quorate == []
    one.switch_device(True, clock.now_ns)
    clock.advance(6_000)
    assert clock.quorate == [1]


def test_who_leaves_is_reported() -> None:
    clock = Clock(2)
    gone: list[tuple[int, int, str]] = []
    clock.cluster.on_quit = lambda partition, node, why: gone.append((partition.number, node.node_id, why))
    found = clock.cluster.find(2)
    assert found is not None
    clock.cluster.remove(*found, "on request")
    clock.advance(100)
    assert gone == [(0, 2, "on request")]
    assert clock.cluster.find(2) is None
    assert clock.quorate == []
