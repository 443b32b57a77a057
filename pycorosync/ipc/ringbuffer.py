"""One direction of a shared-memory connection: a ring of chunks that one process writes and another reads
(libqb: lib/ringbuffer.c). Specification: protocol/libqb-ipc.md, section 3.

The data is mapped twice, back to back, so that every chunk is contiguous and nothing here wraps but an index.
Each side trusts only its own index: the peer may write anything into the header, and gains nothing by it.

Memory order: a chunk's mark is written after its content and before the semaphore is posted. On x86 stores
are seen in order; elsewhere the post is the barrier, and a reader takes the semaphore once for each chunk.
"""

from typing import Final

from pycorosync.errors import MalformedMessage
from pycorosync.ipc import semaphore
from pycorosync.ipc.semaphore import post, take
from pycorosync.types import Buffer

HEADER_BYTES = 8248  # sizeof(struct qb_ringbuffer_shared_s) without user data
USER_DATA_BYTES = 4
# As 32 bit words at the header's start.
WRITE_INDEX: Final = 0
READ_INDEX: Final = 1
WORD_COUNT: Final = 2
HEADER_PATH_AT, DATA_PATH_AT, PATH_BYTES = 12, 4108, 4096
REFERENCE_COUNT_AT = 8204
SEMAPHORE_AT = 8208
FLOW_CONTROL_AT = 8240

MARK_COMMITTED: Final = 0xA1A1A1A1
MARK_BEING_WRITTEN: Final = 0xA110CED0
MARK_DEAD: Final = 0xD0D0D0D0
CHUNK_HEADER_WORDS: Final = 2
# A writer leaves this much free beyond its chunk, as libqb's does.
MARGIN_BYTES: Final = 12
PAGE_BYTES = 4096


def data_bytes(max_message_bytes: int) -> int:
    """The size of the data mapping; the client computes it too, so both must agree."""
    return -(-(max_message_bytes + MARGIN_BYTES + 1) // PAGE_BYTES) * PAGE_BYTES


class RingBuffer:
    """One end of a ring. `header` and `data` are writable views; `data` has the mapping twice."""

    __slots__ = (
        "_bytes",
        "_chunk_bytes",
        "_flow",
        "_header",
        "_index",
        "_indices",
        "_limit",
        "_marks",
        "_references",
        "_semaphore",
        "_word_count",
    )

    def __init__(self, header: memoryview, header_address: int, data: memoryview) -> None:
        self._header = header
        self._indices = header[:12].cast("I")
        self._references = header[REFERENCE_COUNT_AT : REFERENCE_COUNT_AT + 4].cast("i")
        self._flow = header[FLOW_CONTROL_AT : FLOW_CONTROL_AT + 4].cast("i")
        self._semaphore = header_address + SEMAPHORE_AT
        self._bytes = data
        self._marks = data.cast("I")
        self._word_count = len(data) // 8
        self._limit = len(data) // 2 - MARGIN_BYTES
        # Our own index: of the next chunk to read, or of the place to write, whichever side we are.
        self._index = 0
        self._chunk_bytes = 0

    def create(self, header_path: str, data_path: str) -> None:
        """Fill in a header of zeros: what the side that makes the ring does before the other opens it."""
        self._indices[WORD_COUNT] = self._word_count
        for at, path in ((HEADER_PATH_AT, header_path), (DATA_PATH_AT, data_path)):
            name = path.encode()
            self._header[at : at + len(name)] = name
        semaphore.initialise(self._semaphore)
        self._references[0] = 1

    def attach(self) -> None:
        """What the side that opens the ring does: it counts itself."""
        self._references[0] += 1

    def close(self) -> None:
        """Tell the other side that we are gone, and let go of the memory."""
        self._references[0] = max(self._references[0] - 1, 0)  # the other side may have put anything there
        for view in (self._indices, self._references, self._flow, self._marks, self._bytes, self._header):
            view.release()

    @property
    def references(self) -> int:
        """How many sides hold the ring: 2 while both are there."""
        return self._references[0]

    @property
    def flow_control(self) -> int:
        """What the server tells its client (request ring only): 0 go, 1 stop, 2 stop multicasts."""
        return self._flow[0]

    @flow_control.setter
    def flow_control(self, level: int) -> None:
        self._flow[0] = level

    def waiting(self) -> int:
        """How many chunks are written and not yet taken."""
        return semaphore.value(self._semaphore)

    # --- the reader's side

    def peek(self) -> memoryview | None:
        """The oldest chunk, or None; valid until reclaim(). Raises MalformedMessage if the ring is broken."""
        if take(self._semaphore):
            return None
        return self._oldest()

    def wait(self, timeout_s: float) -> memoryview | None:
        """As peek, but wait for a chunk. Only clients do: the daemon never waits for one of them."""
        return self._oldest() if semaphore.wait(self._semaphore, timeout_s) else None

    def _oldest(self) -> memoryview:
        index, marks = self._index, self._marks
        size: int = marks[index]
        if marks[index + 1] != MARK_COMMITTED or size > self._limit:
            raise MalformedMessage(f"ring chunk of {size} bytes, mark {marks[index + 1]:#x}")
        self._chunk_bytes = size
        at = (index + CHUNK_HEADER_WORDS) << 2
        return self._bytes[at : at + size]

    def put_back(self) -> None:
        """Undo a peek: the chunk stays the next one."""
        post(self._semaphore)

    def reclaim(self) -> None:
        """The chunk that peek() gave has been used."""
        index = self._index
        marks = self._marks
        marks[index] = 0
        marks[index + 1] = MARK_DEAD
        index += CHUNK_HEADER_WORDS + ((self._chunk_bytes + 3) >> 2)
        if index >= self._word_count:
            index -= self._word_count
        self._index = index
        self._indices[READ_INDEX] = index

    # --- the writer's side

    def has_much_room(self) -> bool:
        """Whether a quarter of the ring is free: worth waking up for, if there is more to write."""
        return self._free_words() << 2 >= self._word_count

    def _free_words(self) -> int:
        free: int = self._indices[READ_INDEX] - self._index
        # The reader is behind us, or (equal) has taken everything. A nonsensical index of the reader's makes
        # this too large or negative, and hurts nobody but the reader.
        return free if free > 0 else free + self._word_count

    def write(self, head: Buffer, body: Buffer) -> bool:
        """Append head and body as one chunk; False when there is no room for it now."""
        head_bytes = len(head)
        size = head_bytes + len(body)
        index = self._index
        if (self._free_words() - 1) << 2 < size + MARGIN_BYTES or size > self._limit:
            return False
        # The chunk counts once the semaphore is posted; libqb's mark for one that is being written tells
        # nobody anything.
        at = (index + CHUNK_HEADER_WORDS) << 2
        middle = at + head_bytes
        data = self._bytes
        data[at:middle] = head
        if size != head_bytes:
            data[middle : at + size] = body
        marks = self._marks
        marks[index] = size
        following = index + CHUNK_HEADER_WORDS + ((size + 3) >> 2)
        if following >= self._word_count:
            following -= self._word_count
        self._index = following
        self._indices[WRITE_INDEX] = following
        marks[index + 1] = MARK_COMMITTED
        post(self._semaphore)
        return True
