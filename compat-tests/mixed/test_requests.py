"""Requests whose effect spreads over the ring, made on a node of either kind: against real nodes alone."""

import re
from collections.abc import Sequence
from functools import cache

import pytest
from lab import Lab, wait_until
from masking import mask

from mixed.ring import TOKEN_OPTIONS, Ring, Story

LINES = (
    "corosync-quorumtool -v 3",
    "corosync-quorumtool -n 3 -v 2",
    "corosync-quorumtool -n 1 -v 2",
    "corosync-quorumtool -e 9",
    "corosync-quorumtool -e 7",
    "corosync-quorumtool -n 9 -v 1",
    "corosync-cfgtool -R",
    "corosync-quorumtool -n 2 -v 0",
    "corosync-quorumtool -v 1",
)
SHOWN = ("corosync-quorumtool -s", "corosync-quorumtool -l", "corosync-cmapctl runtime.votequorum.")


def _seen(ring: Ring) -> tuple[str, ...]:
    found = []
    for number in sorted(ring.daemons):
        for command in SHOWN:
            text = mask(command, ring.lab[number].shell(command).stdout)
            found.append(f"n{number} " + re.sub(r"(Ring ID: +\d+).*", r"\1", text))
    return tuple(found)


@cache
def _votes(kinds: str, asked: int) -> Sequence[tuple[str, tuple[str, ...]]]:
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        course = [("start", _seen(ring))]
        for line in LINES:
            done = lab[asked].shell(line)
            ring.stays(0.5)
            course.append((f"{line}: {done.returncode} {done.stdout}{done.stderr}", _seen(ring)))
        # A node that comes back brings its own votes, and learns the others'.
        ring.stop(2)
        wait_until(lambda: all(s and len(s.members) == 2 for s in ring.stories().values()), "two")
        course.append(("stop n2", _seen(ring)))
        ring.start(2)
        wait_until(lambda: all(s and len(s.members) == 3 for s in ring.stories().values()), "three")
        ring.stays(0.5)
        course.append(("start n2", _seen(ring)))
        assert ring.complaints() == []
        return course


@pytest.mark.long
@pytest.mark.parametrize("asked", [1, 2, 3])
@pytest.mark.parametrize("kinds", ["rro", "oor", "oro"])
def test_votes_spread(kinds: str, asked: int) -> None:
    expected, found = _votes("rrr", asked), _votes(kinds, asked)
    for (line, seen), (wanted_line, wanted) in zip(found, expected, strict=True):
        assert (line, *seen) == (wanted_line, *wanted)


@cache
def _killed(kinds: str, killer: int, killed: int) -> int:
    """The status with which a node ends that another one kills."""
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        victim = ring.daemons.pop(killed)
        done = lab[killer].run("/usr/sbin/corosync-cfgtool", "-k", str(killed))
        assert done.returncode == 0, done.stdout + done.stderr
        status = victim.wait()
        rest = tuple(sorted(ring.daemons))
        ring.wait(dict.fromkeys(rest, Story(rest, True)))
        ring.start(killed)
        ring.wait_whole()
        return status


@pytest.mark.long
@pytest.mark.parametrize(("killer", "killed"), [(1, 2), (2, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize("kinds", ["ror", "roo", "oro"])
def test_a_node_is_killed(kinds: str, killer: int, killed: int) -> None:
    assert _killed(kinds, killer, killed) == _killed("rrr", 1, 2)


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["ro", "or"])
def test_two_nodes_wait_for_all(kinds: str) -> None:
    with Lab(hosts=2) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS, quorum={"two_node": 1})
        ring.start(1)
        ring.wait({1: Story((1,), False)})
        ring.start(2)
        ring.wait_whole()
        for number in (1, 2):
            ring.crash(number)
            ring.wait({3 - number: Story((3 - number,), True)})
            ring.start(number)
            ring.wait_whole()
        ring.cut((1,), (2,))
        ring.wait({1: Story((1,), True), 2: Story((2,), True)})
        lab.heal()
        ring.wait_whole()
        assert ring.complaints() == []


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["orro", "roor", "oorr", "rroo"])
def test_halves_with_a_tie_breaker(kinds: str) -> None:
    quorum = {"auto_tie_breaker": 1, "last_man_standing": 1, "last_man_standing_window": 2000}
    with Lab(hosts=4) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS, quorum=quorum)
        ring.start()
        ring.wait_whole()
        for lucky in ((1, 2), (1, 4)):
            other = tuple(sorted({1, 2, 3, 4} - set(lucky)))
            ring.cut(lucky, other)
            ring.wait({n: Story(lucky, True) for n in lucky} | {n: Story(other, False) for n in other})
            lab.heal()
            ring.wait_whole()
        # One after the other goes; after each the window passes and the rest is the electorate.
        for gone in (4, 3, 2):
            ring.crash(gone)
            rest = tuple(sorted(ring.daemons))
            ring.wait(dict.fromkeys(rest, Story(rest, True)))
            ring.stays(4)
        for number in (2, 3, 4):
            ring.start(number)
        ring.wait_whole()
        assert ring.complaints() == []


@cache
def _old_configuration(kinds: str, old: int) -> int:
    """The status with which the node ends whose file has the lower version."""
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS | {"config_version": 5})
        rest = tuple(number for number in (1, 2, 3) if number != old)
        ring.start(*rest)
        ring.wait_whole()
        conf = ring.conf.replace("config_version: 5", "config_version: 4")
        status = ring.engines[old].start(lab[old], conf, False).wait()
        ring.wait(dict.fromkeys(rest, Story(rest, True)))
        ring.start(old)
        ring.wait_whole()
        return status


@pytest.mark.long
@pytest.mark.parametrize("old", [1, 3])
@pytest.mark.parametrize("kinds", ["orr", "rro", "oor", "roo"])
def test_an_old_configuration_ends_the_daemon(kinds: str, old: int) -> None:
    assert _old_configuration(kinds, old) == _old_configuration("rrr", old)
