"""Timeouts that follow from each other, their limits, and the runtime.config keys that show them.

Stands for totem_volatile_config_read and totem_volatile_config_validate of corosync's exec/totemconfig.c,
down to its 32-bit arithmetic.
"""

import struct
from collections.abc import Iterator
from typing import Final

from pycorosync.config.host import Lookup, get_integer, get_string
from pycorosync.config.model import MapEntry, Timers
from pycorosync.config.options import I32, STRING, U32, default_of
from pycorosync.types import signed

_WRAP: Final = 2**32
_INT_MAX: Final = 2**31 - 1
TICK_MS: Final = 10  # 1000 / HZ
TIMEOUT_MIN_MS: Final = 30
HOLD_MIN_MS: Final = 14


def _to_unsigned(number: float) -> int:
    """A float as C turns it into int and then unsigned: what does not fit becomes the lowest int."""
    return int(number) % _WRAP if -(2**31) <= number <= _INT_MAX else 2**31


def _to_float(number: float) -> float:
    """Rounded to single precision, as the consensus timeout is on its way."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


class _Reader:
    """Reads totem options; `deleted` is one that is about to go and no longer counts."""

    def __init__(self, entries: Lookup, deleted: str | None) -> None:
        self._entries = entries
        self._deleted = deleted

    def number(self, name: str, default: int | None = None, *, zero: bool = False) -> int:
        """The option, or its default if it is not set; zero counts as not set unless `zero`."""
        key = f"totem.{name}"
        found = None if key == self._deleted else get_integer(self._entries, key, U32)
        if found is not None and (found or zero):
            return found
        return default if default is not None else int(default_of(key))

    def level(self, name: str) -> int:
        key = f"totem.{name}"
        found = None if key == self._deleted else get_integer(self._entries, key, I32)
        return 0 if found is None else found

    def text(self, name: str) -> str:
        key = f"totem.{name}"
        found = None if key == self._deleted else get_string(self._entries, key)
        return str(default_of(key)) if found is None else found

    def flag(self, name: str) -> bool:
        """yes or no; anything else is the default."""
        word = self.text(name)
        return (word if word in ("yes", "no") else default_of(f"totem.{name}")) == "yes"


def read_timers(entries: Lookup, node_count: int, deleted: str | None = None) -> Timers:
    """The timers of a ring of so many nodes (those on link 0).

    With three nodes or more the token timeout grows by token_coefficient for each node beyond two.
    """
    read = _Reader(entries, deleted)
    retransmits = read.number("token_retransmits_before_loss_const")
    token = read.number("token")
    if node_count > 2:
        coefficient = get_integer(entries, "totem.token_coefficient", U32)
        if coefficient is None:
            coefficient = int(default_of("totem.token_coefficient"))
        token = (token + (node_count - 2) * coefficient) % _WRAP
    retransmit = read.number("token_retransmit", _to_unsigned(token / (retransmits + 0.2)))
    return Timers(
        token_timeout_ms=token,
        token_warning_percent=read.number("token_warning", zero=True),
        token_retransmit_ms=retransmit,
        token_hold_ms=read.number("hold", _to_unsigned(retransmit * 0.8 - TICK_MS)),
        token_retransmits_before_loss=retransmits,
        join_ms=read.number("join"),
        send_join_ms=read.number("send_join", zero=True),
        consensus_ms=read.number("consensus", _to_unsigned(_to_float(1.2 * token))),
        merge_ms=read.number("merge"),
        downcheck_ms=read.number("downcheck"),
        fail_to_receive=read.number("fail_recv_const"),
        seqno_unchanged=read.number("seqno_unchanged_const"),
        heartbeat_failures_allowed=read.number("heartbeat_failures_allowed", zero=True),
        max_network_delay_ms=read.number("max_network_delay"),
        window_size=read.number("window_size"),
        max_messages=read.number("max_messages"),
        miss_count=read.number("miss_count_const"),
        knet_pmtud_interval_s=read.number("knet_pmtud_interval"),
        knet_mtu=read.number("knet_mtu"),
        knet_compression_threshold=read.number("knet_compression_threshold", zero=True),
        knet_compression_level=read.level("knet_compression_level"),
        knet_compression_model=read.text("knet_compression_model"),
        block_unlisted_ips=read.flag("block_unlisted_ips"),
        cancel_token_hold_on_retransmit=read.flag("cancel_token_hold_on_retransmit"),
    )


_NUMBERS: Final = (
    ("token_retransmits_before_loss_const", "token_retransmits_before_loss"),
    ("token", "token_timeout_ms"),
    ("token_warning", "token_warning_percent"),
    ("max_network_delay", "max_network_delay_ms"),
    ("window_size", "window_size"),
    ("max_messages", "max_messages"),
    ("miss_count_const", "miss_count"),
    ("knet_pmtud_interval", "knet_pmtud_interval_s"),
    ("knet_mtu", "knet_mtu"),
    ("token_retransmit", "token_retransmit_ms"),
    ("hold", "token_hold_ms"),
    ("join", "join_ms"),
    ("consensus", "consensus_ms"),
    ("merge", "merge_ms"),
    ("downcheck", "downcheck_ms"),
    ("fail_recv_const", "fail_to_receive"),
    ("seqno_unchanged_const", "seqno_unchanged"),
    ("send_join", "send_join_ms"),
    ("heartbeat_failures_allowed", "heartbeat_failures_allowed"),
    ("knet_compression_threshold", "knet_compression_threshold"),
    ("block_unlisted_ips", "block_unlisted_ips"),
    ("cancel_token_hold_on_retransmit", "cancel_token_hold_on_retransmit"),
)


def timer_entries(timers: Timers) -> list[MapEntry]:
    """runtime.config.totem.*: what holds now, whether it was set or derived."""
    prefix = "runtime.config.totem"
    numbers: list[MapEntry] = [(f"{prefix}.{key}", U32, int(getattr(timers, name))) for key, name in _NUMBERS]
    return [
        *numbers,
        (f"{prefix}.knet_compression_level", I32, timers.knet_compression_level),
        (f"{prefix}.knet_compression_model", STRING, timers.knet_compression_model),
    ]


def _too_short(name: str, value: int, limit: int) -> str:
    return f"The {name} parameter ({signed(value)} ms) may not be less than ({limit} ms)."


def timer_faults(timers: Timers, entries: Lookup) -> Iterator[tuple[str, str]]:
    """Option and complaint for each limit that is not kept, in the order in which corosync looks."""
    if timers.max_network_delay_ms < TIMEOUT_MIN_MS:
        yield (
            "totem.max_network_delay",
            _too_short("max_network_delay", timers.max_network_delay_ms, TIMEOUT_MIN_MS),
        )
    if timers.token_timeout_ms < TIMEOUT_MIN_MS:
        yield "totem.token", _too_short("token timeout", timers.token_timeout_ms, TIMEOUT_MIN_MS)
    if timers.token_warning_percent > 100:
        percent = signed(timers.token_warning_percent)
        yield (
            "totem.token_warning",
            f"The token warning parameter ({percent}%) must be between 0 (disabled) and 100.",
        )
    if timers.token_retransmit_ms < TIMEOUT_MIN_MS:
        if get_integer(entries, "totem.token_retransmit", U32) is not None:
            complaint = _too_short("token retransmit timeout", timers.token_retransmit_ms, TIMEOUT_MIN_MS)
        else:
            complaint = "Not appropriate token or token_retransmits_before_loss_const value set"
        yield "totem.token_retransmit", complaint
    if timers.token_hold_ms < HOLD_MIN_MS:
        yield "totem.hold", _too_short("token hold timeout", timers.token_hold_ms, HOLD_MIN_MS)
    if timers.join_ms < TIMEOUT_MIN_MS:
        yield "totem.join", _too_short("join timeout", timers.join_ms, TIMEOUT_MIN_MS)
    if timers.consensus_ms < TIMEOUT_MIN_MS:
        yield "totem.consensus", _too_short("consensus timeout", timers.consensus_ms, TIMEOUT_MIN_MS)
    if timers.consensus_ms < timers.join_ms:
        yield (
            "totem.consensus",
            f"The consensus timeout parameter ({signed(timers.consensus_ms)} ms) may not be less than "
            f"join timeout ({signed(timers.join_ms)} ms).",
        )
    if timers.merge_ms < TIMEOUT_MIN_MS:
        yield "totem.merge", _too_short("merge timeout", timers.merge_ms, TIMEOUT_MIN_MS)
    if timers.downcheck_ms < TIMEOUT_MIN_MS:
        yield "totem.downcheck", _too_short("downcheck timeout", timers.downcheck_ms, TIMEOUT_MIN_MS)
