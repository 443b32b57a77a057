"""The sockets of the links: bound, tuned, read in batches, and told what to send (libknet: transport_udp.c;
corosync: the sockets of exec/totemudp.c and exec/totemudpu.c).

Fragments of one message leave with one system call where the kernel can cut them (UDP_SEGMENT), and come in
joined where it can join them (UDP_GRO). What the network answers (ICMP) is read from the error queue.
"""

import contextlib
import errno
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

from pycorosync.daemon.loop import READ, Loop
from pycorosync.knet.outputs import Address, Kind, SendDatagram, SendDatagrams
from pycorosync.log import subsystem
from pycorosync.node.node import Node
from pycorosync.node.outputs import Binding
from pycorosync.types import Buffer

LOG = subsystem("TOTEM")

_BUFFER_BYTES: Final = 8 << 20
_DATAGRAM_BYTES: Final = 65535
_PRIORITY_INTERACTIVE: Final = 6
# What a link may bring in one wake-up before the others, the clients and the timers have their turn.
_RECEIVES_PER_WAKE_UP: Final = 64
_SEND_PATIENCE_S: Final = 0.01
_TRIES: Final = 4  # of one datagram, while the kernel tells of earlier ones

# Linux numbers that Python's socket module does not have everywhere.
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3
_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_ORIGIN_LOCAL = 1
# Plain numbers: an operation on IntFlag takes longer than the system call.
_TRUNCATED: Final = int(socket.MSG_TRUNC)
_ERROR_QUEUE: Final = int(socket.MSG_ERRQUEUE)
_ERROR_WAITS: Final = int(select.EPOLLERR)
_FIONREAD: Final = int(termios.FIONREAD)
_NOTHING: Final = bytes(4)
_ERROR_MESSAGES = ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))

_Control = tuple[int, int, bytes]
_SEGMENT_SIZE = struct.Struct("=H")
_GRO_SIZE = struct.Struct("=i")
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # errno, origin, type, code, info, data
_NO_SEGMENTATION = frozenset({errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT})


class LinkSocket:
    """One link's socket, and for udp the one that listens to the multicast group."""

    def __init__(self, binding: Binding, *, probes_mtu: bool) -> None:
        """Raises OSError."""
        self.binding = binding
        self.number = binding.link
        self.segments = True  # until the kernel refuses
        host, port = binding.host, binding.port
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sockets = [self._bound(host, port, probes_mtu=probes_mtu)]
        if binding.group is not None:
            try:
                self.sockets.append(self._listening(binding))
            except OSError:
                self.close()
                raise

    @property
    def main(self) -> socket.socket:
        return self.sockets[0]

    def _bound(self, host: str, port: int, *, probes_mtu: bool) -> socket.socket:
        made = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for force, plain in (
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            try:
                made.setsockopt(socket.SOL_SOCKET, force, _BUFFER_BYTES)
            except OSError:
                made.setsockopt(socket.SOL_SOCKET, plain, _BUFFER_BYTES)
        level = socket.IPPROTO_IPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_IP
        six = self.family == socket.AF_INET6
        wishes = [
            (socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY_INTERACTIVE),
            (level, _IPV6_FREEBIND if six else _IP_FREEBIND, 1),
            (level, _IPV6_RECVERR if six else _IP_RECVERR, 1),
        ]
        if probes_mtu:
            wishes.append((level, _IPV6_MTU_DISCOVER if six else _IP_MTU_DISCOVER, _PMTUDISC_PROBE))
            wishes.append((_SOL_UDP, _UDP_GRO, 1))
        for where, option, value in wishes:
            with contextlib.suppress(OSError):
                made.setsockopt(where, option, value)
        made.bind((host, port))
        return made

    def _listening(self, binding: Binding) -> socket.socket:
        group, host = binding.group or "", binding.host
        made = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((group, binding.port))
        if self.family == socket.AF_INET:
            near = socket.inet_aton(host)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + near)
            self.main.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, near)
            self.main.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, binding.ttl)
            self.main.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        else:
            joined = socket.inet_pton(socket.AF_INET6, group) + bytes(4)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined)
            self.main.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, binding.ttl)
            self.main.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        return made

    def close(self) -> None:
        for each in self.sockets:
            each.close()


