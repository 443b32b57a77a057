"""Waiting for a condition: polled, with a generous limit, and an error that says what never came."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.05
LIMIT_S = 90.0


def wait_until(condition: Callable[[], T], what: str, limit_s: float = LIMIT_S) -> T:
    """The first true value of `condition`. Raises TimeoutError, which names `what` and the last value."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {limit_s:.0f} s still not: {what} (last: {value!r})")
        time.sleep(POLL_INTERVAL_S)
