"""The ring's data, and entering each of its states (corosync: exec/totemsrp.c, memb_state_*_enter).

Each state is entered by exactly one function here, which gives the reason; ring.py decides when.
"""

from typing import Protocol

from pycorosync.log import subsystem
from pycorosync.totem import membership, recovery
from pycorosync.totem.config import MS, RingConfig
from pycorosync.totem.messages import RECOVERY_COPY, RING_SEQ_MASK, CommitToken, Join, Mcast
from pycorosync.totem.outputs import (
    Broadcast,
    Deliver,
    MembershipChanged,
    MembershipKind,
    Output,
    RingInstalled,
    SaveRingId,
    SendToken,
)
from pycorosync.totem.packing import Packer
from pycorosync.totem.sequence import MASK
from pycorosync.totem.states import GatherReason, State
from pycorosync.totem.stats import RingStats
from pycorosync.totem.timers import Timer, Timers
from pycorosync.totem.token import TokenHolder
from pycorosync.totem.window import Window
from pycorosync.types import NodeId, RingId

LOG = subsystem("TOTEM")


class RandomSource(Protocol):
    """The part of random.Random that the ring uses."""

    def randrange(self, stop: int, /) -> int: ...


class Transitions:
    """What a node knows of its ring, and how it changes state."""

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

        self._candidates = membership.Candidates(node_id)
        self._members: tuple[NodeId, ...] = ()  # of the ring of the last OPERATIONAL
        self._new_members: tuple[NodeId, ...] = ()  # of the ring that is being formed, then of the ring
        self._transitional: tuple[NodeId, ...] = ()
        self._successor = node_id

        self._window = Window()  # the ring of the last OPERATIONAL
        self._recovery_window = Window()  # the ring that is being formed
        self._recovery_queue = recovery.RecoveryQueue()
        self._progress = recovery.Progress()
        self._initial_token_sent = False

        self._holder = TokenHolder(node_id)
        self._token_seq = MASK  # of the last token used
        self._visits = 0  # of the token since this ring was installed
        self._held = False  # whether we believe that the token is held, by us or by the representative
        self._saved_token = b""  # what we sent to our successor last

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
        return self._candidates.proc

    @property
    def config(self) -> RingConfig:
        return self._config

    # --- entering states: one function each

    def _enter_gather(self, reason: GatherReason, now_ns: int) -> None:
        """Look for members. Callable from any state; the only way into GATHER."""
        self._initial_token_sent = False
        self._held = False
        self._candidates.begin()
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
        self._transitional = recovery.transitional_members(token, self._members, self._old_ring_id)
        recovery.log_commit_token(token, self._transitional)
        self._recovery_queue = recovery.RecoveryQueue(
            recovery.messages_to_originate(token, self._transitional, self._window)
        )
        if self._recovery_queue.backlog:
            LOG.debug("Originated %d messages in RECOVERY.", self._recovery_queue.backlog)
        else:
            LOG.debug("Did not need to originate any messages in recovery.")
        self._token_seq = MASK
        self._holder.begin_ring()
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
        # Behind a hole only those who are still with us count: what the others sent cannot be complete.
        self._deliver([message for message in old.take_rest() if message.system_from in transitional])
        self.outputs.append(MembershipChanged(MembershipKind.REGULAR, self._ring_id, members, (), joined))

        self._window, self._recovery_window = new, Window()
        self._recovery_queue = recovery.RecoveryQueue()
        self._members = members
        self._old_ring_id = self._ring_id
        self._initial_token_sent = False
        self._holder.last_aru = 0
        self._visits = 0
        self._state = State.OPERATIONAL
        self.stats.operational_entered += 1
        self.stats.continuous_gather = 0
        self.outputs.append(RingInstalled(self._ring_id, joined, left, self._candidates.silent(left)))
        LOG.debug("entering OPERATIONAL state.")
        self._candidates.install(members)

    # --- small things

    def _send_commit_token(self, token: CommitToken, now_ns: int) -> None:
        self._saved_token = token.encode(target=self._successor)
        self.stats.memb_commit_token_tx += 1
        self.outputs.append(SendToken(self._successor, self._saved_token))

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
        config, timers = self._config, self._timers
        token_ns = config.token_ms * MS
        timers.set(Timer.TOKEN, now_ns + token_ns)
        if config.token_warning_percent:
            timers.set(Timer.TOKEN_WARNING, now_ns + token_ns * config.token_warning_percent // 100)
        timers.set(Timer.TOKEN_RETRANSMIT, now_ns + config.token_retransmit_ms * MS)

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
            tuple(sorted(self._candidates.proc)),
            tuple(sorted(self._candidates.failed)),
        )
        self.stats.memb_join_tx += 1
        self.outputs.append(Broadcast(join.encode(), loop_back=True))

    def _deliver(self, messages: list[Mcast]) -> None:
        for message in messages:
            if message.encapsulated != RECOVERY_COPY:
                self.outputs.append(Deliver(message.node_id, message.payload, message.order))
