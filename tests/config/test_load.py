"""A file becomes a configuration, or is refused as corosync 3.1.7 was recorded to refuse it."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pycorosync.config.host import FileFault, HostFacts
from pycorosync.config.load import facts_wanted, load, runtime_entries
from pycorosync.config.model import Phase, RefusedConfig, Transport
from tests.config.sample import (
    FILE,
    KEY,
    as_map,
    conf,
    facts,
    host,
    listing,
    loaded,
    nodelist_of,
    recorded,
    refused,
)

BAD = "/etc/corosync/bad.conf"
LOGFILE_FAULT = {"/nonexistent/dir/x.log": "No such file or directory (2)"}


def verdict(text: str | bytes, filename: str, where: HostFacts) -> tuple[int, str]:
    """Exit status and first complaint, as `corosync -t` would end."""
    try:
        load(text, filename, host=where)
    except RefusedConfig as refusal:
        return refusal.phase.exit_status, refusal.faults[0].text
    return 0, ""


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


FAULTY = [case for case in recorded("faulty.jsonl") if case["status"] not in (16, 134)]


@pytest.mark.parametrize("case", FAULTY, ids=name_of)
def test_a_faulty_file_is_judged_as_recorded(case: dict[str, Any]) -> None:
    where = replace(host(net=79), log_faults=LOGFILE_FAULT)
    assert verdict(case["config"], BAD, where) == (case["status"], case["text"])


@pytest.mark.parametrize("case", [case for case in FAULTY if not case["status"]], ids=name_of)
def test_what_only_a_start_refuses(case: dict[str, Any]) -> None:
    configuration = load(case["config"], BAD, host=host(net=79))
    first = configuration.start_faults[0] if configuration.start_faults else None
    if first is None:
        assert case["start_status"] == 0
    else:
        assert first[0].exit_status == case["start_status"]
        assert case["start_text"].endswith(f"'{first[1].text}'")


def test_the_state_directory_is_the_shells_business() -> None:
    (case,) = (case for case in recorded("faulty.jsonl") if case["status"] == 16)
    assert load(case["config"], BAD, host=host(net=79)).system.state_dir == "/nonexistent"


def test_where_corosync_aborts_a_number_is_asked_for() -> None:
    (case,) = (case for case in recorded("faulty.jsonl") if case["status"] == 134)
    status, text = verdict(case["config"], BAD, host(net=79))
    assert status == 8
    assert text.endswith('is expected to be integer in range (0..18446744073709551615), but "abc" was given')


@pytest.mark.parametrize("case", recorded("verdicts.jsonl"), ids=name_of)
def test_a_generated_file_is_judged_as_recorded(case: dict[str, Any]) -> None:
    text = case["config"].encode("latin-1")
    status, complaint = verdict(text, "/etc/corosync/case.conf", facts(case["facts"]))
    raw = complaint.encode("utf-8", "surrogateescape").decode("latin-1")
    assert (status, raw) == (case["status"], case["text"] or raw)  # some files turn their own logging off


@pytest.mark.parametrize("case", recorded("entries.jsonl"), ids=name_of)
def test_the_map_holds_what_was_recorded(case: dict[str, Any]) -> None:
    configuration = loaded(case["config"].encode("utf-8"))
    entries = {entry[0]: entry for entry in [*configuration.entries, *runtime_entries(configuration)]}
    ours = [entry for key, entry in entries.items() if key != "resources.watchdog_timeout"]
    assert listing(ours) == case["keys"]


def test_a_plain_configuration() -> None:
    configuration = loaded(conf("config_version: 3", nodes=nodelist_of(3, 2)))
    totem = configuration.totem
    assert totem.transport is Transport.KNET
    assert (totem.node_id, totem.local_node_position, totem.config_version) == (1, 0, 3)
    assert [node.node_id for node in totem.nodes] == [1, 2, 3]
    assert [link.number for link in totem.links] == [0, 1]
    assert configuration.quorum.provider is None
    assert configuration.warnings == ()
    assert configuration.start_faults == ()


def test_users_and_groups_of_all_files_may_connect() -> None:
    text = conf(rest="uidgid {\n uid: 5\n gid: root\n}\n")
    access = [("/etc/corosync/uidgid.d/a", "uidgid {\n uid: nobody\n gid: 9\n}\n")]
    configuration = load(text, FILE, host=host(), uidgid_files=access)
    assert configuration.uids == {5, 65534}
    assert configuration.gids == {0, 9}


def test_a_bad_file_of_users_stops_the_start() -> None:
    with pytest.raises(RefusedConfig) as caught:
        load(conf(), FILE, host=host(), uidgid_files=[("/etc/corosync/uidgid.d/a", "uid: 5\n")])
    assert caught.value.phase is Phase.PARSER
    assert caught.value.faults[0].text == (
        "parser error: /etc/corosync/uidgid.d/a:1: uidgid: Only uid and gid are allowed items"
    )


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        (conf("token: x"), Phase.PARSER),
        (conf(rest="logging {\n debug: x\n}\n"), Phase.LOGGING),
        (conf("transport: x"), Phase.READ),
        (conf("token: 5"), Phase.VALIDATE),
    ],
)
def test_the_phase_of_a_refusal(text: str, phase: Phase) -> None:
    refusal = refused(text)
    assert refusal.phase is phase
    late = phase in (Phase.READ, Phase.VALIDATE)
    assert (refusal.logging is not None) is late
    assert (refusal.system is not None) is late


def test_faults_of_one_phase_come_together_with_their_lines() -> None:
    refusal = refused(conf("token: 5; join: 6\nmerge: 7"))
    assert [fault.line for fault in refusal.faults] == [4, 5, 6]
    assert str(refusal).count("may not be less than") == 3


def test_a_later_phase_does_not_hide_behind_an_earlier_one() -> None:
    refusal = refused(conf("token: 5; transport: x", rest="logging {\n debug: x\n}\n"))
    assert [fault.text for fault in refusal.faults] == ["parse error in config: unknown value for debug."]


@pytest.mark.parametrize(
    ("priority", "good"),
    [
        ("max", True),
        ("min", True),
        ("-20", True),
        ("", True),
        ("x", False),
        ("1x", False),
        ("2147483648", False),
    ],
)
def test_the_priority_is_looked_at_when_the_node_starts(priority: str, good: bool) -> None:
    configuration = loaded(conf(rest=f"system {{\n priority: {priority}\n}}\n"))
    expected = [] if good else [(Phase.START, f"Priority value {priority} is invalid")]
    assert [(phase, fault.text) for phase, fault in configuration.start_faults] == expected


def test_the_system_section() -> None:
    defaults = loaded(conf()).system
    assert (defaults.qb_ipc_type, defaults.sched_rr, defaults.priority) == ("native", True, None)
    assert (defaults.move_to_root_cgroup, defaults.allow_knet_handle_fallback) == ("auto", False)
    assert defaults.state_dir == "/var/lib/corosync"
    text = "system {\n sched_rr: no\n allow_knet_handle_fallback: yes\n state_dir: /x\n qb_ipc_type: shm\n}\n"
    system = loaded(conf(rest=text)).system
    assert (system.qb_ipc_type, system.sched_rr, system.state_dir) == ("shm", False, "/x")
    assert system.allow_knet_handle_fallback


def test_only_what_matters_is_looked_up() -> None:
    wanted = facts_wanted(conf(), FILE, "n1")
    assert wanted.names == ()
    assert not wanted.local_names
    assert wanted.key_file == "/etc/corosync/authkey"
    named = conf(nodes=nodelist_of(2).replace("10.77.0.2", "other.example"))
    assert facts_wanted(named, FILE, "n1").names == ("other.example",)
    # On a host that no node is named after, names of nodes may be names of this host.
    unknown = facts_wanted(named, FILE, "elsewhere")
    assert unknown.names == ("n1", "n2", "other.example")
    assert unknown.local_names


def test_users_keys_and_log_files_are_looked_up() -> None:
    text = conf(
        "keyfile: /k",
        rest="uidgid {\n uid: u\n gid: g\n uid: 5\n}\nlogging {\n logfile: /l\n logger_subsys {\n"
        " subsys: X\n logfile: /m\n }\n}\n",
    )
    wanted = facts_wanted(text, FILE, "n1", [("a", "uidgid {\n gid: h\n}\n")])
    assert wanted.users == ("u",)
    assert wanted.groups == ("g", "h")
    assert wanted.key_file == "/k"
    assert wanted.log_files == ("/l", "/m")
    assert facts_wanted(conf("key: k"), FILE, "n1").key_file is None


def test_asking_what_to_look_up_never_fails() -> None:
    assert facts_wanted(b"\xff{\x00}:" * 500, FILE, "").names == ()


def test_the_key_is_not_shown() -> None:
    configuration = loaded(conf("secauth: on"))
    assert configuration.totem.crypto.key == KEY
    assert "key" not in repr(configuration.totem.crypto)


def test_a_key_file_that_cannot_be_read() -> None:
    where = replace(host(), key_files={"/k": FileFault("read", "Is a directory")})
    refusal = refused(conf("secauth: on; keyfile: /k"), where)
    assert refusal.faults[0].text == "Could not read /k: Is a directory"


def test_bytes_and_text_mean_the_same() -> None:
    text = conf("cluster_name: gr\u00f6\u00dfe; note: \udcff")
    raw = text.encode("utf-8", "surrogateescape")
    assert as_map(loaded(raw).entries) == as_map(loaded(text).entries)
    assert as_map(loaded(raw).entries)["totem.note"] == "\udcff"


def test_a_warning_is_for_the_log() -> None:
    configuration = loaded(conf("nodeid: 5"))
    assert configuration.warnings == (
        "nodeid in totem section is deprecated and ignored. "
        "Nodelist (or autogenerated) nodeid is going to be used.",
        "Please migrate config file to nodelist.",
    )
    assert refused(conf("nodeid: 5; token: 5")).warnings == configuration.warnings


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_refused_or_read(seed: int) -> None:
    rng = Random(seed)
    cases = recorded("entries.jsonl")
    data = bytearray(rng.choice(cases)["config"].encode())
    for _ in range(rng.randrange(1, 30)):
        at = rng.randrange(len(data))
        if rng.random() < 0.5:
            data[at] = rng.choice(b"{}:#\n\0\xff 09ax")
        else:
            lines = bytes(data).splitlines(keepends=True)
            rng.shuffle(lines)
            data = bytearray(b"".join(lines[: rng.randrange(1, len(lines) + 1)]))
    facts_wanted(bytes(data), FILE, "n1")
    with suppress(RefusedConfig):
        assert loaded(bytes(data)).totem.version == 2, f"seed {seed}"


def test_the_examples_can_be_used() -> None:
    examples = Path(__file__).resolve().parents[2] / "conf"
    where = replace(host("node1"), users={"hacluster": 101}, groups={"haclient": 102})
    access = [("uidgid.d/pacemaker", (examples / "uidgid.example").read_bytes())]
    found = load((examples / "corosync.conf.example").read_bytes(), FILE, host=where, uidgid_files=access)
    assert found.totem.node_id == 1
    assert len(found.totem.links) == 2
    assert found.uids == {101}
    assert found.gids == {102}
    assert found.start_faults == ()


def test_the_packages_configuration_is_a_cluster_of_any_one_host() -> None:
    shipped = Path(__file__).resolve().parents[2] / "conf/corosync.conf"
    found = load(shipped.read_bytes(), FILE, host=host("anything", "127.0.0.1", "192.0.2.9"))
    assert found.totem.node_id == 1
    assert found.start_faults == ()
