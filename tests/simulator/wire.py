"""What may leave a node: only what corosync would send in its place.

A Sentry stands where a node gives its frames to the network and reads each of them, down to the messages of
the services. The layouts are written down here once more, after protocol/, and not taken from the code that
encodes them.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pycorosync.node.node import ALL_NODES
from pycorosync.types import Buffer, NodeId

if TYPE_CHECKING:
    from tests.simulator.host import Daemon

HEADER: Final = struct.Struct("<HBBBII")  # magic, version, type, encapsulated, node, target
RING: Final = struct.Struct("<IQ")
TOKEN, MCAST, MERGE, JOIN, COMMIT, CANCEL = range(6)
SIZES: Final = {TOKEN: 57, MCAST: 45, MERGE: 29, JOIN: 33, COMMIT: 41, CANCEL: 25}
FRAME_MAX: Final = {"knet": 65536 - 45, "udpu": 1500 - 45, "udp": 1500 - 45}
SYNC, SERVICES = "sync", "a"
NODES_MAX: Final = 384


class Sentry:
    """Watches one life of a daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._node = daemon.node
        self._me: NodeId = daemon.host.node_id
        # Of our own message that goes over several frames: in a synchronization, and otherwise.
        self._begun = {True: bytearray(), False: bytearray()}
        self._last_seq: dict[tuple[int, int], int] = {}
        self._rings = [tuple(daemon.node._ring.ring_id)]  # the ring's present and last id
        self._introduced = False  # the others know us in votequorum, in the present synchronization
        self.left = False
        network = self._node._network
        self._send = network.send
        setattr(network, "send", self.send)  # noqa: B010

    def send(self, frame: Buffer, to: NodeId, now_ns: int, *, loop_back: bool = False) -> None:
        self.look(bytes(frame), to)
        self._send(frame, to, now_ns, loop_back=loop_back)

    def _say(self, holds: bool, what: str) -> None:
        assert holds, f"node {self._me} sends what corosync would not: {what}"

    def look(self, frame: bytes, to: NodeId) -> None:
        """Raises AssertionError."""
        present = tuple(self._node._ring.ring_id)
        if present != self._rings[-1]:
            self._rings = [self._rings[-1], present]
        self._say(not self.left, "something after it has left")
        magic, version, kind, encapsulated, node_id, target = HEADER.unpack_from(frame)
        self._say((magic, version) == (0xC070, 3) and kind in SIZES, f"header {frame[:13].hex()}")
        self._say(len(frame) >= SIZES[kind], f"type {kind} with {len(frame)} bytes")
        self._say((kind == MCAST) == (encapsulated in (1, 2)), f"type {kind}, encapsulated {encapsulated}")
        self._say((to == ALL_NODES) == (kind not in (TOKEN, COMMIT)), f"type {kind} to {to}")
        self._say(target == (0 if to == ALL_NODES else to), f"target {target} to {to}")
        if kind not in (MCAST, JOIN):
            self._say(node_id == self._me, f"type {kind} of {node_id}")
        LOOKS[kind](self, frame)

    def _is_ours(self, frame: bytes, at: int) -> bool:
        """Whether a frame names our ring, or the last one: it may be read when the state has moved on."""
        return RING.unpack_from(frame, at) in self._rings

    # --- the ring's messages

    def _token(self, frame: bytes) -> None:
        count = struct.unpack_from("<i", frame, 53)[0]
        flag = struct.unpack_from("<i", frame, 49)[0]
        self._say(
            0 <= count <= 30 and len(frame) == 57 + 16 * count, f"{count} requests in {len(frame)} bytes"
        )
        self._say(flag in (0, 1), f"retrans_flg {flag}")
        self._say(self._is_ours(frame, 29), "a token of another ring")
        seq, _, aru = struct.unpack_from("<III", frame, 13)
        self._say(aru == 0xFFFFFFFF or aru <= seq, f"aru {aru} above seq {seq}")

    def _mcast(self, frame: bytes) -> None:
        limit = FRAME_MAX[self._daemon.host.cluster.setup.transport] + 45
        self._say(len(frame) <= limit, f"an mcast of {len(frame)} bytes")
        sender, seq = struct.unpack_from("<II", frame, 13)
        ring = RING.unpack_from(frame, 25)
        zeros = struct.unpack_from("<Ii", frame, 37)
        self._say(zeros == (0, 0), "an mcast with a guarantee")
        self._say(sender in self._daemon.host.cluster.hosts, f"an mcast of {sender}")
        self._say(ring in self._rings, "an mcast of another ring")
        if sender != self._me:
            return  # sent again
        last = self._last_seq.get(ring, 0)
        if seq <= last:
            return
        self._last_seq = {ring: seq}
        if frame[4] == 1:
            self._copy(frame[45:])
        else:
            self._packet(frame[45:])

    def _copy(self, inner: bytes) -> None:
        """A recovery copy holds a whole message of an older ring."""
        self._say(len(inner) >= 45 and inner[:4] == frame_start(MCAST), "a copy of no message")
        self._say(RING.unpack_from(inner, 25) != tuple(self._node._ring.ring_id), "a copy of a new message")

    def _merge(self, frame: bytes) -> None:
        self._say(len(frame) == 29 and self._is_ours(frame, 17), "a merge detect of another ring")
        self._say(RING.unpack_from(frame, 17)[0] == self._me, "a merge detect, being no representative")

    def _join(self, frame: bytes) -> None:
        head, me = struct.unpack_from("<I", frame, 5)[0], self._me
        sender, proc_count, failed_count, ring_seq = struct.unpack_from("<IIIQ", frame, 13)
        self._say(len(frame) == 33 + 4 * (proc_count + failed_count), "a join of a wrong size")
        self._say(max(proc_count, failed_count) <= NODES_MAX, "a join with too many nodes")
        nodes = struct.unpack_from(f"<{proc_count + failed_count}I", frame, 33)
        proc, failed = nodes[:proc_count], nodes[proc_count:]
        self._say(sender == me and head in (0, me), f"a join of {sender} and {head}")
        self._say(ring_seq in (seq for _, seq in self._rings), "a join of another ring")
        self._say(len(set(proc)) == proc_count and len(set(failed)) == failed_count, "a join with doubles")
        self._say(0 not in nodes, "a join with node 0")
        if head == 0:
            self._say(me not in proc and failed[-1:] == (me,), "a leave that names somebody else")
            self.left = True
        else:
            self._say(me in proc, "a join without itself")

    def _commit(self, frame: bytes) -> None:
        index, count = struct.unpack_from("<ii", frame, 33)
        self._say(len(frame) == 41 + 28 * count and 0 < index <= count, "a commit token of a wrong size")
        members = struct.unpack_from(f"<{count}I", frame, 41)
        ring = RING.unpack_from(frame, 17)
        self._say(list(members) == sorted(set(members)), f"a commit token for {members}")
        self._say(ring[0] in members and self._me in members, f"a commit token of {ring} for {members}")
        self._say(struct.unpack_from("<I", frame, 29)[0] == 0, "a commit token with a flag")
        self._say(self._daemon.host.stored_ring_seq <= ring[1], "a commit token below what is stored")

    def _cancel(self, frame: bytes) -> None:
        self._say(len(frame) == 25 and self._is_ours(frame, 13), "a hold cancel for another ring")

    # --- what the services say

    def _packet(self, packet: bytes) -> None:
        version, kind, fragmented, continuation, count = struct.unpack_from("<hhBBH", packet)
        self._say((version, kind) == (0, 0) and count > 0, f"a packet {packet[:8].hex()}")
        lengths = struct.unpack_from(f"<{count}H", packet, 8)
        at = 8 + 2 * count
        begun = self._begun[self._node._packer.in_sync]
        self._say(at + sum(lengths) == len(packet), "a packet of a wrong size")
        for place, length in enumerate(lengths):
            part, at = packet[at : at + length], at + length
            first, last = place == 0, place == count - 1
            if first and continuation:
                begun += part
                if last and fragmented:
                    continue
                part = bytes(begun)
                begun.clear()
            elif last and fragmented:
                begun[:] = part
                continue
            self._message(part)

    def _message(self, message: bytes) -> None:
        groups, length = struct.unpack_from("<HH", message)
        name, data = message[4 : 4 + length].decode(), message[4 + length :]
        self._say(groups == 1 and name in (SYNC, SERVICES), f"a message to {groups} groups")
        number, _, size, _ = struct.unpack_from("<iiii", data)
        if name == SYNC:
            self._say((number, len(data)) in ((0, 32), (1, 552)), f"sync {number} of {len(data)} bytes")
            if number == 1:
                self._introduced = False
            return
        self._say(size == len(data), f"{number:#x} says {size} bytes, has {len(data)}")
        self._say(number in MESSAGES, f"function {number:#x}")
        wanted, look = MESSAGES[number]
        self._say(size == wanted if wanted > 0 else size >= -wanted, f"{number:#x} of {size} bytes")
        look(self, data)

    def _config_version(self, data: bytes) -> None:
        self._say(data[16] in (0, 1) and data[24] == 1, "a cmap message with other things")
        name, kind = data[56:312].partition(bytes(1))[0].decode(), data[312]
        length = struct.unpack_from("<Q", data, 320)[0]
        self._say(name == "totem.config_version", f"the key {name!r}")
        mine = self._node.view.cmap.value("totem.config_version")
        value = struct.unpack_from("<Q", data, 328)[0] if (kind, length) == (8, 8) else None
        self._say(value == mine, f"config_version {value}, its own is {mine!r}")

    def _process(self, data: bytes) -> None:
        pid, reason = struct.unpack_from("<I", data, 152)[0], struct.unpack_from("<I", data, 160)[0]
        self._say(reason in (1, 2, 5), f"a process event for reason {reason}")
        self._say(pid > 0, "a process event for pid 0")

    def _join_list(self, data: bytes) -> None:
        self._say((len(data) - 24) % 144 == 0, f"a join list of {len(data)} bytes")
        for at in range(24, len(data), 144):
            length = struct.unpack_from("<I", data, at + 8)[0]
            self._say(0 < length <= 128, "a group without a name")

    def _multicast(self, data: bytes) -> None:
        size = struct.unpack_from("<I", data, 152)[0]
        source = struct.unpack_from("<I", data, 168)[0]
        self._say(
            size == len(data) - 184 and source == self._me, f"a multicast of {source} with {size} bytes"
        )

    def _part(self, data: bytes) -> None:
        size, kind, source = (struct.unpack_from("<I", data, at)[0] for at in (160, 176, 184))
        self._say(size == len(data) - 200 and source == self._me, f"a part of {source} with {size} bytes")
        self._say(kind in (1, 2, 3), f"a part of kind {kind}")

    def _down_list(self, data: bytes) -> None:
        old, left = struct.unpack_from("<II", data, 16)
        nodes = struct.unpack_from("<384I", data, 32)
        self._say(max(old, left) <= NODES_MAX and 0 not in nodes[:left], f"a down list {nodes[:left]}")
        self._say(self._me not in nodes[:left], "a down list with itself")

    def _node_info(self, data: bytes) -> None:
        node_id, votes, expected, flags = struct.unpack_from("<IIII", data, 16)
        self._say(node_id in (0, self._me), f"node info of {node_id}")
        self._say(node_id == self._me or self._introduced, "node info of a device, not being known itself")
        self._introduced |= node_id == self._me
        self._say(max(votes, expected) < 1 << 16, f"{votes} votes, {expected} expected")
        self._say(flags < 256, f"the flags {flags:#x}")

    def _anything(self, _data: bytes) -> None:
        """The size says it all."""


