"""Options that change what goes over the wire, in mixed rings under traffic."""

import pytest
from lab import Lab, corosync_conf, wait_until

from mixed.checker import check
from mixed.ring import TOKEN_OPTIONS, Ring
from mixed.talk import Talkers

OPTIONS: dict[str, dict[str, object]] = {
    **{
        f"{model}": {"knet_compression_model": model, "knet_compression_threshold": 100}
        for model in ("zlib", "lz4", "lz4hc", "lzo2", "lzma", "bzip2", "zstd")
    },
    "active": {"link_mode": "active"},
    "rr": {"link_mode": "rr"},
    "aes128-md5": {"crypto_cipher": "aes128", "crypto_hash": "md5"},
    "aes192-sha512": {"crypto_cipher": "aes192", "crypto_hash": "sha512"},
    "hash-only": {"crypto_cipher": "none", "crypto_hash": "sha384"},
    "openssl": {"crypto_cipher": "aes256", "crypto_hash": "sha1", "crypto_model": "openssl"},
    "small-mtu": {"knet_mtu": 600},
    "narrow-window": {"window_size": 10, "max_messages": 3},
    "hold-cancel": {"cancel_token_hold_on_retransmit": "yes"},
    "udpu-jumbo": {"transport": "udpu", "netmtu": 9000},
}


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["ro", "or"])
@pytest.mark.parametrize("name", OPTIONS)
def test_messages_pass(name: str, kinds: str) -> None:
    options = dict(OPTIONS[name])
    transport = str(options.pop("transport", "knet"))
    links = 2 if transport == "knet" else 1
    with Lab(hosts=2, links=links) as lab:
        totem = TOKEN_OPTIONS | options
        ring = Ring(lab, kinds, transport=transport, totem=totem, quorum={"two_node": 1})
        _check(ring, links if transport == "knet" else 0)


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["ro", "or"])
@pytest.mark.parametrize("transport", ["knet", "udpu", "udp"])
def test_ipv6(transport: str, kinds: str) -> None:
    with Lab(hosts=2) as lab:
        ring = Ring(lab, kinds, transport=transport, totem=TOKEN_OPTIONS, quorum={"two_node": 1})
        for host in lab.hosts:
            ring.conf = ring.conf.replace(f"10.77.0.{host.number}\n", f"fd77::0:{host.number}\n")
        if transport != "knet":
            ring.conf = ring.conf.replace("version: 2\n", "version: 2\n  ip_version: ipv6\n")
        _check(ring, 1 if transport == "knet" else 0)


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["ro", "or"])
def test_large_node_ids(kinds: str) -> None:
    with Lab(hosts=2) as lab:
        conf = corosync_conf(lab, transport="udpu", totem=TOKEN_OPTIONS, quorum={"two_node": 1})
        ring = Ring(lab, kinds)
        ring.conf = conf.replace("nodeid: 2", "nodeid: 4294967295")
        for number, host in enumerate(lab.hosts, 1):
            ring.daemons[number] = ring.engines[number].start(host, ring.conf, False)

        shown = [""]

        def whole() -> bool:
            shown[0] = lab[1].run("/usr/sbin/corosync-quorumtool", "-l").stdout
            return "4294967295" in shown[0] and "n1 (local)" in shown[0]

        wait_until(whole, f"n1 to see both: {shown}")
        ring.check_alive()


def _check(ring: Ring, links: int) -> None:
    ring.start()
    ring.wait_whole()
    if links:
        ring.wait_links(links)
    talkers = Talkers(ring, seed=9, per_second=300)
    talkers.start()
    talkers.wait_sent(1500)
    ring.stays(1)
    logs = talkers.finish()
    assert check(logs) == []
    assert ring.complaints() == []
    for number in (2, 1):
        ring.stop(number)
