"""The distribution's corosync-qdevice and corosync-qnetd with our nodes: never two quorate sides.

What corosync-qdevice's history teaches (T50: a vote that comes too late after a death, qnetd that shuts down,
the tie breaker that keeps the active partition) is tried here: qnetd is killed, started again, cut off; the
votes of the survivors are waited for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from lab import Lab

from quorum.court import Court
from quorum.record import engines
from quorum.sides import Reign, conflicts, reigns

FFSPLIT = {"votes": "1", "net.algorithm": "ffsplit"}
LMS = {"net.algorithm": "lms"}
HEURISTICS = {"heuristics.mode": "on", "heuristics.exec_ping": "/bin/test -e /var/log/well"}
ACTIVE = {"net.keep_active_partition_tie_breaker": "on"}
VOTES = "A,V,NMW"


@contextmanager
def court(kinds: str, device: dict[str, str]) -> Iterator[Court]:
    """The cluster, quorate, with its device registered and voting on every node."""
    with Lab(hosts=len(kinds) + 1) as lab:
        found = Court(lab, engines(kinds, len(kinds)), device)
        try:
            found.certify()
            for node in found.nodes:
                lab[node].write("/var/log/well", "")
            found.start_qnetd()
            found.start()
            found.start_qdevices()
            found.wait(found.nodes, device=VOTES)
            yield found
            assert found.two_sides() == []
        finally:
            found.close()


def split_and_heal(found: Court, *sides: tuple[int, ...]) -> set[int]:
    """The device decides: exactly one side is quorate. Returns it."""
    found.split(*sides)
    found.wait_members(*sides)
    winners = found.quorate_nodes()
    assert tuple(sorted(winners)) in sides, winners
    found.heal()
    found.wait_members(found.nodes)
    found.wait(found.nodes, device=VOTES)
    return winners


def lose_and_get_back_qnetd(found: Court) -> None:
    """Without qnetd the device does not vote, with it again it does."""
    found.kill_qnetd()
    found.wait(found.nodes, device=",NV,NMW")
    found.start_qnetd()
    found.wait(found.nodes, device=VOTES)


@pytest.mark.parametrize("kinds", ["oo", pytest.param("or", marks=pytest.mark.long)])
def test_two_nodes(kinds: str) -> None:
    with court(kinds, FFSPLIT) as found:
        assert split_and_heal(found, (1,), (2,)) == {1}
        found.crash(1)
        found.wait((2,), device=VOTES)
        found.start(1)
        found.start_qdevices(1)
        found.wait((1, 2), device=VOTES)
        lose_and_get_back_qnetd(found)


SIDES = {2: ((1,), (2,)), 3: ((1,), (2, 3)), 4: ((1, 2), (3, 4))}
CASES = [
    pytest.param(kinds, device, id=f"{kinds}-{name}")
    for kinds in ("oo", "ooo", "oooo", "oro", "roor")
    for name, device in {
        "ffsplit": FFSPLIT,
        "lms": LMS,
        "ffsplit-heuristics": FFSPLIT | HEURISTICS,
        "lms-heuristics": LMS | HEURISTICS,
        "ffsplit-active": FFSPLIT | ACTIVE,
    }.items()
    # With two or four nodes lms is for the last man, ffsplit for even clusters.
    if len(kinds) % 2 == 0 or "lms" in name
]


@pytest.mark.long
@pytest.mark.parametrize(("kinds", "device"), CASES)
def test_the_whole_life(kinds: str, device: dict[str, str]) -> None:
    with court(kinds, device) as found:
        sides = SIDES[len(kinds)]
        split_and_heal(found, *sides)
        lose_and_get_back_qnetd(found)
        # The side that does not reach qnetd loses, the other wins.
        found.split(*sides, from_judge=sides[0])
        found.wait(sides[1], sides[0])
        found.heal()
        found.wait_members(found.nodes)
        found.wait(found.nodes, device=VOTES)
        # Half the nodes die, or all but the last.
        dead = found.nodes[1:] if "ffsplit" not in device.values() else sides[1]
        found.crash(*dead)
        found.wait([node for node in found.nodes if node not in dead])
        found.start(*dead)
        found.start_qdevices(*dead)
        found.wait_members(found.nodes)
        found.wait(found.nodes, device=VOTES)


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["oo", "ro"])
def test_heuristics_decide(kinds: str) -> None:
    with court(kinds, FFSPLIT | HEURISTICS) as found:
        # The tie breaker would take node 1; but its heuristics fail.
        found.lab[1].path("/var/log/well").unlink()
        assert split_and_heal(found, (1,), (2,)) == {2}


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["oo", "ro"])
def test_forced_unregistration_and_reload(kinds: str) -> None:
    with court(kinds, FFSPLIT) as found:
        assert found.stage.unregister(1) == "CS_OK"
        found.wait(found.nodes)
        status = found.status(1)
        assert status is not None
        assert "Qdevice" not in status.flags
        found.stop_qdevices()
        with_device = found.configuration
        found.configuration = replace(with_device, quorum={}, version=2)
        found.reload()
        found.stage.look(dict.fromkeys(found.nodes, found.nodes), None)
        status = found.status(1)
        assert status is not None
        assert (status.expected, status.quorum, status.device) == (2, 2, "")
        found.configuration = replace(with_device, version=3)
        found.reload()
        found.start_qdevices()
        found.wait(found.nodes, device=VOTES)
        split_and_heal(found, (1,), (2,))


def test_two_sides_are_seen() -> None:
    one = reigns(1, ["[1.0, true, [1, 2]]", "[5.0, true, [1]]"], 20.0)
    same = reigns(2, ["[1.0, true, [1, 2]]", "[5.5, false, [2]]"], 20.0)
    assert conflicts({1: one, 2: same}) == []
    other = reigns(2, ["[1.0, true, [1, 2]]", "[5.0, true, [2]]"], 20.0)
    assert conflicts({1: one, 2: other}) == [
        (Reign(1, 5.0, 20.0, frozenset({1})), Reign(2, 5.0, 20.0, frozenset({2})))
    ]
