"""Writes down each change of quorum on a host: python3 -m quorum.watch. A line is a JSON list: seconds of the
machine's monotonic clock, whether quorate, members.
"""

import json
import sys
import time
from contextlib import suppress

from pycorosync.client.connection import LibraryError
from pycorosync.client.quorum import Model, Quorum, QuorumChanged


def main() -> None:
    with Quorum(Model.V0) as quorum:
        quorum.track_start()
        for event in quorum.events():
            if isinstance(event, QuorumChanged):
                print(json.dumps([time.monotonic(), event.quorate, event.members]), flush=True)


if __name__ == "__main__":
    with suppress(LibraryError):  # the daemon has gone
        main()
    print(json.dumps([time.monotonic(), False, []]), flush=True)
    sys.exit(0)
