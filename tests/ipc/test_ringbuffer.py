"""Rings: what goes in comes out, and a hostile other end gains nothing."""

from collections import deque
from random import Random

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.ipc import ringbuffer
from tests.ipc.memory import ring_pair


def test_the_sizes_are_those_that_the_c_library_computes() -> None:
    assert ringbuffer.data_bytes(1048576) == 1052672
    assert ringbuffer.data_bytes(4096 - 13) == 4096
    assert ringbuffer.data_bytes(4096 - 12) == 8192


def test_an_empty_ring_has_nothing_to_read() -> None:
    with ring_pair(1000) as (writer, reader, _, _):
        assert reader.peek() is None
        assert writer.waiting() == 0


def test_head_and_body_become_one_chunk() -> None:
    with ring_pair(1000) as (writer, reader, _, _):
        assert writer.write(b"head", memoryview(b"and body"))
        assert reader.waiting() == 1
        chunk = reader.peek()
        assert chunk is not None
        assert bytes(chunk) == b"headand body"
        reader.reclaim()
        assert reader.peek() is None


def test_a_chunk_that_is_put_back_comes_again() -> None:
    with ring_pair(1000) as (writer, reader, _, _):
        writer.write(b"one", b"")
        writer.write(b"two", b"")
        for _ in range(3):
            chunk = reader.peek()
            assert chunk is not None
            assert bytes(chunk) == b"one"
            reader.put_back()
        assert reader.waiting() == 2


@pytest.mark.parametrize("seed", range(20))
def test_random_traffic_arrives_whole_and_in_order_over_many_laps(seed: int) -> None:
    rng = Random(seed)
    with ring_pair(5000) as (writer, reader, _, _):
        in_flight: deque[bytes] = deque()
        refused = 0
        for _ in range(4000):
            if rng.random() < 0.55:
                message = rng.randbytes(rng.choice((0, 1, 3, 4, 5, 64, 1000, 4999)))
                cut = rng.randint(0, len(message))
                if writer.write(message[:cut], message[cut:]):
                    in_flight.append(message)
                else:
                    refused += 1
            elif (chunk := reader.peek()) is not None:
                assert bytes(chunk) == in_flight.popleft(), f"seed {seed}"
                reader.reclaim()
        while (chunk := reader.peek()) is not None:
            assert bytes(chunk) == in_flight.popleft(), f"seed {seed}"
            reader.reclaim()
        assert not in_flight
        assert refused, "the ring was never full: the test shows nothing"


def test_a_message_of_the_agreed_size_fits_an_empty_ring_at_every_position() -> None:
    with ring_pair(5000) as (writer, reader, _, _):
        for lap in range(50):
            assert writer.write(bytes([lap]) * 5000, b"")
            chunk = reader.peek()
            assert chunk is not None
            assert bytes(chunk) == bytes([lap]) * 5000
            reader.reclaim()
            assert writer.write(b"x" * (lap % 7), b"")
            assert reader.peek() is not None
            reader.reclaim()


def test_a_message_that_is_larger_than_the_ring_is_never_taken() -> None:
    with ring_pair(1000) as (writer, _, _, _):
        assert not writer.write(bytes(4096), b"")


@pytest.mark.parametrize("mark", [0, ringbuffer.MARK_BEING_WRITTEN, ringbuffer.MARK_DEAD, 0xFFFFFFFF])
def test_a_chunk_without_its_mark_is_malformed(mark: int) -> None:
    with ring_pair(1000) as (writer, reader, _, data):
        writer.write(b"abc", b"")
        data.view[4:8] = mark.to_bytes(4, "little")
        with pytest.raises(MalformedMessage):
            reader.peek()


@pytest.mark.parametrize("size", [4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_chunk_that_claims_to_be_larger_than_the_ring_is_malformed(size: int) -> None:
    with ring_pair(1000) as (writer, reader, _, data):
        writer.write(b"abc", b"")
        data.view[0:4] = size.to_bytes(4, "little")
        with pytest.raises(MalformedMessage):
            reader.peek()


def test_a_size_that_changes_while_the_chunk_is_used_moves_nothing() -> None:
    with ring_pair(1000) as (writer, reader, _, data):
        writer.write(b"abc", b"")
        writer.write(b"next", b"")
        assert reader.peek() is not None
        data.view[0:4] = (2000).to_bytes(4, "little")
        reader.reclaim()
        chunk = reader.peek()
        assert chunk is not None
        assert bytes(chunk) == b"next"


@pytest.mark.parametrize("seed", range(30))
def test_a_header_full_of_nonsense_never_lets_a_side_leave_the_mapping(seed: int) -> None:
    rng = Random(seed)
    with ring_pair(1000) as (writer, reader, header, _):
        for _ in range(300):
            header.view[0:12] = rng.randbytes(12)
            writer.write(rng.randbytes(rng.randint(0, 900)), b"")
            try:
                if reader.peek() is not None:
                    reader.reclaim()
            except MalformedMessage:
                return  # the daemon disconnects here


def test_flow_control_and_references_are_seen_by_the_other_side() -> None:
    with ring_pair(1000) as (writer, reader, _, _):
        assert (writer.references, reader.references) == (2, 2)
        writer.flow_control = 2
        assert reader.flow_control == 2


def test_room_is_much_when_it_is_a_quarter() -> None:
    with ring_pair(8000) as (writer, reader, _, _):
        assert writer.has_much_room()
        written = 0
        while writer.write(b"x" * 500, b""):
            written += 1
        assert not writer.has_much_room()
        taken = 0
        while not writer.has_much_room():
            assert reader.peek() is not None
            reader.reclaim()
            taken += 1
        assert written // 5 <= taken <= written // 3
