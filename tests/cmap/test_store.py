"""The configuration map."""

from random import Random

import pytest

from pycorosync.cmap.store import (
    Change,
    Entry,
    Store,
    TrackEvent,
    Value,
    ValueType,
    is_valid_key,
    valid_key_from,
)
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError

EVERYTHING = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY | TrackEvent.PREFIX


def code_of(action: object, *arguments: object) -> CsError:
    assert callable(action)
    with pytest.raises(ClientError) as caught:
        action(*arguments)
    return caught.value.code


@pytest.mark.parametrize("key", ["abc", "a" * 255, "A.z_0-9/:x", "..."])
def test_names_that_can_be_given(key: str) -> None:
    store = Store()
    store.set_u8(key, 1)
    assert is_valid_key(key)
    assert store.get(key) == Entry(ValueType.UINT8, 1)


@pytest.mark.parametrize(
    "key", ["", "ab", "a" * 256, "a b", "a\nb", "abc\n", "aä.b", "a=b", "a\0bc", "abc\udcff"]
)
def test_names_that_cannot(key: str) -> None:
    store = Store()
    assert code_of(store.set_u8, key, 1) is CsError.NAME_TOO_LONG
    assert not is_valid_key(key)
    assert store.get(key) is None
    assert not store.delete(key)
    assert len(store) == 0


def test_names_can_be_made_valid() -> None:
    assert valid_key_from("a b=ä/c") == "a_b__/c"


def test_a_bad_value_is_found_before_a_bad_name() -> None:
    assert code_of(Store().set_u8, "x", 256) is CsError.INVALID_PARAM


def test_reading() -> None:
    store = Store()
    store.set_u32("some.number", 7)
    store.set_str("some.text", "x")
    assert store.value("some.number") == 7
    assert store.value("no.such") is None
    assert store.value("no.such", 3) == 3
    assert store.get_int("some.number") == 7
    assert store.get_int("some.text", 5) == store.get_int("no.such", 5) == 5
    assert store.get_str("some.text") == "x"
    assert store.get_str("some.number", "d") == store.get_str("no.such", "d") == "d"
    assert "some.text" in store
    assert "no.such" not in store


def test_names_come_in_the_order_of_bytes_and_short_before_long() -> None:
    store = Store()
    for key in ["n.10", "n.2", "n.1", "n.1.x", "n-1", "n", "N.1", "n_1", "n/1", "n:1"]:
        store.set_u8(key if len(key) > 2 else "n..", 1)
    assert store.keys() == sorted(store.keys(), key=str.encode)
    assert store.keys("n.1") == ["n.1", "n.1.x", "n.10"]
    assert store.keys("n.1.") == ["n.1.x"]
    assert store.keys("x") == []
    assert [key for key, _ in store.items("n.1")] == store.keys("n.1")


def test_keys_is_a_snapshot() -> None:
    store = Store()
    store.set_u8("a.a", 1)
    names = store.keys()
    names.append("zzz")
    store.set_u8("a.b", 1)
    assert store.keys() == ["a.a", "a.b"]


def test_walking_by_key_after_meets_what_is_new_and_not_what_is_gone() -> None:
    store = Store()
    for key in ("p.a", "p.c", "p.d", "q.a"):
        store.set_u8(key, 1)
    assert store.key_after("", "p.") == "p.a"
    store.set_u8("p.b", 1)
    store.delete("p.a")
    assert store.key_after("p.a", "p.") == "p.b"
    store.delete("p.c")
    assert store.key_after("p.b", "p.") == "p.d"
    assert store.key_after("p.d", "p.") is None
    assert store.key_after("p.d") == "q.a"
    assert store.key_after("", "nope") is None


def test_changes_are_told_and_only_changes() -> None:
    store, heard = Store(), list[Change]()
    store.track("k.", EVERYTHING, heard.append)
    store.set_u8("k.a", 1)
    store.set_u8("k.a", 1)
    store.set_u8("k.a", 2)
    store.set_u16("k.a", 2)
    assert store.delete("k.a")
    assert not store.delete("k.a")
    store.set_u8("other", 1)
    assert heard == [
        Change(TrackEvent.ADD, "k.a", None, Entry(ValueType.UINT8, 1)),
        Change(TrackEvent.MODIFY, "k.a", Entry(ValueType.UINT8, 1), Entry(ValueType.UINT8, 2)),
        Change(TrackEvent.MODIFY, "k.a", Entry(ValueType.UINT8, 2), Entry(ValueType.UINT16, 2)),
        Change(TrackEvent.DELETE, "k.a", Entry(ValueType.UINT16, 2), None),
    ]


