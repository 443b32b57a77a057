"""Datagrams as the shell takes them."""

from pycorosync.knet.outputs import Datagrams
from pycorosync.types import Buffer


def datagrams(count: int, size: int, last: int, per_datagram: int = 2) -> Datagrams:
    buffers: list[Buffer] = []
    for number in range(count):
        length = last if number == count - 1 else size
        buffers += [bytes(14), bytes(length - 14)] if per_datagram == 2 else [bytes(length)]
    return Datagrams(buffers, per_datagram)


def test_one_datagram() -> None:
    one = datagrams(1, 100, 60)
    assert (len(one), one.segment_size, one.size) == (1, 60, 60)
    assert [list(map(len, buffers)) for buffers in one] == [[14, 46]]
    assert list(one.batches()) == [one.buffers]


def test_sizes_and_order_of_many() -> None:
    many = datagrams(46, 1460, 300)
    assert (len(many), many.segment_size, many.size) == (46, 1460, 45 * 1460 + 300)
    assert [sum(map(len, buffers)) for buffers in many] == [1460] * 45 + [300]


def test_batches_are_what_the_kernel_takes() -> None:
    for count, size, per in ((200, 500, 2), (140, 508, 1), (46, 1472, 1), (8, 9000, 2), (2, 40_000, 1)):
        many = datagrams(count, size, 100, per)
        batches = list(many.batches())
        assert [buffer for batch in batches for buffer in batch] == many.buffers
        for number, batch in enumerate(batches):
            assert len(batch) // per <= 64
            assert sum(map(len, batch)) <= 65507 or len(batch) == per
            if number < len(batches) - 1:
                assert sum(map(len, batch)) == len(batch) // per * many.segment_size
