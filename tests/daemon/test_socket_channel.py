"""A client over datagram sockets."""

import os
import socket
from collections.abc import Iterator

import pytest

from pycorosync.daemon.socket_channel import SocketChannel, abstract_address
from pycorosync.ipc.shared_memory import ring_name


@pytest.fixture
def channel() -> Iterator[SocketChannel]:
    made = SocketChannel(ring_name(os.getpid(), 1, 2), "test", 1 << 20, os.getuid(), os.getgid())
    yield made
    path = made.control_path
    made.close()
    assert not os.path.exists(path)


def _client_end(channel: SocketChannel, ours: str, theirs: str) -> socket.socket:
    base = channel.paths[1]
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(abstract_address(f"{base}-{ours}"))
    end.connect(abstract_address(f"{base}-{theirs}"))
    end.settimeout(30)
    return end


def test_requests_come_and_responses_go_over_one_pair(channel: SocketChannel) -> None:
    assert channel.next_request() is None
    with _client_end(channel, "response", "request") as client:
        client.send(b"first")
        client.send(b"second")
        for _ in range(2):
            request = channel.next_request()
            assert request is not None
            assert bytes(request) == b"first"
            channel.put_back()
        channel.request_done()
        request = channel.next_request()
        assert request is not None
        assert bytes(request) == b"second"
        channel.request_done()
        assert channel.write_response(b"answer")
        assert client.recv(100) == b"answer"


def test_events_wait_for_a_client_that_is_not_there_yet(channel: SocketChannel) -> None:
    assert not channel.write_event(b"too ", b"early")
    with _client_end(channel, "event", "event-tx") as client:
        assert channel.write_event(b"in ", b"time")
        assert client.recv(100) == b"in time"


def test_a_client_that_does_not_read_fills_its_socket_and_no_more(channel: SocketChannel) -> None:
    with _client_end(channel, "event", "event-tx"):
        written = 0
        while channel.write_event(b"x" * 1000, b""):
            written += 1
            assert written < 100_000


def test_flow_control_stands_in_the_shared_file(channel: SocketChannel) -> None:
    channel.set_flow_control(2)
    with open(channel.control_path, "rb") as file:
        assert file.read()[4:8] == (2).to_bytes(4, "little")
