"""From lines to entries of the map: names, types, ranges, and what is refused with which words."""

import pytest

from pycorosync.cmap.store import Entry, Value, ValueType
from pycorosync.config.entries import FAULTS_MAX, EntryMap, options_of, parse_integer, read_access, read_main
from pycorosync.errors import Fault
from tests.config.sample import host

FILE = "test.conf"
U8, U16, U32, U64 = ValueType.UINT8, ValueType.UINT16, ValueType.UINT32, ValueType.UINT64
I32, STRING = ValueType.INT32, ValueType.STRING


def read(text: str) -> dict[str, tuple[ValueType, Value]]:
    faults: list[Fault] = []
    entries = read_main(text, FILE, host(), faults)
    assert not faults
    return {key: (kind, value) for key, kind, value in entries.items()}


def complaint(text: str) -> str:
    faults: list[Fault] = []
    read_main(text, FILE, host(), faults)
    assert faults[0].text.startswith(f"parser error: {FILE}:{faults[0].line}: ")
    return faults[0].text.removeprefix("parser error: ")


def complaint_about_access(text: str) -> str:
    faults: list[Fault] = []
    read_access(text, FILE, host(), EntryMap(), faults)
    return faults[0].text.removeprefix("parser error: ")


def test_known_options_have_types_and_others_are_strings() -> None:
    text = "totem {\nversion: 2\nconfig_version: 7\nknet_compression_level: -1\ntransport: udp\nfoo: 1\n}\n"
    assert read(text) == {
        "totem.version": (U32, 2),
        "totem.config_version": (U64, 7),
        "totem.knet_compression_level": (I32, -1),
        "totem.transport": (STRING, "udp"),
        "totem.foo": (STRING, "1"),
    }


def test_an_option_outside_its_section_is_a_string() -> None:
    assert read("totem.version: 2\ntotem {\n inner {\n token: 5\n }\n}\n") == {
        "totem.version": (STRING, "2"),
        "totem.inner.token": (STRING, "5"),
    }


def test_the_last_of_two_equal_options_wins() -> None:
    assert read("totem {\ntoken: 5\n}\ntotem {\ntoken: 6\n}\n") == {"totem.token": (U32, 6)}


def test_nodes_are_numbered_in_each_nodelist() -> None:
    node = "node {\nnodeid: %d\nname: x\n}\n"
    text = f"nodelist {{\n{node % 1}{node % 2}}}\nnodelist {{\n{node % 9}}}\n"
    found = read(text)
    assert found["nodelist.node.0.nodeid"] == (U32, 9)
    assert found["nodelist.node.1.nodeid"] == (U32, 2)


def test_a_section_inside_a_node_ends_that_node() -> None:
    found = read("nodelist {\nnode {\nname: a\nextra {\nfoo: 1\n}\nring0_addr: b\n}\n}\n")
    assert found == {
        "nodelist.node.0.name": (STRING, "a"),
        "nodelist.node.0.foo": (STRING, "1"),
        "nodelist.node.1.ring0_addr": (STRING, "b"),
    }


def test_an_interface_is_stored_under_its_link_number() -> None:
    text = (
        "totem {\ninterface {\nmcastport: 5410\nttl: 3\nlinknumber: 2\nbindnetaddr: a\nother: x\n"
        "knet_ping_timeout: 4294967295\nmember {\nmemberaddr: m1\n}\nmember {\nmemberaddr: m2\n}\n}\n"
        "interface {\nbroadcast: yes\n}\n}\n"
    )
    assert read(text) == {
        "totem.interface.other": (STRING, "x"),
        "totem.interface.2.bindnetaddr": (STRING, "a"),
        "totem.interface.2.mcastport": (U16, 5410),
        "totem.interface.2.ttl": (U8, 3),  # and the ping timeout does not fit a signed integer
        "totem.interface.2.member.0": (STRING, "m2"),
        "totem.interface.2.member.1": (STRING, "m1"),
        "totem.interface.0.broadcast": (STRING, "yes"),
    }


