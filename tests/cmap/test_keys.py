"""The table of keys."""

import pytest

from pycorosync.cmap import keys
from pycorosync.cmap.keys import describe, mark_read_only
from pycorosync.cmap.store import Store, ValueType


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("totem.version", ValueType.UINT32),
        ("totem.config_version", ValueType.UINT64),
        ("nodelist.local_node_pos", ValueType.UINT32),
        ("nodelist.node.0.nodeid", ValueType.UINT32),
        ("nodelist.node.12.ring0_addr", ValueType.STRING),
        ("quorum.two_node", ValueType.UINT8),
        ("resources.system.load_15min.current", ValueType.DOUBLE),
        ("resources.system.memory_used.current", ValueType.INT32),
        ("runtime.members.4294967295.join_count", ValueType.UINT32),
        ("runtime.services.votequorum.0.rx", ValueType.UINT64),
        ("runtime.services.wd.service_id", ValueType.UINT16),
        ("runtime.config.totem.token", ValueType.UINT32),
        ("runtime.config.totem.knet_compression_model", ValueType.STRING),
        ("config.reload_status", ValueType.INT32),
        ("uidgid.gid.189", ValueType.UINT8),
        ("totem.token", None),
    ],
)
def test_known_keys_have_their_type(key: str, kind: ValueType | None) -> None:
    row = describe(key)
    assert row is not None
    assert row.kind is kind


@pytest.mark.parametrize("key", ["my.own", "nodelist.node.x.nodeid", "runtime.members.1", "totem."])
def test_other_keys_are_unknown(key: str) -> None:
    assert describe(key) is None


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    example = {"N": "7", "NAME": "word", "*": "any.rest"}
    for row in keys.KEYS:
        key = ".".join(example.get(part, part) for part in row.pattern.split("."))
        assert describe(key) is row, row.pattern


def test_clients_may_not_write_what_is_marked() -> None:
    store = Store()
    mark_read_only(store)
    for key in (
        "system.priority",
        "nodelist.node.0.nodeid",
        "totem.version",
        "runtime.services.x.rx",
        "nodelist.new",
    ):
        assert store.is_read_only(key), key
    for key in (
        "totem.token",
        "runtime.members.1.status",
        "quorum.wait_for_all",
        "uidgid.uid.5",
        "systemd.x",
    ):
        assert not store.is_read_only(key), key
    mark_read_only(store, keys.READ_ONLY_WITH_VOTEQUORUM)
    assert store.is_read_only("quorum.wait_for_all")
    assert not store.is_read_only("quorum.expected_votes")
