"""What a node does while it holds the token: flow control, retransmission, aru (corosync: exec/totemsrp.c).

Pure functions of the token, the window and a few counters; ring.py calls them in order.
"""

from pycorosync.totem.config import RingConfig
from pycorosync.totem.messages import RETRANSMIT_ENTRIES_MAX, Mcast, OrfToken
from pycorosync.totem.sequence import MASK, precedes
from pycorosync.totem.window import WINDOW_MAX, Window
from pycorosync.types import NodeId, RingId


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
