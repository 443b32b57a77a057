"""Messages cut into datagrams, and put together again (libknet: threads_rx.c; protocol/knet.md)."""

from typing import Final

from pycorosync.errors import MalformedMessage
from pycorosync.knet.dedup import behind
from pycorosync.knet.messages import DATA, DATA_TYPE, FRAGMENTS_MAX, PAYLOAD_MAX, VERSION
from pycorosync.types import Buffer, NodeId

BUFFERS_MAX: Final = 32  # messages of one peer that are incomplete
AGE_MAX: Final = BUFFERS_MAX + 1  # numbers behind the newest at which an incomplete message is given up
# Below this a message of PAYLOAD_MAX bytes has more fragments than can be counted. No IP network is that
# narrow.
DATA_MTU_MIN: Final = -(-PAYLOAD_MAX // FRAGMENTS_MAX)

_encode_data: Final = DATA.encode_big


def split(
    message: Buffer, data_mtu: int, node_id: NodeId, seq: int, compression: int, *, broadcast: bool
) -> list[Buffer]:
    """Header and part of each fragment in turn; the parts are views of `message`.

    `data_mtu` is at least DATA_MTU_MIN; `message` has 1 to PAYLOAD_MAX bytes.
    """
    size = len(message)
    if size <= data_mtu:
        return [_encode_data(VERSION, DATA_TYPE, node_id, 0, seq, compression, broadcast, 1, 0, 0), message]
    view = memoryview(message)
    count = -(-size // data_mtu)
    buffers: list[Buffer] = []
    for number in range(1, count + 1):
        buffers.append(
            _encode_data(VERSION, DATA_TYPE, node_id, 0, seq, compression, broadcast, count, number, 0)
        )
        buffers.append(view[(number - 1) * data_mtu : number * data_mtu])
    return buffers


class _Assembly:
    """A message of which fragments are there."""

    __slots__ = ("buffer", "count", "last", "missing", "seen", "size")

    def __init__(self, count: int) -> None:
        self.count = count
        self.missing = count
        self.seen = bytearray(count + 1)
        self.size = 0  # of every fragment but the last; 0 = not known yet
        self.buffer = bytearray()
        self.last: bytes | None = None  # parked: its place is not known before `size`

    def add(self, number: int, part: Buffer) -> None:
        """Raises MalformedMessage if the part does not fit to those that are there."""
        if number == self.count:
            if self.size and len(part) > self.size:
                raise MalformedMessage("last fragment is longer than the others")
            self.last = bytes(part)
            return
        if not self.size:
            self._begin(len(part))
        elif len(part) != self.size:
            raise MalformedMessage("fragments of one message differ in size")
        start = (number - 1) * self.size
        self.buffer[start : start + self.size] = part

    def _begin(self, size: int) -> None:
        if (self.count - 1) * size >= PAYLOAD_MAX:
            raise MalformedMessage(f"{self.count} fragments of {size} bytes")
        if self.last is not None and len(self.last) > size:
            raise MalformedMessage("last fragment is longer than the others")
        self.size = size
        self.buffer = bytearray((self.count - 1) * size)

    def message(self) -> bytearray:
        """Raises MalformedMessage for a message that is too long."""
        self.buffer += self.last or b""
        if len(self.buffer) > PAYLOAD_MAX:
            raise MalformedMessage(f"message of {len(self.buffer)} bytes")
        return self.buffer


class Reassembly:
    """The incomplete messages of one peer."""

    __slots__ = ("_assemblies", "_newest")

    def __init__(self) -> None:
        self._assemblies: dict[int, _Assembly] = {}  # by number; what was touched last comes last
        self._newest = 0

    def __len__(self) -> int:
        return len(self._assemblies)

    def __contains__(self, seq: int) -> bool:
        return seq in self._assemblies

    def clear(self) -> None:
        """The peer's numbers begin anew."""
        self._assemblies.clear()

    def expire(self, newest: int) -> None:
        """Give up what is too far behind `newest`, or ahead of it."""
        if newest == self._newest:
            return
        self._newest = newest
        if self._assemblies:
            for seq in [seq for seq in self._assemblies if behind(newest, seq) >= AGE_MAX]:
                del self._assemblies[seq]

    def add(self, seq: int, count: int, number: int, part: Buffer) -> bytearray | None:
        """The message, if this part completes it. A part that was there before is ignored.

        Makes room for a new message by giving up the one that has waited longest for a part. The caller
        begins no message that is more than AGE_MAX numbers behind. Raises MalformedMessage.
        """
        if count < 2 or not 1 <= number <= count or not part:
            raise MalformedMessage(f"fragment {number} of {count}, {len(part)} bytes")
        assembly = self._assemblies.get(seq) or _Assembly(count)
        if assembly.count != count:
            raise MalformedMessage(f"fragment of {count} where {assembly.count} are wanted")
        if assembly.seen[number]:
            return None
        assembly.add(number, part)
        assembly.seen[number] = 1
        assembly.missing -= 1
        self._assemblies.pop(seq, None)
        if not assembly.missing:
            return assembly.message()
        if len(self._assemblies) >= BUFFERS_MAX:
            del self._assemblies[next(iter(self._assemblies))]
        self._assemblies[seq] = assembly
        return None
