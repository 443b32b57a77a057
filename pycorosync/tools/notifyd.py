"""corosync-notifyd: tells the log, D-Bus and an SNMP manager what happens to the cluster
(corosync: tools/corosync-notifyd.c).

It follows the members in the configuration map, the local node's clients and links in the statistics map, and
the quorum service. What is told, and how, stands in protocol/notifyd.md.

Compatibility: as with corosync, the events of `-o` go to standard error, and the first of several identical
states of quorum is told even if it was so before we started. Unlike corosync, addresses of IPv6 are looked
up, and without the library that D-Bus or SNMP need we say so on standard error too.
"""

import os
import re
import select
import signal
import socket
import sys
import syslog
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from pycorosync.client.cfg import Cfg
from pycorosync.client.cmap import Cmap, CmapMap, Notification, TrackEvent
from pycorosync.client.connection import LibraryError
from pycorosync.client.quorum import Event, Model, Quorum, QuorumChanged, TrackFlags
from pycorosync.cs_error import CsError
from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, complain, run_tool
from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, NotifyEvent, QuorumEvent
from pycorosync.tools.options import Options

LETTERS: Final = "c:floshdnm:"
ATTEMPTS_MAX: Final = 10
RETRY_S: Final = 1.0
LOCALHOST: Final = "localhost"

USAGE: Final = """\
usage:
        -c     : SNMP Community name.
        -f     : Start application in foreground.
        -l     : Log all events.
        -o     : Print events to stdout (turns on -l).
        -s     : Send SNMP traps on all events.
        -m     : Set the SNMP Manager IP address (defaults to localhost).
        -n     : No reverse DNS lookup on cmap member change events.
        -d     : Send DBUS signals on all events.
        -h     : Print this help.
"""

MEMBER_STATUS: Final = re.compile(r"runtime\.members\.(\d+)\.status", re.ASCII)
CLIENT_NAME: Final = re.compile(r"stats\.ipcs\.service(\d+)\.(\d+)\.([^.]+)\.procname", re.ASCII)
LINK_STATE: Final = re.compile(r"stats\.knet\.node(\d+)\.link(\d+)\.connected", re.ASCII)


class Failure(Exception):
    """We end with EXIT_FAILURE; the text is for the log."""


class MissingLibrary(Exception):
    """A Python package that an option needs is not installed; the text says which."""

    def __init__(self, what: str, fault: ModuleNotFoundError) -> None:
        package = (fault.name or "?").partition(".")[0]
        super().__init__(f'{what} need the Python package {package} (see the extra "notify"), exiting.')


class Notifier(Protocol):
    """Who is told of events. Never raises."""

    def notify(self, event: NotifyEvent) -> None: ...

    def close(self) -> None: ...


@dataclass
class Settings:
    """The command line."""

    foreground: bool = False
    log: bool = False
    print_events: bool = False
    snmp: bool = False
    dbus: bool = False
    numeric: bool = False
    manager: str = LOCALHOST
    community: str = ""


class Log:
    """Where lines go: to syslog, and with -o to standard error."""

    PRIORITIES: Final = {"error": syslog.LOG_ERR, "warning": syslog.LOG_WARNING, "notice": syslog.LOG_NOTICE}

    def __init__(self, *, prints: bool) -> None:
        self._prints = prints
        syslog.openlog("notifyd", syslog.LOG_PID, syslog.LOG_DAEMON)

    def write(self, level: str, text: str) -> None:
        line = f"[{level}] {text}"
        syslog.syslog(self.PRIORITIES[level], line.replace("\0", "").encode(errors="replace").decode())
        if self._prints:
            complain(line)


