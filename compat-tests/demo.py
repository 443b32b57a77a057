"""The demonstration: Debian's unmodified Pacemaker runs a resource on this daemon, on a host of the lab."""

import sys

from lab import OURS, REAL, Lab, corosync_conf
from lab.network import tidy
from lab.pacemaker import Pacemaker, crm_mon


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def main() -> int:
    engine = REAL if sys.argv[1:] == ["--real"] else OURS
    tidy()
    say("a host of its own: network, /dev/shm, /run, /etc/corosync, /var/lib, /var/log")
    with Lab(hosts=1) as lab:
        host = lab[1]
        say(f"the daemon ({engine.name})")
        corosync = engine.start(host, corosync_conf(lab))
        engine.install_tools(host)
        say("Debian's pacemakerd")
        pacemaker = Pacemaker(host)
        pacemaker.wait_online()
        say("a resource, without fencing")
        pacemaker.add_dummy()
        pacemaker.wait_where(host.name)
        say("crm_mon -1")
        print(crm_mon(host))
        say("corosync-quorumtool -s")
        print(host.run("corosync-quorumtool", "-s").stdout)
        say("corosync-cpgtool -e")
        print(host.run("corosync-cpgtool", "-e").stdout)
        say("stop")
        print("pacemakerd:", pacemaker.stop(), " corosync:", corosync.stop())
    print("the host and everything on it is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
