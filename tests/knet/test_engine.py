"""Whole engines on a network in virtual time."""

import errno
import logging
import random
from dataclasses import replace

import pytest

from pycorosync.knet.crypto import CryptoSettings
from pycorosync.knet.engine import OLD_CRYPTO_NS
from pycorosync.knet.messages import PacketType, decode
from pycorosync.knet.outputs import (
    HostReachable,
    HostUnreachable,
    Kind,
    MtuChanged,
    Received,
    SendDatagram,
    SendDatagrams,
)
from pycorosync.knet.settings import CompressionSettings, LinkMode
from tests.knet.network import (
    MS,
    START_NS,
    Network,
    S,
    address,
    crypto,
    frame,
    link_settings,
    settings,
    with_links,
)


def listen(caplog: pytest.LogCaptureFixture) -> None:
    """Look at log lines from now on."""
    caplog.set_level(logging.INFO, logger="corosync.KNET")
    caplog.clear()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


def test_the_third_pong_takes_a_link_up() -> None:
    network = Network(2)
    network.keep_sent = True
    assert network.run(10 * S, lambda: network.ups(1) == [(2, 0)])
    pings = [one for one in network.sent if one[0] == 1 and one[3] is Kind.PING]
    assert len(pings) == 3
    # One ping with each heartbeat that is 912 ms after the last: at 200, 1200 and 2200 ms.
    assert network.now_ns - START_NS == 2200 * MS + 2 * network.paths[0].delay_ns


def test_log_lines_of_forming_are_those_of_knet(caplog: pytest.LogCaptureFixture) -> None:
    listen(caplog)
    Network(2, links=2, crypto=crypto()).form()
    mine = [line for line in lines(caplog) if "host: 2" in line or "host 2" in line or "MTU" in line]
    assert mine[0] == "pmtud: MTU manually set to: 0"
    for line in (
        "host: host: 2 (passive) best link: 0 (pri: 1)",
        "host: host: 2 has no active links",
        "rx: host: 2 link: 0 is up",
        "link: Resetting MTU for link 0 because host 2 joined",
        "rx: host: 2 link: 1 is up",
        "pmtud: PMTUD link change for host: 2 link: 1 from 469 to 1397",
        "pmtud: Global data MTU changed to: 1397",
    ):
        assert line in mine, line


def test_log_lines_of_a_lost_node_are_those_of_knet(caplog: pytest.LogCaptureFixture) -> None:
    network = Network(2, links=2).form()
    network.run(10 * S)
    listen(caplog)
    network.kill(2)
    network.run(5 * S)
    assert lines(caplog) == [
        "link: host: 2 link: 0 is down",
        "link: host: 2 link: 1 is down",
        "host: host: 2 (passive) best link: 0 (pri: 1)",
        "host: host: 2 has no active links",
        "host: host: 2 (passive) best link: 0 (pri: 1)",
        "host: host: 2 has no active links",
    ]


@pytest.mark.parametrize(
    ("sealed", "mtu"),
    [
        (CryptoSettings(), 1446),
        (crypto(), 1397),
        (crypto("none", "sha256"), 1414),
        (crypto("aes128", "sha512"), 1365),
    ],
)
def test_the_size_of_fragments_on_ethernet(sealed: CryptoSettings, mtu: int) -> None:
    network = Network(2, crypto=sealed).form()
    assert network[1].data_mtu == network[2].data_mtu == mtu
    assert network[1].links(2)[0].mtu == mtu
    network.keep_sent = True
    network.send(1, frame(bytes(5000)))
    assert max(len(payload) for *_, payload in network.sent) <= 1500 - 28


@pytest.mark.parametrize("sealed", [CryptoSettings(), crypto(), crypto("none", "md5")])
@pytest.mark.parametrize("size", [13, 100, 1446, 1447, 2892, 40000, 65536])
def test_messages_of_any_size_arrive_once_and_whole(sealed: CryptoSettings, size: int) -> None:
    network = Network(3, crypto=sealed).form()
    message = frame(random.Random(size).randbytes(size - 13))
    assert network.send(1, message)
    network.run(S)
    assert network.received(2, 1) == network.received(3, 1) == [message]
    assert network.received(1, 1) == []


def test_a_unicast_reaches_one_node_only() -> None:
    network = Network(3).form()
    assert network.send(1, frame(b"token"), to=3)
    network.run(S)
    assert network.received(2, 1) == []
    assert network.received(3, 1) == [frame(b"token", target=3)]


