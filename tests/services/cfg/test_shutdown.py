"""The vote about a shutdown (pycorosync/services/cfg/shutdown.py)."""

import pytest

from pycorosync.services.cfg.messages import ShutdownFlag
from pycorosync.services.cfg.shutdown import ShutdownVote, Vote


def vote(*clients: int, flags: int = ShutdownFlag.REQUEST) -> ShutdownVote:
    made = ShutdownVote(9, flags, 0)
    for client in clients:
        made.ask(client)
    return made


def test_everybody_must_agree() -> None:
    asked = vote(1, 2)
    asked.answer(1, Vote.YES)
    assert asked.decision is None
    asked.answer(2, Vote.YES)
    assert asked.decision is True


@pytest.mark.parametrize(("flags", "decision"), [(0, False), (1, True), (7, False)])
def test_one_objection_stops_it_unless_regardless(flags: int, decision: bool) -> None:
    asked = vote(1, 2, flags=flags)
    asked.answer(1, Vote.NO)
    assert asked.decision is None
    asked.answer(2, Vote.YES)
    assert asked.decision is decision


def test_a_client_has_one_vote() -> None:
    asked = vote(1, 2)
    asked.answer(1, Vote.NO)
    asked.answer(1, Vote.YES)
    assert asked.decision is None
    assert (asked.count(Vote.NO), asked.count(Vote.YES), asked.count(Vote.UNKNOWN)) == (1, 0, 1)


def test_nobody_else_has_one() -> None:
    asked = vote(1)
    asked.answer(9, Vote.YES)
    asked.leave(9)
    assert asked.decision is None


def test_who_leaves_agrees() -> None:
    asked = vote(1, 2)
    asked.answer(1, Vote.NO)
    asked.leave(1)
    asked.leave(2)
    assert asked.decision is True


@pytest.mark.parametrize(("flags", "decision"), [(0, False), (1, True)])
def test_silence_is_an_objection(flags: int, decision: bool) -> None:
    asked = vote(1, 2, flags=flags)
    asked.answer(1, Vote.YES)
    asked.expire()
    assert asked.decision is decision
