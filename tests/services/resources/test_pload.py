"""The load generator that takes no part."""

import logging

import pytest

from pycorosync.services.resources.pload import START, START_VALUE, PloadService
from pycorosync.services.service import REQUEST_HEADER
from tests.services.cmap.clients import view


def test_it_is_listed_like_the_real_one() -> None:
    assert (PloadService.ID, PloadService.NAME, PloadService.HAS_IPC) == (4, "pload", False)
    assert sorted(PloadService.DELIVERIES) == [0, 1]


def test_a_start_is_refused_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    node = view()
    service = PloadService(node)
    with caplog.at_level(logging.DEBUG, "corosync.PLOAD"):
        node.cmap.set_str("pload.start", "please")
        assert caplog.messages == []
        node.cmap.set_str("pload.start", START_VALUE)
    assert caplog.messages == ["pload is not available: no load is generated"]
    assert service.outputs == []


def test_a_peers_load_is_taken_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    service = PloadService(view())
    with caplog.at_level(logging.DEBUG, "corosync.PLOAD"):
        service.on_delivery(2, 0, memoryview(START.encode(4 << 16, 0, 1000, 300)), "<", 1)
        service.on_delivery(2, 1, memoryview(REQUEST_HEADER.encode(4 << 16 | 1, 316) + bytes(300)), "<", 1)
    assert caplog.messages == ["Node 2 starts pload (1000 messages): not taking part"]
    assert service.outputs == []