def test_a_message_for_somebody_else_is_not_delivered() -> None:
    network = Network(2).form()
    network[1].send(frame(b"x"), 2, network.now_ns)
    output = next(one for one in network[1].outputs if isinstance(one, SendDatagrams))
    datagram = bytearray(b"".join(next(iter(output.datagrams))))
    datagram[14 + 9] = 7
    network[2].receive(0, address(1, 0), bytes(datagram), network.now_ns)
    assert network[2].outputs == []
    assert network[2].dropped.for_others == 1


def test_messages_to_ourselves_do_not_use_the_network() -> None:
    network = Network(2).form()
    network.keep_sent = True
    assert network.send(1, frame(b"me"), to=1)
    assert network.received(1, 1) == [frame(b"me", target=1)]
    assert network[1].send(frame(b"all"), 0, network.now_ns, loop_back=True)
    network.act(1)
    assert network.received(1, 1)[1:] == [frame(b"all")]
    assert [kind for *_, kind, _ in network.sent] == [Kind.DATA]
    assert network[1].own_stats().tx_data_packets == 2


def test_a_message_that_reaches_nobody_has_no_number() -> None:
    network = Network(2)
    assert not network.send(1, frame(b"early"))
    assert not network.send(1, frame(b"early"), to=2)
    assert not network.send(1, frame(b"stranger"), to=9)
    network.form()
    network.keep_sent = True
    network.send(1, frame(b"first"))
    assert decode(network.sent[-1][4]).record.seq == 1


@pytest.mark.parametrize("message", [b"", bytes(65537), b"no totem frame at all", b"\x70\xc0short"])
def test_what_cannot_be_sent_is_our_own_fault(message: bytes) -> None:
    network = Network(2)
    with pytest.raises(ValueError, match=r"message|totem"):
        network.send(1, message)


def test_data_before_the_link_is_up_is_dropped() -> None:
    network = Network(2)
    network[2].receive(0, address(1, 0), b"\x01\x00\x00\x01" + bytes(20), network.now_ns)
    assert network[2].dropped.unreachable == 1
    assert network.received(2, 1) == []


def test_an_old_link_is_down_after_the_ping_timeout() -> None:
    network = Network(2).form()
    network.run(12 * S)  # the patience with new links is over
    network.kill(2)
    killed_ns = network.now_ns
    assert network.run(10 * S, lambda: not network[1].is_reachable(2))
    # Pongs come once a second; the heartbeat looks each 200 ms.
    assert 825 * MS <= network.now_ns - killed_ns <= 2100 * MS
    assert network.nodes[1].events[-1] == HostUnreachable(2)


def test_a_link_that_has_just_come_up_is_given_time() -> None:
    network = Network(2)
    network.run(10 * S, network.all_reachable)
    network.kill(2)
    # Patience begins with 10 ping timeouts and shrinks by one each second, also while nothing is heard.
    assert not network.run(5 * S, lambda: not network[1].is_reachable(2))
    assert network.run(S, lambda: not network[1].is_reachable(2))


@pytest.mark.parametrize("error", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETDOWN])
def test_a_refusal_takes_the_link_down_with_the_next_heartbeat(error: int) -> None:
    network = Network(2).form()
    network.kill(2)
    network[1].on_network_error(0, address(2, 0), error)
    assert network.downs(1) == []
    network.run(200 * MS)
    assert network.downs(1) == [(2, 0)]


def test_other_errors_and_strangers_do_not_take_links_down() -> None:
    network = Network(2).form()
    network[1].on_network_error(0, address(2, 0), errno.EMSGSIZE)
    network[1].on_network_error(0, ("10.9.9.9", 5405), errno.ECONNREFUSED)
    network[1].on_network_error(1, address(2, 0), errno.ECONNREFUSED)
    for error in (errno.ENETUNREACH, errno.EINVAL, errno.EAGAIN):
        network[1].on_send_error(0, address(2, 0), Kind.PING, error, 0, network.now_ns)
    network[1].on_send_error(0, ("10.9.9.9", 5405), Kind.PING, errno.EINVAL, 0, network.now_ns)
    network.run(S)
    assert network.downs(1) == []
    assert network[1].links(2)[0].status().tx_ping_errors == 3


def test_a_refusal_before_the_link_is_up_means_nothing() -> None:
    network = Network(2)
    network[1].on_network_error(0, address(2, 0), errno.ECONNREFUSED)
    assert network.run(3 * S, network.all_reachable)


