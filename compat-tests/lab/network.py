"""The lab: its hosts, the links between them, and what can go wrong on a link."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from lab.host import Host, remove_tree

PREFIX = "pycorosync-lab-"
STATE = "lab.json"


class Lab:
    """Hosts n1..nN, each with interfaces eth0, eth1, ... A context manager: leaving it removes all.

    `root` is the folder of another installation that the hosts run from, by default the machine's own.
    """

    def __init__(
        self,
        hosts: int = 1,
        links: int = 1,
        name: str | None = None,
        keep: bool = False,
        root: Path | None = None,
    ) -> None:
        self.links = links
        self.keep = keep
        if name is None:
            self.directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        else:
            self.directory = lab_directory(name)
            self.directory.mkdir()
        self.directory.chmod(0o755)
        self.hosts = [Host(number, self.directory / f"n{number}", root) for number in range(1, hosts + 1)]
        self._switch: subprocess.Popen[str] | None = None
        self._switch_pid = 0

    def __enter__(self) -> "Lab":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def __getitem__(self, number: int) -> Host:
        """Host n<number>; the first is 1."""
        return self.hosts[number - 1]

    # --- life

    def up(self) -> None:
        self._save()
        self._boot_switch()
        names = "127.0.0.1 localhost\n::1 localhost\n"
        names += "".join(f"{host.address()} {host.name}\n" for host in self.hosts)
        for host in self.hosts:
            host.boot(self.keep)
            (host.directory / "hosts").write_text(names)
            self._connect(host)
        self._save()

    def _boot_switch(self) -> None:
        # The bridges live in a namespace of their own: no interface appears on the machine.
        held = "sleep infinity" if self.keep else "cat"
        script = f"read -r pid rest </proc/self/stat; echo $pid; exec {held}"
        self._switch = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script],
            stdin=subprocess.DEVNULL if self.keep else subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._switch.stdout is not None
        self._switch_pid = int(self._switch.stdout.readline())
        commands = []
        for link in range(self.links):
            # Without snooping, multicast floods as on a switch that has no querier.
            commands.append(f"link add br{link} type bridge mcast_snooping 0")
            commands.append(f"link set br{link} up")
        self._ip(self._switch_pid, commands)

    def _connect(self, host: Host) -> None:
        for link in range(self.links):
            port = f"n{host.number}l{link}"
            self._ip(
                self._switch_pid,
                [
                    f"link add {port} type veth peer name eth{link} netns {host.pid}",
                    f"link set {port} master br{link} up",
                ],
            )
            self._ip(
                host.pid,
                [
                    f"addr add {host.address(link)}/24 dev eth{link}",
                    f"addr add fd77::{link}:{host.number}/112 dev eth{link} nodad",
                    f"link set eth{link} up",
                ],
            )

    @staticmethod
    def _ip(pid: int, commands: Iterable[str]) -> None:
        # Only the network namespace is entered, so that "netns PID" means the machine's numbers.
        subprocess.run(
            ["nsenter", "-t", str(pid), "-n", "ip", "-batch", "-"],
            input="\n".join(commands) + "\n",
            text=True,
            check=True,
        )

    def down(self) -> None:
        for host in self.hosts:
            host.halt()
        if self._switch is not None:
            self._switch.kill()
            self._switch.wait()
            for stream in (self._switch.stdin, self._switch.stdout):
                if stream is not None:
                    stream.close()
            self._switch = None
        for record in _load(self.directory).get("holders", []):
            _kill_record(record)
        remove_tree(self.directory)

    def _save(self) -> None:
        pids = [host.pid for host in self.hosts if host.pid] + (
            [self._switch_pid] if self._switch_pid else []
        )
        state = {
            "owner": None if self.keep else _record(os.getpid()),
            "holders": [_record(pid) for pid in pids],
            "hosts": [host.pid for host in self.hosts],
            "switch": self._switch_pid,
            "links": self.links,
        }
        (self.directory / STATE).write_text(json.dumps(state))

    @classmethod
    def attach(cls, name: str) -> "Lab":
        """The running lab of that name, made earlier with `keep`."""
        directory = lab_directory(name)
        state = _load(directory)
        if not state:
            raise FileNotFoundError(f"there is no lab named {name}")
        lab = cls.__new__(cls)
        lab.links, lab.keep, lab.directory = state["links"], True, directory
        lab._switch, lab._switch_pid = None, state["switch"]
        lab.hosts = []
        for number, pid in enumerate(state["hosts"], 1):
            host = Host(number, directory / f"n{number}")
            host.pid = pid
            lab.hosts.append(host)
        return lab

    # --- what can go wrong on a link

    def _each_link(self, link: int | None) -> Iterable[int]:
        return range(self.links) if link is None else (link,)

    def _rule(self, host: Host, expression: str) -> None:
        # "add" of a table or chain that exists does nothing.
        rules = "add table inet lab\nadd chain inet lab input { type filter hook input priority -300; }\n"
        host.run("nft", "-f", "-", text=f"{rules}add rule inet lab input {expression}\n", check=True)

    def cut(self, a: int, b: int, link: int | None = None, one_way: bool = False) -> None:
        """Drop all traffic between hosts a and b, on one link or all; `one_way`: only what a sends to b."""
        for number in self._each_link(link):
            self._rule(self[b], f"iif eth{number} ip saddr {self[a].address(number)} drop")
            self._rule(self[b], f"iif eth{number} ip6 saddr fd77::{number}:{a} drop")
        if not one_way:
            self.cut(b, a, link, one_way=True)

    def isolate(self, number: int, link: int | None = None) -> None:
        """Cut one host from every other."""
        for other in self.hosts:
            if other.number != number:
                self.cut(number, other.number, link)

    def lose(self, number: int, percent: float, link: int | None = None, above_bytes: int = 0) -> None:
        """Lose that share of the packets that reach a host, or only of those larger than `above_bytes`."""
        share = round(percent * 100)
        size = f"meta length > {above_bytes} " if above_bytes else ""
        for each in self._each_link(link):
            self._rule(self[number], f"iif eth{each} {size}numgen random mod 10000 < {share} drop")

    def heal(self) -> None:
        """Undo every cut and loss."""
        for host in self.hosts:
            host.run("nft", "-f", "-", text="add table inet lab\ndelete table inet lab\n", check=True)

    def netem(self, number: int, arguments: str, link: int | None = None) -> None:
        """tc-netem(8) on what a host sends, e.g. "delay 20ms 5ms"; "" removes it. Needs sch_netem."""
        for each in self._each_link(link):
            if arguments:
                self[number].run(
                    *f"tc qdisc replace dev eth{each} root netem {arguments}".split(), check=True
                )
            else:
                self[number].run(*f"tc qdisc del dev eth{each} root".split())


def lab_directory(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{PREFIX}{name}"


def _load(directory: Path) -> dict:  # type: ignore[type-arg]
    try:
        return json.loads((directory / STATE).read_text())  # type: ignore[no-any-return]
    except (FileNotFoundError, ValueError):
        return {}


def _start_time(pid: int) -> str | None:
    """When a process began, in ticks: with its number, this names it for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _record(pid: int) -> list[object]:
    return [pid, _start_time(pid)]


def _is_alive(record: list[object]) -> bool:
    pid, began = record
    return began is not None and _start_time(int(str(pid))) == began


def _kill_record(record: list[object]) -> None:
    if _is_alive(record):
        os.kill(int(str(record[0])), signal.SIGKILL)


def tidy(everything: bool = False) -> list[str]:
    """Remove what labs left behind whose process was killed; with `everything`, each lab there is."""
    removed = []
    for directory in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        state = _load(directory)
        owner = state.get("owner")
        kept = bool(state) and owner is None
        if everything or not (kept or (owner and _is_alive(owner))):
            for record in state.get("holders", []):
                _kill_record(record)
            remove_tree(directory)
            removed.append(directory.name.removeprefix(PREFIX))
    return removed