def test_a_refused_set_changes_and_tells_nothing() -> None:
    store, heard = Store(), list[Change]()
    store.set_u8("k.a", 1)
    store.track("", EVERYTHING, heard.append)
    with pytest.raises(ClientError):
        store.set("k.a", ValueType.UINT8, "x")
    assert store.value("k.a") == 1
    assert heard == []


def test_a_callback_may_change_the_map() -> None:
    store, heard = Store(), list[Change]()
    store.track("limit", TrackEvent.MODIFY, lambda change: store.set_u32("limit", 10))
    store.track("limit", TrackEvent.MODIFY | TrackEvent.PREFIX, heard.append)
    store.set_u32("limit", 10)
    store.set_u32("limit", 99)
    assert store.value("limit") == 10
    # The inner change is told first, since it happens inside the first callback of the outer one.
    assert [change.new for change in heard] == [Entry(ValueType.UINT32, 10), Entry(ValueType.UINT32, 99)]


def test_untracking() -> None:
    store, heard = Store(), list[Change]()
    handle = store.track("k.", EVERYTHING, heard.append)
    assert store.untrack(handle)
    assert not store.untrack(handle)
    store.set_u8("k.a", 1)
    assert heard == []


def test_adjusting() -> None:
    store, heard = Store(), list[Change]()
    store.set_u8("count", 255)
    store.set_str("text", "x")
    store.track("count", TrackEvent.MODIFY, heard.append)
    store.adjust("count", 1)
    assert store.value("count") == 0
    assert heard[-1].old == Entry(ValueType.UINT8, 255)
    store.adjust("count", 256)
    assert len(heard) == 1
    assert code_of(store.adjust, "text", 1) is CsError.INVALID_PARAM
    assert code_of(store.adjust, "nothing", 1) is CsError.NOT_EXIST


def test_counters_change_without_their_old_value() -> None:
    store, heard = Store(), list[Change]()
    store.set_u64("rx.count", 2**64 - 1)
    store.track("rx.count", TrackEvent.MODIFY, heard.append)
    store.bump("rx.count")
    assert heard == [Change(TrackEvent.MODIFY, "rx.count", None, Entry(ValueType.UINT64, 0))]
    assert code_of(store.bump, "nothing") is CsError.NOT_EXIST


def test_read_only_is_only_a_mark() -> None:
    store = Store()
    store.set_read_only("sys.", prefix=True)
    store.set_read_only("one.key")
    assert store.is_read_only("sys.x")
    assert not store.is_read_only("sys")
    assert store.is_read_only("one.key")
    assert not store.is_read_only("one.key2")
    store.set_u8("sys.x", 1)
    store.set_read_only("sys.", False, prefix=True)
    store.set_read_only("one.key", False)
    assert not store.is_read_only("sys.x")
    assert not store.is_read_only("one.key")


def test_a_copy_has_the_entries_and_nothing_else() -> None:
    store, heard = Store(), list[Change]()
    store.set_u8("k.a", 1)
    store.set_read_only("k.a")
    store.track("", EVERYTHING, heard.append)
    twin = store.copy()
    twin.set_u8("k.b", 1)
    twin.delete("k.a")
    assert store.keys() == ["k.a"]
    assert heard == []
    assert not twin.is_read_only("k.a")
    assert twin.size_bytes == 4


def test_update_and_delete_all() -> None:
    store = Store()
    store.update(
        [("n.a", ValueType.UINT8, 1), ("n.b", ValueType.STRING, "x"), ("m.a", ValueType.DOUBLE, 1.5)]
    )
    assert store.delete_all("n.") == 2
    assert store.keys() == ["m.a"]


@pytest.mark.parametrize("seed", range(20))
def test_a_random_history_agrees_with_a_dictionary(seed: int) -> None:
    rng, store, model = Random(seed), Store(), dict[str, Value]()
    heard: list[Change] = []
    store.track("", EVERYTHING, heard.append)
    replayed: dict[str, Entry] = {}
    for _ in range(400):
        key = "k." + "".join(rng.choice("ab.") for _ in range(rng.randrange(1, 4)))
        match rng.randrange(3):
            case 0:
                assert store.delete(key) == (model.pop(key, None) is not None), seed
            case 1:
                model[key] = text = "x" * rng.randrange(3)
                store.set_str(key, text)
            case _:
                model[key] = number = rng.randrange(3)
                store.set_u32(key, number)
    for change in heard:
        assert replayed.get(change.key) == change.old, seed
        if change.new is None:
            del replayed[change.key]
        else:
            replayed[change.key] = change.new
    assert store.keys() == sorted(model), seed
    assert {key: entry.value for key, entry in replayed.items()} == model, seed
    expected = sum(
        len(key) + (4 if isinstance(value, int) else len(str(value)) + 1) for key, value in model.items()
    )
    assert store.size_bytes == expected, seed