def test_a_subsystem_is_stored_under_its_name_and_its_first_value_wins() -> None:
    text = "logging {\ndebug: on\nlogger_subsys {\ndebug: off\nsubsys: CPG\ndebug: on\n}\n}\n"
    assert read(text) == {
        "logging.debug": (STRING, "on"),
        "logging.logger_subsys.CPG.debug": (STRING, "off"),
        "logging.logger_subsys.CPG.subsys": (STRING, "CPG"),
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("name: corosync\ndebug: on", {"logging.debug": "on"}),
        (
            "name: corosync\nsubsys: X\ndebug: on",
            {"logging.logger_subsys.X.debug": "on", "logging.logger_subsys.X.subsys": "X"},
        ),
        (
            "name: other\ndebug: on",
            {"logging.logging_daemon.other.debug": "on", "logging.logging_daemon.other.name": "other"},
        ),
        (
            "name: other\nsubsys: X\ndebug: on",
            {
                "logging.logging_daemon.other.X.debug": "on",
                "logging.logging_daemon.other.X.subsys": "X",
                "logging.logging_daemon.other.X.name": "other",
            },
        ),
    ],
)
def test_another_daemons_logging(lines: str, expected: dict[str, str]) -> None:
    found = read(f"logging {{\nlogging_daemon {{\n{lines}\n}}\n}}\n")
    assert found == {key: (STRING, value) for key, value in expected.items()}


def test_users_and_groups_become_numbers() -> None:
    text = "uidgid {\nuid: nobody\ngid: root\nuid: 77\nuid: +8\n}\n"
    assert set(read(text)) == {
        "uidgid.config.uid.65534",
        "uidgid.config.gid.0",
        "uidgid.config.uid.77",
        "uidgid.config.uid.8",
    }


def test_watched_resources_keep_their_period_as_a_number() -> None:
    text = "resources {\nwatchdog_timeout: 9\nsystem {\nmemory_used {\npoll_period: 300\nmax: 80\n}\n}\n}\n"
    assert read(text) == {
        "resources.watchdog_timeout": (U32, 9),
        "resources.system.memory_used.poll_period": (U64, 300),
        "resources.system.memory_used.max": (STRING, "80"),
    }


