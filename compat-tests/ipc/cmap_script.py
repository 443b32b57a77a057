"""Everything that libcmap offers, right and wrong."""

import struct

from binding import (
    DISPATCH_ONE_NONBLOCKING,
    Library,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint64,
    c_void_p,
    ctypes,
    dispatch_until,
    has_event,
    say,
    settle,
)

TYPES = ("", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "flt", "dbl", "str", "bin")
FORMATS = dict(zip(TYPES[1:11], "bBhHiIqQfd", strict=True))
ADD, DELETE, MODIFY, PREFIX = 4, 1, 2, 8
EVENTS = {ADD: "add", DELETE: "delete", MODIFY: "modify"}

cmap = Library("libcmap.so.4", "cmap_")


class NotifyValue(ctypes.Structure):
    """struct cmap_notify_value."""

    _fields_ = (("kind", c_int), ("length", c_size_t), ("data", c_void_p))


NOTIFY = ctypes.CFUNCTYPE(None, c_uint64, c_uint64, c_int, c_char_p, NotifyValue, NotifyValue, c_void_p)
seen: list[str] = []


def show(kind: int, data: bytes) -> str:
    if TYPES[kind] in FORMATS:
        return f"{TYPES[kind]} {struct.unpack(FORMATS[TYPES[kind]], data)[0]}"
    return f"{TYPES[kind]} {len(data)} {data[:40]!r}"


def show_notified(value: NotifyValue) -> str:
    return show(value.kind, ctypes.string_at(value.data, value.length)) if value.kind else "-"


@NOTIFY
def on_change(
    _handle: int, _track: int, event: int, key: bytes, new: NotifyValue, old: NotifyValue, user: int
) -> None:
    line = f"  {EVENTS[event]} {key.decode()} new {show_notified(new)} old {show_notified(old)} user {user}"
    seen.append(line)
    say(line)


def connect(which: int | None = None) -> c_uint64:
    handle = c_uint64()
    if which is None:
        cmap.call("initialize", byref(handle))
    else:
        cmap.call("initialize_map", byref(handle), which, show=which)
    return handle


def put(handle: c_uint64, key: bytes, kind: str, data: bytes) -> None:
    shown = f"{key[:30].decode('latin-1')}({len(key)}) {kind} {len(data)}"
    cmap.call("set", handle, key, data, c_size_t(len(data)), TYPES.index(kind), show=shown)


def get(handle: c_uint64, key: bytes, room: int = 1_000_000) -> None:
    buffer, length, kind = ctypes.create_string_buffer(room), c_size_t(room), c_int()
    result = cmap.call(
        "get", handle, key, buffer, byref(length), byref(kind), show=f"{key[:30].decode()} room {room}"
    )
    say("  length", length.value if result in ("OK", "INVALID_PARAM") else "-")
    if result == "OK":
        say(" ", show(kind.value, buffer.raw[: length.value]))


def values(handle: c_uint64) -> None:
    say("# values of every type")
    for kind, code in FORMATS.items():
        size = struct.calcsize(code)
        for data in (bytes(size), b"\xff" * size, bytes(range(1, size + 1))):
            if code in "fd" and data[:1] == b"\xff":
                data = struct.pack(code, -1.5)
            put(handle, b"t.num", kind, data)
            get(handle, b"t.num")
        put(handle, b"t.num", kind, bytes(size + 1))
        put(handle, b"t.num", kind, bytes(size - 1))
    put(handle, b"t.str", "str", b"hello\0")
    get(handle, b"t.str")
    put(handle, b"t.str", "str", b"unterminated")
    get(handle, b"t.str")
    put(handle, b"t.str", "str", b"in\0side\0")
    get(handle, b"t.str")
    put(handle, b"t.str", "str", b"\0")
    get(handle, b"t.str")
    put(handle, b"t.str", "str", b"")
    put(handle, b"t.bin", "bin", b"\0\1\2\xff")
    get(handle, b"t.bin")
    put(handle, b"t.bin", "bin", b"")
    get(handle, b"t.bin")
    for size in (1000, 65536, 1 << 18, 900_000):
        put(handle, b"t.bin", "bin", b"z" * size)
        get(handle, b"t.bin")
    get(handle, b"t.str", 0)
    get(handle, b"t.bin", 3)
    cmap.call("get", handle, b"t.bin", None, None, None, show="only existence")
    cmap.call("set", handle, b"t.kind", b"abcd", c_size_t(4), 0, show="kind 0")
    cmap.call("set", handle, b"t.kind", b"abcd", c_size_t(4), 13, show="kind 13")
    for function, result in (
        ("get_uint8", ctypes.c_uint8()),
        ("get_int64", ctypes.c_int64()),
        ("get_double", ctypes.c_double()),
    ):
        cmap.call(function, handle, b"t.bin", byref(result), show="wrong type")


