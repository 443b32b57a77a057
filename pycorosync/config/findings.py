"""What there is to say about an option of a file: the place, what it may be, what may have been meant.

Serves `corosync -t --explain`, which corosync does not have.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import Enum
from typing import Final, NamedTuple

from pycorosync.cmap.values import INTEGER_RANGE
from pycorosync.config.checks import LINK_MODES
from pycorosync.config.entries import options_of
from pycorosync.config.grammar import Kind, Statement, as_bytes_text, as_text, statements
from pycorosync.config.logs import FACILITIES, PRIORITIES, SWITCHES
from pycorosync.config.model import LINKS_MAX, Transport
from pycorosync.config.options import BY_KEY, OPTIONS, SECTION_OF_PATH, STRING, Section, one_of
from pycorosync.config.quorum import PROVIDERS
from pycorosync.config.timers import HOLD_MIN_MS, TIMEOUT_MIN_MS
from pycorosync.config.totem import KNET_NODE_ID_LIMIT

CLOSE: Final = 0.7  # how much alike a word and what may have been meant must be, of 1
SHOWN_CHARACTERS: Final = 80  # of a value

# Limits within the type, of any combination of other options. (None: the type's own.)
LIMITS: Final[dict[str, tuple[int | None, int | None]]] = {
    "totem.version": (2, 2),
    "totem.token_warning": (0, 100),
    "totem.hold": (HOLD_MIN_MS, None),
    **{
        f"totem.{name}": (TIMEOUT_MIN_MS, None)
        for name in ("token", "token_retransmit", "join", "consensus", "merge", "downcheck")
    },
    "totem.max_network_delay": (TIMEOUT_MIN_MS, None),
    "totem.interface.linknumber": (0, LINKS_MAX - 1),
    "totem.interface.mcastport": (1, None),
    "nodelist.node.nodeid": (1, KNET_NODE_ID_LIMIT - 1),
}
_ON_OFF: Final = ("on", "off")
_LOG_WORDS: Final = {
    "to_stderr": tuple(SWITCHES), "to_syslog": tuple(SWITCHES), "to_logfile": tuple(SWITCHES),
    "to_file": tuple(SWITCHES), "debug": ("on", "off", "trace"), "syslog_facility": FACILITIES,
    "syslog_priority": PRIORITIES, "syslog_level": PRIORITIES, "logfile_priority": PRIORITIES,
    "fileline": _ON_OFF, "function_name": _ON_OFF, "blackbox": _ON_OFF, "timestamp": ("on", "off", "hires"),
}  # fmt: skip
# Words that the table of options does not have, because they are checked elsewhere or not at all.
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "totem.transport": tuple(transport.value for transport in Transport),
    "totem.link_mode": LINK_MODES,
    "totem.secauth": _ON_OFF,
    "totem.interface.knet_transport": ("udp", "sctp"),
    "totem.interface.broadcast": ("yes", "no"),
    "totem.block_unlisted_ips": ("yes", "no"),
    "totem.cancel_token_hold_on_retransmit": ("yes", "no"),
    "totem.clear_node_high_bit": ("yes", "no"),
    "quorum.provider": PROVIDERS[:1],
    **{f"logging.{key}": words for key, words in _LOG_WORDS.items()},
    **{
        f"logging.logger_subsys.{key}": words
        for key, words in _LOG_WORDS.items()
        if f"logging.logger_subsys.{key}" in OPTIONS
    },
}
# Sections that other programs read from the map, or that anybody may name as he likes.
OPEN_SECTIONS: Final = (
    "quorum.device.",
    "resources.system.",
    "resources.process.",
    "logging.logging_daemon.",
)
CHILDREN_OF_DEVICE: Final = ("net", "heuristics")
OBSOLETE: Final = {
    "totem.nodeid": "nodeid of the node's section in the nodelist",
    "totem.threads": "",
    "totem.rrp_mode": "knet's link_mode",
    **{path: "" for path in OPTIONS if path.startswith("totem.rrp_") and path != "totem.rrp_mode"},
    "logging.to_file": "to_logfile",
    "logging.syslog_level": "syslog_priority",
}

_POSITION: Final = re.compile(r"(?<=^nodelist\.node\.)[0-9]+\.|(?<=^totem\.interface\.)[0-9]+\.")
_SUBSYSTEM: Final = re.compile(r"(?<=^logging\.logger_subsys\.)[^.]+\.")
_ACCESS: Final = re.compile(r"^uidgid\.config\.([ug]id)\..*")


class Severity(Enum):
    """How bad a finding is."""

    ERROR = "error"  # the file is refused
    WARNING = "warning"  # it is not, and yet ...


class Finding(NamedTuple):
    """One thing to say about a file. What does not apply is empty."""

    severity: Severity
    filename: str
    line: int  # 0: about the file as a whole
    text: str
    option: str = ""  # as the file nests it
    value: str = ""
    allowed: str = ""
    suggestion: str = ""


def path_of(key: str) -> str:
    """The option that a key of the map stands for: without node and link numbers and the like."""
    key = _POSITION.sub("", key)
    key = _SUBSYSTEM.sub("", key)
    return _ACCESS.sub(r"uidgid.\1", key)


def allowed_values(path: str) -> str:
    """What an option may be, in words; empty if it may be anything."""
    option = OPTIONS.get(path)
    words = WORDS.get(path) or (option.choices if option is not None else ())
    if words:
        return one_of(words)
    if option is None or option.kind is STRING:
        return ""
    low, high = INTEGER_RANGE[option.kind]
    floor, ceiling = LIMITS.get(path, (None, None))
    low = low if floor is None else floor
    high = high if ceiling is None else ceiling
    return str(low) if low == high else f"a whole number from {low} to {high}"


def close_word(word: str, words: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """The one of these words that may have been meant; empty if none looks like it."""
    words = list(dict.fromkeys(words))
    lowered = {known.lower(): known for known in words}
    if word.lower() in lowered:
        return lowered[word.lower()]
    found = get_close_matches(word.lower(), lowered, n=1, cutoff=CLOSE)
    return lowered[found[0]] if found else ""


def close_value(path: str, value: str) -> str:
    """The word that may have been meant by a value."""
    option = OPTIONS.get(path)
    words = WORDS.get(path) or (option.choices if option is not None else ())
    return "" if value in words else close_word(value, words)


def shown(value: str) -> str:
    """A value for a terminal: one line, not too long."""
    text = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in value
    )
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


class Lines:
    """What the lines of one file set, by number."""

    def __init__(self, text: str | bytes) -> None:
        self._options = {statement.line: statement for statement in options_of(text)}

    def option(self, line: int) -> tuple[str, str]:
        """Path, as far as it is an option's, and value; empty if the line sets nothing."""
        statement = self._options.get(line)
        return ("", "") if statement is None else (known_path(statement), statement.value)


