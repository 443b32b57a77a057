"""Votequorum engines in one process, with partitions instead of a network and time from the caller: what
corosync-vqsim works on (corosync: vqsim/vqsim_vq_engine.c).
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

from pycorosync.cmap.store import Store
from pycorosync.errors import ConfigError, MalformedMessage
from pycorosync.services.outputs import Multicast, QuorumChanged, Respond
from pycorosync.services.service import RESPONSE_HEADER, NodeView, SyncStart, Transport
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import VoteRequest
from pycorosync.services.votequorum.service import VotequorumService
from pycorosync.tools.common import complain
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import NATIVE, Fixed

PARTITIONS: Final = 16
RING_STEP: Final = 4
SYNC_NS: Final = 10_000_000  # after which a node's synchronization goes on
NS_PER_MS: Final = 1_000_000
DEVICE_NAME: Final = b"VQsim_qdevice"
DEVICE_TIMEOUT_MS: Final = 10000
US: Final = 1  # the only client of each engine


class VirtualNode:
    """One engine, its map, its device, and what it last said."""

    def __init__(self, node_id: NodeId, store: Store, device_timeout_ms: int) -> None:
        self.node_id = node_id
        self.service = VotequorumService(NodeView(node_id, store, cast(Transport, None)))
        self.said: QuorumChanged | None = None
        self.sync_ns: int | None = None  # when its synchronization goes on
        self.device_registered = False
        self.poll_ns: int | None = None  # when its device polls next
        self._poll_every_ns = device_timeout_ms * NS_PER_MS // 2

    @property
    def ring_seq(self) -> int:
        return self.said.ring_id.seq if self.said else 0

    def ask(self, number: VoteRequest, layout: Fixed, now_ns: int, *values: object) -> int:
        """Send a request of our client: the code of the answer, OK if it comes later."""
        request = memoryview(layout.encode(number, layout.size, *values))
        self.service.on_request(US, number, request, now_ns)
        for output in self.service.outputs:
            if isinstance(output, Respond):
                self.service.outputs.remove(output)
                return int(RESPONSE_HEADER.decode(bytes(output.payload)).error)
        return 1

    def switch_device(self, on: bool, now_ns: int) -> None:
        """As a real device's daemon: register once; vote from then on, or say once that it does not."""
        if not on:
            self._poll(False, now_ns)
            self.poll_ns = None
        elif not self.device_registered:
            code = self.ask(VoteRequest.DEVICE_REGISTER, messages.DEVICE_NAME_REQUEST, now_ns, DEVICE_NAME)
            if code != 1:
                complain(f"{self.node_id}: qdevice registration failed: {code}")
                return
            self.device_registered = True
            self.poll_ns = now_ns + 2 * self._poll_every_ns
        elif self.poll_ns is None:
            self.poll_ns = now_ns + self._poll_every_ns

    def poll(self, now_ns: int) -> None:
        """The device's turn has come."""
        self.poll_ns = now_ns + self._poll_every_ns if self._poll(True, now_ns) else None

    def _poll(self, vote: bool, now_ns: int) -> bool:
        ring_id = self.service.ring_id
        code = self.ask(
            VoteRequest.DEVICE_POLL, messages.DEVICE_POLL_REQUEST, now_ns, DEVICE_NAME, int(vote), *ring_id
        )
        if code != 1:
            complain(f"{self.node_id}: qdevice poll failed: {code}")
        return code == 1


@dataclass
class Partition:
    """A ring: its nodes in the order in which they came."""

    number: int
    nodes: list[VirtualNode] = field(default_factory=list)
    seq: int = 0


