"""Runs a daemon on one host from a configuration to its end, and tells what it left behind."""

import shlex
import signal
from typing import NamedTuple

from lab import Engine, Host, Process, wait_until
from lab.engine import AUTHKEY, TEST_KEY
from masking import mask

CONF = "/etc/corosync/corosync.conf"
# There whatever the configuration; clients are let in when the node serves.
QUESTION = ("/usr/sbin/corosync-cmapctl", "-g", "runtime.blackbox.dump_state")
LIMIT_S = 60.0


class Run(NamedTuple):
    """One run of the daemon."""

    command: str  # without the path of the daemon
    status: int
    stdout: str
    stderr: str

    def masked(self) -> str:
        text = f"status {self.status}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"
        return mask(self.command, text)


def prepare(host: Host, configuration: bytes, path: str = CONF) -> None:
    """Write the file and a key that may be read."""
    host.path(path).write_bytes(configuration)
    key = host.path(AUTHKEY)
    key.write_bytes(TEST_KEY)
    key.chmod(0o400)


def once(engine: Engine, host: Host, *arguments: str, before: str = "") -> Run:
    """A run that ends by itself; `before` is shell that precedes it in the same process."""
    line = f"{before}exec {shlex.join(engine.daemon(*arguments))}"
    done = host.run("sh", "-c", line, limit_s=LIMIT_S)
    return Run(shlex.join(["corosync", *arguments]), done.returncode, done.stdout, done.stderr)


def serve(engine: Engine, host: Host, *arguments: str, number: int = signal.SIGTERM) -> Run:
    """A run in the foreground: as soon as the node serves (if it does) it is stopped by a signal."""
    process = host.spawn(*engine.daemon("-f", *arguments))
    wait_until(
        lambda: not process.running or host.run(*QUESTION).returncode == 0, "the node to serve or to end"
    )
    return ended(process, number, *arguments)


def ended(process: Process, number: int, *arguments: str) -> Run:
    process.signal(number)
    status = process.wait(LIMIT_S)
    return Run(shlex.join(["corosync", "-f", *arguments]), status, "", process.output())
