"""Path MTU discovery on one link: which is the largest packet that arrives (libknet: threads_pmtud.c;
protocol/knet.md).

A search sends probes of chosen sizes. The peer answers each that arrives; a kernel that knows that one cannot
leave says so. Between the largest that was answered and the smallest that was not, halving finds the limit.

Where we differ from libknet 1.25, which only the node itself can notice: links are searched at the same time
rather than one after the other; an unanswered size is tried once more before it counts as too large, where
libknet halves at once without crypto and waits up to 128 times as long with it; and if the size in use is
too large the link falls back to the smallest one while the search goes on, so that a path that has become
narrower does not swallow messages for minutes.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

from pycorosync.deadlines import first_of
from pycorosync.knet.crypto import Overhead
from pycorosync.knet.fragments import DATA_MTU_MIN
from pycorosync.knet.link import Link, data_mtu, on_wire_size, smallest_data_mtu
from pycorosync.knet.messages import ALL_HEADERS_SIZE, encode_probe, encode_size
from pycorosync.knet.outputs import Kind, MtuChanged
from pycorosync.log import subsystem
from pycorosync.types import NodeId

KNET = subsystem("KNET")

ON_WIRE_MAX: Final = 65535
RETRY_NS: Final = 1_000_000_000  # how soon to search again on a link that was too narrow to use
TRIES: Final = 2  # for each size
PROBES_MAX: Final = 60  # halving 65535 takes 16 sizes; more means that the path changes under our eyes


class Verdict(Enum):
    """What the search wants next."""

    PROBE = "probe"  # send one of `size`
    FOUND = "found"  # `size` is the answer
    GIVE_UP = "give up"  # `size` is the largest that has worked, but nothing fits together


class Search:
    """The search on one link. Sizes are those of IP packets."""

    __slots__ = (
        "_bad",
        "_good",
        "_overhead",
        "_settings",
        "_tries",
        "deadline_ns",
        "probes",
        "size",
        "warned",
    )

    def __init__(self, link: Link, overhead: Overhead) -> None:
        self._settings = link.settings
        self._overhead = overhead
        # Pings go through, or the link would not be up.
        self._good = on_wire_size(0, link.settings, overhead)
        self._bad = ON_WIRE_MAX + 1
        self.size = self._aligned(ON_WIRE_MAX)
        self._tries = 0
        self.probes = 0
        self.deadline_ns: int | None = None  # of the probe that is under way
        self.warned = False

    @property
    def data_mtu(self) -> int:
        """What the present size carries of a message."""
        return data_mtu(self.size, self._settings, self._overhead)

    @property
    def probe_length(self) -> int:
        """Of the probe's packet before it is sealed."""
        return self.data_mtu + ALL_HEADERS_SIZE

    def on_sent(self, deadline_ns: int) -> None:
        """The probe is on its way; an answer is waited for until `deadline_ns`."""
        self._tries += 1
        self.probes += 1
        self.deadline_ns = deadline_ns

    def on_reply(self) -> Verdict:
        """The probe of the present size was answered."""
        self._good = self.size
        return self._next((self._good + self._bad) // 2)

    def on_timeout(self) -> Verdict:
        """The probe was not answered."""
        self.deadline_ns = None
        if self._tries < TRIES and self.probes < PROBES_MAX:
            return Verdict.PROBE
        self._bad = self.size
        return self._next((self._good + self._bad) // 2)

    def on_too_large(self, kernel_mtu: int) -> Verdict:
        """The kernel refuses to send the probe; `kernel_mtu` is what it would send, 0 if it does not say."""
        self._bad = self.size
        if self._good < kernel_mtu < self._bad:
            self._bad = kernel_mtu + 1
            return self._next(kernel_mtu)
        return self._next((self._good + self._bad) // 2)

    def _next(self, size: int) -> Verdict:
        """Go on with the size nearest to `size` that decides something."""
        self._tries = 0
        self.deadline_ns = None
        size = self._aligned(size)
        if size <= self._good:
            size = self._aligned(self._bad - 1)
        if size <= self._good:
            self.size = self._good
            return Verdict.FOUND
        if self.probes >= PROBES_MAX:
            self.size = self._good
            return Verdict.GIVE_UP
        self.size = size
        return Verdict.PROBE

    def _aligned(self, size: int) -> int:
        """The largest size up to `size` that fragments make: ciphers work in blocks."""
        carried = data_mtu(size, self._settings, self._overhead)
        return on_wire_size(carried, self._settings, self._overhead)


class Discovery:
    """The searches on all links, and the size of fragments that follows from them.

    Fragments are as large as the narrowest link to anybody lets through, because all peers get the same ones.
    """

    def __init__(
        self,
        node_id: NodeId,
        links: Callable[[], Iterable[Link]],
        transmit: Callable[[Kind, Link, bytes], None],
        on_validity: Callable[[Link], None],
        tell: Callable[[MtuChanged], None],
    ) -> None:
        """`on_validity` is told when a link has become usable, or not, by the size of packets it takes."""
        self._node_id = node_id
        self._links = links
        self._transmit = transmit
        self._on_validity = on_validity
        self._tell = tell
        self._overhead = Overhead()
        self._searches: dict[Link, Search] = {}
        self.interval_ns = 0
        self.manual_mtu = 0  # IP packets of this size are used without a search; 0 = search
        self.data_mtu = smallest_data_mtu(self._overhead)

    def reset(self, overhead: Overhead) -> None:
        """Fall back to what passes everywhere: a link has come up, or packets are sealed in another way."""
        self._overhead = overhead
        self._set(smallest_data_mtu(overhead))

    def _set(self, size: int) -> bool:
        size = max(size, DATA_MTU_MIN)
        if size == self.data_mtu:
            return False
        self.data_mtu = size
        self._tell(MtuChanged(size))
        return True

    def start(self, link: Link, now_ns: int) -> None:
        """Find out anew what a link that is up carries."""
        if self.manual_mtu:
            self._searches.pop(link, None)
            link.mtu = max(DATA_MTU_MIN, data_mtu(self.manual_mtu, link.settings, self._overhead))
            self._settle()
            return
        KNET.debug("pmtud: Starting PMTUD for host: %d link: %d", link.node_id, link.number)
        search = self._searches[link] = Search(link, self._overhead)
        self._probe(link, search, now_ns)

    def stop(self, link: Link) -> None:
        """The link is down or gone. What was known of it is kept for when it comes back."""
        self._searches.pop(link, None)
        self._settle()

    def start_all(self, now_ns: int) -> None:
        for link in self._links():
            if link.connected:
                self.start(link, now_ns)

    def on_heartbeat(self, now_ns: int) -> None:
        """Search again where the last time is long ago."""
        if self.manual_mtu:
            return
        for link in self._links():
            if link.connected and link not in self._searches and self._is_due(link, now_ns):
                self.start(link, now_ns)

    def _is_due(self, link: Link, now_ns: int) -> bool:
        interval_ns = self.interval_ns if link.mtu_valid else RETRY_NS
        return link.searched_at_ns is None or now_ns - link.searched_at_ns >= interval_ns

    def on_timer(self, now_ns: int) -> None:
        """Give up waiting for probes."""
        for link, search in list(self._searches.items()):
            if search.deadline_ns is not None and now_ns >= search.deadline_ns:
                self._on_timeout(link, search, now_ns)

    def next_deadline(self) -> int | None:
        first: int | None = None
        for search in self._searches.values():
            first = first_of(first, search.deadline_ns)
        return first

    def on_reply(self, link: Link, size: bytes, now_ns: int) -> None:
        """The peer has received a probe of ours. Others than the present one mean nothing any more."""
        search = self._searches.get(link)
        if search is not None and size == encode_size(search.size):
            self._go_on(link, search, search.on_reply(), now_ns)

    def on_too_large(self, link: Link, kernel_mtu: int, now_ns: int, *, probe: bool) -> None:
        """The kernel refused to send a datagram, a probe or another, for its size.

        `kernel_mtu` is the size of IP packet that it would send, 0 if that is not known.
        """
        search = self._searches.get(link)
        if search is not None and probe:
            link.stats.tx_pmtu_packets -= 1  # it was counted when it was put out
            link.stats.tx_pmtu_bytes -= self._overhead.sealed_size(search.probe_length)
            self._go_on(link, search, search.on_too_large(kernel_mtu), now_ns)
        elif not probe:
            # The path has become narrower: what we sent is lost, what follows need not be.
            self._fall_back(link)
            if search is None:
                self.start(link, now_ns)

    def _on_timeout(self, link: Link, search: Search, now_ns: int) -> None:
        lost, verdict = search.size, search.on_timeout()
        if lost != search.size or verdict is not Verdict.PROBE:
            self._warn(link, search, lost)
            if data_mtu(lost, link.settings, self._overhead) <= link.mtu:
                self._fall_back(link)
        self._go_on(link, search, verdict, now_ns)

    @staticmethod
    def _warn(link: Link, search: Search, size: int) -> None:
        if search.warned:
            return
        search.warned = True
        KNET.warning(
            "pmtud: possible MTU misconfiguration detected. kernel is reporting MTU: %d bytes for "
            "host %d link %d but the other node is not acknowledging packets of this size. ",
            size,
            link.node_id,
            link.number,
        )
        KNET.warning(
            "pmtud: This can be caused by this node interface MTU too big or a network device that does not "
            "support or has been misconfigured to manage MTU of this size, or packet loss. knet will "
            "continue to run but performances might be affected."
        )

    def _fall_back(self, link: Link) -> None:
        """What the link was thought to carry does not arrive."""
        link.mtu = min(link.mtu, data_mtu(link.settings.safe_mtu, link.settings, self._overhead))
        if link.mtu < self.data_mtu and self._set(link.mtu):
            KNET.info("pmtud: Global data MTU changed to: %d", self.data_mtu)

    def _go_on(self, link: Link, search: Search, verdict: Verdict, now_ns: int) -> None:
        if verdict is Verdict.PROBE:
            self._probe(link, search, now_ns)
            return
        if verdict is Verdict.GIVE_UP:
            KNET.error(
                "pmtud: Aborting PMTUD process: Too many attempts. MTU might have changed during discovery."
            )
        del self._searches[link]
        link.searched_at_ns = now_ns
        self._conclude(link, search.data_mtu)
        self._settle()

    def _conclude(self, link: Link, found: int) -> None:
        before, link.mtu = link.mtu, found
        was_valid, link.mtu_valid = link.mtu_valid, found >= smallest_data_mtu(self._overhead)
        place = (link.node_id, link.number)
        if not link.mtu_valid:
            KNET.info("pmtud: Invalid MTU detected for host: %d link: %d mtu: %d", *place, found)
        else:
            if before != found:
                KNET.info(
                    "pmtud: PMTUD link change for host: %d link: %d from %d to %d", *place, before, found
                )
            KNET.debug("pmtud: PMTUD completed for host: %d link: %d current link mtu: %d", *place, found)
        if was_valid != link.mtu_valid:
            self._on_validity(link)

    def _probe(self, link: Link, search: Search, now_ns: int) -> None:
        """Send one. The answer may take as long as a pong's."""
        search.on_sent(now_ns + link.settings.ping_timeout_ns + 2000 * link.latency_us)
        probe = encode_probe(self._node_id, link.number, search.size, search.probe_length)
        self._transmit(Kind.PMTUD, link, probe)

    def _settle(self) -> None:
        """When nothing is being searched, the narrowest link decides."""
        if self._searches:
            return
        sizes = [link.mtu for link in self._links() if link.usable]
        if sizes and self._set(min(sizes)):
            KNET.info("pmtud: Global data MTU changed to: %d", self.data_mtu)
