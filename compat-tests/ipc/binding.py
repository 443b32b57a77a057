"""The distribution's client libraries through ctypes, for scripts that run on a host and print what they see.

A line that begins with "@ " asks the test for something that a client cannot do (see test_ipc.py); the
script then waits for a line on its input.
"""

import ctypes
import select
import sys
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any

__all__ = [
    "POINTER",
    "Library",
    "ask_test",
    "byref",
    "c_char_p",
    "c_int",
    "c_size_t",
    "c_uint",
    "c_uint8",
    "c_uint32",
    "c_uint64",
    "c_void_p",
    "ctypes",
    "dispatch_until",
    "name_of",
    "say",
    "settle",
]

DISPATCH_ONE_NONBLOCKING, DISPATCH_ALL = 4, 2
ERRORS = {
    1: "OK", 2: "LIBRARY", 3: "VERSION", 4: "INIT", 5: "TIMEOUT", 6: "TRY_AGAIN", 7: "INVALID_PARAM",
    8: "NO_MEMORY", 9: "BAD_HANDLE", 10: "BUSY", 11: "ACCESS", 12: "NOT_EXIST", 13: "NAME_TOO_LONG",
    14: "EXIST", 15: "NO_SPACE", 16: "INTERRUPT", 17: "NAME_NOT_FOUND", 18: "NO_RESOURCES",
    19: "NOT_SUPPORTED", 20: "BAD_OPERATION", 21: "FAILED_OPERATION", 22: "MESSAGE_ERROR", 23: "QUEUE_FULL",
    25: "BAD_FLAGS", 26: "TOO_BIG", 27: "NO_SECTIONS", 28: "CONTEXT_NOT_FOUND",
}  # fmt: skip
EVENT_LIMIT_S = 60.0


def name_of(code: int) -> str:
    return ERRORS.get(code, str(code))


def say(*words: object) -> None:
    print(*words, flush=True)


def ask_test(what: str) -> None:
    """Have the test do something outside; returns when it is done."""
    say("@", what)
    if not sys.stdin.readline():
        raise EOFError("the test has gone")


class Library:
    """Calls by name; each call's result is printed with the arguments that matter."""

    def __init__(self, soname: str, prefix: str) -> None:
        self._library = ctypes.CDLL(soname)
        self._prefix = prefix

    def quiet(self, function: str, *arguments: Any) -> str:
        return name_of(getattr(self._library, self._prefix + function)(*arguments))

    def call(self, function: str, *arguments: Any, show: object = "") -> str:
        """Call, and print the function, `show` and the result's name."""
        result = self.quiet(function, *arguments)
        say(function, show, "->", result)
        return result


def dispatch_until(
    library: Library, handle: Any, condition: Callable[[], bool], kind: int = DISPATCH_ALL
) -> None:
    """Dispatch events as they come until `condition` holds."""
    fd = c_int()
    library.quiet("fd_get", handle, byref(fd))
    while not condition():
        if not select.select([fd.value], [], [], EVENT_LIMIT_S)[0]:
            raise TimeoutError("no event came")
        result = library.quiet("dispatch", handle, kind)
        if result not in ("OK", "TRY_AGAIN"):
            say("dispatch ->", result)
            return


def settle(library: Library, handle: Any) -> None:
    """Dispatch until nothing more comes for a while."""
    while has_event(library, handle, 1.0):
        result = library.quiet("dispatch", handle, DISPATCH_ALL)
        if result not in ("OK", "TRY_AGAIN"):
            say("dispatch ->", result)
            return


def has_event(library: Library, handle: Any, within_s: float = 0.5) -> bool:
    """Whether an event waits, or comes soon: for saying that none does."""
    fd = c_int()
    library.quiet("fd_get", handle, byref(fd))
    return bool(select.select([fd.value], [], [], within_s)[0])
