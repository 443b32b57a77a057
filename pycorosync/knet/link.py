"""One link to one node: is it up, how slow is it (libknet: threads_heartbeat.c; protocol/knet.md)."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pycorosync.knet.crypto import Overhead
from pycorosync.knet.messages import ALL_HEADERS_SIZE
from pycorosync.knet.outputs import Address
from pycorosync.knet.stats import LinkStats
from pycorosync.types import NodeId

HEARTBEAT_NS: Final = 200_000_000
TICKS_PER_BACKOFF: Final = 5  # the patience with a link is adjusted each so many heartbeats
# How many times the ping timeout a link that is new or was down may be silent; one less each second.
BACKOFF_MAX: Final = 10
LATENCY_FACTOR: Final = 2

UDP_HEADER_SIZE: Final = 8
IP_HEADER_SIZES: Final = {4: 20, 6: 40}
# The smallest packets that every network must carry (RFC 791, RFC 8200).
IP_MTU_MIN: Final = {4: 576, 6: 1280}


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What all nodes' ends of one link have in common."""

    number: int
    ip_version: int  # 4 or 6
    priority: int
    ping_interval_ns: int
    ping_timeout_ns: int
    ping_precision: int  # latency is the mean of about so many pongs
    pong_count: int

    @property
    def header_size(self) -> int:
        """IP and UDP."""
        return IP_HEADER_SIZES[self.ip_version] + UDP_HEADER_SIZE

    @property
    def safe_mtu(self) -> int:
        """The IP packet that passes everywhere."""
        return IP_MTU_MIN[self.ip_version]


class Pong(Enum):
    """What a pong meant."""

    LATE = "late"  # nobody waits for it any more
    COUNTED = "counted"
    RAISES = "raises"  # it was the one that takes the link up
    KEEPS = "keeps"


class Link:
    """The near end of a link. It decides; whoever holds it acts, logs and counts."""

    def __init__(self, settings: LinkSettings, node_id: NodeId, address: Address, overhead: Overhead) -> None:
        self.settings = settings
        self.node_id = node_id
        self.address = address
        self.number = settings.number
        self.stats = LinkStats()
        self.connected = False
        self.received_pongs = 0  # since it was down; stops counting when it is up
        self.refused = False  # the network says that nobody is there
        self.mtu = data_mtu(settings.safe_mtu, settings, overhead)
        self.mtu_valid = True
        self.searched_at_ns: int | None = None  # when the MTU was last found
        self.latency_us = 0
        self._latency_samples = 0
        self._pinged_at_ns: int | None = None
        self._heard_at_ns: int | None = None
        self._unanswered_ns: int | None = None  # when the first ping was sent that nothing has followed
        self._backoff = BACKOFF_MAX
        self._patience_ns = settings.ping_timeout_ns * BACKOFF_MAX

    @property
    def usable(self) -> bool:
        return self.connected and self.mtu_valid

    @property
    def patience_ns(self) -> int:
        """How long the link may be silent before it counts as down."""
        return self._patience_ns

    def ping_is_due(self, now_ns: int) -> bool:
        return self._pinged_at_ns is None or now_ns - self._pinged_at_ns >= self.settings.ping_interval_ns

    def on_ping_sent(self, now_ns: int) -> None:
        self._pinged_at_ns = now_ns
        if self._unanswered_ns is None:
            self._unanswered_ns = now_ns

    def is_silent(self, now_ns: int) -> bool:
        """It has answered, but not for too long.

        Compatibility: libknet also counts the time before it has asked. With a ping timeout below a
        heartbeat (totem.token below 400) its links are down most of the time.
        """
        if self._heard_at_ns is None or self._unanswered_ns is None or self._unanswered_ns >= now_ns:
            return False
        return now_ns - self._heard_at_ns >= self._patience_ns

    def adjust_patience(self) -> None:
        """To be called about once a second."""
        self._backoff = max(1, self._backoff - 1)
        self._patience_ns = (
            self.settings.ping_timeout_ns * self._backoff + self.latency_us * 1000 * LATENCY_FACTOR
        )

    def on_pong(self, sent_ns: int, now_ns: int) -> Pong:
        """An answer to the ping that was sent at `sent_ns`. RAISES only says that the link may go up.

        Even a late one shows that the peer is there.
        """
        self._heard_at_ns, self._unanswered_ns = now_ns, None
        if not 0 <= now_ns - sent_ns <= self.settings.ping_timeout_ns:
            return Pong.LATE
        self._measure((now_ns - sent_ns) // 1000)
        if self.connected or self.latency_us * 1000 >= self._patience_ns:
            return Pong.KEEPS
        if self.received_pongs >= self.settings.pong_count:
            return Pong.RAISES
        self.received_pongs += 1
        return Pong.COUNTED

    def _measure(self, latency_us: int) -> None:
        samples = self._latency_samples = min(self._latency_samples + 1, self.settings.ping_precision)
        self.latency_us = (self.latency_us * (samples - 1) + latency_us) // samples
        stats = self.stats
        stats.latency_max = max(stats.latency_max, self.latency_us)
        stats.latency_min = min(stats.latency_min, self.latency_us)
        stats.latency_ave, stats.latency_samples = self.latency_us, samples

    def rise(self) -> None:
        self.connected = True
        self.stats.up_count += 1

    def fall(self) -> bool:
        """The link is down; True if it was up. Three pongs will be wanted again, and patience is new."""
        was_connected, self.connected = self.connected, False
        self.received_pongs = 0
        self._heard_at_ns = self._unanswered_ns = None
        self._backoff = BACKOFF_MAX
        self.searched_at_ns = None
        self.refused = False
        self.stats.down_count += was_connected
        return was_connected

    def status(self) -> LinkStats:
        """The figures, with what the link is now."""
        self.stats.enabled = 1
        self.stats.connected = int(self.connected)
        self.stats.mtu = self.mtu
        return self.stats

    def clear_stats(self) -> None:
        """Compatibility: libknet leaves latency_min at 0 for ever; we begin anew."""
        self.stats = LinkStats()


def data_mtu(on_wire_mtu: int, settings: LinkSettings, overhead: Overhead) -> int:
    """How much of a message fits into an IP packet of `on_wire_mtu` bytes; may be negative."""
    return overhead.largest_packet(on_wire_mtu - settings.header_size) - ALL_HEADERS_SIZE


def on_wire_size(fragment_size: int, settings: LinkSettings, overhead: Overhead) -> int:
    """The IP packet that a fragment makes, counting the headers that knet reserves."""
    return overhead.sealed_size(fragment_size + ALL_HEADERS_SIZE) + settings.header_size


# What libknet starts with before it knows a link: the smallest IPv4 packet with the longest headers that
# there are, IPv6 and SCTP.
_START_ROOM: Final = 576 - (40 + 28)


def smallest_data_mtu(overhead: Overhead) -> int:
    """Of all links together, before anything is known; a link below it is not usable."""
    return overhead.largest_packet(_START_ROOM) - ALL_HEADERS_SIZE
