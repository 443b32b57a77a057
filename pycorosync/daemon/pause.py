"""Notices that the process was not scheduled for too long (corosync: scheduler timeout of exec/main.c)."""

import time
from collections.abc import Callable

from pycorosync.cmap.stats import ScheduleMisses
from pycorosync.log import subsystem

LOG = subsystem("MAIN")

_MS = 1_000_000
# A look every third of the token timeout; a gap above 0.8 of it is worth a warning.
_LOOK_FRACTION, _WARN_FRACTION = 3, 0.8


class PauseDetector:
    """Wants to be asked for its deadline after every wake-up; says when it next wants one."""

    def __init__(self, token_timeout_ms: Callable[[], int]) -> None:
        self.misses = ScheduleMisses()
        self._token_timeout_ms = token_timeout_ms
        self._last_look_ns = 0
        self._next_look_ns = 0
        self._threshold_ns = 0.0

    def next_deadline(self, now_ns: int) -> int:
        """Look if it is time to."""
        if now_ns >= self._next_look_ns:
            gap_ns = now_ns - self._last_look_ns
            if self._last_look_ns and gap_ns > self._threshold_ns:
                self._report(gap_ns)
            self._last_look_ns = now_ns
            token_ns = self._token_timeout_ms() * _MS
            self._threshold_ns = token_ns * _WARN_FRACTION
            self._next_look_ns = now_ns + token_ns // _LOOK_FRACTION
        return self._next_look_ns

    def _report(self, gap_ns: int) -> None:
        timestamp_ms = time.time_ns() // _MS
        LOG.warning(
            "Corosync main process was not scheduled (@%d) for %0.4f ms (threshold is %0.4f ms). "
            "Consider token timeout increase.",
            timestamp_ms,
            gap_ns / _MS,
            self._threshold_ns / _MS,
        )
        self.misses.add(timestamp_ms, gap_ns / _MS)