def test_traffic_moves_to_the_other_link_and_back() -> None:
    network = Network(2, links=2).form()
    network.run(12 * S)
    network.paths[0].cut.add(frozenset((1, 2)))
    network.run(4 * S)
    assert network.downs(1) == network.downs(2) == [(2, 0)] or network.downs(2) == [(1, 0)]
    assert not [event for event in network.nodes[1].events if isinstance(event, HostUnreachable)]
    network.keep_sent = True
    network.send(1, frame(b"detour"))
    network.run(100 * MS)
    assert network.received(2, 1) == [frame(b"detour")]
    assert {link for _, _, link, kind, _ in network.sent if kind is Kind.DATA} == {1}
    network.paths[0].cut.clear()
    network.run(10 * S)
    network.sent.clear()
    network.send(1, frame(b"back"))
    assert {link for _, _, link, kind, _ in network.sent if kind is Kind.DATA} == {0}


def test_passive_takes_the_link_with_the_highest_priority() -> None:
    network = Network(2, links=2, change=lambda one: with_links(one, link_settings(0), link_settings(1, 7)))
    network.form().keep_sent = True
    network.send(1, frame(b"x"))
    assert [link for *_, link, _, _ in network.sent] == [1]


def test_active_sends_on_all_links_and_delivers_once() -> None:
    network = Network(2, links=3, mode=LinkMode.ACTIVE).form()
    network.keep_sent = True
    messages = [frame(bytes([number]) * 4000) for number in range(20)]
    for message in messages:
        network.send(1, message)
    network.run(S)
    assert network.received(2, 1) == messages
    assert sorted(link for _, _, link, kind, _ in network.sent if kind is Kind.DATA) == sorted(
        [0] * 60 + [1] * 60 + [2] * 60
    )
    assert network[2].dropped.duplicate >= 40


def test_rr_takes_turns() -> None:
    network = Network(2, links=3, mode=LinkMode.RR).form()
    network.keep_sent = True
    for number in range(6):
        network.send(1, frame(bytes([number])))
    network.run(S)
    assert [link for *_, link, kind, _ in network.sent if kind is Kind.DATA] == [0, 1, 2, 0, 1, 2]
    assert len(network.received(2, 1)) == 6


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", list(LinkMode))
def test_nothing_is_delivered_twice_or_changed_on_a_bad_network(seed: int, mode: LinkMode) -> None:
    network = Network(
        3, links=2, seed=seed, mode=mode, crypto=crypto() if seed % 2 else CryptoSettings()
    ).form()
    network.run(10 * S)
    for path in network.paths.values():
        path.loss, path.repeat, path.jitter_ns = 0.02, 0.2, 3 * MS
    messages: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for number in range(300):
        for source in messages:
            message = frame(f"{source}:{number}:".encode() + bytes(network.rng.randrange(6000)))
            messages[source].append(message)
            network.send(source, message)
        network.run(2 * MS)
    network.run(S)
    for node in (1, 2, 3):
        for source in {1, 2, 3} - {node}:
            received = network.received(node, source)
            assert len(set(received)) == len(received), f"seed {seed}: delivered twice"
            assert set(received) <= set(messages[source]), f"seed {seed}: changed"
            assert len(received) > 200, f"seed {seed}: lost {300 - len(received)}"


def test_sequence_numbers_wrap_without_loss() -> None:
    network = Network(3).form()
    network[1]._sender.seq = 65000
    network.send(1, frame(b"begin"), to=2)
    network.run(10 * MS)
    for number in range(1200):
        network.send(1, frame(b"%d" % number + bytes(2000)))
        network.run(MS)
    network.run(S)
    expected = [frame(b"%d" % number + bytes(2000)) for number in range(1200)]
    assert network.received(2, 1)[1:] == expected
    assert network.received(3, 1) == expected


def test_others_follow_the_numbers_of_messages_that_they_do_not_get() -> None:
    network = Network(3).form()
    network.send(1, frame(b"hello"))
    network.run(10 * MS)
    network.keep_sent = True
    for number in range(17_000):
        network[1].send(frame(b"%d" % number), 2, network.now_ns)
        network.act(1)
        if number % 500 == 0:
            network.run(MS)
        if number == 8190:
            network.run(MS)
            assert network[3]._peers[1].window.newest == 8191, "moved by the ping"
    untimed = {
        (destination, decode(payload).record.seq)
        for _, destination, _, kind, payload in network.sent
        if kind is Kind.PING and not decode(payload).record.timed
    }
    assert untimed == {(node, 8191 * times) for node in (2, 3) for times in (1, 2)}
    network.send(1, frame(b"again"))
    network.run(S)
    assert network.received(3, 1) == [frame(b"hello"), frame(b"again")]
    assert len(network.received(2, 1)) == 17_002


