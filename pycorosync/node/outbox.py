"""Messages of our own services on their way into the packer, and where they wait when it cannot take them."""

from collections import deque

from pycorosync.log import subsystem
from pycorosync.node.counters import MessageCounters
from pycorosync.totem.packing import GROUP_SERVICES, Packer
from pycorosync.types import Buffer

LOG = subsystem("MAIN")

# Messages that must go out but found the queue full (a client died, a service synchronizes).
OVERDUE_MAX = 100_000


class Outbox:
    """Keeps the order. `overdue` tells whether any message waits."""

    def __init__(self, packer: Packer, counters: MessageCounters) -> None:
        self._packer = packer
        self._counters = counters
        self._overdue: deque[tuple[bytes, bytes]] = deque()
        self._after_sync: deque[tuple[bytes, bytes]] = deque()  # what belongs behind the messages that wait
        self.overdue = False

    def send(self, head: Buffer, body: Buffer) -> None:
        """To the packer, or behind those that wait for room there."""
        self._counters.sent(int.from_bytes(head[:4], "little"))
        self.add(head, body)

    def add(self, head: Buffer, body: Buffer) -> None:
        """The same for a message that is counted elsewhere."""
        if not self.overdue and self._packer.add(head, body, group=GROUP_SERVICES):
            return
        if len(self._overdue) >= OVERDUE_MAX:
            # The ring has not moved for very long. Peers learn the state of our services when it does.
            number = int.from_bytes(head[:4], "little")
            LOG.error("dropped a message of service %d: the ring takes none", number >> 16)
            return
        self._overdue.append((bytes(head), bytes(body)))
        self.overdue = True

    def retry(self) -> None:
        """There may be room."""
        while self._overdue and self._packer.add(*self._overdue[0], group=GROUP_SERVICES):
            self._overdue.popleft()
        self.overdue = bool(self._overdue)

    def hold(self, head: Buffer, body: Buffer) -> None:
        """Keep a message back until the synchronization is over."""
        self._counters.sent(int.from_bytes(head[:4], "little"))
        self._after_sync.append((bytes(head), bytes(body)))

    def begin_sync(self) -> None:
        """A synchronization begins: what waits belongs behind it."""
        self._after_sync += self._overdue
        self._overdue.clear()
        self.overdue = False

    def end_sync(self) -> None:
        """It is over."""
        held, self._after_sync = self._after_sync, deque()
        for head, body in held:
            self.add(head, body)
