"""What is done when the process is about to be ended by a fault (corosync: sigsegv_handler in exec/main.c).

The handler runs inside the signal, as corosync's does: the flight recorder must be written now or never. If
the interpreter itself is what has broken, that may fail; the alarm then ends the process all the same.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from pycorosync.daemon.signal_action import SA_RESETHAND, handle_at_once

SIGNALS = (signal.SIGSEGV, signal.SIGABRT)
LIMIT_S = 10


def before_a_crash(last_act: Callable[[], None]) -> None:
    """Have `last_act` called when a fault, abort(3) or kill(1) ends the process by one of SIGNALS."""

    def handle(number: int, _info: int, _context: int) -> None:
        signal.alarm(LIMIT_S)
        with suppress(Exception):
            last_act()
        # The default action is back in place; it is taken when this handler returns.
        os.kill(os.getpid(), number)

    for number in SIGNALS:
        handle_at_once(number, handle, SA_RESETHAND)
