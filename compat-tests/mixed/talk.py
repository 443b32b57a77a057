"""Senders on the nodes of a ring (talk.c, on the distribution's libcpg), and their logs."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from lab import Process, wait_until

from mixed.checker import Log, parse
from mixed.ring import Ring

GROUP = "talk"
QUIET_S = 2.0


@dataclass
class Talker:
    node: int
    process: Process
    daemon: Process
    path: Path

    @property
    def name(self) -> str:
        return f"{self.path.stem} on n{self.node}"

    def count(self, kind: str) -> int:
        return self.path.read_bytes().count(b"\n" + kind.encode() + b" ") if self.path.exists() else 0


class Talkers:
    """At most one talker runs on each node. `seed` decides the sizes of the messages."""

    def __init__(self, ring: Ring, seed: int, per_second: float) -> None:
        self.ring = ring
        self.seed = seed
        self.per_second = per_second
        self.all: list[Talker] = []
        self._program = ring.lab.directory / "talk"
        source = str(Path(__file__).with_name("talk.c"))
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(self._program), source, "-lcpg"]
        subprocess.run(command, check=True)

    def start(self, *numbers: int) -> None:
        """On these nodes (by default: all that have a daemon and no talker)."""
        busy = {talker.node for talker in self.all if talker.process.running}
        for number in numbers or sorted(set(self.ring.daemons) - busy):
            host = self.ring.lab[number]
            host.path("/var/log/bin/talk").write_bytes(self._program.read_bytes())
            host.path("/var/log/bin/talk").chmod(0o755)
            log = f"/var/log/talk{len(self.all)}.log"
            arguments = (GROUP, log, str(self.seed * 100 + len(self.all)), str(self.per_second))
            process = host.spawn("/var/log/bin/talk", *arguments)
            self.all.append(Talker(number, process, self.ring.daemons[number], host.path(log)))

    def sent(self) -> int:
        return sum(talker.count("s") for talker in self.all)

    def wait_sent(self, more: int, limit_s: float = 90) -> None:
        """Until that many more messages have been sent by all together."""
        goal = self.sent() + more
        wait_until(lambda: self.sent() >= goal or self._broken(), f"{more} more messages", limit_s)
        if broken := self._broken():
            raise RuntimeError(f"ended though their daemons run: {broken}")

    def _broken(self) -> list[str]:
        """Talkers that have ended though their daemon has not."""
        return [
            f"{talker.name} with {talker.process.wait()}: {talker.path.read_text()[-200:]}"
            for talker in self.all
            if self.ring.daemons.get(talker.node) is talker.daemon and not talker.process.running
        ]

    def finish(self, limit_s: float = 120) -> list[Log]:
        """Let all fall silent, wait until nothing arrives any more, end them; their logs."""
        alive = [talker for talker in self.all if talker.process.running]
        for talker in alive:
            talker.process.signal(10)
        deadline = time.monotonic() + limit_s
        before: list[int] = []
        last_change = time.monotonic()
        while time.monotonic() < last_change + QUIET_S:
            counts = [talker.path.stat().st_size for talker in alive]
            if counts != before:
                before, last_change = counts, time.monotonic()
            if time.monotonic() > deadline:
                raise TimeoutError("messages still arrive")
            time.sleep(0.2)
        if broken := self._broken():
            raise RuntimeError(f"ended though their daemons run: {broken}")
        ended = [talker.process.running and talker.process.stop() == 0 for talker in self.all]
        return [
            parse(talker.name, talker.path.read_text(), quiet, self.ring.log(talker.node, 10**9))
            for talker, quiet in zip(self.all, ended, strict=True)
        ]
