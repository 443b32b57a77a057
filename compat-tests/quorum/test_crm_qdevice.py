"""A quorum device that crmsh sets up (`crm cluster init qdevice`, with certificates), over ssh between hosts:
it and pcs say the same on both implementations.
"""

import re
import subprocess

import pytest
from lab import OURS, REAL, Engine, Host, Lab, wait_until
from lab.engine import CONF
from lab.host import OWN_TOOLS
from lab.pacemaker import Pacemaker
from mixed.ring import Ring

from quorum.test_consumers import answer, differences

NODES, QNETD = (1, 2), 3
INIT = "crm cluster init qdevice --qnetd-hostname=n3 -y -q"
ASKED = (
    "corosync-quorumtool -s",
    "crm corosync status quorum",
    "crm corosync status qdevice",
    "crm corosync status qnetd",
    "pcs quorum config",
    "pcs quorum status",
    "pcs quorum device status",
    INIT,  # once more
)
# What crmsh asks of systemd, which the hosts of the lab do not have.
SYSTEMCTL = """#!/bin/sh
verb=$1 service=${2%.service}
case "$verb $service" in
  list-unit-files*corosync*) echo "$2 disabled" ;;
  "is-active corosync" | "is-active pacemaker") ps -e -o comm= | grep -qx "$service\\|${service}d" ;;
  is-active*) pidof "$service" >/dev/null ;;
  is-enabled*) test -e "/run/enabled-$service" ;;
  enable*) : >"/run/enabled-$service" ;;
  "start corosync-qnetd") pidof corosync-qnetd >/dev/null || corosync-qnetd ;;
  "restart corosync-qdevice") kill "$(pidof corosync-qdevice)" 2>/dev/null; corosync-qdevice ;;
  *) exit 3 ;;
esac
"""
IDENTITY, HOST_KEY = "/etc/corosync/lab", "/etc/corosync/lab-host"
CLIENT = f"""#!/bin/sh
exec /usr/bin/%s -i {IDENTITY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
  -o LogLevel=ERROR "$@"
"""
SSHD_OPTIONS = (
    f"HostKey={HOST_KEY}", f"AuthorizedKeysFile={IDENTITY}.pub", "StrictModes=no", "UsePAM=no",
    "PidFile=none", "PermitRootLogin=yes", "Subsystem=sftp internal-sftp",
    f"SetEnv=PATH={OWN_TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin",
)  # fmt: skip


def let_in(lab: Lab) -> None:
    """root of each host may log in on the others."""
    for name, path in (("identity", IDENTITY), ("host", HOST_KEY)):
        made = lab.directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made)], check=True)
        for host in lab.hosts:
            host.write(path, made.read_text(), 0o600)
            host.write(f"{path}.pub", made.with_suffix(".pub").read_text(), 0o644)
    for host in lab.hosts:
        for client in ("ssh", "scp"):
            host.write(f"{OWN_TOOLS}/{client}", CLIENT % client, 0o755)
        host.run("install", "-d", "-m", "755", "/run/sshd", check=True)
        options = [word for option in SSHD_OPTIONS for word in ("-o", option)]
        host.spawn("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *options)
    for host in lab.hosts:
        wait_until(lambda name=host.name: lab[1].run("ssh", name, "true").returncode == 0, "sshd to answer")  # type: ignore[misc]


def votes(host: Host) -> bool:
    shown = host.run("/usr/sbin/corosync-quorumtool", "-s").stdout
    return len(re.findall(r"A,V,NMW", shown)) == len(NODES) and "Total votes:      3" in shown


def set_up(engine: Engine) -> dict[str, str]:
    """What the set-up and the questions afterwards print on n1."""
    with Lab(hosts=3) as lab:
        let_in(lab)
        for host in lab.hosts:
            host.write(f"{OWN_TOOLS}/systemctl", SYSTEMCTL, 0o755)
            for directory in ("/run/corosync-qdevice", "/run/corosync-qnetd", "/etc/corosync/qdevice/net"):
                host.run("install", "-d", "-m", "770", directory, check=True)
            host.run("install", "-d", "/etc/corosync/qnetd", check=True)
        ring = Ring(lab, "rr")
        ring.engines = dict.fromkeys(NODES, engine)
        ring.conf = re.sub(r"  node \{\s+name: n3[^}]*\}\n", "", ring.conf)
        ring.start()
        ring.wait_whole()
        for pacemaker in [Pacemaker(lab[number]) for number in NODES]:
            pacemaker.wait_online("n1", "n2")
        found = {INIT: answer(lab, INIT)}
        # crmsh copies the file with csync2 only.
        lab[2].write(CONF, lab[1].path(CONF).read_text())
        lab[1].shell("crm corosync reload")
        lab[2].shell("systemctl restart corosync-qdevice")
        for number in NODES:
            wait_until(lambda host=lab[number]: votes(host), f"the device to vote on n{number}")  # type: ignore[misc]
        return found | {f"{place}: {command}": answer(lab, command) for place, command in enumerate(ASKED)}


@pytest.mark.long
def test_crmsh_sets_up_a_quorum_device() -> None:
    real, ours = set_up(REAL), set_up(OURS)
    assert real[INIT].startswith("status 0\n"), real[INIT]
    assert "Qdevice information" in real["2: crm corosync status qdevice"]
    assert not differences(real, ours)
