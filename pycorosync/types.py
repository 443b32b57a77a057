"""The vocabulary that every layer shares: identities of nodes, rings and clients."""

from typing import NamedTuple, TypeAlias

NodeId: TypeAlias = int  # 1 .. 2**32-1; 0 stands for the quorum device in votequorum
ClientId: TypeAlias = int  # one IPC connection; unique while the daemon lives, never 0
ServiceId: TypeAlias = int  # 0 cmap, 1 cfg, 2 cpg, 3 quorum, 4 pload, 5 votequorum, 6 mon, 7 wd
Buffer: TypeAlias = bytes | bytearray | memoryview


class RingId(NamedTuple):
    """Names one configuration of the ring: who proposed it, and a number that only grows."""

    representative: NodeId
    seq: int

    def __str__(self) -> str:
        """As log lines and tools print it: node id and sequence in hexadecimal."""
        return f"{self.representative:x}.{self.seq:x}"


def signed(number: int) -> int:
    """An unsigned 32-bit number as C sees it in an int: from 2**31 on it is negative."""
    return number - 2**32 if number >= 2**31 else number
