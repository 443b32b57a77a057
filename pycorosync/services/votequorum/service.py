"""Decides whether this node may act, by counting votes (corosync: exec/votequorum.c).

Every node multicasts its votes, what it expects, and its flags. All receive these messages in one order
and count the same. A change of membership is counted once, at the end of synchronization, when every
member's message is in.

What clients ask is in requests.py; the quorum device in device.py; the arithmetic in votes.py; the options
in settings.py.
"""

from dataclasses import replace
from enum import Enum, auto
from typing import Any, ClassVar, Final

from pycorosync.cmap.keys import READ_ONLY_WITH_VOTEQUORUM, mark_read_only
from pycorosync.cmap.store import Change, TrackEvent
from pycorosync.cs_error import CsError
from pycorosync.errors import MalformedMessage
from pycorosync.log import subsystem
from pycorosync.services.outputs import Multicast, QuorumChanged, Respond, StoreExpectedVotes
from pycorosync.services.service import (
    NO_BODY,
    RESPONSE_HEADER,
    Delivery,
    NodeView,
    Service,
    SyncStart,
)
from pycorosync.services.votequorum import device, events, extra_info, requests, settings, votes
from pycorosync.services.votequorum.electorate import Electorate
from pycorosync.services.votequorum.messages import (
    DEVICE_NODE_ID,
    DEVICE_REGISTRATION,
    DEVICE_RENAME,
    EXTRA_INFO,
    NODE_INFO,
    RECONFIGURE,
    SERVICE_NAME,
    Function,
    NodeFlags,
    NodeState,
    Parameter,
    Registration,
    VoteResponse,
    shown,
)
from pycorosync.services.votequorum.votes import Tally, TieBreaker, Voter, saturated
from pycorosync.types import ClientId, NodeId, RingId
from pycorosync.wire.fixed import Fixed

LOG = subsystem("VOTEQ")
NS_PER_MS: Final = 1_000_000
RELOADING: Final = "config.totemconfig_reload_in_progress"
CANCEL: Final = "quorum.cancel_wait_for_all"


class Timer(Enum):
    """What the service waits for."""

    DEVICE = auto()  # the device's next poll; without it the device has no vote
    LAST_MAN_STANDING = auto()  # the end of the window in which a smaller cluster must be stable


