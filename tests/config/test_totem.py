"""Links, nodes and the local node, as read from sections."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pycorosync.config.model import LinkConfig, Member, Transport
from pycorosync.config.totem import cluster_id, generated_node_id, multicast_address
from tests.config.sample import as_map, conf, host, loaded, nodelist_of, refused


def link(text: str, number: int = 0) -> LinkConfig:
    found = loaded(text).totem.link(number)
    assert found is not None
    return found


def interface(*lines: str) -> str:
    return f"interface {{; {'; '.join(lines)}; }}"


def members(text: str, number: int = 0) -> list[tuple[int, str]]:
    return [
        (node_id, str(address))
        for node_id, address in ((m.node_id, m.address) for m in link(text, number).members)
    ]


def test_links_come_from_the_nodelist() -> None:
    text = conf(nodes=nodelist_of(3, 2))
    assert members(text) == [(1, "10.77.0.1"), (2, "10.77.0.2"), (3, "10.77.0.3")]
    assert members(text, 1) == [(1, "10.77.1.1"), (2, "10.77.1.2"), (3, "10.77.1.3")]
    second = link(text, 1)
    assert str(second.local_address) == "10.77.1.1"
    assert (second.port, second.ttl, second.transport, second.priority) == (5406, 1, "udp", 1)
    assert (second.ping_interval_ms, second.ping_timeout_ms) == (912, 1825)  # of a token of 3650 ms
    assert (second.ping_precision, second.pong_count) == (2048, 2)


def test_an_interface_section_adds_to_its_link() -> None:
    options = interface(
        "linknumber: 1", "mcastport: 5500", "knet_link_priority: 9", "knet_transport: sctp",
        "knet_ping_interval: 100", "knet_pong_count: 5", "knet_ping_precision: 1000",
    )  # fmt: skip
    found = link(conf(options, nodes=nodelist_of(2, 2)), 1)
    assert (found.port, found.priority, found.transport) == (5500, 9, "sctp")
    assert (found.ping_interval_ms, found.ping_timeout_ms, found.pong_count) == (100, 600, 5)
    assert found.ping_precision == 1000


def test_a_port_of_zero_is_the_usual_one() -> None:
    assert link(conf(interface("mcastport: 0"))).port == 5405


def test_nodes_keep_what_the_file_says() -> None:
    text = nodelist_of(1).replace("    nodeid: 1\n", "    nodeid: 1\n    quorum_votes: 3\n")
    (node,) = loaded(conf(nodes=text)).totem.nodes
    assert (node.position, node.node_id, node.name, node.quorum_votes) == (0, 1, "n1", 3)
    assert node.addresses == {0: "10.77.0.1"}
    totem = loaded(conf()).totem
    assert totem.node(2) is totem.nodes[1]
    assert totem.node(9) is None
    assert totem.link(5) is None


def test_the_local_nodes_addresses_become_interface_keys() -> None:
    entries = as_map(loaded(conf(nodes=nodelist_of(2, 2))).entries)
    assert entries["totem.interface.0.bindnetaddr"] == "10.77.0.1"
    assert entries["totem.interface.1.bindnetaddr"] == "10.77.1.1"
    assert entries["nodelist.local_node_pos"] == 0


def test_names_are_resolved() -> None:
    text = conf(nodes=nodelist_of(2).replace("10.77.0.2", "other"))
    where = replace(host(), resolved={"other": (ip_address("10.77.0.2"),)})
    assert loaded(text, where).totem.links[0].members[1] == Member(2, ip_address("10.77.0.2"))
    assert refused(text).faults[0].text == "failed to parse node address 'other'"


@pytest.mark.parametrize(
    ("clear", "expected"), [("no", (0x8A4D0001, 0x8A4D0002)), ("yes", (0x0A4D0001, 0x0A4D0002))]
)
def test_node_ids_of_udpu_may_come_from_addresses(clear: str, expected: tuple[int, int]) -> None:
    text = (
        nodelist_of(2)
        .replace("    nodeid: 1\n", "")
        .replace("    nodeid: 2\n", "")
        .replace("10.77", "138.77")
    )
    where = host("n1", "138.77.0.1")
    found = loaded(conf(f"transport: udpu; clear_node_high_bit: {clear}", nodes=text), where)
    assert tuple(node.node_id for node in found.totem.nodes) == expected
    assert found.totem.node_id == expected[0]
    assert as_map(found.entries)["nodelist.node.1.nodeid"] == expected[1]


def test_no_id_comes_from_ipv6_or_broadcast() -> None:
    assert generated_node_id(ip_address("::1"), clear_high_bit=False) is None
    assert generated_node_id(ip_address("255.255.255.255"), clear_high_bit=False) is None
    assert generated_node_id(None, clear_high_bit=True) is None
    assert generated_node_id(ip_address("255.255.255.255"), clear_high_bit=True) == 0x7FFFFFFF


def test_udp_makes_up_its_group() -> None:
    found = loaded(conf("transport: udp"))
    first = found.totem.links[0]
    assert str(first.multicast_address) == "239.192.2.214"
    assert str(first.bind_address) == "10.77.0.1"
    entries = as_map(found.entries)
    assert entries["totem.interface.0.mcastaddr"] == "239.192.2.214"
    assert entries["totem.interface.0.mcastport"] == 5405
    assert found.totem.net_mtu == 1500
    assert found.totem.ip_version == "ipv4"


def test_udp_takes_the_group_that_is_given() -> None:
    options = interface("bindnetaddr: 10.77.0.0", "mcastaddr: 239.1.2.3", "mcastport: 5500", "ttl: 7")
    found = loaded(conf(f"transport: udp; {options}"))
    first = found.totem.links[0]
    assert (str(first.multicast_address), first.port, first.ttl) == ("239.1.2.3", 5500, 7)
    assert found.warnings[0].startswith("interface section bindnetaddr is used together with nodelist.")


def test_udp_may_use_broadcast() -> None:
    found = loaded(conf(f"transport: udp; {interface('broadcast: yes')}")).totem
    assert found.broadcast
    assert str(found.links[0].multicast_address) == "255.255.255.255"


def test_old_member_sections_are_ignored_with_a_warning() -> None:
    text = conf(interface("member {", "memberaddr: 10.77.0.9", "}"))
    assert members(text) == [(1, "10.77.0.1"), (2, "10.77.0.2")]
    assert loaded(text).warnings == (
        "member section is used together with nodelist. Members ignored.",
        "Please migrate config file to nodelist.",
    )


@pytest.mark.parametrize(
    ("name", "number", "ipv4", "ipv6"),
    [
        ("lab", 724, "239.192.2.214", "ff15::2d4"),
        ("", 0, "239.192.0.0", "ff15::"),
        ("\u00fc", 65346, "239.192.255.66", "ff15::ff42"),  # C's characters are signed
    ],
)
def test_the_number_of_a_cluster(name: str, number: int, ipv4: str, ipv6: str) -> None:
    assert cluster_id(name) == number
    assert multicast_address(name, 0, 4) == ip_address(ipv4)
    assert multicast_address(name, 0, 6) == ip_address(ipv6)


def test_two_clusters_may_share_a_group() -> None:
    # The last byte is a remainder by 255.
    assert multicast_address("\x00", 0, 4) == ip_address("239.192.0.0")
    assert multicast_address("\x7f\x01", 0, 4) == multicast_address("\x00", 0, 4)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (conf("transport: tcp"), "Invalid transport type. Should be udpu, udp or knet"),
        (conf(f"link_mode: {'x' * 64}"), "totem.link_mode is too long"),
        (
            conf(interface("knet_transport: tcp")),
            "Unrecognised knet_transport. expected 'udp' or 'sctp'",
        ),
        (
            conf(interface("linknumber: 8", "ttl: 1")),
            "parse error in config: interface ring number 8 is bigger than allowed maximum 7",
        ),
        (
            conf("interface.-1.ttl: 1"),
            "parse error in config: interface ring number 4294967295 is bigger than allowed maximum 7",
        ),
        (conf(interface("mcastaddr: x")), "failed to parse mcast address 'x'"),
        (
            conf(nodes=nodelist_of(2).replace("10.77.0.1", "x")),
            "failed to parse bindnet address 'x'",
        ),
        (
            conf(nodes=nodelist_of(2).replace("    nodeid: 1\n", "")),
            "Knet requires an explicit nodeid for the local node",
        ),
        (
            conf(nodes=nodelist_of(2).replace("    nodeid: 2\n", "")),
            "Knet requires an explicit nodeid to be specified for address '10.77.0.2'.",
        ),
        (
            conf(nodes=nodelist_of(2).replace("nodeid: 2", "nodeid: 65536")),
            "Knet requires nodeid to be less than 65536 for address '10.77.0.2'.",
        ),
        (
            conf(nodes=nodelist_of(2).replace("10.77.0.2\n", "10.77.0.2\n    ring8_addr: 10.77.1.2\n")),
            "parse error in config: interface ring number 8 is bigger than allowed maximum 7",
        ),
        (
            conf(
                "transport: udpu",
                nodes=nodelist_of(2).replace("    nodeid: 2\n", "").replace("10.77.0.2", "::2"),
            ),
            "An IPV6 network requires that a node ID be specified for address '::2'.",
        ),
    ],
)
def test_what_cannot_be_read(text: str, complaint: str) -> None:
    assert refused(text).faults[0].text == complaint


def test_more_nodes_than_corosync_has_room_for() -> None:
    nodes = "".join(
        f"node {{\n nodeid: {n}\n ring0_addr: 10.77.{n >> 8}.{n & 255}\n}}\n" for n in range(1, 387)
    )
    refusal = refused(conf(nodes=f"nodelist {{\n{nodes}}}\n"))
    assert "more than 384 nodes on link 0" in refusal.faults[0].text


def test_udpu() -> None:
    totem = loaded(conf("transport: udpu; netmtu: 1400")).totem
    assert (totem.transport, totem.net_mtu, totem.ip_version) == (Transport.UDPU, 1400, "ipv6-4")
    assert totem.cluster_name == "lab"
    assert loaded(conf()).totem.net_mtu == 65536
