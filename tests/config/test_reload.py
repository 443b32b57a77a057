"""What a new file changes in a running node; compared with what corosync 3.1.7 was recorded to do."""

from dataclasses import replace
from typing import Any

import pytest

from pycorosync.cmap.store import Store, ValueType
from pycorosync.config.load import runtime_entries
from pycorosync.config.model import Configuration
from pycorosync.config.reload import RefusedReload, ReloadPlan, Stage, change_option, plan_reload
from tests.config.sample import FILE, FakeMap, as_map, conf, host, listing, loaded, nodelist_of, recorded

# Clients and the recordings' real daemon differ from us here on purpose, see reload.py and totem.py.
NOT_COMPARED = ("resources.watchdog_timeout",)
PINGS = "runtime.config.totem.interface."


def store_of(configuration: Configuration) -> Store:
    store = Store()
    for key, kind, value in [*configuration.entries, *runtime_entries(configuration)]:
        store.set(key, kind, value)
    return store


def plan(before: str, after: str, **keys: int) -> ReloadPlan:
    running = loaded(before)
    store = store_of(running)
    for key, value in keys.items():
        store.set(key.replace("__", "."), ValueType.UINT32, value)
    return plan_reload(after, FILE, host=host(), running=running, keys=store)


def refusal(before: str, after: str) -> RefusedReload:
    with pytest.raises(RefusedReload) as caught:
        plan(before, after)
    return caught.value


@pytest.mark.parametrize("case", recorded("reloads.jsonl"), ids=lambda case: str(case["name"]))
def test_a_reload_does_what_was_recorded(case: dict[str, Any]) -> None:
    running = loaded(case["before"])
    store = store_of(running)
    if not case["accepted"]:
        with pytest.raises(RefusedReload) as caught:
            plan_reload(case["after"], FILE, host=host(), running=running, keys=store)
        assert [*caught.value.notices, *caught.value.details, str(caught.value)] == case["said"]
        return
    found = plan_reload(case["after"], FILE, host=host(), running=running, keys=store)
    assert list(found.notices) == case["said"]
    for key in found.deletes:
        store.delete(key)
    for key, kind, value in found.sets:
        store.set(key, kind, value)
    ours = [(key, *entry) for key in store.keys("") if (entry := store.get(key)) and key not in NOT_COMPARED]
    assert [line for line in listing(ours) if not line.startswith(PINGS)] == case["keys"]


def test_nothing_changes_with_the_same_file() -> None:
    text = conf(nodes=nodelist_of(3, 2))
    running = loaded(text)
    found = plan(text, text)
    # Only what the start made up goes; the position comes back at once.
    assert set(found.deletes) == {
        "nodelist.local_node_pos",
        "totem.interface.0.bindnetaddr",
        "totem.interface.1.bindnetaddr",
    }
    assert as_map(found.sets)["nodelist.local_node_pos"] == 0
    assert (found.notices, found.crypto_changed) == ((), False)
    assert found.configuration.totem.timers == running.totem.timers
    assert found.configuration.totem.nodes == running.totem.nodes


def test_timers_change_and_links_with_them() -> None:
    found = plan(conf(), conf("token: 10000"))
    totem = found.configuration.totem
    assert (totem.timers.token_timeout_ms, totem.timers.consensus_ms) == (10000, 12000)
    assert totem.links[0].ping_timeout_ms == 5000
    sets = as_map(found.sets)
    assert sets["runtime.config.totem.token"] == 10000
    assert sets["runtime.config.totem.interface.0.knet_ping_timeout"] == 5000
    assert [change.number for change in found.links] == [0]
    assert found.links[0].added == found.links[0].removed == ()


def test_a_node_comes_and_another_goes() -> None:
    found = plan(conf(), conf(nodes=nodelist_of(3).replace("n2", "x").replace("nodeid: 2", "nodeid: 9")
                              .replace("10.77.0.2", "10.77.0.9")))  # fmt: skip
    (change,) = found.links
    assert [end.node_id for end in change.added] == [9, 3]
    assert [end.node_id for end in change.removed] == [2]
    assert found.configuration.totem.timers.token_timeout_ms == 3650


def test_a_link_comes_and_goes() -> None:
    one, two = conf(nodes=nodelist_of(2)), conf(nodes=nodelist_of(2, 2))
    (added,) = (change for change in plan(one, two).links if change.number == 1)
    assert added.before is None
    assert added.after is not None
    assert str(added.after.local_address) == "10.77.1.1"
    assert [end.node_id for end in added.added] == [1, 2]
    (removed,) = (change for change in plan(two, one).links if change.number == 1)
    assert removed.after is None
    assert [end.node_id for end in removed.removed] == [1, 2]


def test_what_cannot_change_keeps_its_value() -> None:
    before = conf("ip_version: ipv4")
    found = plan(before, before.replace("lab", "other").replace("ip_version: ipv4", "transport: udp"))
    assert found.notices == (
        "Modified entry 'totem.transport' in corosync.conf cannot be changed at run-time",
        "Modified entry 'totem.cluster_name' in corosync.conf cannot be changed at run-time",
    )
    sets = as_map(found.sets)
    assert "totem.transport" not in sets
    assert "totem.cluster_name" not in sets
    # The key of an option that is no longer in the file goes without a word, and changes nothing.
    assert "totem.ip_version" in found.deletes
    totem = found.configuration.totem
    assert (totem.transport.value, totem.cluster_name, totem.ip_version) == ("knet", "lab", "ipv4")