def names(handle: c_uint64) -> None:
    say("# names")
    for key in (
        b"a",
        b"ab",
        b"abc",
        b"x" * 255,
        b"x" * 256,
        b"sp ace",
        b"t.\xe4",
        b"UPPER.case_1-2:3/4",
        b"",
        b"t..x",
        b"t.,",
    ):
        put(handle, key, "u8", b"\1")
        cmap.call("delete", handle, key, show=f"{key[:30].decode('latin-1')}")
    cmap.call("delete", handle, b"t.none", show="t.none")
    get(handle, b"t.none")


def arithmetic(handle: c_uint64) -> None:
    say("# inc and dec")
    for kind, code in list(FORMATS.items())[:8]:
        put(handle, b"t.n", kind, bytes(struct.calcsize(code)))
        cmap.call("dec", handle, b"t.n")
        get(handle, b"t.n")
        cmap.call("inc", handle, b"t.n")
        cmap.call("inc", handle, b"t.n")
        get(handle, b"t.n")
    put(handle, b"t.n", "str", b"7\0")
    cmap.call("inc", handle, b"t.n", show="a string")
    cmap.call("inc", handle, b"t.none", show="nothing")


def read_only(handle: c_uint64) -> None:
    say("# what clients may not change")
    for key in (
        b"totem.version",
        b"runtime.members.1.status",
        b"nodelist.local_node_pos",
        b"totem.cluster_name",
    ):
        put(handle, key, "u32", b"\1\0\0\0")
        cmap.call("delete", handle, key, show=key.decode())
        cmap.call("inc", handle, key, show=key.decode())


def iteration(handle: c_uint64) -> None:
    say("# iteration")
    for key in (b"it.a", b"it.b.c", b"it.b.d", b"it.e", b"iu.x"):
        put(handle, key, "u16", b"\1\0")
    for prefix in (b"it.", b"it.b", b"it.z", b"nodelist."):
        iterator = c_uint64()
        cmap.call("iter_init", handle, prefix, byref(iterator), show=prefix.decode())
        walk(handle, iterator, delete=b"it.b.d" if prefix == b"it." else None)
        cmap.call("iter_finalize", handle, iterator)
        cmap.call("iter_finalize", handle, iterator, show="again")
    cmap.call(
        "iter_next", handle, c_uint64(4711), ctypes.create_string_buffer(256), None, None, show="unknown"
    )


def walk(handle: c_uint64, iterator: c_uint64, delete: bytes | None) -> None:
    key, length, kind = ctypes.create_string_buffer(256), c_size_t(), c_int()
    while True:
        result = cmap.quiet("iter_next", handle, iterator, key, byref(length), byref(kind))
        say(
            "  next",
            result,
            *((key.value.decode(), length.value, TYPES[kind.value]) if result == "OK" else ()),
        )
        if result != "OK":
            return
        if delete:
            cmap.call("delete", handle, delete, show="while walking")
            delete = None