class VotequorumService(Service):
    """Service 5. `start` comes once, before the first ring.

    Changes of the configuration reach the service through trackers of the map: the node must look at
    `outputs` also after calls that were not for this service.
    """

    ID = 5
    NAME = SERVICE_NAME
    TITLE = "corosync vote quorum service v1.0"
    SYNCHRONIZES = True
    REQUESTS = requests.REQUESTS

    def __init__(self, view: NodeView) -> None:
        super().__init__(view)
        self.settings = settings.Settings()
        self.electorate = Electorate(view.node_id)
        self.device = Voter(DEVICE_NODE_ID)
        self.device_name = b""  # of the cluster's device, whether registered here or elsewhere
        # A registration on its way through the ring, and who waits for it.
        self.registration: tuple[ClientId, bytes] | None = None
        self.device_master_wins = False
        self.quorum = 0
        self.quorate = False
        self.waiting_for_all = False
        self.ring_id = RingId(0, 0)  # of the last synchronization that began
        self.members: tuple[NodeId, ...] = ()
        self.previous_members: tuple[NodeId, ...] = ()
        self.trackers: dict[ClientId, int] = {}  # client -> its context
        self._downscale_barrier = 0  # allow_downscale does not go below
        self._stored_expected_votes = 0
        # The members when we last had the votes; None: others have had them since.
        self._majority: frozenset[NodeId] | None = frozenset()
        self._lowest: NodeId | None = None
        self._highest: NodeId | None = None
        self._synchronizing = False
        self._sync_info_sent = False
        self._waiting_for_poll = False
        self._deadlines: dict[Timer, int] = {}

    @property
    def us(self) -> Voter:
        return self.electorate.us

    # --- start, stop, configuration

    def start(self, now_ns: int, stored_expected_votes: int = 0) -> None:
        """Read the configuration and count ourselves.

        `stored_expected_votes` is what an earlier StoreExpectedVotes left in the state directory; it is
        used with expected_votes_tracking only. Raises ConfigError when options exclude each other: its
        first fault is upstream's text; the daemon exits with status 20.
        """
        cmap = self.view.cmap
        cmap.set_u32("runtime.votequorum.this_node_id", self.us.node_id)
        self.settings = settings.read_at_start(cmap, stored_expected_votes)
        if cmap.get_int("quorum.auto_tie_breaker"):
            self._publish_tie_breaker()
        if self.settings.expected_votes_tracking:
            self._track_expected_votes(stored_expected_votes)
        self._apply_settings()
        if self.settings.wait_for_all:
            self._set_waiting_for_all(True)
        self.recount()
        mark_read_only(cmap, READ_ONLY_WITH_VOTEQUORUM)
        changes = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY | TrackEvent.PREFIX
        cmap.track("nodelist.", changes, self._on_configuration)
        cmap.track("quorum.", changes, self._on_configuration)
        cmap.track(RELOADING, TrackEvent.ADD | TrackEvent.MODIFY, self._on_configuration)
        self.send_node_info(self.us)

    def on_unload(self, now_ns: int) -> None:
        """With allow_downscale, tell the others that we leave on purpose."""
        if self.settings.allow_downscale:
            self.us.flags |= NodeFlags.LEAVING
            self.send_node_info(self.us)

    def _on_configuration(self, change: Change) -> None:
        """Something under quorum. or nodelist. changed, or a reload began or ended."""
        cmap = self.view.cmap
        if cmap.get_int(RELOADING):
            return  # the keys change one by one; at the end we read all of them
        if change.key == RELOADING and cmap.get_int("config.reload_status", CsError.OK) != CsError.OK:
            return
        if change.key == CANCEL and cmap.get_int(CANCEL) >= 1:
            cmap.set_u8(CANCEL, 0)
            self.send_reconfigure(Parameter.CANCEL_WAIT_FOR_ALL, self.us.node_id, 0)
            return
        self._read_configuration_again()

    def _read_configuration_again(self) -> None:
        us = self.us
        old_votes, old_expected_votes = us.votes, us.expected_votes
        new = settings.read_again(
            self.view.cmap,
            self.settings,
            device_registered=NodeFlags.DEVICE_REGISTERED in us.flags,
            stored_expected_votes=self._stored_expected_votes,
        )
        if new is not None:
            self.settings = new
            self._publish_tie_breaker()
            self._apply_settings()
            if not new.wait_for_all and new.wait_for_all_follows_two_node and self.waiting_for_all:
                self._set_waiting_for_all(False)
        self.send_node_info(us)
        self.send_node_info(self.device)
        if us.votes != old_votes:
            self.send_reconfigure(Parameter.NODE_VOTES, us.node_id, us.votes)
        if us.expected_votes != old_expected_votes:
            self.send_reconfigure(Parameter.EXPECTED_VOTES, us.node_id, us.expected_votes)

    def _apply_settings(self) -> None:
        new, cmap = self.settings, self.view.cmap
        self.us.votes = new.votes
        self.us.expected_votes = new.expected_votes or self.us.expected_votes
        if new.device_votes is not None:
            self.device.votes = new.device_votes
        if new.device_was_configured:
            cmap.set_u8("runtime.votequorum.qdevice_can_operate", int(new.device_can_operate))
        self._set_downscale_barrier(self.us.expected_votes)
        cmap.set_u8("runtime.votequorum.two_node", int(new.two_node))

    def _publish_tie_breaker(self) -> None:
        self.view.cmap.set_u32("runtime.votequorum.atb_type", self.settings.tie_breaker)

    def _set_downscale_barrier(self, expected_votes: int) -> None:
        self._downscale_barrier = expected_votes
        self.view.cmap.set_u32("runtime.votequorum.ev_barrier", expected_votes)

    def _track_expected_votes(self, expected_votes: int) -> None:
        self._stored_expected_votes = expected_votes
        self.view.cmap.set_u32("runtime.votequorum.ev_tracking_barrier", expected_votes)
        self.outputs.append(StoreExpectedVotes(expected_votes))

    def _set_waiting_for_all(self, waiting: bool) -> None:
        self.waiting_for_all = waiting
        if waiting:
            self.us.flags |= NodeFlags.WAIT_FOR_ALL
        else:
            self.us.flags &= ~NodeFlags.WAIT_FOR_ALL
        self.view.cmap.set_u8("runtime.votequorum.wait_for_all_status", int(waiting))

    # --- counting

    def count(self, *, may_decrease: bool, expected: int = 0) -> Tally:
        """The quorum and the votes of our partition, as if everyone expected `expected` (0: as they do)."""
        casts = NodeFlags.DEVICE_CAST_VOTE in self.us.flags
        return votes.count(
            self.electorate,
            device_votes=self.device.votes if casts else None,
            expected=expected,
            at_least=0 if may_decrease else self.quorum,
            two_node=self.settings.two_node,
        )

    def recount(self, *, may_decrease: bool = False, by_present_nodes: bool = False) -> None:
        """Count, decide, and tell everyone if the decision is another one.

        `by_present_nodes`: the cluster has become as small as it is; expect no more than that.
        """
        self._raise_expected_votes()
        present = 0
        if by_present_nodes:
            present = len(self.electorate.members()) + bool(self.device.votes)
        expected = present
        if present and may_decrease and self.settings.allow_downscale:
            expected = max(self._downscale_barrier, present)
        tally = self.count(may_decrease=may_decrease, expected=expected)
        self.quorum = tally.quorum
        self.electorate.expect(present)
        self._decide(tally)

    def _raise_expected_votes(self) -> None:
        """A cluster expects at least the votes that it has; the device counts even if it does not vote."""
        us = self.us
        total = saturated(self.electorate.total_votes() + self.device.votes)
        LOG.debug("total_votes=%d, expected_votes=%d", total, us.expected_votes)
        if total > us.expected_votes:
            us.expected_votes = total
            self.notify_expected_votes()
        if self.settings.expected_votes_tracking and us.expected_votes > self._stored_expected_votes:
            self._track_expected_votes(us.expected_votes)

    def _decide(self, tally: Tally) -> None:
        if self.settings.wait_for_all and self.waiting_for_all:
            if tally.total_votes != self.us.expected_votes:
                LOG.notice(
                    "Waiting for all cluster members. Current votes: %d expected_votes: %d",
                    tally.total_votes,
                    self.us.expected_votes,
                )
                self._set_quorate(False)
                return
            self._set_waiting_for_all(False)
        self._set_quorate(self._is_quorate(tally))
        # Compatibility: upstream starts to wait also when votes are missing because a member has not been
        # heard yet in the synchronization under way. A quorate node whose partners change in one step then
        # stays without quorum until all nodes are there. We wait for the end of the synchronization.
        if self.settings.wait_for_all and (self.quorate or not self._synchronizing):
            self._set_waiting_for_all(not self.quorate)

    def _is_quorate(self, tally: Tally) -> bool:
        if tally.total_votes >= tally.quorum:
            self._remember_lowest_and_highest()
            self._majority = frozenset(self.members)
            return True
        previous = (self._majority or frozenset()).union(self.previous_members)
        partition = votes.Partition(self.members, previous, self.electorate, self._lowest, self._highest)
        current = self.settings
        if (
            current.tie_breaker is not TieBreaker.NONE
            and self._majority is not None
            and votes.may_break_tie(tally, self.us.expected_votes, partition)
            and votes.wins_tie(current.tie_breaker, current.tie_breaker_nodes, partition)
        ):
            LOG.debug("the tie breaker is with us")
            return True
        if self.device_master_wins and votes.device_wins(self.electorate):
            LOG.debug("node is quorate as part of master_wins partition")
            return True
        return False

    def _remember_lowest_and_highest(self) -> None:
        self._lowest, self._highest = self.electorate.lowest_and_highest()
        self.view.cmap.set_u32("runtime.votequorum.lowest_node_id", self._lowest)
        self.view.cmap.set_u32("runtime.votequorum.highest_node_id", self._highest)

    def _set_quorate(self, quorate: bool) -> None:
        has_changed = quorate is not self.quorate
        self.quorate = quorate
        if quorate:
            self.us.flags |= NodeFlags.QUORATE
        else:
            self.us.flags &= ~NodeFlags.QUORATE
        if has_changed:
            LOG.debug("quorum regained, resuming activity" if quorate else "quorum lost, blocking activity")
        # The end of a synchronization tells everyone, changed or not.
        if has_changed and not self._synchronizing:
            self._announce()

    def _announce(self) -> None:
        self.outputs.append(QuorumChanged(self.quorate, self.members, self.ring_id))
        self.notify_quorum()

    # --- messages to the other nodes

    def _multicast(self, function: Function, layout: Fixed, *values: Any) -> None:
        head = layout.encode(self.ID << 16 | function, layout.size, *values)
        self.outputs.append(Multicast(head, NO_BODY))

    def send_node_info(self, voter: Voter) -> None:
        """Tell everyone what we know of ourselves, or of the device.

        Compatibility: corosync sends what its device says in the middle of a synchronization, before itself
        is known to new members, and these end over it. Here the synchronization tells both, in order.
        """
        if voter is self.device and self._synchronizing and not self._sync_info_sent:
            return
        self._multicast(
            Function.NODE_INFO, NODE_INFO, voter.node_id, voter.votes, voter.expected_votes, voter.flags
        )

    def send_reconfigure(self, parameter: Parameter, node_id: NodeId, value: int) -> None:
        self._multicast(Function.RECONFIGURE, RECONFIGURE, node_id, value, parameter)

    def send_registration(self, operation: Registration, name: bytes) -> None:
        self._multicast(Function.DEVICE_REGISTRATION, DEVICE_REGISTRATION, operation, name)

    def send_rename(self, old_name: bytes, new_name: bytes) -> None:
        self._multicast(Function.DEVICE_RENAME, DEVICE_RENAME, old_name, new_name)

    # --- messages from the nodes, ourselves included

    def _node_info(self, node_id: NodeId, info: Any, message: memoryview, order: str, now_ns: int) -> None:
        LOG.debug(
            "nodeinfo message[%u] from %u: votes: %u, expected: %u flags: %u",
            info.node_id,
            node_id,
            info.votes,
            info.expected_votes,
            info.flags,
        )
        if info.node_id == DEVICE_NODE_ID:
            self._device_info(node_id, info)
        elif info.node_id == node_id:
            self._member_info(info)
        else:
            raise MalformedMessage(f"node {node_id} speaks for node {info.node_id}")

    def _device_info(self, sender_id: NodeId, info: Any) -> None:
        sender = self.electorate.find(sender_id)
        if sender is None:
            raise MalformedMessage(f"node {sender_id} tells of a quorum device before telling of itself")
        old_votes = self.device.votes
        if not self.quorate and NodeFlags.QUORATE in sender.flags:
            self.device.votes = info.votes
        else:
            self.device.votes = max(old_votes, info.votes)
        if self.device.votes != old_votes:
            self.recount()

    def _member_info(self, info: Any) -> None:
        us, voter = self.us, self.electorate.find(info.node_id)
        before = None if voter is None else replace(voter)
        if voter is None:
            voter = self.electorate.add(info.node_id)
            if voter is None:
                raise MalformedMessage(f"node {info.node_id} is one too many")
        voter.flags, voter.votes, voter.state = NodeFlags(info.flags & 0x1FF), info.votes, NodeState.MEMBER
        if NodeFlags.EXTRA_INFO_SET not in voter.flags:
            voter.extra_info = b""
        is_leaving = NodeFlags.LEAVING in voter.flags
        if is_leaving:
            voter.state = NodeState.LEAVING
        is_quorate = NodeFlags.QUORATE in voter.flags
        # A node that is not quorate believes one that is: the cluster may have been resized meanwhile.
        learns = is_quorate and not self.quorate
        if learns:
            us.expected_votes = info.expected_votes
            # There was a majority without us since ours: what we remember decides no tie any more.
            self._majority, self._lowest, self._highest = None, None, None
        if is_quorate or self.settings.expected_votes_tracking:
            voter.expected_votes = info.expected_votes
        else:
            voter.expected_votes = us.expected_votes
        self._end_last_man_standing(voter)
        if voter is us or NodeFlags.FIRST in voter.flags or voter != before:
            self.recount(may_decrease=is_leaving or learns, by_present_nodes=is_leaving)
        # Someone who was not waiting has quorum: so all have been there since the cluster started.
        if (
            self.settings.wait_for_all
            and NodeFlags.QUORATE in voter.flags
            and NodeFlags.WAIT_FOR_ALL not in voter.flags
        ):
            self._set_waiting_for_all(False)

    def _end_last_man_standing(self, voter: Voter) -> None:
        if self.settings.last_man_standing and voter.votes > 1:
            LOG.warning(
                "Last Man Standing feature is supported only when all"
                "cluster nodes votes are set to 1. Disabling LMS."
            )
            self.settings = replace(self.settings, last_man_standing=False)
            self._deadlines.pop(Timer.LAST_MAN_STANDING, None)

    def _reconfigure(
        self, node_id: NodeId, change: Any, message: memoryview, order: str, now_ns: int
    ) -> None:
        LOG.debug("got reconfigure message from cluster node %u for %u", node_id, change.node_id)
        us = self.us
        if change.parameter == Parameter.EXPECTED_VOTES:
            self.electorate.expect(change.value)
            self.notify_expected_votes()
            self._set_downscale_barrier(change.value)
            if self.settings.expected_votes_tracking:
                us.expected_votes = max(us.expected_votes, self._stored_expected_votes)
            self.recount(may_decrease=True)
        elif change.parameter == Parameter.NODE_VOTES:
            voter = self.find(change.node_id)
            if voter is not None:
                voter.votes = change.value
                self.recount(may_decrease=True)
        elif change.parameter == Parameter.CANCEL_WAIT_FOR_ALL:
            self._set_waiting_for_all(False)
            LOG.info("wait_for_all_status reset by user on node %u.", change.node_id)
            self.recount()

    def find(self, node_id: NodeId) -> Voter | None:
        """A node that was seen once, or the device."""
        return self.device if node_id == DEVICE_NODE_ID else self.electorate.find(node_id)

    # --- synchronization

    def sync_init(self, start: SyncStart, now_ns: int) -> None:
        us = self.us
        self._synchronizing, self._sync_info_sent, self._waiting_for_poll = True, False, False
        if len(start.members) > 1:
            us.flags &= ~NodeFlags.FIRST
        left = set(self.members).difference(start.members)
        for node_id in left:
            voter = self.electorate.find(node_id)
            if voter is not None:
                voter.state = NodeState.DEAD
        self.previous_members, self.members, self.ring_id = self.members, start.members, start.ring_id
        if self.settings.last_man_standing and self._may_shrink(bool(left)):
            window_ns = self.settings.last_man_standing_window_ms * NS_PER_MS
            self._deadlines[Timer.LAST_MAN_STANDING] = now_ns + window_ns
        if NodeFlags.DEVICE_REGISTERED in us.flags and NodeFlags.DEVICE_ALIVE in us.flags:
            # Whether the device votes for the new partition is not known before its next poll.
            timeout_ms = self.settings.device_sync_timeout_ms
            self._deadlines[Timer.DEVICE] = now_ns + timeout_ms * NS_PER_MS
            self._waiting_for_poll = True
            LOG.info(
                "waiting for quorum device %s poll (but maximum for %u ms)",
                shown(self.device_name),
                timeout_ms,
            )

    def _may_shrink(self, someone_left: bool) -> bool:
        """Whether last_man_standing may lower what is expected once its window has passed."""
        if len(self.members) >= self.quorum and someone_left:
            return True
        partition = votes.Partition(self.members, (), self.electorate, self._lowest, None)
        return (
            len(self.members) <= self.quorum
            and self.settings.tie_breaker is not TieBreaker.NONE
            and votes.wins_tie(TieBreaker.LOWEST, (), partition)
        )

    def sync_process(self, now_ns: int) -> bool:
        """False while the device has not said whom it votes for, or for quorum.device.sync_timeout."""
        if not self._sync_info_sent:
            self._sync_info_sent = True
            # In this order: upstream ends when it hears of a device from a node that it does not know.
            self.send_node_info(self.us)
            self.send_node_info(self.device)
            if self.device_name:
                self.send_registration(Registration.REGISTER, self.device_name)
            if self.us.extra_info:
                extra_info.send(self)
            self.notify_node_list()
        return not (self._waiting_for_poll and NodeFlags.DEVICE_REGISTERED in self.us.flags)

    def sync_activate(self, now_ns: int) -> None:
        # Quorum changes are announced once, here, and not by the count.
        self.recount()
        self._synchronizing = False
        if self.settings.wait_for_all and not self.quorate:
            self._set_waiting_for_all(True)
        self._announce()

    # --- time

    def next_deadline(self) -> int | None:
        return min(self._deadlines.values(), default=None)

    def on_timer(self, now_ns: int) -> None:
        for timer in [timer for timer, due_ns in self._deadlines.items() if due_ns <= now_ns]:
            del self._deadlines[timer]
            if timer is Timer.DEVICE:
                self._device_is_lost()
            elif self.quorate:
                self.recount(may_decrease=True, by_present_nodes=True)

    def _device_is_lost(self) -> None:
        self._waiting_for_poll = False
        if NodeFlags.DEVICE_ALIVE not in self.us.flags:
            return
        self.us.flags &= ~(NodeFlags.DEVICE_ALIVE | NodeFlags.DEVICE_CAST_VOTE)
        LOG.info("lost contact with quorum device %s", shown(self.device_name))
        self.send_node_info(self.us)

    def device_polled(self, now_ns: int) -> None:
        """The device is there; it must come again within quorum.device.timeout."""
        self._waiting_for_poll = False
        self._deadlines[Timer.DEVICE] = now_ns + self.settings.device_timeout_ms * NS_PER_MS

    def device_gone(self) -> None:
        """The device has said goodbye: nobody waits for it any more."""
        self._waiting_for_poll = False
        self._deadlines.pop(Timer.DEVICE, None)

    # --- clients

    def on_client_gone(self, client: ClientId, now_ns: int) -> None:
        self.trackers.pop(client, None)
        if self.registration is not None and self.registration[0] == client:
            self.registration = None

    def respond_status(self, client: ClientId, error: CsError) -> None:
        payload = RESPONSE_HEADER.encode(VoteResponse.STATUS, RESPONSE_HEADER.size, error)
        self.outputs.append(Respond(client, payload))

    def notify_quorum(self, *, only: tuple[ClientId, int] | None = None) -> None:
        """Tell all trackers, or the client and context in `only`, who is here and whether we may act."""
        LOG.debug("Sending quorum callback, quorate = %d", self.quorate)
        states = [(voter.node_id, voter.state.value) for voter in self.electorate]
        if NodeFlags.DEVICE_REGISTERED in self.us.flags:
            # Compatibility: the device is listed without a state.
            states.append((DEVICE_NODE_ID, 0))
        for client, context in self._audience(only):
            self.outputs.append(events.quorum(client, context, self.quorate, states))

    def notify_node_list(self, *, only: tuple[ClientId, int] | None = None) -> None:
        """The same for the members of the ring, quorate or not."""
        LOG.debug("Sending nodelist callback. ring_id = %s", self.ring_id)
        for client, context in self._audience(only):
            self.outputs.append(events.node_list(client, context, self.ring_id, self.members))

    def notify_expected_votes(self) -> None:
        LOG.debug("Sending expected votes callback")
        for client, context in self.trackers.items():
            self.outputs.append(events.expected_votes(client, context, self.us.expected_votes))

    def _audience(self, only: tuple[ClientId, int] | None) -> list[tuple[ClientId, int]]:
        return list(self.trackers.items()) if only is None else [only]

    DELIVERIES: ClassVar[dict[int, Delivery]] = {
        Function.NODE_INFO: Delivery(_node_info, NODE_INFO),
        Function.RECONFIGURE: Delivery(_reconfigure, RECONFIGURE),
        Function.DEVICE_REGISTRATION: Delivery(device.registration_delivered, DEVICE_REGISTRATION),
        Function.DEVICE_RENAME: Delivery(device.rename_delivered, DEVICE_RENAME),
        Function.EXTRA_INFO: Delivery(extra_info.delivered, EXTRA_INFO, counted=False),
    }
