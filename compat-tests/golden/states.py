"""The states in which administrators meet a cluster: how each comes about, and what is asked there.

A state is a function that takes a Stage. Numbers of old recordings are kept: 01 is the plain cluster of two,
17 to 20 are those with a quorum device.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from commands import ASK, CHANGE
from lab.engine import CONF
from lab.pacemaker import Pacemaker
from lab.wait import wait_until

from golden.stage import LOGFILE, Stage

SHORT: Final = tuple(f"corosync-quorumtool {letters}" for letters in ("-s", "-si", "-l", "-sp"))
QUORUMTOOL: Final = tuple(command for command in ASK if command.split()[0] == "corosync-quorumtool")
LINKS: Final = ("corosync-cfgtool -s", "corosync-cfgtool -sb", "corosync-cfgtool -n")
# What people look for in the log; which of knet's lines come, and how often, is a matter of luck.
GREPPED: Final = (
    r"This node is within the (?:non-)?primary component.*|Waiting for all cluster members.*"
    r"|Node \d+ was shut down by sysadmin|Killed by node .*|Config reload requested by node \d+"
    r"|Modified entry .*|Unable to reload.*|Configuration is not valid.*|Cannot configure new.*"
    r"|Crypto configuration is not.*|kronosnet crypto reconfigured.*|[Nn]ew config has different.*"
    r"|Node was shut down by a signal|exiting with status -?\d+|exiting normally"
)


class State(NamedTuple):
    """Hosts and links of the lab, and what happens there."""

    play: Callable[[Stage], None]
    hosts: int = 2
    links: int = 1


def nodaemon(stage: Stage) -> None:
    stage.configure()
    stage.ask(
        1, *SHORT, *LINKS, "corosync-cfgtool -R", "corosync-cfgtool -L", "corosync-cfgtool -H",
        "corosync-cfgtool -H --force", "corosync-cfgtool -a 1", "corosync-cfgtool -k 2", "corosync-cmapctl",
        "corosync-cmapctl -g totem.version", "corosync-cmapctl -m stats", "corosync-cmapctl -t totem.",
        "corosync-cmapctl -s a.b u8 1", "corosync-cpgtool", "corosync-cpgtool -n", "corosync -h",
        "corosync -z", "corosync-quorumtool -e 2", "corosync-quorumtool -v 1", "corosync-quorumtool -f",
        "corosync-quorumtool -m", "corosync-quorumtool -V", "corosync -v | head -1", "corosync -t",
    )  # fmt: skip


def plain(stage: Stage) -> None:
    stage.configure(crypto=True)
    stage.form(1, 2, links=2)
    stage.ask(1, *ASK)
    stage.ask(2, *SHORT, *LINKS, "corosync-cpgtool")
    stage.ask(1, *CHANGE)
    stage.ask(2, *SHORT)


def peer_gone(stage: Stage) -> None:
    stage.configure(crypto=True)
    stage.form(1, 2, links=2)
    stage.ask(1, "corosync-quorumtool -v 3; corosync-quorumtool -n 2 -v 0")
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +3")
    stage.stop(2)
    stage.settle(1)
    stage.wait_alone(1)
    stage.ask(1, *SHORT, *LINKS, "corosync-cmapctl runtime.members", "corosync-cmapctl", "corosync-cpgtool")
    stage.ask(1, "corosync-quorumtool -e 1; corosync-quorumtool -s")
    stage.ask(1, "corosync-cfgtool -k 1")
    stage.note("n1: exit status after -k", str(stage.daemons.pop(1).wait()))
    stage.ask(1, "pidof corosync; stat -c '%A %U' /run/corosync.pid", *SHORT)
    stage.log(1, GREPPED)


def without_quorum(stage: Stage) -> None:
    stage.configure()
    stage.form(1, 2, links=1)
    stage.kill(2)
    stage.wait_for(1, "quorumtool", "-s", r"Activity blocked")
    stage.wait_alone(1)
    stage.ask(
        1, *QUORUMTOOL, *LINKS, "corosync-cmapctl -g runtime.votequorum.wait_for_all_status",
        "corosync-cpgtool", "corosync-quorumtool -e 1", "corosync-quorumtool -s", "corosync-quorumtool -e 2",
        "corosync-quorumtool -s", "corosync-cmapctl runtime.votequorum. quorum. runtime.members.",
    )  # fmt: skip
    stage.log(1, GREPPED)


def two_node(stage: Stage) -> None:
    """First boot alone, both, the survivor, restarted alone."""
    asked = (*SHORT, "corosync-cmapctl runtime.votequorum. quorum.")
    stage.configure(quorum={"two_node": 1})
    stage.form(1)
    stage.ask(1, *asked, "ls /var/lib/corosync")
    stage.start(2)
    stage.settle(1, 2)
    for number in (1, 2):
        stage.wait_for(number, "quorumtool", "-s", r"Quorate: +Yes")
        stage.ask(number, *asked)
    stage.kill(2)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +1")
    stage.ask(1, *asked)
    stage.log(1, GREPPED)
    stage.stop(1)
    stage.form(1)
    stage.ask(1, *asked)
    stage.log(1, GREPPED)


def without_wait_for_all(stage: Stage) -> None:
    stage.configure(quorum={"two_node": 1, "wait_for_all": 0})
    stage.form(1)
    stage.wait_for(1, "quorumtool", "-s", r"Quorate: +Yes")
    stage.ask(1, *SHORT, "corosync-cmapctl runtime.votequorum. quorum.")


def tie_breaker(stage: Stage) -> None:
    """Four nodes, split in halves, and healed."""
    stage.configure(quorum={"auto_tie_breaker": 1})
    stage.form(1, 2, 3, 4)
    stage.ask(1, *SHORT)
    for one in (1, 2):
        for other in (3, 4):
            stage.lab.cut(one, other)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +2")
    stage.wait_for(3, "quorumtool", "-s", r"Activity blocked")
    stage.settle(1, 2)
    stage.settle(3, 4)
    for number in (1, 3):
        stage.ask(number, *SHORT, "corosync-cfgtool -s", "corosync-cmapctl runtime.votequorum.")
    stage.lab.heal()
    stage.settle(1, 2, 3, 4)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +4")
    stage.ask(1, *SHORT)


def last_man_standing(stage: Stage) -> None:
    stage.configure(quorum={"last_man_standing": 1, "last_man_standing_window": 3000, "wait_for_all": 1})
    stage.form(1, 2, 3, 4)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +4")
    stage.ask(1, *SHORT)
    for number, left in ((4, 3), (3, 2)):
        stage.stop(number)
        stage.wait_for(1, "quorumtool", "-s", rf"Expected votes: +{left}")
        stage.ask(1, *SHORT, "corosync-cmapctl runtime.votequorum.")


def downscale(stage: Stage) -> None:
    stage.configure(quorum={"allow_downscale": 1})
    stage.form(1, 2, 3, 4)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +4")
    stage.ask(1, *SHORT)
    stage.stop(4)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +3")
    stage.ask(1, *SHORT, "corosync-cmapctl runtime.votequorum.")
    stage.start(4)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +4")
    stage.ask(1, *SHORT)


def without_provider(stage: Stage) -> None:
    stage.configure(quorum={"provider": None})
    stage.form(1, 2, links=1)
    stage.ask(
        1, *QUORUMTOOL, *LINKS, "corosync-cmapctl", "corosync-quorumtool -e 2", "corosync-quorumtool -v 2",
        "corosync-quorumtool -n 2 -v 2", "corosync-cpgtool",
    )  # fmt: skip


def plain_transport(name: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.configure(transport=name)
        stage.form(1, 2)
        stage.wait_for(1, "quorumtool", "-s", r"Total votes: +2")
        asked = (*LINKS, *SHORT, "corosync-quorumtool -li", "corosync-cfgtool -a 2", "corosync-cpgtool -e")
        stage.ask(1, *asked, "corosync-cmapctl", "corosync-cmapctl -m stats")
        stage.ask(2, *asked)

    return play


def _edited(stage: Stage, *changes: tuple[str, str], **options: object) -> None:
    """A configuration of the lab with words replaced."""
    stage.configure(**options)
    conf = stage.conf
    for old, new in changes:
        conf = conf.replace(old, new)
    stage.configure(conf)


def without_names(stage: Stage) -> None:
    _edited(stage, ("name: n1\n", ""), ("name: n2\n", ""), links=1)
    stage.form(1, 2, links=1)
    stage.ask(
        1, *SHORT, "corosync-quorumtool -la", "corosync-quorumtool -lia", *LINKS, "corosync-cmapctl nodelist."
    )


def without_names_and_udpu(stage: Stage) -> None:
    _edited(stage, ("name: n1\n", ""), ("name: n2\n", ""), transport="udpu")
    stage.form(1, 2)
    stage.ask(1, *SHORT, "corosync-quorumtool -la", *LINKS, "corosync-cmapctl nodelist.")


def big_ids(stage: Stage) -> None:
    _edited(
        stage,
        ("nodeid: 1\n", "nodeid: 4294967295\n"),
        ("nodeid: 2\n", "nodeid: 1084752131\n"),
        transport="udpu",
    )
    for number in (1, 2):
        stage.daemons[number] = stage.daemon.start(stage.lab[number], stage.conf, ready=False)
    stage.settle(1, 2)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +2")
    tools = "-lH", "-siH", "-l -o i", "-n 1084752131 -v 2", "-n 4294967295 -v 1"
    stage.ask(1, *SHORT, *LINKS, *(f"corosync-quorumtool {letters}" for letters in tools))
    stage.ask(1, *(f"corosync-cfgtool -a {number}" for number in (4294967295, 1084752131, 3)))
    stage.ask(1, "corosync-cmapctl runtime.members nodelist. runtime.votequorum.", "corosync-cpgtool -e")
    stage.ask(1, "corosync-cfgtool -k 4294967294")


def eight_links(stage: Stage) -> None:
    stage.configure(crypto=True)
    stage.form(1, 2, links=8)
    stage.ask(
        1,
        *LINKS,
        *SHORT,
        "corosync-quorumtool -la",
        "corosync-cfgtool -a 2",
        "corosync-cmapctl totem.interface",
    )
    stage.lab.cut(1, 2, link=3)
    stage.wait_for(1, "cfgtool", "-s", r"disconnected")
    stage.ask(1, *LINKS)


def ipv6(transport: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        options = {"transport": transport, "totem": {"ip_version": "ipv6"}}
        changes = [(f"10.77.{link}.{n}\n", f"fd77::{link}:{n}\n") for link in range(2) for n in (1, 2)]
        _edited(stage, *changes, **options)
        stage.form(1, 2, links=2 if transport == "knet" else 0)
        stage.ask(
            1, *LINKS, *SHORT, "corosync-quorumtool -la", "corosync-quorumtool -lia", "corosync-cfgtool -a 2",
            "corosync-cmapctl runtime.members nodelist. totem.", "corosync-cpgtool",
        )  # fmt: skip

    return play


def mixed_families(stage: Stage) -> None:
    _edited(stage, *((f"10.77.1.{n}\n", f"fd77::1:{n}\n") for n in (1, 2)))
    stage.form(1, 2, links=2)
    stage.ask(
        1,
        *LINKS,
        *SHORT,
        "corosync-quorumtool -lia",
        "corosync-cfgtool -a 2",
        "corosync-cmapctl runtime.members",
    )


QDEVICE: Final = "device {\n    model: net\n    votes: 1\n    net {\n      tls: off\n      host: 10.77.0.4\n      algorithm: ffsplit\n    }\n  }"  # noqa: E501


def qdevice(stage: Stage) -> None:
    """Before the device, registered, one of two, qnetd down, unregistered by force."""
    _edited(stage, ("provider: corosync_votequorum", f"provider: corosync_votequorum\n  {QDEVICE}"), nodes=2)
    for number in (1, 2, 4):
        stage.shell(number, "install -d -m 770 /run/corosync-qdevice /run/corosync-qnetd")
    stage.form(1, 2, links=2)
    stage.ask(1, *SHORT)
    qnetd = stage.spawn(4, "corosync-qnetd", "-f", "-s", "off")
    devices = [stage.spawn(number, "corosync-qdevice", "-f") for number in (1, 2)]
    for number in (1, 2):
        stage.wait_for(number, "quorumtool", "-s", r"Total votes: +3")
        stage.wait_for(number, "quorumtool", "-l", r"A,V,NMW.*\n.*A,V,NMW")
    stage.ask(
        1, *QUORUMTOOL[:16], "corosync-quorumtool -F", "timeout -s INT 3 corosync-quorumtool -mi",
        "corosync-qdevice-tool -s", "corosync-cmapctl quorum. runtime.votequorum", "corosync-cpgtool",
        "corosync-quorumtool -e 5", "corosync-quorumtool -n 0 -v 2",
    )  # fmt: skip
    stage.ask(4, "corosync-qnetd-tool -s")
    devices[1].kill()
    stage.kill(2)
    stage.settle(1)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +2")
    stage.ask(1, *SHORT, "corosync-cmapctl runtime.votequorum")
    qnetd.kill()
    stage.wait_for(1, "quorumtool", "-s", r"A,NV,NMW")
    stage.ask(1, *SHORT)
    devices[0].kill()
    stage.ask(1, "corosync-quorumtool -f")
    stage.wait_for(1, "quorumtool", "-sp", r"NR")
    stage.ask(1, *SHORT)
    stage.log(1, GREPPED)


def between_rings(stage: Stage) -> None:
    """The peer hangs: n1 looks for members for a long time, and tells what it knew."""
    stage.configure(totem={"token": 1000, "consensus": 40000})
    stage.form(1, 2, links=1)
    stage.daemons[2].pause()
    wait_until(
        lambda: "Token has not been received" in stage.lab[1].path(LOGFILE).read_text(errors="replace"),
        "n1 to miss the token",
    )
    stage.wait_alone(1)
    stage.ask(
        1, *SHORT, *LINKS, "corosync-cmapctl runtime.members", "corosync-cmapctl -g totem.cluster_name",
        "corosync-cfgtool -a 2", "corosync-cmapctl -s x.y u8 1; corosync-cmapctl -g x.y",
    )  # fmt: skip
    stage.daemons[2].resume()
    stage.settle(1, 2, links=1)


# As another user, who may not be able to reach the Python of our tools: see lab.engine.
AS_NOBODY: Final = """#!/bin/sh
case $(command -v "$1") in
/var/log/bin/*) LAB_UID=65534 exec "$@" ;;
*) exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@" ;;
esac
"""


def not_authorised(stage: Stage) -> None:
    stage.configure(links=1)
    stage.lab[1].write("/var/log/bin/as-nobody", AS_NOBODY, 0o755)
    stage.form(1, 2, links=1)
    asked = (
        "corosync-cmapctl -g totem.cluster_name", "corosync-quorumtool -s", "corosync-cfgtool -s",
        "corosync-cfgtool -a 2", "corosync-cpgtool",
    )  # fmt: skip
    changing = (
        "corosync-cfgtool -R",
        "corosync-cfgtool -L",
        "corosync-cfgtool -H",
        "corosync-quorumtool -e 1",
    )
    stage.ask(1, *(f"as-nobody {command}" for command in (*asked, *changing)))
    stage.log(1, r"Denied connection attempt from .*|Invalid IPC credentials")
    stage.ask(1, "corosync-cmapctl -s uidgid.uid.65534 u8 1")
    stage.ask(1, *(f"as-nobody {command}" for command in asked))


def second_and_shutdown(stage: Stage) -> None:
    """A second instance; -H with and without --force on one of three, the peers' logs; -k of another node."""
    stage.configure()
    stage.form(1, 2, 3)
    stage.wait_for(1, "quorumtool", "-s", r"Total votes: +3")
    stage.ask(1, "corosync -f; echo rc=$?")
    stage.log(1, r"corosync .*already running.*|exiting with status \d+")
    stage.ask(1, "corosync-cfgtool -H")
    stage.note("n1: exit status", str(stage.daemons.pop(1).wait()))
    stage.ask(1, "ls /run/corosync.pid; ls /dev/shm")
    stage.wait_for(2, "quorumtool", "-s", r"Total votes: +2")
    stage.settle(2, 3)
    stage.ask(2, *SHORT, "corosync-cmapctl runtime.members")
    for number in (1, 2, 3):
        stage.log(number, GREPPED)
    stage.start(1)
    stage.settle(1, 2, 3)
    stage.ask(2, "corosync-cfgtool -H --force")
    stage.note("n2: exit status", str(stage.daemons.pop(2).wait()))
    stage.settle(1, 3)
    stage.ask(1, "corosync-cfgtool -k 3")
    stage.note("n3: exit status", str(stage.daemons.pop(3).wait()))
    stage.settle(1)
    stage.wait_for(1, "quorumtool", "-s", r"Activity blocked")
    stage.ask(1, *SHORT, "corosync-cfgtool -k 3", "corosync-cfgtool -k 1")
    stage.note("n1: exit status", str(stage.daemons.pop(1).wait()))
    stage.ask(1, "stat -c '%A %U' /run/corosync.pid")
    for number in (1, 2, 3):
        stage.log(number, GREPPED)


# Several times, because corosync's log often loses a line around a reload.
RELOADS: Final = "for i in 1 2 3; do corosync-cfgtool -R; done"
STATUS: Final = "corosync-cmapctl config."


def reload(stage: Stage) -> None:
    """Good and bad files, as an operator changes them; both nodes' words, in the end."""
    options: dict[str, object] = {"crypto": True, "nodes": 2}

    def turn(*changes: tuple[str, str], ask: tuple[str, ...] = (STATUS,), **more: object) -> None:
        _edited(stage, *changes, **(options | more))
        stage.ask(1, RELOADS, *ask)

    stage.configure(**options)  # type: ignore[arg-type]
    stage.form(1, 2, links=2)
    timers = "corosync-cmapctl totem.token runtime.config.totem.token runtime.config.totem.consensus"
    turn()
    turn(totem={"token": 5000}, ask=(STATUS, timers))
    turn(("cluster_name", "}\ncluster_name"), ask=())  # what the map says then is another matter: masking.py
    turn(totem={"token": 10}, ask=(STATUS, timers))
    turn(totem={"token": "x"}, ask=())
    turn(transport="udpu", ask=(STATUS, "corosync-cmapctl totem.transport"))
    turn()
    turn(
        nodes=3, ask=(*SHORT, "corosync-cfgtool -s", "corosync-cmapctl nodelist. quorum. runtime.votequorum")
    )
    turn(ask=(*SHORT, "corosync-cfgtool -s", "corosync-cmapctl nodelist."))
    turn(links=1, ask=LINKS[:1])
    turn()
    stage.settle(1, 2, links=2)
    stage.ask(1, *LINKS)
    turn(totem={"crypto_cipher": "aes128"}, ask=("corosync-cmapctl totem.crypto", "corosync-quorumtool -s"))
    turn()
    turn(("10.77.1.2\n", "10.77.1.3\n"), ask=("corosync-cmapctl nodelist. # after a refusal",))
    turn()
    turn(cluster_name="other", ask=("corosync-cmapctl totem.cluster_name",))
    turn(logging={"debug": "on"}, ask=("corosync-cmapctl logging.",))
    turn(quorum={"expected_votes": 3}, ask=("corosync-quorumtool -s",))
    turn(quorum={"two_node": 1}, ask=("corosync-quorumtool -s",))
    turn(ask=("corosync-quorumtool -s",))
    turn(("nodeid: 2\n", ""), ask=("corosync-cmapctl nodelist. # after a refusal",))
    for number in (1, 2):
        stage.log(number, GREPPED, ordered=False)


# crmsh asks it whether corosync runs; on a host of the lab there is none.
SYSTEMCTL: Final = """#!/bin/sh
case $1 in
is-active) pidof "${2%.service}" >/dev/null && echo active ;;
is-enabled) echo enabled ;;
esac
"""
PCS: Final = (
    "pcs quorum status", "pcs status corosync", "pcs quorum config", "pcs cluster corosync",
    "pcs cluster config", "pcs quorum expected-votes 2", "pcs cluster reload corosync",
)  # fmt: skip
CRM: Final = (
    "crm corosync status quorum", "crm corosync status ring", "crm corosync status cpg", "crm corosync show",
    "crm corosync get totem.cluster_name", "crm corosync reload", "crm node show", "crm cluster status",
)  # fmt: skip
# Changes of the file with crmsh; the file then has to be brought to the other node, before the reload.
CRM_CHANGES: Final = (
    ("crm corosync set totem.token 4000", "corosync-cmapctl -g runtime.config.totem.token"),
    ("crm corosync add-node 10.77.0.3 n3", "corosync-quorumtool -s; corosync-cmapctl nodelist."),
    ("crm corosync del-node n3", "corosync-quorumtool -s; corosync-cmapctl nodelist."),
)
REPORTS: Final = (
    "crm report -S -n n1 -f 2026-01-01 /tmp/crm >/dev/null 2>&1; tar tjf /tmp/crm.tar.bz2 | sort",
    "pcs cluster report /tmp/pcs --from '2026-01-01 00:00' >/dev/null 2>&1; tar tjf /tmp/pcs.tar.bz2 | sort",
    "cd /tmp && tar xjf pcs.tar.bz2 && cd pcs/n1 && cat corosync.conf && cat corosync.quorum",
    "cd /tmp/pcs/n1 && grep -E '^(totem|nodelist|quorum|runtime.(config|votequorum|members))' corosync.dump",
)


def _with_pacemaker(stage: Stage) -> None:
    stage.configure(quorum={"two_node": 1}, crypto=True, links=1)
    for host in stage.lab.hosts:
        host.write("/var/log/bin/systemctl", SYSTEMCTL, 0o755)
    stage.form(1, 2, links=1)
    for pacemaker in [Pacemaker(host) for host in stage.lab.hosts]:
        pacemaker.wait_online("n1", "n2")


def pacemaker(stage: Stage) -> None:
    """Groups, access, vetoes: what a node with Pacemaker looks like, and -H with and without --force."""
    _with_pacemaker(stage)
    stage.ask(
        1, "corosync-cpgtool", "corosync-cpgtool -n", "corosync-cpgtool -e", "corosync-cpgtool -d ';'",
        "corosync-cmapctl", "corosync-cmapctl uidgid internal_configuration config",
        "crm_node -l; crm_node -q; crm_node -n; crm_node -i; crm_node --list", *SHORT,
    )  # fmt: skip
    stage.lab[1].write("/var/log/bin/as-nobody", AS_NOBODY, 0o755)
    stage.ask(1, "as-nobody corosync-quorumtool -s", "as-nobody corosync-cpgtool")
    stage.ask(1, "corosync-cfgtool -H", "corosync-quorumtool -s", "corosync-cfgtool -H --force")
    stage.note("n1: exit status", str(stage.daemons.pop(1).wait()))
    stage.settle(2)
    stage.wait_for(2, "quorumtool", "-s", r"Total votes: +1")
    stage.ask(2, "corosync-cpgtool -e", *SHORT)
    for number in (1, 2):
        stage.log(number, GREPPED)


def without_quorum_consumers(stage: Stage) -> None:
    """What pcs and crmsh make of a node without quorum."""
    stage.configure(links=1)
    stage.lab[1].write("/var/log/bin/systemctl", SYSTEMCTL, 0o755)
    stage.form(1, 2)
    stage.kill(2)
    stage.wait_for(1, "quorumtool", "-s", r"Activity blocked")
    stage.wait_alone(1)
    stage.put_tools_in_place(1)
    stage.ask(1, "pcs quorum status", "pcs status corosync", "crm corosync status quorum", limit_s=300)


KEYGEN: Final = (
    "corosync-keygen -k /run/k1; stat -c '%A %s %U' /run/k1",
    "corosync-keygen -k /run/k1; stat -c '%A %s' /run/k1",
    "corosync-keygen -l -k /run/k2 -s 128; stat -c '%A %s' /run/k2",
    "corosync-keygen -s 4096 -k /run/k3; stat -c '%A %s' /run/k3", "corosync-keygen -s 127 -k /run/k4",
    "corosync-keygen -s 4097 -k /run/k4", "corosync-keygen -s abc -k /run/k4",
    "corosync-keygen -r /nonexistent -k /run/k4", "corosync-keygen -k /nonexistent/k", "corosync-keygen -h",
    "corosync-keygen -z",
    "corosync-keygen --size=1024 --key-file=/run/k5 --less-secure; stat -c '%A %s' /run/k5",
    "rm -f /etc/corosync/authkey; corosync-keygen; stat -c '%A %s' /etc/corosync/authkey", "ls /run/k4",
)  # fmt: skip


def keygen(stage: Stage) -> None:
    stage.ask(1, *KEYGEN)


def consumers(stage: Stage) -> None:
    """pcs and crmsh, which call the tools by their paths; the nodelist changed with crmsh; both reports."""
    _with_pacemaker(stage)
    stage.put_tools_in_place(1)
    stage.ask(1, *PCS, *CRM, limit_s=300)
    for change, question in CRM_CHANGES:
        stage.ask(1, change)
        stage.lab[2].write(CONF, stage.lab[1].path(CONF).read_text())
        stage.ask(1, "crm corosync reload")
        time.sleep(2)  # until every node has read its file, and said so
        stage.ask(1, question)
    stage.ask(1, *REPORTS, limit_s=300)


STATES: Final[dict[str, State]] = {
    "00-nodaemon": State(nodaemon, 1),
    "01-2of2-plain": State(plain, links=2),
    "02-1of2-plain": State(peer_gone, links=2),
    "02b-1of2-noquorum": State(without_quorum),
    "03-to-06-two_node": State(two_node),
    "07-two_node-wfa-off": State(without_wait_for_all),
    "08-to-10-auto_tie_breaker": State(tie_breaker, 4),
    "11-4node-lms": State(last_man_standing, 4),
    "12-allow_downscale": State(downscale, 4),
    "13-noquorum": State(without_provider),
    "14-udp": State(plain_transport("udp")),
    "14-udpu": State(plain_transport("udpu")),
    "15-noname": State(without_names, links=1),
    "15-noname-udpu": State(without_names_and_udpu),
    "16-bigids-udpu": State(big_ids),
    "17-to-20-qdevice": State(qdevice, 4, 2),
    "21-eight-links": State(eight_links, links=8),
    "22-ipv6": State(ipv6("knet"), links=2),
    "22-ipv6-udpu": State(ipv6("udpu")),
    "22-ipv6-udp": State(ipv6("udp")),
    "23-mixed-families": State(mixed_families, links=2),
    "24-between-rings": State(between_rings),
    "25-not-authorised": State(not_authorised),
    "30-pacemaker": State(pacemaker),
    "31-shutdown": State(second_and_shutdown, 3),
    "32-reload": State(reload, 3, 2),
    "33-keygen": State(keygen, 1),
    "35-consumers": State(consumers),
    "37-noquorum-consumers": State(without_quorum_consumers),
}