def test_a_restarted_node_is_heard_at_once() -> None:
    """It counts from 1 again, before anybody has noticed that it was away."""
    network = Network(2).form()
    for number in range(50):
        network.send(2, frame(b"%d" % number))
    network.run(S)
    network.start(2, settings(2, 2))
    network.run(10 * S, network.all_reachable)
    network.run(10 * MS)
    assert network.downs(1) == []
    for number in range(50):
        network.send(2, frame(b"again %d" % number))
    network.run(S)
    assert network.received(1, 2)[50:] == [frame(b"again %d" % number) for number in range(50)]


def test_partition_and_merge() -> None:
    network = Network(4).form()
    network.run(12 * S)
    pairs = {frozenset((one, other)) for one in (1, 2) for other in (3, 4)}
    network.paths[0].cut |= pairs
    network.run(4 * S)
    assert [network[1].is_reachable(node) for node in (1, 2, 3, 4)] == [True, True, False, False]
    network.send(1, frame(b"ours"))
    network.run(100 * MS)
    assert network.received(2, 1) == [frame(b"ours")]
    assert network.received(3, 1) == []
    network.paths[0].cut.clear()
    assert network.run(5 * S, network.all_reachable)


def test_the_key_changes_under_traffic_without_loss() -> None:
    old, new = crypto(seed=1), crypto("aes128", "sha512", seed=2)
    network = Network(3, crypto=old).form()
    sent = [0]

    def traffic() -> None:
        for source in (1, 2, 3):
            network.send(source, frame(b"%d" % sent[0] + bytes(3000)))
        sent[0] += 1
        network.run(network.rng.randrange(MS))

    def everybody(change: str) -> None:
        for node in network.rng.sample((1, 2, 3), 3):
            traffic()
            if change == "load":
                assert network[node].load_crypto(new) == 2
            elif change == "use":
                network[node].use_crypto(network.now_ns)
                network.act(node)
            else:
                network[node].forget_crypto(network.now_ns)
        traffic()
        network.run(10 * MS)

    for change in ("load", "use", "forget"):
        everybody(change)
    network.run(OLD_CRYPTO_NS + S)
    for node in (1, 2, 3):
        for source in {1, 2, 3} - {node}:
            assert len(network.received(node, source)) == sent[0]
        assert network[node].data_mtu == 1365
        assert network[node].dropped.unsealed == 0
    stranger = network.start(3, settings(3, 3), old)
    assert not network.run(10 * S, lambda: stranger.is_reachable(1))
    assert network[1].dropped.unsealed > 0


def test_who_is_late_with_new_keys_is_heard_for_a_while() -> None:
    """It has loaded them, and the message that tells to use them was lost on its way to it."""
    old, new = crypto(seed=1), crypto(seed=2)
    network = Network(2, crypto=old).form()
    for node in (1, 2):
        network[node].load_crypto(new)
    network[1].use_crypto(network.now_ns)
    network.act(1)
    network[1].forget_crypto(network.now_ns)
    network.send(2, frame(b"again, please"))
    network.run(10 * MS)
    assert len(network.received(1, 2)) == 1
    network.run(OLD_CRYPTO_NS + S)
    network.send(2, frame(b"still the old ones"))
    network.run(10 * MS)
    assert len(network.received(1, 2)) == 1
    assert network[1].dropped.unsealed > 0


def test_a_third_configuration_takes_the_place_of_the_first() -> None:
    network = Network(2, crypto=crypto(seed=1)).form()
    for number in (2, 3, 4):
        for node in (1, 2):
            assert network[node].load_crypto(crypto(seed=number)) == 2 - number % 2
        for node in (1, 2):
            network[node].use_crypto(network.now_ns)
            network.act(node)
            network[node].forget_crypto(network.now_ns)
    network.send(2, frame(b"all the same"))
    network.run(10 * MS)
    assert len(network.received(1, 2)) == 1