def test_what_a_client_has_set_goes_unless_the_file_says_it() -> None:
    found = plan(conf(), conf(), totem__token=5000, totem__foo=1, runtime__foo=1, other__foo=1)
    assert {"totem.token", "totem.foo"} <= set(found.deletes)
    assert not {"runtime.foo", "other.foo"} & set(found.deletes)
    # It is the running value of what cannot change.
    kept = plan(conf(), conf("netmtu: 1300"), totem__netmtu=1300)
    assert kept.notices == ()


def test_crypto_changes_are_marked() -> None:
    assert plan(conf(), conf("secauth: on")).crypto_changed
    assert plan(conf("secauth: on"), conf()).crypto_changed
    assert not plan(conf("secauth: on"), conf("crypto_cipher: aes256; crypto_hash: sha256")).crypto_changed


def test_a_new_key_is_a_change() -> None:
    text = conf("secauth: on")
    running = loaded(text)
    other = replace(host(), key_files={"/etc/corosync/authkey": bytes(128)})
    found = plan_reload(text, FILE, host=other, running=running, keys=store_of(running))
    assert found.crypto_changed
    assert found.configuration.totem.crypto.key == bytes(128)


@pytest.mark.parametrize(
    ("after", "stage"),
    [
        ("totem {\n", Stage.PARSER),
        (conf(nodes=nodelist_of(2).replace("10.77.0.2", "x")), Stage.INTERFACES),
        (conf(nodes=nodelist_of(2).replace("10.77.0.2", "10.77.0.3")), Stage.INTERFACES),
        (conf("crypto_cipher: aes256"), Stage.CRYPTO),
        (conf("token: 5"), Stage.VALIDATE),
    ],
)
def test_where_a_file_is_refused(after: str, stage: Stage) -> None:
    found = refusal(conf(), after)
    assert found.stage is stage
    assert str(found).startswith(stage.value)


def test_a_node_that_is_no_longer_listed_keeps_its_own_addresses() -> None:
    found = plan(conf(nodes=nodelist_of(3)), conf(nodes=nodelist_of(3).replace("n1", "x").replace("10.77.0.1\n", "10.77.0.9\n").replace("nodeid: 1\n", "nodeid: 9\n")))  # fmt: skip # noqa: E501
    totem = found.configuration.totem
    assert totem.local_node_position is None
    assert "nodelist.local_node_pos" in found.deletes
    assert "nodelist.local_node_pos" not in as_map(found.sets)
    assert totem.node_id == 1
    assert str(totem.links[0].local_address) == "10.77.0.1"


def test_mistakes_that_a_reload_lets_pass() -> None:
    text = conf("interface {; knet_transport: x; }; interface {; linknumber: 9; ttl: 1; }")
    totem = plan(conf(), text).configuration.totem
    assert totem.links[0].transport == "udp"
    found = plan(conf(), conf(rest="logging {\n debug: perhaps\n to_stderr: no\n}\n"))
    assert not found.configuration.logging.target.to_stderr


def test_users_and_quorum_follow_the_file() -> None:
    after = conf(rest="uidgid {\n uid: 5\n}\nquorum {\n two_node: 1\n provider: corosync_votequorum\n}\n")
    found = plan(conf(), after)
    assert found.configuration.uids == {5}
    assert found.configuration.quorum.two_node
    assert found.configuration.quorum.provider is None
    back = plan(after, conf())
    assert "uidgid.config.uid.5" in back.deletes
    assert back.configuration.uids == frozenset()


def test_a_client_changes_a_timer() -> None:
    totem = loaded(conf()).totem
    keys = FakeMap([("totem.token", ValueType.UINT32, 1000)])
    changed = change_option(totem, keys, "totem.token")
    assert changed is not None
    new, entries, complaints = changed
    assert new.timers.token_timeout_ms == 1000
    assert as_map(entries)["runtime.config.totem.consensus"] == 1200
    assert complaints == []
    deleted = change_option(totem, keys, "totem.token", deleted=True)
    assert deleted is not None
    assert deleted[0].timers.token_timeout_ms == 3000


def test_a_client_may_set_what_is_complained_about() -> None:
    keys = FakeMap([("totem.token", ValueType.UINT32, 10)])
    changed = change_option(loaded(conf()).totem, keys, "totem.token")
    assert changed is not None
    assert changed[2] == [
        "parse error in config: The token timeout parameter (10 ms) may not be less than (30 ms)."
    ]


@pytest.mark.parametrize(
    "key", ["totem.version", "totem.foo", "nodelist.node.0.name", "totem.interface.0.ttl"]
)
def test_other_keys_change_nothing(key: str) -> None:
    assert change_option(loaded(conf()).totem, FakeMap([]), key) is None
