"""The ring's states, and the reasons for looking for a new one (corosync: exec/totemsrp.c)."""

from enum import IntEnum


class State(IntEnum):
    """The numbers are those in corosync's log lines."""

    OFFLINE = 0  # not started, or has left: hears and says nothing
    OPERATIONAL = 1  # in a ring: the token goes round and messages are delivered
    GATHER = 2  # agreeing on who will be in the next ring
    COMMIT = 3  # agreed; the commit token collects what each member has
    RECOVERY = 4  # the new ring brings its members' old messages up to date


class GatherReason(IntEnum):
    """Why GATHER was entered; the numbers are those in corosync's log line."""

    CONSENSUS_TIMEOUT = 0
    TOKEN_LOST_IN_OPERATIONAL = 2
    CONSENSUS_TIMEOUT_EXPIRED = 3
    TOKEN_LOST_IN_COMMIT = 4
    TOKEN_LOST_IN_RECOVERY = 5
    FAILED_TO_RECEIVE = 6
    FOREIGN_MESSAGE_IN_OPERATIONAL = 7
    FOREIGN_MESSAGE_IN_GATHER = 8
    MERGE_DURING_OPERATIONAL = 9
    MERGE_DURING_GATHER = 10
    MERGE_DURING_JOIN = 11
    JOIN_DURING_OPERATIONAL = 12
    JOIN_DURING_COMMIT = 13
    JOIN_DURING_RECOVERY = 14
    INTERFACE_CHANGE = 15

    @property
    def text(self) -> str:
        return _REASON_TEXTS[self]


_REASON_TEXTS = {
    GatherReason.CONSENSUS_TIMEOUT: "consensus timeout",
    GatherReason.TOKEN_LOST_IN_OPERATIONAL: "The token was lost in the OPERATIONAL state.",
    GatherReason.CONSENSUS_TIMEOUT_EXPIRED: "The consensus timeout expired.",
    GatherReason.TOKEN_LOST_IN_COMMIT: "The token was lost in the COMMIT state.",
    GatherReason.TOKEN_LOST_IN_RECOVERY: "The token was lost in the RECOVERY state.",
    GatherReason.FAILED_TO_RECEIVE: "failed to receive",
    GatherReason.FOREIGN_MESSAGE_IN_OPERATIONAL: "foreign message in operational state",
    GatherReason.FOREIGN_MESSAGE_IN_GATHER: "foreign message in gather state",
    GatherReason.MERGE_DURING_OPERATIONAL: "merge during operational state",
    GatherReason.MERGE_DURING_GATHER: "merge during gather state",
    GatherReason.MERGE_DURING_JOIN: "merge during join",
    GatherReason.JOIN_DURING_OPERATIONAL: "join during operational state",
    GatherReason.JOIN_DURING_COMMIT: "join during commit state",
    GatherReason.JOIN_DURING_RECOVERY: "join during recovery",
    GatherReason.INTERFACE_CHANGE: "interface change",
}
