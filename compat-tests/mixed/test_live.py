"""Changes of the running configuration in a mixed ring under traffic: nothing is lost, nobody leaves."""

import time

import pytest
from lab import Lab, corosync_conf
from lab.engine import AUTHKEY

from mixed.checker import Log, check
from mixed.ring import TOKEN_OPTIONS, Ring
from mixed.talk import Talkers

pytestmark = pytest.mark.long

KINDS = ["ror", "oro"]
OTHER_KEY = bytes(reversed(range(256)))


def _ring(lab: Lab, kinds: str, **options: object) -> tuple[Ring, Talkers]:
    ring = Ring(lab, kinds, **{"totem": TOKEN_OPTIONS} | options)
    ring.start(*range(1, int(options.get("nodes", len(kinds))) + 1))  # type: ignore[call-overload]
    ring.wait_whole()
    ring.wait_links(lab.links)
    talkers = Talkers(ring, seed=5, per_second=150)
    talkers.start()
    talkers.wait_sent(200)
    return ring, talkers


def _finish(ring: Ring, talkers: Talkers) -> list[Log]:
    talkers.wait_sent(300)
    logs = talkers.finish()
    assert check(logs) == []
    assert ring.complaints() == []
    return logs


def _value(ring: Ring, number: int, key: str) -> str:
    return ring.lab[number].run("/usr/sbin/corosync-cmapctl", "-g", key).stdout.rpartition("= ")[2].strip()


@pytest.mark.parametrize("asked", [1, 2])
@pytest.mark.parametrize("kinds", KINDS)
def test_another_token(kinds: str, asked: int) -> None:
    with Lab(hosts=3) as lab:
        ring, talkers = _ring(lab, kinds)
        before = ring.ring_id(1)
        ring.reload(corosync_conf(lab, totem=TOKEN_OPTIONS | {"token": 2500}), asked)
        ring.stays(3)
        assert ring.ring_id(1) == before
        assert {_value(ring, n, "runtime.config.totem.token") for n in ring.engines} == {"2500"}
        assert {_value(ring, n, "runtime.config.totem.consensus") for n in ring.engines} == {"3000"}
        _finish(ring, talkers)


@pytest.mark.parametrize("asked", [1, 2])
@pytest.mark.parametrize("kinds", KINDS)
def test_add_and_remove_a_node(kinds: str, asked: int) -> None:
    with Lab(hosts=3, links=2) as lab:
        two = {"nodes": 2, "crypto": True, "totem": TOKEN_OPTIONS}
        three = {"crypto": True, "totem": TOKEN_OPTIONS}
        ring, talkers = _ring(lab, kinds, **two)
        ring.reload(corosync_conf(lab, **three), asked)  # type: ignore[arg-type]
        ring.start(3)
        ring.wait_whole(1, 2, 3)
        ring.wait_links(2)
        talkers.start()
        talkers.wait_sent(300)
        assert {_value(ring, n, "runtime.votequorum.expected_votes") for n in ring.engines} <= {"3", ""}
        ring.stop(3)
        ring.wait_whole(1, 2)
        ring.reload(corosync_conf(lab, **two), asked)  # type: ignore[arg-type]
        ring.stays(2)
        for number in (1, 2):
            shown = lab[number].run("/usr/sbin/corosync-quorumtool", "-s").stdout
            assert "Expected votes:   2" in shown, shown
            assert "nodeid: 3" not in lab[number].run("/usr/sbin/corosync-cfgtool", "-n").stdout
        # And once more: the id may be used again.
        ring.reload(corosync_conf(lab, **three), asked)  # type: ignore[arg-type]
        ring.start(3)
        ring.wait_whole(1, 2, 3)
        _finish(ring, talkers)


@pytest.mark.parametrize("asked", [1, 2])
@pytest.mark.parametrize("kinds", KINDS)
def test_another_key(kinds: str, asked: int) -> None:
    with Lab(hosts=3, links=2) as lab:
        ring, talkers = _ring(lab, kinds, crypto=True)
        for host in lab.hosts:
            path = host.path(AUTHKEY)
            path.chmod(0o600)
            path.write_bytes(OTHER_KEY)
        ring.reload(ring.conf, asked)
        ring.stays(3)
        talkers.wait_sent(200)
        # Another cipher, and back to the first key.
        totem = TOKEN_OPTIONS | {"crypto_cipher": "aes128", "crypto_hash": "sha512"}
        ring.reload(corosync_conf(lab, totem=totem), asked)
        ring.stays(3)
        # Who comes later with the new key is let in; with the old one is not.
        ring.crash(3)
        ring.wait_whole(1, 2)
        daemon = ring.engines[3].start(lab[3], ring.conf)  # writes the old key
        time.sleep(4)
        assert ring.story(1) is not None
        assert ring.story(1).members == (1, 2)  # type: ignore[union-attr]
        daemon.kill()
        lab[3].path(AUTHKEY).chmod(0o600)
        lab[3].path(AUTHKEY).write_bytes(OTHER_KEY)
        ring.daemons[3] = lab[3].spawn(*ring.engines[3].daemon("-f", "-c", "/etc/corosync/corosync.conf"))
        ring.wait_whole(1, 2, 3)
        talkers.start()
        _finish(ring, talkers)


@pytest.mark.parametrize("asked", [1, 2])
@pytest.mark.parametrize("kinds", KINDS)
def test_encryption_on_and_off(kinds: str, asked: int) -> None:
    with Lab(hosts=3) as lab:
        ring, talkers = _ring(lab, kinds)
        ring.reload(corosync_conf(lab, crypto=True, totem=TOKEN_OPTIONS), asked)
        ring.stays(3)
        talkers.wait_sent(200)
        ring.reload(corosync_conf(lab, totem=TOKEN_OPTIONS), asked)
        ring.stays(3)
        _finish(ring, talkers)


@pytest.mark.parametrize("kinds", KINDS)
def test_add_and_remove_a_link(kinds: str) -> None:
    with Lab(hosts=3, links=2) as lab:
        one = {"links": 1, "crypto": True, "totem": TOKEN_OPTIONS}
        ring = Ring(lab, kinds, **one)
        ring.start()
        ring.wait_whole()
        ring.wait_links(1)
        talkers = Talkers(ring, seed=5, per_second=150)
        talkers.start()
        talkers.wait_sent(200)
        ring.reload(corosync_conf(lab, crypto=True, totem=TOKEN_OPTIONS), 1)
        ring.wait_links(2)
        # Less, and the loss of a link costs the ring, of real nodes as of ours: a link that has come up may
        # be silent for ten times its timeout, one time less each second.
        ring.stays(10)
        lab.isolate(2, 0)
        ring.stays(3)
        lab.heal()
        ring.wait_links(2)
        ring.reload(corosync_conf(lab, **one), 2)  # type: ignore[arg-type]
        ring.wait_links(1)
        ring.stays(2)
        _finish(ring, talkers)
