"""Reads corosync.conf and uidgid.d, and looks up what the file refers to (corosync: exec/coroparse.c,
exec/totemip.c): the I/O half of pycorosync.config.
"""

import errno
import grp
import os
import pwd
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path

import ifaddr

from pycorosync.config.host import FileFault, HostFacts, IPAddress, LocalAddress, Wanted
from pycorosync.config.load import facts_wanted, load
from pycorosync.config.model import Configuration, Phase, RefusedConfig
from pycorosync.errors import Fault
from pycorosync.node.reconfiguration import ConfigurationFiles

DEFAULT_FILE = "/etc/corosync/corosync.conf"
# libknet and corosync read this much of a key file and no more.
_KEY_BYTES_MAX = 4096
# A file that is longer is no configuration; it is cut, and fails as text.
_FILE_BYTES_MAX = 16 * 1024 * 1024

# corosync cuts what it says about a file it cannot read.
_COMPLAINT_MAX = 511

AccessFiles = list[tuple[str, bytes]]


def read_configuration(path: str) -> Configuration:
    """The configuration in a file and the uidgid.d beside it. Raises RefusedConfig."""
    text, access = read_files(path)
    host = look_up(facts_wanted(text, path, socket.gethostname(), access))
    return load(text, path, host=host, uidgid_files=access)


def read_for_reload(path: str) -> ConfigurationFiles | str:
    """The same for a running node, which judges the files itself; a text if they cannot be read."""
    try:
        text, access = read_files(path)
    except RefusedConfig as refused:
        return refused.faults[0].text
    host = look_up(facts_wanted(text, path, socket.gethostname(), access))
    return ConfigurationFiles(text, path, host, access)


def read_files(path: str) -> tuple[bytes, AccessFiles]:
    """The text of the file, and names and texts of the files in uidgid.d. Raises RefusedConfig."""
    try:
        text = _read(path, _FILE_BYTES_MAX)
    except (OSError, ValueError) as fault:
        complaint = f"Can't read file {path}: {_reason(fault)}"[:_COMPLAINT_MAX]
        raise RefusedConfig(Phase.PARSER, [Fault(path, 0, complaint)]) from fault
    return text, list(_access_files(Path(path).parent / "uidgid.d"))


def _access_files(directory: Path) -> Iterable[tuple[str, bytes]]:
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        try:
            if os.path.isfile(path):
                yield path, _read(path, _FILE_BYTES_MAX)
        except OSError:
            continue  # as corosync: what cannot be opened is passed over


def _read(path: str, limit: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(limit)


def look_up(wanted: Wanted) -> HostFacts:
    """Ask the operating system and the resolver. What is not found is left out."""
    return HostFacts(
        hostname=socket.gethostname(),
        addresses=tuple(_local_addresses(names=wanted.local_names)),
        resolved={name: _resolve(name) for name in wanted.names},
        users=_ids(wanted.users, lambda name: pwd.getpwnam(name).pw_uid),
        groups=_ids(wanted.groups, lambda name: grp.getgrnam(name).gr_gid),
        key_files={wanted.key_file: _key_file(wanted.key_file)} if wanted.key_file else {},
        log_faults={path: fault for path in wanted.log_files if (fault := _log_fault(path))},
    )


def _local_addresses(*, names: bool) -> Iterable[LocalAddress]:
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            # Compatibility: corosync gets no names for IPv6 addresses, and does not ask a server for them.
            wanted = names and address.version == 4
            yield LocalAddress(address, _reverse(address) if wanted else None)


def _reverse(address: IPAddress) -> str | None:
    try:
        return socket.getnameinfo((str(address), 0), 0)[0]
    except OSError:
        return None


def _resolve(name: str) -> tuple[IPAddress, ...]:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM, proto=socket.IPPROTO_UDP)
    except (OSError, UnicodeError):
        return ()
    return tuple(ip_address(str(address[0]).partition("%")[0]) for *_, address in answers)


def _ids(names: Iterable[str], number_of: Callable[[str], int]) -> dict[str, int]:
    found = {}
    for name in names:
        try:
            found[name] = number_of(name)
        except (KeyError, ValueError):
            continue
    return found


def _key_file(path: str) -> bytes | FileFault:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as fault:
        return FileFault("open", _reason(fault))
    try:
        return os.read(fd, _KEY_BYTES_MAX)
    except OSError as fault:
        return FileFault("read", _reason(fault))
    finally:
        os.close(fd)


def _reason(fault: OSError | ValueError) -> str:
    # The one path that is no path has a zero in it, of which each Python speaks in its own words.
    return fault.strerror or "" if isinstance(fault, OSError) else "embedded null byte"


def _log_fault(path: str) -> str | None:
    """Why a log file cannot be opened for appending, as corosync words it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666))
    except (OSError, ValueError) as fault:
        return f"{_reason(fault)} ({fault.errno if isinstance(fault, OSError) else errno.EINVAL})"
    return None