@pytest.mark.parametrize(("old", "new"), [(CryptoSettings(), crypto()), (crypto(), CryptoSettings())])
def test_encryption_is_turned_on_and_off_under_traffic(old: CryptoSettings, new: CryptoSettings) -> None:
    network = Network(2, crypto=old).form()
    for step in ("load", "use", "forget"):
        for node in (1, 2):
            if step == "load":
                network[node].load_crypto(new)
            elif step == "use":
                network[node].use_crypto(network.now_ns)
                network.act(node)
            else:
                network[node].forget_crypto(network.now_ns)
            network.send(1, frame(step.encode()))
            network.send(2, frame(step.encode()))
            network.run(10 * MS)
    assert len(network.received(1, 2)) == len(network.received(2, 1)) == 6
    network.run(OLD_CRYPTO_NS)
    network.keep_sent = True
    network.run(2 * S)
    assert all((payload[:1] == b"\x01") is not new.enabled for *_, payload in network.sent) or new.enabled
    network[2].receive(0, address(1, 0), b"\x01\x00\x00\x01" + bytes(30), network.now_ns)
    assert network[2].dropped.unsealed == int(new.enabled)


def test_a_wrong_key_is_never_accepted_and_said_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    network = Network(2, crypto=crypto(seed=1))
    network.start(2, settings(2, 2), crypto(seed=2))
    listen(caplog)
    assert not network.run(10 * S, network.all_reachable)
    for node in (1, 2):
        assert network[node].links(3 - node)[0].status().rx_total_packets == 0
    said = lines(caplog)
    assert "nsscrypto: Digest does not match. Check crypto key and configuration." in said
    assert "rx: Unable to decrypt packet from 10.0.0.2:5405 (size 80)!" in said
    caplog.clear()
    for _ in range(1000):
        network[1].receive(0, address(2, 0), bytes(100), network.now_ns)
    assert len(lines(caplog)) <= 2


def test_only_configured_addresses_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    network = Network(3, links=2).form()
    network[2].send(frame(b"x"), 1, network.now_ns)
    output = next(one for one in network[2].outputs if isinstance(one, SendDatagrams))
    data = b"".join(next(iter(output.datagrams)))
    ping = bytes((1, PacketType.PING, 0, 2, 0, 0, 0)) + bytes(19)
    listen(caplog)
    knet = network[1]
    for datagram in (data, ping):
        for source in (("10.0.0.2", 5406), ("10.0.0.9", 5405), ("10.0.1.2", 5406), address(3, 0)):
            knet.receive(0, source, datagram, network.now_ns)
    assert knet.outputs == []
    assert knet.dropped.unknown_source == 6
    assert knet.dropped.wrong_source == 2
    assert lines(caplog) == ["rx: Packet rejected from 10.0.0.2:5406"]
    knet.receive(0, address(2, 0), ping[:6] + b"\x01" + ping[7:], network.now_ns)  # says it is link 1
    assert knet.dropped.wrong_source == 3
    knet.receive(0, address(2, 0), data, network.now_ns)
    assert knet.outputs == [Received(2, frame(b"x", target=1))]


def test_unlisted_addresses_may_ping_if_allowed_but_not_send_data() -> None:
    network = Network(2, change=lambda one: replace(one, check_sources=False))
    network.form()
    knet = network[1]
    ping = bytes((1, PacketType.PING, 0, 2, 0, 0, 0)) + bytes(19)
    knet.receive(0, ("10.0.0.99", 1), ping, network.now_ns)
    (output,) = knet.outputs
    assert isinstance(output, SendDatagram)
    assert output.address == address(2, 0)
    knet.outputs.clear()
    knet.receive(0, ("10.0.0.99", 1), b"\x01\x00\x00\x02" + bytes(30), network.now_ns)
    knet.receive(0, ("10.0.0.99", 1), ping[:2] + b"\x00\x07" + ping[4:], network.now_ns)
    assert knet.outputs == []
    assert knet.dropped.wrong_source == 2


@pytest.mark.parametrize("model", ["zlib", "lz4", "lz4hc", "lzo2", "lzma", "bzip2", "zstd"])
def test_compressed_messages(model: str) -> None:
    level = 9 if model == "bzip2" else 0
    compression = CompressionSettings(model, level, 0)
    network = Network(
        2, change=lambda one: replace(one, compression=compression) if one.node_id == 1 else one
    )
    network.form().keep_sent = True
    messages = [frame(b"x" * 50), frame(b"y" * 60_000), frame(network.rng.randbytes(5000))]
    for message in messages:
        network.send(1, message)
    network.run(S)
    assert network.received(2, 1) == messages
    data = [decode(payload).record for *_, kind, payload in network.sent if kind is Kind.DATA]
    assert [bool(one.compression) for one in data] == [False, True, *[False] * 4]
    stats = network[1].handle_stats
    assert (stats.tx_compressed_packets, stats.tx_uncompressed_packets) == (2, 2)
    assert network[2].handle_stats.rx_compressed_packets == 1
    assert network[2].handle_stats.rx_compressed_original_bytes == 60_013


