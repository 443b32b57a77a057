"""What may differ between two runs that are otherwise equal: the only place where a difference is excused."""

import re
from collections.abc import Callable
from typing import NamedTuple


class Rule(NamedTuple):
    """Replace a pattern in the output of commands that match."""

    command: str  # regular expression, searched in the command line
    pattern: str
    replacement: str | Callable[[re.Match[str]], str]
    reason: str


RULES = (
    Rule(
        "tar tjf",
        r"^[^\n]*/(DC|pengine/[^\n]*)\n",
        "",
        "which node Pacemaker elects, and whether that had anything to plan yet",
    ),
    Rule("quorum", r"^Date: .*$", "Date: <now>", "the wall clock"),
    Rule(
        "quorumtool -",
        r"(?<=[0-9a-f])%\d+",
        "",
        "the real tool prints memory that nobody has set behind IPv6",
    ),
    Rule(
        "cfgtool -a|quorumtool -l",
        r",? 253\.119\.0\.0",
        "",
        "deliberate: corosync shows fd77:: of a second link as if its first bytes were an IPv4 address",
    ),
    Rule("cpgtool", r"\t +\d+(?=\t +\d+ \()", "\t<pid>", "process numbers (columns)"),
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
    Rule(
        "verzion",
        r"(?<=^config\.)(reload_status|totemconfig_reload_in_progress)( \(\w+\) = ).*$",
        r"\1\2<after a parser error>",
        "deliberate: a reload that fails in the parser ends, and says so, as any other failed reload does",
    ),
    # --- rings of several nodes, which may have found each other in one step or in several
    Rule(
        "hosts, .*quorumtool", r"^(Ring ID: +\d+\.)[0-9a-f]+", r"\1<seq>", "counts the rings before this one"
    ),
    Rule("hosts, .*cmapctl", r"(join_count \(u32\) = )\d+", r"\1<count>", "counts the rings of that node"),
    Rule(
        "cfgtool -R|config|cmapctl$",
        r"^(config\.reload_refusal|Reason:) .*\n",
        "",
        "deliberate: who asks for a reload that is refused learns why",
    ),
    Rule(
        "after a refusal",
        r"^nodelist\.(local_node_pos|node\.1\.nodeid) .*\n",
        "",
        "deliberate: corosync deletes keys before it refuses a file; here nothing changes",
    ),
    # --- log lines
    Rule(
        "corosync -[ft]",
        r"^([A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(\.\d{3})? )(?=.*\[)",
        lambda found: "<time.ms> " if found[2] else "<time> ",
        "the wall clock",
    ),
    Rule("corosync -[ft]", r"(?<=\[)\d+(?=\] n1 corosync)", "<pid>", "process numbers"),
    Rule("corosync -f", r"(?<=built-in features:).*$", " <features>", "each says what it was built with"),
    Rule("corosync -f", r"(?<=A new membership \(\d\.)[0-9a-f]+", "<seq>", "counts the host's earlier rings"),
    Rule(
        "corosync -f",
        r"^.*\[KNET  \] (link: Resetting MTU|pmtud: MTU manually set|host: host: 1 ).*\n",
        "",
        "what libknet's threads say about the MTU and about the host itself when they get their turn",
    ),
    Rule(
        "corosync -f",
        r"(?<=unloaded: corosync watchdog service\n)(.*\[KNET  \] .*\n)+",
        "",
        "corosync removes its nodes from libknet one by one",
    ),
    Rule(
        "corosync -f",
        r"(?:^.*\[KNET  \] host: .*\n)+",
        lambda found: "".join(dict.fromkeys(found[0].splitlines(keepends=True))),
        "corosync tells libknet the same things about a node several times",
    ),
    Rule(
        "corosync -f",
        r"^.*\[QB    \] Denied connection, is not ready .*\n",
        "",
        "how often a test asked before the node was ready",
    ),
    Rule("corosync -f", r"(?<=\] )\w+\.(c|py):(\w+:)?\d+ ", r"<file>:\2<line> ", "places in the source"),
    Rule(
        "corosync -f",
        r"(?<=\] )(<file>:)?(_corosync_exit_error|log_exit)(?=[: ])",
        r"\1<function>",
        "names in the source",
    ),
    Rule(
        "^mutants$",
        r"^warning \[VOTEQ \] Unable to update ev_tracking_barrier on disk data!!!\n",
        "",
        "deliberate: corosync has closed the file before it writes, and hits whatever has its number now",
    ),
    Rule(
        "^mutants$",
        r"^.*(\[KNET  \] common: \S+ has been loaded from|Corosync main process was not scheduled) .*\n",
        "",
        "libknet loads a library for each compression, and a busy machine makes anybody wait",
    ),
    Rule(
        "^mutants$",
        r"^.*\[KNET  \] host: host: .*\n",
        "",
        "of many nodes that are not there libknet's thread tells when it gets its turn",
    ),
    Rule(
        "corosync -f", r"(?<=\] n1 corosync)(?=\w)", " ", "with timestamp off, corosync runs words together"
    ),
)


def mask(command: str, text: str) -> str:
    for rule in RULES:
        if re.search(rule.command, command):
            text = re.sub(rule.pattern, rule.replacement, text, flags=re.MULTILINE)
    return text
