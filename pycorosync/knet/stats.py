"""Figures of links and of the whole, under knet's names (libknet: knet_link_stats, knet_handle_stats).

The names are those of the stats map: `stats.knet.nodeN.linkN.*` and `stats.knet.handle.*`. Sizes are of UDP
payloads: of sent data as they go out, of received data after opening.
"""

from dataclasses import dataclass, fields
from typing import Final

NEVER_U32: Final = 2**32 - 1  # the smallest latency before one was measured
NEVER_U64: Final = 2**64 - 1


@dataclass
class LinkStats:
    """Of one link to one node. `enabled`, `connected`, `mtu` and latencies are filled in when it is read."""

    enabled: int = 0
    connected: int = 0
    mtu: int = 0
    tx_data_packets: int = 0
    rx_data_packets: int = 0
    tx_data_bytes: int = 0
    rx_data_bytes: int = 0
    tx_ping_packets: int = 0
    rx_ping_packets: int = 0
    tx_ping_bytes: int = 0
    rx_ping_bytes: int = 0
    tx_pong_packets: int = 0
    rx_pong_packets: int = 0
    tx_pong_bytes: int = 0
    rx_pong_bytes: int = 0
    tx_pmtu_packets: int = 0
    rx_pmtu_packets: int = 0
    tx_pmtu_bytes: int = 0
    rx_pmtu_bytes: int = 0
    tx_pmtu_errors: int = 0
    tx_pmtu_retries: int = 0
    tx_ping_errors: int = 0
    tx_ping_retries: int = 0
    tx_pong_errors: int = 0
    tx_pong_retries: int = 0
    tx_data_errors: int = 0
    tx_data_retries: int = 0
    latency_min: int = NEVER_U32  # microseconds
    latency_max: int = 0
    latency_ave: int = 0
    latency_samples: int = 0
    down_count: int = 0
    up_count: int = 0

    @property
    def tx_total_packets(self) -> int:
        return self.tx_data_packets + self.tx_ping_packets + self.tx_pong_packets + self.tx_pmtu_packets

    @property
    def rx_total_packets(self) -> int:
        return self.rx_data_packets + self.rx_ping_packets + self.rx_pong_packets + self.rx_pmtu_packets

    @property
    def tx_total_bytes(self) -> int:
        return self.tx_data_bytes + self.tx_ping_bytes + self.tx_pong_bytes + self.tx_pmtu_bytes

    @property
    def rx_total_bytes(self) -> int:
        return self.rx_data_bytes + self.rx_ping_bytes + self.rx_pong_bytes + self.rx_pmtu_bytes

    @property
    def tx_total_errors(self) -> int:
        return self.tx_data_errors + self.tx_ping_errors + self.tx_pong_errors + self.tx_pmtu_errors

    @property
    def rx_total_retries(self) -> int:
        """Compatibility: of sending; the stats map has this name for it (exec/stats.c)."""
        return self.tx_data_retries + self.tx_ping_retries + self.tx_pong_retries + self.tx_pmtu_retries


@dataclass
class HandleStats:
    """Of all links together. Times are nanoseconds, and stay as they are here if nothing measures them.

    Compatibility: while a minimum was never measured it shows all ones, as corosync's do.
    """

    tx_uncompressed_packets: int = 0
    tx_compressed_packets: int = 0
    tx_compressed_original_bytes: int = 0
    tx_compressed_size_bytes: int = 0
    tx_compress_time_min: int = NEVER_U64
    tx_compress_time_max: int = 0
    tx_compress_time_ave: int = 0
    rx_compressed_packets: int = 0
    rx_compressed_original_bytes: int = 0
    rx_compressed_size_bytes: int = 0
    rx_compress_time_min: int = NEVER_U64
    rx_compress_time_max: int = 0
    rx_compress_time_ave: int = 0
    tx_crypt_time_min: int = NEVER_U64
    tx_crypt_time_max: int = 0
    tx_crypt_time_ave: int = 0
    tx_crypt_byte_overhead: int = 0  # of data
    tx_crypt_packets: int = 0
    rx_crypt_time_min: int = NEVER_U64
    rx_crypt_time_max: int = 0
    rx_crypt_time_ave: int = 0
    rx_crypt_packets: int = 0  # of data

    def clear(self) -> None:
        """Begin anew. Compatibility: libknet leaves the minima at 0 for ever."""
        for one in fields(self):
            setattr(self, one.name, one.default)

    def measure(self, what: str, duration_ns: int, count: int) -> None:
        """One more duration of `what` (tx_crypt, ...) after `count` others."""
        low, high, mean = f"{what}_time_min", f"{what}_time_max", f"{what}_time_ave"
        setattr(self, low, min(getattr(self, low), duration_ns))
        setattr(self, high, max(getattr(self, high), duration_ns))
        setattr(self, mean, (getattr(self, mean) * count + duration_ns) // (count + 1))


@dataclass
class Dropped:
    """Why datagrams were dropped; libknet has no such figures."""

    unknown_source: int = 0  # not the address of a configured link
    unsealed: int = 0  # no key opens it
    malformed: int = 0
    wrong_source: int = 0  # the node or link named in the packet is not the one at that address
    unreachable: int = 0  # data from a node to which no link is up yet
    duplicate: int = 0
    late: int = 0  # fragments of a message that was given up
    undecodable: int = 0  # compressed in a way that we lack, or broken
    for_others: int = 0
