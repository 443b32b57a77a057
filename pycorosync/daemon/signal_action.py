"""C's view of signals that Python does not offer: a handler that runs at once, where the signal was raised
(sigaction(2)).
"""

import ctypes
from collections.abc import Callable
from typing import Final

SA_SIGINFO: Final = 4
SA_RESETHAND: Final = 0x8000_0000

# signal number, address of siginfo_t, address of the context
Handler = Callable[[int, int, int], None]
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _SigAction(ctypes.Structure):
    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


# What the kernel may call must live as long as the process.
_installed: list[object] = []


def handle_at_once(number: int, handler: Handler, flags: int = 0) -> None:
    """Call `handler` inside the signal. Raises OSError."""
    function = _HANDLER(handler)
    flags = ctypes.c_int(SA_SIGINFO | flags).value
    action = _SigAction(ctypes.cast(function, ctypes.c_void_p), (ctypes.c_ulong * 16)(), flags, None)
    _installed.append(function)
    if ctypes.PyDLL(None, use_errno=True).sigaction(number, ctypes.byref(action), None) != 0:
        raise OSError(ctypes.get_errno(), "sigaction")
