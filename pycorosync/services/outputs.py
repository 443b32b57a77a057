"""What a service may ask of the node: values in one ordered list, which the node empties after each call.

The node routes Multicast and QuorumChanged itself; the rest is for the shell.
"""

from typing import NamedTuple

from pycorosync.cs_error import CsError
from pycorosync.types import Buffer, ClientId, NodeId, RingId


class Respond(NamedTuple):
    """The answer to a client's request: goes to its response ring. At most one for each request."""

    client: ClientId
    payload: Buffer


class SendEvent(NamedTuple):
    """Something that a client is told unasked: `head` and `body` in one chunk of its event ring.

    `body` may be a view of memory that changes once the shell has taken the output.
    """

    client: ClientId
    head: Buffer
    body: Buffer


class SendEvents(NamedTuple):
    """As many SendEvents, in order; in plain tuples, because a busy group makes a lot of them."""

    events: list[tuple[ClientId, Buffer, Buffer]]


class Multicast(NamedTuple):
    """A message for this service on every node, ourselves included, in the ring's total order.

    `head` begins with the 16 byte request header, whose id is service << 16 | function and whose size
    counts head and body.
    """

    head: Buffer
    body: Buffer


class DisconnectClient(NamedTuple):
    """End a client's connection, for the reason given (it is logged)."""

    client: ClientId
    reason: str


class QuorumChanged(NamedTuple):
    """The quorum provider has decided; the node tells the quorum service and the IPC gate."""

    quorate: bool
    members: tuple[NodeId, ...]
    ring_id: RingId


class StoreExpectedVotes(NamedTuple):
    """Keep the number in the file ev_tracking of the state directory (four bytes, native order); the shell
    gives it back to VotequorumService.start after a restart."""

    votes: int


class ReadConfiguration(NamedTuple):
    """Read the configuration files again; the shell answers with Node.on_configuration."""


class ReopenLogs(NamedTuple):
    """Close and open the log file (after rotation)."""


class DumpFlightData(NamedTuple):
    """Write the blackbox to the state directory."""


class ReconfigureCrypto(NamedTuple):
    """Every node has loaded the new keys: `phase` 1 sends with them from now on, 2 forgets the old ones."""

    phase: int


class StopDaemon(NamedTuple):
    """Leave the ring and exit with `status`; the service has logged why.

    `leave` False: exit at once, as a node does that another has killed. The others notice by its silence.
    """

    status: int
    leave: bool = True


class FinishRequest(NamedTuple):
    """A shell action that a client waits for has ended (used by the node towards services)."""

    client: ClientId
    result: CsError


Output = (
    Respond
    | SendEvent
    | SendEvents
    | Multicast
    | DisconnectClient
    | QuorumChanged
    | StoreExpectedVotes
    | ReadConfiguration
    | ReconfigureCrypto
    | ReopenLogs
    | DumpFlightData
    | StopDaemon
)
