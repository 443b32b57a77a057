"""corosync-blackbox: has the daemon write its flight recorder, and shows it
(corosync: tools/corosync-blackbox.sh.in).

As the script, it goes on when the daemon cannot be asked: what an earlier dump or a crash has left is shown.
It takes no options.
"""

import os
import sys
import time
from typing import NoReturn

from pycorosync.client.cmap import Cmap
from pycorosync.client.connection import LibraryError
from pycorosync.tools import cmapctl
from pycorosync.tools.common import complain, run_tool

STATE_DIRECTORY = "/var/lib/corosync"
READER = "qb-blackbox"
# What the shell answers for a command that it cannot run, or cannot find.
EXIT_CANNOT_RUN, EXIT_NOT_FOUND = 126, 127


def main(_arguments: list[str]) -> int:
    """Returns only if the reader cannot be run; else its exit status is ours."""
    for name in ("dump_state", "dump_flight_data"):
        cmapctl.main(["-s", f"runtime.blackbox.{name}", "str", str(time.time_ns() // 1_000_000_000)])
    path = os.path.join(_state_directory(), "fdata")
    sys.stdout.flush()
    try:
        os.execvp(READER, [READER, path])
    except FileNotFoundError:
        complain(f"corosync-blackbox: {READER}: not found")
        return EXIT_NOT_FOUND
    except OSError as fault:
        complain(f"corosync-blackbox: {READER}: {fault.strerror}")
        return EXIT_CANNOT_RUN


def _state_directory() -> str:
    """The running daemon's, or the usual one."""
    try:
        with Cmap() as cmap:
            found = cmap.get("system.state_dir")
    except LibraryError:
        return STATE_DIRECTORY
    return found if isinstance(found, str) else STATE_DIRECTORY


def run() -> NoReturn:
    """The command corosync-blackbox."""
    run_tool(main)
