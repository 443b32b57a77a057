"""Everything that libvotequorum offers; votequorum_script.py pair: while another node comes and goes."""

import sys
from typing import Any

from binding import (
    POINTER,
    Library,
    ask_test,
    byref,
    c_uint,
    c_uint32,
    c_uint64,
    c_void_p,
    ctypes,
    dispatch_until,
    say,
    settle,
)

CURRENT, CHANGES = 1, 2
votes = Library("libvotequorum.so.8", "votequorum_")
NUMBERS = (
    "node_id", "node_state", "node_votes", "node_expected_votes", "highest_expected", "total_votes", "quorum",
    "flags", "qdevice_votes",
)  # fmt: skip
seen: list[str] = []


class Info(ctypes.Structure):
    """struct votequorum_info."""

    _fields_ = (*((name, c_uint) for name in NUMBERS), ("qdevice_name", ctypes.c_char * 255))


class RingId(ctypes.Structure):
    """votequorum_ring_id_t."""

    _fields_ = (("nodeid", c_uint32), ("seq", c_uint64))


class Node(ctypes.Structure):
    """votequorum_node_t."""

    _fields_ = (("nodeid", c_uint32), ("state", c_uint32))


QUORUM = ctypes.CFUNCTYPE(None, c_uint64, c_uint64, c_uint32, c_uint32, POINTER(Node))
EXPECTED = ctypes.CFUNCTYPE(None, c_uint64, c_uint64, c_uint32)
NODES = ctypes.CFUNCTYPE(None, c_uint64, c_uint64, RingId, c_uint32, POINTER(c_uint32))
ring = RingId()


def note(text: str) -> None:
    seen.append(text)
    say(" ", text)


@QUORUM
def on_quorum(_handle: int, context: int, quorate: int, count: int, nodes: Any) -> None:
    states = " ".join(f"{nodes[i].nodeid}:{nodes[i].state}" for i in range(count))
    note(f"quorum {quorate} context {context} nodes {states}")


@EXPECTED
def on_expected(_handle: int, context: int, expected: int) -> None:
    note(f"expected {expected} context {context}")


@NODES
def on_nodes(_handle: int, context: int, ring_id: RingId, count: int, nodes: Any) -> None:
    ring.nodeid, ring.seq = ring_id.nodeid, ring_id.seq
    note(f"nodes {[nodes[i] for i in range(count)]} ring of {ring_id.nodeid} context {context}")


class Callbacks(ctypes.Structure):
    """votequorum_callbacks_t."""

    _fields_ = (("quorum", QUORUM), ("expected", EXPECTED), ("nodes", NODES))


def getinfo(handle: c_uint64, node: int) -> None:
    info = Info()
    if votes.call("getinfo", handle, node, byref(info), show=node) == "OK":
        say("  ", " ".join(f"{name}={getattr(info, name)}" for name in NUMBERS), info.qdevice_name.decode())


def device(handle: c_uint64) -> None:
    say("# a quorum device")
    for name in (b"Lab", b"", b"x" * 255, b"x" * 254):
        votes.call("qdevice_poll", handle, name, 1, ring, show=f"before register {len(name)}")
        votes.call("qdevice_unregister", handle, name, show=f"before register {len(name)}")
    votes.call("qdevice_register", handle, b"Lab")
    getinfo(handle, 0)
    settle(votes, handle)
    votes.call("qdevice_register", handle, b"Lab", show="again")
    votes.call("qdevice_register", handle, b"Other", show="another")
    stale = RingId(ring.nodeid, ring.seq + 100)
    votes.call("qdevice_poll", handle, b"Lab", 1, stale, show="another ring")
    votes.call("qdevice_poll", handle, b"Other", 1, ring, show="wrong name")
    votes.call("qdevice_poll", handle, b"Lab", 1, ring)
    settle(votes, handle)
    getinfo(handle, 1)
    votes.call("qdevice_master_wins", handle, b"Lab", 1)
    votes.call("qdevice_master_wins", handle, b"Other", 1, show="wrong name")
    getinfo(handle, 1)
    votes.call("qdevice_update", handle, b"Lab", b"Renamed")
    votes.call("qdevice_update", handle, b"Lab", b"Renamed", show="again")
    settle(votes, handle)  # the answer does not wait for the ring
    getinfo(handle, 0)
    votes.call("qdevice_poll", handle, b"Renamed", 0, ring, show="no vote")
    settle(votes, handle)
    getinfo(handle, 1)
    votes.call("qdevice_unregister", handle, b"Renamed")
    settle(votes, handle)
    getinfo(handle, 1)


def watch(handle: c_uint64) -> None:
    for action in ("stop 2", "start 2", "kill 2", "start 2"):
        seen.clear()
        ask_test(action)
        nodes = "nodes [1, 2]" if action.startswith("start") else "nodes [1]"
        dispatch_until(votes, handle, lambda nodes=nodes: any(text.startswith(nodes) for text in seen))
        settle(votes, handle)
        getinfo(handle, 1)
        getinfo(handle, 2)


def main() -> None:
    handle = c_uint64()
    keep = Callbacks(on_quorum, on_expected, on_nodes)
    votes.call("initialize", byref(handle), byref(keep))
    for node in (1, 2, 0, 99, 2**32 - 1):
        getinfo(handle, node)
    votes.call("trackstop", handle, show="before start")
    votes.call("trackstart", handle, c_uint64(5), 0, show="no flags")
    votes.call("trackstart", handle, c_uint64(5), 8, show="unknown flags")
    votes.call("trackstart", handle, c_uint64(2**40 + 5), CURRENT | CHANGES)
    dispatch_until(votes, handle, lambda: any(text.startswith("nodes") for text in seen))
    settle(votes, handle)
    say("# votes")
    for node, count in ((1, 3), (2, 0), (2, 2), (1, 1), (99, 1), (0, 1)):
        votes.call("setvotes", handle, node, count, show=f"{node} {count}")
        settle(votes, handle)
        getinfo(handle, 1)
    votes.call("setvotes", handle, 2, 1, show="2 1")
    settle(votes, handle)
    for expected in (0, 1, 2, 3, 5, 7, 2):
        votes.call("setexpected", handle, expected, show=expected)
        settle(votes, handle)
        getinfo(handle, 1)
    if sys.argv[1] == "pair":
        watch(handle)
    device(handle)
    say("# the end")
    context = c_void_p()
    votes.call("context_set", handle, c_void_p(5))
    votes.call("context_get", handle, byref(context))
    votes.call("trackstop", handle)
    votes.call("finalize", handle)
    getinfo(handle, 1)


main()
