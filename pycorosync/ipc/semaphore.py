"""The unnamed process-shared semaphore inside a ring's header (glibc's sem_t, which libqb's clients use).

posix_ipc has named semaphores only, so this calls libc through ctypes. PyDLL keeps the interpreter lock: none
of the four calls can block, and releasing the lock would cost more than the call.
"""

import ctypes
import errno
import os
import time
from collections.abc import Callable

_libc = ctypes.PyDLL(None, use_errno=True)

SEMAPHORE_BYTES = 32


def _function(name: str, *arguments: type) -> Callable[..., int]:
    function: Callable[..., int] = getattr(_libc, name)
    function.argtypes = list(arguments)  # type: ignore[attr-defined]
    function.restype = ctypes.c_int  # type: ignore[attr-defined]
    return function


# Address -> 0, or -1 when there is nothing to take. These two run once per message.
post = _function("sem_post", ctypes.c_void_p)
take = _function("sem_trywait", ctypes.c_void_p)

_init = _function("sem_init", ctypes.c_void_p, ctypes.c_int, ctypes.c_uint)
_value = _function("sem_getvalue", ctypes.c_void_p, ctypes.c_void_p)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


# Waiting lets other threads run, so this one goes through CDLL.
_clockwait = ctypes.CDLL(None, use_errno=True).sem_clockwait
_clockwait.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Timespec)]


def initialise(address: int) -> None:
    """A semaphore of value 0 that other processes may use, at `address` in shared memory."""
    if _init(address, 1, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def value(address: int) -> int:
    """How many chunks wait in the ring."""
    count = ctypes.c_int()
    _value(address, ctypes.addressof(count))
    return max(0, count.value)


def wait(address: int, timeout_s: float) -> bool:
    """Take one, waiting for it; False when the time is over (a signal also ends the wait early)."""
    until_ns = time.monotonic_ns() + int(timeout_s * 1e9)
    if _clockwait(address, time.CLOCK_MONOTONIC, _Timespec(until_ns // 10**9, until_ns % 10**9)) == 0:
        return True
    number = ctypes.get_errno()
    if number not in (errno.ETIMEDOUT, errno.EINTR):
        raise OSError(number, os.strerror(number))
    return False
