"""The daemon's side of libqb's IPC, with clients of every kind."""

import contextlib
import errno
import os
import socket
import struct
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from pycorosync.client.connection import Connection, LibraryError
from pycorosync.cs_error import CsError
from pycorosync.daemon import client_server
from pycorosync.daemon.client_server import Client, ClientServer
from pycorosync.daemon.socket_channel import abstract_address
from pycorosync.ipc import messages
from pycorosync.services.service import REQUEST_HEADER, RESPONSE_HEADER
from tests.daemon.served import Served, served

CPG = 2
LOCAL_GET = REQUEST_HEADER.encode(4, 16)
GROUP = struct.pack("=I4x128s", 4, b"test")
JOIN = REQUEST_HEADER.encode(0, 168) + GROUP + struct.pack("=I4xI4x", 1, 0)


def _mcast(body: bytes) -> bytes:
    return struct.pack("=i4xi4xi4xi4xi4x", 2, 40 + len(body), 0, 2, len(body)) + body


def _rings() -> list[Path]:
    return list(Path("/dev/shm").glob(f"qb-{os.getpid()}-*"))


def _raw(server: Served) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.connect(abstract_address(server.name(CPG)))
    return raw


def _answered(connection: Connection) -> bool:
    return bool(RESPONSE_HEADER.decode(connection.request(LOCAL_GET)).error == CsError.OK)


@pytest.mark.parametrize("use_sockets", [False, True])
def test_requests_responses_and_events_over_either_transport(use_sockets: bool) -> None:
    with served(use_sockets=use_sockets) as server, Connection(server.name(CPG)) as connection:
        assert RESPONSE_HEADER.decode(connection.request(JOIN)).error == CsError.OK
        assert connection.receive_event(30) is not None  # the membership
        bodies = [Random(size).randbytes(size) for size in (0, 1, 63, 5000, 100_000)] * 20
        for body in bodies:
            connection.send(_mcast(body))
            event = connection.receive_event(30)
            assert event is not None
            assert event[184:] == body
        assert _answered(connection)
    assert not _rings()


def test_events_far_beyond_the_ring_arrive_whole_and_in_order() -> None:
    with served() as server, Connection(server.name(CPG)) as connection:
        connection.request(JOIN)
        assert connection.receive_event(30) is not None
        sent = 0
        while sent < 300:
            # LibraryError: the request ring is full for the moment.
            with contextlib.suppress(LibraryError):
                connection.send(_mcast(struct.pack("=I", sent) * 5000))
                sent += 1
        assert _answered(connection), "a client that reads no events is still served"
        for number in range(sent):
            event = connection.receive_event(30)
            assert event is not None
            assert event[184:188] == struct.pack("=I", number)


@pytest.mark.parametrize("use_sockets", [False, True])
def test_a_client_behind_with_its_events_is_served_less_often_and_not_dropped(
    use_sockets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_server, "_BACKLOG_FREE_BYTES", 3_000_000)
    turns: list[int] = []
    take = ClientServer._take_requests

    def counted(self: ClientServer, client: Client, now_ns: int) -> None:
        if client.connection.backlog_bytes > 3_000_000:
            turns.append(now_ns)
        take(self, client, now_ns)

    monkeypatch.setattr(ClientServer, "_take_requests", counted)
    with served(use_sockets=use_sockets) as server, Connection(server.name(CPG)) as connection:
        connection.request(JOIN)
        assert connection.receive_event(30) is not None
        sent = 0
        while sent < 600:
            with contextlib.suppress(LibraryError):
                connection.send(_mcast(struct.pack("=I", sent) * 5000))
                sent += 1
        assert _answered(connection), "it waits for its turn only"
        gaps = [after - before for before, after in pairwise(turns)]
        assert gaps
        assert min(gaps) >= 3_000_000 // 8
        for number in range(sent):
            event = connection.receive_event(30)
            assert event is not None
            assert event[184:188] == struct.pack("=I", number)
        server.until(lambda: not server.server._slowed)


def test_a_client_that_goes_leaves_nothing_and_what_it_sent_still_counts() -> None:
    with served() as server, Connection(server.name(CPG)) as listener:
        listener.request(JOIN)
        assert listener.receive_event(30) is not None
        with Connection(server.name(CPG)) as sender:
            join = REQUEST_HEADER.encode(0, 168) + GROUP + struct.pack("=I4xI4x", 2, 0)
            assert RESPONSE_HEADER.decode(sender.request(join)).error == CsError.OK
            for _ in range(50):
                sender.send(_mcast(b"last words"))
        kinds = []
        while True:
            event = listener.receive_event(30)
            assert event is not None
            kinds.append(struct.unpack_from("=i", event)[0])
            if kinds.count(4) == 2:
                break
        assert kinds.count(5) == 50, "multicasts that the ring had taken were lost"
        server.until(lambda: server.clients() == 1)
    assert not _rings()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"x",
        bytes(23),
        bytes(24),
        messages.CONNECT_REQUEST.encode(-3, 24, 1000),
        messages.CONNECT_REQUEST.encode(0, 24, 1000),
    ],
)
def test_whoever_does_not_introduce_himself_is_dropped(first: bytes) -> None:
    with served() as server, Connection(server.name(CPG)) as good:
        with _raw(server) as raw:
            raw.settimeout(30)
            if first:
                raw.send(first)
                assert raw.recv(1) == b""
        assert _answered(good)
    assert not _rings()


