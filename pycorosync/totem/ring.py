"""Membership and total order on one ring, without I/O (corosync: exec/totemsrp.c; protocol/totem.md).

    SingleRing(config, node_id, ring_seq, packer, rng)    ring_seq: as stored by the last SaveRingId, or 0
    start(now_ns)                  begin to look for members, once the network can be used
    receive(frame, now_ns)         a totem message, from the network or looped back (outputs.py says which)
    wake(now_ns)                   the packer has something: a held token has to move
    on_timer(now_ns)               act on every deadline that has passed
    next_deadline()                when on_timer is wanted next; None = not at all
    force_gather(now_ns)           form a ring anew, as if the token had been lost
    leave(now_ns)                  tell the others that we go; the ring is silent from then on
    reconfigure(config)            new timers and limits; running timers keep their deadlines
    outputs                        ordered list of outputs.py's values; the caller acts on them and empties it

Messages to send are pulled from the packer when the token comes. The owner calls packer.begin_sync when it
comes to MembershipChanged(TRANSITIONAL), unpacker.drop with its `left`, unpacker.begin_sync at REGULAR, and
end_sync of both when the synchronization is over: what was delivered before may have ended an older one.

A node that is the whole ring loops the token through its own `receive`. It holds the token as soon as nothing
is left to send, instead of after seqno_unchanged_const idle rotations, and releases delivered messages at
once: nobody else could ask for them. The hold timer still sends the token round, so nothing else differs.
"""

from collections.abc import Callable
from typing import Any, Final

from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.totem import membership
from pycorosync.totem.config import MS, RingConfig
from pycorosync.totem.messages import (
    LEAVING_NODE_ID,
    RING_SEQ_MASK,
    CommitEntry,
    CommitToken,
    HoldCancel,
    Join,
    Mcast,
    MergeDetect,
    MessageType,
    OrfToken,
    decode,
)
from pycorosync.totem.outputs import Broadcast, SendToken
from pycorosync.totem.sequence import MASK, distance, earlier, precedes
from pycorosync.totem.states import GatherReason, State
from pycorosync.totem.timers import Timer
from pycorosync.totem.token import FrameSource
from pycorosync.totem.transitions import Transitions
from pycorosync.totem.window import WINDOW_MAX, Window
from pycorosync.types import Buffer, NodeId, RingId

LOG = subsystem("TOTEM")

# Looking up a member of an enumeration takes longer than what is done with it for each packet.
_OPERATIONAL: Final = State.OPERATIONAL
_RECOVERY: Final = State.RECOVERY
RING_SEQ_STEP: Final = 4
# Members of a new ring enter OPERATIONAL at most about one rotation apart. Before all have, nobody lets
# strangers break it up: those still in RECOVERY keep the failed set by which the ring was formed, and impose
# it on the next one. Two rings that hear each other could go on excluding each other for ever.
SETTLED_VISITS: Final = 2


