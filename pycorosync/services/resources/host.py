"""The port to what mon and wd look at and act on: the host's memory and load, its watchdog, its power.

pycorosync/daemon/host_resources.py is what stands behind the port.
"""

from typing import Protocol


class Watchdog(Protocol):
    """An open watchdog, which resets the host unless it is tickled in time. No method raises."""

    identity: str
    sets_timeout: bool  # whether it says that its timeout can be changed

    def timeout_s(self) -> int | None:
        """The timeout in force; None if the device does not tell."""

    def set_timeout(self, seconds: int) -> None:
        """Ask for another timeout; see timeout_s() for what came of it."""

    def enable(self) -> None:
        """Start it, if opening has not."""

    def tickle(self) -> None:
        """Put its end off by one timeout."""

    def close(self) -> bool:
        """Stop it; False if it could not be told. The device stays open until the process ends."""


class HostResources(Protocol):
    """The host."""

    def memory_used_percent(self) -> int:
        """Memory and swap in use; negative if that cannot be learnt."""

    def load_15min(self) -> float:
        """The load average of 15 minutes; negative if that cannot be learnt."""

    def open_watchdog(self, path: str) -> Watchdog:
        """Take over a watchdog's device.

        Raises FileNotFoundError where there is nothing that may be written to, OSError if it does not open.
        """

    def reboot(self) -> None:
        """Start the host again, at once and without any order."""

    def power_off(self) -> None:
        """Switch the host off, at once and without any order."""


class NoHost:
    """The port of a node whose host is simulated: nothing is known, nothing can be done."""

    def memory_used_percent(self) -> int:
        return -1

    def load_15min(self) -> float:
        return -1.0

    def open_watchdog(self, path: str) -> Watchdog:
        raise FileNotFoundError(path)

    def reboot(self) -> None: ...

    def power_off(self) -> None: ...
