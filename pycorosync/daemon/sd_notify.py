"""Tells systemd how the service is doing (sd_notify(3)); without systemd it does nothing."""

import os
import socket
from collections.abc import Mapping

READY = "READY=1"  # the first membership is formed and every service synchronized


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send one state to the socket in NOTIFY_SOCKET (`@name`: abstract). False if nobody was told.

    Never blocks and never raises: a manager that does not listen must not hurt the cluster.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or len(address) < 2:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.setblocking(False)
            connection.sendto(state.encode(), address)
    except (OSError, ValueError):
        return False
    return True
