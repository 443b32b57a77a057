"""A laboratory of hosts on one machine: unmodified daemons run on each as if it were alone.

Every host has its own network, mount, host name, IPC and process namespaces, and its own /dev/shm, /run,
/tmp, /etc/corosync, /etc/hosts, /var/lib/{corosync,pacemaker,pcsd} and /var/log. The hosts of a lab are
joined by links: bridges in a network namespace of the lab's own, so that labs never meet each other nor
the machine's network, and any number of them run at once. Needs root, iproute2, util-linux and nftables.

    with Lab(hosts=2, links=2) as lab:
        for host in lab.hosts:
            REAL.start(host, corosync_conf(lab))

From a shell, in compat-tests/: `python3 -m lab --help`.
"""

from lab.conf import corosync_conf
from lab.engine import OURS, REAL, Engine
from lab.host import Host, Process
from lab.network import Lab
from lab.wait import wait_until

__all__ = ["OURS", "REAL", "Engine", "Host", "Lab", "Process", "corosync_conf", "wait_until"]
