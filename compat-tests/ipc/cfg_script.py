"""Everything that libcfg offers, and how the vote on a shutdown ends.

cfg_script.py vote: one that the daemon survives; cfg_script.py end: one that ends it.
"""

import sys
import threading
from typing import Any

from binding import (
    DISPATCH_ALL,
    Library,
    byref,
    c_int,
    c_size_t,
    c_uint,
    c_uint8,
    c_uint64,
    ctypes,
    dispatch_until,
    has_event,
    say,
    settle,
)

REQUEST, REGARDLESS, IMMEDIATE = 0, 1, 2
NO, YES = 0, 1
cfg = Library("libcfg.so.7", "corosync_cfg_")
asked: list[int] = []

SHUTDOWN = ctypes.CFUNCTYPE(None, c_uint64, c_int)


@SHUTDOWN
def on_shutdown(_handle: int, flags: int) -> None:
    asked.append(flags)
    say("  asked to shut down, flags", flags)


class Callbacks(ctypes.Structure):
    """corosync_cfg_callbacks_t."""

    _fields_ = (("shutdown", SHUTDOWN),)


class NodeAddress(ctypes.Structure):
    """corosync_cfg_node_address_t."""

    _fields_ = (("length", c_int), ("address", c_uint8 * 28))


class LinkStatus(ctypes.Structure):
    """struct corosync_knet_link_status_v1."""

    _fields_ = (
        ("enabled", c_uint8),
        ("connected", c_uint8),
        ("dynamic", c_uint8),
        ("mtu", c_uint),
        ("source", ctypes.c_char * 256),
        ("destination", ctypes.c_char * 256),
    )


class NodeStatus(ctypes.Structure):
    """struct corosync_cfg_node_status_v1."""

    _fields_ = (
        ("version", c_int),
        ("nodeid", c_uint),
        ("reachable", c_uint8),
        ("remote", c_uint8),
        ("external", c_uint8),
        ("onwire_min", c_uint8),
        ("onwire_max", c_uint8),
        ("onwire_version", c_uint8),
        ("links", LinkStatus * 8),
    )


CALLBACKS = Callbacks(on_shutdown)


def connect() -> c_uint64:
    handle = c_uint64()
    cfg.call("initialize", byref(handle), byref(CALLBACKS))
    return handle


def questions(handle: c_uint64) -> None:
    node, count = c_uint(), c_int()
    cfg.call("local_get", handle, byref(node))
    say("  node", node.value)
    for number, room in ((1, 8), (2, 8), (99, 8), (0, 8), (1, 1), (1, 0)):
        found = (NodeAddress * 8)()
        result = cfg.call(
            "get_node_addrs", handle, number, c_size_t(room), byref(count), found, show=(number, room)
        )
        if result == "OK":
            say("  ", [bytes(found[i].address[:8]).hex() for i in range(min(count.value, room))])
    for number, version in ((1, 1), (2, 1), (99, 1), (0, 1), (1, 0), (1, 2)):
        status = NodeStatus()
        result = cfg.call("node_status_get", handle, number, version, byref(status), show=(number, version))
        if result == "OK":
            say("  ", status.nodeid, status.reachable, status.remote, status.external)
            for link in status.links:
                if link.enabled:
                    say("    ", link.connected, link.dynamic, link.mtu, link.source, link.destination)
    cfg.call("reopen_log_files", handle)
    cfg.call("reload_config", handle)
    cfg.call("kill_node", handle, 99, b"not there", show=99)


class Shutdown(threading.Thread):
    """A client that asks for the shutdown: the call returns when the vote has ended."""

    def __init__(self, flags: int) -> None:
        super().__init__()
        self.handle = connect()
        self.flags = flags
        self.result = ""
        self.start()

    def run(self) -> None:
        self.result = cfg.quiet("try_shutdown", self.handle, self.flags)

    def end(self) -> None:
        self.join()
        say(f"try_shutdown {self.flags} ->", self.result)
        cfg.call("finalize", self.handle)


def vote(trackers: list[c_uint64], answers: list[int | None]) -> None:
    """Each tracker answers NO or YES, or (None) goes away without an answer."""
    say(f"# a vote: {answers}")
    asked.clear()
    shutdown = Shutdown(REQUEST)
    for number, (tracker, answer) in enumerate(zip(trackers, answers, strict=True), 1):
        dispatch_until(cfg, tracker, lambda number=number: len(asked) >= number)
        if answer is None:
            cfg.call("finalize", tracker, show="without an answer")
        else:
            cfg.call("replyto_shutdown", tracker, answer, show=answer)
    shutdown.end()


def main() -> None:
    handle = connect()
    questions(handle)
    say("# tracking")
    cfg.call("trackstop", handle, show="before start")
    for flags in (0, 1, 2, 255):
        cfg.call("trackstart", handle, c_uint8(flags), show=flags)
        cfg.call("trackstop", handle)
    cfg.call("trackstop", handle, show="again")
    cfg.call("replyto_shutdown", handle, NO, show="unasked")
    trackers = [connect(), connect()]
    for tracker in trackers:
        cfg.call("trackstart", tracker, c_uint8(2))
    vote(trackers, [NO, NO])
    vote(trackers, [YES, NO])
    say("an event left over:", any(has_event(cfg, tracker) for tracker in trackers))
    say("# a vote that nobody answers")
    shutdown = Shutdown(REQUEST)
    other = Shutdown(REQUEST)
    asked.clear()
    dispatch_until(cfg, trackers[0], lambda: len(asked) >= 1)
    shutdown.join()
    other.join()
    # Which of the two came first is the kernel's choice.
    say("try_shutdown, twice at once ->", *sorted((shutdown.result, other.result)))
    for tracker in trackers:
        settle(cfg, tracker)


def end() -> None:
    """Everybody agrees: the daemon ends, and every client learns of it."""
    handle, tracker = connect(), connect()
    cfg.call("trackstart", tracker, c_uint8(2))
    vote([tracker], [YES])
    wait_for_the_end(handle)


def wait_for_the_end(handle: Any) -> None:
    while has_event(cfg, handle, 20):
        if cfg.quiet("dispatch", handle, DISPATCH_ALL) != "OK":
            break
    cfg.call("local_get", handle, byref(c_uint()), show="after the daemon's end")


{"vote": main, "end": end}[sys.argv[1]]()
