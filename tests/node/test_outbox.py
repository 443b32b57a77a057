"""Messages that the packer cannot take wait, in order, and there is an end to their number."""

import pytest

from pycorosync.node import outbox
from pycorosync.node.counters import MessageCounters
from pycorosync.node.outbox import Outbox
from pycorosync.totem.packing import Packer, Unpacker


class FullPacker(Packer):
    """Takes what a test allows."""

    allowed = 0

    def add(self, head: object, body: object = b"", *, group: bytes = b"a") -> bool:
        if self.allowed <= 0:
            return False
        self.allowed -= 1
        return super().add(head, body, group=group)  # type: ignore[arg-type]

    def taken(self) -> list[bytes]:
        self._close(self._lane, 0)
        frames = [self.next_frame() for _ in range(self.backlog)]
        unpacker = Unpacker()
        return [bytes(m) for frame in frames for _, m in unpacker.feed(1, memoryview(frame)[45:])]


def test_the_order_is_kept_when_the_packer_is_full() -> None:
    packer = FullPacker(1000)
    box = Outbox(packer, MessageCounters())
    box.send(b"1", b"a")
    packer.allowed = 1
    box.send(b"2", b"b")
    assert (box.overdue, packer.taken()) == (True, [])
    box.retry()
    assert (box.overdue, packer.taken()) == (True, [b"1a"])
    packer.allowed = 9
    box.retry()
    box.send(b"3", b"c")
    assert (box.overdue, packer.taken()) == (False, [b"2b", b"3c"])


def test_what_waits_goes_behind_a_synchronization() -> None:
    packer = FullPacker(1000)
    box = Outbox(packer, MessageCounters())
    box.send(b"1", b"old")
    box.begin_sync()
    assert not box.overdue
    packer.allowed = 9
    box.hold(b"2", b"departure")
    box.send(b"3", b"sync")
    box.end_sync()
    assert packer.taken() == [b"3sync", b"1old", b"2departure"]


def test_there_is_an_end_to_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "OVERDUE_MAX", 2)
    packer = FullPacker(1000)
    box = Outbox(packer, MessageCounters())
    for number in range(4):
        box.send(b"%d" % number, b"xxx")
    packer.allowed = 9
    box.retry()
    assert packer.taken() == [b"0xxx", b"1xxx"]
