"""Options of the quorum section: what they mean, which exclude each other, what happens at run time."""

import logging
from typing import Any

import pytest

from pycorosync.errors import ConfigError
from pycorosync.services.votequorum import settings
from pycorosync.services.votequorum.settings import NodeList, Settings, read_node_list
from pycorosync.services.votequorum.votes import TieBreaker
from tests.services.votequorum.cluster import configured

Options = dict[str, int | str]
PREFIX = "configuration error: "


def read(nodes: int, stored: int = 0, /, **options: Any) -> Settings:
    return settings.read_at_start(configured(range(1, nodes + 1), 1, options), stored)


def reread(nodes: int, current: Settings, registered: bool = False, /, **options: Any) -> Settings | None:
    cmap = configured(range(1, nodes + 1), 1, options)
    return settings.read_again(cmap, current, device_registered=registered, stored_expected_votes=0)


@pytest.fixture
def critical(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "corosync.VOTEQ")
    return caplog


def test_votes_come_from_the_nodelist() -> None:
    found = read(3, votes_1=2)
    assert (found.votes, found.expected_votes, found.device_votes) == (2, 4, 0)
    assert read(3, votes_2=0).expected_votes == 3  # votes_2: 0 is not set by the helper
    assert read(3, expected_votes=5).expected_votes == 5


def test_without_nodelist_expected_votes_must_be_given() -> None:
    cmap = configured((), 1, {"expected_votes": 3, "votes": 2})
    found = settings.read_at_start(cmap, 0)
    assert (found.votes, found.expected_votes) == (2, 3)
    with pytest.raises(ConfigError) as refused:
        settings.read_at_start(configured((), 1, {}), 0)
    text = PREFIX + "nodelist or quorum.expected_votes must be configured!"
    assert refused.value.faults[0].text == text


def test_nodelist_is_counted_by_position() -> None:
    cmap = configured((7, 8, 9), 8, {"votes_8": 3})
    assert read_node_list(cmap) == NodeList(nodes=3, votes=5, our_votes=3)
    cmap.set_str("nodelist.node.0.name", "again")
    cmap.set_str("nodelist.node.x.name", "no number")
    cmap.set_str("nodelist.node.12.ring0_addr", "10.0.0.12")
    assert read_node_list(cmap) == NodeList(nodes=4, votes=6, our_votes=3)
    cmap.delete("nodelist.local_node_pos")
    assert read_node_list(cmap) is None


def test_options_of_another_type_are_ignored() -> None:
    cmap = configured((1, 2), 1, {})
    cmap.set_u32("quorum.two_node", 1)
    cmap.set_str("quorum.expected_votes", "9")
    cmap.set_u8("nodelist.node.0.quorum_votes", 4)
    found = settings.read_at_start(cmap, 0)
    assert (found.two_node, found.expected_votes, found.votes) == (False, 2, 1)


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({"two_node": 1}, True),
        ({"two_node": 1, "wait_for_all": 0}, False),
        ({"wait_for_all": 1}, True),
        ({}, False),
    ],
)
def test_wait_for_all_follows_two_node_unless_given(options: Options, waits: bool) -> None:
    assert read(2, **options).wait_for_all is waits


def test_device_votes_follow_the_nodelist() -> None:
    found = read(4, **{"device.model": "net"})
    assert (found.device_votes, found.expected_votes) == (3, 7)
    found = read(4, **{"device.model": "net", "device.votes": 1})
    assert (found.device_votes, found.expected_votes) == (1, 4)
    assert read(4, **{"device.votes": 1}).device_votes == 0
    assert read(1, **{"device.model": "net"}).device_votes == 0


def test_device_timeouts() -> None:
    found = read(2, **{"device.model": "net"})
    assert (found.device_timeout_ms, found.device_sync_timeout_ms) == (10000, 30000)
    found = read(2, **{"device.model": "net", "device.timeout": 500, "device.sync_timeout": 700})
    assert (found.device_timeout_ms, found.device_sync_timeout_ms) == (500, 700)


