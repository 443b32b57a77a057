"""The table of groups keeps its order and forgets what is empty."""

from random import Random

import pytest

from pycorosync.services.cpg.groups import Groups, Process
from pycorosync.services.cpg.messages import Iteration


def test_processes_are_ordered_by_node_pid_and_time() -> None:
    groups = Groups()
    for process in (Process(2, 1, b"g"), Process(1, 9, b"h"), Process(1, 9, b"g"), Process(1, 2, b"g")):
        assert groups.add(process)
    assert list(groups) == [(1, 2, b"g"), (1, 9, b"h"), (1, 9, b"g"), (2, 1, b"g")]
    assert groups.members(b"g") == [(1, 2, b"g"), (1, 9, b"g"), (2, 1, b"g")]


def test_a_process_is_in_a_group_once() -> None:
    groups = Groups()
    assert groups.add(Process(1, 1, b"g"))
    assert not groups.add(Process(1, 1, b"g"))
    assert groups.add(Process(1, 1, b"h"))
    assert len(groups) == 2
    assert groups.remove(Process(1, 1, b"g"))
    assert not groups.remove(Process(1, 1, b"g"))
    assert list(groups) == [(1, 1, b"h")]


def test_groups_without_members_and_receivers_are_forgotten() -> None:
    groups = Groups()
    groups.add(Process(1, 1, b"g"))
    groups.set_receivers(b"g", [7])
    groups.remove(Process(1, 1, b"g"))
    assert groups.get(b"g").receivers == (7,)
    groups.set_receivers(b"g", [])
    groups.set_receivers(b"never", [])
    assert groups.by_name == {}


def test_nodes_with_members_are_counted() -> None:
    groups = Groups()
    for pid in (1, 2):
        groups.add(Process(3, pid, b"g"))
    assert set(groups.get(b"g").nodes) == {3}
    groups.remove(Process(3, 1, b"g"))
    assert set(groups.get(b"g").nodes) == {3}
    groups.remove(Process(3, 2, b"g"))
    assert set(groups.get(b"g").nodes) == set()


def test_listing_of_one_group_of_three_has_the_first_first() -> None:
    groups = Groups()
    for pid in (1, 2, 3):
        groups.add(Process(1, pid, b"g"))
    assert [process.pid for process in groups.listing(Iteration.ALL, b"")] == [1, 3, 2]


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_keeps_the_table_consistent(seed: int) -> None:
    rng = Random(seed)
    groups, expected = Groups(), set()
    for _ in range(500):
        process = Process(rng.randint(1, 4), rng.randint(1, 10), rng.choice((b"a", b"b", b"c")))
        if rng.random() < 0.5:
            assert groups.add(process) == (process not in expected), f"seed {seed}"
            expected.add(process)
        else:
            assert groups.remove(process) == (process in expected), f"seed {seed}"
            expected.discard(process)
        assert set(groups) == expected
        assert [each[:2] for each in groups] == sorted(each[:2] for each in expected)
        for name, group in groups.by_name.items():
            assert [each for each in groups if each.group == name] == group.members
            assert sum(group.nodes.values()) == len(group.members)
    gone = groups.remove_where(lambda process: process.node_id < 3)
    assert set(gone) == {each for each in expected if each.node_id < 3}
