"""A node behind a real client server, in this process: what the tests of the IPC connect to."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pycorosync.daemon.client_server import ClientServer
from pycorosync.daemon.loop import Loop
from pycorosync.daemon.sigbus import SigbusGuard
from pycorosync.node.outputs import SetFlowControl
from pycorosync.services.outputs import DisconnectClient, Respond, SendEvent, SendEvents
from tests.nodes import SimulatedNode

NAMES = {0: "cmap", 1: "cfg", 2: "cpg", 3: "quorum", 5: "votequorum"}
PATIENCE_S = 30.0


class Served:
    """The server, running in a thread of its own. `name(2)` is the socket of service 2."""

    def __init__(self, *, use_sockets: bool = False) -> None:
        self.simulated = SimulatedNode(now_ns=time.monotonic_ns())
        self.simulated.start()
        self.node = self.simulated.node
        self.node.outputs.clear()
        self.prefix = f"test-{os.getpid()}-{id(self):x}-"
        self.loop = Loop(self._turn)
        self.server = ClientServer(self.loop, self.node, SigbusGuard(), use_sockets=use_sockets)
        self._jobs: list[Callable[[], None]] = []
        for service_id, name in NAMES.items():
            self.server.listen(service_id, self.prefix + name)
        self._wake_reader, self._wake_writer = os.pipe()
        self.loop.add(self._wake_reader, self._woken)
        self._thread = threading.Thread(target=self.loop.run)

    def name(self, service_id: int) -> str:
        return self.prefix + NAMES[service_id]

    def _woken(self, _events: int, _now_ns: int) -> None:
        os.read(self._wake_reader, 100)

    def _turn(self, now_ns: int) -> int | None:
        while self._jobs:
            self._jobs.pop(0)()
        server, node = self.server, self.node
        server.read_pending(now_ns)
        node.run(now_ns)
        while node.outputs:
            outputs, node.outputs = node.outputs, []
            for output in outputs:
                match output:
                    case Respond():
                        server.respond(output)
                    case SendEvent():
                        server.send_event(output)
                    case SendEvents():
                        server.send_events(output)
                    case DisconnectClient():
                        server.disconnect(output, now_ns)
                    case SetFlowControl():
                        server.set_flow_control(output.service_id, output.level)
                    case _:
                        pass
        server.flush(now_ns)
        deadlines = (server.next_deadline(), node.next_deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def call(self, job: Callable[[], None]) -> None:
        """Run `job` in the server's thread, and wait for it."""
        done = threading.Event()

        def run() -> None:
            job()
            done.set()

        self._jobs.append(run)
        os.write(self._wake_writer, b"x")
        assert done.wait(PATIENCE_S)

    def clients(self) -> int:
        """How many clients the server has."""
        counts: list[int] = []
        self.call(lambda: counts.append(len(self.server._clients)))
        return counts[0]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the server will do of itself."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it never happened"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        def end() -> None:
            for service_id in NAMES:
                self.server.close_service(service_id, time.monotonic_ns())
            self.loop.stop()

        self.call(end)
        self._thread.join(PATIENCE_S)
        os.close(self._wake_reader)
        os.close(self._wake_writer)


@contextmanager
def served(*, use_sockets: bool = False) -> Iterator[Served]:
    running = Served(use_sockets=use_sockets)
    running.start()
    try:
        yield running
    finally:
        running.stop()
