"""The daemon's own CPU time for a CPG message that goes round a ring of one: request ring, node, event ring.

    make micro [ARGS="--sizes 64,1600 --batch 1 --profile"]

No client, no scheduler, no second process: what changes here changes in the code. The stand-in for libcpg
writes requests and reads events in the same process; what that costs is measured by itself and subtracted.
"""

import argparse
import cProfile
import os
import pstats
import socket
import sys
import tempfile
import time

from pycorosync.daemon.client_server import Client
from pycorosync.daemon.logging import LogSystem
from pycorosync.daemon.shell import Shell
from pycorosync.ipc.connection import SharedMemoryChannel
from pycorosync.ipc.ringbuffer import RingBuffer
from pycorosync.ipc.shared_memory import CHANNELS, RingFile
from pycorosync.services.cpg.messages import JOIN_REQUEST, MCAST_REQUEST
from pycorosync.services.service import ClientInfo
from tests.nodes import SimulatedNode

MAX_MESSAGE_BYTES = 1 << 20
GROUP, CPG, CLIENT = b"micro", 2, 1
WAKE_UP = b"x"


def make_ring(kind: str) -> RingFile:
    return RingFile.create(f"qb-{os.getpid()}-{os.getpid()}-0-{kind}-micro", MAX_MESSAGE_BYTES, 0, 0)


class Stage:
    """A node in its shell, and the client's ends of three rings."""

    def __init__(self, scratch: str) -> None:
        simulated = SimulatedNode(now_ns=time.monotonic_ns())
        simulated.start()
        simulated.node.outputs.clear()
        self.shell = Shell(simulated.node, "", LogSystem(), scratch)
        self.server = self.shell._server
        self.files = [make_ring(kind) for kind in CHANNELS]
        self.ends = [RingFile.open(file.path, MAX_MESSAGE_BYTES) for file in self.files]
        self.request, self.event = self.ends[0].ring, self.ends[2].ring
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        info = ClientInfo(CLIENT, CPG, os.getpid(), 0, 0)
        channel = SharedMemoryChannel(*(file.ring for file in self.files))
        client = Client(info, "cpg", ours, channel, self.files)
        self.server._clients[CLIENT] = client
        self.server._watch(client)
        simulated.node.on_client(info, time.monotonic_ns())
        self.request.write(JOIN_REQUEST.encode(0, JOIN_REQUEST.size, len(GROUP), GROUP, os.getpid(), 0), b"")
        self.theirs.send(WAKE_UP)
        for _ in range(20):
            self.turn()
        drain(self.event)

    def turn(self) -> None:
        self.server._on_setup_socket(CLIENT, 1, time.monotonic_ns())
        self.shell._turn(time.monotonic_ns())

    def run(self, message: bytes, count: int, batch: int) -> None:
        """Let `count` messages go round, `batch` of them at a time."""
        sent = received = 0
        while received < count:
            for _ in range(min(batch, count - sent)):
                sent += self.request.write(message, b"")
            self.theirs.send(WAKE_UP)
            self.turn()
            if got := drain(self.event):
                received += got
                self.theirs.recv(65536)

    def close(self) -> None:
        for file in (*self.ends, *self.files):
            file.close()


def drain(ring: RingBuffer) -> int:
    count = 0
    while ring.peek() is not None:
        ring.reclaim()
        count += 1
    return count


def stand_in_s(message: bytes, count: int, batch: int) -> float:
    """CPU time for each message of what run() does for the client."""
    file = make_ring("spare")
    end = RingFile.open(file.path, MAX_MESSAGE_BYTES)
    began = time.process_time()
    for _ in range(count // batch):
        for _ in range(batch):
            file.ring.write(message, b"")
        drain(end.ring)
    spent = time.process_time() - began
    end.close()
    file.close()
    return spent / (count // batch * batch)


def measure(stage: Stage, size: int, options: argparse.Namespace) -> None:
    message = MCAST_REQUEST.encode(CPG, MCAST_REQUEST.size + size, 0, 0, size) + bytes(size)
    batch = max(1, min(options.batch, MAX_MESSAGE_BYTES * 3 // 4 // (size + 300)))
    count = max(200, min(2000 * batch, 20_000, 200_000_000 // (size + 5000)))
    spent, stand_in = [], []
    profile = cProfile.Profile() if options.profile else None
    for _ in range(options.rounds):
        stand_in.append(stand_in_s(message, count, batch))
        began = time.process_time()
        if profile:
            profile.runcall(stage.run, message, count, batch)
        else:
            stage.run(message, count, batch)
        spent.append((time.process_time() - began) / count)
    figure = (min(spent) - min(stand_in)) * 1e6
    print(f"{size:8} B  {figure:9.2f} us/message (stand-in {min(stand_in) * 1e6:.2f})", flush=True)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def main() -> int:
    parser = argparse.ArgumentParser(prog="micro", description=__doc__)
    parser.add_argument("--sizes", default="64,320,1600,8000,40000,200000,1000000")
    parser.add_argument("--batch", type=int, default=100, help="messages in flight")
    parser.add_argument("--rounds", type=int, default=5, help="the quickest counts")
    parser.add_argument("--profile", action="store_true", help="calls by their own time (pure Python only)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stage = Stage(scratch)
        try:
            for size in map(int, options.sizes.split(",")):
                measure(stage, size, options)
        finally:
            stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
