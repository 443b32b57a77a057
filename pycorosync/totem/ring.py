"""Membership and total order on one ring, without I/O (corosync: exec/totemsrp.c; protocol/totem.md).

    SingleRing(config, node_id, ring_seq, packer, rng)    ring_seq: as stored by the last SaveRingId, or 0
    start(now_ns)                  begin to look for members, once the network can be used
    receive(frame, now_ns)         a totem message, from the network or looped back (outputs.py says which)
    wake(now_ns)                   the packer has something: a held token has to move
    on_timer(now_ns)               act on every deadline that has passed
    next_deadline()                when on_timer is wanted next; None = not at all
    leave(now_ns)                  tell the others that we go; the ring is silent from then on
    reconfigure(config)            new timers and limits; running timers keep their deadlines
    outputs                        ordered list of outputs.py's values; the caller acts on them and empties it

Messages to send are pulled from the packer when the token comes. After REGULAR the packer takes only messages
of the synchronization until the owner calls packer.end_sync().

A node that is the whole ring loops the token through its own `receive`. It holds the token as soon as nothing
is left to send, instead of after seqno_unchanged_const idle rotations, and releases delivered messages at
once: nobody else could ask for them. The hold timer still sends the token round, so nothing else differs.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.totem import membership, recovery
from pycorosync.totem import token as token_rules
from pycorosync.totem.config import MS, RingConfig
from pycorosync.totem.messages import (
    LEAVING_NODE_ID,
    NODES_MAX,
    ORIGINAL,
    RECOVERY_COPY,
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
    write_mcast_header,
)
from pycorosync.totem.outputs import (
    Broadcast,
    Deliver,
    MembershipChanged,
    MembershipKind,
    Output,
    SaveRingId,
    SendToken,
)
from pycorosync.totem.packing import Packer
from pycorosync.totem.sequence import MASK, distance, earlier, precedes
from pycorosync.totem.states import GatherReason, State
from pycorosync.totem.stats import RingStats, TokenVisit
from pycorosync.totem.timers import Timer, Timers
from pycorosync.totem.window import WINDOW_MAX, Window
from pycorosync.types import Buffer, NodeId, RingId
from pycorosync.wire.fixed import NATIVE

LOG = subsystem("TOTEM")

NOBODY: membership.Nodes = frozenset()
RING_SEQ_STEP = 4


class RandomSource(Protocol):
    """The part of random.Random that the ring uses."""

    def randrange(self, stop: int, /) -> int: ...


class SingleRing:
    """One node's view of the ring."""

    def __init__(
        self, config: RingConfig, node_id: NodeId, ring_seq: int, packer: Packer, rng: RandomSource
    ) -> None:
        self._config = config
        self._node_id = node_id
        self._packer = packer
        self._rng = rng
        self._timers = Timers()
        self._state = State.OFFLINE
        self.outputs: list[Output] = []
        self.stats = RingStats()

        # A number that nobody has seen: even if the lowest node restarts before the others notice, the ring
        # that it forms alone has a name of its own.
        self._ring_id = RingId(node_id, (ring_seq + 1) & RING_SEQ_MASK)
        self._old_ring_id = self._ring_id  # the ring of the last OPERATIONAL
        self._highest_ring_seq = self._ring_id.seq

        self._proc = self._failed = self._agreed = NOBODY
        self._members: tuple[NodeId, ...] = ()  # of the ring of the last OPERATIONAL
        self._new_members: tuple[NodeId, ...] = ()  # of the ring that is being formed, then of the ring
        self._transitional: tuple[NodeId, ...] = ()
        self._leavers: set[NodeId] = set()  # who said that they leave
        self._successor = node_id
        self._failed_to_receive = False

        self._window = Window()  # the ring of the last OPERATIONAL
        self._recovery_window = Window()  # the ring that is being formed
        self._recovery_queue: deque[Mcast] = deque()
        self._progress = recovery.Progress()
        self._initial_token_sent = False

        self._flow = token_rules.FlowControl()
        self._token_seq = MASK
        self._last_seq = -1
        self._last_aru = 0
        self._aru_unchanged = 0
        self._seq_unchanged = 0
        self._held = False  # whether we believe that the token is held, by us or by the representative
        self._saved_token = b""  # what we sent to our successor last
        self._this_seqno = 0

        self._called_ns = 0
        self._stale_until_ns = 0  # joins that come earlier than this waited while the process was paused
        self._warned_ns = 0

    # --- properties

    @property
    def state(self) -> State:
        return self._state

    @property
    def ring_id(self) -> RingId:
        """The ring we are in, or that is being formed."""
        return self._ring_id

    @property
    def members(self) -> tuple[NodeId, ...]:
        """The members of the last ring that was OPERATIONAL, sorted."""
        return self._members

    @property
    def proc(self) -> membership.Nodes:
        """Everyone that we know of at present (corosync's "reachable")."""
        return self._proc

    @property
    def config(self) -> RingConfig:
        return self._config

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
        self._count_received(kind)
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
        others = tuple(sorted(self._proc - {self._node_id}))
        failed = (*sorted(self._failed - {self._node_id}), self._node_id)
        self.stats.memb_join_tx += 1
        join = Join(LEAVING_NODE_ID, self._node_id, self._ring_id.seq, others, failed)
        self.outputs.append(Broadcast(join.encode(), loop_back=False))
        self._timers.clear()
        self._held = False
        self._state = State.OFFLINE

    def reconfigure(self, config: RingConfig) -> None:
        """Use other timers and limits from now on."""
        self._config = config

    # --- entering states: one function each

    def _enter_gather(self, reason: GatherReason, now_ns: int) -> None:
        """Look for members. Callable from any state; the only way into GATHER."""
        self._initial_token_sent = False
        self._held = False
        self._proc |= {self._node_id}
        self._agreed = frozenset((self._node_id,))
        self._state = State.GATHER
        self._timers.cancel(
            Timer.TOKEN, Timer.TOKEN_WARNING, Timer.TOKEN_RETRANSMIT, Timer.TOKEN_HOLD, Timer.MERGE_DETECT,
            Timer.HEARTBEAT,
        )  # fmt: skip
        self._start(Timer.JOIN, self._config.join_ms, now_ns)
        self._start(Timer.CONSENSUS, self._config.consensus_ms, now_ns)
        self._send_join(now_ns)
        self.stats.gather_entered += 1
        if reason is GatherReason.CONSENSUS_TIMEOUT_EXPIRED:
            self.stats.continuous_gather += 1
        LOG.debug("entering GATHER state from %d(%s).", reason, reason.text)

    def _enter_commit(self, token: CommitToken, now_ns: int) -> None:
        """Agree to the ring that the commit token offers, and pass it on. The only way into COMMIT."""
        self._new_members = token.members
        self._successor = membership.successor(token.members, self._node_id)
        token = recovery.fill_entry(token, self._node_id, self._old_ring_id, self._window)
        self._ring_id = token.ring_id
        self._highest_ring_seq = token.ring_id.seq
        self._timers.cancel(Timer.JOIN, Timer.SEND_JOIN, Timer.CONSENSUS)
        self._flow = token_rules.FlowControl()
        self._state = State.COMMIT
        self.stats.commit_entered += 1
        self.stats.continuous_gather = 0
        LOG.debug("entering COMMIT state.")
        self.outputs.append(SaveRingId(token.ring_id))
        self._send_commit_token(token, now_ns)
        self._restart_token_timers(now_ns)

    def _enter_recovery(self, token: CommitToken, now_ns: int) -> None:
        """Everybody has agreed: exchange old messages on the new ring. The only way into RECOVERY."""
        LOG.debug("entering RECOVERY state.")
        self._recovery_window = Window()
        self._progress = recovery.Progress()
        self._transitional = recovery.transitional_members(token, frozenset(self._members), self._old_ring_id)
        self._log_commit_token(token)
        self._recovery_queue = deque(recovery.messages_to_originate(token, self._transitional, self._window))
        if self._recovery_queue:
            LOG.debug("Originated %d messages in RECOVERY.", len(self._recovery_queue))
        else:
            LOG.debug("Did not need to originate any messages in recovery.")
        self._token_seq = MASK
        self._last_seq = -1
        self._last_aru = 0
        self._aru_unchanged = self._seq_unchanged = 0
        self._held = False
        self._state = State.RECOVERY
        self.stats.recovery_entered += 1
        self.stats.continuous_gather = 0
        self._send_commit_token(
            token._replace(node_id=self._node_id, token_seq=(token.token_seq + 1) & MASK), now_ns
        )
        self._restart_token_timers(now_ns)

    def _enter_operational(self, now_ns: int) -> None:
        """Install the new ring after the last messages of the old one. The only way into OPERATIONAL."""
        old, new = self._window, self._recovery_window
        recovery.restore_old_messages(new, old, self._old_ring_id)
        self._deliver(old.take_contiguous())
        transitional, members = self._transitional, tuple(sorted(self._new_members))
        left = tuple(node_id for node_id in self._members if node_id not in transitional)
        joined = tuple(node_id for node_id in members if node_id not in transitional)
        self.outputs.append(
            MembershipChanged(MembershipKind.TRANSITIONAL, self._ring_id, transitional, left, ())
        )
        self._packer.begin_sync()
        # Behind a hole only those who are still with us count: what the others sent cannot be complete.
        self._deliver([message for message in old.take_rest() if message.system_from in transitional])
        self.outputs.append(MembershipChanged(MembershipKind.REGULAR, self._ring_id, members, (), joined))

        self._window, self._recovery_window = new, Window()
        self._recovery_queue.clear()
        self._members = members
        self._proc, self._failed, self._agreed = frozenset(members), NOBODY, NOBODY
        self._old_ring_id = self._ring_id
        self._initial_token_sent = False
        self._last_aru = 0
        self._state = State.OPERATIONAL
        self.stats.operational_entered += 1
        self.stats.continuous_gather = 0
        self._log_membership(joined, left)
        self._leavers.clear()

    # --- the token

    def _token_arrives(self, token: OrfToken, now_ns: int) -> None:
        """Use the token, and pass it on."""
        if token.ring_id != self._ring_id:
            self.stats.rx_msg_dropped += 1
            return
        self._watch_activity(token.seq, now_ns)
        if not precedes(self._token_seq, token.token_seq):
            return  # a copy of one that we have used
        recovering = self._state is State.RECOVERY
        window = self._recovery_window if recovering else self._window
        if distance(window.aru, token.seq) > WINDOW_MAX:
            self._refuse("Received orf_token message has an impossible sequence number...  ignoring.", now_ns)
            return
        visit = self.stats.token_received(now_ns)
        if not recovering:
            window.release(earlier(token.aru, self._last_aru))
            self._packer.flush()
        last_aru, self._last_aru = self._last_aru, token.aru
        self._use_token(token, window, visit)
        if self._fails_to_receive(token, last_aru):
            LOG.error("FAILED TO RECEIVE")
            self._failed_to_receive = True
            self._failed |= {self._node_id}
            self._enter_gather(GatherReason.FAILED_TO_RECEIVE, now_ns)
            return
        self._token_seq = token.token_seq
        token.token_seq = (token.token_seq + 1) & MASK
        if recovering and self._progress.on_token(token, bool(self._recovery_queue)):
            self._enter_operational(now_ns)
        self._pass_token_on(token, now_ns)
        visit.tx_ms = now_ns // MS

    def _watch_activity(self, seq: int, now_ns: int) -> None:
        """Notice an idle ring: it looks for others to merge with, and its representative holds the token."""
        if seq == self._last_seq:
            self._start_merge_detect(now_ns)
            self._seq_unchanged += 1
        else:
            self._timers.cancel(Timer.MERGE_DETECT, Timer.TOKEN_HOLD)
            self._seq_unchanged = 0
            self._last_seq = seq
        if not self._is_alone:
            limit = self._config.seqno_unchanged_const + (1 if self._is_representative else 0)
            self._held = self._seq_unchanged >= limit

    def _use_token(self, token: OrfToken, window: Window, visit: TokenVisit) -> None:
        """Retransmit, ask for what is missing, send; account for it in the token."""
        recovering = self._state is State.RECOVERY
        config, ring_id, outputs = self._config, self._ring_id, self.outputs
        visit.backlog = backlog = len(self._recovery_queue) if recovering else self._packer.backlog
        allowed = self._flow.allowance(token, backlog, config)
        retransmitted = 0
        if token.requests:
            LOG.notice("Retransmit List: %s", " ".join(f"{seq:x}" for _, seq in token.requests))
            for message in token_rules.take_requested(token, window, ring_id, allowed):
                outputs.append(Broadcast(message.frame, loop_back=False))
                retransmitted += 1
            self.stats.mcast_retx += retransmitted
            allowed -= retransmitted
        token_rules.request_missing(token, window, ring_id, config.miss_count_const)
        if config.cancel_token_hold_on_retransmit and (token.requests or retransmitted):
            self._held = False
        sent = 0
        if backlog and token_rules.window_has_room(window, token, allowed, config):
            sent = min(allowed, backlog)
            for _ in range(sent):
                self._send_mcast(token, window, recovering)
        self._flow.update(token, retransmitted + sent)
        token_rules.update_aru(token, self._node_id, window.aru)

    def _send_mcast(self, token: OrfToken, window: Window, recovering: bool) -> None:
        """Give the next frame its place in the order, file it and send it."""
        if recovering:
            frame, encapsulated = recovery.wrap(self._recovery_queue.popleft()), RECOVERY_COPY
        else:
            frame, encapsulated = self._packer.next_frame(), ORIGINAL
        node_id, ring_id = self._node_id, self._ring_id
        seq = token.seq = (token.seq + 1) & MASK
        write_mcast_header(frame, node_id, seq, self._this_seqno, ring_id, encapsulated)
        self._this_seqno = (self._this_seqno + 1) & 0x7FFFFFFF
        window.add(Mcast(node_id, node_id, seq, ring_id, encapsulated, frame, NATIVE))
        self.outputs.append(Broadcast(frame, False))
        self.stats.mcast_tx += 1

    def _fails_to_receive(self, token: OrfToken, last_aru: int) -> bool:
        """Whether we are the one who has kept the ring's aru down for too many rotations."""
        if token.aru == last_aru and token.aru_addr != 0:
            self._aru_unchanged += 1
        else:
            self._aru_unchanged = 0
        return self._aru_unchanged > self._config.fail_to_recv_const and token.aru_addr == self._node_id

    def _pass_token_on(self, token: OrfToken, now_ns: int) -> None:
        """Send the token to our successor, or hold it; deliver afterwards, so that nobody waits for that."""
        operational = self._state is State.OPERATIONAL
        if operational and self._is_alone:
            self._deliver(self._window.take_contiguous())
            self._window.release(self._window.delivered)
            self._held = self._packer.idle
            if self._held and token.seq != self._last_seq:
                self._timers.cancel(Timer.MERGE_DETECT)
                self._last_seq = token.seq
                self._start_merge_detect(now_ns)
        holds = self._held and self._is_representative
        token.node_id = self._node_id
        self._saved_token = token.encode(target=self._successor)
        if not holds:
            self.stats.orf_token_tx += 1
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
        self._progress.flag_is_ours = bool(self._recovery_queue)
        token = OrfToken(
            node_id=self._node_id, seq=0, token_seq=0, aru=MASK, aru_addr=self._node_id,
            ring_id=self._ring_id, backlog=0, fcc=0, retrans_flg=int(self._progress.flag_is_ours), requests=[],
        )  # fmt: skip
        self._saved_token = token.encode(target=self._successor)
        self.stats.orf_token_tx += 1
        self.outputs.append(SendToken(self._successor, self._saved_token))
        self._restart_token_timers(now_ns)

    def _resend_token(self, now_ns: int) -> None:
        """Send the token, or the commit token, once more as it was."""
        if self._state is State.COMMIT:
            self.stats.memb_commit_token_tx += 1
        else:
            self.stats.orf_token_tx += 1
        self.outputs.append(SendToken(self._successor, self._saved_token))
        self._start(Timer.TOKEN_RETRANSMIT, self._config.token_retransmit_ms, now_ns)

    def _hold_cancelled(self, message: HoldCancel, now_ns: int) -> None:
        """Somebody has messages to send."""
        if message.ring_id != self._ring_id:
            return
        self._seq_unchanged = 0
        if self._is_representative:
            self._resend_token(now_ns)

    # --- mcasts and merge detects

    def _mcast_while_operational(self, message: Mcast, now_ns: int) -> None:
        if message.ring_id == self._ring_id:
            self._window.add(message)
            self._deliver(self._window.take_contiguous())
        else:
            self._meet(
                message.system_from, message.ring_id, GatherReason.FOREIGN_MESSAGE_IN_OPERATIONAL, now_ns
            )

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
        if message.ring_id != self._ring_id:
            self._meet(message.system_from, message.ring_id, GatherReason.MERGE_DURING_OPERATIONAL, now_ns)

    def _merge_while_gathering(self, message: MergeDetect, now_ns: int) -> None:
        if message.ring_id != self._ring_id:
            self._meet(message.system_from, message.ring_id, GatherReason.MERGE_DURING_GATHER, now_ns)

    def _meet(self, node_id: NodeId, ring_id: RingId, reason: GatherReason, now_ns: int) -> None:
        """Somebody of another ring is here: form one together."""
        if self._state is State.OPERATIONAL:
            if node_id in self._members and ring_id.seq < self._ring_id.seq:
                # A straggler of a ring that this member has left for ours; corosync breaks up the ring for it.
                self.stats.rx_msg_dropped += 1
                return
        elif node_id in self._proc:
            return
        if len(self._proc) >= NODES_MAX:
            self.stats.rx_msg_dropped += 1
            return
        self._proc |= {node_id}
        self._enter_gather(reason, now_ns)

    # --- joins

    def _join_while_operational(self, join: Join, now_ns: int) -> None:
        if not self._heed(join, now_ns):
            return
        if membership.is_ignored_while_operational(
            join, frozenset(self._members), self._node_id, self._ring_id.seq
        ):
            return
        changed = self._merge_join(join).changed
        reason = GatherReason.MERGE_DURING_JOIN if changed else GatherReason.JOIN_DURING_OPERATIONAL
        self._enter_gather(reason, now_ns)

    def _join_while_gathering(self, join: Join, now_ns: int) -> None:
        if not self._heed(join, now_ns):
            return
        result = self._merge_join(join)
        if result.changed:
            self._enter_gather(GatherReason.MERGE_DURING_JOIN, now_ns)
            return
        if not result.agrees:
            return
        if not join.is_leave:
            self._agreed |= {join.system_from}
        if not membership.has_consensus(self._proc, self._failed, self._agreed):
            return
        if self._failed_to_receive:
            # The others go on without us; be a ring of our own.
            self._failed_to_receive = False
            self._proc, self._failed = frozenset((self._node_id,)), NOBODY
            self._form_ring(now_ns)
        elif membership.is_representative(self._node_id, self._proc, self._failed):
            self._form_ring(now_ns)

    def _join_while_forming(self, join: Join, now_ns: int) -> None:
        """A join in COMMIT or RECOVERY: a member of the ring that is being formed has given it up."""
        if not self._heed(join, now_ns):
            return
        if join.system_from not in self._new_members or join.ring_seq < self._ring_id.seq:
            return
        self._merge_join(join)
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

    def _merge_join(self, join: Join) -> membership.JoinResult:
        if join.is_leave and (leaver := membership.leaver(join)):
            LOG.debug("Received LEAVE message from %u", leaver)
            if len(self._leavers) < NODES_MAX:
                self._leavers.add(leaver)
        result = membership.merge_join(
            join, self._proc, self._failed, frozenset(self._members), self._node_id
        )
        self._proc, self._failed = result.proc, result.failed
        return result

    def _form_ring(self, now_ns: int) -> None:
        """As the representative: offer the ring to those who agreed."""
        LOG.debug("Creating commit token because I am the rep.")
        members = tuple(sorted(self._proc - self._failed))
        ring_id = RingId(self._node_id, (self._highest_ring_seq + RING_SEQ_STEP) & RING_SEQ_MASK)
        entries = tuple(CommitEntry.empty() for _ in members)
        token = CommitToken(self._node_id, 0, ring_id, members.index(self._node_id), members, entries)
        self._enter_commit(token, now_ns)

    # --- commit tokens

    def _commit_token_while_gathering(self, token: CommitToken, now_ns: int) -> None:
        if token.ring_id.seq > self._ring_id.seq and membership.matches_commit_token(
            token, self._proc, self._failed, self._node_id
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

    def _send_commit_token(self, token: CommitToken, now_ns: int) -> None:
        self._saved_token = token.encode(target=self._successor)
        self.stats.memb_commit_token_tx += 1
        self.outputs.append(SendToken(self._successor, self._saved_token))

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
                self._fail_those_without_consensus()
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
        LOG.debug("HeartBeat Timer expired Invoking token loss mechanism in state %s", self._state.value)
        self._token_lost(now_ns)

    def _consensus_expired(self, now_ns: int) -> None:
        self.stats.consensus_timeouts += 1
        if membership.has_consensus(self._proc, self._failed, self._agreed):
            # The representative should have sent a commit token by now; give it one more token timeout.
            self._agreed = frozenset((self._node_id,))
            self._start(Timer.TOKEN, self._config.token_ms, now_ns)
        else:
            self._fail_those_without_consensus()
            self._enter_gather(GatherReason.CONSENSUS_TIMEOUT, now_ns)

    def _fail_those_without_consensus(self) -> None:
        if not membership.has_consensus(self._proc, self._failed, self._agreed):
            self._failed |= self._proc - self._agreed

    def _repeat_join(self, now_ns: int) -> None:
        self._send_join(now_ns)
        self._start(Timer.JOIN, self._config.join_ms, now_ns)

    def _warn_about_token(self, now_ns: int) -> None:
        if self._config.token_warning_percent:
            LOG.notice("Token has not been received in %d ms", now_ns // MS - self.stats.last_token_ms)
            self._start(Timer.TOKEN_WARNING, self._config.token_warning_ms, now_ns)

    def _detect_merge(self, now_ns: int) -> None:
        if self._is_representative:
            self.stats.memb_merge_detect_tx += 1
            self.outputs.append(
                Broadcast(MergeDetect(self._node_id, self._ring_id).encode(), loop_back=False)
            )

    # --- small things

    @property
    def _is_representative(self) -> bool:
        return self._ring_id.representative == self._node_id

    @property
    def _is_alone(self) -> bool:
        return len(self._new_members) == 1

    def _start(self, timer: Timer, duration_ms: int, now_ns: int) -> None:
        self._timers.set(timer, now_ns + duration_ms * MS)

    def _start_merge_detect(self, now_ns: int) -> None:
        if not self._timers.runs(Timer.MERGE_DETECT):
            self._start(Timer.MERGE_DETECT, self._config.merge_ms, now_ns)

    def _restart_token_timers(self, now_ns: int) -> None:
        config = self._config
        self._start(Timer.TOKEN, config.token_ms, now_ns)
        if config.token_warning_percent:
            self._start(Timer.TOKEN_WARNING, config.token_warning_ms, now_ns)
        self._start(Timer.TOKEN_RETRANSMIT, config.token_retransmit_ms, now_ns)

    def _send_join(self, now_ns: int) -> None:
        """Send our join, after a random delay if one is configured."""
        delay_ms = self._config.send_join_ms
        if delay_ms:
            self._timers.set(Timer.SEND_JOIN, now_ns + self._rng.randrange(delay_ms * MS))
        else:
            self._broadcast_join(now_ns)

    def _broadcast_join(self, now_ns: int) -> None:
        join = Join(
            self._node_id,
            self._node_id,
            self._ring_id.seq,
            tuple(sorted(self._proc)),
            tuple(sorted(self._failed)),
        )
        self.stats.memb_join_tx += 1
        self.outputs.append(Broadcast(join.encode(), loop_back=True))

    def _deliver(self, messages: list[Mcast]) -> None:
        for message in messages:
            if message.encapsulated != RECOVERY_COPY:
                self.outputs.append(Deliver(message.node_id, message.payload, message.order))

    def _count_received(self, kind: MessageType) -> None:
        name = _RECEIVED_COUNTERS[kind]
        setattr(self.stats, name, getattr(self.stats, name) + 1)

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

    def _log_commit_token(self, token: CommitToken) -> None:
        for index, node_id in enumerate(self._transitional):
            LOG.debug("TRANS [%d] member %u:", index, node_id)
        for index, (node_id, entry) in enumerate(zip(token.members, token.entries, strict=True)):
            LOG.debug("position [%d] member %u:", index, node_id)
            LOG.debug("previous ringid (%s)", entry.ring_id)
            LOG.debug(
                "aru %x high delivered %x received flag %d", entry.aru, entry.high_delivered, entry.received
            )

    def _log_membership(self, joined: tuple[NodeId, ...], left: tuple[NodeId, ...]) -> None:
        LOG.debug("entering OPERATIONAL state.")
        LOG.notice(
            "A new membership (%s) was formed. Members%s%s", self._ring_id,
            "".join([" joined:", *(f" {node_id}" for node_id in joined)]) if joined else "",
            "".join([" left:", *(f" {node_id}" for node_id in left)]) if left else "",
        )  # fmt: skip
        silent = [node_id for node_id in left if node_id not in self._leavers]
        if silent:
            LOG.notice("Failed to receive the leave message. failed: %s", " ".join(map(str, silent)))


_RECEIVED_COUNTERS = {
    MessageType.ORF_TOKEN: "orf_token_rx",
    MessageType.MCAST: "mcast_rx",
    MessageType.MERGE_DETECT: "memb_merge_detect_rx",
    MessageType.JOIN: "memb_join_rx",
    MessageType.COMMIT_TOKEN: "memb_commit_token_rx",
    MessageType.HOLD_CANCEL: "token_hold_cancel_rx",
}

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
    Timer.TOKEN_HOLD: SingleRing._resend_token,
    Timer.MERGE_DETECT: SingleRing._detect_merge,
    Timer.JOIN: SingleRing._repeat_join,
    Timer.SEND_JOIN: SingleRing._broadcast_join,
    Timer.CONSENSUS: SingleRing._consensus_expired,
    Timer.HEARTBEAT: SingleRing._heartbeat_missed,
}
