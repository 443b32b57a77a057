"""The layouts of cfg's messages against bytes of the real thing (pycorosync/services/cfg/messages.py)."""

from typing import Any

import pytest

from pycorosync.services.cfg import messages
from pycorosync.services.cfg.messages import CfgExec, CfgRequest, CfgResponse
from pycorosync.wire.fixed import BIG
from tests.vectors import Vector, vectors


def shown(value: Any) -> str:
    return value.partition(b"\0")[0].decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize("vector", vectors("cfg"), ids=str)
def test_fields_of_the_real_messages(vector: Vector) -> None:
    layout = getattr(messages, vector.name)
    assert len(vector.data) == layout.size
    record = layout.decode(vector.data, 0, vector.order)
    assert {name: shown(value) for name, value in record._asdict().items()} == vector.fields
    assert layout.decode(layout.encode(*record)) == record


def test_there_are_vectors() -> None:
    assert {"KILL_NODE_EXEC", "RELOAD_EXEC", "NODE_STATUS_HEAD"} <= {one.name for one in vectors("cfg")}


def test_the_other_byte_order() -> None:
    record = messages.KILL_NODE_EXEC.decode(
        messages.KILL_NODE_EXEC.encode(0x10001, 288, 7, 3, b"hi", order=BIG), 0, BIG
    )
    assert (record.header_id, record.node_id, record.reason_length) == (0x10001, 7, 3)


def test_every_request_has_a_response_of_its_name() -> None:
    assert {request.name for request in CfgRequest} == {one.name for one in CfgResponse} - {"TEST_SHUTDOWN"}


def test_ids_between_nodes_carry_the_service() -> None:
    assert messages.exec_id(CfgExec.RELOAD_CONFIG) == 0x10003
