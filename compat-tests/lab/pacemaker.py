"""The distribution's unmodified Pacemaker on a host of the lab."""

from lab.host import Host, Process
from lab.wait import wait_until

LIMIT_S = 120.0


def crm_mon(host: Host) -> str:
    return host.run("crm_mon", "-1").stdout


class Pacemaker:
    """pacemakerd in the foreground on one host whose corosync runs."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.process: Process = host.spawn("pacemakerd", "-f")

    def wait_online(self, *names: str) -> None:
        """Until a coordinator is chosen, and these nodes (by default: this one) are online in its view."""

        def online() -> bool:
            if not self.process.running:
                log = self.host.path("/var/log/pacemaker/pacemaker.log")
                tail = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                raise RuntimeError(
                    f"pacemakerd ended with {self.process.wait()}:\n{self.process.output()}{tail}"
                )
            lines = crm_mon(self.host).splitlines()
            listed = next((line for line in lines if "Online: [" in line), "").split()
            chosen = any("Current DC: " in line and "NONE" not in line for line in lines)
            return chosen and set(names or (self.host.name,)) <= set(listed)

        wait_until(online, f"Pacemaker online on {self.host.name}", LIMIT_S)

    def run(self, *command: str) -> str:
        """A command line tool of Pacemaker, which must succeed."""
        return self.host.run(*command, check=True).stdout

    def add_dummy(self, name: str = "demo") -> None:
        """Start a resource that does nothing, without fencing."""
        self.run("crm_attribute", "--name", "stonith-enabled", "--update", "false")
        primitive = (
            f'<primitive id="{name}" class="ocf" provider="pacemaker" type="Dummy"><operations>'
            f'<op id="{name}-monitor" name="monitor" interval="10s"/></operations></primitive>'
        )
        self.run("cibadmin", "--create", "--scope", "resources", "--xml-text", primitive)

    def where(self, name: str = "demo") -> str:
        """The node that the resource runs on, or "" while it is stopped."""
        found = self.host.run("crm_resource", "--resource", name, "--locate").stdout
        return (
            found.rpartition("running on: ")[2].strip().removesuffix(" Promoted")
            if "running on" in found
            else ""
        )

    def wait_where(self, node: str, name: str = "demo") -> None:
        what = f"{name} to run on {node}" if node else f"{name} to stop"
        wait_until(lambda: self.where(name) == node, what, LIMIT_S)

    def stop(self) -> int:
        return self.process.stop(LIMIT_S)
