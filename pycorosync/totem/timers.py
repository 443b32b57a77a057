"""The ring's timers and their deadlines (corosync: the timer_* handles of exec/totemsrp.c)."""

from enum import IntEnum, auto

from pycorosync.deadlines import first_of


class Timer(IntEnum):
    """Each timer and what its end means."""

    TOKEN = auto()  # no token came: the ring is broken; in GATHER: consensus did not lead to a ring
    TOKEN_WARNING = auto()  # most of the token timeout has passed: tell the operator
    TOKEN_RETRANSMIT = auto()  # the token that we sent has not come round: send it again
    TOKEN_HOLD = auto()  # the idle ring's token was held long enough: send it on
    MERGE_DETECT = auto()  # the ring has been idle: tell other rings that we are here
    JOIN = auto()  # repeat our join message
    SEND_JOIN = auto()  # the random delay before a join message is over
    CONSENSUS = auto()  # those who have not agreed by now count as failed
    HEARTBEAT = auto()  # several tokens are overdue: do not wait for the token timeout


class Timers:
    """Deadlines of the timers that run, in nanoseconds of the caller's monotonic clock."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Timer, int] = {}

    def set(self, timer: Timer, deadline_ns: int) -> None:
        """Start or restart a timer."""
        self._deadlines[timer] = deadline_ns

    def cancel(self, *timers: Timer) -> None:
        for timer in timers:
            self._deadlines.pop(timer, None)

    def clear(self) -> None:
        self._deadlines.clear()

    def runs(self, timer: Timer) -> bool:
        return timer in self._deadlines

    def deadline(self, timer: Timer) -> int | None:
        return self._deadlines.get(timer)

    def next_deadline(self) -> int | None:
        first: int | None = None
        for deadline_ns in self._deadlines.values():
            first = first_of(first, deadline_ns)
        return first

    def pop_expired(self, now_ns: int) -> Timer | None:
        """Stop and return the timer whose deadline passed first; None when no deadline has passed."""
        deadlines = self._deadlines
        if not deadlines:
            return None
        timer = min(deadlines, key=deadlines.__getitem__)
        if deadlines[timer] > now_ns:
            return None
        del deadlines[timer]
        return timer
