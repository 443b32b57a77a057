"""A quorum device that does as it is told: python3 -m quorum.device, on a host of the lab.

Orders come on its input, one a line (register NAME, votes, abstains, silent, unregister, wins on, wins off);
each is answered with a code's name. Between them it follows the ring and polls, as corosync-qdevice does.
"""

import select
import sys
import time
from contextlib import suppress

from pycorosync.client.connection import LibraryError
from pycorosync.client.votequorum import NodeList, Votequorum
from pycorosync.types import RingId

POLL_S = 0.3


class Device:
    """The device."""

    def __init__(self) -> None:
        self.api = Votequorum()
        self.name = ""
        self.silent = True
        self.vote = True
        self.ring_id = RingId(0, 0)
        self.next_poll_s = 0.0
        self.api.track_start()

    def run(self) -> None:
        while True:
            wait_s = max(0.0, self.next_poll_s - time.monotonic())
            ready, _, _ = select.select([sys.stdin, self.api], [], [], wait_s)
            while (event := self.api.receive(0)) is not None:
                if isinstance(event, NodeList):
                    self.ring_id = event.ring_id
                    self.poll()
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                print(self.obey(*line.split()), flush=True)
            if time.monotonic() >= self.next_poll_s:
                self.poll()

    def poll(self) -> None:
        self.next_poll_s = time.monotonic() + POLL_S
        if not self.silent:
            with suppress(LibraryError):  # of an older ring: the next event names the new one
                self.api.poll_device(self.name, self.vote, self.ring_id)

    def obey(self, word: str, argument: str = "") -> str:
        try:
            match word:
                case "register":
                    self.name = argument
                    self.api.register_device(argument)
                case "votes" | "abstains":
                    self.silent, self.vote = False, word == "votes"
                    self.poll()
                case "silent":
                    self.silent = True
                case "unregister":
                    self.silent = True
                    self.api.unregister_device(self.name)
                case "wins":
                    self.api.set_master_wins(self.name, argument == "on")
        except LibraryError as error:
            return error.code.label
        return "CS_OK"


if __name__ == "__main__":
    with suppress(LibraryError):  # the daemon has gone
        Device().run()
