"""Fencing in the lab: an agent on each host that asks for a plug to be pulled, and a switch that does it."""

from lab.host import Host
from lab.network import Lab
from lab.pacemaker import Pacemaker

LOG = "/var/log/fence.log"  # a line "ACTION NODE" for each request
AGENT_AT = (
    "/usr/sbin/fence_legacy"  # an agent of the distribution that ours stands in front of, on hosts only
)
AGENT = f"""#!/bin/sh
# Parameters come as lines "name=value". What is asked for is done from outside of the host.
action=reboot port=
while read -r line; do
  case $line in
    action=*|option=*) action=${{line#*=}} ;;
    port=*|nodename=*|plug=*) port=${{line#*=}} ;;
  esac
done
case $action in
  metadata)
    cat <<END
<?xml version="1.0" ?>
<resource-agent name="fence_legacy" shortdesc="The lab's switch"><longdesc>Pulls plugs.</longdesc><parameters>
<parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
<parameter name="port" required="0"><content type="string"/></parameter>
</parameters><actions><action name="on"/><action name="off"/><action name="reboot"/><action name="status"/>
<action name="list"/><action name="monitor"/><action name="metadata"/></actions></resource-agent>
END
    ;;
  off|reboot)
    echo "$action $port" >>{LOG}
    for _ in $(seq 600); do
      [ ! -e /var/log/fenced.$port ] || exit 0
      sleep 0.1
    done
    exit 1
    ;;
esac
exit 0
"""


class PowerSwitch:
    """Of all hosts of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.off: set[str] = set()
        for host in lab.hosts:
            host.write("/var/log/bin/fence_lab", AGENT, 0o755)
            host.run("mount", "--bind", "/var/log/bin/fence_lab", AGENT_AT, check=True)

    def add_device(self, pacemaker: Pacemaker) -> None:
        """Configure it, and switch fencing on."""
        names = " ".join(host.name for host in self._lab.hosts)
        primitive = (
            '<primitive id="switch" class="stonith" type="fence_legacy"><instance_attributes id="switch-i">'
            f'<nvpair id="switch-hosts" name="pcmk_host_list" value="{names}"/>'
            '<nvpair id="switch-check" name="pcmk_host_check" value="static-list"/></instance_attributes>'
            "</primitive>"
        )
        pacemaker.run("cibadmin", "--create", "--scope", "resources", "--xml-text", primitive)
        pacemaker.run("crm_attribute", "--name", "stonith-enabled", "--update", "true")

    def requests(self) -> list[str]:
        """Everything that was asked for so far."""
        return [line for host in self._lab.hosts for line in _lines(host)]

    def serve(self) -> None:
        """Pull the plugs that were asked for since the last call. From then on the host is gone."""
        for name in {line.split()[1] for line in self.requests()} - self.off:
            self.off.add(name)
            self._lab[int(name.removeprefix("n"))].halt()
            for host in self._lab.hosts:
                host.path(f"/var/log/fenced.{name}").touch()


def _lines(host: Host) -> list[str]:
    path = host.path(LOG)
    return path.read_text().splitlines() if path.exists() else []
