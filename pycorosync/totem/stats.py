"""Counters behind the keys stats.srp.* and stats.pg.* (corosync: exec/stats.c, totemstats.h)."""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from pycorosync.totem.messages import MCAST_TYPE, MessageType
from pycorosync.totem.packing import Packer

# Types of the values, as numbered by cmap.
UINT8, UINT32, UINT64 = 2, 6, 8

TOKENS_KEPT = 100
CONTINUOUS_GATHER_MAX = 3  # more attempts than this without a ring look like a firewall
NS_PER_MS: Final = 1_000_000


class Entry(NamedTuple):
    key: str
    kind: int
    value: int


class TokenVisit:
    """When a token came and went, in milliseconds, and how many packets waited."""

    __slots__ = ("backlog", "rx_ms", "tx_ms")

    def __init__(self, rx_ms: int) -> None:
        self.rx_ms = rx_ms
        self.tx_ms = 0  # 0: it did not go on
        self.backlog = 0


class RingStats:
    """What the ring counts. Each attribute of COUNTERS is a key of stats.srp.

    Compatibility: of tokens, orf_token_tx counts the first of each ring only, and nothing counts what is sent
    again after a timeout. Multicasts come back to their sender and are counted when they do.
    """

    COUNTERS = (
        "orf_token_tx", "memb_merge_detect_tx", "memb_join_tx", "mcast_tx", "mcast_retx",
        "memb_commit_token_tx", "token_hold_cancel_tx", "operational_entered", "operational_token_lost",
        "gather_entered", "gather_token_lost", "commit_entered", "commit_token_lost", "recovery_entered",
        "recovery_token_lost", "consensus_timeouts", "rx_msg_dropped",
    )  # fmt: skip

    # The same for frames that came, by MessageType.
    RECEIVED = (
        "orf_token_rx", "mcast_rx", "memb_merge_detect_rx", "memb_join_rx", "memb_commit_token_rx",
        "token_hold_cancel_rx",
    )  # fmt: skip

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """All counters back to zero (corosync-cmapctl -C totem)."""
        self.received = [0] * len(self.RECEIVED)
        self.orf_token_tx = self.memb_merge_detect_tx = self.memb_join_tx = 0
        self.mcast_tx = self.mcast_retx = 0
        self.memb_commit_token_tx = self.token_hold_cancel_tx = 0
        self.operational_entered = self.operational_token_lost = 0
        self.gather_entered = self.gather_token_lost = 0
        self.commit_entered = self.commit_token_lost = 0
        self.recovery_entered = self.recovery_token_lost = 0
        self.consensus_timeouts = 0
        self.rx_msg_dropped = 0  # malformed frames, and messages that do not belong to the state or ring
        self.continuous_gather = 0  # attempts since the last one that led to a ring
        self.continuous_sendmsg_failures = 0  # kept by the transport
        self._visits: deque[TokenVisit] = deque(maxlen=TOKENS_KEPT)

    def mcast_sent(self, new: int, repeated: int, is_ours: bool) -> None:
        """Messages were sent; recovery copies of old ones (not `is_ours`) only count when they come back."""
        if is_ours:
            self.mcast_tx += new
        self.mcast_retx += repeated
        self.received[MCAST_TYPE] += new + repeated

    def merge_detect_sent(self) -> None:
        self.memb_merge_detect_tx += 1
        self.received[MessageType.MERGE_DETECT] += 1

    def token_received(self, now_ns: int) -> TokenVisit:
        visit = TokenVisit(now_ns // NS_PER_MS)
        self._visits.append(visit)
        return visit

    @property
    def last_token_ms(self) -> int:
        """When the last token came, on the caller's clock; 0 if none did."""
        return self._visits[-1].rx_ms if self._visits else 0

    @property
    def suspects_firewall(self) -> bool:
        """Totem cannot form a ring, time and again: corosync warns about the network then."""
        return self.continuous_gather > CONTINUOUS_GATHER_MAX or self.continuous_sendmsg_failures > 30

    def entries(self, now_ns: int) -> Iterator[Entry]:
        """All keys of stats.srp with their present values."""
        for name in self.COUNTERS:
            yield Entry(f"stats.srp.{name}", UINT64, getattr(self, name))
        for name, count in zip(self.RECEIVED, self.received, strict=True):
            yield Entry(f"stats.srp.{name}", UINT64, count)
        interval_ms, workload_ms, backlog = self._averages()
        since_ms = now_ns // NS_PER_MS - self.last_token_ms
        yield Entry("stats.srp.time_since_token_last_received", UINT64, since_ms)
        yield Entry("stats.srp.continuous_gather", UINT32, self.continuous_gather)
        yield Entry("stats.srp.continuous_sendmsg_failures", UINT32, self.continuous_sendmsg_failures)
        yield Entry("stats.srp.firewall_enabled_or_nic_failure", UINT8, int(self.suspects_firewall))
        yield Entry("stats.srp.mtt_rx_token", UINT32, interval_ms)
        yield Entry("stats.srp.avg_token_workload", UINT32, workload_ms)
        yield Entry("stats.srp.avg_backlog_calc", UINT32, backlog)

    def _averages(self) -> tuple[int, int, int]:
        """Mean time between tokens, time that we kept one (ms), and backlog, over the last tokens."""
        visits = list(self._visits)
        interval_ms = workload_ms = backlog = count = 0
        for previous, visit in pairwise(visits):
            if visit.tx_ms or visit.rx_ms > previous.rx_ms:
                interval_ms += visit.rx_ms - previous.rx_ms
                workload_ms += max(visit.tx_ms - visit.rx_ms, 0)
                backlog += visit.backlog
                count += 1
        return (interval_ms // count, workload_ms // count, backlog // count) if count else (0, 0, 0)


def packer_entries(packer: Packer) -> Iterator[Entry]:
    """All keys of stats.pg."""
    yield Entry("stats.pg.msg_queue_avail", UINT32, packer.available)
    yield Entry("stats.pg.msg_reserved", UINT32, packer.reserved)
