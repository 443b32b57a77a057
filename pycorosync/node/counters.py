"""Counts the messages of services, for the keys runtime.services.NAME.FUNCTION.{tx,rx}."""

from collections.abc import Mapping

from pycorosync.cmap.store import Store
from pycorosync.services.service import Service
from pycorosync.services.stream import Stream
from pycorosync.types import ServiceId


class MessageCounters:
    """By executive message id (service << 16 | function), since the last publication."""

    def __init__(self) -> None:
        self._sent: dict[int, int] = {}
        self._received: dict[int, int] = {}
        self._streams: list[Stream] = []

    def add_stream(self, stream: Stream) -> None:
        """It counts for itself, and is asked."""
        self._streams.append(stream)

    @staticmethod
    def announce(cmap: Store, service: Service) -> None:
        """The keys of a new service."""
        for function, delivery in service.DELIVERIES.items():
            for direction in ("tx", "rx") if delivery.counted else ():
                cmap.set_u64(f"runtime.services.{service.NAME}.{function}.{direction}", 0)

    def sent(self, number: int) -> None:
        self._sent[number] = self._sent.get(number, 0) + 1

    def received(self, number: int) -> None:
        self._received[number] = self._received.get(number, 0) + 1

    def forget_sent(self) -> None:
        self._sent.clear()

    def publish(self, cmap: Store, services: Mapping[ServiceId, Service]) -> None:
        """Bring the keys up to date."""
        for stream in self._streams:
            sent, received = stream.take_counts()
            _bump(cmap, services, stream.function, "tx", sent)
            _bump(cmap, services, stream.function, "rx", received)
        for counts, direction in ((self._sent, "tx"), (self._received, "rx")):
            for number, count in counts.items():
                _bump(cmap, services, number, direction, count)
            counts.clear()


def _bump(
    cmap: Store, services: Mapping[ServiceId, Service], number: int, direction: str, count: int
) -> None:
    service = services[number >> 16]
    key = f"runtime.services.{service.NAME}.{number & 0xFFFF}.{direction}"
    if count and key in cmap:
        cmap.bump(key, count)