class LogNotifier:
    """The log itself, with -l and -o."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def notify(self, event: NotifyEvent) -> None:
        self._log.write("notice", event.text)

    def close(self) -> None: ...


def read_settings(arguments: list[str]) -> Settings | None:
    """None if the usage has been shown, which ends us."""
    settings = Settings()
    for letter, argument in Options(arguments, LETTERS):
        match letter:
            case "c":
                settings.community = argument
            case "f":
                settings.foreground = True
            case "l":
                settings.log = True
            case "o":
                settings.log = settings.print_events = True
            case "s":
                settings.snmp = True
            case "m":
                settings.snmp, settings.manager = True, argument
            case "n":
                settings.numeric = True
            case "d":
                settings.dbus = True
            case _:
                complain(USAGE)
                return None
    return settings


def check(settings: Settings, log: Log) -> None:
    """Raises Failure for options that do not go together."""
    if not (settings.log or settings.snmp or settings.dbus):
        raise Failure("no event type enabled, see corosync-notifyd -h, exiting.")
    if settings.print_events and not settings.foreground:
        raise Failure("configured to print to stdout and run in the background, exiting")
    if settings.snmp and settings.dbus:
        log.write("error", "configured to send snmp traps and dbus signals - are you sure?.")


class Watcher:
    """The connections, and what their events mean."""

    def __init__(self, settings: Settings, log: Log, notifiers: list[Notifier]) -> None:
        self._settings = settings
        self._log = log
        self._notifiers = notifiers
        self._quorate = False
        self._us: tuple[str, int] | None = None  # our host's name and node id
        self._links: dict[str, int] = {}  # key -> its tracker
        # descriptor -> the service's name, and what takes the events that have come
        self._readers: dict[int, tuple[str, Callable[[], object]]] = {}

    @property
    def descriptors(self) -> list[int]:
        """Those that dispatch() is to be called for."""
        return list(self._readers)

    # --- connections

    def connect(self, stack: ExitStack) -> None:
        """Connect, and ask for events. Raises Failure without a daemon."""
        self._cmap = self._map(stack, CmapMap.DEFAULT, "Failed to initialize the cmap API")
        self._stats = self._map(stack, CmapMap.STATS, "Failed to initialize the cmap stats API")
        set_, come_and_go = TrackEvent.ADD | TrackEvent.MODIFY, TrackEvent.ADD | TrackEvent.DELETE
        self._track(self._cmap, "runtime.members.", set_, self._member, "members")
        self._track(self._stats, "stats.ipcs.", come_and_go, self._client, "connections")
        self._track(self._stats, "stats.knet.", come_and_go, self._link_exists, "knet link status")
        try:
            keys = [item.key for item in self._stats.items("stats.knet.")]
        except LibraryError as fault:
            text = f"Failed to initialize knet stats iterator. Error {fault.code.label}"
            raise Failure(text) from fault
        for key in keys:
            self._watch_link(key)
        self._follow_quorum(stack)

    def _map(self, stack: ExitStack, which: CmapMap, otherwise: str) -> Cmap:
        try:
            session = stack.enter_context(Cmap(which))
        except LibraryError as fault:
            raise Failure(f"{otherwise}. Error {int(fault.code)}") from fault
        self._readers[session.fileno()] = "cmap", session.dispatch
        return session

    @staticmethod
    def _track(
        session: Cmap, prefix: str, events: TrackEvent, tell: Callable[[Notification], None], what: str
    ) -> None:
        try:
            session.track(prefix, events | TrackEvent.PREFIX, tell)
        except LibraryError as fault:
            raise Failure(f"Failed to track the {what} key. Error {int(fault.code)}") from fault

    def _follow_quorum(self, stack: ExitStack) -> None:
        """Go on without, as corosync does."""
        try:
            quorum = stack.enter_context(Quorum(Model.V0))
        except LibraryError:
            self._log.write("error", "Could not connect to corosync(quorum)")
            return
        self._readers[quorum.fileno()] = "quorum", lambda: self._quorum_event(quorum.receive(0))
        try:
            quorum.track_start(TrackFlags.CHANGES_ONLY)
        except LibraryError:
            self._log.write("error", "Could not start tracking")

    def dispatch(self, descriptor: int) -> None:
        """Take the events of a connection that has some. Raises Failure when the daemon has gone."""
        service, read = self._readers[descriptor]
        try:
            read()
        except LibraryError as fault:
            if fault.code not in (CsError.TRY_AGAIN, CsError.TIMEOUT, CsError.QUEUE_FULL):
                raise Failure(f"Could not dispatch {service} events. Error {int(fault.code)}") from fault

    # --- events

    def _tell(self, event: NotifyEvent) -> None:
        for notifier in self._notifiers:
            notifier.notify(event)

    def _quorum_event(self, event: Event | None) -> None:
        if isinstance(event, QuorumChanged) and event.quorate != self._quorate:
            self._quorate = event.quorate
            self._tell(QuorumEvent(*self._ourselves(), "quorate" if event.quorate else "not quorate"))

    def _member(self, change: Notification) -> None:
        found = MEMBER_STATUS.fullmatch(change.key)
        if not found or change.new is None:
            return
        node_id = int(found[1])
        addresses = self._ask(self._cmap, f"runtime.members.{node_id}.ip")
        if not isinstance(addresses, str):
            return
        # The last of "r(0) ip(192.0.2.1) r(1) ip(192.0.2.2) ".
        _, bracket, rest = addresses.rpartition("(")
        address, closing, _ = rest.partition(")")
        if not bracket or not closing:
            self._log.write("error", f"ip_str: {addresses}")
            return
        name = address if self._settings.numeric else self._host_name(address)
        self._tell(NodeEvent(name, node_id, str(change.new.value), address))

    def _host_name(self, address: str) -> str:
        try:
            return socket.getnameinfo((address, 0), 0)[0]
        except OSError as fault:
            self._log.write("error", f"error looking up {address} : {fault.strerror}")
            return address

    def _client(self, change: Notification) -> None:
        found = CLIENT_NAME.fullmatch(change.key)
        entry = change.new or change.old
        if found and entry and isinstance(entry.value, str):
            client = f"{found[3]}.{found[2]}.{entry.value}"
            state = "connected" if change.event is TrackEvent.ADD else "disconnected"
            self._tell(ClientEvent(*self._ourselves(), client, state))

    def _link_exists(self, change: Notification) -> None:
        """A link has appeared or gone: its state is followed as long as it is there."""
        if change.event is TrackEvent.ADD:
            self._watch_link(change.key)
        elif (handle := self._links.pop(change.key, None)) is not None:
            with suppress(LibraryError):
                self._stats.untrack(handle)

    def _watch_link(self, key: str) -> None:
        if not LINK_STATE.fullmatch(key) or key in self._links:
            return
        try:
            self._links[key] = self._stats.track(key, TrackEvent.MODIFY, self._link_changed)
        except LibraryError:
            self._log.write("warning", "Can't add tracker for new/removed knet link")

    def _link_changed(self, change: Notification) -> None:
        found = LINK_STATE.fullmatch(change.key)
        connected = self._ask(self._stats, change.key)
        if found and connected is not None:
            state = "operational" if connected else "disconnected"
            self._tell(LinkEvent(*self._ourselves(), int(found[1]), int(found[2]), state))

    @staticmethod
    def _ask(session: Cmap, key: str) -> object:
        """A value; None if there is none, or the daemon has no time for us."""
        for _ in range(ATTEMPTS_MAX):
            try:
                return session.get(key)
            except LibraryError as fault:
                if fault.code is not CsError.TRY_AGAIN:
                    return None
            time.sleep(RETRY_S)
        return None

    def _ourselves(self) -> tuple[str, int]:
        if self._us is None:
            try:
                cfg = Cfg()
            except LibraryError as fault:
                raise Failure(f"Failed to initialize the cfg API. Error {int(fault.code)}") from fault
            with cfg:
                try:
                    self._us = socket.gethostname(), cfg.local_node_id()
                except LibraryError:
                    return LOCALHOST, 0
        return self._us


def make_notifiers(settings: Settings, log: Log) -> list[Notifier]:
    """Those that the options ask for. Raises MissingLibrary."""
    notifiers: list[Notifier] = [LogNotifier(log)] if settings.log else []
    if settings.dbus:
        try:
            from pycorosync.tools.notify_dbus import DbusNotifier
        except ModuleNotFoundError as fault:
            raise MissingLibrary("DBus signals", fault) from fault
        notifiers.append(DbusNotifier(log.write))
    if settings.snmp:
        try:
            from pycorosync.tools.notify_snmp import SnmpNotifier
        except ModuleNotFoundError as fault:
            raise MissingLibrary("SNMP traps", fault) from fault
        notifiers.append(SnmpNotifier(settings.manager, settings.community, log.write))
    return notifiers


def main(arguments: list[str]) -> int:
    """Run until a signal, or until the daemon goes; returns the exit status."""
    settings = read_settings(arguments)
    if settings is None:
        return EXIT_FAILURE
    log = Log(prints=settings.print_events)
    try:
        check(settings, log)
        with ExitStack() as stack:
            notifiers = make_notifiers(settings, log)
            for notifier in notifiers:
                stack.callback(notifier.close)
            if not settings.foreground:
                _go_to_background()
            _serve(Watcher(settings, log, notifiers), stack)
    except MissingLibrary as missing:
        log.write("error", str(missing))
        if not settings.print_events:
            complain(f"corosync-notifyd: {missing}")
        return EXIT_FAILURE
    except Failure as failure:
        log.write("error", str(failure))
        return EXIT_FAILURE
    return EXIT_SUCCESS


def _serve(watcher: Watcher, stack: ExitStack) -> None:
    """Tell what happens until a signal comes. Raises Failure when the daemon goes."""
    watcher.connect(stack)
    signals, writer = (stack.enter_context(end) for end in socket.socketpair())
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    _tell_systemd()
    try:
        while True:
            ready, _, _ = select.select([signals.fileno(), *watcher.descriptors], [], [])
            if signals.fileno() in ready:
                return
            for descriptor in ready:
                watcher.dispatch(descriptor)
    finally:
        signal.set_wakeup_fd(-1)


def _go_to_background() -> None:
    """daemon(3): a child of its own session, in /, its standard streams on /dev/null."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(EXIT_SUCCESS)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _tell_systemd() -> None:
    """We are ready: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def run() -> NoReturn:
    """The command corosync-notifyd."""
    run_tool(main)
