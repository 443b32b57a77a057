"""One other node: the ways to it, and what it has told us (libknet: host.c; protocol/knet.md)."""

from pycorosync.knet.dedup import RestartDetector, SequenceWindow
from pycorosync.knet.fragments import Reassembly
from pycorosync.knet.link import Link
from pycorosync.knet.settings import LinkMode
from pycorosync.log import subsystem
from pycorosync.types import NodeId

KNET = subsystem("KNET")


class Peer:
    """A node that is configured, whether it is there or not."""

    def __init__(self, node_id: NodeId, mode: LinkMode) -> None:
        self.node_id = node_id
        self.mode = mode
        self.links: dict[int, Link] = {}  # by number, in order
        self.window = SequenceWindow()
        self.restarts = RestartDetector()
        self.reassembly = Reassembly()
        self.reachable = False
        self._routes: list[Link] = []
        self._best = 0  # number of the link that was chosen last

    def add_link(self, link: Link) -> None:
        self.links[link.number] = link
        self.links = dict(sorted(self.links.items()))

    def forget_messages(self, newest: int = 0) -> None:
        """Its sequence numbers begin anew, at `newest` or anywhere."""
        self.window.reset(newest)
        self.reassembly.clear()

    def choose_routes(self) -> bool:
        """A link has changed. True if that made the node reachable or unreachable."""
        usable = [link for link in self.links.values() if link.usable]
        if self.mode is LinkMode.PASSIVE:
            # Of equals, the lowest number.
            usable = usable and [max(usable, key=lambda link: link.settings.priority)]
            if usable:
                self._best = usable[0].number
            # Also said when there is none, of the one before: so does libknet.
            priority = self.links[self._best].settings.priority if self._best in self.links else 0
            KNET.info("host: host: %d (passive) best link: %d (pri: %d)", self.node_id, self._best, priority)
        else:
            KNET.info("host: host: %d has %d active links", self.node_id, len(usable))
        self._routes = usable
        if not usable:
            KNET.warning("host: host: %d has no active links", self.node_id)
            self.forget_messages()
        changed = self.reachable != bool(usable)
        self.reachable = bool(usable)
        return changed

    def routes(self) -> list[Link]:
        """The links that the next message takes."""
        if self.mode is not LinkMode.RR or len(self._routes) < 2:
            return self._routes
        first, *rest = self._routes
        self._routes = [*rest, first]
        return [first]
