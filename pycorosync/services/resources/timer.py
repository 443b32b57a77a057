"""A timer that is started where the time is not known: in a tracker of the map."""

MS_NS = 1_000_000


class Timer:
    """Expires once, `delay_ns` after the first look at the clock that follows start()."""

    __slots__ = ("_deadline_ns", "_delay_ns")

    def __init__(self) -> None:
        self._delay_ns: int | None = None  # started, the clock not yet looked at
        self._deadline_ns: int | None = None

    def start(self, delay_ns: int) -> None:
        """Begin, or begin again."""
        self._delay_ns, self._deadline_ns = delay_ns, None

    def stop(self) -> None:
        """It will not expire."""
        self._delay_ns = self._deadline_ns = None

    def next_deadline(self) -> int | None:
        """When expired() is to be asked; 0 stands for at once."""
        return 0 if self._delay_ns is not None else self._deadline_ns

    def expired(self, now_ns: int) -> bool:
        """Whether the time has come; it is told once."""
        if self._delay_ns is not None:
            self._deadline_ns = now_ns + self._delay_ns
            self._delay_ns = None
        if self._deadline_ns is None or self._deadline_ns > now_ns:
            return False
        self._deadline_ns = None
        return True
