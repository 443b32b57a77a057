"""Survives a client that truncates the shared memory which it and we have mapped.

Touching a page that the file no longer has raises SIGBUS, which by default ends the process. The handler here
puts private zeros in place of the lost mapping, so that the instruction can be repeated, and remembers which
mapping it was; the client then looks malformed and is disconnected.

A Python function in a signal handler is normally out of the question. Here it is sound: the signal is raised
by our own access, inside a C function that copies bytes for the interpreter, on the only thread, which holds
the interpreter lock; it is a call at that point. A SIGBUS from anywhere else gets the default action.
"""

import ctypes
import os
import signal
from collections.abc import Iterable

from pycorosync.daemon.signal_action import handle_at_once
from pycorosync.ipc.shared_memory import Mapping

_SI_ADDR_AT = 16  # offset of si_addr in siginfo_t on 64 bit Linux


class SigbusGuard:
    """Knows the mappings that a client can truncate. One per process."""

    def __init__(self) -> None:
        self._mappings: dict[int, Mapping] = {}
        self.severed: set[int] = set()  # addresses of mappings that have lost their file

    def install(self) -> None:
        """Handle SIGBUS from now on."""
        handle_at_once(signal.SIGBUS, self._on_sigbus)

    def guard(self, mappings: Iterable[Mapping]) -> None:
        """These may lose their file at any time."""
        for mapping in mappings:
            self._mappings[mapping.address] = mapping

    def forget(self, mappings: Iterable[Mapping]) -> None:
        """These are about to be unmapped."""
        for mapping in mappings:
            self._mappings.pop(mapping.address, None)
            self.severed.discard(mapping.address)

    def _on_sigbus(self, _number: int, info: int, _context: int) -> None:
        address = ctypes.c_size_t.from_address(info + _SI_ADDR_AT).value
        for start, mapping in self._mappings.items():
            if start <= address < start + mapping.length:
                mapping.sever()
                self.severed.add(start)
                return
        # Not a client's doing: the default action, also for a signal that somebody has sent.
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGBUS)
