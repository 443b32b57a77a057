"""The quorum section of the configuration, checked (corosync: votequorum_readconfig in exec/votequorum.c).

Some options are read once, at start; the others also whenever the configuration changes. Options that
exclude each other end the start; at run time the daemon goes on with what can be had.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pycorosync.cmap.store import Store, ValueType
from pycorosync.errors import ConfigError, Fault
from pycorosync.log import CRIT, subsystem
from pycorosync.services.votequorum.votes import TieBreaker, parse_tie_breaker, saturated
from pycorosync.types import NodeId

LOG = subsystem("VOTEQ")

LAST_MAN_STANDING_WINDOW_MS: Final = 10000
DEVICE_TIMEOUT_MS: Final = 10000
DEVICE_SYNC_TIMEOUT_MS: Final = 30000


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says, after the conflicts are settled."""

    # Read once.
    allow_downscale: bool = False
    wait_for_all_follows_two_node: bool = False  # wait_for_all is not in the configuration
    last_man_standing: bool = False
    last_man_standing_window_ms: int = LAST_MAN_STANDING_WINDOW_MS
    expected_votes_tracking: bool = False
    configured_tie_breaker: TieBreaker = TieBreaker.NONE
    tie_breaker_nodes: tuple[NodeId, ...] = ()
    # May change at run time.
    two_node: bool = False
    wait_for_all: bool = False
    tie_breaker: TieBreaker = TieBreaker.NONE
    votes: int = 1
    expected_votes: int = 0  # 0: what was expected so far
    device_votes: int | None = 0  # None: as many as so far
    device_timeout_ms: int = DEVICE_TIMEOUT_MS
    device_sync_timeout_ms: int = DEVICE_SYNC_TIMEOUT_MS
    device_can_operate: bool = True
    device_was_configured: bool = False  # ever, while the daemon ran


class NodeList(NamedTuple):
    """The votes in the nodelist, if we are in one."""

    nodes: int
    votes: int  # of all nodes together
    our_votes: int


@dataclass(slots=True)
class _Draft:
    """The configuration as it is being checked."""

    at_start: bool
    settings: Settings
    expected_votes: int
    node_list: NodeList | None
    device_configured: bool
    device_votes: int | None  # None: configured without votes
    device_refused: bool = False

    @property
    def uneven(self) -> bool:
        return self.node_list is not None and self.node_list.nodes != self.node_list.votes


class _Conflict(NamedTuple):
    holds: Callable[[_Draft], bool]
    text: str


# Each ends the start, and at run time keeps the device from voting.
_DEVICE_CONFLICTS = (
    _Conflict(
        lambda draft: draft.device_configured and draft.settings.last_man_standing,
        "quorum.device is not compatible with last_man_standing",
    ),
    _Conflict(
        lambda draft: draft.device_configured and draft.settings.tie_breaker is not TieBreaker.NONE,
        "quorum.device is not compatible with auto_tie_breaker",
    ),
    _Conflict(
        lambda draft: draft.device_configured and draft.settings.allow_downscale,
        "quorum.device is not compatible with allow_downscale",
    ),
    _Conflict(
        lambda draft: draft.device_configured and draft.device_votes is None and draft.expected_votes > 0,
        "quorum.device.votes must be specified when quorum.expected_votes is set",
    ),
    _Conflict(
        lambda draft: draft.device_configured and draft.device_votes is None and draft.uneven,
        "quorum.device.votes must be specified when not all nodes votes 1",
    ),
    _Conflict(
        lambda draft: bool(
            draft.device_votes and draft.expected_votes and draft.expected_votes - draft.device_votes < 2
        ),
        "quorum.device.votes is too high or expected_votes is too low",
    ),
)


class _Unusable(Exception):
    """The configuration contradicts itself so that nothing of it can be taken; at start that is the end."""


def read_at_start(cmap: Store, stored_expected_votes: int) -> Settings:
    """The configuration of a daemon that starts; raises ConfigError with upstream's texts."""
    LOG.debug("Reading configuration (runtime: 0)")
    try:
        return _finished(_draft(cmap, _options_read_once(cmap), at_start=True), cmap, stored_expected_votes)
    except _Unusable as reason:
        raise ConfigError([Fault("", 0, str(reason))]) from None


