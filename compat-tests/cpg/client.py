"""One libcpg client (the real C library, through ctypes), told what to do on stdin, reporting on stdout.

Each line in is a command with its arguments; each line out is the command's result (`= ...`) or a
callback (`! ...`). Node ids and pids are printed as `node:pid`; the scenario runner gives them names.
"""

import ctypes
import hashlib
import os
import select
import sys
from collections.abc import Sequence
from typing import Any

from pycorosync.cs_error import CsError

LIBRARY = ctypes.CDLL("libcpg.so.4", use_errno=True)
ONE_GROUP, NAMES, ALL = 2, 1, 3
DISPATCH_ALL = 2
NAMES_OF_ITERATIONS = {"names": NAMES, "one": ONE_GROUP, "all": ALL}


class Name(ctypes.Structure):
    """struct cpg_name."""

    _fields_ = (("length", ctypes.c_uint32), ("value", ctypes.c_char * 128))


class Address(ctypes.Structure):
    """struct cpg_address."""

    _fields_ = (("nodeid", ctypes.c_uint32), ("pid", ctypes.c_uint32), ("reason", ctypes.c_uint32))


class RingId(ctypes.Structure):
    """struct cpg_ring_id."""

    _fields_ = (("nodeid", ctypes.c_uint32), ("seq", ctypes.c_uint64))


class Description(ctypes.Structure):
    """struct cpg_iteration_description_t."""

    _fields_ = (("group", Name), ("nodeid", ctypes.c_uint32), ("pid", ctypes.c_uint32))


class Iovec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


P = ctypes.POINTER
DELIVER = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, P(Name), ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t
)
CONFCHG = ctypes.CFUNCTYPE(
    None,
    ctypes.c_uint64,
    P(Name),
    P(Address),
    ctypes.c_size_t,
    P(Address),
    ctypes.c_size_t,
    P(Address),
    ctypes.c_size_t,
)
TOTEM = ctypes.CFUNCTYPE(None, ctypes.c_uint64, RingId, ctypes.c_uint32, P(ctypes.c_uint32))


class Model(ctypes.Structure):
    """cpg_model_v1_data_t."""

    _fields_ = (
        ("model", ctypes.c_int),
        ("deliver", DELIVER),
        ("confchg", CONFCHG),
        ("totem", TOTEM),
        ("flags", ctypes.c_uint),
    )


def make_name(text: str) -> Name:
    raw = text.encode().decode("unicode_escape").encode("latin-1")
    return Name(len(raw), raw)


def show_name(name: Name) -> str:
    raw = ctypes.string_at(ctypes.addressof(name) + Name.value.offset, min(name.length, 128))
    return raw.decode("latin-1").encode("unicode_escape").decode()


def addresses(items: Any, count: int, *, reasons: bool) -> str:
    """node:pid of each, with the reason where it is defined."""
    found = (items[i] for i in range(count))
    return "[" + " ".join(f"{a.nodeid}:{a.pid}" + (f"/{a.reason}" if reasons else "") for a in found) + "]"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def digest(data: bytes) -> str:
    return data.decode() if len(data) < 40 else f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:12]}"


@DELIVER
def on_deliver(_handle: int, group: Any, nodeid: int, pid: int, message: int, length: int) -> None:
    say(f"! deliver {show_name(group[0])} {nodeid}:{pid} {digest(ctypes.string_at(message, length))}")


@CONFCHG
def on_confchg(
    _handle: int, group: Any, members: Any, n_members: int, left: Any, n_left: int, joined: Any, n_joined: int
) -> None:
    say(
        f"! confchg {show_name(group[0])} members {addresses(members, n_members, reasons=False)}"
        f" left {addresses(left, n_left, reasons=True)} joined {addresses(joined, n_joined, reasons=True)}"
    )


@TOTEM
def on_totem(_handle: int, ring: RingId, count: int, members: Any) -> None:
    say(f"! totem ring {ring.nodeid} members {[members[i] for i in range(count)]}")


