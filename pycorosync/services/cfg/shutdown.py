"""Whether the local node may be shut down: one vote among the clients that asked to be asked
(corosync: exec/cfg.c, check_shutdown_status and around it). Specification: protocol/cfg.md.

Compatibility: corosync only counts how often YES and NO were said, so that a client's second answer, or one
that nobody asked for, decides for another. Here each client that was asked has one vote, its first.
"""

from enum import Enum

from pycorosync.services.cfg.messages import ShutdownFlag
from pycorosync.types import ClientId


class Vote(Enum):
    """What a client has said so far."""

    UNKNOWN = "unknown"
    YES = "yes"
    NO = "no"


class ShutdownVote:
    """One attempt, from the request of `originator` until it is decided or its time is over."""

    def __init__(self, originator: ClientId, flags: int, deadline_ns: int) -> None:
        self.originator = originator
        self.flags = flags
        self.deadline_ns = deadline_ns
        self._votes: dict[ClientId, Vote] = {}

    def ask(self, client: ClientId) -> None:
        """Count on this client's answer."""
        self._votes[client] = Vote.UNKNOWN

    def answer(self, client: ClientId, vote: Vote) -> None:
        """A client's answer; later ones and those of others change nothing."""
        if self._votes.get(client) is Vote.UNKNOWN:
            self._votes[client] = vote

    def leave(self, client: ClientId) -> None:
        """A client that goes, or does not want to be asked any more, agrees."""
        if client in self._votes:
            self._votes[client] = Vote.YES

    def expire(self) -> None:
        """Time is over: who has not answered is against it."""
        self._votes = {
            client: Vote.NO if vote is Vote.UNKNOWN else vote for client, vote in self._votes.items()
        }

    def count(self, vote: Vote) -> int:
        return sum(given is vote for given in self._votes.values())

    @property
    def decision(self) -> bool | None:
        """True: shut down; False: do not; None: answers are missing."""
        if self.count(Vote.UNKNOWN):
            return None
        return self.flags == ShutdownFlag.REGARDLESS or not self.count(Vote.NO)
