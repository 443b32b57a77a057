"""What a file would change in a running daemon (pycorosync/config/against.py)."""

from collections.abc import Iterator

import pytest

from pycorosync.config.against import Comparison, Effect, NotComparable, compare, file_keys
from pycorosync.config.load import parse, runtime_entries
from pycorosync.config.options import U32
from tests.config.sample import FILE, FakeMap, conf, host, loaded, nodelist_of


def against(before: str, after: str) -> Comparison:
    running = loaded(before)
    keys = FakeMap([*running.entries, *runtime_entries(running), ("runtime.x.y", U32, 1)])
    return compare(after, FILE, host=host(), keys=keys, entries=parse(after, FILE, host()))


def effects(found: Comparison) -> dict[str, Effect]:
    return {difference.key: difference.effect for difference in found.differences}


@pytest.mark.parametrize(
    "totem", ["", "transport: udp", "transport: udpu", "crypto_cipher: aes256; crypto_hash: md5"]
)
def test_the_same_file_makes_no_difference(totem: str) -> None:
    assert against(conf(totem), conf(totem)).differences == ()


def cases() -> Iterator[tuple[str, str, str, Effect]]:
    yield conf(), conf("token: 5000"), "totem.token", Effect.LIVE
    yield conf("token: 5000"), conf(), "totem.token", Effect.LIVE
    yield conf(), conf("transport: udpu"), "totem.transport", Effect.RESTART
    yield conf("netmtu: 1400"), conf(), "totem.netmtu", Effect.RESTART
    yield conf(), conf("link_mode: active"), "totem.link_mode", Effect.NEXT_START
    yield conf(), conf("foo: bar"), "totem.foo", Effect.UNREAD
    yield conf(), conf(nodes=nodelist_of(3)), "nodelist.node.2.ring0_addr", Effect.LIVE
    yield conf(rest="quorum {\n  wait_for_all: 1\n}\n"), conf(), "quorum.wait_for_all", Effect.NEXT_START
    yield conf(), conf(rest="system {\n  sched_rr: no\n}\n"), "system.sched_rr", Effect.RESTART
    yield conf(), conf(rest="logging {\n  debug: on\n}\n"), "logging.debug", Effect.LIVE
    yield conf(rest="uidgid {\n  uid: 5\n}\n"), conf(), "uidgid.config.uid.5", Effect.LIVE


@pytest.mark.parametrize(("before", "after", "key", "effect"), list(cases()))
def test_when_a_difference_comes_into_force(before: str, after: str, key: str, effect: Effect) -> None:
    found = against(before, after)
    assert effects(found)[key] is effect
    assert not found.refused


def test_old_and_new_values_are_told() -> None:
    (difference,) = against(conf("token: 4000"), conf("token: 5000")).differences
    assert (difference.running, difference.new) == ("4000", "5000")
    (difference,) = against(conf(), conf("token: 5000")).differences
    assert (difference.running, difference.new) == (None, "5000")


def test_a_reload_that_would_be_refused() -> None:
    found = against(conf(), conf().replace("10.77.0.2", "10.77.0.3"))
    assert effects(found) == {"nodelist.node.1.ring0_addr": Effect.LIVE}
    assert "different address for link 0" in found.refused[0]
    assert found.refused[1].startswith("Cannot configure new interface definitions")


def test_the_key_of_the_cluster_is_not_compared() -> None:
    text = conf("secauth: on")
    assert against(text, text).crypto
    assert not against(conf(), conf()).crypto


def test_a_map_that_makes_no_configuration() -> None:
    keys = FakeMap([("nodelist.node.0.ring0_addr", loaded(conf()).entries[1][1], "no.such.host.invalid")])
    with pytest.raises(NotComparable):
        compare(conf(), FILE, host=host(), keys=keys, entries=parse(conf(), FILE, host()))


def test_keys_of_others_do_not_count() -> None:
    keys = FakeMap([("runtime.x.y", U32, 1), ("totem.token", U32, 2)])
    assert file_keys(keys).keys("") == ["totem.token"]
