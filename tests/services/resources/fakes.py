"""A host of which tests decide everything."""

from pycorosync.services.resources.host import Watchdog


class FakeDog:
    """A watchdog that notes what is asked of it."""

    identity = "Fake"

    def __init__(self, *, timeout_s: int | None = 60, sets_timeout: bool = True, closes: bool = True) -> None:
        self.sets_timeout = sets_timeout
        self.calls: list[str] = []
        self._timeout_s = timeout_s
        self._closes = closes

    def timeout_s(self) -> int | None:
        return self._timeout_s

    def set_timeout(self, seconds: int) -> None:
        self.calls.append(f"timeout {seconds}")
        self._timeout_s = seconds

    def enable(self) -> None:
        self.calls.append("enable")

    def tickle(self) -> None:
        self.calls.append("tickle")

    def close(self) -> bool:
        self.calls.append("close")
        return self._closes


class FakeHost:
    """The port of such a host."""

    def __init__(self) -> None:
        self.memory = 11
        self.load = 0.5
        self.calls: list[str] = []
        self.dog: FakeDog | OSError = FileNotFoundError()

    def memory_used_percent(self) -> int:
        return self.memory

    def load_15min(self) -> float:
        return self.load

    def open_watchdog(self, path: str) -> Watchdog:
        self.calls.append(f"open {path}")
        if isinstance(self.dog, OSError):
            raise self.dog
        return self.dog

    def reboot(self) -> None:
        self.calls.append("reboot")

    def power_off(self) -> None:
        self.calls.append("power off")
