"""Places, limits and spelling (pycorosync/config/findings.py)."""

import pytest

from pycorosync.config.findings import (
    WORDS,
    Finding,
    Lines,
    Severity,
    allowed_values,
    close_value,
    lines_of,
    misspelt,
    obsolete,
    path_of,
    repeated,
    shown,
)
from pycorosync.config.options import OPTIONS
from tests.config.sample import FILE, conf, recorded


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("totem.token", "totem.token"),
        ("nodelist.node.12.ring0_addr", "nodelist.node.ring0_addr"),
        ("totem.interface.3.mcastport", "totem.interface.mcastport"),
        ("logging.logger_subsys.QUORUM.debug", "logging.logger_subsys.debug"),
        ("uidgid.config.gid.7", "uidgid.gid"),
        ("quorum.device.net.host", "quorum.device.net.host"),
    ],
)
def test_a_key_stands_for_an_option(key: str, path: str) -> None:
    assert path_of(key) == path


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("totem.token", "a whole number from 30 to 4294967295"),
        ("totem.token_warning", "a whole number from 0 to 100"),
        ("totem.version", "2"),
        ("totem.transport", "knet, udpu or udp"),
        ("totem.crypto_hash", "none, md5, sha1, sha256, sha384 or sha512"),
        ("nodelist.node.nodeid", "a whole number from 1 to 65535"),
        ("nodelist.node.name", ""),
        ("of.no.such.name", ""),
    ],
)
def test_what_an_option_may_be(path: str, words: str) -> None:
    assert allowed_values(path) == words


def test_words_are_of_options_that_exist() -> None:
    assert set(WORDS) <= set(OPTIONS)


def test_a_word_that_may_have_been_meant() -> None:
    assert close_value("totem.transport", "kent") == "knet"
    assert close_value("totem.transport", "KNET") == "knet"
    assert close_value("totem.transport", "knet") == ""
    assert close_value("totem.transport", "tcp/ip") == ""
    assert close_value("logging.syslog_facility", "deamon") == "daemon"


def test_a_value_for_a_terminal() -> None:
    assert shown("größe") == "größe"
    assert shown("a\nb\udcff") == "a\\nb\\udcff"
    assert len(shown("x" * 500)) == 83


def warned(text: str) -> list[tuple[int, str, str]]:
    return [(finding.line, finding.option, finding.suggestion) for finding in misspelt(text, FILE)]


def test_misspelt_options_and_sections() -> None:
    text = conf("tokn: 5", rest="quorm {\n  two_node: 1\n}\nquorum {\n  devise {\n    model: net\n  }\n}\n")
    assert warned(text) == [
        (4, "totem.tokn", "token"),
        (18, "quorm", "quorum"),
        (22, "quorum.devise", "device"),
    ]


def test_an_option_outside_of_its_section() -> None:
    assert warned("token: 5\n") == [(1, "token", "")]
    assert warned("totem.token: 5\n")[0][:2] == (1, "totem.token")


def test_what_others_read_is_known() -> None:
    inner = "device {\n model: net\n net {\n  host: q\n }\n heuristics {\n  exec_x: y\n }\n}\n"
    text = conf(rest=f"quorum {{\n{inner}}}\n")
    text += "resources {\n system {\n  load_15min {\n   max: 5\n  }\n }\n"
    text += " process {\n  x {\n   recovery: y\n  }\n }\n}\n"
    text += "logging {\n logging_daemon {\n  name: qdevice\n  debug: on\n }\n}\n"
    assert warned(text) == []


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in recorded("entries.jsonl")
        if case["name"] in ("device", "logging", "two node", "plain")
    ],
)
def test_good_files_have_nothing_misspelt(case: dict[str, str]) -> None:
    assert warned(case["config"]) == []


def test_obsolete_options() -> None:
    found = list(obsolete(conf("rrp_mode: active; threads: 2"), FILE))
    assert [(finding.line, finding.option) for finding in found] == [
        (4, "totem.rrp_mode"),
        (5, "totem.threads"),
    ]


def test_options_that_are_set_twice() -> None:
    text = conf("token: 5; join: 60; token: 6", rest="uidgid {\n  uid: 1\n  uid: 2\n}\n")
    found = list(repeated(text, FILE))
    assert [(finding.line, finding.option, finding.value) for finding in found] == [(6, "totem.token", "6")]
    assert "line 4" in found[0].text


def test_lines_of_nodes_and_inner_sections() -> None:
    lines = Lines("nodelist {\n  node {\n    inner {\n      nodeid: 4\n    }\n    foo: 1\n  }\n}\n")
    assert lines.option(4) == ("nodelist.node.nodeid", "4")
    assert lines.option(6) == ("nodelist.node.foo", "1")
    assert lines.option(1) == ("", "")


def test_a_finding_is_printed_like_a_compilers() -> None:
    finding = Finding(Severity.ERROR, "f", 3, "is bad", "a.b", "1", "2", "3")
    assert lines_of(finding) == ["f:3: error: a.b: is bad", "    is: 1", "    may be: 2", "    suggestion: 3"]
    assert lines_of(Finding(Severity.WARNING, "f", 0, "is odd")) == ["f: warning: is odd"]
