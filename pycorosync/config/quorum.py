"""The quorum section, and which of its options exclude each other (corosync: exec/votequorum.c)."""

from collections.abc import Iterator
from typing import Final

from pycorosync.config.host import Lookup, get_integer, get_string
from pycorosync.config.model import DeviceConfig, NodeConfig, QuorumConfig
from pycorosync.config.options import U8, U32, default_of

PROVIDERS: Final = ("corosync_votequorum", "corosync_ykd")


def _flag(entries: Lookup, key: str) -> bool:
    return bool(get_integer(entries, key, U8))


def _number(entries: Lookup, key: str) -> int:
    found = get_integer(entries, key, U32)
    return int(default_of(key)) if found is None else found


def _device(entries: Lookup) -> DeviceConfig | None:
    model = get_string(entries, "quorum.device.model")
    if not model:
        return None
    return DeviceConfig(
        model=model,
        votes=get_integer(entries, "quorum.device.votes", U32),
        timeout_ms=_number(entries, "quorum.device.timeout"),
        sync_timeout_ms=_number(entries, "quorum.device.sync_timeout"),
        master_wins=_flag(entries, "quorum.device.master_wins"),
    )


def read_quorum(entries: Lookup) -> QuorumConfig:
    """The quorum section."""
    wait_for_all = get_integer(entries, "quorum.wait_for_all", U8)
    return QuorumConfig(
        provider=get_string(entries, "quorum.provider"),
        expected_votes=get_integer(entries, "quorum.expected_votes", U32),
        votes=get_integer(entries, "quorum.votes", U32),
        two_node=_flag(entries, "quorum.two_node"),
        wait_for_all=None if wait_for_all is None else bool(wait_for_all),
        last_man_standing=_flag(entries, "quorum.last_man_standing"),
        last_man_standing_window_ms=_number(entries, "quorum.last_man_standing_window"),
        auto_tie_breaker=_flag(entries, "quorum.auto_tie_breaker"),
        auto_tie_breaker_node=get_string(entries, "quorum.auto_tie_breaker_node"),
        allow_downscale=_flag(entries, "quorum.allow_downscale"),
        expected_votes_tracking=_flag(entries, "quorum.expected_votes_tracking"),
        device=_device(entries),
    )


def _breaks_ties(quorum: QuorumConfig) -> bool:
    """Whether there is a tie breaker: auto_tie_breaker is set, and its node makes sense."""
    node = quorum.auto_tie_breaker_node
    if not quorum.auto_tie_breaker or node is None or node in ("lowest", "highest"):
        return quorum.auto_tie_breaker
    digits = node.lstrip(" \t\n\v\f\r").removeprefix("-").removeprefix("+")
    first = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return bool(first.strip("0"))


def conflicts(quorum: QuorumConfig, nodes: tuple[NodeConfig, ...], *, local_known: bool) -> Iterator[str]:
    """What keeps votequorum from starting, the first as corosync says it. Source: votequorum(5)."""
    if quorum.provider != "corosync_votequorum":
        return
    votes = sum(node.quorum_votes for node in nodes)
    expected = quorum.expected_votes or 0
    device = quorum.device
    device_votes = 0 if device is None else -1 if device.votes is None else device.votes
    ties = _breaks_ties(quorum)
    if not local_known and not expected:
        yield "configuration error: nodelist or quorum.expected_votes must be configured!"
    if quorum.two_node and device is not None:
        yield "configuration error: two_node and quorum device cannot be configured at the same time!"
    wait_for_all = quorum.two_node if quorum.wait_for_all is None else quorum.wait_for_all
    if ties and votes % 2 and not wait_for_all:
        if quorum.last_man_standing:
            yield (
                "configuration error: auto_tie_breaker & last_man_standing not available in odd sized cluster"
            )
        ties = False
    if device is None:
        return
    for unfit, option in (
        (quorum.last_man_standing, "last_man_standing"),
        (ties, "auto_tie_breaker"),
        (quorum.allow_downscale, "allow_downscale"),
    ):
        if unfit:
            yield f"configuration error: quorum.device is not compatible with {option}"
    if expected and device_votes == -1:
        yield "configuration error: quorum.device.votes must be specified when quorum.expected_votes is set"
    if device_votes == -1 and local_known and len(nodes) != votes:
        yield "configuration error: quorum.device.votes must be specified when not all nodes votes 1"
    if device_votes > 0 and expected and expected - device_votes < 2:
        yield "configuration error: quorum.device.votes is too high or expected_votes is too low"
