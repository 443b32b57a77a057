"""What a node asks of the shell besides what its services ask: values in one ordered list."""

from typing import NamedTuple

from pycorosync.knet.outputs import SendDatagram, SendDatagrams
from pycorosync.services.outputs import Output
from pycorosync.types import ServiceId

FLOW_GO, FLOW_STOP, FLOW_STOP_MULTICASTS = 0, 1, 2


class SaveRingId(NamedTuple):
    """Store the ring's sequence number before anything that comes after this in the outputs."""

    seq: int


class SetFlowControl(NamedTuple):
    """Tell all clients of a service what they may send: 0 anything, 1 nothing, 2 no multicasts."""

    service_id: ServiceId
    level: int


class Ready(NamedTuple):
    """Clients may connect: a membership has formed and all services have synchronized."""


class Binding(NamedTuple):
    """A socket of one link: bound to host and port; `group` is a multicast group that it also listens to."""

    link: int
    host: str
    port: int
    group: str | None = None
    ttl: int = 1


class ConfigureSockets(NamedTuple):
    """Have exactly these sockets open from now on."""

    bindings: tuple[Binding, ...]


NodeOutput = Output | SaveRingId | SetFlowControl | Ready | ConfigureSockets | SendDatagram | SendDatagrams
