"""Timers and limits of the ring, from corosync.conf's totem section (corosync: exec/totemconfig.c)."""

from dataclasses import dataclass
from typing import Final

MS: Final = 1_000_000  # nanoseconds


@dataclass(frozen=True)
class RingConfig:
    """totem's options, with corosync's defaults for a two-node cluster."""

    token_ms: int = 3000
    token_warning_percent: int = 75  # 0 = no warnings
    token_retransmit_ms: int = 714
    token_hold_ms: int = 561
    consensus_ms: int = 3600
    join_ms: int = 50
    send_join_ms: int = 0  # upper bound of a random delay before each join
    merge_ms: int = 200
    downcheck_ms: int = 1000  # used by the udp transports only
    fail_to_recv_const: int = 2500
    seqno_unchanged_const: int = 30
    window_size: int = 50  # packets per rotation, all nodes together
    max_messages: int = 17  # packets per token visit
    miss_count_const: int = 5
    heartbeat_failures_allowed: int = 0
    max_network_delay_ms: int = 50
    cancel_token_hold_on_retransmit: bool = False

    @property
    def heartbeat_ms(self) -> int:
        """The heartbeat timeout, or 0 when the heartbeat is off (also when it would exceed the token's)."""
        if not self.heartbeat_failures_allowed:
            return 0
        timeout_ms = self.heartbeat_failures_allowed * self.token_retransmit_ms + self.max_network_delay_ms
        return timeout_ms if timeout_ms < self.token_ms else 0

    @property
    def token_warning_ms(self) -> int:
        return self.token_warning_percent * self.token_ms // 100
