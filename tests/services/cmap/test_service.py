"""The cmap service: what clients may ask."""

from random import Random
from typing import Any

import pytest

from pycorosync.cmap.store import TrackEvent, ValueType
from pycorosync.cs_error import CsError
from pycorosync.services.cmap import messages, service
from pycorosync.services.cmap.messages import CmapMap, CmapRequest
from pycorosync.services.service import RESPONSE_HEADER
from tests.services.cmap.clients import SECOND, Setting, name
from tests.vectors import Vector, vectors

ALL_EVENTS = int(TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY)
PREFIX = int(TrackEvent.PREFIX)


# --- what a real client said to a real daemon


def significant(vector: Vector) -> bytes:
    """The bytes that mean something: a bare header has holes."""
    if vector.name == "RESPONSE_HEADER":
        return RESPONSE_HEADER.encode(*RESPONSE_HEADER.decode(vector.data))
    return vector.data


class Replay:
    """Our service in the place of the real one. Handles are opaque: the real ones stand for ours."""

    def __init__(self) -> None:
        self.setting = Setting()
        self.handles: dict[int, int] = {}

    def ask(self, request: Vector) -> bytes:
        data = bytearray(request.data)
        if request.name == "HANDLE_REQUEST":
            data[16:24] = self.handles[int(request.fields["handle"])].to_bytes(8, "little")
        return self.setting.raw(bytes(data))

    def check(self, answer: bytes, expected: Vector, request: Vector) -> None:
        if expected.name == "HANDLE_RESPONSE" and request.name != "HANDLE_REQUEST":
            ours = messages.HANDLE_RESPONSE.decode(answer).handle
            if expected.fields["header_error"] == "1":
                self.handles[int(expected.fields["handle"])] = ours
                answer = answer[:24] + expected.data[24:]
        assert answer == significant(expected), expected


def test_a_session_of_a_real_client_gets_the_same_bytes() -> None:
    replay, request = Replay(), Vector("", "")
    asked = 0
    for vector in vectors("cmap"):
        if vector.file != "session.txt":
            continue
        if vector.name.endswith("_REQUEST"):
            if vector.name == "TRACK_ADD_REQUEST" and vector.fields["key"] == "vec." and not asked:
                replay.setting.disconnect(1)
                replay.setting.connect(1)
                asked = 1
            assert replay.setting.events == []
            request, answer = vector, replay.ask(vector)
        elif vector.name == "NOTIFY_EVENT":
            assert replay.setting.events.pop(0) == (1, vector.data)
        else:
            replay.check(answer, vector, request)
    assert asked


# --- one key


@pytest.mark.parametrize(
    ("key", "kind", "data", "error"),
    [
        ("my.key", ValueType.UINT8, b"\1", CsError.OK),
        ("my.key", ValueType.UINT8, b"\1\2", CsError.INVALID_PARAM),
        ("my.key", ValueType.STRING, b"a" * 16384, CsError.OK),
        ("my.key", ValueType.STRING, b"a" * 16383 + b"\0", CsError.OK),
        ("my.key", ValueType.STRING, b"a" * 16384 + b"\0", CsError.INVALID_PARAM),
        ("my.key", ValueType.BINARY, b"", CsError.OK),
        ("my.key", ValueType.BINARY, bytes(16385), CsError.INVALID_PARAM),
        ("my.key", 0, b"", CsError.INVALID_PARAM),
        ("my.key", 13, b"", CsError.INVALID_PARAM),
        ("my", ValueType.UINT8, b"\1", CsError.NAME_TOO_LONG),
        ("my key", ValueType.UINT8, b"\1", CsError.NAME_TOO_LONG),
        ("x" * 256, ValueType.UINT8, b"\1", CsError.NAME_TOO_LONG),
        ("totem.version", ValueType.UINT32, bytes(4), CsError.ACCESS),
        ("nodelist.new.key", ValueType.UINT8, b"\1\2", CsError.ACCESS),
    ],
)
def test_set(key: str, kind: int, data: bytes, error: CsError) -> None:
    setting = Setting()
    assert setting.set(key, kind, data) is error
    assert (key in setting.cmap) == (error is CsError.OK or key == "totem.version")


def test_a_value_that_goes_beyond_its_request_is_refused() -> None:
    setting = Setting()
    for claimed in (5, 2**32, 2**64 - 1):
        error = setting.error(CmapRequest.SET, *name("my.key"), claimed, ValueType.BINARY, body=b"1234")
        assert error is CsError.INVALID_PARAM
    assert setting.error(CmapRequest.SET, *name("my.key"), 3, ValueType.BINARY, body=b"1234") is CsError.OK
    assert setting.cmap.value("my.key") == b"123"