class LinkSockets:
    """All links' sockets. What they bring goes to the node."""

    def __init__(self, loop: Loop, node: Node, carry_out: Callable[[int], None], *, probes_mtu: bool) -> None:
        """`carry_out(now_ns)`: the node has outputs, which others wait for.

        `probes_mtu`: packets must not be fragmented on the way, because knet finds out what fits.
        """
        self._carry_out = carry_out
        self._loop = loop
        self._node = node
        self._probes_mtu = probes_mtu
        self._links: dict[int, LinkSocket] = {}
        self._waiting = bytearray(4)  # how large the next datagram is: the kernel's answer

    def configure(self, bindings: tuple[Binding, ...]) -> None:
        """Have exactly these open. Raises OSError for one that cannot be."""
        wanted = {binding.link: binding for binding in bindings}
        for number, link in list(self._links.items()):
            if wanted.get(number) != link.binding:
                self._close(number)
        for number, binding in wanted.items():
            if number not in self._links:
                link = self._links[number] = LinkSocket(binding, probes_mtu=self._probes_mtu)
                for each in link.sockets:
                    self._loop.add(each.fileno(), self._reader(link, each), READ)

    def close(self) -> None:
        """The node has left the ring."""
        for number in list(self._links):
            self._close(number)

    def _close(self, number: int) -> None:
        link = self._links.pop(number)
        for each in link.sockets:
            self._loop.remove(each.fileno())
        link.close()

    # --- receiving

    def _reader(self, link: LinkSocket, source: socket.socket) -> Callable[[int, int], None]:
        return lambda events, now_ns: self._on_events(link, source, events, now_ns)

    def _on_events(self, link: LinkSocket, near: socket.socket, events: int, now_ns: int) -> None:
        if events & _ERROR_WAITS:
            self._read_errors(link, near)
        node, number, waiting, fd = self._node, link.number, self._waiting, near.fileno()
        for _ in range(_RECEIVES_PER_WAKE_UP):
            try:
                data, ancillary, flags, source = near.recvmsg(_DATAGRAM_BYTES, 64)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error, which the error queue tells in full
            if flags & _TRUNCATED:
                continue
            address = source if len(source) == 2 else source[:2]
            for datagram in _split(data, ancillary) if ancillary else (data,):
                node.on_datagram(number, address, datagram, now_ns)
                if node.outputs:
                    self._carry_out(now_ns)
            # Cheaper than a receive that fails.
            fcntl.ioctl(fd, _FIONREAD, waiting)
            if waiting == _NOTHING:
                return

    def _read_errors(self, link: LinkSocket, near: socket.socket) -> int:
        """Tell the node what the network says of datagrams that we have sent; the MTU that our own kernel
        gives as the reason for refusing one, or 0.
        """
        kernel_mtu = 0
        for _ in range(_RECEIVES_PER_WAKE_UP):
            try:
                _, ancillary, _, destination = near.recvmsg(0, 512, _ERROR_QUEUE)
            except OSError:
                break
            for level, kind, data in ancillary:
                if (level, kind) not in _ERROR_MESSAGES or len(data) < _EXTENDED_ERROR.size:
                    continue
                error, origin, _, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
                if origin == _ORIGIN_LOCAL:
                    kernel_mtu = info if error == errno.EMSGSIZE else kernel_mtu
                elif destination:
                    self._node.on_network_error(link.number, destination[:2], error)
        return kernel_mtu

    # --- sending

    def send(self, output: SendDatagram, now_ns: int) -> None:
        """Output of the node."""
        link = self._links.get(output.link)
        if link is not None:
            self._send(link, output.kind, [output.payload], output.address, now_ns)

    def send_fragments(self, output: SendDatagrams, now_ns: int) -> None:
        """Output of the node: as few system calls as the kernel allows."""
        number, address, datagrams = output.link, output.address, output.datagrams
        link = self._links.get(number)
        if link is None:
            return
        if len(datagrams) == 1:
            self._send(link, Kind.DATA, datagrams.buffers, address, now_ns)
            return
        if link.segments:
            size = [(_SOL_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(datagrams.segment_size))]
            for buffers in datagrams.batches():
                error, kernel_mtu = self._try(link, buffers, size, address)
                if error in _NO_SEGMENTATION:
                    link.segments = False
                    break
                if error:
                    self._node.on_send_error(number, address, Kind.DATA, error, kernel_mtu, now_ns)
            else:
                return
        for buffers in datagrams:
            self._send(link, Kind.DATA, buffers, address, now_ns)

    def _send(
        self, link: LinkSocket, kind: Kind, buffers: list[Buffer], address: Address, now_ns: int
    ) -> None:
        error, kernel_mtu = self._try(link, buffers, [], address)
        if error:
            self._node.on_send_error(link.number, address, kind, error, kernel_mtu, now_ns)

    def _try(
        self, link: LinkSocket, buffers: list[Buffer], control: list[_Control], address: Address
    ) -> tuple[int, int]:
        """0 or the errno, and the MTU that our own kernel gives as its reason or 0.

        The kernel answers a send with what became of an earlier one (ICMP), whoever that was for, and sends
        nothing. Such answers are taken from the error queue, and then it is the datagram's turn.
        """
        error = kernel_mtu = 0
        for _ in range(_TRIES):
            error = _send(link.main, buffers, control, address)
            if error in (0, errno.EAGAIN):
                break
            kernel_mtu = self._read_errors(link, link.main)
            if kernel_mtu and error == errno.EMSGSIZE:
                break
        return error, kernel_mtu


def _send(near: socket.socket, buffers: list[Buffer], control: list[_Control], to: Any) -> int:
    """0, or an errno. A full buffer is waited for, briefly."""
    for _ in range(2):
        try:
            near.sendmsg(buffers, control, 0, to)
        except BlockingIOError:
            select.select([], [near], [], _SEND_PATIENCE_S)
        except OSError as fault:
            return fault.errno or errno.EIO
        else:
            return 0
    return errno.EAGAIN


def _split(data: bytes, ancillary: list[_Control]) -> list[bytes | memoryview]:
    """The datagrams that the kernel has joined."""
    for level, kind, value in ancillary:
        if (level, kind) == (_SOL_UDP, _UDP_GRO) and len(value) >= _GRO_SIZE.size:
            size = _GRO_SIZE.unpack_from(value)[0]
            if 0 < size < len(data):
                view = memoryview(data)
                return [view[at : at + size] for at in range(0, len(data), size)]
    return [data]