def test_an_absurd_message_size_is_refused() -> None:
    with served() as server, _raw(server) as raw:
        raw.settimeout(30)
        raw.send(messages.CONNECT_REQUEST.encode(-1, 24, 0xFFFFFFFF))
        answer = messages.CONNECT_RESPONSE.decode(raw.recv(20000, socket.MSG_WAITALL))
        assert answer.error == -errno.ENOMEM


def test_many_half_open_connections_do_not_pile_up() -> None:
    with served() as server:
        raws = [_raw(server) for _ in range(600)]
        with Connection(server.name(CPG)) as good:
            assert _answered(good)
        assert len(server.server._handshakes) <= 256
        for raw in raws:
            raw.close()


def test_a_full_file_system_refuses_the_client_and_keeps_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as server, Connection(server.name(CPG)) as good:

        def full(_fd: int, _offset: int, _length: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "posix_fallocate", full)
            with pytest.raises(LibraryError) as caught:
                Connection(server.name(CPG))
            assert caught.value.code is CsError.NO_SPACE
        assert _answered(good)
        assert server.clients() == 1
    assert not _rings()


@pytest.mark.parametrize("seed", range(10))
def test_a_client_that_scribbles_over_its_rings_is_disconnected_alone(seed: int) -> None:
    rng = Random(seed)
    with served() as server, Connection(server.name(CPG)) as good:
        for _ in range(5):
            bad = Connection(server.name(CPG))
            channel = bad._channel
            for file in channel._files:  # type: ignore[union-attr]
                for mapping in file.mappings:
                    for _ in range(20):
                        at = rng.randrange(min(8192, mapping.length - 4))
                        mapping.view[at : at + 4] = rng.randbytes(4)
            try:
                for _ in range(20):
                    bad.send(rng.randbytes(rng.randrange(1, 300)))
            except LibraryError:
                pass
            bad.close()
            assert _answered(good), f"seed {seed}"
        server.until(lambda: server.clients() == 1)
    assert not _rings()


@pytest.mark.parametrize("seed", range(5))
def test_random_requests_to_every_service(seed: int) -> None:
    rng = Random(seed)
    with served() as server, Connection(server.name(CPG)) as good:
        for service_id in (0, 1, 2, 3, 5):
            connection = Connection(server.name(service_id))
            for _ in range(400):
                body = rng.randbytes(rng.choice((0, 1, 8, 100, 300, 3000)))
                number = rng.choice((rng.randrange(-4, 20), rng.randrange(-(2**31), 2**31)))
                size = rng.choice((16 + len(body), rng.randrange(-(2**31), 2**31)))
                if number == messages.ID_DISCONNECT:
                    continue
                try:
                    connection.send(REQUEST_HEADER.encode(number, size) + body)
                except LibraryError:
                    connection.close()
                    connection = Connection(server.name(service_id))
                while connection._channel.wait_response(0) is not None:
                    pass
            connection.close()
            assert _answered(good), f"seed {seed}"


def test_flow_control_reaches_clients_and_holds_their_requests_back() -> None:
    with served() as server, Connection(server.name(CPG)) as connection:
        server.call(lambda: server.server.set_flow_control(CPG, 2))
        assert connection.flow_control == 2
        with pytest.raises(LibraryError) as caught:
            connection.send(LOCAL_GET, flow_control_max=2)
        assert caught.value.code is CsError.TRY_AGAIN
        connection.send(LOCAL_GET)
        assert connection._channel.wait_response(0) is None
        server.call(lambda: server.server.set_flow_control(CPG, 0))
        assert connection._channel.wait_response(30) is not None


def test_the_statistics_name_each_connection() -> None:
    with served() as server, Connection(server.name(CPG)) as connection:
        for _ in range(3):
            _answered(connection)
        found: dict[str, object] = {}
        server.call(lambda: found.update({key: value for key, _, value in server.server.stats()}))
        prefix = next(key for key in found if key.endswith(".procname")).removesuffix("procname")
        assert prefix.startswith(f"stats.ipcs.service2.{os.getpid()}.0x")
        assert (found[f"{prefix}requests"], found[f"{prefix}responses"]) == (3, 3)
        assert found["stats.ipcs.global.active"] == 1
