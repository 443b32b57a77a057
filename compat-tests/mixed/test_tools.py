"""What the tools say on every node of a mixed ring, against the same ring of real nodes alone."""

import difflib
import re
from functools import cache
from typing import NamedTuple

import pytest
from lab import Lab, wait_until
from masking import mask

from mixed.ring import TOKEN_OPTIONS, Ring, turns
from mixed.talk import Talkers

COMMANDS = (
    "corosync-quorumtool -l",
    "corosync-quorumtool -s",
    "corosync-quorumtool -li",
    "corosync-cfgtool -s",
    "corosync-cfgtool -n",
    "corosync-cpgtool",
    "corosync-cpgtool -e",
    "corosync-cmapctl runtime.members.",
    "corosync-cmapctl runtime.votequorum. quorum. nodelist. totem.",
)


class Shape(NamedTuple):
    """A ring but for who runs what."""

    transport: str
    links: int
    crypto: bool


SHAPES = {
    "knet-1-clear": Shape("knet", 1, False),
    "knet-1-crypto": Shape("knet", 1, True),
    "knet-2-clear": Shape("knet", 2, False),
    "knet-2-crypto": Shape("knet", 2, True),
    "udpu": Shape("udpu", 1, False),
    "udp": Shape("udp", 1, False),
}


def tell(shape: Shape, kinds: str) -> dict[str, str]:
    """The answers of every node by the distribution's tools, and of ours by our own tools too."""
    with Lab(hosts=len(kinds), links=shape.links) as lab:
        ring = Ring(lab, kinds, transport=shape.transport, crypto=shape.crypto, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        if shape.transport == "knet":
            ring.wait_links(shape.links)
        # One CPG member on each node; they say nothing.
        talkers = Talkers(ring, seed=1, per_second=0)
        for host in lab.hosts:
            talkers.start(host.number)
            wait_until(lambda: talkers.all[-1].count("v"), "the member to join")
        answers = {}
        for host in lab.hosts:
            for command in COMMANDS:
                answers[f"{host.name}: {command}"] = _answer(host.shell(command).stdout, command)
        for host in lab.hosts:
            ring.engines[host.number].install_tools(host)
            for command in COMMANDS:
                again = _answer(host.shell(command).stdout, command)
                assert again == answers[f"{host.name}: {command}"], "the tools of each do not agree"
        assert ring.complaints() == []
        for number in sorted(ring.engines, reverse=True):
            ring.stop(number)
        return answers


def _answer(text: str, command: str) -> str:
    text = mask(command, text)
    text = re.sub(r"^(Ring ID: +\d+\.)[0-9a-f]+", r"\1<seq>", text, flags=re.MULTILINE)
    # How often a node joined, and when, depends on who found whom first.
    text = re.sub(r"(join_count.* = )\d+", r"\1<count>", text)
    return re.sub(r"^runtime.votequorum.lowest_node_id.*\n", "", text, flags=re.MULTILINE)


@cache
def real(name: str, nodes: int) -> dict[str, str]:
    return tell(SHAPES[name], "r" * nodes)


def cases() -> list[object]:
    few = [(name, kinds) for name in SHAPES for nodes in (2, 3) for kinds in turns(nodes)]
    many = [("knet-2-crypto", kinds) for nodes in (4, 5) for kinds in turns(nodes)]
    return [pytest.param(*case, id="-".join(case)) for case in few + many]


@pytest.mark.long
@pytest.mark.parametrize(("name", "kinds"), cases())
def test_every_node_tells_the_same_story(name: str, kinds: str) -> None:
    expected = real(name, len(kinds))
    found = tell(SHAPES[name], kinds)
    differences = [
        f"{key}\n"
        + "\n".join(difflib.unified_diff(expected[key].splitlines(), text.splitlines(), lineterm="", n=1))
        for key, text in found.items()
        if text != expected[key]
    ]
    assert not differences, "\n\n".join(differences)
