"""The two implementations that a lab can run, side by side: the distribution's corosync, and this one."""

import os
import shlex
import shutil
import sys

from lab.host import OWN_TOOLS, Host, Process
from lab.wait import wait_until

CONF = "/etc/corosync/corosync.conf"
AUTHKEY = "/etc/corosync/authkey"
TEST_KEY = bytes(range(256))  # any 256 bytes; the lab has nothing to hide


class Engine:
    """How to call one implementation's daemon and tools."""

    def __init__(self, name: str, daemon: list[str], tools: dict[str, list[str]] | None = None) -> None:
        self.name = name
        self._daemon = daemon
        self._tools = tools or {}

    def __repr__(self) -> str:
        return self.name

    def daemon(self, *arguments: str) -> list[str]:
        return [*self._daemon, *arguments]

    @property
    def tool_names(self) -> list[str]:
        """Tools that are not where the distribution has its own."""
        return list(self._tools)

    def tool(self, name: str) -> list[str]:
        """The command for e.g. "corosync-quorumtool"."""
        return self._tools.get(name, [f"/usr/sbin/{name}"])

    def install_tools(self, host: Host) -> None:
        """From now on a shell on the host that asks for a corosync-* tool gets this implementation's."""
        for name, command in self._tools.items():
            host.write(f"{OWN_TOOLS}/{name}", f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', 0o755)

    def install_daemon(self, host: Host) -> None:
        """The same for `corosync`."""
        host.write(f"{OWN_TOOLS}/corosync", f'#!/bin/sh\nexec {shlex.join(self._daemon)} "$@"\n', 0o755)

    def start(self, host: Host, conf: str, ready: bool = True, *arguments: str) -> Process:
        """Write the configuration and start the daemon in the foreground; return when it serves clients."""
        host.write(CONF, conf)
        key = host.path(AUTHKEY)
        key.write_bytes(TEST_KEY)
        key.chmod(0o400)
        process = host.spawn(*self.daemon("-f", "-c", CONF, *arguments))
        if ready:
            self.wait_ready(host, process)
        return process

    def wait_ready(self, host: Host, process: Process) -> None:
        """Until cmap answers and the first membership is there: the distribution's tool is the judge."""

        def answers() -> bool:
            if not process.running:
                log = host.path("/var/log/corosync/corosync.log")
                tail = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                raise RuntimeError(
                    f"{self.name} ended with {process.wait()}:\n{process.output()[-3000:]}\n{tail}"
                )
            key = f"runtime.members.{host.number}.status"
            return host.run("/usr/sbin/corosync-cmapctl", "-g", key).returncode == 0

        wait_until(answers, f"{self.name} on {host.name} to form its first membership")


def _ours() -> Engine:
    """This checkout's code under the Python that runs the tests; PYCOROSYNC_DAEMON names another daemon,
    PYCOROSYNC_TOOLS the folders of other tools, like PATH."""
    override = os.environ.get("PYCOROSYNC_DAEMON")
    daemon = shlex.split(override) if override else _call("pycorosync.daemon.main", "corosync")
    names = ("blackbox", "cfgtool", "cmapctl", "cpgtool", "keygen", "notifyd", "quorumtool", "xmlproc")
    tools = {f"corosync-{name}": _call(f"pycorosync.tools.{name}", f"corosync-{name}") for name in names}
    if folders := os.environ.get("PYCOROSYNC_TOOLS"):
        tools = {name: [shutil.which(name, path=folders) or name] for name in tools}
    return Engine("ours", daemon, tools)


def _call(module: str, name: str) -> list[str]:
    """What an installed console script does, without an installation."""
    code = f"import sys; sys.argv[0] = '{name}'; from {module} import run; {_BECOME}; sys.exit(run())"
    return [sys.executable, "-c", code]


# Another user may not reach this Python and this checkout: only when all is loaded we become that user.
_BECOME = (
    "import os; uid = int(os.environ.get('LAB_UID', 0)); "
    "uid and (os.setgroups([]), os.setgid(uid), os.setuid(uid))"
)


REAL = Engine("real", ["/usr/sbin/corosync"])
OURS = _ours()