def test_compression_that_does_not_exist_is_said_and_not_used(caplog: pytest.LogCaptureFixture) -> None:
    listen(caplog)
    network = Network(2, change=lambda one: replace(one, compression=CompressionSettings("zip", 1, 0)))
    network.form()
    assert "compress: compress model zip not supported" in lines(caplog)
    network.send(1, frame(bytes(5000)))
    network.run(S)
    assert network.received(2, 1) == [frame(bytes(5000))]


def test_a_message_that_cannot_be_decompressed_is_dropped() -> None:
    network = Network(2).form()
    for model in (1, 2, 3, 4, 5, 6, 7, 8, 255):
        data = bytes((1, 0, 0, 1, 0, 0, 0, model, model, 0, 1, 1, 0, 0)) + b"broken, whatever the model"
        network[2].receive(0, address(1, 0), data, network.now_ns)
    assert network[2].dropped.undecodable == 9
    assert network.received(2, 1) == []


# --- path MTU


def test_a_path_that_swallows_large_packets_is_found() -> None:
    network = Network(2)
    network.paths[0].mtu = 1300
    network.form()
    assert network[1].data_mtu == 1246
    assert network[1].links(2)[0].mtu == 1246


def test_a_kernel_that_does_not_say_its_mtu() -> None:
    network = Network(2, crypto=crypto())
    network.paths[0].kernel_tells = False
    network.form()
    assert network[1].data_mtu == 1397


def test_the_narrowest_link_decides() -> None:
    network = Network(3, links=2)
    network.paths[1].mtu = network.paths[1].kernel_mtu = 1000
    network.paths[0].kernel_mtu = network.paths[0].mtu = 9000
    network.form()
    assert [link.mtu for link in network[1].links(2)] == [8946, 946]
    assert network[1].data_mtu == 946
    network.paths[1].cut |= {frozenset((1, 2)), frozenset((1, 3))}
    network.run(20 * S)
    assert network[1].data_mtu == 8946


def test_a_path_that_becomes_narrow_does_not_swallow_messages_for_long() -> None:
    network = Network(2).form()
    network.run(20 * S)
    network.paths[0].mtu = 800
    network.send(1, frame(bytes(1400)))
    network.run(10 * MS)
    assert network.received(2, 1) == []
    assert network.run(40 * S, lambda: network[1].data_mtu < 700)  # the interval is 30 s
    network.send(1, frame(bytes(1400)))
    network.run(10 * MS)
    assert network.received(2, 1) == [frame(bytes(1400))]
    network.run(60 * S, network.settled)
    assert network[1].data_mtu == 746
    network.paths[0].mtu = 1500
    assert network.run(40 * S, lambda: network[1].data_mtu == 1446)


def test_an_interface_that_becomes_narrow_is_noticed_with_the_first_message() -> None:
    network = Network(2).form()
    network.paths[0].mtu = network.paths[0].kernel_mtu = 1200
    network.send(1, frame(bytes(1400)))
    network.run(10 * MS)
    assert network[1].data_mtu == 1146
    network.send(1, frame(bytes(1400)))
    network.run(10 * MS)
    assert network.received(2, 1) == [frame(bytes(1400))]


def test_a_path_too_narrow_for_ip_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    listen(caplog)
    network = Network(2, links=2)
    network.paths[0].mtu = network.paths[0].kernel_mtu = 300
    network.run(60 * S, lambda: any("Invalid MTU" in line for line in lines(caplog)))
    assert "pmtud: Invalid MTU detected for host: 2 link: 0 mtu: 246" in lines(caplog)
    network.keep_sent = True
    network.send(1, frame(bytes(1400)))
    assert {link for *_, link, kind, _ in network.sent if kind is Kind.DATA} == {1}
    network.paths[0].mtu = network.paths[0].kernel_mtu = 1500
    assert network.run(10 * S, lambda: network[1].links(2)[0].mtu_valid)
    network.sent.clear()
    network.send(1, frame(bytes(1400)))
    assert {link for *_, link, kind, _ in network.sent if kind is Kind.DATA} == {0}


def test_an_mtu_set_by_hand_is_used_without_probes() -> None:
    network = Network(2, change=lambda one: replace(one, manual_mtu=1000))
    network.keep_sent = True
    network.form()
    assert network[1].data_mtu == 946
    assert Kind.PMTUD not in {kind for *_, kind, _ in network.sent}
    network[1].reconfigure(settings(1, 2), network.now_ns)
    network.act(1)
    network.run(S)
    assert network[1].data_mtu == 1446
    network[1].reconfigure(settings(1, 2, manual_mtu=100), network.now_ns)
    assert network[1].data_mtu == 258  # or messages would have more fragments than can be counted


