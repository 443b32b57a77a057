"""What happened, as the checkers and a reader want to know it."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pycorosync.client.cpg import Change, Member
from pycorosync.types import NodeId, RingId

LINES_MAX: Final = 4000


class RingKey(NamedTuple):
    """A ring's name. Only while its representative keeps its state directory is the RingId itself unique."""

    ring_id: RingId
    forgets: int  # of the representative's until then


class Installed(NamedTuple):
    """A regular configuration, at the place where its synchronization begins."""

    ring: RingKey
    members: tuple[NodeId, ...]
    came_with: tuple[NodeId, ...]
    at_ns: int


class Synchronized(NamedTuple):
    """The process groups have activated the configuration."""

    ring: RingKey
    at_ns: int


class Ordered(NamedTuple):
    """A message of the process groups in the total order, told from others by its contents."""

    node_id: NodeId
    function: int
    digest: int
    size: int


@dataclass(slots=True)
class NodeTrace:
    """One life of a daemon."""

    node_id: NodeId
    life: int
    stored: int = 0  # the highest ring number in stable storage
    entries: list[Installed | Synchronized | Ordered] = field(default_factory=list)


class Sent(NamedTuple):
    """The daemon has taken a message."""

    number: int
    size: int


class Delivered(NamedTuple):
    sender: Member
    number: int
    size: int


class Ring(NamedTuple):
    ring: RingKey
    members: tuple[NodeId, ...]


@dataclass(slots=True)
class ClientTrace:
    """What one member of a process group saw, and what it has sent."""

    node_id: NodeId
    pid: int
    group: bytes
    entries: list[Delivered | Change | Ring] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.group.decode()}/{self.node_id}/{self.pid}"


class Log(logging.Handler):
    """The last lines of all daemons, and of the simulator itself, with virtual time and the node."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG if os.environ.get("SIM_DEBUG") else 25)
        self.lines: deque[str] = deque(maxlen=LINES_MAX)
        self.errors: list[str] = []
        self.now_ns = 0
        self.node_id: NodeId = 0
        self.echo = bool(os.environ.get("SIM_ECHO"))

    def emit(self, record: logging.LogRecord) -> None:
        self.add(f"{record.name.removeprefix('corosync.'):7} {record.getMessage()}")
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())

    def add(self, text: str) -> None:
        line = f"{self.now_ns / 1e9:12.6f} node {self.node_id}: {text}"
        self.lines.append(line)
        if self.echo:
            print(line)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take what all daemons log."""
        logger = logging.getLogger("corosync")
        before = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(self.level)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(before[0])
            logger.propagate = before[1]
