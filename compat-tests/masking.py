"""What may differ between two runs that are otherwise equal: the only place where a difference is excused."""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """Replace a pattern in the output of commands that match."""

    command: str  # regular expression, searched in the command line
    pattern: str
    replacement: str
    reason: str


RULES = (
    Rule("quorumtool", r"^Date: .*$", "Date: <now>", "the wall clock"),
    Rule("cpgtool", r"\b\d+(?=\t +\d+ \()", "<pid>", "process numbers (columns)"),
    Rule("cpgtool", r"(?<=;)\d+(?=;\d+$)", "<pid>", "process numbers (with -d)"),
    Rule(
        "cmapctl",
        r"(?<=^stats\.ipcs\.service)(\d)\.\d+\.0x[0-9a-f]+",
        r"\1.<pid>.<address>",
        "process numbers, and addresses in the daemon's memory",
    ),
    Rule(
        "-m stats",
        r"(?<== )(?!disconnected|connected).*$",
        "<value>",
        "statistics count what happened since the start; their names and types must agree",
    ),
    Rule(
        "cmapctl",
        r"(?<=^runtime\.services\.)(\w+\.\d+\.[rt]x \(u64\) = ).*$",
        r"\1<count>",
        "how many messages the services exchanged depends on when the nodes met",
    ),
    Rule(
        "cmapctl",
        r"(?<=^runtime\.totem\.pg\.)(.*?\) = ).*$",
        r"\1<value>",
        "counters of the ring, as in the stats map",
    ),
)


def mask(command: str, text: str) -> str:
    for rule in RULES:
        if re.search(rule.command, command):
            text = re.sub(rule.pattern, rule.replacement, text, flags=re.MULTILINE)
    return text
