"""Messages of one ring by number: holes, delivery in order, release (corosync: include/corosync/sq.h).

Numbers start at 1 on each ring. All messages up to `released` are gone, up to `delivered` have been passed
on, up to `aru` are there without a hole, and none above `high_seq` is known. Never more than WINDOW_MAX are
kept.
"""

from typing import Final

from pycorosync.totem.messages import Mcast
from pycorosync.totem.sequence import MASK, distance, precedes

WINDOW_MAX: Final = 16384


class Window:
    """The messages of one ring."""

    __slots__ = ("_messages", "_misses", "aru", "delivered", "high_seq", "released")

    def __init__(self, start: int = 0) -> None:
        self.released = self.delivered = self.aru = self.high_seq = start
        self._messages: dict[int, Mcast] = {}
        self._misses: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def in_range(self, seq: int) -> bool:
        """Whether a message of this number may be kept: not released before, and not too far ahead."""
        return 0 < ((seq - self.released) & MASK) <= WINDOW_MAX

    def get(self, seq: int) -> Mcast | None:
        return self._messages.get(seq)

    def add(self, message: Mcast) -> bool:
        """Keep a message and advance `aru`; False for one that is here already, or out of range."""
        seq, messages = message.seq, self._messages
        if seq in messages or not self.in_range(seq):
            return False
        messages[seq] = message
        if self._misses:
            self._misses.pop(seq, None)
        if precedes(self.high_seq, seq):
            self.high_seq = seq
        following = (self.aru + 1) & MASK
        while following in messages:
            self.aru = following
            following = (following + 1) & MASK
        return True

    def take_contiguous(self) -> list[Mcast]:
        """What can be delivered now: everything up to the first hole."""
        count = (self.aru - self.delivered) & MASK
        if not count:
            return []
        messages, start = self._messages, self.delivered
        self.delivered = self.aru
        return [messages[(start + step) & MASK] for step in range(1, count + 1)]

    def take_rest(self) -> list[Mcast]:
        """Everything that is left up to `high_seq`, holes skipped: the ring that could fill them is gone."""
        count = distance(self.delivered, self.high_seq)
        start = self.delivered
        self.delivered = self.high_seq
        found = (self._messages.get((start + step) & MASK) for step in range(1, count + 1))
        return [message for message in found if message is not None]

    def between(self, low: int, high: int) -> list[Mcast]:
        """The messages that are here with low < number <= high."""
        found = (self._messages.get((low + step) & MASK) for step in range(1, distance(low, high) + 1))
        return [message for message in found if message is not None]

    def missing(self, up_to: int, room: int, miss_count_const: int) -> list[int]:
        """Up to `room` numbers to ask for again: missing up to `up_to`, now for the miss_count_const-th time.

        Each call counts one miss for every number it looks at.
        """
        wanted: list[int] = []
        start, messages, misses = self.aru, self._messages, self._misses
        for step in range(1, distance(start, up_to) + 1):
            seq = (start + step) & MASK
            if len(wanted) >= room or not self.in_range(seq):
                break
            if seq not in messages:
                misses[seq] = count = misses.get(seq, 0) + 1
                if count >= miss_count_const:
                    wanted.append(seq)
        return wanted

    def release(self, up_to: int) -> None:
        """Forget messages up to `up_to`, but none that was not delivered."""
        if precedes(self.delivered, up_to):
            up_to = self.delivered
        if not precedes(self.released, up_to):
            return
        start, messages = self.released, self._messages
        for step in range(1, distance(start, up_to) + 1):
            messages.pop((start + step) & MASK, None)
        self.released = up_to
