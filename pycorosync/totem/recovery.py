"""Bringing the messages of the old ring into the new one (corosync: exec/totemsrp.c, COMMIT and RECOVERY).

The commit token tells each member what the others have of their old rings. Where somebody lacks something,
every member of that old ring sends all that others may lack as recovery copies: messages of the new ring with
a complete message of the old one inside. The token's retransmission flag is up while anybody still does.
"""

from collections import deque
from collections.abc import Iterable

from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.totem.messages import (
    MCAST,
    RECOVERY_COPY,
    CommitEntry,
    CommitToken,
    Mcast,
    OrfToken,
    byte_order,
    decode_mcast,
)
from pycorosync.totem.sequence import precedes
from pycorosync.totem.window import Window
from pycorosync.types import NodeId, RingId

LOG = subsystem("TOTEM")


def fill_entry(token: CommitToken, node_id: NodeId, old_ring_id: RingId, old: Window) -> CommitToken:
    """The commit token with our entry, sent by us: what we have of our old ring.

    The received flag of everyone from the same old ring who has less than another one of them goes down.
    """
    index = token.memb_index
    entries = list(token.entries)
    entries[index] = CommitEntry(old_ring_id, old.aru, old.delivered, int(old.aru == old.high_seq))
    same_ring = [i for i in range(index + 1) if entries[i].ring_id == old_ring_id]
    highest = old.aru
    for i in same_ring:
        if precedes(highest, entries[i].aru):
            highest = entries[i].aru
    for i in same_ring:
        if precedes(entries[i].aru, highest):
            entries[i] = entries[i]._replace(received=0)
    return token._replace(
        node_id=node_id,
        token_seq=token.token_seq + 1 & 0xFFFFFFFF,
        memb_index=index + 1,
        entries=tuple(entries),
    )


def transitional_members(
    token: CommitToken, members: tuple[NodeId, ...], old_ring_id: RingId
) -> tuple[NodeId, ...]:
    """Those who were in our old ring and come directly from it."""
    return tuple(
        sorted(
            node_id
            for node_id, entry in zip(token.members, token.entries, strict=True)
            if node_id in members and entry.ring_id == old_ring_id
        )
    )


def messages_to_originate(token: CommitToken, transitional: tuple[NodeId, ...], old: Window) -> list[Mcast]:
    """The messages of the old ring that somebody of `transitional` may lack and we have.

    Not the recovery copies among them: everybody had them before that ring was installed, and a copy of a
    copy may be too long for a frame.
    """
    entries = [
        entry for node_id, entry in zip(token.members, token.entries, strict=True) if node_id in transitional
    ]
    if all(entry.received for entry in entries):
        return []
    low = old.high_seq
    for entry in entries:
        if precedes(entry.aru, low):
            low = entry.aru
    if precedes(low, old.released):
        low = old.released
    return [message for message in old.between(low, old.high_seq) if message.encapsulated != RECOVERY_COPY]


class RecoveryQueue:
    """Old messages that wait to be sent as recovery copies."""

    encapsulated = RECOVERY_COPY

    def __init__(self, messages: Iterable[Mcast] = ()) -> None:
        self._messages = deque(messages)

    @property
    def backlog(self) -> int:
        return len(self._messages)

    def next_frame(self) -> bytearray:
        """A copy of the oldest message with room for the header of its own in front."""
        return bytearray().join((bytes(MCAST.size), self._messages.popleft().frame))


def unwrap(message: Mcast) -> Mcast | None:
    """The message inside a recovery copy; None if it is no message."""
    inner = message.payload
    try:
        if len(inner) < MCAST.size or inner[3] != 1:
            return None
        return decode_mcast(inner, byte_order(inner))
    except MalformedMessage:
        return None


def restore_old_messages(recovered: Window, old: Window, old_ring_id: RingId) -> None:
    """File what the recovery copies contain of our old ring."""
    for message in recovered.between(recovered.released, recovered.aru):
        if message.encapsulated != RECOVERY_COPY:
            continue
        inner = unwrap(message)
        if inner is not None and inner.ring_id == old_ring_id:
            old.add(inner)


class Progress:
    """How far the recovery is, told from the tokens that pass. Starts anew in each attempt.

    Compatibility: corosync keeps the two counters when an attempt fails, so that the next one may end early.
    """

    __slots__ = ("flag_is_ours", "install_seq", "quiet_visits", "rotations")

    def __init__(self) -> None:
        self.flag_is_ours = False  # my_set_retrans_flg
        self.quiet_visits = 0  # my_retrans_flg_count: consecutive tokens without the flag
        self.install_seq = 0  # the last message of the recovery
        self.rotations = 0  # my_rotation_counter: since everybody has all up to install_seq

    def on_token(self, token: OrfToken, more_to_send: bool) -> bool:
        """Update the token's flag; True when the new ring can be installed."""
        if more_to_send:
            if not token.retrans_flg:
                token.retrans_flg = 1
                self.flag_is_ours = True
        elif token.retrans_flg and self.flag_is_ours:
            token.retrans_flg = 0
            self.flag_is_ours = False
        self.quiet_visits = 0 if token.retrans_flg else self.quiet_visits + 1
        if self.quiet_visits == 2:
            self.install_seq = token.seq
        if self.quiet_visits >= 3 and not precedes(token.aru, self.install_seq):
            self.rotations += 1
        else:
            self.rotations = 0
        return self.rotations == 2


def log_commit_token(token: CommitToken, transitional: tuple[NodeId, ...]) -> None:
    """The lines that corosync writes on entering RECOVERY."""
    for index, node_id in enumerate(transitional):
        LOG.debug("TRANS [%d] member %u:", index, node_id)
    for index, (node_id, entry) in enumerate(zip(token.members, token.entries, strict=True)):
        LOG.debug("position [%d] member %u:", index, node_id)
        LOG.debug("previous ringid (%s)", entry.ring_id)
        LOG.debug(
            "aru %x high delivered %x received flag %d", entry.aru, entry.high_delivered, entry.received
        )
