"""Accepts IPC clients, owns their channels and sockets, and carries requests to the node and outputs back
(libqb: lib/ipc_setup.c and lib/ipcs.c; corosync: exec/ipc_glue.c).
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from functools import partial
from itertools import count

from pycorosync.cmap.stats import IPC_CONNECTION, IPC_GLOBAL, Stat
from pycorosync.cmap.store import Value
from pycorosync.daemon.loop import HANG_UP, READ, READ_AND_DRAINED, WRITABLE, Loop
from pycorosync.daemon.realtime import give_back_heap
from pycorosync.daemon.sigbus import SigbusGuard
from pycorosync.daemon.socket_channel import SocketChannel, abstract_address
from pycorosync.errors import MalformedMessage
from pycorosync.ipc import messages
from pycorosync.ipc.connection import Connection, SharedMemoryChannel
from pycorosync.ipc.shared_memory import CHANNELS, RingFile, ring_name
from pycorosync.log import subsystem
from pycorosync.node.node import Node
from pycorosync.services.outputs import DisconnectClient, Respond, SendEvent, SendEvents
from pycorosync.services.service import ClientInfo
from pycorosync.types import ClientId, ServiceId

LOG = subsystem("QB")
MAIN = subsystem("MAIN")

_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid
# libqb's is 128; a cluster that starts everywhere at once brings more.
_LISTEN_BACKLOG = 1024
# Connections that have not yet said who they are; the oldest goes when there are more.
_HANDSHAKES_MAX = 256
# What one client may have done before the others and the ring get their turn.
_REQUESTS_PER_TURN = 128
_REQUEST_BYTES_PER_TURN = 1 << 20
_WAKE_UP_BYTES = 4096
# A client with more events waiting than this gets its turn only when it has read some, or now and then: after
# 1 ms, or 1 ns for every 8 of those bytes, which is 34 ms shortly before the connection's limit.
_BACKLOG_FREE_BYTES = 1024 * 1024
_BACKLOG_WAIT_NS = 1_000_000
_BACKLOG_BYTES_PER_NS = 8
# Beyond this a connection's end gives memory back to the system.
_BACKLOG_LARGE_BYTES = 16 * 1024 * 1024
# One byte announces one event; a socket takes only a few hundred before it is full.
_ANNOUNCEMENTS = bytes(4096)
# File descriptors kept free for ourselves: log file, state files, reload.
_SPARE_FDS = 32


class Client:
    """A connection and what the shell holds for it."""

    __slots__ = (
        "channel",
        "connection",
        "info",
        "process_name",
        "rings",
        "service_name",
        "setup",
        "watching_room",
    )

    def __init__(
        self,
        info: ClientInfo,
        service_name: str,
        setup: socket.socket,
        channel: SharedMemoryChannel | SocketChannel,
        rings: list[RingFile],
    ) -> None:
        self.info = info
        self.service_name = service_name
        self.setup = setup
        self.channel = channel
        self.rings = rings
        self.connection = Connection(channel)
        self.process_name = _process_name(info.pid)
        self.watching_room = False


class ClientServer:
    """All clients of all services."""

    def __init__(self, loop: Loop, node: Node, guard: SigbusGuard, *, use_sockets: bool) -> None:
        self._guard = guard
        self._loop = loop
        self._node = node
        self._use_sockets = use_sockets
        self._listeners: dict[ServiceId, socket.socket] = {}
        self._handshakes: dict[socket.socket, ServiceId] = {}
        self._clients: dict[ClientId, Client] = {}
        self._ids = count(1)
        self._unread: set[ClientId] = set()  # may have requests that no descriptor will announce again
        self._stalled: set[ClientId] = set()  # have a request that the node could not take
        self._slowed: dict[
            ClientId, int
        ] = {}  # are behind with their events, and when it is their turn again
        self._to_announce: set[ClientId] = set()
        self._to_unmap: list[RingFile] = []
        self._closed_total = 0
        self._flow_control: dict[ServiceId, int] = {}
        self._fd_limit = 0
        self._refusing = False

    # --- listening

    def listen(self, service_id: ServiceId, name: str) -> None:
        """Open a service to clients. Raises OSError if another server has its name."""
        listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        LOG.info("server name: %s", name)
        # Inherited by accepted sockets, so that no request can arrive without its sender's credentials.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.bind(abstract_address(name))
        listener.listen(_LISTEN_BACKLOG)
        self._listeners[service_id] = listener
        self._loop.add(listener.fileno(), lambda _events, _now: self._accept(service_id, listener))

    def close_service(self, service_id: ServiceId, now_ns: int) -> None:
        """Stop a service: its clients are disconnected, those that were about to connect too."""
        if listener := self._listeners.pop(service_id, None):
            LOG.info("withdrawing server sockets")
            self._loop.remove(listener.fileno())
            listener.close()
        for setup in [s for s, wanted in self._handshakes.items() if wanted == service_id]:
            self._drop_handshake(setup)
        for client in [c for c in self._clients.values() if c.info.service_id == service_id]:
            self._disconnect(client, now_ns)
        self._unmap()

    def _accept(self, service_id: ServiceId, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                LOG.error("Could not accept client connection: %s (%d)", fault.strerror, fault.errno)
                return
            accepted.setblocking(False)
            if len(self._handshakes) >= _HANDSHAKES_MAX:
                self._drop_handshake(next(iter(self._handshakes)))
            self._handshakes[accepted] = service_id
            self._loop.add(accepted.fileno(), partial(self._on_handshake, accepted))

    def _drop_handshake(self, setup: socket.socket) -> None:
        del self._handshakes[setup]
        self._loop.remove(setup.fileno())
        setup.close()

    # --- setup of one connection

    def _on_handshake(self, setup: socket.socket, events: int, now_ns: int) -> None:
        """A new connection sends its request: all of it in one piece, or it is not a libqb client."""
        service_id = self._handshakes[setup]
        try:
            data, ancillary, _, _ = setup.recvmsg(
                messages.CONNECT_REQUEST.size, socket.CMSG_SPACE(_CREDENTIALS.size)
            )
        except BlockingIOError:
            if events & HANG_UP:
                self._drop_handshake(setup)
            return
        except OSError:
            self._drop_handshake(setup)
            return
        try:
            request = messages.CONNECT_REQUEST.decode(data)
        except MalformedMessage:
            self._drop_handshake(setup)
            return
        credentials = _credentials(setup, ancillary)
        if request.id != messages.ID_AUTHENTICATE or credentials is None:
            self._drop_handshake(setup)
            return
        del self._handshakes[setup]
        self._loop.remove(setup.fileno())
        # From here on every byte we send is an announcement, which must not carry credentials.
        setup.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        info = ClientInfo(next(self._ids), service_id, *credentials)
        self._admit(setup, info, request.max_message_bytes, now_ns)

    def _admit(self, setup: socket.socket, info: ClientInfo, max_message_bytes: int, now_ns: int) -> None:
        error = self._node.may_connect(info) or self._resources(setup, max_message_bytes)
        client = None
        if not error:
            try:
                client = self._open(setup, info, max_message_bytes)
            except OSError as fault:
                error = fault.errno or errno.EIO
        if client is None:
            self._refuse(setup, info, error)
            return
        paths = (
            client.channel.paths if isinstance(client.channel, SocketChannel) else _ring_paths(client.rings)
        )
        kind = messages.TYPE_SOCKET if self._use_sockets else messages.TYPE_SHARED_MEMORY
        answer = messages.acceptance(kind, max_message_bytes, info.client, paths)
        if not _send_whole(setup, answer):
            self._release(client)
            return
        self._clients[info.client] = client
        client.connection.set_flow_control(self._flow_control.get(info.service_id, 0))
        self._watch(client)
        self._node.on_client(info, now_ns)

    def _refuse(self, setup: socket.socket, info: ClientInfo, error: int) -> None:
        pids = f"{os.getpid()}-{info.pid}-{setup.fileno()}"
        if error == errno.EACCES:
            LOG.error("Invalid IPC credentials (%s).", pids)
        elif error == errno.EAGAIN:
            LOG.warning("Denied connection, is not ready (%s)", pids)
        else:
            LOG.error("Error in connection setup (%s): %s (%d)", pids, os.strerror(error), error)
        _send_whole(setup, messages.refusal(-error))
        setup.close()

    def _resources(self, setup: socket.socket, max_message_bytes: int) -> int:
        """An errno if there is no room for one more client."""
        if max_message_bytes > messages.MAX_MESSAGE_BYTES:
            return errno.ENOMEM
        if not self._fd_limit:
            self._fd_limit = os.sysconf("SC_OPEN_MAX")
        refusing = setup.fileno() > self._fd_limit - _SPARE_FDS
        if refusing != self._refusing:
            self._refusing = refusing
            available = self._fd_limit - setup.fileno()
            if refusing:
                MAIN.warning("refusing new connections (fds_available:%d)", available)
            else:
                MAIN.notice("allowing new connections (fds_available:%d)", available)
        return errno.EMFILE if refusing else 0

    def _open(self, setup: socket.socket, info: ClientInfo, max_message_bytes: int) -> Client:
        name = ring_name(os.getpid(), info.pid, setup.fileno())
        service = self._node.services[info.service_id].NAME
        if self._use_sockets:
            channel = SocketChannel(name, service, max_message_bytes, info.uid, info.gid)
            return Client(info, service, setup, channel, [])
        rings: list[RingFile] = []
        try:
            for kind in CHANNELS:
                rings.append(
                    RingFile.create(f"{name}-{kind}-{service}", max_message_bytes, info.uid, info.gid)
                )
        except OSError:
            for made in rings:
                made.close()
            raise
        for file in rings:
            self._guard.guard(file.mappings)
        return Client(info, service, setup, SharedMemoryChannel(*(file.ring for file in rings)), rings)

    def _watch(self, client: Client) -> None:
        number = client.info.client
        self._loop.add(client.setup.fileno(), lambda events, now: self._on_setup_socket(number, events, now))
        if isinstance(client.channel, SocketChannel):
            for ours in (client.channel.request_socket, client.channel.event_socket):
                self._loop.add(ours.fileno(), lambda _events, now: self._on_datagrams(number, now))

    # --- a client's traffic

    def _on_setup_socket(self, number: ClientId, events: int, now_ns: int) -> None:
        client = self._clients.get(number)
        if client is None:
            return
        if not events & ~WRITABLE:
            if client.watching_room:
                self._make_progress(client)
            return
        alive = not events & HANG_UP
        try:
            # A byte never precedes its request: whatever is here, draining the ring serves all of them.
            alive = bool(client.setup.recv(_WAKE_UP_BYTES)) and alive
        except BlockingIOError:
            pass
        except OSError:
            alive = False
        if not alive:
            # What a client had sent before it went was accepted, so it still counts.
            self._take_requests(client, now_ns)
            self._disconnect(client, now_ns)
            return
        self._read_requests(client, now_ns)
        if client.watching_room:
            self._make_progress(client)

    def _on_datagrams(self, number: ClientId, now_ns: int) -> None:
        if client := self._clients.get(number):
            self._read_requests(client, now_ns)
            if client.watching_room:
                self._make_progress(client)

    def _read_requests(self, client: Client, now_ns: int) -> None:
        """Take requests, unless the client is to wait because it is behind with its events."""
        number, backlog_bytes = client.info.client, client.connection.backlog_bytes
        if number in self._slowed:
            return
        if backlog_bytes > _BACKLOG_FREE_BYTES:
            wait_ns = max(backlog_bytes // _BACKLOG_BYTES_PER_NS, _BACKLOG_WAIT_NS)
            self._slowed[number] = now_ns + wait_ns
        else:
            self._take_requests(client, now_ns)

    def _take_requests(self, client: Client, now_ns: int) -> None:
        """Take requests until there are none, the node cannot take one, or others should have their turn."""
        number, service_id = client.info.client, client.info.service_id
        connection, counters = client.connection, client.connection.counters
        budget = _REQUEST_BYTES_PER_TURN
        try:
            for _ in range(_REQUESTS_PER_TURN):
                message = None if counters.flow_control else connection.next_request()
                if message is None:
                    if counters.flow_control:
                        self._stalled.add(number)
                    return
                if not self._node.on_request(number, service_id, message, now_ns, counters):
                    connection.put_back()
                    self._stalled.add(number)
                    return
                counters.requests += 1
                budget -= len(message)
                connection.request_done()
                if budget < 0:
                    break
        except MalformedMessage as fault:
            LOG.error("request returned error (%s-%d): %s", client.process_name, client.info.pid, fault)
            self._disconnect(client, now_ns)
            return
        self._unread.add(number)

    def read_pending(self, now_ns: int) -> None:
        """Go on with the clients that had more than their turn allowed, or whose request now fits."""
        if self._stalled and self._node.accepts_messages:
            self._unread |= self._stalled
            self._stalled.clear()
            self._node.forget_turned_down()
        if self._unread:
            pending, self._unread = self._unread, set()
            for number in pending:
                if client := self._clients.get(number):
                    self._read_requests(client, now_ns)
        if self._slowed:
            for number in [n for n, until_ns in self._slowed.items() if until_ns <= now_ns]:
                del self._slowed[number]
                if client := self._clients.get(number):
                    self._take_requests(client, now_ns)

    @property
    def has_pending(self) -> bool:
        """Whether read_pending has something to do at once."""
        return bool(self._unread) or (bool(self._stalled) and self._node.accepts_messages)

    def next_deadline(self) -> int | None:
        """When read_pending is wanted next; 0 stands for at once."""
        if self.has_pending:
            return 0
        return min(self._slowed.values()) if self._slowed else None

    # --- outputs of the node

    def respond(self, output: Respond) -> None:
        """Output of the node."""
        client = self._clients.get(output.client)
        if client is None:
            return
        if client.connection.unannounced:
            # What a request has caused is announced before its answer: who has the answer may look.
            self._announce(client)
        if not client.connection.respond(output.payload):
            LOG.debug("%s-%d does not read its responses", client.process_name, client.info.pid)

    def send_event(self, output: SendEvent) -> None:
        """Output of the node."""
        self.send_events(SendEvents([output]))

    def send_events(self, output: SendEvents) -> None:
        """Output of the node: many at once."""
        clients, number, connection = self._clients, 0, None
        for receiver, head, body in output.events:
            if receiver != number:
                number = receiver
                client = clients.get(number)
                connection = client.connection if client is not None else None
                if connection is not None:
                    self._to_announce.add(number)
            if connection is not None:
                connection.send_event(head, body)

    def disconnect(self, output: DisconnectClient, now_ns: int) -> None:
        """Output of the node."""
        if client := self._clients.get(output.client):
            LOG.warning("disconnecting %s-%d: %s", client.process_name, client.info.pid, output.reason)
            self._disconnect(client, now_ns)

    def set_flow_control(self, service_id: ServiceId, level: int) -> None:
        """Tell all clients of a service, those to come included."""
        self._flow_control[service_id] = level
        for client in self._clients.values():
            if client.info.service_id == service_id:
                client.connection.set_flow_control(level)

    def flush(self, now_ns: int) -> None:
        """Announce what has been written in this turn, and see to those who have fallen behind."""
        if self._to_announce:
            numbers, self._to_announce = self._to_announce, set()
            for number in numbers:
                client = self._clients.get(number)
                if client is None:
                    continue
                if client.connection.overflowed:
                    LOG.error(
                        "%s-%d has not read its events for too long, disconnecting",
                        client.process_name,
                        client.info.pid,
                    )
                    self._disconnect(client, now_ns)
                else:
                    self._make_progress(client)
        if self._guard.severed:
            self._disconnect_saboteurs(now_ns)
        if self._to_unmap:
            self._unmap()

    def _disconnect_saboteurs(self, now_ns: int) -> None:
        """End the connections whose client has truncated a ring."""
        for client in list(self._clients.values()):
            if any(m.address in self._guard.severed for file in client.rings for m in file.mappings):
                LOG.error(
                    "%s-%d has truncated its rings, disconnecting", client.process_name, client.info.pid
                )
                self._disconnect(client, now_ns)

    def _make_progress(self, client: Client) -> None:
        """Announce, fill the room there is, and watch for more room while events wait.

        Writability is edge-triggered: the kernel reports it each time the client has consumed what one send()
        announced, which is when its event ring has room again.
        """
        connection, channel = client.connection, client.channel
        done = self._announce(client)
        if connection.queueing:
            connection.flush()
            done = self._announce(client)
            if connection.backlog_bytes <= _BACKLOG_FREE_BYTES and self._slowed.pop(client.info.client, 0):
                self._unread.add(client.info.client)
        waiting = connection.queueing or not done
        if waiting != client.watching_room:
            client.watching_room = waiting
            events = READ_AND_DRAINED if waiting else READ
            if isinstance(channel, SocketChannel):
                self._loop.change(channel.event_socket.fileno(), events)
            else:
                self._loop.change(client.setup.fileno(), events)

    @staticmethod
    def _announce(client: Client) -> bool:
        connection = client.connection
        if isinstance(client.channel, SocketChannel):
            connection.announced(connection.unannounced)
            return True
        while connection.unannounced:
            try:
                connection.announced(client.setup.send(_ANNOUNCEMENTS[: connection.unannounced]))
            except BlockingIOError:
                return False
            except OSError:
                connection.announced(connection.unannounced)  # gone; the hang-up will tell
        return True

    # --- the end

    def _disconnect(self, client: Client, now_ns: int) -> None:
        if self._clients.pop(client.info.client, None) is None:
            return
        self._closed_total += 1
        if client.connection.backlog_bytes > _BACKLOG_LARGE_BYTES:
            client.connection.drop_events()
            give_back_heap()
        self._release(client)
        self._node.on_client_gone(client.info, now_ns)

    def _release(self, client: Client) -> None:
        self._loop.remove(client.setup.fileno())
        client.setup.close()
        if isinstance(client.channel, SocketChannel):
            self._loop.remove(client.channel.request_socket.fileno())
            self._loop.remove(client.channel.event_socket.fileno())
            client.channel.close()
        # A request may still be in use further up in the call stack: unmap when this turn is over.
        self._to_unmap += client.rings

    def _unmap(self) -> None:
        for file in self._to_unmap:
            # Guarded to the last: closing still writes to the header, which the client may have truncated.
            file.close()
            self._guard.forget(file.mappings)
        self._to_unmap.clear()

    # --- stats

    def stats(self) -> Iterable[Stat]:
        """stats.ipcs.*: totals, and a set of keys for each connection."""
        for name, kind in IPC_GLOBAL:
            count = len(self._clients) if name == "active" else self._closed_total
            yield f"stats.ipcs.global.{name}", kind, count
        for client in self._clients.values():
            info, counters = client.info, client.connection.counters
            prefix = f"stats.ipcs.service{info.service_id}.{info.pid}.{info.client:#x}."
            special: dict[str, Value] = {
                "procname": client.process_name,
                "queueing": int(client.connection.queueing),
            }
            for name, kind in IPC_CONNECTION:
                value = special[name] if name in special else getattr(counters, name)
                yield prefix + name, kind, value

    def clear_stats(self) -> None:
        """`corosync-cmapctl -C ipc`."""
        self._closed_total = 0
        for client in self._clients.values():
            client.connection.counters.clear()


def _ring_paths(rings: list[RingFile]) -> tuple[str, str, str]:
    return rings[0].path, rings[1].path, rings[2].path


def _credentials(
    setup: socket.socket, ancillary: list[tuple[int, int, bytes]]
) -> tuple[int, int, int] | None:
    """(pid, uid, gid) as the kernel says."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= _CREDENTIALS.size:
            pid, uid, gid = _CREDENTIALS.unpack_from(data)
            return pid, uid, gid
    return None


def _send_whole(setup: socket.socket, answer: bytes) -> bool:
    """The client waits only briefly for the rest of a short answer, so it is all or nothing."""
    try:
        return setup.send(answer) == len(answer)
    except OSError:
        return False


def _process_name(pid: int) -> str:
    """The command's name, or nothing if the process is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
