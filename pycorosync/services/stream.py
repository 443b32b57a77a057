"""The way of a service's commonest message through the node, past tables and lists of outputs.

It is a request without an answer that multicasts one message, and that message's delivery, which causes
nothing but events. cpg's multicast is one; a service without such a message has no stream.
"""

from pycorosync.types import Buffer, ClientId, NodeId

Event = tuple[ClientId, Buffer, Buffer]  # as in SendEvents


class Stream:
    """What the node calls; the service that owns it decides what the messages mean."""

    def __init__(self, request: int, function: int) -> None:
        self.request = request  # the number of the request
        self.function = function  # of the message: service << 16 | function
        self.events: list[Event] = []  # in order; the node empties it
        self.sent = 0  # messages, since take_counts
        self.received = 0

    def outgoing(self, client: ClientId, request: memoryview, size: int) -> tuple[bytes, memoryview] | None:
        """Head and body of the message for a request, whose header says that it has `size` bytes.

        None: the request is dropped.
        """
        raise NotImplementedError

    def deliver(self, node_id: NodeId, message: memoryview) -> None:
        """A message in our own byte order: append to `events`. Raises MalformedMessage."""
        raise NotImplementedError

    def take_counts(self) -> tuple[int, int]:
        """How many messages have been sent and received since the last call."""
        counts = self.sent, self.received
        self.sent = self.received = 0
        return counts
