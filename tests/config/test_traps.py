"""Settings that are accepted and regretted (pycorosync/config/traps.py)."""

import pytest

from pycorosync.config.entries import EntryMap
from pycorosync.config.traps import TRAPS, traps
from tests.config.sample import conf, loaded, nodelist_of

QUORUM = "quorum {\n  provider: corosync_votequorum\n"
SOUND = conf("crypto_cipher: aes256; crypto_hash: sha256", nodes=nodelist_of(3, 2), rest=QUORUM + "}\n")


def keys(text: str) -> list[str]:
    configuration, entries = loaded(text), EntryMap()
    for key, kind, value in configuration.entries:
        entries.set(key, kind, value)
    return [trap.key for trap in traps(configuration, entries)]


def three(totem: str = "", quorum: str = "", rest: str = "") -> str:
    lines = f"crypto_cipher: aes256; crypto_hash: sha256; {totem}"
    inner = "".join(f"  {line.strip()}\n" for line in quorum.split(";") if line.strip())
    return conf(lines, nodes=nodelist_of(3, 2), rest=f"{QUORUM}{inner}}}\n{rest}")


def two(quorum: str) -> str:
    return three(quorum=quorum).replace(nodelist_of(3, 2), nodelist_of(2, 2))


def test_a_sound_configuration_has_none() -> None:
    assert keys(SOUND) == []


CASES = [
    # 3000 + 650 = 3650, times 1.2 = 4380
    (three("consensus: 4379"), "totem.consensus"),
    (three("token_retransmit: 2000"), "totem.token_retransmit"),
    (three("token_retransmit: 100; hold: 100"), "totem.hold"),
    (three("send_join: 51"), "totem.send_join"),
    (three("join: 3000"), "totem.join"),
    (three("heartbeat_failures_allowed: 10"), "totem.heartbeat_failures_allowed"),
    (three("token_warning: 100"), "totem.token_warning"),
    (three("window_size: 16"), "totem.max_messages"),
    (
        three("interface {; linknumber: 1; knet_ping_interval: 900; knet_ping_timeout: 800; }"),
        "totem.interface.1.knet_ping_timeout",
    ),
    (
        three("interface {; linknumber: 0; knet_ping_timeout: 4000; }"),
        "totem.interface.0.knet_ping_timeout",
    ),
    (three("crypto_hash: sha1"), "totem.crypto_hash"),
    (conf(nodes=nodelist_of(3), rest=QUORUM + "}\n"), "totem.crypto_cipher"),
    (conf("transport: udpu", nodes=nodelist_of(3), rest=QUORUM + "}\n"), "totem.transport"),
    (three(quorum="two_node: 1"), "quorum.two_node"),
    (two("two_node: 1"), "quorum.two_node"),
    (two("two_node: 1; wait_for_all: 0"), "quorum.wait_for_all"),
    (two(""), "quorum.provider"),
    (three(quorum="expected_votes: 4"), "quorum.expected_votes"),
    (three(quorum="expected_votes: 1"), "quorum.expected_votes"),
    (three(quorum="last_man_standing: 1"), "quorum.last_man_standing"),
    (
        three(quorum="last_man_standing: 1; wait_for_all: 1; last_man_standing_window: 3000"),
        "quorum.last_man_standing_window",
    ),
    (SOUND.replace("  provider: corosync_votequorum\n", ""), "quorum.provider"),
    (
        two("device {; model: net; votes: 1; timeout: 10000; sync_timeout: 9000; }"),
        "quorum.device.sync_timeout",
    ),
    (two("device {; model: net; votes: 1; timeout: 500; }"), "quorum.device.timeout"),
    (SOUND.replace("10.77.0.3", "10.77.0.2"), ""),
    (SOUND.replace("name: n3", "name: n2"), ""),
    (
        conf(
            "crypto_cipher: aes256; crypto_hash: sha256",
            nodes=nodelist_of(3, names=False),
            rest=QUORUM + "}\n",
        ),
        "nodelist.node.0.nodeid",
    ),
    (SOUND.replace("nodeid: 3\n", "nodeid: 3\n    quorum_votes: 0\n"), "nodelist.node.2.quorum_votes"),
    (three(rest="nozzle {\n  name: noz0\n}\n"), "nozzle.name"),
    (three(rest="logging {\n  to_logfile: yes\n}\n"), "logging.to_logfile"),
    (three(rest="logging {\n  to_syslog: no\n}\n"), "logging.to_syslog"),
    (
        three(rest="logging {\n  logger_subsys {\n    subsys: VOTE\n  }\n}\n"),
        "logging.logger_subsys.VOTE.subsys",
    ),
]


@pytest.mark.parametrize(("text", "key"), CASES)
def test_a_trap_is_seen(text: str, key: str) -> None:
    assert key in keys(text)


def test_the_consensus_that_is_just_enough() -> None:
    assert keys(three("consensus: 4380")) == []


def test_a_tie_breaker_or_a_device_settles_even_votes() -> None:
    for quorum in ("auto_tie_breaker: 1", "device {; model: net; votes: 1; }"):
        assert keys(two(quorum)) == []


def test_each_row_has_a_case() -> None:
    found = set()
    for text, _ in CASES:
        configuration, entries = loaded(text), EntryMap()
        for key, kind, value in configuration.entries:
            entries.set(key, kind, value)
        found |= {trap for trap in TRAPS if any(trap(configuration, entries))}
    assert found == set(TRAPS)
