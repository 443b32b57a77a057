"""A Pacemaker cluster moves to this implementation node by node, and back, while it works. A fencing device
is configured, and never asked for anything.
"""

import pytest
from lab import OURS, REAL, Host, Lab, wait_until
from lab.fencing import PowerSwitch
from lab.pacemaker import LIMIT_S, Pacemaker, crm_mon

from mixed.ring import Ring

NODES = ("n1", "n2", "n3")


class Cluster:
    """Three nodes, each with a Dummy resource that prefers it."""

    def __init__(self, lab: Lab) -> None:
        self.ring = Ring(lab, "rrr", crypto=True)
        self.ring.start()
        self.ring.wait_whole()
        for host in lab.hosts:
            self.ring.engines[host.number].install_tools(host)
        self.pacemakers = {host.number: Pacemaker(host) for host in lab.hosts}
        self.wait_online()
        one = self.pacemakers[1]
        for host in lab.hosts:
            one.add_dummy(resource_of(host))
            name = resource_of(host)
            prefers = f'<rsc_location id="{name}-home" rsc="{name}" node="{host.name}" score="100"/>'
            one.run("cibadmin", "--create", "--scope", "constraints", "--xml-text", prefers)
        self.wait_home()
        self.switch = PowerSwitch(lab)
        self.switch.add_device(one)
        wait_until(lambda: one.where("switch"), "the fencing device to be watched", LIMIT_S)

    def wait_online(self) -> None:
        for pacemaker in self.pacemakers.values():
            pacemaker.wait_online(*NODES)

    def wait_home(self) -> None:
        for host in self.ring.lab.hosts:
            self.pacemakers[1].wait_where(host.name, resource_of(host))

    def started(self) -> dict[str, str]:
        """When each resource was last started: the agent's state file, which only a start writes."""
        return {host.name: started_at(host) for host in self.ring.lab.hosts}

    def change(self, number: int, kind: str) -> None:
        """As an operator would: standby, Pacemaker stops, corosync stops, the other one starts, and back."""
        host = self.ring.lab[number]
        before = self.started()
        other = self.pacemakers[1 if number != 1 else 2]
        other.run("crm_standby", "--node", host.name, "--update", "on")
        wait_until(lambda: other.where(resource_of(host)) not in ("", host.name), "it to move away", LIMIT_S)
        assert self.pacemakers[number].stop() == 0
        self.ring.stop(number)
        # The tools of either on the other's daemon are tested elsewhere: here each brings its own.
        host.shell("rm -f /var/log/bin/corosync-*")
        self.ring.engines[number] = {"r": REAL, "o": OURS}[kind]
        self.ring.engines[number].install_tools(host)
        self.ring.start(number)
        self.ring.wait_whole()
        self.pacemakers[number] = Pacemaker(host)
        other.run("crm_standby", "--node", host.name, "--delete")
        self.wait_online()
        self.wait_home()
        after = self.started()
        assert {name: at for name, at in after.items() if name != host.name} == {
            name: at for name, at in before.items() if name != host.name
        }, f"resources restarted while {host.name} changed"
        assert after[host.name] != before[host.name]


def resource_of(host: Host) -> str:
    return f"work{host.number}"


def started_at(host: Host) -> str:
    line = f"find /run -name 'Dummy-{resource_of(host)}.state' -printf '%T@ %i'"
    return wait_until(lambda: host.shell(line).stdout, f"{resource_of(host)} to run on {host.name}", LIMIT_S)


@pytest.mark.long
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)], ids=["from-lowest", "from-highest"])
def test_node_by_node_and_back(order: tuple[int, ...]) -> None:
    with Lab(hosts=3) as lab:
        cluster = Cluster(lab)
        for kind in "or":
            for number in order:
                cluster.change(number, kind)
                assert "partition with quorum" in crm_mon(lab[1])
        assert cluster.switch.requests() == []
        assert cluster.ring.complaints() == []
