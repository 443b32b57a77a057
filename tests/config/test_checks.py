"""What a totem configuration must satisfy, in the order in which it is looked at."""

from dataclasses import replace

import pytest

from tests.config.sample import conf, host, loaded, nodelist_of, refused

PREFIX = "parse error in config: "


def interface(*lines: str) -> str:
    return f"interface {{; {'; '.join(lines)}; }}"


def first(text: str) -> str:
    return refused(text).faults[0].text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "No interfaces defined"),
        (conf(nodes=""), "No interfaces defined"),
        (conf(nodes=nodelist_of(2).replace("n1", "x").replace("10.77.0.1", "10.99.0.1")),
         "No valid name found for local host"),
        (conf().replace("version: 2", "version: 3"),
         "This totem parser can only parse version 2 configurations."),
        (conf(interface("ttl: 2")), "Can only set ttl on multicast transport types for interface 0"),
        (conf(f"transport: udpu; {interface('knet_link_priority: 3')}"),
         "Can only set link priority on knet transport type for interface 0"),
        (conf("transport: udp").replace("  cluster_name: lab\n", ""),
         "No multicast address specified for interface 0"),
        (conf(f"transport: udp; {interface('bindnetaddr: 10.77.0.1', 'mcastaddr: 10.1.1.1')}"),
         "mcastaddr is not a correct multicast address for interface 0"),
        (conf("transport: udp; ip_version: ipv6-4; "
              f"{interface('bindnetaddr: 10.77.0.1', 'mcastaddr: ff15::1')}"),
         "Multicast address family does not match bind address family for interface 0"),
        (conf("token: 20"), "The token timeout parameter (20 ms) may not be less than (30 ms)."),
        (conf(nodes=nodelist_of(2, 2, names=False)),
         "for a multi-link configuration, all nodes must have a 'name' attribute"),
        (conf(nodes=nodelist_of(2, 2).replace("    ring1_addr: 10.77.1.2\n", "")),
         "Not all nodes have the same number of links"),
        (conf(interface("linknumber: 5", "ttl: 1")), "Not all nodes have the same number of links"),
        (conf(nodes=nodelist_of(2).replace("10.77.0.2", "fe80::2")),
         "Nodes for link 0 have different IP families (compared fe80::2 with 10.77.0.1)"),
        (conf("link_mode: fast"),
         'The Knet link mode "fast" specified is invalid.  It must be active, passive or rr.'),
        (conf("transport: udpu", nodes=nodelist_of(2, 2)),
         "2 is too many configured interfaces for non-Knet transport."),
        (conf("transport: udpu; secauth: on"),
         "crypto_cipher & crypto_hash are only valid for the Knet transport."),
    ],
)  # fmt: skip
def test_what_is_wrong(text: str, complaint: str) -> None:
    assert first(text) == PREFIX + complaint


def test_a_link_that_the_local_node_is_not_on_has_no_port() -> None:
    text = nodelist_of(2, 2).replace("    ring1_addr: 10.77.1.1\n", "")
    assert first(conf(nodes=text)) == f"{PREFIX}No multicast port specified for interface 1"


@pytest.mark.parametrize("number", [2, 11])
def test_two_nodes_with_one_id(number: int) -> None:
    """corosync does not see it for the eleventh node; such a cluster cannot work."""
    text = nodelist_of(12).replace(f"nodeid: {number}\n", "nodeid: 5\n")
    assert first(conf(nodes=text)) == "Nodeid 5 appears twice in corosync.conf"


def test_the_last_of_several_duplicates_is_named_first() -> None:
    text = nodelist_of(4).replace("nodeid: 2\n", "nodeid: 1\n").replace("nodeid: 4\n", "nodeid: 3\n")
    assert [fault.text for fault in refused(conf(nodes=text)).faults] == [
        "Nodeid 3 appears twice in corosync.conf",
        "Nodeid 1 appears twice in corosync.conf",
    ]


def test_one_bad_timer_is_one_complaint() -> None:
    assert len(refused(conf("token: 20")).faults) == 1
    assert len(refused(conf("token: 20; hold: 3")).faults) == 2


def test_complaints_come_in_order_with_lines() -> None:
    faults = refused(conf("link_mode: x; merge: 1; token: 1")).faults
    assert [fault.line for fault in faults] == [6, 5, 4]


def test_ipv6_works_like_ipv4() -> None:
    text = nodelist_of(2).replace("10.77.0.", "fd00::")
    totem = loaded(conf(nodes=text), host("n1", "fd00::1")).totem
    assert [str(member.address) for member in totem.links[0].members] == ["fd00::1", "fd00::2"]
    wrong = conf("transport: udp; ip_version: ipv6", nodes=text.replace("    nodeid: 1\n", ""))
    assert refused(wrong, host("n1", "fd00::1")).faults[0].text == (
        "An IPV6 network requires that a node ID be specified"
    )


def test_a_group_of_ipv6_needs_a_node_id() -> None:
    options = interface("bindnetaddr: fd00::1", "mcastaddr: ff15::7")
    text = conf(
        f"transport: udp; ip_version: ipv6; {options}", nodes=nodelist_of(1).replace("10.77.0.", "fd00::")
    )
    assert loaded(text, host("n1", "fd00::1")).totem.node_id == 1
    # Without a local node there is no id, which is said after the name is missed.
    where = replace(host("elsewhere"), addresses=())
    assert refused(text, where).faults[0].text == f"{PREFIX}No valid name found for local host"
