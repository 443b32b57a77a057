"""Everything about a file at once (pycorosync/config/explain.py)."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from pycorosync.config.explain import explain
from pycorosync.config.findings import Finding, Severity
from pycorosync.config.host import HostFacts
from pycorosync.config.load import load
from pycorosync.config.model import RefusedConfig
from tests.config.sample import FILE, conf, facts, host, recorded

LOGFILE_FAULT = {"/nonexistent/dir/x.log": "No such file or directory (2)"}


def errors(text: str) -> list[Finding]:
    found = explain(text, FILE, host=host())
    return [finding for finding in found.findings if finding.severity is Severity.ERROR]


def test_faults_of_all_phases_are_found_at_once() -> None:
    text = conf(
        "token: x; version: 3; transport: kent; consensus: 10",
        rest="logging {\n  to_syslog: perhaps\n}\nuidgid {\n  foo: 1\n}\n",
    )
    found = errors(text)
    assert [(finding.line, finding.option) for finding in found] == [
        (4, "totem.token"),
        (5, "totem.version"),
        (6, "totem.transport"),
        (7, "totem.consensus"),
        (7, "totem.consensus"),
        (22, "logging.to_syslog"),
        (25, "uidgid.foo"),
    ]
    assert found[0].allowed == "a whole number from 30 to 4294967295"
    assert found[2].suggestion == "knet"


def test_reading_goes_on_behind_each_fault() -> None:
    text = conf().replace("10.77.0.2", "no.such.host").replace("10.77.0.1", "nor.this.one")
    found = errors(text)
    assert [finding.value for finding in found] == ["nor.this.one", "no.such.host"]


def test_what_only_follows_from_another_fault_is_left_out() -> None:
    # Without an address the local node would not be on link 0: "No multicast port specified".
    found = errors(conf().replace("10.77.0.1", "no.such.host"))
    assert [finding.text for finding in found] == ["failed to parse bindnet address 'no.such.host'"]


def test_half_a_file_is_not_judged() -> None:
    assert [finding.text for finding in errors("totem {\n  version: 2\n")] == ["Missing closing brace"]


def test_lines_inside_of_an_interface_and_a_subsystem() -> None:
    text = conf("interface {; linknumber: 0; ttl: 5; x: y; }")
    assert [(finding.line, finding.value) for finding in errors(text)] == [(6, "5")]
    text = conf(rest="logging {\n  logger_subsys {\n    debug: of\n    subsys: CPG\n  }\n}\n")
    (found,) = errors(text)
    assert (found.line, found.option, found.suggestion) == (19, "logging.logger_subsys.debug", "off")


def test_a_start_that_would_be_refused_is_a_warning() -> None:
    found = explain(conf(rest="quorum {\n  provider: foo\n}\n"), FILE, host=host())
    assert found.status == 0
    texts = [finding.text for finding in found.findings if finding.severity is Severity.WARNING]
    assert "Invalid quorum provider: corosync -t accepts it, a start does not" in texts


def test_traps_stand_at_their_lines() -> None:
    found = explain(conf("consensus: 100"), FILE, host=host())
    (warning,) = (finding for finding in found.findings if finding.option == "totem.consensus")
    assert (warning.line, warning.value) == (4, "100")


def test_files_of_uidgid_d() -> None:
    found = explain(
        conf(), FILE, host=host(), uidgid_files=[("/e/uidgid.d/x", "uidgid {\n  uid: nosuch\n}\n")]
    )
    assert found.status == 8
    assert (found.findings[0].filename, found.findings[0].line) == ("/e/uidgid.d/x", 2)


def verdict(text: bytes, where: HostFacts) -> RefusedConfig | None:
    try:
        load(text, FILE, host=where)
    except RefusedConfig as refused:
        return refused
    return None


def agrees(text: bytes, where: HostFacts) -> None:
    """Status and first error are those of `corosync -t`."""
    found, refused = explain(text, FILE, host=where), verdict(text, where)
    if refused is None:
        assert found.status == 0
        assert all(finding.severity is Severity.WARNING for finding in found.findings)
    else:
        assert found.status == refused.phase.exit_status
        assert found.findings[0].severity is Severity.ERROR
        assert found.findings[0].text in refused.faults[0].text
        assert found.findings[0].line == refused.faults[0].line


@pytest.mark.parametrize("case", recorded("verdicts.jsonl"), ids=lambda case: case["name"])
def test_it_ends_as_the_check_does(case: dict[str, Any]) -> None:
    agrees(case["config"].encode("latin-1"), facts(case["facts"]))


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes_are_explained(seed: int) -> None:
    rng = Random(seed)
    case = rng.choice(recorded("verdicts.jsonl"))
    data = bytearray(case["config"].encode("latin-1"))
    for _ in range(rng.randrange(1, 30)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(3)] = rng.choice(
            [b"{", b"}", b":", b"\n", b"\0", b"\xff", b"9", b"x: y\n"]
        )
    agrees(bytes(data), replace(facts(case["facts"]), log_faults=LOGFILE_FAULT))