class Simulation:
    """All nodes, and what passes between them. `on_said` and `on_quit` are told as it happens."""

    def __init__(self, entries: Store, clock_ns: Callable[[], int]) -> None:
        self._entries = entries
        self._clock_ns = clock_ns
        self.partitions = [Partition(number) for number in range(PARTITIONS)]
        self._sent: deque[tuple[VirtualNode, bytes]] = deque()
        self.on_said: Callable[[Partition, VirtualNode], None] = lambda partition, node: None
        self.on_quit: Callable[[Partition, VirtualNode, str], None] = lambda partition, node, why: None

    # --- nodes

    def nodes(self) -> Iterator[tuple[Partition, VirtualNode]]:
        return ((partition, node) for partition in self.partitions for node in partition.nodes)

    def find(self, node_id: NodeId) -> tuple[Partition, VirtualNode] | None:
        return next((found for found in self.nodes() if found[1].node_id == node_id), None)

    def configured(self) -> Iterator[NodeId]:
        """The nodes of the nodelist that have an address."""
        for key in list(self._entries.keys("nodelist.node.")):
            if key.endswith(".ring0_addr"):
                node_id = self._entries.get_int(f"{key.removesuffix('ring0_addr')}nodeid")
                if node_id:
                    yield node_id

    def _store_for(self, node_id: NodeId) -> Store:
        """A map of its own. A node that the file does not have takes the place, and votes, of the first."""
        store = Store()
        store.update((key, kind, value) for key, (kind, value) in self._entries.items())
        keys = [key for key in store.keys("nodelist.node.") if key.endswith(".nodeid")]
        positions = [key.split(".")[2] for key in keys if store.get_int(key) == node_id]
        store.set_u32("nodelist.local_node_pos", int(positions[-1]) if positions else 0)
        return store

    def create(self, node_id: NodeId, number: int) -> bool:
        """A new node in a partition; False if its configuration is refused, which has been said."""
        now_ns = self._clock_ns()
        timeout_ms = self._entries.get_int("quorum.device.timeout") or DEVICE_TIMEOUT_MS
        node = VirtualNode(node_id, self._store_for(node_id), timeout_ms)
        try:
            node.service.start(now_ns)
        except ConfigError as error:
            complain(f"votequorum exec init failed: {error.faults[0].text}")
            return False
        # Alone at first, as every node is.
        partition = self.partitions[number]
        starting, node.service.outputs = node.service.outputs, []
        for output in starting:
            if isinstance(output, Multicast):
                self._receive(node, node, bytes(output.head) + bytes(output.body), now_ns)
        node.service.sync_init(SyncStart(RingId(node_id, 1), (node_id,), (node_id,)), now_ns)
        partition.nodes.append(node)
        self.send_ring(partition, new=True)
        return True

    def remove(self, partition: Partition, node: VirtualNode, why: str) -> None:
        self.on_quit(partition, node, why)
        partition.nodes.remove(node)
        self.send_ring(partition, new=True)

    def move(self, node: VirtualNode, source: Partition, target: Partition) -> None:
        source.nodes.remove(node)
        target.nodes.append(node)

    def send_ring(self, partition: Partition, *, new: bool) -> None:
        """Tell the nodes of a partition who is in it."""
        if new:
            partition.seq += RING_STEP
        if not partition.nodes:
            return
        now_ns = self._clock_ns()
        members = tuple(node.node_id for node in partition.nodes)
        start = SyncStart(RingId(members[0], partition.seq), members, ())
        for node in partition.nodes:
            node.service.sync_init(start, now_ns)
            node.sync_ns = now_ns + SYNC_NS
            if node.poll_ns is not None:
                node.poll_ns = now_ns  # a device votes anew in each ring

    def send_rings(self, *, new: bool) -> None:
        for partition in self.partitions:
            self.send_ring(partition, new=new)

    # --- time

    def next_ns(self) -> int | None:
        """When there is something to do."""
        due = [
            at_ns
            for _, node in self.nodes()
            for at_ns in (node.sync_ns, node.poll_ns, node.service.next_deadline())
            if at_ns is not None
        ]
        return min(due, default=None)

    def run(self) -> None:
        """Do what is due."""
        now_ns = self._clock_ns()
        for _, node in list(self.nodes()):
            deadline = node.service.next_deadline()
            if deadline is not None and deadline <= now_ns:
                node.service.on_timer(now_ns)
            if node.poll_ns is not None and node.poll_ns <= now_ns:
                node.poll(now_ns)
        self.deliver()
        for partition in self.partitions:
            due = [node for node in partition.nodes if node.sync_ns is not None and node.sync_ns <= now_ns]
            ready = [node for node in due if node.service.sync_process(now_ns)]
            self.deliver()
            for node in ready:
                node.sync_ns = None
                node.service.sync_activate(now_ns)
            for node in due:
                if node.sync_ns is not None:
                    node.sync_ns = now_ns + SYNC_NS
        self.deliver()

    def deliver(self) -> None:
        """Pass on everything that was sent, in order."""
        now_ns = self._clock_ns()
        while True:
            for partition, node in list(self.nodes()):
                self._collect(partition, node)
            if not self._sent:
                return
            sender, message = self._sent.popleft()
            found = self.find(sender.node_id)
            for receiver in found[0].nodes if found else ():
                self._receive(receiver, sender, message, now_ns)

    @staticmethod
    def _receive(node: VirtualNode, sender: VirtualNode, message: bytes, now_ns: int) -> None:
        function = int.from_bytes(message[:4], sys.byteorder) & 0xFFFF
        try:
            node.service.on_delivery(sender.node_id, function, memoryview(message), NATIVE, now_ns)
        except MalformedMessage as fault:
            complain(f"{node.node_id}: {fault}")

    def _collect(self, partition: Partition, node: VirtualNode) -> None:
        outputs, node.service.outputs = node.service.outputs, []
        for output in outputs:
            if isinstance(output, Multicast):
                self._sent.append((node, bytes(output.head) + bytes(output.body)))
            elif isinstance(output, QuorumChanged):
                node.said = output
                self.on_said(partition, node)

    def consistent(self) -> bool:
        """Whether in each partition all name the same ring, and nobody is in the middle of anything."""
        return all(
            len({node.ring_seq for node in partition.nodes}) <= 1
            and all(node.sync_ns is None for node in partition.nodes)
            for partition in self.partitions
        )