def frame_start(kind: int) -> bytes:
    return bytes((0x70, 0xC0, 3, kind))


LOOKS: Final[dict[int, Callable[[Sentry, bytes], None]]] = {
    TOKEN: Sentry._token,
    MCAST: Sentry._mcast,
    MERGE: Sentry._merge,
    JOIN: Sentry._join,
    COMMIT: Sentry._commit,
    CANCEL: Sentry._cancel,
}
# Size, or with a minus the least, and what else to look at.
MESSAGES: Final[dict[int, tuple[int, Callable[[Sentry, bytes], None]]]] = {
    0x00000: (-48, Sentry._config_version),
    0x10001: (288, Sentry._anything),
    0x10002: (16, Sentry._anything),
    0x10003: (32, Sentry._anything),
    0x10004: (24, Sentry._anything),
    0x20000: (168, Sentry._process),
    0x20001: (168, Sentry._process),
    0x20002: (-24, Sentry._join_list),
    0x20003: (-184, Sentry._multicast),
    0x20005: (1568, Sentry._down_list),
    0x20006: (-200, Sentry._part),
    0x50000: (32, Sentry._node_info),
    0x50001: (32, Sentry._anything),
    0x50002: (280, Sentry._anything),
    0x50003: (528, Sentry._anything),
}