def test_get_answers_with_as_many_bytes_as_there_is_room() -> None:
    setting = Setting()
    setting.cmap.set_str("my.key", "text")
    for room in (0, 4, 5, 100):
        answer = setting.ask(CmapRequest.GET, *name("my.key"), room)
        head = messages.GET_RESPONSE.decode(answer)
        if room == 4:
            assert (head.header_error, len(answer)) == (CsError.INVALID_PARAM, 40)
        else:
            assert (head.header_error, head.value_bytes, head.kind) == (CsError.OK, 5, ValueType.STRING)
            assert answer[40:] == (b"text\0".ljust(room, b"\0") if room else b"")


@pytest.mark.parametrize("room", [1024 * 1024, 2**40, 2**64 - 1])
def test_get_does_not_make_room_for_the_world(room: int) -> None:
    setting = Setting()
    setting.cmap.set_str("my.key", "text")
    assert setting.error(CmapRequest.GET, *name("my.key"), room) is CsError.NO_MEMORY


def test_what_is_not_there() -> None:
    setting = Setting()
    assert setting.error(CmapRequest.GET, *name("no.such"), 0) is CsError.NOT_EXIST
    assert setting.error(CmapRequest.GET, *name(""), 0) is CsError.NOT_EXIST
    assert setting.error(CmapRequest.DELETE, *name("no.such")) is CsError.NOT_EXIST
    assert setting.error(CmapRequest.ADJUST_INT, *name("no.such"), 1) is CsError.NOT_EXIST


def test_delete_and_adjust() -> None:
    setting = Setting()
    setting.cmap.set_u8("my.key", 255)
    assert setting.error(CmapRequest.ADJUST_INT, *name("my.key"), 2) is CsError.OK
    assert setting.cmap.value("my.key") == 1
    assert setting.error(CmapRequest.DELETE, *name("my.key")) is CsError.OK
    assert "my.key" not in setting.cmap
    for request, rest in ((CmapRequest.DELETE, ()), (CmapRequest.ADJUST_INT, (1,))):
        assert setting.error(request, *name("totem.version"), *rest) is CsError.ACCESS


def test_the_map_has_a_limit_that_counts_keys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting()
    used = setting.cmap.size_bytes + service.KEY_OVERHEAD_BYTES * len(setting.cmap)
    monkeypatch.setattr(service, "STORE_MAX_BYTES", used + service.KEY_OVERHEAD_BYTES + 20)
    assert setting.set("my.key", ValueType.BINARY, bytes(14)) is CsError.OK
    assert setting.set("my.other", ValueType.UINT8, bytes(1)) is CsError.NO_MEMORY
    assert setting.error(CmapRequest.DELETE, *name("my.key")) is CsError.OK
    assert setting.set("my.other", ValueType.UINT8, bytes(1)) is CsError.OK


# --- iterators


def test_iteration_gives_names_types_and_sizes_in_order() -> None:
    setting = Setting()
    setting.cmap.set_str("p.b", "xy")
    setting.cmap.set_u16("p.a", 1)
    setting.cmap.set_u8("q.a", 1)
    found = [(messages.key_of(item), item.kind, item.value_bytes) for item in setting.iterate("p.")]
    assert found == [("p.a", ValueType.UINT16, 2), ("p.b", ValueType.STRING, 3)]
    assert [messages.key_of(item) for item in setting.iterate("")] == setting.cmap.keys()
    assert setting.iterate("nothing") == []


def test_iteration_follows_the_map() -> None:
    setting = Setting()
    for key in ("p.a", "p.b", "p.d"):
        setting.cmap.set_u8(key, 1)
    handle = messages.HANDLE_RESPONSE.decode(setting.ask(CmapRequest.ITER_INIT, *name("p."))).handle

    def following() -> Any:
        return messages.key_of(messages.ITER_NEXT_RESPONSE.decode(setting.ask(CmapRequest.ITER_NEXT, handle)))

    assert following() == "p.a"
    setting.cmap.delete("p.a")
    setting.cmap.delete("p.b")
    setting.cmap.set_u8("p.c", 1)
    assert [following(), following(), following(), following()] == ["p.c", "p.d", "", ""]


def test_iterators_belong_to_their_client() -> None:
    setting = Setting()
    setting.connect(2)
    handle = messages.HANDLE_RESPONSE.decode(setting.ask(CmapRequest.ITER_INIT, *name(""))).handle
    assert setting.error(CmapRequest.ITER_NEXT, handle, client=2) is CsError.BAD_HANDLE
    assert setting.error(CmapRequest.ITER_FINALIZE, handle, client=2) is CsError.BAD_HANDLE
    assert setting.error(CmapRequest.ITER_NEXT, handle) is CsError.OK


