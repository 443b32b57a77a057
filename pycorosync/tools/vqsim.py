"""corosync-vqsim: votequorum engines in one process, to try splits, losses and a quorum device on (corosync:
vqsim/).

Nodes live in numbered partitions, each of which is a ring. A command is carried out to its end before the
next is read. Time is the clock's: a window of last_man_standing must be waited for.

Compatibility: corosync's program shows a state as soon as every node has named the same ring, which may be
before all have heard each other's votes; this one shows what comes out. There `down 1 2` stops node 1 twice,
`-c` is refused, and a node whose configuration is refused goes on without a state; here neither is so.
"""

import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn, TextIO, cast

from pycorosync.cmap.store import Store
from pycorosync.config.host import HostFacts
from pycorosync.config.load import parse
from pycorosync.errors import ConfigError, MalformedMessage
from pycorosync.services.outputs import Multicast, QuorumChanged, Respond
from pycorosync.services.service import RESPONSE_HEADER, NodeView, SyncStart, Transport
from pycorosync.services.votequorum import messages
from pycorosync.services.votequorum.messages import VoteRequest
from pycorosync.services.votequorum.service import VotequorumService
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, NUMBER, complain, run_tool
from pycorosync.tools.options import Options
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import NATIVE, Fixed

EXIT_UNSTABLE: Final = 2
EXIT_NO_OUTPUT: Final = 3
PARTITIONS: Final = 16
NODES_MAX: Final = 1024  # of one list in a command
RING_STEP: Final = 4
SYNC_NS: Final = 10_000_000  # after which a node's synchronization goes on
NS_PER_MS: Final = 1_000_000
TIMEOUT_MS: Final = 250
DEVICE_NAME: Final = b"VQsim_qdevice"
DEVICE_TIMEOUT_MS: Final = 10000
CONFIG_FILE: Final = "/etc/corosync/corosync.conf"
US: Final = 1  # the only client of each engine
USAGE: Final = """\
Usage:

{program} [-c <config-file>] [-o <output-file>]

    -c     config file. defaults to /etc/corosync/corosync.conf
    -o     output file. defaults to stdout
    -n     no synchronization (on adding a node)
    -h     display this help text

{program} always takes input from STDIN, but cannot use a file.
If you want to script it then use
 cat | {program}

"""
HELP: Final = """\
  All node IDs in the cluster are unique and belong to a numbered 'partition' (default=0)

up         [<partition>:][<nodeid>[,<nodeid>] ...] [[<partition>:][<nodeid>...]] [...]
           bring node(s) online in the specified partition(s)
down       <nodeid>,[<nodeid>...]
           send nodes offline (shut them down)
move/split [<partition>:][<nodeid>[,<nodeid>] ...] [[<partition>:][<nodeid>...]] [...]
           Move nodes from one partition to another (netsplit)
           <partition> here is the partition to move the nodes to
join       <partition> <partition> [<partition>] ... 
           Join partitions together (reverse of a netsplit)
qdevice    on|off [<partition>:][<nodeid>[,<nodeid>] ...] [[<partition>:][<nodeid>...]] [...]
           Enable quorum device in specified nodes
autofence  on|off
           automatically 'down' nodes on inquorate side on netsplit
timeout    <n> (default 250)
           Wait a maximum of <n> milli-seconds for the next command to complete.
sync       on|off (default on)
           enable/disable synchronous execution of commands (wait for completion)
assert     on|off (default off)
           Abort the simulation run if a timeout expires
show       Show current nodes status
exit

"""  # noqa: W291


