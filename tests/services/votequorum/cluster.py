"""Votequorum services of several nodes, joined by a ring that is only a list: what one sends, all get."""

from collections.abc import Iterable
from typing import Any, cast

from pycorosync.cmap.store import Store, ValueType
from pycorosync.services.outputs import Multicast, QuorumChanged, Respond, SendEvent, StoreExpectedVotes
from pycorosync.services.service import NodeView, SyncStart, Transport
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import VoteRequest
from pycorosync.services.votequorum.service import VotequorumService
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import NATIVE, Fixed

MS = 1_000_000
FLAGS = frozenset(
    {
        "two_node",
        "wait_for_all",
        "last_man_standing",
        "auto_tie_breaker",
        "allow_downscale",
        "expected_votes_tracking",
    }
)


def configured(nodes: Iterable[NodeId], us: NodeId, options: dict[str, int | str]) -> Store:
    """A map as the configuration fills it. Options are those of the quorum section; votes_N are node N's."""
    cmap = Store()
    cmap.set_str("quorum.provider", "corosync_votequorum")
    for position, node_id in enumerate(nodes):
        cmap.set_u32(f"nodelist.node.{position}.nodeid", node_id)
        cmap.set_str(f"nodelist.node.{position}.name", f"n{node_id}")
        if node_id == us:
            cmap.set_u32("nodelist.local_node_pos", position)
        if votes := options.get(f"votes_{node_id}"):
            cmap.set_u32(f"nodelist.node.{position}.quorum_votes", int(votes))
    for name, value in options.items():
        if name.startswith("votes_"):
            continue
        key = f"quorum.{name}"
        if isinstance(value, str):
            cmap.set_str(key, value)
        else:
            cmap.set(key, ValueType.UINT8 if name in FLAGS else ValueType.UINT32, value)
    return cmap


class Member:
    """One node: its service and what came out of it."""

    def __init__(self, node_id: NodeId, cmap: Store) -> None:
        self.view = NodeView(node_id, cmap, cast(Transport, None))
        self.service = VotequorumService(self.view)
        self.responses: list[tuple[int, bytes]] = []
        self.events: list[tuple[int, bytes]] = []
        self.decisions: list[QuorumChanged] = []
        self.stored: list[int] = []

    @property
    def quorate(self) -> bool:
        return self.service.quorate


