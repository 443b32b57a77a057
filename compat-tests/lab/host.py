"""One host of the lab: a set of namespaces held by a process, and the processes that run inside."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab.wait import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
# Where the package is: this checkout, or a build of it (`make` names the compiled one).
PACKAGE = Path(os.environ.get("PYCOROSYNC_BUILD") or CHECKOUT).resolve()

# Directories that each host has for itself: kept on disk, because databases and logs may grow.
ON_DISK = (
    "etc/corosync",
    "etc/pacemaker",
    "var/lib/corosync",
    "var/lib/pacemaker",
    "var/lib/pcsd",
    "var/log",
)
BELOW = {
    "var/lib/pacemaker": ("blackbox", "cib", "cores", "pengine"),
    "var/log": ("corosync", "pacemaker", "pcsd", "cluster", "crmsh", "bin"),
    "etc/corosync": ("uidgid.d",),
}
PACEMAKER_OWNS = "/var/lib/pacemaker /run/crm /var/log/pacemaker"
OWN_TOOLS = "/var/log/bin"  # first on a host's PATH
DEV_SHM_SIZE = "1G"
UNSHARE = ("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL")
# Under nohup, or in the background of a shell, the tests have these ignored, and so would what they start.
DEFAULT_SIGNALS = ("env", "--default-signal=HUP,INT,QUIT")


class Process:
    """A process that was started on a host. `pid` is its number as the machine sees it."""

    def __init__(self, popen: "subprocess.Popen[str]", command: Sequence[str], log: Path) -> None:
        self.popen = popen
        self.command = list(command)
        self.log = log
        self.pid = wait_until(self._find_pid, f"{command[0]} to start", 30) if self.running else 0

    def _find_pid(self) -> int:
        # nsenter enters the PID namespace with its child; the child is what was asked for.
        try:
            children = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text().split()
        except FileNotFoundError:
            return -1
        if children:
            return int(children[0])
        return 0 if self.running else -1

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        """What it has written to its log so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        if self.running and self.pid > 0:
            with suppress(ProcessLookupError):  # it has ended, and nsenter is about to
                os.kill(self.pid, number)

    def wait(self, limit_s: float = 60) -> int:
        """Its exit status, or minus the signal that ended it."""
        return self.popen.wait(limit_s)

    def stop(self, limit_s: float = 60) -> int:
        """SIGTERM, then wait."""
        self.signal(signal.SIGTERM)
        return self.wait(limit_s)

    def kill(self) -> int:
        """SIGKILL: as a crash."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def pause(self) -> None:
        """SIGSTOP: as a machine that hangs."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)
        # nsenter stops itself together with its child.
        self.popen.send_signal(signal.SIGCONT)