def read_again(
    cmap: Store, current: Settings, *, device_registered: bool, stored_expected_votes: int
) -> Settings | None:
    """The changed configuration; None if it is unusable as a whole.

    Compatibility: upstream then has already taken over two_node from it; we keep all that was.
    """
    LOG.debug("Reading configuration (runtime: 1)")
    draft = _draft(cmap, replace(current, tie_breaker=current.configured_tie_breaker), at_start=False)
    try:
        return _finished(draft, cmap, stored_expected_votes, device_registered)
    except _Unusable:
        return None


def _typed(cmap: Store, key: str, kind: ValueType) -> int | None:
    """A number, None if it is missing or of another type."""
    entry = cmap.get(key)
    if entry is None or entry.kind is not kind or not isinstance(entry.value, int):
        return None
    return entry.value


def _flag(cmap: Store, key: str) -> bool:
    return bool(_typed(cmap, key, ValueType.UINT8))


def _options_read_once(cmap: Store) -> Settings:
    window_ms = _typed(cmap, "quorum.last_man_standing_window", ValueType.UINT32)
    wait_for_all = _typed(cmap, "quorum.wait_for_all", ValueType.UINT8)
    allow_downscale = _flag(cmap, "quorum.allow_downscale")
    tie_breaker = TieBreaker.NONE
    nodes: tuple[NodeId, ...] = ()
    named = cmap.get("quorum.auto_tie_breaker_node")
    text = named.value if named is not None and isinstance(named.value, str) else None
    if _flag(cmap, "quorum.auto_tie_breaker"):
        tie_breaker = TieBreaker.LOWEST
        if text is not None:
            tie_breaker, nodes = parse_tie_breaker(text)
            LOG.debug("ATB type = %d", tie_breaker)
            if tie_breaker is TieBreaker.NONE:
                LOG.warning(
                    "auto_tie_breaker_nodes is not valid. It must be 'lowest', 'highest' or a "
                    "space-separated list of node IDs. auto_tie_breaker is disabled"
                )
    elif text is not None:
        LOG.warning("auto_tie_breaker_node: is meaningless if auto_tie_breaker is set to 0")
    return Settings(
        allow_downscale=allow_downscale,
        wait_for_all_follows_two_node=wait_for_all is None,
        wait_for_all=bool(wait_for_all),
        last_man_standing=_flag(cmap, "quorum.last_man_standing"),
        last_man_standing_window_ms=LAST_MAN_STANDING_WINDOW_MS if window_ms is None else window_ms,
        expected_votes_tracking=allow_downscale or _flag(cmap, "quorum.expected_votes_tracking"),
        configured_tie_breaker=tie_breaker,
        tie_breaker=tie_breaker,
        tie_breaker_nodes=nodes,
    )


def read_node_list(cmap: Store) -> NodeList | None:
    """None when there is no nodelist, or we are not in it."""
    our_position = _typed(cmap, "nodelist.local_node_pos", ValueType.UINT32)
    if our_position is None:
        return None
    prefix = "nodelist.node."
    positions = {key[len(prefix) :].partition(".")[0] for key in cmap.keys(prefix)}
    votes = {}
    for position in positions:
        if position.isascii() and position.isdigit():
            configured = _typed(cmap, f"{prefix}{position}.quorum_votes", ValueType.UINT32)
            votes[int(position)] = 1 if configured is None else configured
    return NodeList(len(votes), saturated(sum(votes.values())), votes.get(our_position, 0))


def _draft(cmap: Store, settings: Settings, *, at_start: bool) -> _Draft:
    device_configured = bool(cmap.get_str("quorum.device.model"))
    if device_configured:
        timeout_ms = _typed(cmap, "quorum.device.timeout", ValueType.UINT32)
        sync_timeout_ms = _typed(cmap, "quorum.device.sync_timeout", ValueType.UINT32)
        settings = replace(
            settings,
            device_was_configured=True,
            device_can_operate=True,
            device_timeout_ms=DEVICE_TIMEOUT_MS if timeout_ms is None else timeout_ms,
            device_sync_timeout_ms=DEVICE_SYNC_TIMEOUT_MS if sync_timeout_ms is None else sync_timeout_ms,
        )
    return _Draft(
        at_start=at_start,
        settings=replace(settings, two_node=_flag(cmap, "quorum.two_node")),
        expected_votes=_typed(cmap, "quorum.expected_votes", ValueType.UINT32) or 0,
        node_list=read_node_list(cmap),
        device_configured=device_configured,
        device_votes=_typed(cmap, "quorum.device.votes", ValueType.UINT32) if device_configured else 0,
    )


