"""The plumbing that all services share."""

from typing import Any, ClassVar

import pytest
from construct import Int32ul, Struct

from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError, MalformedMessage
from pycorosync.services.outputs import Respond
from pycorosync.services.service import (
    REQUEST_HEADER,
    REQUEST_HEADER_LAYOUT,
    RESPONSE_HEADER,
    Delivery,
    Request,
    Service,
)
from pycorosync.wire.fixed import BIG, LITTLE, Fixed

NUMBER = Fixed("Number", Struct("header" / REQUEST_HEADER_LAYOUT, "value" / Int32ul))


class Echo(Service):
    """Refuses zero, cannot read one, and notes everything else."""

    def __init__(self) -> None:
        self.outputs = []
        self.seen: list[Any] = []

    def _take(self, client: int, record: Any, message: memoryview, now_ns: int) -> None:
        if record.value == 0:
            raise ClientError(CsError.NOT_EXIST)
        if record.value == 1:
            raise MalformedMessage("one")
        self.seen.append((client, record.value, bytes(message), now_ns))

    def _hear(self, node_id: int, record: Any, message: memoryview, order: str, now_ns: int) -> None:
        self.seen.append((node_id, record.value, order, now_ns))

    REQUESTS: ClassVar = {
        3: Request(_take, NUMBER, needs_ring=False),
        4: Request(_take, NUMBER, needs_ring=False, answers=False),
    }
    DELIVERIES: ClassVar = {0: Delivery(_hear, NUMBER)}


def _request(number: int, value: int) -> memoryview:
    return memoryview(NUMBER.encode(number, NUMBER.size, value))


def test_a_request_reaches_its_method_decoded() -> None:
    echo = Echo()
    echo.on_request(9, 3, _request(3, 77), 5)
    assert echo.seen == [(9, 77, bytes(_request(3, 77)), 5)]
    assert not echo.outputs


@pytest.mark.parametrize(("value", "code"), [(0, CsError.NOT_EXIST), (1, CsError.INVALID_PARAM)])
def test_a_refusal_becomes_a_bare_response(value: int, code: CsError) -> None:
    echo = Echo()
    echo.on_request(9, 3, _request(3, value), 5)
    assert echo.outputs == [Respond(9, RESPONSE_HEADER.encode(3, 24, code))]


@pytest.mark.parametrize("value", [0, 1])
def test_whoever_waits_for_no_answer_gets_none(value: int) -> None:
    echo = Echo()
    echo.on_request(9, 4, _request(4, value), 5)
    assert not echo.outputs


def test_a_request_that_is_too_short_is_refused() -> None:
    echo = Echo()
    echo.on_request(9, 3, memoryview(REQUEST_HEADER.encode(3, 16)), 5)
    assert echo.outputs == [Respond(9, RESPONSE_HEADER.encode(3, 24, CsError.INVALID_PARAM))]


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_a_delivery_is_decoded_in_its_senders_order(order: str) -> None:
    echo = Echo()
    echo.on_delivery(2, 0, memoryview(NUMBER.encode(0, 20, 77, order=order)), order, 5)
    assert echo.seen == [(2, 77, order, 5)]


def test_a_delivery_that_is_too_short_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        Echo().on_delivery(2, 0, memoryview(bytes(10)), LITTLE, 5)