def known_path(statement: Statement) -> str:
    """The path under which the table of options has what a line sets, or would have it."""
    section = statement.path.rpartition(".")[0]
    for known in BY_KEY:
        if section.startswith(f"{known.value}.") and f"{known.value}.{statement.key}" in OPTIONS:
            return f"{known.value}.{statement.key}"
    return statement.path


def _children(section: str) -> tuple[list[str], list[str]]:
    """Names of the options and of the sections that belong in a section."""
    prefix = f"{section}." if section else ""
    options: list[str] = []
    sections: list[str] = []
    for path in OPTIONS:
        if path.startswith(prefix):
            name, _, deeper = path.removeprefix(prefix).partition(".")
            (sections if deeper else options).append(name)
    if section == Section.QDEVICE.value:
        sections += CHILDREN_OF_DEVICE
    return options, sections


def misspelt(text: str | bytes, filename: str) -> Iterator[Finding]:
    """Warnings about names that nobody reads: corosync passes over them without a word."""
    unknown: list[str] = []
    for statement in statements(as_bytes_text(text)):
        if not isinstance(statement, Statement) or statement.kind is Kind.CLOSE:
            continue
        path = as_text(statement.path)
        section, _, name = path.rpartition(".")
        if statement.kind is Kind.OPTION:
            name = as_text(statement.key)
            section = path.removesuffix(name).removesuffix(".")
        if any(path.startswith(f"{above}.") for above in unknown) or _is_known(
            path, section, name, statement.kind
        ):
            continue
        what, close = "option", close_word(name, _children(section)[0])
        if path in OPTIONS and "." in name:
            close = f"{path.rpartition('.')[2]} in a section {path.rpartition('.')[0]}"
        if statement.kind is Kind.OPEN:
            unknown.append(path)
            what, close = "section", close_word(name, _children(section)[1])
        place = f"in section {section}" if section else "outside of all sections"
        text_of = f"{what} {shown(name)} {place} is not known: nothing reads it"
        value = shown(as_text(statement.value))
        yield Finding(
            Severity.WARNING, filename, statement.line, text_of, shown(path), value, suggestion=close
        )


def _is_known(path: str, section: str, name: str, kind: Kind) -> bool:
    if kind is Kind.OPEN:
        return (
            path in SECTION_OF_PATH
            or name in _children(section)[1]
            or f"{section}.".startswith(OPEN_SECTIONS)
        )
    if "." not in name and (path in OPTIONS or f"{section}.".startswith(OPEN_SECTIONS)):
        return True
    return any(
        section.startswith(f"{known.value}.") and f"{known.value}.{name}" in OPTIONS for known in BY_KEY
    )


def obsolete(text: str | bytes, filename: str) -> Iterator[Finding]:
    """Warnings about options that have lost their meaning."""
    for statement in options_of(text):
        instead = OBSOLETE.get(statement.path)
        if instead is not None:
            text_of = "obsolete" if instead else "obsolete, has no effect"
            place = (filename, statement.line, text_of, statement.path, shown(statement.value))
            yield Finding(Severity.WARNING, *place, suggestion=instead)


def repeated(text: str | bytes, filename: str) -> Iterator[Finding]:
    """Warnings about options that a section sets twice: only one of them counts."""
    seen: list[dict[str, int]] = [{}]
    for statement in statements(as_bytes_text(text)):
        if not isinstance(statement, Statement):
            continue
        if statement.kind is Kind.OPEN:
            seen.append({})
        elif statement.kind is Kind.CLOSE:
            seen.pop()
        else:
            key = as_text(statement.key)
            before = seen[-1].setdefault(key, statement.line)
            if before != statement.line and not statement.path.startswith("uidgid.") and key != "memberaddr":
                first = statement.path.startswith("logging.logger_subsys.")
                counts = "the first counts" if first else "the last counts"
                text_of = f"set before, at line {before}: {counts}"
                value = shown(as_text(statement.value))
                yield Finding(
                    Severity.WARNING, filename, statement.line, text_of, as_text(statement.path), value
                )


def lines_of(finding: Finding) -> list[str]:
    """A finding as it is printed: as a compiler does, with what helps below it."""
    place = f"{finding.filename}:{finding.line}" if finding.line else finding.filename
    option = f"{finding.option}: " if finding.option else ""
    found = [f"{place}: {finding.severity.value}: {option}{finding.text}"]
    for label, text in (
        ("is", finding.value),
        ("may be", finding.allowed),
        ("suggestion", finding.suggestion),
    ):
        if text:
            found.append(f"    {label}: {text}")
    return found
