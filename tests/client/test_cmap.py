"""The Python library of the maps (pycorosync/client/cmap.py)."""

import asyncio

import pytest

from pycorosync.client import session
from pycorosync.client.cmap import Cmap, CmapMap, Entry, Item, Notification, TrackEvent, ValueType
from pycorosync.cs_error import CsError
from pycorosync.services.cmap import messages
from pycorosync.services.cmap.messages import CmapRequest
from tests.client.cmap_daemon import FakeDaemon
from tests.client.stand_in import error_of


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    made = FakeDaemon()
    monkeypatch.setattr(session, "Connection", made.connect)
    return made


def test_it_connects_to_cmap_and_hangs_up(daemon: FakeDaemon) -> None:
    with Cmap():
        assert daemon.connections[1].name == "cmap"
    assert daemon.connections[1].closed


def test_without_a_daemon(daemon: FakeDaemon) -> None:
    daemon.refusals.append(CsError.LIBRARY)
    assert error_of(Cmap) is CsError.LIBRARY


def test_a_refused_map_leaves_no_connection(daemon: FakeDaemon) -> None:
    daemon.failures[CmapRequest.SET_CURRENT_MAP] = daemon.refusals.copy()
    daemon.failures[CmapRequest.SET_CURRENT_MAP].append(CsError.TRY_AGAIN)
    assert error_of(Cmap) is CsError.TRY_AGAIN
    assert daemon.connections[1].closed