def test_fragments_are_small_while_a_link_is_new() -> None:
    network = Network(3)
    network.kill(3)
    assert network.run(10 * S, lambda: network[1].data_mtu == 1446)
    network.start(3, settings(3, 3))
    network.nodes[1].events.clear()
    assert network.run(10 * S, network.settled)
    assert [
        event for event in network.nodes[1].events if not isinstance(event, tuple) or len(event) == 1
    ] == [
        MtuChanged(482),
        HostReachable(3),
        MtuChanged(1446),
    ]


# --- configuration


def test_nodes_and_links_come_and_go_while_running() -> None:
    network = Network(3, links=2)
    for node in (1, 2, 3):
        network[node].reconfigure(settings(node, 2) if node < 3 else settings(3, 3), network.now_ns)
    network.run(10 * S, lambda: network[1].is_reachable(2))
    assert not network[1].is_reachable(3)
    for node in (1, 2, 3):
        network[node].reconfigure(settings(node, 3, links=2), network.now_ns)
        network.act(node)
    assert network[1].is_reachable(2), "what stays is not disturbed"
    assert network.run(10 * S, network.all_reachable)
    network.run(10 * S)
    assert [link.connected for node in (2, 3) for link in network[1].links(node)] == [True] * 4
    network.nodes[1].events.clear()
    network[1].reconfigure(settings(1, 2), network.now_ns)
    network.act(1)
    assert not network[1].is_reachable(3)
    assert HostUnreachable(3) in network.nodes[1].events
    assert network.downs(1) == [(2, 1), (3, 0), (3, 1)]
    network.send(1, frame(b"still"))
    network.run(10 * MS)
    assert network.received(2, 1) == [frame(b"still")]
    assert network.received(3, 1) == []


def test_a_link_whose_address_has_changed_is_a_new_one() -> None:
    network = Network(2).form()
    moved = replace(settings(1, 2), peers={2: {0: ("10.0.0.77", 5405)}})
    network[1].reconfigure(moved, network.now_ns)
    assert not network[1].is_reachable(2)
    network[1].receive(0, address(2, 0), bytes(30), network.now_ns)
    assert network[1].dropped.unknown_source == 1


def test_priorities_and_modes_change_while_running() -> None:
    network = Network(2, links=2).form()
    network[1].reconfigure(settings(1, 2, links=2, priorities={1: 5}), network.now_ns)
    network.keep_sent = True
    network.send(1, frame(b"x"))
    network[1].reconfigure(settings(1, 2, links=2, mode=LinkMode.ACTIVE), network.now_ns)
    network.send(1, frame(b"x"))
    assert [link for *_, link, _, _ in network.sent] == [1, 0, 1]


# --- hostile input


