"""Which messages of a peer have been seen (libknet: the circular buffers of host.c; protocol/knet.md).

Sequence numbers have 16 bits and wrap. A number is behind or ahead of another, whichever way round is
shorter.
"""

from typing import Final

WINDOW_SIZE: Final = 4096
SEQ_MASK: Final = 0xFFFF
HALF_WAY: Final = 0x8000


def behind(newest: int, seq: int) -> int:
    """How far `seq` is behind `newest`; HALF_WAY and more means ahead."""
    return (newest - seq) & SEQ_MASK


class SequenceWindow:
    """Remembers the last 4096 numbers up to the newest: was the message delivered, was it begun.

    Compatibility: libknet 1.25 computes distances one too small when a number is below the newest, so its
    window has 4097 numbers there, two of them in one place. Nobody depends on it.
    """

    __slots__ = ("_begun", "_delivered", "newest")

    def __init__(self) -> None:
        self.newest = 0  # 0 = nothing was seen yet, as 0 is no number of a message
        self._delivered = bytearray(WINDOW_SIZE)
        self._begun = bytearray(WINDOW_SIZE)

    def reset(self, newest: int) -> None:
        """Forget everything: the peer counts anew."""
        self.newest = newest
        self._delivered = bytearray(WINDOW_SIZE)
        self._begun = bytearray(WINDOW_SIZE)

    def admits(self, seq: int) -> bool:
        """Whether a message with this number is new; moves the window if it is ahead or far away."""
        if seq == self.newest or not self.newest:
            self.newest = seq
            return not self._delivered[seq % WINDOW_SIZE]
        distance = behind(self.newest, seq)
        if distance < WINDOW_SIZE:
            return not self._delivered[seq % WINDOW_SIZE]
        if distance < SEQ_MASK + 1 - WINDOW_SIZE:
            # Far from everything known: we missed very much, or the peer was restarted.
            self.reset(seq)
            return True
        if distance == SEQ_MASK:  # the next one, nearly always
            self._delivered[seq % WINDOW_SIZE] = self._begun[seq % WINDOW_SIZE] = 0
        else:
            for number in range(self.newest + 1, self.newest + 1 + ((seq - self.newest) & SEQ_MASK)):
                self._delivered[number % WINDOW_SIZE] = self._begun[number % WINDOW_SIZE] = 0
        self.newest = seq
        return True

    def mark(self, seq: int) -> None:
        """The message was delivered."""
        self._delivered[seq % WINDOW_SIZE] = 1

    def begin(self, seq: int) -> bool:
        """The first fragment of a message is there. False if it was so before: it was given up then."""
        index = seq % WINDOW_SIZE
        if self._begun[index]:
            return False
        self._begun[index] = 1
        return True


class RestartDetector:
    """Tells from a peer's pings that its sequence numbers begin anew.

    Pings come on each link, so only the first with a new number counts. A ping by the clock with number 0
    comes from a process that has sent no data yet. A ping by number (each 8191 messages) to somebody who
    got no data since the last one tells that the numbers have moved on meanwhile, perhaps all the way
    round. Numbers that go back on one and the same link begin anew, too.

    Compatibility: libknet does not look at numbers that go back. Who has missed a peer's pings with number 0
    drops its messages as duplicates until it has sent as many as before.
    """

    __slots__ = ("_by_link", "_timed", "_untimed", "got_data")

    def __init__(self) -> None:
        self._timed = 0
        self._untimed = 0
        self._by_link: dict[int, int] = {}
        self.got_data = False  # set by whoever accepts data

    def is_restart(self, seq: int, link: int, *, timed: bool) -> bool:
        """Whether this ping means that everything known about the peer's numbers is to be forgotten."""
        before = self._by_link.get(link, seq)
        self._by_link[link] = seq
        if timed:
            changed, self._timed = seq != self._timed, seq
            begins_anew = changed and (seq == 0 or 0 < behind(before, seq) < HALF_WAY)
            if begins_anew:
                self._by_link = {link: seq}  # once for all links
            return begins_anew
        if seq == self._untimed:
            return False
        self._untimed = seq
        had_data, self.got_data = self.got_data, False
        return not had_data