VALUES = [
    (ValueType.INT8, -5),
    (ValueType.UINT64, 2**64 - 1),
    (ValueType.FLOAT, 1.5),
    (ValueType.DOUBLE, -0.1),
    (ValueType.STRING, ""),
    (ValueType.STRING, "text"),
    (ValueType.STRING, "x" * 16384),
    (ValueType.STRING, "ä\udcff"),
    (ValueType.BINARY, b""),
    (ValueType.BINARY, b"\0\1" * 8192),
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_values_come_back(daemon: FakeDaemon, kind: ValueType, value: int | float | str | bytes) -> None:
    with Cmap() as cmap:
        cmap.set("my.key", kind, value)
        assert cmap.entry("my.key") == Entry(kind, value)
        assert cmap.get("my.key") == value
        assert daemon.cmap.get("my.key") == Entry(kind, value)
        assert cmap.info("my.key").size == len(messages.encode(Entry(kind, value)))


def test_small_values_take_one_request(daemon: FakeDaemon) -> None:
    with Cmap() as cmap:
        cmap.set("my.key", ValueType.STRING, "x" * 500)
        daemon.connections[1].requests.clear()
        cmap.get("my.key")
        assert daemon.connections[1].requests == [CmapRequest.GET]


def test_errors_are_those_of_libcmap(daemon: FakeDaemon) -> None:
    daemon.cmap.set_str("my.text", "x")
    with Cmap() as cmap:
        assert error_of(lambda: cmap.get("no.such")) is CsError.NOT_EXIST
        assert error_of(lambda: cmap.delete("no.such")) is CsError.NOT_EXIST
        assert error_of(lambda: cmap.increment("my.text")) is CsError.INVALID_PARAM
        assert error_of(lambda: cmap.set("totem.version", ValueType.UINT32, 1)) is CsError.ACCESS
        assert error_of(lambda: cmap.set("a b c", ValueType.UINT32, 1)) is CsError.NAME_TOO_LONG
        assert error_of(lambda: cmap.set("my.key", ValueType.UINT8, 256)) is CsError.INVALID_PARAM
        assert error_of(lambda: cmap.set("my.key", ValueType.UINT8, "x")) is CsError.INVALID_PARAM
        for call in (cmap.get, cmap.delete, lambda key: list(cmap.items(key)), cmap.track):
            assert error_of(lambda call=call: call("x" * 256)) is CsError.NAME_TOO_LONG  # type: ignore[misc]


def test_changing_in_place(daemon: FakeDaemon) -> None:
    daemon.cmap.set_u8("my.key", 255)
    with Cmap() as cmap:
        cmap.increment("my.key")
        cmap.increment("my.key")
        cmap.decrement("my.key")
        assert cmap.get("my.key") == 0
        cmap.delete("my.key")
    assert "my.key" not in daemon.cmap


def test_items(daemon: FakeDaemon) -> None:
    daemon.cmap.set_str("p.b", "xy")
    daemon.cmap.set_u16("p.a", 1)
    with Cmap() as cmap:
        assert list(cmap.items("p.")) == [Item("p.a", ValueType.UINT16, 2), Item("p.b", ValueType.STRING, 3)]
        assert [item.key for item in cmap.items()] == daemon.cmap.keys()
        assert list(cmap.items("nothing")) == []
        assert daemon.connections[1].requests[-1] == CmapRequest.ITER_FINALIZE


def test_an_iteration_that_is_given_up_is_finalized(daemon: FakeDaemon) -> None:
    with Cmap() as cmap:
        for _ in cmap.items():
            break
        assert CmapRequest.ITER_FINALIZE in daemon.connections[1].requests
        items = cmap.items()
        next(items)
    # The connection is closed: nothing to finalize, and no complaint.
    items.close()  # type: ignore[attr-defined]


def test_tracking_with_dispatch(daemon: FakeDaemon) -> None:
    heard: list[Notification] = []
    with Cmap() as cmap:
        handle = cmap.track("k.", TrackEvent.ADD | TrackEvent.MODIFY | TrackEvent.PREFIX, heard.append)
        daemon.cmap.set_u8("k.a", 1)
        daemon.cmap.set_str("k.a", "x")
        daemon.cmap.delete("k.a")
        assert cmap.dispatch() == 2
        assert cmap.dispatch() == 0
        one, text = Entry(ValueType.UINT8, 1), Entry(ValueType.STRING, "x")
        assert heard == [
            Notification(handle, TrackEvent.ADD, "k.a", None, one),
            Notification(handle, TrackEvent.MODIFY, "k.a", one, text),
        ]
        daemon.cmap.set_u8("k.b", 1)
        cmap.untrack(handle)
        daemon.cmap.set_u8("k.c", 1)
        # One was under way, and is dropped.
        assert cmap.dispatch() == 0
        assert len(heard) == 2
        assert error_of(lambda: cmap.untrack(handle)) is CsError.BAD_HANDLE


def test_a_refused_tracker_leaves_nothing(daemon: FakeDaemon) -> None:
    with Cmap(CmapMap.STATS) as cmap:
        assert (
            error_of(lambda: cmap.track("stats.", TrackEvent.MODIFY | TrackEvent.PREFIX))
            is CsError.NOT_SUPPORTED
        )
        assert cmap.dispatch() == 0


def test_events_one_by_one(daemon: FakeDaemon) -> None:
    with Cmap() as cmap:
        cmap.track("k.a")
        daemon.cmap.set_u8("k.a", 1)
        daemon.cmap.set_u8("k.a", 2)
        events = cmap.events()
        assert [next(events).event, next(events).event] == [TrackEvent.ADD, TrackEvent.MODIFY]
        assert cmap.receive(0) is None


def test_events_for_asyncio(daemon: FakeDaemon) -> None:
    async def watch() -> list[str]:
        keys = []
        with Cmap() as cmap:
            cmap.track("k.", TrackEvent.ADD | TrackEvent.PREFIX)
            daemon.cmap.set_u8("k.a", 1)
            loop = asyncio.get_running_loop()

            def later() -> None:
                daemon.cmap.set_u8("k.b", 1)
                daemon.pump()

            events = cmap.events_async()
            async for event in events:
                keys.append(event.key)
                if len(keys) == 2:
                    break
                loop.call_soon(later)
            await events.aclose()  # type: ignore[attr-defined]
        return keys

    assert asyncio.run(watch()) == ["k.a", "k.b"]


def test_answers_that_make_no_sense_are_library_errors(daemon: FakeDaemon) -> None:
    daemon.cmap.set_u8("my.key", 1)
    with Cmap() as cmap:
        cmap.track("k.a")
        connection = daemon.connections[1]
        for answer in (
            b"",
            bytes(24),
            messages.GET_RESPONSE.encode(2, 40, CsError.OK, 1, ValueType.UINT8),
            messages.GET_RESPONSE.encode(2, 41, CsError.OK, 1, 99) + b"\1",
        ):
            connection.request = lambda message, answer=answer: answer  # type: ignore[method-assign, misc]
            assert error_of(lambda: cmap.get("my.key")) is CsError.LIBRARY, answer
        for event in (
            b"",
            messages.NOTIFY_EVENT.encode(9, 336, 1, 1, 3, b"k.a", 4, 2, 0, 1, 0),
            messages.NOTIFY_EVENT.encode(8, 336, 1, 1, 3, b"k.a", 4, 0, 0, 0, 0),
        ):
            connection.arrived(event)
            assert error_of(cmap.dispatch) is CsError.LIBRARY, event
