"""Plays a scenario with several libcpg clients on the hosts of a lab, and writes down what each was told.

A scenario is a text file. Each line names a client and what it does:

    a host 1            a client process on host n1
    a start [flags]     connect; further words are methods of client.py
    a kill              end it with SIGKILL
    shell 1 LINE        run a shell line on host n1; its output is part of the transcript
    crash 3             the daemon of host n3 ends with SIGKILL
    boot 3              and starts again
    members 1 3         wait until the daemon of host n1 has a ring of three

Pids are replaced by the names of clients, so that transcripts of different runs can be compared.
"""

import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab import Host, Lab, wait_until
from lab.host import environment

CLIENT = Path(__file__).with_name("client.py")
QUIET_S = 0.4
ANSWER_S = 20.0


class Client:
    """One client process: a line in, its answer and callbacks out."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._process = subprocess.Popen(
            host.inside([sys.executable, str(CLIENT)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment(None),
        )
        self._buffered = b""
        lines: list[str] = []
        while not lines:
            lines = self.lines(ANSWER_S)
        self.pid = int(lines[0].split()[-1])

    def send(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    def lines(self, timeout_s: float) -> list[str]:
        """Whole lines that have arrived; waits at most so long for one."""
        output = self._process.stdout
        assert output is not None
        if not select.select([output], [], [], timeout_s)[0]:
            return []
        received = output.read(65536)
        if not received:
            raise EOFError(f"the client on {self.host.name} has ended")
        *whole, self._buffered = (self._buffered + received).split(b"\n")
        return [line.decode() for line in whole]

    def kill(self) -> None:
        self.host.run("kill", "-9", str(self.pid))
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


class Stage:
    """The clients of one scenario by name, and what has been written down."""

    def __init__(self, lab: Lab, crash: Callable[[Host], None], boot: Callable[[Host], None]) -> None:
        self.transcript: list[str] = []
        self._lab = lab
        self._directions = {"crash": crash, "boot": boot}
        self._clients: dict[str, Client] = {}
        self._names: dict[str, str] = {}  # node:pid -> client

    def play(self, path: Path) -> list[str]:
        """The transcript of a scenario."""
        try:
            for line in path.read_text().splitlines():
                if line and not line.startswith("#"):
                    self.transcript.append(f"> {line}")
                    self._step(*line.split())
        finally:
            for client in self._clients.values():
                client.kill()
        return self.transcript

    def _step(self, who: str, *words: str) -> None:
        if who in self._directions:
            self._directions[who](self._lab[int(words[0])])
            self._settle()
        elif who == "members":
            self._wait_members(self._lab[int(words[0])], int(words[1]))
            self._settle()
        elif who == "shell":
            done = self._lab[int(words[0])].shell(" ".join(words[1:]))
            self.transcript += self._named(done.stdout + done.stderr).splitlines()
            self._settle()
        elif words[0] == "host":
            client = self._clients[who] = Client(self._lab[int(words[1])])
            self._names[f"{words[1]}:{client.pid}"] = who
        elif words[0] == "kill":
            self._clients.pop(who).kill()
            self._settle()
        else:
            self._clients[who].send(" ".join(words))
            self._settle(who)

    def _wait_members(self, host: Host, count: int) -> None:
        def formed() -> bool:
            listed = host.run("/usr/sbin/corosync-quorumtool", "-l").stdout
            return len(re.findall(r"^ +\d+ +\d+ n\d", listed, re.MULTILINE)) == count

        wait_until(formed, f"{host.name} to have a ring of {count}")

    def _settle(self, who: str = "") -> None:
        """Write down what arrives, client by client, until `who` has answered and nothing more comes."""
        seen: dict[str, list[str]] = {name: [] for name in self._clients}
        answered = not who
        last = time.monotonic()
        while time.monotonic() < last + (QUIET_S if answered else ANSWER_S):
            for name, client in self._clients.items():
                if lines := client.lines(0.01):
                    last = time.monotonic()
                    seen[name] += lines
                    answered = answered or (name == who and any(line.startswith("=") for line in lines))
        for name, lines in sorted(seen.items()):
            for line in sorted(lines, key=lambda text: text.startswith("!")):
                self.transcript.append(f"  {name} {self._named(line)}")

    def _named(self, text: str) -> str:
        """Names in place of `node:pid`, and of pids and nodes in a table of corosync-cpgtool."""
        text = re.sub(r"\b\d+:\d+\b", lambda found: self._names.get(found[0], found[0]), text)
        return re.sub(
            r" +(\d+)\t +(\d+) \(",
            lambda found: f" {self._names.get(f'{found[2]}:{found[1]}', found[0])} (",
            text,
        )