def test_every_truncation_and_bit_flip_of_every_packet_is_survived() -> None:
    network = Network(2).form()
    network.keep_sent = True
    network.send(1, frame(bytes(4000)))
    network.send(1, frame(b"small"))
    network.run(3 * S)
    for node in (1, 2):
        network[node].use_crypto(network.now_ns)  # makes it send probes
        network.act(node)
    network.run(S)
    recorded = {bytes(payload[:14]): payload for source, *_, payload in network.sent if source == 1}
    assert {payload[1] for payload in recorded.values()} == set(PacketType)
    rng = random.Random(3)
    for payload in recorded.values():
        for length in range(min(len(payload), 200)):
            network[2].receive(0, address(1, 0), payload[:length], network.now_ns)
        for bit in [*range(26 * 8), *(rng.randrange(len(payload) * 8) for _ in range(50))]:
            flipped = bytearray(payload)
            if bit // 8 < len(flipped):
                flipped[bit // 8] ^= 1 << bit % 8
            network[2].receive(0, address(1, 0), bytes(flipped), network.now_ns)
    network.nodes[2].received.clear()
    network.act(2)
    network.run(20 * S)
    network.nodes[2].received.clear()
    network[1]._sender.seq = 30_000
    network.send(1, frame(b"alive"))
    network.run(S)
    assert network.received(2, 1) == [frame(b"alive")]


@pytest.mark.parametrize("seed", range(4))
def test_noise_never_ends_the_engine_or_grows_memory(seed: int) -> None:
    network = Network(2, seed=seed).form()
    rng = random.Random(seed)
    for _ in range(3000):
        kind = rng.choice([0, 0, 0, 0x81, 0x82, 0x83, 0x84, rng.randrange(256)])
        packet = bytes((1, kind, 0, 1, 0, 0)) + rng.randbytes(rng.randrange(40))
        if kind == 0 and len(packet) > 14:
            packet = (
                packet[:8]
                + bytes((rng.choice([0, 0, rng.randrange(9)]), 0, 0))
                + packet[11:13]
                + b"\0"
                + packet[14:]
            )
        network[2].receive(0, address(1, 0), packet, network.now_ns)
        network[2].outputs.clear()
    peer = network[2]._peers[1]
    assert len(peer.reassembly) <= 32
    assert network[2].is_reachable(1), f"seed {seed}"


def test_replayed_traffic_is_not_delivered_again() -> None:
    network = Network(2, crypto=crypto()).form()
    network.keep_sent = True
    for number in range(100):
        network.send(1, frame(b"%d" % number + bytes(2000)))
    network.run(S)
    assert len(network.received(2, 1)) == 100
    for _, _, link, kind, payload in network.sent:
        if kind is Kind.DATA:
            network[2].receive(link, address(1, 0), payload, network.now_ns)
    network.act(2)
    assert len(network.received(2, 1)) == 100
    assert network[2].dropped.duplicate >= 200


def test_a_flood_of_pongs_changes_nothing() -> None:
    network = Network(2).form()
    pong = bytes((1, PacketType.PONG, 0, 2, 0, 0, 0)) + b"\xff" * 19
    for _ in range(5000):
        network[1].receive(0, address(2, 0), pong, network.now_ns)
    link = network[1].links(2)[0]
    assert link.status().latency_samples <= link.settings.ping_precision
    assert link.latency_us < 1000


# --- figures


def test_figures_of_links_and_of_the_whole() -> None:
    ticks = iter(range(0, 10**9, 7))
    network = Network(2, crypto=crypto()).form()
    network[1]._sender._stopwatch = network[2]._receiver._stopwatch = lambda: next(ticks)
    before = network[1].handle_stats.tx_crypt_packets
    network.send(1, frame(bytes(3000)))
    network.run(10 * MS)
    sent, got = network[1].links(2)[0].status(), network[2].links(1)[0].status()
    assert (sent.enabled, sent.connected, sent.mtu, sent.up_count) == (1, 1, 1397, 1)
    assert sent.tx_data_packets == got.rx_data_packets == 3
    assert sent.tx_data_bytes == 1472 + 1472 + 16 + 240 + 32
    assert got.rx_data_bytes == 3013 + 3 * 14
    stats = network[1].handle_stats
    assert stats.tx_crypt_packets - before == 3
    assert stats.tx_crypt_byte_overhead == sent.tx_data_bytes - got.rx_data_bytes
    assert (stats.tx_crypt_time_min, stats.tx_crypt_time_max, stats.tx_crypt_time_ave) == (7, 7, 0)
    assert network[2].handle_stats.rx_crypt_packets == 3
    assert network[2].handle_stats.rx_crypt_time_min == 7
    assert sent.tx_ping_packets == got.rx_ping_packets == 3
    assert sent.tx_pmtu_packets == got.rx_pmtu_packets - 1 == 1  # probes, and the answer to the peer's
    assert sent.tx_pmtu_bytes == 1472
    assert sent.latency_min == sent.latency_max == sent.latency_ave == 200
    network[1].clear_stats()
    assert network[1].links(2)[0].status().tx_total_packets == 0
    assert network[1].handle_stats.tx_crypt_packets == 0
    assert network[1].handle_stats.tx_crypt_time_min == 2**64 - 1


def test_one_message_is_prepared_once_for_all_nodes() -> None:
    network = Network(5, crypto=crypto()).form()
    network[1].send(frame(bytes(60_000)), 0, network.now_ns)
    outputs = [one for one in network[1].outputs if isinstance(one, SendDatagrams)]
    assert len(outputs) == 4
    assert len({id(one.datagrams) for one in outputs}) == 1
    assert (
        network[1].handle_stats.tx_crypt_byte_overhead
        == sum(map(len, outputs[0].datagrams.buffers)) - 60_013 - 43 * 14
    )


def test_a_clear_message_is_not_copied() -> None:
    network = Network(2).form()
    message = frame(bytes(60_000))
    network[1].send(message, 0, network.now_ns)
    (output,) = network[1].outputs
    assert isinstance(output, SendDatagrams)
    assert all(
        isinstance(part, memoryview) and part.obj is message for part in output.datagrams.buffers[1::2]
    )
