"""What mon and wd look at and act on: /proc, a watchdog, reboot(2) (corosync: exec/mon.c, exec/wd.c)."""

import ctypes
import fcntl
import os
import struct
from contextlib import suppress

# linux/watchdog.h
WDIOC_GETSUPPORT, WDIOC_SETOPTIONS, WDIOC_KEEPALIVE = 0x80285700, 0x80045704, 0x80045705
WDIOC_SETTIMEOUT, WDIOC_GETTIMEOUT = 0xC0045706, 0x80045707
WDIOF_SETTIMEOUT, WDIOS_ENABLECARD = 0x0080, 0x0002
INFO = struct.Struct("=II32s")  # options, firmware, identity
NUMBER = struct.Struct("=i")
MAGIC_CLOSE = b"V"
# linux/reboot.h
RB_AUTOBOOT, RB_POWER_OFF = 0x01234567, 0x4321FEDC

MEMINFO = "/proc/meminfo"


class DeviceWatchdog:
    """An open watchdog device. One that does not know a request, such as a file, is used without it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        options, _firmware, identity = INFO.unpack(self._request(WDIOC_GETSUPPORT, bytes(INFO.size)))
        self.sets_timeout = bool(options & WDIOF_SETTIMEOUT)
        self.identity = identity.partition(b"\0")[0].decode(errors="replace")

    def _request(self, number: int, argument: bytes) -> bytes:
        try:
            return fcntl.ioctl(self._fd, number, argument)
        except OSError:
            return bytes(len(argument))

    def timeout_s(self) -> int | None:
        return NUMBER.unpack(self._request(WDIOC_GETTIMEOUT, NUMBER.pack(0)))[0] or None

    def set_timeout(self, seconds: int) -> None:
        self._request(WDIOC_SETTIMEOUT, NUMBER.pack(seconds))

    def enable(self) -> None:
        self._request(WDIOC_SETOPTIONS, NUMBER.pack(WDIOS_ENABLECARD))

    def tickle(self) -> None:
        self._request(WDIOC_KEEPALIVE, NUMBER.pack(0))

    def close(self) -> bool:
        try:
            return os.write(self._fd, MAGIC_CLOSE) == len(MAGIC_CLOSE)
        except OSError:
            return False


class Machine:
    """The host that the daemon runs on: the port of pycorosync/services/resources/host.py."""

    def memory_used_percent(self) -> int:
        try:
            with open(MEMINFO, encoding="ascii") as file:
                sizes = {
                    name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in file)
                }
            total = sizes["MemTotal"] + sizes["SwapTotal"]
            # As libstatgrab counts: what only caches files is free.
            free = sizes["MemFree"] + sizes["Cached"] + sizes["SwapFree"]
            return (total - free) * 100 // total
        except (OSError, KeyError, ValueError, IndexError, ZeroDivisionError):
            return -1

    def load_15min(self) -> float:
        try:
            return os.getloadavg()[2]
        except OSError:
            return -1.0

    def open_watchdog(self, path: str) -> DeviceWatchdog:
        if not os.access(path, os.W_OK):
            raise FileNotFoundError(path)
        return DeviceWatchdog(os.open(path, os.O_WRONLY | os.O_CLOEXEC))

    def reboot(self) -> None:
        _reboot(RB_AUTOBOOT)

    def power_off(self) -> None:
        _reboot(RB_POWER_OFF)


def _reboot(how: int) -> None:
    with suppress(AttributeError):
        ctypes.CDLL(None).reboot(ctypes.c_int(how))
