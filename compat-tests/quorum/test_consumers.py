"""What operators' tools do with quorum: pcs and crmsh print the same on both implementations."""

import re

import pytest
from lab import OURS, REAL, Engine, Lab, wait_until
from lab.host import OWN_TOOLS
from lab.pacemaker import Pacemaker, crm_mon

from quorum.stage import LabStage
from tests.scenarios.votequorum.script import Configuration

WAITING = Configuration(nodes=(1, 2, 3), quorum={"wait_for_all": "1"})
WHOLE = (
    "pcs quorum status",
    "pcs quorum config",
    "crm corosync status quorum",
    "crm corosync status",
    "crm corosync get quorum.wait_for_all",
    "pcs quorum expected-votes 4",
    "pcs quorum status",
    "pcs quorum expected-votes 9",
    "pcs quorum expected-votes 2",
    "pcs quorum expected-votes x",
    "pcs quorum expected-votes 3",
    "pcs quorum unblock --force",
    "pcs quorum device status",
    "corosync-quorumtool -s",
)
ALONE = (
    "pcs quorum status",
    "pcs quorum config",
    "pcs quorum unblock",
    "crm corosync status quorum",
    "corosync-cmapctl -g runtime.votequorum.wait_for_all_status",
    "corosync-cmapctl -s quorum.cancel_wait_for_all u8 1",
    "corosync-cmapctl -g quorum.cancel_wait_for_all",
    "corosync-cmapctl -g runtime.votequorum.wait_for_all_status",
    "pcs quorum unblock --force",
    "pcs quorum status",
)
# With Pacemaker on two of three nodes that wait for all.
UNBLOCKED = (
    "pcs quorum unblock",
    "pcs quorum unblock --force",
    "corosync-cmapctl -g runtime.votequorum.wait_for_all_status",
    "corosync-quorumtool -s",
    "pcs quorum unblock --force",
    "pcs property config startup-fencing",
)
# crmsh asks systemd, which the hosts of the lab do not have, whether corosync runs.
SYSTEMCTL = """#!/bin/sh
case "$*" in
  *is-active*corosync*) pidof corosync >/dev/null || grep -q . /run/corosync.pid 2>/dev/null ;;
  *) exit 3 ;;
esac
"""
MASKS = (
    (r"^Date: .*$", "Date: <now>"),
    (r"(Ring ID:)\s+(\d+)\.\w+$", r"\1 \2.<seq>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "<moment>"),
    (r"(Client address:.*:)\d+$", r"\1<port>"),
    (r"(Vote:\s+)[\w ]+ (?=\(ACK\))", r"\1<the last> "),  # who came first gets more answers
    (r"\b\d+\.\d{3,}\b", "<seconds>"),
)


def answers(engine: Engine) -> dict[str, str]:
    """What each command printed, and its exit status, on n1 of three nodes, then on n1 of two that wait."""
    with Lab(hosts=3) as lab:
        stage = LabStage(lab, dict.fromkeys((1, 2, 3), engine))
        lab[1].write(f"{OWN_TOOLS}/systemctl", SYSTEMCTL, 0o755)
        try:
            stage.configure(WAITING)
            stage.start((1, 2))
            stage.look(dict.fromkeys((1, 2), (1, 2)), None)
            found = {f"two of three: {command}": answer(lab, command) for command in ALONE}
            for node in (1, 2):
                stage.crash(node)
            stage.start((1, 2, 3))
            stage.look(dict.fromkeys((1, 2, 3), (1, 2, 3)), None)
            found |= {
                f"three, {place}: {command}": answer(lab, command) for place, command in enumerate(WHOLE)
            }
        finally:
            stage.clear()
    return found


def unblocked(engine: Engine) -> dict[str, str]:
    """The same on n1 of two nodes of three, whose Pacemaker goes on without the third afterwards."""
    with Lab(hosts=3) as lab:
        stage = LabStage(lab, dict.fromkeys((1, 2, 3), engine))
        try:
            stage.configure(WAITING)
            stage.start((1, 2))
            stage.look(dict.fromkeys((1, 2), (1, 2)), None)
            for pacemaker in [Pacemaker(lab[number]) for number in (1, 2)]:
                pacemaker.wait_online("n1", "n2")
            assert "partition WITHOUT quorum" in crm_mon(lab[1])
            found = {f"{place}: {command}": answer(lab, command) for place, command in enumerate(UNBLOCKED)}
            wait_until(lambda: "partition with quorum" in crm_mon(lab[2]), "Pacemaker to have quorum")
        finally:
            stage.clear()
    return found


def answer(lab: Lab, command: str) -> str:
    done = lab[1].shell(command)
    text = f"status {done.returncode}\n{done.stdout}--- stderr\n{done.stderr}"
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


@pytest.mark.long
def test_pcs_and_crmsh_see_the_same() -> None:
    real, ours = answers(REAL), answers(OURS)
    assert "Quorate:          Yes" in real["three, 0: pcs quorum status"]
    assert "Quorum information" in real["three, 2: crm corosync status quorum"]
    assert not differences(real, ours)


@pytest.mark.long
def test_pcs_unblocks_a_cluster_that_waits() -> None:
    real, ours = unblocked(REAL), unblocked(OURS)
    assert real["1: pcs quorum unblock --force"].startswith("status 0\n")
    assert not differences(real, ours)


def differences(real: dict[str, str], ours: dict[str, str]) -> str:
    return "\n\n".join(
        f"{command}\n--- real\n{real[command]}\n--- ours\n{ours[command]}"
        for command in real
        if real[command] != ours[command]
    )