class Cluster:
    """The nodes by id. Each group in `rings` is a partition: a message reaches exactly its sender's group."""

    def __init__(self, nodes: int | Iterable[NodeId] = 1, **options: int | str) -> None:
        self.ids = tuple(range(1, nodes + 1)) if isinstance(nodes, int) else tuple(nodes)
        self.options = options
        self.now_ns = 1_000 * MS
        self.seq = 1
        self.rings: dict[NodeId, tuple[NodeId, ...]] = {}
        self.members: dict[NodeId, Member] = {}
        self.queue: list[tuple[NodeId, bytes]] = []
        for node_id in self.ids:
            self.boot(node_id)

    def boot(self, node_id: NodeId, stored: int = 0) -> Member:
        """Start a node, which then is alone."""
        member = self.members[node_id] = Member(node_id, configured(self.ids, node_id, self.options))
        self.queue = [item for item in self.queue if item[0] != node_id]
        member.service.start(self.now_ns, stored)
        self.collect(member)
        initial, self.queue = self.queue, []
        self.ring([node_id], first=initial)
        return member

    def __getitem__(self, node_id: NodeId) -> Member:
        return self.members[node_id]

    # --- the ring

    def ring(
        self, members: Iterable[NodeId], *, first: Iterable[tuple[NodeId, bytes]] = (), wait: bool = True
    ) -> None:
        """The members form a ring and synchronize; `first` is delivered before.

        The others are left as they are. Without `wait` a service that is not ready stops it before the end.
        """
        nodes = tuple(sorted(members))
        self.seq += 4
        start = SyncStart(RingId(nodes[0], self.seq), nodes, ())
        for node_id in nodes:
            together = tuple(node for node in self.rings.get(node_id, ()) if node in nodes) or (node_id,)
            self[node_id].service.sync_init(start._replace(transitional=together), self.now_ns)
            self.rings[node_id] = nodes
        self.queue += first
        self.settle()
        if self.process(nodes) or wait:
            self.activate(nodes)

    def process(self, nodes: Iterable[NodeId]) -> bool:
        ready = [self[node_id].service.sync_process(self.now_ns) for node_id in nodes]
        self.settle()
        return all(ready)

    def activate(self, nodes: Iterable[NodeId]) -> None:
        for node_id in nodes:
            self[node_id].service.sync_activate(self.now_ns)
        self.settle()

    def split(self, *parts: Iterable[NodeId]) -> None:
        for part in parts:
            self.ring(part)

    def collect(self, member: Member) -> None:
        outputs, member.service.outputs = member.service.outputs, []
        for output in outputs:
            match output:
                case Multicast(head, body):
                    self.queue.append((member.view.node_id, bytes(head) + bytes(body)))
                case Respond(client, payload):
                    member.responses.append((client, bytes(payload)))
                case SendEvent(client, head, body):
                    member.events.append((client, bytes(head) + bytes(body)))
                case QuorumChanged():
                    member.decisions.append(output)
                case StoreExpectedVotes(votes):
                    member.stored.append(votes)
                case _:
                    raise AssertionError(output)

    def settle(self) -> None:
        """Deliver until nobody has anything to say."""
        for _ in range(10_000):
            for member in self.members.values():
                self.collect(member)
            if not self.queue:
                return
            sender, message = self.queue.pop(0)
            for node_id in self.rings[sender]:
                # One that has left this ring already hears no more of it.
                if self.rings[node_id] == self.rings[sender]:
                    self.deliver(node_id, sender, message)
        raise AssertionError("the nodes do not come to rest")

    def deliver(self, node_id: NodeId, sender: NodeId, message: bytes, order: str = NATIVE) -> None:
        number = int.from_bytes(message[:4], "little" if order == "<" else "big")
        assert number >> 16 == 5
        service = self[node_id].service
        service.on_delivery(sender, number & 0xFFFF, memoryview(message), order, self.now_ns)
        self.collect(self[node_id])

    def advance(self, ms: int) -> None:
        """Let time pass, in steps from deadline to deadline."""
        end = self.now_ns + ms * MS
        while True:
            deadlines = [member.service.next_deadline() for member in self.members.values()]
            due = min((deadline for deadline in deadlines if deadline is not None), default=end + 1)
            if due > end:
                break
            self.now_ns = max(self.now_ns, due)
            for member in self.members.values():
                member.service.on_timer(self.now_ns)
            self.settle()
        self.now_ns = end

    # --- clients

    def ask(
        self, node_id: NodeId, number: VoteRequest, layout: Fixed, *values: Any, client: int = 7
    ) -> bytes:
        """The response, once all messages that it caused are delivered; b"" if there is none yet."""
        member = self[node_id]
        member.responses.clear()
        message = memoryview(layout.encode(number, layout.size, *values))
        member.service.on_request(client, number, message, self.now_ns)
        self.settle()
        return member.responses[-1][1] if member.responses else b""

    def error(self, node_id: NodeId, number: VoteRequest, layout: Fixed, *values: Any) -> int:
        """The same, only cs_error_t."""
        return int.from_bytes(self.ask(node_id, number, layout, *values)[16:20], "little")

    def info(self, node_id: NodeId, about: NodeId = 0) -> Any:
        answer = self.ask(node_id, VoteRequest.GET_INFO, messages.GET_INFO_REQUEST, about)
        return messages.GET_INFO_RESPONSE.decode(answer)

    def set_expected(self, node_id: NodeId, votes: int) -> int:
        return self.error(node_id, VoteRequest.SET_EXPECTED, messages.SET_EXPECTED_REQUEST, votes)

    def set_votes(self, node_id: NodeId, about: NodeId, votes: int) -> int:
        return self.error(node_id, VoteRequest.SET_VOTES, messages.SET_VOTES_REQUEST, votes, about)

    def register(self, node_id: NodeId, name: bytes = b"Qdevice", client: int = 7) -> bytes:
        return self.ask(
            node_id, VoteRequest.DEVICE_REGISTER, messages.DEVICE_NAME_REQUEST, name, client=client
        )

    def poll(
        self, node_id: NodeId, vote: bool, name: bytes = b"Qdevice", ring_id: RingId | None = None
    ) -> int:
        ring_id = ring_id or self[node_id].service.ring_id
        return self.error(
            node_id, VoteRequest.DEVICE_POLL, messages.DEVICE_POLL_REQUEST, name, int(vote), *ring_id
        )

    def cmap(self, node_id: NodeId, name: str) -> Any:
        return self[node_id].view.cmap.value(f"runtime.votequorum.{name}")
