"""libquorum in its three models; quorum_script.py pair: while another node comes and goes."""

import sys
from typing import Any

from binding import (
    POINTER,
    Library,
    ask_test,
    byref,
    c_int,
    c_uint,
    c_uint32,
    c_uint64,
    c_void_p,
    ctypes,
    dispatch_until,
    say,
    settle,
)

CURRENT, CHANGES, CHANGES_ONLY = 1, 2, 4
DISPATCH_ALL = 2
quorum = Library("libquorum.so.5", "quorum_")
seen: dict[str, list[str]] = {"plain": [], "v0": [], "v1": []}
LIST = POINTER(c_uint32)


class RingId(ctypes.Structure):
    """struct quorum_ring_id."""

    _fields_ = (("nodeid", c_uint32), ("seq", c_uint64))


def ids(count: int, nodes: Any) -> list[int]:
    return [nodes[i] for i in range(count)]


def note(which: str, text: str) -> None:
    seen[which].append(text)


PLAIN = ctypes.CFUNCTYPE(None, c_uint64, c_uint32, c_uint64, c_uint32, LIST)
V1_QUORUM = ctypes.CFUNCTYPE(None, c_uint64, c_uint32, RingId, c_uint32, LIST)
V1_NODES = ctypes.CFUNCTYPE(None, c_uint64, RingId, c_uint32, LIST, c_uint32, LIST, c_uint32, LIST)


@PLAIN
def on_plain(_handle: int, quorate: int, _seq: int, count: int, nodes: Any) -> None:
    note("plain", f"quorate {quorate} nodes {ids(count, nodes)}")


@PLAIN
def on_v0(_handle: int, quorate: int, _seq: int, count: int, nodes: Any) -> None:
    note("v0", f"quorate {quorate} nodes {ids(count, nodes)}")


@V1_QUORUM
def on_v1_quorum(_handle: int, quorate: int, ring: RingId, count: int, nodes: Any) -> None:
    note("v1", f"quorate {quorate} ring of {ring.nodeid} nodes {ids(count, nodes)}")


@V1_NODES
def on_v1_nodes(
    _handle: int, ring: RingId, count: int, nodes: Any, n_joined: int, joined: Any, n_left: int, left: Any
) -> None:
    changed = f"joined {ids(n_joined, joined)} left {ids(n_left, left)}"
    note("v1", f"nodes {ids(count, nodes)} ring of {ring.nodeid} {changed}")


class Plain(ctypes.Structure):
    """quorum_callbacks_t."""

    _fields_ = (("notify", PLAIN),)


class V0(ctypes.Structure):
    """quorum_model_v0_data_t."""

    _fields_ = (("model", c_int), ("notify", PLAIN))


class V1(ctypes.Structure):
    """quorum_model_v1_data_t."""

    _fields_ = (("model", c_int), ("quorum", V1_QUORUM), ("nodes", V1_NODES))


def main() -> None:
    handles = {"plain": c_uint64(), "v0": c_uint64(), "v1": c_uint64()}
    kind = c_uint32()
    keep = (Plain(on_plain), V0(0, on_v0), V1(1, on_v1_quorum, on_v1_nodes))
    quorum.call("initialize", byref(handles["plain"]), byref(keep[0]), byref(kind))
    say("type", kind.value)
    for model, (name, data) in enumerate((("v0", keep[1]), ("v1", keep[2]))):
        quorum.call(
            "model_initialize", byref(handles[name]), model, byref(data), byref(kind), c_void_p(9), show=name
        )
        say("type", kind.value)
    quorum.call("model_initialize", byref(c_uint64()), 2, byref(keep[2]), byref(kind), None, show="model 2")
    quorate = c_int()
    quorum.call("getquorate", handles["v1"], byref(quorate))
    say("quorate", quorate.value)
    for name, handle in handles.items():
        quorum.call("trackstop", handle, show=f"{name} before start")
        quorum.call("trackstart", handle, 0, show=f"{name} no flags")
        quorum.call("trackstart", handle, 8, show=f"{name} unknown flags")
    quorum.call("trackstart", handles["plain"], CURRENT, show="plain current")
    # What a request has caused is there when its answer is: nobody has to wait.
    quorum.call("dispatch", handles["plain"], DISPATCH_ALL, show="plain at once")
    say("told at once", len(seen["plain"]))
    quorum.call("trackstart", handles["v0"], CHANGES, show="v0 changes")
    quorum.call("trackstart", handles["v1"], CURRENT | CHANGES, show="v1 both")
    quorum.call("trackstart", handles["v1"], CURRENT | CHANGES, show="v1 again")
    dispatch_until(quorum, handles["plain"], lambda: len(seen["plain"]) == 1)
    dispatch_until(quorum, handles["v1"], lambda: len(seen["v1"]) >= 2)
    settle_all(handles)
    if sys.argv[1] == "pair":
        watch(handles)
    for name, handle in handles.items():
        quorum.call("trackstop", handle, show=name)
        quorum.call("trackstop", handle, show=f"{name} again")
        quorum.call("finalize", handle, show=name)
        quorum.call("getquorate", handle, byref(c_uint()), show="after finalize")


def watch(handles: dict[str, c_uint64]) -> None:
    quorate = c_int()
    for action, wanted in (
        ("stop 2", "left [2]"),
        ("start 2", "joined [2]"),
        ("kill 2", "left [2]"),
        ("start 2", "joined [2]"),
    ):
        ask_test(action)
        dispatch_until(
            quorum, handles["v1"], lambda wanted=wanted: any(wanted in text for text in seen["v1"])
        )
        # The other clients' events are there too once this one's are.
        settle_all(handles)
        quorum.call("getquorate", handles["v0"], byref(quorate))
        say("quorate", quorate.value)


def settle_all(handles: dict[str, c_uint64]) -> None:
    """Print what each client has been told: in its order, since nothing orders clients among each other."""
    for name in ("plain", "v0", "v1"):
        settle(quorum, handles[name])
        for text in seen[name]:
            say(f"  {name}: {text}")
        seen[name].clear()


main()
