"""A ring whose nodes run either implementation, what may happen to it, and what an operator sees of it."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until

KINDS = {"r": REAL, "o": OURS}
TOKEN_MS = 1000
TOKEN_OPTIONS = {"token": TOKEN_MS, "token_coefficient": 0}
LIMIT_S = 60.0


class Story(NamedTuple):
    """What one node says of the cluster."""

    members: tuple[int, ...]
    quorate: bool


def mixtures(nodes: int) -> list[str]:
    """Every arrangement of that many nodes with both kinds in it: "ro" is a real n1 and n2 of ours."""
    return ["".join(kinds) for kinds in product("ro", repeat=nodes) if len(set(kinds)) > 1]


def turns(nodes: int) -> list[str]:
    """Each node in turn the only one of ours, then the only real one."""
    alone = ["".join("o" if i == at else "r" for i in range(nodes)) for at in range(nodes)]
    return list(dict.fromkeys(alone + [text.translate({111: "r", 114: "o"}) for text in alone]))


class Ring:
    """The daemons on the hosts of a lab; `kinds` has a letter for each host. Nodes are named by number."""

    def __init__(self, lab: Lab, kinds: str, **options: object) -> None:
        self.lab = lab
        self.engines: dict[int, Engine] = {n: KINDS[kind] for n, kind in enumerate(kinds, 1)}
        self.conf = corosync_conf(lab, **options)  # type: ignore[arg-type]
        self.daemons: dict[int, Process] = {}

    # --- what may happen

    def start(self, *numbers: int) -> None:
        """Start the daemons of these nodes (by default: all), all at once."""
        chosen = numbers or tuple(self.engines)
        for number in chosen:
            host = self.lab[number]
            self.daemons[number] = self.engines[number].start(host, self.conf, False)
        for number in chosen:
            self.engines[number].wait_ready(self.lab[number], self.daemons[number])

    def crash(self, number: int) -> None:
        self.daemons.pop(number).kill()

    def stop(self, number: int) -> None:
        status = self.daemons.pop(number).stop()
        assert status == 0, f"{self.engines[number]} on n{number} ended with {status}"

    def pause(self, number: int, tokens: float) -> None:
        self.daemons[number].pause()
        time.sleep(tokens * TOKEN_MS / 1000)
        self.daemons[number].resume()

    def cut(self, *sides: Iterable[int]) -> None:
        """Only nodes of the same side reach each other."""
        side = {number: i for i, members in enumerate(sides) for number in members}
        for a, b in ((a, b) for a in side for b in side if a < b and side[a] != side[b]):
            self.lab.cut(a, b)

    def reload(self, conf: str, asked: int) -> None:
        """The new configuration on every host, and a reload asked for on one."""
        self.conf = conf
        for host in self.lab.hosts:
            host.write("/etc/corosync/corosync.conf", conf)
        done = self.lab[asked].run("/usr/sbin/corosync-cfgtool", "-R")
        assert done.returncode == 0, done.stdout + done.stderr

    # --- what is seen

    def story(self, number: int) -> Story | None:
        """None while the daemon does not answer."""
        done = self.lab[number].run("/usr/sbin/corosync-quorumtool", "-s")
        members = re.findall(r"^ +(\d+) +\d+ ", done.stdout, re.MULTILINE)
        quorate = re.search(r"^Quorate: +(\w+)", done.stdout, re.MULTILINE)
        return Story(tuple(map(int, members)), quorate[1] == "Yes") if quorate else None

    def stories(self) -> dict[int, Story | None]:
        return {number: self.story(number) for number in sorted(self.daemons)}

    def wait(self, expected: Mapping[int, Story], limit_s: float = LIMIT_S) -> float:
        """Until every node that runs tells what is expected of it; the seconds that took."""
        began = time.monotonic()
        while (seen := self.stories()) != expected:
            self.check_alive()
            if time.monotonic() > began + limit_s:
                raise TimeoutError(f"after {limit_s:.0f} s the nodes say {seen}, expected {expected}")
            time.sleep(0.1)
        self.check_alive()
        return time.monotonic() - began

    def wait_whole(self, *numbers: int, limit_s: float = LIMIT_S) -> float:
        """Until these nodes (by default: all that run) are one quorate ring."""
        members = tuple(sorted(numbers or self.daemons))
        return self.wait(dict.fromkeys(members, Story(members, True)), limit_s)

    def ring_id(self, number: int) -> str:
        """Changes with each new membership."""
        found = re.search(
            r"^Ring ID: +(\S+)", self.lab[number].run("/usr/sbin/corosync-quorumtool", "-s").stdout, re.M
        )
        return found[1] if found else ""

    def stays(self, seconds: float) -> None:
        """No new membership for so long."""
        before = {number: self.ring_id(number) for number in self.daemons}
        time.sleep(seconds)
        self.check_alive()
        after = {number: self.ring_id(number) for number in self.daemons}
        assert before == after, f"a new membership: {before}, then {after}"

    def wait_links(self, links: int) -> None:
        """Until knet reaches every node over every link, and knows its MTU."""
        others = len(self.daemons) - 1

        def up(host: Host) -> bool:
            text = host.run("/usr/sbin/corosync-cfgtool", "-n").stdout
            known = "mtu: 0" not in text and "mtu: 469" not in text
            return text.count("enabled connected") == others * links and known

        for number in self.daemons:
            wait_until(lambda host=self.lab[number]: up(host), f"n{number} to reach all", LIMIT_S)  # type: ignore[misc]

    def check_alive(self) -> None:
        for number, daemon in self.daemons.items():
            if not daemon.running:
                raise RuntimeError(
                    f"n{number} ended with {daemon.wait()}\n{daemon.output()}{self.log(number)}"
                )

    def log(self, number: int, last: int = 4000) -> str:
        path = self.lab[number].path("/var/log/corosync/corosync.log")
        return path.read_text(errors="replace")[-last:] if path.exists() else ""

    def complaints(self) -> list[str]:
        """Lines that no healthy daemon writes: errors, and what our own code did not foresee."""
        lines = (f"n{n}: {line}" for n in self.engines for line in self.log(n, 10**7).splitlines())
        return [line for line in lines if re.search(r"Traceback|internal error|\b(crit|alert|emerg) ", line)]


def of_running(ring: Ring, sides: Iterable[Iterable[int]], quorate: Iterable[int]) -> dict[int, Story]:
    """What the nodes of each side say; those in `quorate` have quorum."""
    return {n: Story(tuple(sorted(side)), n in quorate) for side in map(tuple, sides) for n in side}


def others(ring: Ring, number: int) -> Iterator[int]:
    return (n for n in ring.engines if n != number)