class SingleRing(Transitions):
    """One node's view of the ring."""

    # --- the verbs

    def start(self, now_ns: int) -> None:
        """Begin to look for members."""
        self._called_ns = now_ns
        LOG.debug("Created or loaded sequence id %s for this ring.", self._ring_id)
        self._enter_gather(GatherReason.INTERFACE_CHANGE, now_ns)

    def receive(self, frame: Buffer, now_ns: int) -> None:
        """Act on a frame, which must not change afterwards. A malformed one is counted and dropped."""
        self._note_call(now_ns)
        try:
            kind, message = decode(frame)
        except MalformedMessage as fault:
            self._refuse(str(fault), now_ns)
            return
        self.stats.received[kind] += 1
        MATRIX[self._state][kind](self, message, now_ns)

    def wake(self, now_ns: int) -> None:
        """Have a held token moved, because the packer has something."""
        if not self._held:
            return
        self._note_call(now_ns)
        self._held = False
        if self._is_alone:
            self._resend_token(now_ns)
            return
        self.stats.token_hold_cancel_tx += 1
        self.outputs.append(Broadcast(HoldCancel(self._node_id, self._ring_id).encode(), loop_back=True))

    def on_timer(self, now_ns: int) -> None:
        """Act on every deadline that has passed."""
        self._note_call(now_ns)
        for _ in range(2 * len(Timer)):
            timer = self._timers.pop_expired(now_ns)
            if timer is None:
                return
            ON_TIMER[timer](self, now_ns)

    def next_deadline(self) -> int | None:
        return self._timers.next_deadline()

    def leave(self, now_ns: int) -> None:
        """Tell the others not to wait for us. Silence follows: an answer would have us readmitted."""
        if self._state is State.OFFLINE:
            return
        LOG.debug("sending join/leave message")
        others = tuple(sorted(self._candidates.proc - {self._node_id}))
        failed = (*sorted(self._candidates.failed - {self._node_id}), self._node_id)
        self.stats.memb_join_tx += 1
        join = Join(LEAVING_NODE_ID, self._node_id, self._ring_id.seq, others, failed)
        self.outputs.append(Broadcast(join.encode(), loop_back=False))
        self._timers.clear()
        self._held = False
        self._state = State.OFFLINE

    def force_gather(self, now_ns: int) -> None:
        """Form a ring anew, as an operator may ask (runtime.force_gather)."""
        self._token_lost(now_ns)

    def reconfigure(self, config: RingConfig) -> None:
        """Use other timers and limits from now on."""
        self._config = config

    # --- the token

    def _token_arrives(self, token: OrfToken, now_ns: int) -> None:
        """Use the token, and pass it on."""
        if token.ring_id != self._ring_id:
            self.stats.rx_msg_dropped += 1
            return
        self._watch_activity(token.seq, now_ns)
        if not precedes(self._token_seq, token.token_seq):
            return  # a copy of one that we have used
        recovering = self._state is _RECOVERY
        window = self._recovery_window if recovering else self._window
        if distance(window.aru, token.seq) > WINDOW_MAX:
            self._refuse("Received orf_token message has an impossible sequence number...  ignoring.", now_ns)
            return
        visit = self.stats.token_received(now_ns)
        if not recovering:
            self._visits += 1
            window.release(earlier(token.aru, self._holder.last_aru))
            self._packer.flush()
        last_aru, self._holder.last_aru = self._holder.last_aru, token.aru
        source = self._recovery_queue if recovering else self._packer
        visit.backlog = source.backlog
        self._use_token(token, window, source)
        if self._holder.fails_to_receive(token, last_aru, self._config):
            LOG.error("FAILED TO RECEIVE")
            self._candidates.give_up()
            self._enter_gather(GatherReason.FAILED_TO_RECEIVE, now_ns)
            return
        self._token_seq = token.token_seq
        token.token_seq = (token.token_seq + 1) & MASK
        if recovering and self._progress.on_token(token, self._recovery_queue.backlog > 0):
            self._enter_operational(now_ns)
        self._pass_token_on(token, now_ns)
        visit.tx_ms = now_ns // MS

    def _use_token(self, token: OrfToken, window: Window, source: FrameSource) -> None:
        sent = self._holder.use(token, window, source, self._ring_id, self._config)
        for frame in sent.retransmitted:
            self.outputs.append(Broadcast(frame, False))
        for frame in sent.new:
            self.outputs.append(Broadcast(frame, False))
        self.stats.mcast_sent(len(sent.new), len(sent.retransmitted), source is self._packer)
        if self._config.cancel_token_hold_on_retransmit and (token.requests or sent.retransmitted):
            self._held = False

    def _watch_activity(self, seq: int, now_ns: int) -> None:
        """Notice an idle ring: it looks for others to merge with, and its representative holds the token."""
        if self._holder.note_seq(seq):
            self._timers.cancel(Timer.MERGE_DETECT, Timer.TOKEN_HOLD)
        else:
            self._start_merge_detect(now_ns)
        if not self._is_alone:
            limit = self._config.seqno_unchanged_const + (1 if self._is_representative else 0)
            self._held = self._holder.seq_unchanged >= limit

    def _pass_token_on(self, token: OrfToken, now_ns: int) -> None:
        """Send the token to our successor, or hold it; deliver afterwards, so that nobody waits for that."""
        operational = self._state is _OPERATIONAL
        if operational and self._is_alone:
            self._deliver(self._window.take_contiguous())
            self._window.release(self._window.delivered)
            self._held = self._packer.idle
            if self._held:
                if self._holder.note_seq(token.seq):
                    self._timers.cancel(Timer.MERGE_DETECT)
                self._start_merge_detect(now_ns)
        holds = self._held and self._is_representative
        token.node_id = self._node_id
        self._saved_token = token.encode(target=self._successor)
        if not holds:
            self.outputs.append(SendToken(self._successor, self._saved_token))
        if operational and not self._is_alone:
            self._deliver(self._window.take_contiguous())
        self._restart_token_timers(now_ns)
        if holds:
            self._start(Timer.TOKEN_HOLD, self._config.token_hold_ms, now_ns)
            self._timers.cancel(Timer.HEARTBEAT)
        elif self._config.heartbeat_ms:
            self._start(Timer.HEARTBEAT, self._config.heartbeat_ms, now_ns)

    def _send_initial_token(self, now_ns: int) -> None:
        """The first token of a ring, by its representative."""
        LOG.debug("Sending initial ORF token")
        self._initial_token_sent = True
        self._progress.flag_is_ours = self._recovery_queue.backlog > 0
        token = OrfToken(
            node_id=self._node_id, seq=0, token_seq=0, aru=MASK, aru_addr=self._node_id,
            ring_id=self._ring_id, backlog=0, fcc=0, retrans_flg=int(self._progress.flag_is_ours),
            requests=[],
        )  # fmt: skip
        self._saved_token = token.encode(target=self._successor)
        self.stats.orf_token_tx += 1
        self.outputs.append(SendToken(self._successor, self._saved_token))
        self._restart_token_timers(now_ns)

    def _resend_token(self, now_ns: int) -> None:
        """Send the token, or the commit token, once more as it was."""
        self.outputs.append(SendToken(self._successor, self._saved_token))
        self._start(Timer.TOKEN_RETRANSMIT, self._config.token_retransmit_ms, now_ns)

    def _end_hold(self, now_ns: int) -> None:
        """Let the token go round the idle ring once more; it restarts the other timers when it comes back."""
        self.outputs.append(SendToken(self._successor, self._saved_token))

    def _hold_cancelled(self, message: HoldCancel, now_ns: int) -> None:
        """Somebody has messages to send."""
        if message.ring_id != self._ring_id:
            return
        self._holder.seq_unchanged = 0
        if self._is_representative:
            self._resend_token(now_ns)

    # --- mcasts and merge detects

    def _mcast_while_operational(self, message: Mcast, now_ns: int) -> None:
        if message.ring_id == self._ring_id:
            self._window.add(message)
            self._deliver(self._window.take_contiguous())
        elif self._is_settled:
            self._meet(
                message.system_from, message.ring_id, GatherReason.FOREIGN_MESSAGE_IN_OPERATIONAL, now_ns
            )
        else:
            self.stats.rx_msg_dropped += 1

    def _mcast_while_gathering(self, message: Mcast, now_ns: int) -> None:
        if message.ring_id != self._ring_id:
            self._meet(message.system_from, message.ring_id, GatherReason.FOREIGN_MESSAGE_IN_GATHER, now_ns)
        elif self._ring_id == self._old_ring_id:
            self._window.add(message)
        else:
            self.stats.rx_msg_dropped += 1  # of a ring that was not completed

    def _mcast_while_recovering(self, message: Mcast, now_ns: int) -> None:
        # One that is no recovery copy comes from a member ahead of us; it is delivered after the change.
        if message.ring_id != self._ring_id or not self._recovery_window.add(message):
            self.stats.rx_msg_dropped += 1

    def _merge_while_operational(self, message: MergeDetect, now_ns: int) -> None:
        if message.ring_id == self._ring_id:
            return
        if self._is_settled:
            self._meet(message.system_from, message.ring_id, GatherReason.MERGE_DURING_OPERATIONAL, now_ns)
        else:
            self.stats.rx_msg_dropped += 1

    def _merge_while_gathering(self, message: MergeDetect, now_ns: int) -> None:
        if message.ring_id != self._ring_id:
            self._meet(message.system_from, message.ring_id, GatherReason.MERGE_DURING_GATHER, now_ns)

    def _meet(self, node_id: NodeId, ring_id: RingId, reason: GatherReason, now_ns: int) -> None:
        """Somebody of another ring is here: form one together."""
        if self._state is State.OPERATIONAL:
            # A straggler of a ring that this member has left for ours; corosync breaks up the ring for it.
            unwanted = node_id in self._members and ring_id.seq < self._ring_id.seq
        else:
            unwanted = node_id in self._candidates.proc
        if node_id == self._node_id or unwanted or not self._candidates.include(node_id):
            self.stats.rx_msg_dropped += 1
            return
        self._enter_gather(reason, now_ns)

    @property
    def _is_settled(self) -> bool:
        """Whether every member of this ring has installed it."""
        return self._visits >= SETTLED_VISITS or self._is_alone

    # --- joins

    def _join_while_operational(self, join: Join, now_ns: int) -> None:
        if not self._heed(join, now_ns):
            return
        if membership.is_ignored_while_operational(
            join, frozenset(self._members), self._node_id, self._ring_id.seq
        ):
            return
        if join.system_from not in self._members and not self._is_settled:
            self.stats.rx_msg_dropped += 1  # it will be repeated
            return
        changed = self._candidates.merge(join, self._members).changed
        reason = GatherReason.MERGE_DURING_JOIN if changed else GatherReason.JOIN_DURING_OPERATIONAL
        self._enter_gather(reason, now_ns)

    def _join_while_gathering(self, join: Join, now_ns: int) -> None:
        if not self._heed(join, now_ns):
            return
        result = self._candidates.merge(join, self._members)
        if result.changed:
            self._enter_gather(GatherReason.MERGE_DURING_JOIN, now_ns)
            return
        if not result.agrees:
            return
        candidates = self._candidates
        if not join.is_leave:
            candidates.agree(join.system_from)
        if not candidates.has_consensus:
            return
        if candidates.failed_to_receive:
            candidates.be_alone()
        if candidates.is_representative:
            self._form_ring(now_ns)

    def _join_while_forming(self, join: Join, now_ns: int) -> None:
        """A join in COMMIT or RECOVERY: a member of the ring that is being formed has given it up."""
        if not self._heed(join, now_ns):
            return
        if join.system_from not in self._new_members or join.ring_seq < self._ring_id.seq:
            return
        self._candidates.merge(join, self._members)
        in_commit = self._state is State.COMMIT
        reason = GatherReason.JOIN_DURING_COMMIT if in_commit else GatherReason.JOIN_DURING_RECOVERY
        self._enter_gather(reason, now_ns)

    def _heed(self, join: Join, now_ns: int) -> bool:
        """Whether a join is to be looked at; learns from its ring number."""
        if now_ns < self._stale_until_ns:
            self.stats.rx_msg_dropped += 1
            return False
        self._highest_ring_seq = max(self._highest_ring_seq, join.ring_seq)
        return True

    def _form_ring(self, now_ns: int) -> None:
        """As the representative: offer the ring to those who agreed."""
        LOG.debug("Creating commit token because I am the rep.")
        members = tuple(sorted(self._candidates.proc - self._candidates.failed))
        ring_id = RingId(self._node_id, (self._highest_ring_seq + RING_SEQ_STEP) & RING_SEQ_MASK)
        entries = tuple(CommitEntry.empty() for _ in members)
        token = CommitToken(self._node_id, 0, ring_id, members.index(self._node_id), members, entries)
        self._enter_commit(token, now_ns)

    # --- commit tokens

    def _commit_token_while_gathering(self, token: CommitToken, now_ns: int) -> None:
        if token.ring_id.seq > self._ring_id.seq and membership.matches_commit_token(
            token, self._candidates.proc, self._candidates.failed, self._node_id
        ):
            self._enter_commit(token, now_ns)

    def _commit_token_while_committing(self, token: CommitToken, now_ns: int) -> None:
        """It has been everywhere and comes for the second time."""
        if self._completes_ring(token):
            self._enter_recovery(token, now_ns)

    def _commit_token_while_recovering(self, token: CommitToken, now_ns: int) -> None:
        """At the representative: everybody is in RECOVERY."""
        if self._completes_ring(token) and self._is_representative and not self._initial_token_sent:
            self._send_initial_token(now_ns)

    def _completes_ring(self, token: CommitToken) -> bool:
        return (
            token.ring_id == self._ring_id
            and token.memb_index == len(token.members)
            and token.members == self._new_members
        )

    # --- timers

    def _token_lost(self, now_ns: int) -> None:
        match self._state:
            case State.OPERATIONAL:
                LOG.debug("The token was lost in the OPERATIONAL state.")
                LOG.notice(
                    "A processor failed, forming new configuration: token timed out (%ums), "
                    "waiting %ums for consensus.", self._config.token_ms, self._config.consensus_ms,
                )  # fmt: skip
                self.stats.operational_token_lost += 1
                self._enter_gather(GatherReason.TOKEN_LOST_IN_OPERATIONAL, now_ns)
            case State.GATHER:
                LOG.debug("The consensus timeout expired (%ums).", self._config.consensus_ms)
                self.stats.consensus_timeouts += 1
                self.stats.gather_token_lost += 1
                self._candidates.fail_the_silent()
                self._enter_gather(GatherReason.CONSENSUS_TIMEOUT_EXPIRED, now_ns)
            case State.COMMIT:
                LOG.debug("The token was lost in the COMMIT state.")
                self.stats.commit_token_lost += 1
                self._enter_gather(GatherReason.TOKEN_LOST_IN_COMMIT, now_ns)
            case State.RECOVERY:
                LOG.debug("The token was lost in the RECOVERY state.")
                self.stats.recovery_token_lost += 1
                self._enter_gather(GatherReason.TOKEN_LOST_IN_RECOVERY, now_ns)

    def _heartbeat_missed(self, now_ns: int) -> None:
        LOG.debug("HeartBeat Timer expired Invoking token loss mechanism in state %d", self._state)
        self._token_lost(now_ns)

    def _consensus_expired(self, now_ns: int) -> None:
        self.stats.consensus_timeouts += 1
        if self._candidates.has_consensus:
            # The representative should have sent a commit token by now; give it one more token timeout.
            self._candidates.begin()
            self._start(Timer.TOKEN, self._config.token_ms, now_ns)
        else:
            self._candidates.fail_the_silent()
            self._enter_gather(GatherReason.CONSENSUS_TIMEOUT, now_ns)

    def _repeat_join(self, now_ns: int) -> None:
        self._send_join(now_ns)
        self._start(Timer.JOIN, self._config.join_ms, now_ns)

    def _warn_about_token(self, now_ns: int) -> None:
        if self._config.token_warning_percent:
            LOG.notice("Token has not been received in %d ms", now_ns // MS - self.stats.last_token_ms)
            self._start(Timer.TOKEN_WARNING, self._config.token_warning_ms, now_ns)

    def _detect_merge(self, now_ns: int) -> None:
        if self._is_representative and self._state is State.OPERATIONAL:
            self.stats.merge_detect_sent()
            self.outputs.append(
                Broadcast(MergeDetect(self._node_id, self._ring_id).encode(), loop_back=False)
            )

    def _refuse(self, why: str, now_ns: int) -> None:
        """Drop a frame that makes no sense; at most one log line a second."""
        self.stats.rx_msg_dropped += 1
        if now_ns - self._warned_ns >= 1000 * MS or not self._warned_ns:
            self._warned_ns = now_ns
            LOG.warning("%s", why)

    def _note_call(self, now_ns: int) -> None:
        """Notice that the process was not scheduled in time: joins that waited meanwhile are out of date."""
        called_ns, self._called_ns = self._called_ns, now_ns
        if now_ns - called_ns <= self._config.token_ms * MS // 2:
            return
        deadline_ns = self._timers.next_deadline()
        if deadline_ns is not None and now_ns - deadline_ns > self._config.token_ms * MS * 3 // 10:
            self._stale_until_ns = now_ns + self._config.join_ms * MS // 2
            LOG.notice(
                "Process pause detected for %d ms, flushing membership messages.", (now_ns - called_ns) // MS
            )

    def _ignore(self, message: object, now_ns: int) -> None:
        """A message that means nothing in this state."""

    def _drop(self, message: object, now_ns: int) -> None:
        """A message that might have meant something, but comes at the wrong time."""
        self.stats.rx_msg_dropped += 1


# What to do with each message in each state; protocol/states/totem.md gives the reasons.
MATRIX: dict[State, dict[MessageType, Callable[[SingleRing, Any, int], None]]] = {
    State.OFFLINE: dict.fromkeys(MessageType, SingleRing._ignore),
    State.OPERATIONAL: {
        MessageType.ORF_TOKEN: SingleRing._token_arrives,
        MessageType.MCAST: SingleRing._mcast_while_operational,
        MessageType.MERGE_DETECT: SingleRing._merge_while_operational,
        MessageType.JOIN: SingleRing._join_while_operational,
        MessageType.COMMIT_TOKEN: SingleRing._ignore,  # a late copy of the one that formed this ring
        MessageType.HOLD_CANCEL: SingleRing._hold_cancelled,
    },
    State.GATHER: {
        MessageType.ORF_TOKEN: SingleRing._ignore,  # of a ring that we have given up
        MessageType.MCAST: SingleRing._mcast_while_gathering,
        MessageType.MERGE_DETECT: SingleRing._merge_while_gathering,
        MessageType.JOIN: SingleRing._join_while_gathering,
        MessageType.COMMIT_TOKEN: SingleRing._commit_token_while_gathering,
        MessageType.HOLD_CANCEL: SingleRing._ignore,  # we hold no token
    },
    State.COMMIT: {
        MessageType.ORF_TOKEN: SingleRing._ignore,  # the new ring has none yet
        MessageType.MCAST: SingleRing._drop,
        MessageType.MERGE_DETECT: SingleRing._ignore,  # it will come again when this ring is up
        MessageType.JOIN: SingleRing._join_while_forming,
        MessageType.COMMIT_TOKEN: SingleRing._commit_token_while_committing,
        MessageType.HOLD_CANCEL: SingleRing._ignore,
    },
    State.RECOVERY: {
        MessageType.ORF_TOKEN: SingleRing._token_arrives,
        MessageType.MCAST: SingleRing._mcast_while_recovering,
        MessageType.MERGE_DETECT: SingleRing._ignore,
        MessageType.JOIN: SingleRing._join_while_forming,
        MessageType.COMMIT_TOKEN: SingleRing._commit_token_while_recovering,
        MessageType.HOLD_CANCEL: SingleRing._hold_cancelled,
    },
}

ON_TIMER: dict[Timer, Callable[[SingleRing, int], None]] = {
    Timer.TOKEN: SingleRing._token_lost,
    Timer.TOKEN_WARNING: SingleRing._warn_about_token,
    Timer.TOKEN_RETRANSMIT: SingleRing._resend_token,
    Timer.TOKEN_HOLD: SingleRing._end_hold,
    Timer.MERGE_DETECT: SingleRing._detect_merge,
    Timer.JOIN: SingleRing._repeat_join,
    Timer.SEND_JOIN: SingleRing._broadcast_join,
    Timer.CONSENSUS: SingleRing._consensus_expired,
    Timer.HEARTBEAT: SingleRing._heartbeat_missed,
}