def test_a_client_has_a_limited_number_of_iterators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ITERATORS_MAX", 2)
    setting = Setting()
    handles = [
        messages.HANDLE_RESPONSE.decode(setting.ask(CmapRequest.ITER_INIT, *name(""))).handle
        for _ in range(2)
    ]
    assert setting.error(CmapRequest.ITER_INIT, *name("")) is CsError.NO_RESOURCES
    assert setting.error(CmapRequest.ITER_FINALIZE, handles[0]) is CsError.OK
    assert setting.error(CmapRequest.ITER_INIT, *name("")) is CsError.OK


# --- trackers


def notifications(setting: Setting) -> list[tuple[int, int, str, bytes, bytes]]:
    """(client, event, key, new, old) of what was sent."""
    setting.collect()
    found = []
    for client, data in setting.events:
        head = messages.NOTIFY_EVENT.decode(data)
        assert head.header_size == len(data) == 336 + head.new_bytes + head.old_bytes
        values = data[336:]
        found.append(
            (client, head.event, messages.key_of(head), values[: head.new_bytes], values[head.new_bytes :])
        )
    setting.events.clear()
    return found


def test_changes_from_anywhere_are_told() -> None:
    setting = Setting()
    setting.connect(2)
    setting.track("k.", ALL_EVENTS | PREFIX, client=2)
    setting.set("k.a", ValueType.UINT8, b"\1")
    setting.cmap.set_str("k.a", "x")
    setting.cmap.delete("k.a")
    assert notifications(setting) == [
        (2, 4, "k.a", b"\1", b""),
        (2, 2, "k.a", b"x\0", b"\1"),
        (2, 1, "k.a", b"", b"x\0"),
    ]


def test_the_notification_comes_before_the_response() -> None:
    setting = Setting()
    setting.track("k.a", ALL_EVENTS)
    request = messages.SET_REQUEST
    message = request.encode(CmapRequest.SET, request.size + 1, *name("k.a"), 1, ValueType.UINT8) + b"\1"
    setting.service.on_request(1, CmapRequest.SET, memoryview(message), setting.now_ns)
    assert [type(output).__name__ for output in setting.collect()] == ["SendEvent", "Respond"]


def test_untracking_gives_back_the_clients_own_handle_and_ends_it() -> None:
    setting = Setting()
    handle = setting.track("k.a", ALL_EVENTS, own_handle=2**63)
    answer = messages.HANDLE_RESPONSE.decode(setting.ask(CmapRequest.TRACK_DELETE, handle))
    assert (answer.header_error, answer.handle) == (CsError.OK, 2**63)
    setting.cmap.set_u8("k.a", 1)
    assert notifications(setting) == []
    assert setting.error(CmapRequest.TRACK_DELETE, handle) is CsError.BAD_HANDLE


def test_a_client_that_is_gone_hears_nothing() -> None:
    setting = Setting()
    setting.track("", ALL_EVENTS | PREFIX)
    setting.disconnect(1)
    setting.disconnect(1)
    setting.cmap.set_u8("k.a", 1)
    assert notifications(setting) == []
    assert setting.error(CmapRequest.GET, *name("k.a"), 0) is CsError.BAD_HANDLE


def test_a_client_has_a_limited_number_of_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TRACKERS_MAX", 2)
    setting = Setting()
    setting.track("a", ALL_EVENTS)
    setting.track("a", ALL_EVENTS)
    assert setting.error(CmapRequest.TRACK_ADD, *name("a"), ALL_EVENTS, 1) is CsError.NO_RESOURCES


@pytest.mark.parametrize("events", [16, -1, -(2**31), 2**31 - 1])
def test_unknown_events_are_refused(events: int) -> None:
    setting = Setting()
    assert setting.error(CmapRequest.TRACK_ADD, *name("a"), events, 1) is CsError.INVALID_PARAM
    assert setting.error(CmapRequest.SET_CURRENT_MAP, CmapMap.STATS) is CsError.OK
    error = setting.error(CmapRequest.TRACK_ADD, *name("a"), events, 1)
    assert error in (CsError.INVALID_PARAM, CsError.NOT_SUPPORTED)


# --- the statistics map


def test_the_statistics_map() -> None:
    setting = Setting()
    done: list[str] = []
    setting.stats.add_clear("knet", lambda: done.append("knet"))
    assert setting.error(CmapRequest.SET_CURRENT_MAP, CmapMap.STATS) is CsError.OK
    keys = [messages.key_of(item) for item in setting.iterate("stats.pg.")]
    assert keys == ["stats.pg.msg_queue_avail", "stats.pg.msg_reserved"]
    assert setting.ask(CmapRequest.GET, *name(keys[0]), 4)[40:] == b"\2\0\0\0"
    assert setting.error(CmapRequest.GET, *name("totem.version"), 0) is CsError.NOT_EXIST
    assert setting.set(keys[0], ValueType.UINT32, bytes(4)) is CsError.ACCESS
    assert setting.set("stats.clear.knet", ValueType.UINT32, b"?") is CsError.OK
    assert setting.set("stats.clear.what", ValueType.UINT32, b"?") is CsError.NOT_SUPPORTED
    assert setting.error(CmapRequest.DELETE, *name("stats.clear.knet")) is CsError.NOT_SUPPORTED
    assert setting.error(CmapRequest.ADJUST_INT, *name("stats.clear.knet"), 1) is CsError.NOT_SUPPORTED
    assert done == ["knet"]


