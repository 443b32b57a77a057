"""What a node does while it holds the token: flow control, retransmission, aru (corosync: exec/totemsrp.c).

TokenHolder.use is the sequence of steps; the functions below it are the steps, pure but for the token that
they change.
"""

from typing import Protocol

from pycorosync.log import subsystem
from pycorosync.totem.config import RingConfig
from pycorosync.totem.messages import RETRANSMIT_ENTRIES_MAX, Mcast, OrfToken, write_mcast_header
from pycorosync.totem.sequence import MASK, precedes
from pycorosync.totem.window import WINDOW_MAX, Window
from pycorosync.types import Buffer, NodeId, RingId
from pycorosync.wire.fixed import NATIVE

LOG = subsystem("TOTEM")


class FrameSource(Protocol):
    """Where frames to send come from: the packer, or the recovery's queue."""

    @property
    def encapsulated(self) -> int: ...

    @property
    def backlog(self) -> int: ...

    def next_frame(self) -> bytearray:
        """The oldest frame, with its first 45 bytes still to be filled in."""
        ...


class Sent:
    """What one visit of the token has put on the ring, in this order."""

    __slots__ = ("new", "retransmitted")

    def __init__(self) -> None:
        self.retransmitted: list[Buffer] = []
        self.new: list[Buffer] = []


class TokenHolder:
    """What a node remembers from one visit of the token to the next."""

    def __init__(self, node_id: NodeId) -> None:
        self._node_id = node_id
        self._flow = FlowControl()
        self._this_seqno = 0
        self.last_seq = -1  # of the last token seen; -1 = none on this ring
        self.seq_unchanged = 0  # consecutive tokens that brought no new message
        self.last_aru = 0
        self._aru_unchanged = 0

    def begin_ring(self) -> None:
        """Forget the previous ring."""
        self._flow = FlowControl()
        self.last_seq = -1
        self.seq_unchanged = 0
        self.last_aru = 0
        self._aru_unchanged = 0

    def note_seq(self, seq: int) -> bool:
        """Count tokens without activity; whether this one brought any."""
        if seq == self.last_seq:
            self.seq_unchanged += 1
            return False
        self.seq_unchanged = 0
        self.last_seq = seq
        return True

    def use(
        self, token: OrfToken, window: Window, source: FrameSource, ring_id: RingId, config: RingConfig
    ) -> Sent:
        """Retransmit, ask for what is missing, send, and account for all of it in the token."""
        sent = Sent()
        backlog = source.backlog
        allowed = self._flow.allowance(token, backlog, config)
        if token.requests:
            LOG.notice("Retransmit List: %s", " ".join(f"{seq:x}" for _, seq in token.requests))
            found = take_requested(token, window, ring_id, allowed)
            sent.retransmitted = [message.frame for message in found]
            allowed -= len(found)
        request_missing(token, window, ring_id, config.miss_count_const)
        if backlog and window_has_room(window, token, allowed, config):
            for _ in range(min(allowed, backlog)):
                sent.new.append(self._place(token, window, source, ring_id))
        self._flow.update(token, len(sent.retransmitted) + len(sent.new))
        update_aru(token, self._node_id, window.aru)
        return sent

    def _place(self, token: OrfToken, window: Window, source: FrameSource, ring_id: RingId) -> bytearray:
        """Give the next frame its place in the order and file it."""
        node_id, frame = self._node_id, source.next_frame()
        seq = token.seq = (token.seq + 1) & MASK
        write_mcast_header(frame, node_id, seq, self._this_seqno, ring_id, source.encapsulated)
        self._this_seqno = (self._this_seqno + 1) & 0x7FFFFFFF
        window.add(Mcast(node_id, node_id, seq, ring_id, source.encapsulated, frame, NATIVE))
        return frame

    def fails_to_receive(self, token: OrfToken, last_aru: int, config: RingConfig) -> bool:
        """Whether we are the one who has kept the ring's aru down for too many rotations.

        Compatibility: a node decides that about itself; in the published algorithm the others do.
        """
        if token.aru == last_aru and token.aru_addr != 0:
            self._aru_unchanged += 1
        else:
            self._aru_unchanged = 0
        return self._aru_unchanged > config.fail_to_recv_const and token.aru_addr == self._node_id


class FlowControl:
    """Our part of the counters that the token carries."""

    __slots__ = ("backlog", "last_backlog", "last_sent")

    def __init__(self) -> None:
        self.backlog = 0  # my_cbl: what waits here at this visit
        self.last_backlog = 0  # my_pbl: what waited at the previous one
        self.last_sent = 0  # my_trc: what we sent at the previous visit

    def allowance(self, token: OrfToken, backlog: int, config: RingConfig) -> int:
        """How many packets may be sent at this visit.

        Compatibility: when the ring has already exceeded the window, corosync's unsigned difference makes the
        limit max_messages again. Holding back alone would only starve this node.
        """
        self.backlog = backlog
        allowed = min(config.max_messages, (config.window_size - token.fcc) & MASK)
        waiting = (token.backlog + backlog - self.last_backlog) & MASK
        if waiting:
            share = config.window_size * self.last_backlog // waiting
            if share > 0:
                allowed = min(allowed, share)
        return allowed

    def update(self, token: OrfToken, sent: int) -> None:
        """Replace our contribution of the previous rotation by this one's."""
        token.fcc = (token.fcc + sent - self.last_sent) & MASK
        token.backlog = (token.backlog + self.backlog - self.last_backlog) & MASK
        self.last_sent, self.last_backlog = sent, self.backlog


def take_requested(token: OrfToken, window: Window, ring_id: RingId, allowed: int) -> list[Mcast]:
    """Remove from the token's requests what we have, up to `allowed`; the messages to send again."""
    found: list[Mcast] = []
    remaining: list[tuple[RingId, int]] = []
    for request in token.requests:
        message = None
        if len(found) < allowed and request[0] == ring_id:
            message = window.get(request[1])
        if message is None:
            remaining.append(request)
        else:
            found.append(message)
    token.requests = remaining
    return found


def request_missing(token: OrfToken, window: Window, ring_id: RingId, miss_count_const: int) -> None:
    """Add what we lack to the token's requests, each number once, as long as there is room."""
    if window.aru == token.seq:
        return
    room = RETRANSMIT_ENTRIES_MAX - len(token.requests)
    asked = {seq for ring, seq in token.requests if ring == ring_id}
    for seq in window.missing(token.seq, RETRANSMIT_ENTRIES_MAX, miss_count_const):
        if room <= 0:
            return
        if seq not in asked:
            token.requests.append((ring_id, seq))
            room -= 1


def window_has_room(window: Window, token: OrfToken, allowed: int, config: RingConfig) -> bool:
    """Whether sending cannot push anybody's window over its limit."""
    limit = (window.released + WINDOW_MAX - allowed - config.window_size) & MASK
    return not precedes(limit, token.seq)


def update_aru(token: OrfToken, node_id: NodeId, aru: int) -> None:
    """Lower the token's aru to ours, or raise it if it is low because of us or of nobody."""
    if precedes(aru, token.aru) or token.aru_addr in (node_id, 0):
        token.aru = aru
        token.aru_addr = 0 if aru == token.seq else node_id
