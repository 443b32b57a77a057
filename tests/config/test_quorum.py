"""The quorum section, and which options exclude each other."""

import pytest

from pycorosync.config.model import QuorumConfig
from tests.config.sample import conf, loaded, nodelist_of


def section(*lines: str, device: str = "") -> str:
    inner = f"device {{\n{device}\n}}\n" if device else ""
    body = "".join(f"  {line}\n" for line in lines)
    return f"quorum {{\n  provider: corosync_votequorum\n{body}{inner}}}\n"


def quorum(*lines: str, device: str = "") -> QuorumConfig:
    return loaded(conf(rest=section(*lines, device=device))).quorum


def complaint(*lines: str, device: str = "", nodes: str | None = None) -> str:
    found = loaded(conf(nodes=nodes, rest=section(*lines, device=device))).start_faults
    assert all(phase.exit_status == 20 for phase, _ in found)
    return found[0][1].text if found else ""


def uneven(count: int) -> str:
    return nodelist_of(count).replace("nodeid: 1\n", "nodeid: 1\n    quorum_votes: 2\n")


def test_defaults() -> None:
    found = quorum()
    assert found.provider == "corosync_votequorum"
    assert (found.expected_votes, found.votes, found.wait_for_all, found.device) == (None, None, None, None)
    assert (found.two_node, found.last_man_standing, found.auto_tie_breaker) == (False, False, False)
    assert not found.allow_downscale
    assert found.last_man_standing_window_ms == 10000
    assert loaded(conf()).quorum.provider is None


def test_what_is_set() -> None:
    found = quorum(
        "expected_votes: 5", "two_node: 1", "wait_for_all: 0", "auto_tie_breaker: 1",
        "auto_tie_breaker_node: 1 2", "last_man_standing: 2", "last_man_standing_window: 5",
        "expected_votes_tracking: 1", "allow_downscale: 1",
        device="model: net\nvotes: 0\ntimeout: 7",
    )  # fmt: skip
    assert (found.expected_votes, found.two_node, found.wait_for_all) == (5, True, False)
    assert (found.auto_tie_breaker, found.auto_tie_breaker_node) == (True, "1 2")
    assert (found.last_man_standing, found.last_man_standing_window_ms) == (True, 5)
    assert found.expected_votes_tracking
    assert found.allow_downscale
    assert found.device is not None
    assert (found.device.model, found.device.votes, found.device.timeout_ms) == ("net", 0, 7)
    assert (found.device.sync_timeout_ms, found.device.master_wins) == (30000, False)


def test_a_device_without_a_model_is_none() -> None:
    assert quorum(device="votes: 1").device is None
    assert quorum(device="model:\nvotes: 1").device is None


NET = "model: net\nvotes: 1"
BEFORE = "configuration error: "


@pytest.mark.parametrize(
    ("lines", "device", "expected"),
    [
        ((), "", ""),
        (("two_node: 1",), "", ""),
        (("two_node: 1",), NET, "two_node and quorum device cannot be configured at the same time!"),
        (("last_man_standing: 1",), NET, "quorum.device is not compatible with last_man_standing"),
        (("auto_tie_breaker: 1",), NET, "quorum.device is not compatible with auto_tie_breaker"),
        (("auto_tie_breaker: 1", "auto_tie_breaker_node: foo"), NET, ""),
        (("auto_tie_breaker: 1", "auto_tie_breaker_node: 0 1"), NET, ""),
        (
            ("auto_tie_breaker: 1", "auto_tie_breaker_node: 2 1"),
            NET,
            "quorum.device is not compatible with auto_tie_breaker",
        ),
        (("allow_downscale: 1",), NET, "quorum.device is not compatible with allow_downscale"),
        (
            ("expected_votes: 3",),
            "model: net",
            "quorum.device.votes must be specified when quorum.expected_votes is set",
        ),
        (("expected_votes: 3",), NET, ""),
        (
            ("expected_votes: 2",),
            NET,
            "quorum.device.votes is too high or expected_votes is too low",
        ),
        (("auto_tie_breaker: 1", "last_man_standing: 1"), "", ""),
    ],
)
def test_conflicts(lines: tuple[str, ...], device: str, expected: str) -> None:
    assert complaint(*lines, device=device) == (BEFORE + expected if expected else "")


def test_a_device_needs_votes_if_nodes_have_not_one_each() -> None:
    expected = f"{BEFORE}quorum.device.votes must be specified when not all nodes votes 1"
    assert complaint(device="model: net", nodes=uneven(2)) == expected
    assert complaint(device=NET, nodes=uneven(2)) == ""
    assert complaint(device="model: net", nodes=nodelist_of(2)) == ""


def test_a_tie_breaker_in_an_odd_cluster() -> None:
    both = ("auto_tie_breaker: 1", "last_man_standing: 1")
    expected = f"{BEFORE}auto_tie_breaker & last_man_standing not available in odd sized cluster"
    assert complaint(*both, nodes=nodelist_of(3)) == expected
    assert complaint(*both, "wait_for_all: 1", nodes=nodelist_of(3)) == ""
    # Alone it is only turned off, and so in nobody's way.
    assert complaint("auto_tie_breaker: 1", device=NET, nodes=nodelist_of(3)) == ""


def test_an_unknown_provider() -> None:
    found = loaded(conf(rest="quorum {\n provider: corosync_qdisk\n two_node: 1\n}\n")).start_faults
    assert [fault.text for _, fault in found] == ["Invalid quorum provider"]