def test_statistics_that_are_tracked_are_polled() -> None:
    setting = Setting()
    assert setting.service.next_deadline() is None
    setting.ask(CmapRequest.SET_CURRENT_MAP, CmapMap.STATS)
    handle = setting.track("stats.pg.msg_reserved", ALL_EVENTS)
    deadline = setting.service.next_deadline()
    assert deadline == setting.now_ns + 1.5 * SECOND
    setting.figures["stats.pg.msg_reserved"] = 9
    setting.service.on_timer(deadline - 1)
    assert notifications(setting) == []
    setting.service.on_timer(deadline)
    assert notifications(setting) == [(1, 2, "stats.pg.msg_reserved", b"\x09\0\0\0", b"\1\0\0\0")]
    setting.ask(CmapRequest.TRACK_DELETE, handle)
    setting.service.on_timer(setting.service.next_deadline() or 0)
    assert setting.service.next_deadline() is None


def test_maps_are_not_changed_under_an_iterator_or_tracker() -> None:
    setting = Setting()
    handle = setting.track("k", ALL_EVENTS)
    assert setting.error(CmapRequest.SET_CURRENT_MAP, CmapMap.STATS) is CsError.BUSY
    setting.ask(CmapRequest.TRACK_DELETE, handle)
    handle = messages.HANDLE_RESPONSE.decode(setting.ask(CmapRequest.ITER_INIT, *name(""))).handle
    assert setting.error(CmapRequest.SET_CURRENT_MAP, CmapMap.DEFAULT) is CsError.BUSY
    setting.ask(CmapRequest.ITER_FINALIZE, handle)
    for unknown in (2, -1):
        assert setting.error(CmapRequest.SET_CURRENT_MAP, unknown) is CsError.NOT_EXIST
    assert setting.error(CmapRequest.SET_CURRENT_MAP, CmapMap.STATS) is CsError.OK


# --- hostile clients


def random_request(rng: Random) -> bytes:
    """Something like a request: a layout with random fields, cut or grown, sometimes plain noise."""
    number = rng.choice(list(CmapRequest))
    keys = [
        b"",
        b"k.a",
        b"k.",
        b"totem.version",
        b"stats.clear.all",
        b"stats.pg.",
        b"x" * 256,
        rng.randbytes(9),
    ]
    numbers = [0, 1, 2, 3, 8, 16, 255, 2**31 - 1, 2**32, 2**63, 2**64 - 1]
    head = number.to_bytes(4, "little") + rng.randbytes(12)
    if number in (CmapRequest.ITER_NEXT, CmapRequest.ITER_FINALIZE, CmapRequest.TRACK_DELETE):
        tail = rng.randrange(30).to_bytes(8, "little")
    elif number is CmapRequest.SET_CURRENT_MAP:
        tail = rng.choice(numbers).to_bytes(8, "little")
    else:
        key = rng.choice(keys)
        tail = len(key).to_bytes(2, "little") + bytes(6) + key.ljust(256, b"\0")
        tail += b"".join(rng.choice(numbers).to_bytes(8, "little") for _ in range(2))
        tail += rng.randbytes(rng.choice([0, 1, 4, 8, 300]))
    message = head + tail
    return message[: rng.randrange(16, len(message) + 1)] if rng.random() < 0.3 else message


@pytest.mark.parametrize("seed", range(5))
def test_any_request_is_answered_once_and_costs_little(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ITERATORS_MAX", 50)
    monkeypatch.setattr(service, "TRACKERS_MAX", 20)
    rng, setting = Random(seed), Setting()
    setting.connect(2)
    for _ in range(2000):
        client = rng.choice([1, 2])
        payload = setting.raw(random_request(rng), client)
        assert len(payload) <= service.RESPONSE_MAX_BYTES, seed
        CsError(RESPONSE_HEADER.decode(payload).error)
        setting.events.clear()
    setting.service.on_timer(setting.now_ns + 100 * SECOND)
    setting.disconnect(1)
    setting.disconnect(2)
    setting.collect()
    setting.cmap.set_u8("k.a", 200)
    assert setting.collect() == [], seed
    assert not setting.stats.is_tracked, seed