def inside(section: str, line: str) -> str:
    return f"{section} {{\n{line}\n}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            inside("totem", "token: abc"),
            ':2: Value of key "totem.token" is expected to be integer in range (0..4294967295), '
            'but "abc" was given',
        ),
        (
            inside("totem", "knet_compression_level: 2147483648"),
            ':2: Value of key "totem.knet_compression_level" is expected to be integer in range '
            '(-2147483648..2147483647), but "2147483648" was given',
        ),
        (
            # corosync itself ends in an assertion here
            inside("totem", "config_version: x"),
            ':2: Value of key "totem.config_version" is expected to be integer in range '
            '(0..18446744073709551615), but "x" was given',
        ),
        (
            "nodelist {\nnode {\n}\nnode {\nnodeid: -1\n}\n}\n",
            ':5: Value of key "nodelist.node.1.nodeid" is expected to be integer in range '
            '(0..4294967295), but "-1" was given',
        ),
        (inside("totem", "ip_version: 6"), ":2: Invalid ip_version type"),
        (inside("totem", "crypto_model: x"), ":2: Invalid crypto model. Should be nss or openssl"),
        (
            inside("totem", "crypto_cipher: des"),
            ":2: Invalid cipher type. Should be none, aes256, aes192 or aes128",
        ),
        (
            inside("totem", "crypto_hash: crc"),
            ":2: Invalid hash type. Should be none, md5, sha1, sha256, sha384 or sha512",
        ),
        (
            # "none" is the default, yet it cannot be written
            inside("totem", "knet_compression_model: none"),
            ":2: Invalid compression model. Should be zlib, lz4, lz4hc, lzo2, lzma, bzip2 or zstd",
        ),
        (inside("system", "qb_ipc_type: pipe"), ":2: Invalid system.qb_ipc_type"),
        (inside("system", "sched_rr: 1"), ":2: Invalid system.sched_rr value"),
        (inside("system", "move_to_root_cgroup: x"), ":2: Invalid system.move_to_root_cgroup"),
        (inside("system", "allow_knet_handle_fallback: x"), ":2: Invalid system.allow_knet_handle_fallback"),
        (inside("uidgid", "name: root"), ":2: uidgid: Only uid and gid are allowed items"),
        (
            inside("uidgid", "uid: ghost"),
            ":2: The 'ghost' user is not found in /etc/passwd, please read the documentation.",
        ),
        (
            inside("uidgid", "gid: -1"),
            ":2: The '-1' group is not found in /etc/group, please read the documentation.",
        ),
        (
            "totem {\ninterface {\nmember {\naddr: x\n}\n}\n}\n",
            ":4: Only memberaddr is allowed in member section",
        ),
        ("logging {\nlogger_subsys {\n}\n}\n", ":3: No subsys key in logger_subsys directive"),
        ("logging {\nlogging_daemon {\n}\n}\n", ":3: No name key in logging_daemon directive"),
        (
            inside("totem", "fo$o: 1"),
            ':2: Can\'t store key "totem.fo$o" into icmap, returned error is CS_ERR_NAME_TOO_LONG',
        ),
        ("ab: 1\n", ':1: Can\'t store key "ab" into icmap, returned error is CS_ERR_NAME_TOO_LONG'),
        ("word\n", ":1: Line is not opening or closing section or key value"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    assert complaint(text) == FILE + words


def test_a_complaint_that_gets_too_long_is_replaced() -> None:
    assert complaint(inside("totem", "token: " + "x" * 250)) == f"{FILE}:2: Can't format parser error message"
    faults: list[Fault] = []
    read_main(inside("totem", "token: x"), "f" * 400, host(), faults)
    assert faults[0].text == "Can't format parser error message"


def test_all_complaints_come_in_the_order_of_lines() -> None:
    faults: list[Fault] = []
    read_main("totem {\ntoken: a\nword\njoin: b\n", FILE, host(), faults)
    assert [fault.line for fault in faults] == [2, 3, 4, 4]
    assert "Missing closing brace" in faults[-1].text


def test_complaints_are_bounded() -> None:
    faults: list[Fault] = []
    read_main("word\n" * 10_000, FILE, host(), faults)
    assert len(faults) == FAULTS_MAX


def test_a_file_of_allowed_users() -> None:
    entries = EntryMap()
    faults: list[Fault] = []
    read_access("uidgid {\n uid: root\n gid: 5\n}\n", FILE, host(), entries, faults)
    read_access("uidgid.uid: 6\n", FILE, host(), entries, faults)
    assert not faults
    assert entries.keys() == ["uidgid.config.gid.5", "uidgid.config.uid.0", "uidgid.config.uid.6"]
    assert complaint_about_access("totem {\n}\n") == (
        f"{FILE}:1: uidgid: Can't add subsection different than uidgid"
    )
    assert complaint_about_access("uid: 5\n") == f"{FILE}:1: uidgid: Only uid and gid are allowed items"
    assert complaint_about_access("uidgid {\nuid: ghost\n}\n").endswith("please read the documentation.")


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("0", U8, 0),
        ("255", U8, 255),
        ("256", U8, None),
        ("-1", U8, None),
        ("+7", U32, 7),
        ("-0", U32, 0),
        ("007", U32, 7),
        ("\v\f\r 7", U32, 7),
        ("7 ", U32, None),
        ("0x10", U32, None),
        ("1.0", U32, None),
        ("", U32, None),
        ("+", U32, None),
        ("\u0663", U32, None),  # a digit, but no C digit
        ("9" * 500, U64, None),
        ("0" * 400 + "1", U64, 1),
        ("-1", U64, 2**64 - 1),
        ("-18446744073709551615", U64, 1),
        ("-18446744073709551616", U64, None),
        ("-2147483648", I32, -(2**31)),
        ("-2147483649", I32, None),
    ],
)
def test_numbers_are_read_as_c_reads_them(text: str, kind: ValueType, number: int | None) -> None:
    assert parse_integer(text, kind) == number


def test_the_map_of_entries() -> None:
    entries = EntryMap()
    assert entries.set("totem.b", U32, 1, line=4)
    assert entries.set("totem.a", STRING, "x")
    assert not entries.set("to", U32, 1)
    assert not entries.set("totem.\u00fc", U32, 1)
    assert entries.keys("totem.") == ["totem.a", "totem.b"]
    assert entries.keys("totem.b") == ["totem.b"]
    assert entries.keys("q") == []
    assert entries.get("totem.b") == Entry(U32, 1)
    assert entries.line("totem.b") == 4
    assert entries.line("unknown") == 0
    other = entries.copy()
    assert other.discard("totem.a")
    assert not other.discard("totem.a")
    assert other.keys() == ["totem.b"]
    assert entries.keys() == ["totem.a", "totem.b"]


def test_options_can_be_listed_without_judging_them() -> None:
    found = [(one.path, one.value) for one in options_of("uidgid {\nuid: \udcff\nbad\ntoken: x\n")]
    assert found == [("uidgid.uid", "\udcff"), ("uidgid.token", "x")]