def tracking(handle: c_uint64, other: c_uint64) -> None:
    say("# tracking")
    tracks = [c_uint64() for _ in range(4)]
    cmap.call("track_add", handle, b"tr.a", ADD | DELETE | MODIFY, on_change, c_void_p(1), byref(tracks[0]))
    cmap.call("track_add", handle, b"tr.", ADD | PREFIX, on_change, c_void_p(2), byref(tracks[1]))
    cmap.call("track_add", handle, b"tr.a", DELETE, on_change, c_void_p(3), byref(tracks[2]))
    cmap.call(
        "track_add",
        handle,
        None,
        MODIFY | PREFIX,
        on_change,
        c_void_p(4),
        byref(tracks[3]),
        show="everything",
    )
    for key, kind, data in (
        (b"tr.a", "u8", b"\1"), (b"tr.a", "u8", b"\1"), (b"tr.a", "u8", b"\2"), (b"tr.a", "u16", b"\2\0"),
        (b"tr.ab", "str", b"x\0"), (b"tr.ab", "str", b"yy\0"), (b"tr.big", "bin", b"q" * 100000),
        (b"tr.big", "bin", b"r" * 9),
    ):  # fmt: skip
        put(other, key, kind, data)
    cmap.call("inc", other, b"tr.a")
    cmap.call("delete", other, b"tr.a")
    dispatch_until(cmap, handle, lambda: any(" delete tr.a" in line and "user 3" in line for line in seen))
    settle(cmap, handle)
    for track in tracks:
        cmap.call("track_delete", handle, track)
        cmap.call("track_delete", handle, track, show="again")
    put(other, b"tr.a", "u8", b"\3")
    say("an event after track_delete:", has_event(cmap, handle))
    cmap.call("dispatch", handle, DISPATCH_ONE_NONBLOCKING, show="nothing there")
    for flags in (0, PREFIX, 16, 255, ADD | 16):
        cmap.call(
            "track_add", handle, b"tr.a", flags, on_change, None, byref(c_uint64()), show=f"flags {flags}"
        )
    cmap.call("track_add", handle, b"x" * 256, ADD, on_change, None, byref(c_uint64()), show="long name")
    cmap.call("track_add", handle, b"tr.a", ADD, None, None, byref(c_uint64()), show="no callback")


def many_events(handle: c_uint64, other: c_uint64) -> None:
    say("# events queue up while nobody dispatches")
    seen.clear()
    track = c_uint64()
    quiet: list[int] = []

    @NOTIFY
    def count(
        _handle: int, _track: int, _event: int, _key: bytes, new: NotifyValue, _old: NotifyValue, _user: int
    ) -> None:
        quiet.append(ctypes.cast(new.data, ctypes.POINTER(ctypes.c_uint32))[0])

    cmap.call("track_add", handle, b"q.n", ADD | MODIFY, count, None, byref(track))
    for number in range(20000):
        cmap.quiet("set_uint32", other, b"q.n", number)
    dispatch_until(cmap, handle, lambda: len(quiet) == 20000)
    say("in order:", quiet == list(range(20000)))
    cmap.call("track_delete", handle, track)


def maps() -> None:
    say("# maps")
    handle = connect(1)
    get_first = ctypes.create_string_buffer(64)
    length, kind = c_size_t(64), c_int()
    cmap.call("get", handle, b"stats.srp.orf_token_tx", get_first, byref(length), byref(kind), show="stats")
    say("  ", TYPES[kind.value], length.value)
    put(handle, b"stats.x", "u8", b"\1")
    cmap.call("delete", handle, b"stats.srp.orf_token_tx")
    cmap.call("inc", handle, b"stats.srp.orf_token_tx")
    get(handle, b"totem.version")
    cmap.call("finalize", handle)
    cmap.call("finalize", connect(0))
    connect(2)
    connect(-1)


def main() -> None:
    handle, other = connect(), connect()
    values(handle)
    names(handle)
    arithmetic(handle)
    read_only(handle)
    iteration(handle)
    tracking(handle, other)
    many_events(handle, other)
    maps()
    say("# the end")
    context = c_void_p()
    cmap.call("context_set", handle, c_void_p(77))
    cmap.call("context_get", handle, byref(context))
    say(context.value)
    cmap.call("finalize", handle)
    cmap.call("finalize", handle, show="again")
    get(handle, b"totem.version")
    cmap.call("finalize", other)


main()
