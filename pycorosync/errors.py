"""Errors by culprit: a peer, the operator, or a client. Anything else that is raised is our own fault."""

from typing import NamedTuple

from pycorosync.cs_error import CsError


class MalformedMessage(Exception):
    """Bytes from a peer or a client do not form the message they claim to be: count, drop, go on."""


class Fault(NamedTuple):
    """One thing that is wrong with a configuration file."""

    filename: str
    line: int  # 1-based; 0 when the fault is about the file as a whole
    text: str


class ConfigError(Exception):
    """The operator's configuration cannot be used; carries every fault that was found, in file order."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(fault.text for fault in faults))
        self.faults = faults


class ClientError(Exception):
    """A client's request is refused; becomes the number that its library expects, at the IPC boundary."""

    def __init__(self, code: CsError) -> None:
        super().__init__(code.label)
        self.code = code
