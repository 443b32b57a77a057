"""What a client may do in each state of its connection (corosync: struct cpg_pd in exec/cpg.c)."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from pycorosync.cs_error import CsError
from pycorosync.services.cpg.groups import Process
from pycorosync.types import ClientId


class State(Enum):
    """How a connection stands to its group; it has at most one."""

    UNJOINED = auto()
    JOIN_STARTED = auto()  # our join is on its way round the ring
    JOINED = auto()
    LEAVE_STARTED = auto()  # our leave is on its way round the ring


class Rules(NamedTuple):
    """What a state answers to requests, and whether it gets the group's messages and changes."""

    join: CsError
    leave: CsError
    send: CsError
    receives: bool
    departs: bool  # a leave must be multicast when the connection ends


# libcpg repeats a join or leave that is answered with BUSY.
RULES: Final = {
    State.UNJOINED: Rules(CsError.OK, CsError.NOT_EXIST, CsError.NOT_EXIST, False, False),
    State.JOIN_STARTED: Rules(CsError.EXIST, CsError.BUSY, CsError.OK, False, True),
    State.JOINED: Rules(CsError.EXIST, CsError.OK, CsError.OK, True, True),
    State.LEAVE_STARTED: Rules(CsError.BUSY, CsError.NOT_EXIST, CsError.NOT_EXIST, True, False),
}


class SharedBuffer(NamedTuple):
    """A zero-copy buffer: the handle that the port gave, and the size that the client named."""

    handle: int
    size: int


@dataclass(slots=True)
class Listing:
    """An iteration: a copy of the processes as they were, and how far the client has read."""

    processes: list[Process]
    position: int = 0


@dataclass(slots=True)
class Client:
    """One connection. CpgService._enter is the only one to change `state`, `group`, `may_send`."""

    id: ClientId
    uid: int
    state: State = State.UNJOINED
    group: bytes = b""
    pid: int = 0  # as the client says: its own view in its own pid namespace
    wants_ring: bool = False  # it joined with DELIVER_INITIAL_TOTEM_CONF
    may_send: bool = False  # RULES[state].send is OK
    complained: bool = False  # this state's first refused multicast has been logged
    finalized: bool = False  # it gets no more events
    told_ring: bool = False  # and was told
    changes: int = 0  # how many membership changes it was told
    changes_at_first_part: int = 0
    bytes_to_come: int = 0  # of the message that it is sending in parts
    listings: dict[int, Listing] = field(default_factory=dict)
    buffers: dict[int, SharedBuffer] = field(default_factory=dict)  # by the address that the client knows

    def process(self, node_id: int) -> Process:
        """The member that this connection stands for."""
        return Process(node_id, self.pid, self.group)