def _finished(
    draft: _Draft, cmap: Store, stored_expected_votes: int, device_registered: bool = False
) -> Settings:
    if draft.node_list is None and not draft.expected_votes:
        _refuse(draft, "nodelist or quorum.expected_votes must be configured!")
        LOG.log(CRIT, "will continue with current runtime data")
        raise _Unusable
    _settle_two_node_and_device(draft, device_registered)
    if draft.settings.wait_for_all_follows_two_node:
        draft.settings = replace(draft.settings, wait_for_all=draft.settings.two_node)
    _settle_tie_breaker(draft)
    for conflict in _DEVICE_CONFLICTS:
        if conflict.holds(draft):
            _refuse(draft, conflict.text)
            LOG.log(CRIT, "disabling quorum device operations")
            draft.device_refused = True
    return _with_votes(draft, cmap, stored_expected_votes)


def _refuse(draft: _Draft, text: str) -> None:
    """Raises _Unusable at start; at run time only says so."""
    text = f"configuration error: {text}"
    if draft.at_start:
        raise _Unusable(text)
    LOG.log(CRIT, "%s", text)


def _settle_two_node_and_device(draft: _Draft, device_registered: bool) -> None:
    if not (draft.settings.two_node and draft.device_configured):
        return
    _refuse(draft, "two_node and quorum device cannot be configured at the same time!")
    if device_registered:
        LOG.log(CRIT, "quorum device is registered, disabling two_node")
        draft.settings = replace(draft.settings, two_node=False)
    else:
        LOG.log(CRIT, "quorum device is not registered, allowing two_node")
        draft.device_refused = True


def _settle_tie_breaker(draft: _Draft) -> None:
    """The tie breaker decides by node id, two_node by a fence race; and in an odd cluster a majority
    without the tie breaker's node must not come up alone, which only wait_for_all prevents."""
    settings = draft.settings
    if settings.tie_breaker is TieBreaker.NONE:
        return
    if settings.two_node:
        LOG.log(CRIT, "two_node and auto_tie_breaker are both specified but are not compatible.")
        LOG.log(CRIT, "two_node has been disabled, please fix your corosync.conf")
        draft.settings = settings = replace(settings, two_node=False)
    is_odd = draft.node_list is not None and draft.node_list.votes % 2 == 1
    if not is_odd or settings.wait_for_all:
        return
    if settings.last_man_standing:
        for line in (
            "auto_tie_breaker is set, the cluster has an odd number of nodes",
            "and last_man_standing is also set. With this situation a better",
            "solution would be to disable LMS, leave ATB enabled, and also",
            "enable wait_for_all (mandatory for ATB in odd-numbered clusters).",
            "Due to this ambiguity, corosync will fail to start. Please fix your corosync.conf",
        ):
            LOG.log(CRIT, "%s", line)
        raise _Unusable(
            "configuration error: auto_tie_breaker & last_man_standing not available in odd sized cluster"
        )
    for line in (
        "auto_tie_breaker is set and the cluster has an odd number of nodes.",
        "wait_for_all needs to be set for this configuration but it is missing",
        "Therefore auto_tie_breaker has been disabled. Please fix your corosync.conf",
    ):
        LOG.log(CRIT, "%s", line)
    draft.settings = replace(settings, tie_breaker=TieBreaker.NONE)


def _with_votes(draft: _Draft, cmap: Store, stored_expected_votes: int) -> Settings:
    settings, node_list = draft.settings, draft.node_list
    expected_votes, device_votes = draft.expected_votes, draft.device_votes
    votes, from_node_list = 1, 0
    if node_list is None:
        configured = _typed(cmap, "quorum.votes", ValueType.UINT32)
        votes = 1 if configured is None else configured
    else:
        votes, from_node_list = node_list.our_votes, node_list.votes
        if device_votes is None and not expected_votes and not draft.uneven:
            device_votes = node_list.votes - 1
            from_node_list = saturated(from_node_list + device_votes)
    if settings.expected_votes_tracking:
        expected_votes = stored_expected_votes
    return replace(
        settings,
        votes=votes,
        expected_votes=expected_votes or from_node_list,
        device_votes=device_votes,
        device_can_operate=settings.device_can_operate and not draft.device_refused,
    )
