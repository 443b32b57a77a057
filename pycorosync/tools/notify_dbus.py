"""Signals on the system bus for corosync-notifyd, with jeepney (corosync: tools/corosync-notifyd.c).

Compatibility: the state of a link is told as a QuorumStateChange with five arguments, as by corosync. Unlike
corosync, we say so when there is no bus.
"""

from collections.abc import Callable
from typing import Final

from jeepney import DBusAddress, new_signal
from jeepney.io.blocking import open_dbus_connection

from pycorosync.tools.notify_events import ClientEvent, LinkEvent, NodeEvent, NotifyEvent, QuorumEvent

COROSYNC: Final = DBusAddress("/org/corosync", interface="org.corosync")
SEND_TIMEOUT_S: Final = 5.0


def signal_of(event: NotifyEvent) -> tuple[str, str, tuple[str | int, ...]]:
    """Its name, the types of its arguments, and these."""
    match event:
        case NodeEvent(name, node_id, state, address):
            return "NodeStateChange", "suss", (name, node_id, address, state)
        case QuorumEvent(name, node_id, state):
            return "QuorumStateChange", "sus", (name, node_id, state)
        case ClientEvent(name, node_id, client, state):
            return "ConnectionStateChange", "suss", (name, node_id, client, state)
        case LinkEvent(name, our_node_id, node_id, link, state):
            return "QuorumStateChange", "suuus", (name, our_node_id, node_id, link, state)


class DbusNotifier:
    """One connection for our life. Without a bus each event is told to nobody; the log learns why, once."""

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self._fault = ""  # said with the next event
        try:
            self._connection = open_dbus_connection(bus="SYSTEM")
            self._connection.sock.settimeout(SEND_TIMEOUT_S)
        except (OSError, ValueError, KeyError, RuntimeError) as fault:
            self._connection = None
            self._fault = f"dbus_bus_get: {fault}"

    def notify(self, event: NotifyEvent) -> None:
        if self._fault:
            self._log("error", self._fault)
            self._fault = ""
        if self._connection is None:
            return
        member, types, arguments = signal_of(event)
        try:
            self._connection.send(new_signal(COROSYNC, member, types, arguments))
        except (OSError, ValueError) as fault:
            self._fault = "DBus connection lost" if isinstance(fault, OSError) else f"DBus: {fault}"
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
