"""The cmap service among nodes: who has which version of the configuration."""

from collections.abc import Iterable

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.services.outputs import Multicast, Output, StopDaemon
from pycorosync.services.service import SyncStart
from pycorosync.types import RingId
from pycorosync.wire.fixed import LITTLE
from tests.services.cmap.clients import Setting
from tests.vectors import vectors

NOW = 1


def multicasts(outputs: Iterable[Output]) -> list[bytes]:
    return [bytes(one.head) + bytes(one.body) for one in outputs if isinstance(one, Multicast)]


def start(*members: int, transitional: tuple[int, ...] = (1,)) -> SyncStart:
    return SyncStart(RingId(1, 4), members, transitional)


def deliver(setting: Setting, node_id: int, message: bytes, order: str = LITTLE) -> None:
    setting.service.on_delivery(node_id, 0, memoryview(message), order, NOW)


def announced(version: int | None, *, sync: bool = True) -> bytes:
    """What another node says, as it says it."""
    other = Setting(node_id=2)
    if version is not None:
        other.cmap.set_u64("totem.config_version", version)
        if not sync:
            return multicasts(other.collect())[0]
    other.collect()
    other.service.sync_process(NOW)
    return multicasts(other.collect())[0]


def synchronize(setting: Setting, versions: dict[int, int | None]) -> list[Output]:
    """A whole synchronization with nodes that have these versions; what it puts out at its end."""
    setting.service.sync_init(start(1, *versions), NOW)
    assert setting.service.sync_process(NOW)
    deliver(setting, 1, multicasts(setting.collect())[0])
    for node_id, version in versions.items():
        deliver(setting, node_id, announced(version))
    setting.service.sync_activate(NOW)
    return setting.collect()


@pytest.mark.parametrize("version", [None, 7, 9])
def test_messages_are_those_of_a_real_node(version: int | None) -> None:
    value = "" if version is None else version.to_bytes(8, "little").hex()
    (vector,) = (
        one
        for one in vectors("cmap")
        if one.fields.get("reason") == "0" and one.fields.get("item_value", "") == value
    )
    ours = announced(version)
    # What follows the field kind, up to the next multiple of 8, has no meaning.
    assert ours[:313] == vector.data[:313]
    assert ours[320:] == vector.data[320:]


def test_a_new_version_is_announced_at_once() -> None:
    setting = Setting()
    setting.cmap.set_u64("totem.config_version", 9)
    (message,) = multicasts(setting.collect())
    (vector,) = (one for one in vectors("cmap") if one.fields.get("reason") == "1")
    assert message[:313] == vector.data[:313]
    assert message[320:] == vector.data[320:]
    setting.cmap.set_u64("totem.config_version", 9)
    assert multicasts(setting.collect()) == []
    setting.cmap.delete("totem.config_version")
    assert len(multicasts(setting.collect())) == 1


def test_versions_of_members_are_published() -> None:
    setting = Setting()
    deliver(setting, 3, announced(5))
    deliver(setting, 4, announced(None))
    deliver(setting, 3, announced(6, sync=False))
    assert setting.cmap.value("runtime.members.3.config_version") == 6
    assert setting.cmap.value("runtime.members.4.config_version") == 0


def test_a_node_with_an_older_configuration_goes() -> None:
    setting = Setting()
    setting.cmap.set_u64("totem.config_version", 3)
    assert synchronize(setting, {2: 4, 3: 3}) == [StopDaemon(0)]


@pytest.mark.parametrize(("own", "others"), [(4, {2: 3, 3: None}), (4, {2: 4}), (None, {2: 9})])
def test_others_stay(own: int | None, others: dict[int, int | None]) -> None:
    setting = Setting()
    if own is not None:
        setting.cmap.set_u64("totem.config_version", own)
    assert synchronize(setting, others) == []


def test_a_lone_ring_is_not_the_first_synchronization() -> None:
    setting = Setting()
    setting.cmap.set_u64("totem.config_version", 3)
    assert synchronize(setting, {}) == []
    setting.service.sync_init(start(1, transitional=()), NOW)
    setting.service.sync_activate(NOW)
    assert synchronize(setting, {2: 4}) == [StopDaemon(0)]


def test_only_the_first_synchronization_with_others_counts() -> None:
    setting = Setting()
    setting.cmap.set_u64("totem.config_version", 3)
    assert synchronize(setting, {2: 3}) == []
    assert synchronize(setting, {2: 4}) == []


def test_what_an_aborted_synchronization_brought_is_forgotten() -> None:
    setting = Setting()
    setting.cmap.set_u64("totem.config_version", 3)
    setting.service.sync_init(start(1, 2), NOW)
    deliver(setting, 2, announced(8))
    setting.service.sync_abort()
    assert synchronize(setting, {3: 3}) == []


def test_big_endian_peers() -> None:
    setting = Setting()
    (vector,) = (one for one in vectors("cmap") if one.fields.get("reason") == "1")
    data = bytearray(vector.data)
    for place, length in ((0, 4), (8, 4), (48, 2), (48 + 272, 8), (48 + 280, 8)):
        data[place : place + length] = data[place : place + length][::-1]
    deliver(setting, 5, bytes(data), ">")
    assert setting.cmap.value("runtime.members.5.config_version") == 9


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:47],
        lambda data: data[:60],
        lambda data: data[:-1],
        lambda data: data[:24] + b"\2" + data[25:48] + b"x" + data[49:56] + b"other\0" + data[62:],
        lambda data: data[:320] + b"\xff" * 8 + data[328:],
        lambda data: data[:320] + b"\7" + data[321:],
    ],
)
def test_damaged_messages_are_refused(damage: object) -> None:
    assert callable(damage)
    setting = Setting()
    with pytest.raises(MalformedMessage):
        deliver(setting, 5, damage(announced(9)))
    assert "runtime.members.5.config_version" not in setting.cmap


def test_other_reasons_and_types_mean_nothing() -> None:
    setting = Setting()
    data = announced(9)
    deliver(setting, 5, data[:16] + b"\7" + data[17:])
    assert "runtime.members.5.config_version" not in setting.cmap
    deliver(setting, 5, data[: 48 + 264] + b"\7" + data[48 + 265 :])
    assert setting.cmap.value("runtime.members.5.config_version") == 0
