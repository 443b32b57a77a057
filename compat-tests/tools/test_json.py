"""What `--json` of our tools says is what the distribution's tools say, on both daemons."""

import json
import re
from typing import Any

import pytest
from lab import OURS, REAL, Engine, Host, Lab, corosync_conf, wait_until


def ask(host: Host, line: str) -> tuple[int, Any]:
    done = host.shell(line)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def cmap_line(key: dict[str, Any]) -> str:
    """As corosync-cmapctl shows it."""
    value = f"{key['value']:f}" if key["type"] in ("flt", "dbl") else key["value"]
    return f"{key['key']} ({key['type']}) = {value}"


@pytest.mark.parametrize("engine", [OURS, pytest.param(REAL, marks=pytest.mark.long)], ids=repr)
def test_both_say_the_same(engine: Engine) -> None:
    with Lab(hosts=2) as lab:
        host = lab[1]
        conf = corosync_conf(lab)
        engine.start(host, conf)
        REAL.start(lab[2], conf)
        links = "/usr/sbin/corosync-cfgtool -n | grep -c 'enabled connected mtu: [1-9]'"
        wait_until(lambda: host.shell(links).stdout == "1\n", "the link to be up")
        wait_until(lambda: host.run("/usr/sbin/corosync-quorumtool", "-s").returncode == 0, "quorum")
        OURS.install_tools(host)

        status, found = ask(host, "corosync-quorumtool --json")
        text = host.run("/usr/sbin/corosync-quorumtool", "-s").stdout
        said = dict(re.findall(r"^(\w[^:\n]*): +(.*?) *$", text, re.MULTILINE))
        votes, ring = found["votes"], found["ring"]
        assert status == 0
        assert said["Node ID"] == str(found["local_node_id"])
        assert said["Ring ID"] == f"{ring['representative']}.{ring['sequence']:x}"
        assert (said["Quorate"], said["Quorum provider"]) == ("Yes", found["provider"])
        assert found["quorate"]
        for name, field in (
            ("Expected votes", "expected"),
            ("Highest expected", "highest_expected"),
            ("Total votes", "total"),
            ("Quorum", "quorum"),
        ):
            assert said[name] == str(votes[field])
        assert (said["Flags"], votes["flags"]) == ("Quorate", ["quorate"])
        rows = re.findall(r"^ +(\d+) +(\d+) (\w+)( \(local\))?$", text, re.MULTILINE)
        assert rows == [
            (str(m["node_id"]), str(m["votes"]), m["name"], " (local)" if m["local"] else "")
            for m in found["members"]
        ]
        assert ask(host, "corosync-quorumtool --json -l")[1]["members"] == found["members"]

        _, found = ask(host, "corosync-cfgtool --json -n")
        (node,) = [node for node in found["nodes"] if not node["local"]]
        (link,) = node["links"]
        text = host.run("/usr/sbin/corosync-cfgtool", "-n").stdout
        assert f"({link['source']}->{link['destination']}) enabled connected mtu: {link['mtu']}\n" in text
        assert text.startswith(
            f"Local node ID {found['local_node_id']}, transport {found['transport']}\n"
            f"nodeid: {node['node_id']} reachable\n   LINK: {link['link']} {link['transport']} "
        )
        _, found = ask(host, "corosync-cfgtool --json -s")
        assert found["links"] == [
            {
                "link": 0,
                "transport": "udp",
                "address": "10.77.0.1",
                "nodes": [{"node_id": 2, "connected": True}],
            }
        ]

        status, found = ask(host, "corosync-cmapctl --json totem. nodelist.")
        text = host.run("/usr/sbin/corosync-cmapctl", "totem.", "nodelist.").stdout
        assert [cmap_line(key) for key in found["keys"]] == text.splitlines()
        names = host.run("/usr/sbin/corosync-cmapctl", "-m", "stats", "stats.srp.").stdout
        _, found = ask(host, "corosync-cmapctl --json -m stats stats.srp.")
        assert [key["key"] for key in found["keys"]] == re.findall(r"^\S+", names, re.MULTILINE)

        assert ask(host, "corosync-cpgtool --json")[1]["groups"] == []


def test_without_a_daemon_there_is_no_object() -> None:
    with Lab(hosts=1) as lab:
        OURS.install_tools(lab[1])
        for line in ("quorumtool --json", "cfgtool --json -s", "cpgtool --json", "cmapctl --json"):
            done = lab[1].shell(f"corosync-{line}")
            assert (done.returncode, done.stdout) == (1, "")
            assert re.fullmatch(r"corosync-\w+: cannot connect to .*: CS_ERR_LIBRARY\n", done.stderr)