class Client:
    """The commands; each returns what is printed after its `=`."""

    def __init__(self) -> None:
        self.handle = ctypes.c_uint64()
        self.buffers: dict[str, tuple[ctypes.c_void_p, int]] = {}

    def start(self, flags: str = "0", model: str = "v1") -> str:
        data = Model(1, on_deliver, on_confchg, on_totem, int(flags))
        self.keep = data
        if model == "plain":
            return self.result(LIBRARY.cpg_initialize(ctypes.byref(self.handle), None))
        return self.result(
            LIBRARY.cpg_model_initialize(ctypes.byref(self.handle), 1, ctypes.byref(data), None)
        )

    def result(self, code: int) -> str:
        return CsError(code).name

    def join(self, group: str) -> str:
        return self.result(LIBRARY.cpg_join(self.handle, ctypes.byref(make_name(group))))

    def leave(self, group: str) -> str:
        return self.result(LIBRARY.cpg_leave(self.handle, ctypes.byref(make_name(group))))

    def mcast(self, text: str) -> str:
        return self._send(text.encode())

    def big(self, size: str, seed: str = "x") -> str:
        pattern = hashlib.sha256(seed.encode()).digest()
        return self._send((pattern * (int(size) // 32 + 1))[: int(size)])

    def flood(self, count: str, size: str) -> str:
        codes = {self.big(size, str(i)) for i in range(int(count))}
        return " ".join(sorted(codes))

    def _send(self, data: bytes) -> str:
        vector = Iovec(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))
        return self.result(LIBRARY.cpg_mcast_joined(self.handle, 2, ctypes.byref(vector), 1))

    def members(self, group: str) -> str:
        found, count = (Address * 128)(), ctypes.c_int()
        code = LIBRARY.cpg_membership_get(
            self.handle, ctypes.byref(make_name(group)), found, ctypes.byref(count)
        )
        return f"{self.result(code)} {addresses(found, count.value, reasons=False)}"

    def local(self) -> str:
        node = ctypes.c_uint()
        return f"{self.result(LIBRARY.cpg_local_get(self.handle, ctypes.byref(node)))} {node.value}"

    def iterate(self, kind: str, group: str = "") -> str:
        iteration, entry = ctypes.c_uint64(), Description()
        name = ctypes.byref(make_name(group)) if group else None
        code = LIBRARY.cpg_iteration_initialize(
            self.handle, NAMES_OF_ITERATIONS[kind], name, ctypes.byref(iteration)
        )
        if code != 1:
            return self.result(code)
        lines = []
        while (code := LIBRARY.cpg_iteration_next(iteration, ctypes.byref(entry))) == 1:
            lines.append(f"{show_name(entry.group)}@{entry.nodeid}:{entry.pid}")
        last = LIBRARY.cpg_iteration_finalize(iteration)
        return f"{' '.join(lines)} {self.result(code)} {self.result(last)}"

    def zalloc(self, key: str, size: str) -> str:
        pointer = ctypes.c_void_p()
        code = LIBRARY.cpg_zcb_alloc(self.handle, ctypes.c_size_t(int(size)), ctypes.byref(pointer))
        self.buffers[key] = (pointer, int(size))
        return self.result(code)

    def zmcast(self, key: str, text: str, size: str = "") -> str:
        pointer, _ = self.buffers[key]
        data = text.encode() * (int(size) // len(text)) if size else text.encode()
        ctypes.memmove(pointer, data, len(data))
        return self.result(LIBRARY.cpg_zcb_mcast_joined(self.handle, 2, pointer, ctypes.c_size_t(len(data))))

    def zfree(self, key: str) -> str:
        pointer, _ = self.buffers.pop(key)
        return self.result(LIBRARY.cpg_zcb_free(self.handle, pointer))

    def shm(self) -> str:
        return " ".join(sorted(name for name in os.listdir("/dev/shm") if "zerocopy" in name)) or "none"

    def finalize(self) -> str:
        return self.result(LIBRARY.cpg_finalize(self.handle))

    def dispatch(self) -> str:
        return self.result(LIBRARY.cpg_dispatch(self.handle, DISPATCH_ALL))

    def fd(self) -> int:
        number = ctypes.c_int(-1)
        LIBRARY.cpg_fd_get(self.handle, ctypes.byref(number))
        return number.value


def prepare() -> None:
    u64, u32, pointer = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
    for name, arguments in {
        "cpg_join": (u64, pointer),
        "cpg_leave": (u64, pointer),
        "cpg_mcast_joined": (u64, u32, pointer, u32),
        "cpg_membership_get": (u64, pointer, pointer, pointer),
        "cpg_local_get": (u64, pointer),
        "cpg_iteration_initialize": (u64, u32, pointer, pointer),
        "cpg_iteration_next": (u64, pointer),
        "cpg_iteration_finalize": (u64,),
        "cpg_finalize": (u64,),
        "cpg_dispatch": (u64, u32),
        "cpg_fd_get": (u64, pointer),
        "cpg_zcb_alloc": (u64, ctypes.c_size_t, pointer),
        "cpg_zcb_mcast_joined": (u64, u32, pointer, ctypes.c_size_t),
        "cpg_zcb_free": (u64, pointer),
        "cpg_model_initialize": (pointer, u32, pointer, pointer),
        "cpg_initialize": (pointer, pointer),
    }.items():
        getattr(LIBRARY, name).argtypes = arguments


def main(_arguments: Sequence[str]) -> None:
    prepare()
    client = Client()
    say(f"= pid {os.getpid()}")
    buffered = b""
    started = False
    while True:
        watched = [0] + ([client.fd()] if started else [])
        ready, _, _ = select.select(watched, [], [])
        if len(watched) > 1 and watched[1] in ready and client.dispatch() != "OK":
            say("! disconnected")
            started = False
        if 0 not in ready:
            continue
        if not (received := os.read(0, 4096)):
            return
        buffered += received
        while b"\n" in buffered:
            line, buffered = buffered.split(b"\n", 1)
            command, *arguments = line.decode().split()
            answer = getattr(client, command)(*arguments)
            started = started or (command == "start" and answer == "OK")
            started = started and command != "finalize"
            say(f"= {answer}")


if __name__ == "__main__":
    main(sys.argv[1:])
