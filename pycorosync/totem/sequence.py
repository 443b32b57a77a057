"""Comparison of 32-bit sequence numbers that wrap around (corosync: include/corosync/sq.h).

Compatibility: corosync shifts both numbers by 0x10000 when one of them is above 0x80000000 and compares
plainly otherwise. Within half of the number space, which is all that a ring with a window of 16384 messages
ever compares, this is the ordinary circular order that is used here.
"""

from typing import Final

MASK: Final = 0xFFFFFFFF
HALF: Final = 0x80000000


def precedes(first: int, second: int) -> bool:
    """Whether `first` comes before `second`; 0xFFFFFFFF comes before 0."""
    return 0 < ((second - first) & MASK) < HALF


def distance(start: int, end: int) -> int:
    """How many steps lead from `start` forward to `end`, 0 .. 2**32 - 1."""
    return (end - start) & MASK


def earlier(first: int, second: int) -> int:
    """The one of the two that comes first."""
    return first if precedes(first, second) else second