@pytest.mark.parametrize(
    ("nodes", "options", "text"),
    [
        (2, {"two_node": 1, "device.model": "net"},
         "two_node and quorum device cannot be configured at the same time!"),
        (4, {"last_man_standing": 1, "device.model": "net"},
         "quorum.device is not compatible with last_man_standing"),
        (4, {"auto_tie_breaker": 1, "device.model": "net"},
         "quorum.device is not compatible with auto_tie_breaker"),
        (4, {"allow_downscale": 1, "device.model": "net"},
         "quorum.device is not compatible with allow_downscale"),
        (4, {"expected_votes": 5, "device.model": "net"},
         "quorum.device.votes must be specified when quorum.expected_votes is set"),
        (4, {"votes_2": 2, "device.model": "net"},
         "quorum.device.votes must be specified when not all nodes votes 1"),
        (4, {"expected_votes": 3, "device.model": "net", "device.votes": 2},
         "quorum.device.votes is too high or expected_votes is too low"),
        (3, {"auto_tie_breaker": 1, "last_man_standing": 1},
         "auto_tie_breaker & last_man_standing not available in odd sized cluster"),
    ],
)  # fmt: skip
def test_options_that_exclude_each_other_end_the_start(nodes: int, options: Options, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(nodes, **options)
    assert refused.value.faults[0].text == PREFIX + text


@pytest.mark.parametrize(
    "options",
    [
        {"last_man_standing": 1},
        {"auto_tie_breaker": 1},
        {"allow_downscale": 1},
        {"votes_2": 2},
    ],
)
def test_a_device_that_comes_at_run_time_may_not_operate(
    options: Options, critical: pytest.LogCaptureFixture
) -> None:
    started = read(4, **options)
    changed = reread(4, started, **options, **{"device.model": "net"})
    assert changed is not None
    assert not changed.device_can_operate
    assert critical.messages[-1] == "disabling quorum device operations"
    assert {record.levelno for record in critical.records} == {logging.CRITICAL}
    mended = reread(4, read(4), **{"device.model": "net"})
    assert mended is not None
    assert mended.device_can_operate


def test_two_node_and_device_at_run_time(critical: pytest.LogCaptureFixture) -> None:
    options: Options = {"two_node": 1, "device.model": "net"}
    registered = reread(2, read(2), True, **options)
    assert registered is not None
    assert (registered.two_node, registered.device_can_operate) == (False, True)
    assert critical.messages[-1] == "quorum device is registered, disabling two_node"
    unregistered = reread(2, read(2), **options)
    assert unregistered is not None
    assert (unregistered.two_node, unregistered.device_can_operate) == (True, False)
    assert critical.messages[-1] == "quorum device is not registered, allowing two_node"


def test_two_node_gives_way_to_the_tie_breaker(critical: pytest.LogCaptureFixture) -> None:
    found = read(2, two_node=1, auto_tie_breaker=1)
    assert (found.two_node, found.tie_breaker) == (False, TieBreaker.LOWEST)
    assert critical.messages == [
        "two_node and auto_tie_breaker are both specified but are not compatible.",
        "two_node has been disabled, please fix your corosync.conf",
    ]


def test_tie_breaker_in_an_odd_cluster_needs_wait_for_all(critical: pytest.LogCaptureFixture) -> None:
    assert read(3, auto_tie_breaker=1, wait_for_all=1).tie_breaker is TieBreaker.LOWEST
    assert not critical.messages
    odd = read(3, auto_tie_breaker=1)
    assert odd.tie_breaker is TieBreaker.NONE
    assert critical.messages[0] == "auto_tie_breaker is set and the cluster has an odd number of nodes."
    # It comes back when the cluster is even again.
    even = reread(4, odd, auto_tie_breaker=1)
    assert even is not None
    assert even.tie_breaker is TieBreaker.LOWEST


def test_tie_breaker_nodes(critical: pytest.LogCaptureFixture) -> None:
    found = read(4, auto_tie_breaker=1, auto_tie_breaker_node="3 1")
    assert (found.tie_breaker, found.tie_breaker_nodes) == (TieBreaker.LIST, (3, 1))
    assert read(4, auto_tie_breaker=1, auto_tie_breaker_node="highest").tie_breaker is TieBreaker.HIGHEST
    assert not critical.messages
    assert read(4, auto_tie_breaker=1, auto_tie_breaker_node="none").tie_breaker is TieBreaker.NONE
    assert read(4, auto_tie_breaker_node="1").tie_breaker is TieBreaker.NONE
    assert [record.levelno for record in critical.records] == [logging.WARNING, logging.WARNING]
    assert critical.messages[1] == "auto_tie_breaker_node: is meaningless if auto_tie_breaker is set to 0"


def test_options_read_once_do_not_change_at_run_time() -> None:
    started = read(4, last_man_standing=1, last_man_standing_window=500)
    changed = reread(4, started, allow_downscale=1, wait_for_all=1, auto_tie_breaker=1)
    assert changed is not None
    assert changed.last_man_standing
    assert changed.last_man_standing_window_ms == 500
    once = (changed.allow_downscale, changed.wait_for_all, changed.expected_votes_tracking)
    assert once == (False, False, False)
    assert changed.tie_breaker is TieBreaker.NONE


def test_tracked_expected_votes_replace_the_configured_ones() -> None:
    assert read(3, 7, expected_votes_tracking=1).expected_votes == 7
    assert read(3, 0, expected_votes_tracking=1, expected_votes=9).expected_votes == 3
    assert read(3, 7).expected_votes == 3
    assert read(3, 7, allow_downscale=1).expected_votes_tracking


def test_unusable_configuration_at_run_time_changes_nothing(critical: pytest.LogCaptureFixture) -> None:
    assert settings.read_again(
        configured((), 1, {"two_node": 1}), read(2), device_registered=False, stored_expected_votes=0
    ) is None  # fmt: skip
    assert critical.messages == [
        "configuration error: nodelist or quorum.expected_votes must be configured!",
        "will continue with current runtime data",
    ]
