"""Rings in anonymous memory, both ends of which a test holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pycorosync.ipc.ringbuffer import HEADER_BYTES, USER_DATA_BYTES, RingBuffer, data_bytes
from pycorosync.ipc.shared_memory import Mapping, map_once, map_twice


@contextmanager
def ring_pair(max_message_bytes: int) -> Iterator[tuple[RingBuffer, RingBuffer, Mapping, Mapping]]:
    """(writer, reader, header mapping, data mapping) of one ring."""
    size = data_bytes(max_message_bytes)
    header_fd, data_fd = os.memfd_create("header"), os.memfd_create("data")
    os.truncate(header_fd, HEADER_BYTES + USER_DATA_BYTES)
    os.truncate(data_fd, size)
    mappings = [map_once(header_fd, HEADER_BYTES + USER_DATA_BYTES), map_twice(data_fd, size)]
    mappings += [map_once(header_fd, HEADER_BYTES + USER_DATA_BYTES), map_twice(data_fd, size)]
    writer = RingBuffer(mappings[0].view, mappings[0].address, mappings[1].view)
    writer.create("/dev/shm/x-header", "/dev/shm/x-data")
    reader = RingBuffer(mappings[2].view, mappings[2].address, mappings[3].view)
    reader.attach()
    try:
        yield writer, reader, mappings[2], mappings[3]
    finally:
        reader.close()
        writer.close()
        for mapping in mappings:
            mapping.unmap()
        os.close(header_fd)
        os.close(data_fd)
