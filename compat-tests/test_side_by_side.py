"""The same commands on the distribution's corosync and on this one, in the same states: what do they print?

Each state is set up four times: real tools on the real daemon (the reference), real tools on our daemon
(tests the daemon), our tools on the real daemon (tests the tools), and ours on ours.
"""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import pytest
from commands import ASK, CHANGE, STOP
from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from masking import mask


@dataclass(frozen=True)
class State:
    """Which hosts there are, which of them run a daemon, and with which configuration."""

    hosts: int = 1
    running: int = 1
    links: int = 1
    transport: str = "knet"
    crypto: bool = False
    quorum: Mapping[str, object] = field(default_factory=dict)


STATES = {
    "one-knet": State(),
    "one-knet-2links-crypto": State(links=2, crypto=True),
    "one-udpu": State(transport="udpu"),
    "alone-of-two": State(hosts=2),
}
LONG_STATES = {
    "two-knet": State(hosts=2, running=2),
    "one-udp": State(transport="udp"),
    "one-noquorum": State(quorum={"provider": None}),
    "alone-of-two-udpu": State(hosts=2, transport="udpu"),
    "two-knet-2links-crypto": State(hosts=2, running=2, links=2, crypto=True),
    "two-udpu": State(hosts=2, running=2, transport="udpu"),
    "two_node-waits-for-all": State(hosts=2, quorum={"two_node": 1}),
    "two_node-both": State(hosts=2, running=2, quorum={"two_node": 1}),
    "three-of-five": State(hosts=5, running=3, quorum={"last_man_standing": 1, "auto_tie_breaker": 1}),
}


class Answer(NamedTuple):
    """What one command line printed, and its exit status."""

    command: str
    text: str


def _answer(host: Host, command: str) -> Answer:
    done = host.shell(command)
    text = f"status {done.returncode}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}"
    return Answer(command, mask(command, text))


@contextmanager
def in_state(state: State, daemon: Engine, tools: Engine) -> Iterator[tuple[Host, Process]]:
    """The first host of the cluster, and its daemon, when every member sees every other."""
    with Lab(hosts=state.hosts, links=state.links) as lab:
        conf = corosync_conf(lab, transport=state.transport, crypto=state.crypto, quorum=state.quorum)
        members = lab.hosts[: state.running]
        processes = [daemon.start(host, conf) for host in members]
        for host in members:
            wait_until(lambda host=host: _settled(host, state), f"{host.name} to see all members")  # type: ignore[misc]
        tools.install_tools(members[0])
        yield members[0], processes[0]


def _settled(host: Host, state: State) -> bool:
    listed = host.run("/usr/sbin/corosync-cmapctl", "runtime.members").stdout
    links = host.run("/usr/sbin/corosync-cfgtool", "-n").stdout
    reached = links.count("enabled connected") >= (state.running - 1) * state.links
    mtu_known = "mtu: 0" not in links and links.count("mtu: 469") == 0
    return listed.count("= joined") == state.running and (
        state.transport != "knet" or (reached and mtu_known)
    )


@cache
def transcript(name: str, daemon: Engine, tools: Engine) -> tuple[Answer, ...]:
    """Every command's answer; the same state for all of them is set up once."""
    state = (STATES | LONG_STATES)[name]
    with in_state(state, daemon, tools) as (host, process):
        answers = [_answer(host, command) for command in (*ASK, *CHANGE)]
        answers.append(_answer(host, STOP[0]))
        answers.append(Answer("the daemon's exit status", str(process.wait())))
        answers += [_answer(host, command) for command in STOP[1:]]
    return tuple(answers)


def differences(expected: tuple[Answer, ...], found: tuple[Answer, ...]) -> list[str]:
    reports = []
    for wanted, got in zip(expected, found, strict=True):
        if wanted.text != got.text:
            lines = difflib.unified_diff(
                wanted.text.splitlines(), got.text.splitlines(), "real", "found", lineterm="", n=1
            )
            reports.append(f"$ {wanted.command}\n" + "\n".join(lines))
    return reports


def cases() -> Iterator[object]:
    """In short runs our tools are tested in the first state only: the daemon differs between states."""
    first = next(iter(STATES))
    for name in (*STATES, *LONG_STATES):
        for daemon, tools in ((OURS, REAL), (REAL, OURS), (OURS, OURS)):
            short = name == first or (name in STATES and tools is REAL)
            marks = [] if short else [pytest.mark.long]
            yield pytest.param(name, daemon, tools, id=f"{name}-{daemon}-daemon-{tools}-tools", marks=marks)


@pytest.mark.parametrize(("name", "daemon", "tools"), list(cases()))
def test_both_sides_answer_alike(name: str, daemon: Engine, tools: Engine) -> None:
    found = differences(transcript(name, REAL, REAL), transcript(name, daemon, tools))
    total = len(transcript(name, REAL, REAL))
    print(f"{total - len(found)} of {total} commands alike")
    assert not found, f"{len(found)} of {total} differ:\n\n" + "\n\n".join(found)


@pytest.mark.long
@pytest.mark.parametrize("name", [*STATES, *LONG_STATES])
def test_two_runs_of_real_corosync_are_alike(name: str) -> None:
    # The control: what this finds is not a difference between implementations.
    again = transcript.__wrapped__(name, REAL, REAL)
    assert not differences(transcript(name, REAL, REAL), again)


def test_a_difference_is_found() -> None:
    wanted = (Answer("corosync-quorumtool -s", mask("corosync-quorumtool -s", "Date: now\nQuorate:  Yes\n")),)
    got = (Answer("corosync-quorumtool -s", mask("corosync-quorumtool -s", "Date: then\nQuorate:  No\n")),)
    assert differences(wanted, wanted) == []
    assert "+Quorate:  No" in differences(wanted, got)[0]
