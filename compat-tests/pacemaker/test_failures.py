"""A node fails under Pacemaker, with a fencing device: what it ran runs elsewhere, on both engines."""

import time
from functools import cache

import pytest
from lab import Lab, wait_until
from lab.fencing import PowerSwitch
from lab.pacemaker import LIMIT_S, Pacemaker, crm_mon
from mixed.ring import TOKEN_OPTIONS, Ring

NODES = ("n1", "n2", "n3")
# Pacemaker's own steps vary by seconds, and the machine is shared.
FACTOR, SLACK_S = 2.0, 10.0


@cache
def seconds_until_recovered(kinds: str, fault: str) -> float:
    """The resource ran on n3, is started elsewhere after n3 has been fenced, and nobody else was."""
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        switch = PowerSwitch(lab)
        pacemakers = [Pacemaker(host) for host in lab.hosts]
        for pacemaker in pacemakers:
            pacemaker.wait_online(*NODES)
        one = pacemakers[0]
        one.add_dummy("work")
        prefers = '<rsc_location id="home" rsc="work" node="n3" score="100"/>'
        one.run("cibadmin", "--create", "--scope", "constraints", "--xml-text", prefers)
        switch.add_device(one)
        one.wait_where("n3", "work")
        began = time.monotonic()
        if fault == "daemon killed":
            ring.crash(3)
        elif fault == "host dies":
            ring.daemons.pop(3)
            lab[3].halt()
        else:
            ring.daemons.pop(3)
            ring.cut((3,), (1, 2))

        def recovered() -> bool:
            switch.serve()
            return one.where("work") in ("n1", "n2") and "OFFLINE: [ n3 ]" in crm_mon(lab[1])

        wait_until(recovered, "the resource to run elsewhere", LIMIT_S)
        seconds = time.monotonic() - began
        assert switch.off == {"n3"}
        assert "partition with quorum" in crm_mon(lab[1])
        ring.check_alive()
        assert ring.complaints() == []
    return seconds


@pytest.mark.long
@pytest.mark.parametrize("fault", ["daemon killed", "host dies", "network cut"])
def test_recovers_as_on_real_corosync(fault: str) -> None:
    expected, found = (seconds_until_recovered(kinds, fault) for kinds in ("rrr", "ooo"))
    print(f"{fault}: {found:.1f} s, on real corosync {expected:.1f} s")
    assert found <= expected * FACTOR + SLACK_S
