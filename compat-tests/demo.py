"""The demonstration: a cluster of three hosts in the lab, two on this daemon and one on real corosync, with
Debian's unmodified Pacemaker, which moves a resource when the host that runs it dies.

    python3 -m demo [KINDS]     a letter for each host: o for this daemon, r for the distribution's
"""

import sys
import time
from pathlib import Path

from lab import Lab, wait_until
from lab.fencing import PowerSwitch
from lab.network import tidy
from lab.pacemaker import LIMIT_S, Pacemaker, crm_mon
from mixed.ring import Ring

VICTIM = 2


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def main() -> int:
    installed = Path("/usr/sbin/corosync").exists()
    kinds = sys.argv[1] if len(sys.argv) > 1 else "oor" if installed else "ooo"
    tidy()
    say("three hosts of their own: network, /dev/shm, /run, /etc/corosync, /var/lib, /var/log")
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds, crypto=True)
        for host in lab.hosts:
            print(f"{host.name}: {ring.engines[host.number].name} corosync")
            ring.engines[host.number].install_tools(host)
        say("the daemons form one ring")
        ring.start()
        ring.wait_whole()
        print(lab[1].run("corosync-quorumtool", "-s").stdout)
        say("Debian's pacemakerd on each")
        pacemakers = {host.number: Pacemaker(host) for host in lab.hosts}
        for pacemaker in pacemakers.values():
            pacemaker.wait_online(*(host.name for host in lab.hosts))
        say(f"a fencing device, and a resource that runs on n{VICTIM}")
        one = pacemakers[1]
        one.add_dummy()
        prefers = f'<rsc_location id="home" rsc="demo" node="n{VICTIM}" score="100"/>'
        one.run("cibadmin", "--create", "--scope", "constraints", "--xml-text", prefers)
        switch = PowerSwitch(lab)
        switch.add_device(one)
        one.wait_where(f"n{VICTIM}")
        print(crm_mon(lab[1]))
        say(f"n{VICTIM} dies: all its processes, at once")
        began = time.monotonic()
        lab[VICTIM].halt()

        def moved() -> str:
            switch.serve()
            where = one.where()
            return where if where not in ("", f"n{VICTIM}") else ""

        where = wait_until(moved, "the resource to move", LIMIT_S)
        print(f"after {time.monotonic() - began:.1f} s the resource runs on {where}")
        print(crm_mon(lab[1]))
        print(lab[1].run("corosync-quorumtool", "-s").stdout)
        say("stop")
        for number in (3, 1):
            print(f"n{number} pacemakerd:", pacemakers[number].stop())
        for number in (3, 1):
            print(f"n{number} corosync:", ring.daemons[number].stop())
    print("the hosts and everything on them are gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
