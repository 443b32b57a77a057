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
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NoReturn, TextIO

from pycorosync.cmap.store import Store
from pycorosync.config.host import HostFacts
from pycorosync.config.load import parse
from pycorosync.errors import ConfigError
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, NUMBER, complain, run_tool
from pycorosync.tools.options import Options
from pycorosync.tools.virtual_cluster import NS_PER_MS, PARTITIONS, Partition, Simulation, VirtualNode
from pycorosync.types import NodeId

EXIT_UNSTABLE: Final = 2
EXIT_NO_OUTPUT: Final = 3
NODES_MAX: Final = 1024  # of one list in a command
TIMEOUT_MS: Final = 250
CONFIG_FILE: Final = "/etc/corosync/corosync.conf"
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
                if not line.startswith("#"):  # Compatibility: no prompt follows a comment
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
            print(HELP, end="")
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
                print(USAGE.format(program=os.path.basename(sys.argv[0])), end="")
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