class Host:
    """A host named n<number>; its address on link l is 10.77.<l>.<number>.

    With `root` it is an installation of its own: it sees that folder as its "/", and what it changes there
    (an overlay) is lost with the host.
    """

    def __init__(self, number: int, directory: Path, root: Path | None = None) -> None:
        self.root = root
        self.number = number
        self.name = f"n{number}"
        self.directory = directory
        self.pid = 0  # of the process that holds the namespaces, as the machine sees it
        self.holder: subprocess.Popen[str] | None = None
        self._spawned: list[subprocess.Popen[str]] = []

    # --- life

    def boot(self, keep: bool) -> None:
        """Make the namespaces. With `keep` they outlive this process; without, they end with it."""
        self.directory.mkdir(parents=True)
        for path in ON_DISK if self.root is None else ():
            (self.directory / path).mkdir(parents=True)
            for below in BELOW.get(path, ()):
                (self.directory / path / below).mkdir()
        script = self.directory / "boot.sh"
        script.write_text(self._boot_script(keep))
        with (self.directory / "boot.log").open("w") as log:
            self.holder = subprocess.Popen(
                [*UNSHARE, "/bin/sh", str(script)],
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.holder.stdout is not None
        line = self.holder.stdout.readline()
        if not line.startswith("ready "):
            raise RuntimeError(f"{self.name} did not boot: {(self.directory / 'boot.log').read_text()}")
        self.pid = int(line.split()[1])

    def _boot_script(self, keep: bool) -> str:
        own = shlex.quote(str(self.directory))
        top = "" if self.root is None else f"{own}/root"  # of what the host sees
        lines = [
            "set -e",
            "read -r outer_pid rest </proc/self/stat",  # /proc is still the machine's
            "mount --make-rprivate /",
        ]
        if self.root is not None:
            lines += _other_root(self.root, self.directory)
        lines += [
            f"mount -t tmpfs -o size={DEV_SHM_SIZE},mode=1777 lab {top}/dev/shm",
            f"mount -t tmpfs -o mode=755 lab {top}/run",
            f"mkdir -p {top}/run/lock {top}/run/crm {top}/run/corosync",
            f"ln -s /dev/null {top}/run/utmp",
        ]
        for path in ON_DISK if self.root is None else ():
            lines += [f"mkdir -p /{path}", f"mount --bind {own}/{path} /{path}"]
        lines += [f"touch {own}/hosts {top}/etc/hosts", f"mount --bind {own}/hosts {top}/etc/hosts"]
        if self.root is None:
            lines += _private_tmp(self.directory)
        else:
            lines += [f"cd {top}", "mkdir -p .outside", "pivot_root . .outside", "cd /"]
        lines.append("mount -t proc proc /proc")
        if self.root is not None:
            lines.append("umount -l /.outside")
        lines += [
            f"hostname {self.name}",
            "ip link set lo up",
            f"if getent passwd hacluster >/dev/null; then chown -R hacluster:haclient {PACEMAKER_OWNS}; "
            "chmod 750 /var/lib/pacemaker /run/crm; fi",
            "trap '' CHLD",  # inherited by what follows: the kernel reaps orphans
            "echo ready $outer_pid",
            "exec sleep infinity" if keep else "exec cat",  # cat ends when the lab's process does
        ]
        return "\n".join(lines) + "\n"

    def halt(self) -> None:
        """End every process of the host at once, as when its plug is pulled."""
        if self.holder is None:
            return
        self.holder.kill()
        self.holder.wait()
        for stream in (self.holder.stdin, self.holder.stdout):
            if stream is not None:
                stream.close()
        self.holder = None
        for popen in self._spawned:
            popen.wait()
        self._spawned.clear()

    # --- use

    def address(self, link: int = 0) -> str:
        return f"10.77.{link}.{self.number}"

    def path(self, path: str) -> Path:
        """Where the machine sees a file of the host that is kept on disk, e.g. "/var/log/corosync"."""
        top = self.directory if self.root is None else Path(f"/proc/{self.pid}/root")
        return top / path.lstrip("/")

    def inside(self, command: Sequence[str], *, network: bool = True) -> list[str]:
        """The command line that runs `command` on this host; without its network, in the machine's."""
        namespaces = ("-t", str(self.pid), *["-n"] * network, "-m", "-u", "-i", "-p")
        place = ("--wd=/",) if self.root is None else ("--root", "--wd")
        return ["nsenter", *namespaces, *place, "--", *DEFAULT_SIGNALS, *command]

    def run(
        self,
        *command: str,
        check: bool = False,
        text: str | None = None,
        env: Mapping[str, str] | None = None,
        limit_s: float = 120,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end with `text` as its input; its output is captured."""
        done = subprocess.run(
            self.inside(command),
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            errors="backslashreplace",
            env=environment(env),
            timeout=limit_s,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{self.name}: {shlex.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def shell(self, line: str, limit_s: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a line as sh -c does."""
        return self.run("sh", "-c", line, limit_s=limit_s)

    def spawn(self, *command: str, env: Mapping[str, str] | None = None) -> Process:
        """Start a command in the background; its output goes to a log of its own."""
        log = self.directory / f"{len(self._spawned):03}-{Path(command[0]).name}.log"
        with log.open("w") as output:
            popen = subprocess.Popen(
                self.inside(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment(env),
                start_new_session=True,
            )
        self._spawned.append(popen)
        return Process(popen, command, log)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file on the host; one below /etc/corosync, /var/lib or /var/log."""
        target = self.path(path)
        target.write_text(text)
        target.chmod(mode)

    def capture(self, link: int = 0, name: str = "capture.pcap", expression: str = "udp") -> Process:
        """Record the traffic of one link to /var/log/NAME; returns when tcpdump listens. Stop it to end."""
        file = f"/var/log/{name}"
        process = self.spawn("tcpdump", "-i", f"eth{link}", "-U", "-Z", "root", "-w", file, expression)
        wait_until(lambda: "listening on" in process.output() or not process.running, "tcpdump to listen")
        if not process.running:
            raise RuntimeError(process.output())
        return process


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """What commands on a host see: plain locale and paths, and this checkout's package first."""
    base = {
        "PATH": f"{OWN_TOOLS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
        "TERM": "dumb",
        "PYTHONPATH": f"{PACKAGE}:{CHECKOUT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return base | dict(extra or {})


def _private_tmp(directory: Path) -> list[str]:
    """An own /tmp in which this checkout, this Python and the lab stay visible if they live there."""
    lines = [f"mkdir -p {shlex.quote(str(directory))}/tmp", f"T={shlex.quote(str(directory))}/tmp"]
    lines.append("chmod 1777 $T")
    for keep in {CHECKOUT, PACKAGE, Path(sys.prefix), directory.parent}:
        if keep.is_relative_to("/tmp"):
            below = shlex.quote(str(keep.relative_to("/tmp")))
            lines += [f"mkdir -p $T/{below}", f"mount --bind {shlex.quote(str(keep))} $T/{below}"]
    return [*lines, "mount --rbind $T /tmp"]


def _other_root(root: Path, directory: Path) -> list[str]:
    """Mount `root`, with changes kept in the host's folder, at DIRECTORY/root; devices are the machine's."""
    own = shlex.quote(str(directory))
    layers = f"lowerdir={root},upperdir={directory}/changes,workdir={directory}/work"
    return [
        f"mkdir -p {own}/root {own}/changes {own}/work",
        f"mount -t overlay -o {shlex.quote(layers)} lab {own}/root",
        f"mount --rbind /dev {own}/root/dev",
        f"mount --rbind /sys {own}/root/sys",
    ]


def remove_tree(directory: Path) -> None:
    """Delete a halted host's or lab's files."""
    shutil.rmtree(directory, ignore_errors=True)
