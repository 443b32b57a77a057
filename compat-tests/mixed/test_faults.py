"""Crashes, stops, pauses and cuts at every position of a mixed ring: where it ends, and how soon.

The control is the same course of events on a ring of real nodes alone.
"""

import time
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from lab import Lab

from mixed.ring import TOKEN_MS, TOKEN_OPTIONS, Ring, Story, mixtures, of_running, others

# A step may take longer than on real nodes by this: chance decides who finds whom first, and the machine
# is shared.
FACTOR, SLACK_S = 1.5, 1.5
Steps = dict[str, float]


def majority(ring: Ring, members: tuple[int, ...]) -> bool:
    return len(members) > len(ring.engines) // 2


def apart(ring: Ring, *sides: tuple[int, ...]) -> dict[int, Story]:
    quorate = {number for side in sides if majority(ring, side) for number in side}
    return of_running(ring, sides, quorate)


def crash(ring: Ring, number: int) -> Iterator[tuple[str, float]]:
    ring.crash(number)
    yield "crash", ring.wait(apart(ring, tuple(others(ring, number))))
    # That one host answers with ICMP errors now must not disturb the links to the rest.
    ring.wait_links(ring.lab.links)
    ring.stays(2.5 * TOKEN_MS / 1000)
    ring.start(number)
    yield "restart", ring.wait_whole()


def crash_and_restart_at_once(ring: Ring, number: int) -> Iterator[tuple[str, float]]:
    ring.crash(number)
    ring.start(number)
    yield "crash and restart at once", ring.wait_whole()


def stop(ring: Ring, number: int) -> Iterator[tuple[str, float]]:
    ring.stop(number)
    yield "stop", ring.wait(apart(ring, tuple(others(ring, number))))
    ring.start(number)
    yield "start", ring.wait_whole()


def pause(ring: Ring, number: int) -> Iterator[tuple[str, float]]:
    ring.pause(number, 1.5)
    time.sleep(TOKEN_MS / 1000)  # whoever lost the token says so by then
    yield "pause", ring.wait_whole()
    ring.pause(number, 4)
    time.sleep(TOKEN_MS / 1000)
    yield "long pause", ring.wait_whole()


def cut_off(ring: Ring, number: int) -> Iterator[tuple[str, float]]:
    rest = tuple(others(ring, number))
    ring.cut((number,), rest)
    yield "cut off", ring.wait(apart(ring, (number,), rest))
    ring.lab.heal()
    yield "merge", ring.wait_whole()


def lose_link(ring: Ring, number: int) -> Iterator[tuple[str, float]]:
    for link in range(ring.lab.links):
        ring.lab.isolate(number, link)
        # knet gives a link up after a ping timeout. Compatibility: a token may be lost until then.
        time.sleep(3 * TOKEN_MS / 1000)
        yield f"without link {link}", ring.wait_whole()
        ring.stays(1.5)
        ring.lab.heal()
        ring.wait_links(ring.lab.links)
        ring.stays(1.5)
        yield f"with link {link} again", ring.wait_whole()


EVENTS: dict[str, Callable[[Ring, int], Iterator[tuple[str, float]]]] = {
    "crash": crash,
    "restart": crash_and_restart_at_once,
    "stop": stop,
    "pause": pause,
    "cut": cut_off,
    "link": lose_link,
}


def play(event: str, kinds: str) -> Steps:
    """What happens at each position in turn, and the seconds of each step."""
    steps: Steps = {}
    with Lab(hosts=len(kinds), links=2) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        ring.wait_links(2)
        for number in ring.engines:
            for step, seconds in EVENTS[event](ring, number):
                steps[f"n{number} {step}"] = seconds
        assert ring.complaints() == []
    return steps


def play_apart(kinds: str) -> Steps:
    """Every node for itself, and all together again."""
    with Lab(hosts=len(kinds), links=2) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        ring.wait_links(2)
        sides = [(number,) for number in ring.engines]
        ring.cut(*sides)
        steps = {"all apart": ring.wait(apart(ring, *sides))}
        lab.heal()
        steps["all together"] = ring.wait_whole()
        assert ring.complaints() == []
    return steps


@cache
def control(event: str, nodes: int) -> Steps:
    """The slowest position on real nodes alone counts for all: which one it is depends on chance."""
    steps = play_apart("r" * nodes) if event == "apart" else play(event, "r" * nodes)
    print(f"real alone: {_show(steps)}")
    return steps


def _show(steps: Steps) -> str:
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in steps.items())


def _slowest(steps: Steps) -> Steps:
    slowest: Steps = {}
    for name, seconds in steps.items():
        step = name.partition(" ")[2] if name[0] == "n" else name
        slowest[step] = max(slowest.get(step, 0.0), seconds)
    return slowest


def compare(found: Steps, expected: Steps) -> None:
    print(_show(found))
    limits = _slowest(expected)
    late = {
        name: f"{seconds:.1f} s, real alone {limits[name]:.1f} s"
        for name, seconds in _slowest(found).items()
        if seconds > limits[name] * FACTOR + SLACK_S
    }
    assert not late


@pytest.mark.long
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kinds", mixtures(3))
def test_at_every_position(kinds: str, event: str) -> None:
    compare(play(event, kinds), control(event, 3))


@pytest.mark.long
@pytest.mark.parametrize("kinds", mixtures(3))
def test_all_apart_and_together(kinds: str) -> None:
    compare(play_apart(kinds), control("apart", 3))


@pytest.mark.long
@pytest.mark.parametrize("event", ["crash", "stop", "cut"])
@pytest.mark.parametrize("kinds", ["orrro", "rooor"])
def test_five_nodes(kinds: str, event: str) -> None:
    compare(play(event, kinds), control(event, 5))