class _Exit(Exception):
    """The program ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


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


class Console:
    """Reads commands, and shows the nodes."""

    def __init__(self, simulation: Simulation, output: TextIO, *, sync: bool) -> None:
        self.simulation = simulation
        self.output = output
        self.sync = sync
        self.autofence = False
        self.assert_on_timeout = False
        self.timeout_ms = TIMEOUT_MS
        self._terminal = sys.stdin.isatty()
        self._buffer = b""
        self._fencing = False
        self._ended = False
        simulation.on_said = self._on_said
        simulation.on_quit = self._on_quit

    def _on_said(self, partition: Partition, node: VirtualNode) -> None:
        if not self.sync:
            self._show_node(partition, node)

    def _on_quit(self, partition: Partition, node: VirtualNode, why: str) -> None:
        print(f"{partition.number}:{node.node_id}: Quit ({why})", flush=True)

    # --- the loop

    def run(self) -> int:
        """Until the end of the input, or exit; the status."""
        try:
            for node_id in self.simulation.configured():
                if not self.simulation.create(node_id, 0):
                    complain(f"ERR: nodeid {node_id} could not be spawned")
                    return EXIT_FAILURE
            if self.sync and any(self.simulation.nodes()):
                self._finish(1000)
            self._prompt()
            while (line := self._next_line()) is not None:
                if not self._terminal:
                    print(line)  # as readline does
                if not line.startswith("#"):
                    self._obey(line.split(" "))
                self._prompt()
        except _Exit as end:
            return end.status
        return EXIT_SUCCESS

    def _prompt(self) -> None:
        self.output.flush()
        print("vqsim> " if self._terminal else "#vqsim> ", end="", flush=True)

    def _next_line(self) -> str | None:
        """The next line of the input, during which time passes; None at the end."""
        while b"\n" not in self._buffer and not self._ended:
            next_ns = self.simulation.next_ns()
            wait_s = None if next_ns is None else max(0.0, (next_ns - time.monotonic_ns()) / 1e9)
            ready, _, _ = select.select([sys.stdin.fileno()], [], [], wait_s)
            if ready:
                chunk = os.read(sys.stdin.fileno(), 4096)
                self._ended = not chunk
                self._buffer += chunk
            self.simulation.run()
            self._fence()
        if not self._buffer:
            return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="surrogateescape")

    def _obey(self, words: list[str]) -> None:
        words = [word for word in words if word]
        if not words:
            return
        command = COMMANDS.get(words[0].lower())
        if command is None or len(words) < command[0]:
            print(HELP)
            return
        if command[1](self, words[1:]) and self.sync:
            self._finish(self.timeout_ms)

    def _finish(self, timeout_ms: int) -> None:
        """Wait until the nodes agree, and show them."""
        deadline_ns = time.monotonic_ns() + timeout_ms * NS_PER_MS
        while not self.simulation.consistent():
            now_ns = time.monotonic_ns()
            if now_ns >= deadline_ns:
                complain("ERR: Partition(s) not stable within timeout")
                if self.assert_on_timeout:
                    raise _Exit(EXIT_UNSTABLE)
                break
            next_ns = self.simulation.next_ns() or deadline_ns
            time.sleep(max(0, min(next_ns, deadline_ns) - now_ns) / 1e9)
            self.simulation.run()
            self._fence()
        self._show([])

    def _fence(self) -> None:
        """With autofence: once somebody has quorum after a change, those without are sent off."""
        simulation = self.simulation
        if not (self._fencing and self.autofence and simulation.consistent()):
            return
        nodes = list(simulation.nodes())
        if not any(node.said and node.said.quorate for _, node in nodes):
            return
        self._fencing = False
        for partition, node in nodes:
            if not (node.said and node.said.quorate):
                simulation.remove(partition, node, "autofenced")

    # --- what is shown

    def _show_node(self, partition: Partition, node: VirtualNode) -> None:
        where = f"{partition.number}:{node.node_id}"
        if node.said is None:
            self.output.write(f"{where}: q=UNINITIALIZED\n")
            return
        members = " ".join(map(str, node.said.members))
        self.output.write(f"{where}: q={node.said.quorate:d} ring=[{node.said.ring_id}] nodes=[{members}]\n")

    # --- commands: whether the nodes have something to do now

    def _show(self, _words: list[str]) -> bool:
        for partition, node in self.simulation.nodes():
            self._show_node(partition, node)
        self.output.write(f"#autofence: {_on_off(self.autofence)}\n")
        return False

    def _up(self, words: list[str]) -> bool:
        created = False
        for number, node_ids in _lists(words):
            for node_id in node_ids:
                if found := self.simulation.find(node_id):
                    complain(f"ERR: nodeid {node_id} already exists in partition {found[0].number}")
                else:
                    created = self.simulation.create(node_id, number) or created
        return created

    def _down(self, words: list[str]) -> bool:
        stopped = False
        for node_id in [number for word in words for number in _numbers(word)]:
            if found := self.simulation.find(node_id):
                self.simulation.remove(*found, "on request")
                stopped = True
            else:
                complain(f"ERR: nodeid {node_id} is not up")
        return stopped

    def _move(self, words: list[str]) -> bool:
        for number, node_ids in _lists(words):
            for node_id in node_ids:
                if found := self.simulation.find(node_id):
                    self.simulation.move(found[1], found[0], self.simulation.partitions[number])
                else:
                    print(f"ERR: node {node_id} does not exist")
        self._change(new=True)
        return True

    def _join(self, words: list[str]) -> bool:
        numbers = [_number(word) for word in words]
        if any(not 0 <= number < PARTITIONS for number in numbers):
            complain(f"ERR: partitions are 0 to {PARTITIONS - 1}")
            return False
        target = self.simulation.partitions[numbers[0]]
        for number in numbers[1:]:
            source = self.simulation.partitions[number]
            if source is not target:
                for node in list(source.nodes):
                    self.simulation.move(node, source, target)
        self._change(new=True)
        return True

    def _change(self, *, new: bool) -> None:
        self._fencing = True
        self.simulation.send_rings(new=new)

    def _qdevice(self, words: list[str]) -> bool:
        on = _switch(words[0])
        if on is None:
            complain("ERR: qdevice should be 'on' or 'off'")
            return False
        for _, node_ids in _lists(words[1:]):
            for node_id in node_ids:
                if found := self.simulation.find(node_id):
                    found[1].switch_device(on, time.monotonic_ns())
        self.simulation.deliver()
        self._change(new=False)
        return False

    def _set_autofence(self, words: list[str]) -> bool:
        on = _switch(words[0])
        if on is None:
            complain("ERR: autofence value must be 'on' or 'off'")
        else:
            self.autofence = on
            self.output.write(f"#autofence: {_on_off(on)}\n")
        return False

    def _set_sync(self, words: list[str]) -> bool:
        on = _switch(words[0])
        if on is None:
            complain("ERR: sync value must be 'on' or 'off'")
        else:
            # Compatibility: there autofence is switched, too.
            self.autofence = self.sync = on
            self.output.write(f"#sync: {_on_off(on)}\n")
        return False

    def _set_assert(self, words: list[str]) -> bool:
        on = _switch(words[0])
        if on is None:
            complain("ERR: assert value must be 'on' or 'off'")
        else:
            self.assert_on_timeout = on
        return False

    def _set_timeout(self, words: list[str]) -> bool:
        self.timeout_ms = max(0, _number(words[0]))
        return False

    def _exit(self, _words: list[str]) -> bool:
        raise _Exit(EXIT_SUCCESS)


# Name -> how many words it takes, with its own, and what it does.
COMMANDS: Final[dict[str, tuple[int, Callable[[Console, list[str]], bool]]]] = {
    "up": (1, Console._up),
    "down": (1, Console._down),
    "move": (2, Console._move),
    "split": (2, Console._move),
    "join": (2, Console._join),
    "autofence": (2, Console._set_autofence),
    "qdevice": (2, Console._qdevice),
    "show": (1, Console._show),
    "timeout": (2, Console._set_timeout),
    "sync": (2, Console._set_sync),
    "assert": (2, Console._set_assert),
    "exit": (1, Console._exit),
    "quit": (1, Console._exit),
    "q": (1, Console._exit),
}


def _on_off(on: bool) -> str:
    return "on" if on else "off"


def _switch(word: str) -> bool | None:
    return {"on": True, "off": False}.get(word.lower())


def _number(text: str) -> int:
    """As atoi(3): what does not begin with a number is 0."""
    match = NUMBER.match(text)
    return int(match[1][:18]) if match else 0


def _numbers(text: str) -> list[NodeId]:
    return [_number(word) for word in text.split(",")]


def _lists(words: Iterable[str]) -> Iterator[tuple[int, list[NodeId]]]:
    """`partition:node,node`: the partition, 0 if there is none, and the nodes. What cannot be is left out."""
    for word in words:
        before, colon, after = word.partition(":")
        number = _number(before) if colon else 0
        node_ids = _numbers(after if colon else before)
        if not 0 <= number < PARTITIONS or len(node_ids) > NODES_MAX:
            complain(f"ERR: {word}: partitions are 0 to {PARTITIONS - 1}, nodes at most {NODES_MAX}")
        else:
            yield number, [node_id for node_id in node_ids if 0 < node_id <= 0xFFFFFFFF]


def _read(filename: str) -> Store:
    """The map that the file makes; an empty one, and a line that says why, if it cannot be used."""
    store = Store()
    try:
        with open(filename, "rb") as file:
            store.update(parse(file.read(), filename, HostFacts()).items())
    except OSError as error:
        complain(f"Error loading corosync.conf Can't read file {filename}: {error.strerror}")
    except ConfigError as error:
        complain(f"Error loading corosync.conf {error}")
    return store


def run() -> NoReturn:
    """The command corosync-vqsim."""
    run_tool(main)


def main(arguments: list[str]) -> int:
    """Read the options, then commands; the exit status."""
    filename, output_name, sync = CONFIG_FILE, "", True
    for letter, argument in Options(arguments, "c:o:nh"):
        match letter:
            case "c":
                filename = argument
            case "o":
                output_name = argument
            case "n":
                sync = False
            case _:
                print(USAGE.format(program=os.path.basename(sys.argv[0])))
                return EXIT_SUCCESS
    simulation = Simulation(_read(filename), time.monotonic_ns)
    if not output_name:
        return Console(simulation, sys.stdout, sync=sync).run()
    try:
        with open(output_name, "w") as output:
            return Console(simulation, output, sync=sync).run()
    except OSError as error:
        complain(f"Unable to open {output_name} for output: {error.strerror}")
        return EXIT_NO_OUTPUT
