"""The synchronous client under everything in pycorosync.client."""

import pytest

from pycorosync.client.connection import Connection, LibraryError
from pycorosync.cs_error import CsError
from pycorosync.services.service import REQUEST_HEADER, RESPONSE_HEADER
from tests.daemon.served import served

CPG = 2
LOCAL_GET = REQUEST_HEADER.encode(4, 16)


def test_without_a_daemon_the_error_is_that_of_the_c_libraries() -> None:
    with pytest.raises(LibraryError) as caught:
        Connection("no-such-service-here")
    assert caught.value.code is CsError.LIBRARY


@pytest.mark.parametrize(
    ("number", "code"),
    [(11, CsError.TRY_AGAIN), (13, CsError.ACCESS), (28, CsError.NO_SPACE), (9999, CsError.LIBRARY)],
)
def test_errnos_become_the_codes_that_libraries_return(number: int, code: CsError) -> None:
    assert LibraryError.from_errno(number).code is code


def test_a_request_has_its_response_and_time_out_of_one_is_not_the_end() -> None:
    with served() as server, Connection(server.name(CPG)) as connection:
        response = RESPONSE_HEADER.decode(connection.request(LOCAL_GET))
        assert (response.id, response.error) == (7, CsError.OK)
        server.call(lambda: server.server.set_flow_control(CPG, 2))
        with pytest.raises(LibraryError) as caught:
            connection.request(LOCAL_GET, timeout_s=0.01)
        assert caught.value.code is CsError.TRY_AGAIN


def test_a_request_that_is_too_large_is_refused_before_it_is_sent() -> None:
    with served() as server, Connection(server.name(CPG)) as connection:
        with pytest.raises(LibraryError):
            connection.send(bytes(connection.max_message_bytes + 1))
        assert RESPONSE_HEADER.decode(connection.request(LOCAL_GET)).error == CsError.OK


def test_when_the_service_goes_the_client_is_told() -> None:
    with served() as server:
        connection = Connection(server.name(CPG))
        server.call(lambda: server.server.close_service(CPG, 0))
        with pytest.raises(LibraryError) as caught:
            connection.receive_event(30)
        assert caught.value.code is CsError.LIBRARY
        with pytest.raises(LibraryError):
            connection.request(LOCAL_GET)
        connection.close()


def test_a_closed_connection_says_so() -> None:
    with served() as server:
        connection = Connection(server.name(CPG))
        connection.close()
        connection.close()
        with pytest.raises(LibraryError) as caught:
            connection.send(LOCAL_GET)
        assert caught.value.code is CsError.BAD_HANDLE
        with pytest.raises(LibraryError) as caught:
            connection.receive_event(0)
        assert caught.value.code is CsError.BAD_HANDLE


def test_no_event_within_the_time_is_none() -> None:
    with served() as server, Connection(server.name(CPG)) as connection:
        assert connection.receive_event(0) is None
