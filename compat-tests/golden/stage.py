"""A cluster in the lab on which a state is set up, and the answers to what is asked there.

Everything that is waited for is asked of the distribution's tools, whoever runs the daemons.
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lab import REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from lab.engine import AUTHKEY, CONF, TEST_KEY
from lab.host import OWN_TOOLS
from masking import mask

LOGFILE = "/var/log/corosync/corosync.log"
LIMIT_S = 180.0
LOG_LINES = ": log lines"
LOG_DELAY_S = 2.0  # corosync writes its log from a thread of its own


class Answer(NamedTuple):
    """What one command line printed, and its exit status."""

    question: str  # host and command line
    text: str

    @property
    def is_log(self) -> bool:
        return self.question.endswith(LOG_LINES)


class Combination(NamedTuple):
    """Who runs the daemons, and whose tools are asked."""

    daemon: Engine
    tools: Engine

    def __str__(self) -> str:
        return f"{self.daemon} daemon, {self.tools} tools"


class Stage:
    """The hosts of one state. `ask` collects answers; the rest makes things happen and waits for them."""

    def __init__(self, lab: Lab, combination: Combination) -> None:
        self.lab = lab
        self.daemon, self.tools = combination
        self.answers: list[Answer] = []
        self.daemons: dict[int, Process] = {}
        self._processes: dict[str, Process] = {}
        self.conf = ""
        for host in lab.hosts:
            self.tools.install_tools(host)
            if self.daemon is not REAL:  # which would call itself by its path
                self.daemon.install_daemon(host)
            key = host.path(AUTHKEY)
            key.write_bytes(TEST_KEY)
            key.chmod(0o400)

    # --- what happens

    def configure(self, conf: str | None = None, **options: object) -> None:
        """Write this file, or one with these options (see lab.conf), on every host."""
        self.conf = corosync_conf(self.lab, **options) if conf is None else conf  # type: ignore[arg-type]
        for host in self.lab.hosts:
            host.write(CONF, self.conf)

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self.daemons[number] = self.daemon.start(self.lab[number], self.conf, ready=False)
        for number in numbers:
            REAL.wait_ready(self.lab[number], self.daemons[number])

    def stop(self, *numbers: int) -> None:
        for number in numbers:
            self.daemons.pop(number).stop(LIMIT_S)

    def kill(self, number: int) -> None:
        self.daemons.pop(number).kill()

    def put_tools_in_place(self, number: int) -> None:
        """For those who call tools by their paths: on this host there are no others any more."""
        for name in self.tools.tool_names:
            theirs = next(path for folder in ("sbin", "bin") if (path := Path("/usr", folder, name)).exists())
            self.lab[number].run("mount", "--bind", f"{OWN_TOOLS}/{name}", str(theirs), check=True)

    def spawn(self, number: int, *command: str) -> Process:
        return self.lab[number].spawn(*command)

    def shell(self, number: int, line: str) -> str:
        """Run a line whose output does not count."""
        return self.lab[number].shell(line, limit_s=LIMIT_S).stdout

    # --- what is waited for

    def real(self, number: int, tool: str, *arguments: str) -> str:
        return self.lab[number].run(f"/usr/sbin/corosync-{tool}", *arguments).stdout

    def wait_for(self, number: int, tool: str, arguments: str, pattern: str) -> None:
        """Until the output of the distribution's tool has the pattern."""

        def seen() -> bool:
            return re.search(pattern, self.real(number, tool, *arguments.split()), re.MULTILINE) is not None

        wait_until(seen, f"{pattern} in corosync-{tool} {arguments} on n{number}", LIMIT_S)

    def wait_alone(self, number: int) -> None:
        """Until knet has given up every link to others."""
        wait_until(
            lambda: "\tconnected" not in self.real(number, "cfgtool", "-s"), f"n{number} to be alone", LIMIT_S
        )

    def form(self, *numbers: int, links: int = 0) -> None:
        """Start these nodes at once, and wait until they have settled."""
        self.start(*numbers)
        self.settle(*numbers, links=links)

    def settle(self, *numbers: int, links: int = 0) -> None:
        """Until these nodes are one ring and, with `links`, knet has so many to each and knows their MTU."""
        for number in numbers:
            wait_until(
                lambda number=number: self._settled(number, numbers, links), f"n{number} to settle", LIMIT_S
            )  # type: ignore[misc]

    def _settled(self, number: int, numbers: tuple[int, ...], links: int) -> bool:
        members = re.findall(r"^ +(\d+) +\d+ ", self.real(number, "quorumtool", "-l"), re.MULTILINE)
        joined = self.real(number, "cmapctl", "runtime.members").count("= joined")
        if joined != len(numbers) or (members and len(members) < len(numbers)):
            return False
        if not links:
            return True
        found = self.real(number, "cfgtool", "-n")
        known = "mtu: 0" not in found and "mtu: 469" not in found
        return found.count("enabled connected") == (len(numbers) - 1) * links and known

    # --- what is asked

    def ask(self, number: int, *commands: str, limit_s: float = 60) -> None:
        """Ask on a host; the answers count."""
        for command in commands:
            done = self.lab[number].shell(command, limit_s=limit_s)
            text = f"status {done.returncode}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}"
            self.note(f"n{number}$ {command}", text)

    def note(self, question: str, text: str) -> None:
        """Something else that counts."""
        self.answers.append(Answer(question, mask(f"{len(self.lab.hosts)} hosts, {question}", text)))

    def log(self, number: int, pattern: str, *, drop: bool = True, ordered: bool = True) -> None:
        """The words of the log that match; the log is then emptied, as after a rotation."""
        time.sleep(LOG_DELAY_S)
        path = self.lab[number].path(LOGFILE)
        text = path.read_text(errors="replace") if path.exists() else ""
        found = dict.fromkeys(match.group() for match in re.finditer(pattern, text, re.MULTILINE))
        lines = list(found) if ordered else sorted(found)
        self.note(f"n{number}{LOG_LINES}", "".join(f"{line}\n" for line in lines))
        if drop and path.exists():
            path.write_text("")


def options_of(text: str) -> Mapping[str, object]:
    """ "a: 1; b: 2" as options of a section."""
    return dict(part.strip().split(": ", 1) for part in text.split(";") if part.strip())


__all__ = ["Answer", "Combination", "Host", "Stage", "options_of"]
