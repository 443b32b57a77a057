"""A container that systemd has booted, made from a root: for what only a real service manager shows."""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from lab import wait_until
from lab.host import environment, remove_tree

from packages.roots import APT, LIMIT_S

MACHINE = f"pycorosync-{os.getpid()}"
STARTED = ("running", "degraded")
# The container has the control groups of the machine; the systemd of Debian 13 takes version 2 only.
HAS_V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
CGROUPS = "" if HAS_V2 else "systemd.unified_cgroup_hierarchy=0"
SUITES = ("bookworm", "trixie") if HAS_V2 else ("bookworm",)


class Booted:
    """A context manager. Its network is its own, without any way out, but for `with_network`."""

    def __init__(self, root: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pycorosync-booted-"))
        self.root = root
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.pid = 0  # of its systemd, as the machine sees it

    def __enter__(self) -> "Booted":
        try:
            self._boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _boot(self) -> None:
        for name in ("root", "changes", "work"):
            (self.directory / name).mkdir()
        own = shlex.quote(str(self.directory))
        # Services are to start here: the root's policy that they do not is taken away.
        script = (
            "mount --make-rprivate / && "
            f"mount -t overlay -o lowerdir={shlex.quote(str(self.root))},upperdir={own}/changes,"
            f"workdir={own}/work lab {own}/root && rm -f {own}/root/usr/sbin/policy-rc.d && "
            f"exec systemd-nspawn --quiet --directory={own}/root --boot --register=no --keep-unit "
            f"--private-network --capability=all --machine={MACHINE} {CGROUPS}"
        )
        with (self.directory / "boot.log").open("w") as log:
            self._nspawn = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = wait_until(self._leader, "the container's systemd to start")
        wait_until(
            lambda: self.run("systemctl", "is-system-running").stdout.strip() in STARTED, "the boot to end"
        )

    def _leader(self) -> int:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise RuntimeError((self.directory / "boot.log").read_text())
        nspawn = self._nspawn.pid
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
        started = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "systemd\n"]
        return int(started[0]) if started else 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._nspawn is not None:
            if self.pid:
                os.kill(self.pid, signal.SIGRTMIN + 14)  # systemd's word for: power off at once
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                if self.pid:
                    os.kill(self.pid, signal.SIGKILL)
                self._nspawn.kill()
                self._nspawn.wait()
        remove_tree(self.directory)

    def path(self, path: str) -> Path:
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def _enter(self, command: Sequence[str], network: bool) -> "subprocess.CompletedProcess[str]":
        namespaces = ["-t", str(self.pid), *["-n"] * network, "-m", "-u", "-i", "-p", "-C", "--root", "--wd"]
        return subprocess.run(
            ["nsenter", *namespaces, "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment(APT),
            timeout=LIMIT_S,
            check=False,
        )

    def run(self, *command: str, check: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        done = self._enter(command, network=True)
        if check and done.returncode:
            raise RuntimeError(
                f"{shlex.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def with_network(self, *command: str) -> str:
        """Run a command that needs the distribution's mirror; it must succeed."""
        done = self._enter(command, network=False)
        if done.returncode:
            raise RuntimeError(
                f"{shlex.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout
