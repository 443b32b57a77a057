"""Configurations to compare the two implementations with: valid ones, and the same with mistakes in them.

Everything follows from a seed. Mistakes are those of operators (a wrong number, a brace too few, a line
twice) and those of broken files (bytes that are no text, lines without end).
"""

import re
import sys
from collections.abc import Callable
from random import Random

LOGGING = "logging {\n  to_stderr: yes\n  to_syslog: no\n  to_logfile: no\n  timestamp: off\n}\n"
GOOD_NUMBERS = [
    "0", "1", "2", "5", "13", "14", "29", "30", "36", "37", "50", "60", "99", "100", "101", "150", "199",
    "255", "256", "600", "1000", "3000", "5000", "10000", "65535", "65536", "70000", "1000000", "20000000",
    "2147483647", "2147483648", "4294967295", "+7", "007", "\v7",
]  # fmt: skip
BAD_NUMBERS = [
    "4294967296", "18446744073709551615", "18446744073709551616",
    "99999999999999999999999",
    "-1", "-0", "0x10", "1.5", "1e3", "12ab", "", "abc", "5 5", "7\v", "--1",
    "+-1", "+",
]  # fmt: skip
TOTEM_NUMBERS = [
    "token", "token_coefficient", "token_retransmit", "token_warning", "hold", "join", "send_join",
    "consensus", "token_retransmits_before_loss_const", "merge", "downcheck", "fail_recv_const",
    "seqno_unchanged_const",
    "heartbeat_failures_allowed", "max_network_delay", "window_size", "max_messages", "miss_count_const",
    "knet_pmtud_interval", "knet_mtu", "knet_compression_threshold", "knet_compression_level", "netmtu",
    "threads", "nodeid", "rrp_token_expired_timeout", "version",
]  # fmt: skip
WORDS = {
    "totem": [
        ("transport", ["knet", "udp", "udpu", "KNET", "", "tcp"]),
        ("cluster_name", ["lab", "x", "", "größe", "n" * 200, "a b"]),
        ("crypto_cipher", ["none", "aes128", "aes192", "aes256", "3des", "AES256"]),
        ("crypto_hash", ["none", "md5", "sha1", "sha256", "sha384", "sha512", "sha3"]),
        ("crypto_model", ["nss", "openssl", "gcrypt", "none", ""]),
        ("secauth", ["on", "off", "maybe"]),
        ("keyfile", ["/etc/corosync/authkey", "/nonexistent", "/etc/corosync", "/etc/corosync/short", ""]),
        ("key", ["short", "k" * 127, "k" * 126, "k" * 400]),
        ("link_mode", ["passive", "active", "rr", "none", "", "x" * 63, "x" * 64, "x" * 200]),
        ("ip_version", ["ipv4", "ipv6", "ipv6-4", "ipv4-6", "4", ""]),
        ("knet_compression_model", ["zlib", "zstd", "lz4", "bzip2", "none", "gzip"]),
        ("block_unlisted_ips", ["yes", "no", "maybe"]),
        ("cancel_token_hold_on_retransmit", ["yes", "no", "1"]),
        ("clear_node_high_bit", ["yes", "no"]),
        ("config_version", ["1", "18446744073709551615", "-5", "+3"]),
        ("interface.0.mcastport", ["5", "abc"]),
        ("unknown_key", ["1", "", "a:b:c"]),
    ],
    "quorum": [
        ("provider", ["corosync_votequorum", "corosync_qdisk", ""]),
        *((key, ["0", "1", "2", "256", "yes"]) for key in (
            "two_node", "wait_for_all", "auto_tie_breaker", "last_man_standing", "allow_downscale",
            "expected_votes_tracking")),
        ("expected_votes", ["0", "1", "3", "4294967295", "-1"]),
        ("last_man_standing_window", ["0", "20000", "x"]),
        ("auto_tie_breaker_node", ["lowest", "highest", "1 2", "foo"]),
    ],
    "system": [
        ("qb_ipc_type", ["native", "shm", "socket", "pipe"]),
        ("sched_rr", ["yes", "no", "on"]),
        ("move_to_root_cgroup", ["yes", "no", "auto", "1"]),
        ("allow_knet_handle_fallback", ["yes", "no", ""]),
        ("priority", ["max", "min", "5"]),
    ],
    "logging": [
        *((key, ["yes", "no", "on", "off", "maybe", ""]) for key in (
            "to_syslog", "to_logfile", "to_file")),
        ("timestamp", ["on", "off", "hires", "x"]),
        ("fileline", ["on", "off", "yes"]),
        ("function_name", ["on", "off", "1"]),
        ("blackbox", ["on", "off", "x"]),
        ("debug", ["on", "off", "trace", "x"]),
        ("logfile", ["/var/log/corosync/x.log", "/nonexistent/x.log", "/etc/corosync", ""]),
        ("logfile_priority", ["info", "ERR", "error", "fatal", ""]),
        ("syslog_priority", ["Debug", "emerg", "trace"]),
        ("syslog_level", ["notice", "x"]),
        ("syslog_facility", ["daemon", "local7", "LOCAL0", "local8", "authpriv"]),
    ],
    "resources": [("watchdog_timeout", ["5", "x"]), ("watchdog_device", ["off"])],
    "uidgid": [
        ("uid", ["0", "root", "nobody", "nosuchuser", "4294967294", "4294967296", "-1", "+5"]),
        ("gid", ["0", "root", "nosuchgroup", "99999999999"]),
        ("user", ["root"]),
    ],
    "pload": [("count", ["x", "5"])],
    "nozzle": [("name", ["noz0"])],
}  # fmt: skip
SECTIONS = [
    "totem", "nodelist", "quorum", "logging", "uidgid", "system", "resources", "foo", "interface", "node",
    "totem.interface", "nodelist.node", "device", "logger_subsys", "totem:", "a b", "ü", "x" * 240,
]  # fmt: skip
PLAIN_NUMBERS = [name for name in TOTEM_NUMBERS if name not in ("version", "token_warning")]
PLAIN_INTERFACE = [
    ("linknumber", ["0", "1"]),
    ("mcastport", ["5405", "5500"]),
    ("knet_link_priority", ["1", "5"]),
    ("knet_ping_interval", ["200"]),
    ("knet_pong_count", ["1", "5"]),
]
INTERFACE = [
    ("linknumber", ["0", "1", "2", "7", "8", "255", "256"]),
    ("bindnetaddr", ["10.77.0.1", "10.77.0.0", "::1", "no.such.host.invalid", ""]),
    ("mcastaddr", ["239.255.1.1", "10.1.1.1", "ff15::1", "x"]),
    ("broadcast", ["yes", "no"]),
    ("mcastport", ["5405", "0", "65535", "65536"]),
    ("ttl", ["0", "1", "2", "255", "256"]),
    ("knet_link_priority", ["0", "1", "5", "256"]),
    ("knet_ping_interval", ["0", "100", "3000000000", "x"]),
    ("knet_ping_timeout", ["0", "100", "4294967295"]),
    ("knet_ping_precision", ["0", "1024"]),
    ("knet_pong_count", ["0", "1", "5"]),
    ("knet_transport", ["udp", "sctp", "tcp", ""]),
    ("unknown", ["x"]),
]
ADDRESSES = [
    "10.77.0.1", "10.77.1.1", "10.77.0.2", "10.77.1.2", "127.0.0.1", "localhost", "n1", "::1", "fe80::1",
    "no.such.host.invalid", "300.1.1.1", "10.77.1", "", "0",
]  # fmt: skip


def _maybe(rng: Random, chance: float) -> bool:
    return rng.random() < chance


def _number(rng: Random, wild: float) -> str:
    if not _maybe(rng, wild):
        return str(rng.randrange(30, 6000))
    return rng.choice(BAD_NUMBERS if _maybe(rng, 0.08) else GOOD_NUMBERS)


def _options(rng: Random, choices: list[tuple[str, list[str]]], count: int) -> list[str]:
    return [f"  {key}: {rng.choice(values)}\n" for key, values in (rng.choice(choices) for _ in range(count))]


def _totem(rng: Random, wild: float) -> str:
    lines = ["  version: 2\n", f"  cluster_name: {rng.choice(['lab', 'prod', 'x1'])}\n"]
    if _maybe(rng, 0.3):
        lines.append(f"  transport: {rng.choice(['knet', 'knet', 'udp', 'udpu'])}\n")
    for _ in range(rng.randrange(5)):
        name = rng.choice(TOTEM_NUMBERS if wild else PLAIN_NUMBERS)
        lines.append(f"  {name}: {_number(rng, wild)}\n")
    if _maybe(rng, wild):
        lines += _options(rng, WORDS["totem"], rng.randrange(1, 4))
    for _ in range(rng.choice([0, 0, 1, 2])):
        members = "    member {\n      memberaddr: 10.77.0.9\n    }\n" if _maybe(rng, 0.1) else ""
        options = "  ".join(["", *_options(rng, INTERFACE if wild else PLAIN_INTERFACE, 2)])
        lines.append(f"  interface {{\n{options}{members}  }}\n")
    return f"totem {{\n{''.join(lines)}}}\n"


def _nodelist(rng: Random, wild: float) -> str:
    count, links = rng.choice([1, 2, 2, 3, 4, 11]), rng.choice([1, 1, 2])
    nodes = []
    for number in range(1, count + 1):
        lines = []
        if not _maybe(rng, wild / 4):
            odd = [
                f"n{number}.example.org",
                "localhost",
                f"10.77.0.{number}",
                f"x{number}",
                f"10.77.1.{number}",
            ]
            name = rng.choice(odd) if _maybe(rng, wild / 4) else f"n{number}"
            lines.append(f"    name: {name}\n")
        if not _maybe(rng, wild / 4):
            node_id = _number(rng, wild) if _maybe(rng, wild / 8) else str(number)
            lines.append(f"    nodeid: {node_id}\n")
        for link in range(links):
            if not _maybe(rng, wild / 8):
                address = rng.choice(ADDRESSES) if _maybe(rng, wild / 3) else f"10.77.{link}.{number}"
                name = (
                    rng.choice(["ring9_addr", "ring00_addr", "ring_addr"]) if _maybe(rng, wild / 10) else ""
                )
                lines.append(f"    {name or f'ring{link}_addr'}: {address}\n")
        if _maybe(rng, 0.1):
            lines.append(f"    quorum_votes: {rng.choice(['0', '1', '2'] + ['x'] * bool(wild))}\n")
        nodes.append(f"  node {{\n{''.join(lines)}  }}\n")
    return f"nodelist {{\n{''.join(nodes)}}}\n"


def _quorum(rng: Random, wild: float) -> str:
    options = _options(rng, WORDS["quorum"], rng.randrange(3)) if _maybe(rng, wild) else []
    device = ""
    if _maybe(rng, 0.2):
        device = (
            f"  device {{\n    model: net\n    votes: {rng.choice(['1', '0'] + ['x'] * bool(wild))}\n  }}\n"
        )
    return f"quorum {{\n  provider: corosync_votequorum\n{''.join(options)}{device}}}\n"


def _others(rng: Random, wild: float) -> list[str]:
    found = []
    for name in ("system", "resources", "uidgid", "pload", "nozzle"):
        if _maybe(rng, wild / 4):
            found.append(f"{name} {{\n{''.join(_options(rng, WORDS[name], rng.randrange(1, 3)))}}}\n")
    logging = LOGGING
    if _maybe(rng, wild / 2):
        options = _options(rng, WORDS["logging"], rng.randrange(1, 4))
        subsystem = ""
        if _maybe(rng, 0.4):
            name = rng.choice(["  subsys: QUORUM\n", "  subsys: NEW\n", "", f"  subsys: {'s' * 64}\n"])
            inner = "".join([name, *_options(rng, WORDS["logging"][:-1], 2)])
            subsystem = f"  {rng.choice(['logger_subsys', 'logging_daemon'])} {{\n{inner}  }}\n"
        logging = LOGGING[:-2] + "".join(options) + subsystem + "}\n"
    found.append(logging)
    return found


def configuration(rng: Random, wild: float) -> str:
    """A whole file; `wild` is how likely odd values are, 0 for none."""
    parts = [_totem(rng, wild), _nodelist(rng, wild), _quorum(rng, wild), *_others(rng, wild)]
    return "".join(parts)


# --- mistakes


def _lines(rng: Random, data: bytes, change: Callable[[Random, list[bytes], int], None]) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        change(rng, lines, rng.randrange(len(lines)))
    return b"".join(lines)


def _drop(_rng: Random, lines: list[bytes], at: int) -> None:
    del lines[at]


def _repeat(rng: Random, lines: list[bytes], at: int) -> None:
    lines.insert(rng.randrange(len(lines) + 1), lines[at])


def _swap(rng: Random, lines: list[bytes], at: int) -> None:
    other = rng.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _insert(rng: Random, lines: list[bytes], at: int) -> None:
    lines.insert(
        at,
        rng.choice(
            [
                b"}\n",
                b"{\n",
                b":\n",
                b"foo\n",
                b"# a comment {\n",
                b"   # x: y\n",
                b"\n",
                b" \t \n",
                b"foo {\n}\n",
                b"a: {\n",
                b"a } b\n",
                b"} # end\n",
                b"foo { # x\n",
                b"x: y # z\n",
                b":::\n",
                b"k:\n",
                b" : v\n",
                b"}:\n",
                b"\xc3\xbc: 1\n",
                b"x: \xff\xfe\n",
                b"a\x00b: 1\n",
                b"\x00 ignored\n",
                b"x: y\r\r\n",
                b"\x00" + b"z" * 600,
                b"k" * 300 + b": 1\n",
                b"x: " + b"y" * 506 + b"\n",
                b"x: " + b"y" * 507 + b"\n",
                b"x: " + b"y" * 508 + b"\n",
                b"# " + b"c" * 600 + b"\n",
                b"a.b.c: 1\n",
                b"totem.version: 3\n",
                b"ab {\n  cd {\n    ef: 1\n  }\n}\n",
                b"{" * 5 + b"\n",
                b"x {{\n",
                b":x {\n}\n",
                b"totem.interface {\n  mcastport: 77777\n}\n",
                b"uidgid {\n",
                b"resources {\n  system {\n    load_15min {\n      poll_period: 5\n    }\n  }\n}\n",
                b"config_version: abc\n",
                b"nodeid: 9\n",
                b"nodelist.node.1.ring0_addr: 10.77.0.1\n",
                b"nodelist.node.7.name: q\n",
                b"unknown {\n  nodeid: 4\n}\n",
            ]
        ),
    )


def _byte(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    junk = rng.choice([b"{", b"}", b":", b"#", b"\n", b"\0", b" ", b"\t", b"\xff", b"\r", b"$", b"9", b"x"])
    return data[:at] + junk + data[at + rng.randrange(2) :]


MISTAKES: tuple[Callable[[Random, bytes], bytes], ...] = (
    lambda rng, data: _lines(rng, data, _drop),
    lambda rng, data: _lines(rng, data, _repeat),
    lambda rng, data: _lines(rng, data, _swap),
    lambda rng, data: _lines(rng, data, _insert),
    lambda rng, data: _lines(rng, data, _insert),
    _byte,
    _byte,
    lambda rng, data: data[: rng.randrange(len(data) + 1)],
    lambda rng, data: data.replace(b"\n", b"\r\n"),
    lambda rng, data: data.rstrip(b"\n"),
)


def generate(seed: int) -> bytes:
    """The file of this seed: a third plain, a third with odd values, a third with mistakes on top."""
    rng = Random(seed)
    kind = seed % 3
    data = configuration(rng, (0.0, 0.8, 0.4)[kind]).encode()
    if kind == 2:
        for _ in range(rng.choice([1, 1, 2, 3])):
            data = rng.choice(MISTAKES)(rng, data)
    return data


def _odd_option(rng: Random, data: bytes) -> bytes:
    """A line with a value that may be odd, behind the head of a section where it belongs."""
    name = rng.choice([*WORDS, "numbers", "interface", "node"])
    if name == "numbers":
        name, line = "totem", f"  {rng.choice(TOTEM_NUMBERS)}: {rng.choice([*BAD_NUMBERS, *GOOD_NUMBERS])}\n"
    elif name == "interface":
        name, line = "totem", f"  interface {{\n{''.join(_options(rng, INTERFACE, 2))}  }}\n"
    elif name == "node":
        key = rng.choice(["nodeid", "quorum_votes", "ring0_addr", "ring1_addr", "ring9_addr", "name"])
        line = f"    {key}: {rng.choice([*ADDRESSES, *BAD_NUMBERS, '1', '2', '65536'])}\n"
    else:
        line = _options(rng, WORDS[name], 1)[0]
    head = f"{name} {{\n".encode()
    at = rng.choice([match.end() for match in re.finditer(re.escape(head), data)] or [0])
    if not at:
        return data + head + line.encode() + b"}\n"
    return data[:at] + line.encode() + data[at:]


def mutant(seed: int) -> bytes:
    """A good file with one mistake, or two."""
    rng = Random(seed)
    data = configuration(rng, 0.0).encode()
    for _ in range(rng.choice([1, 1, 1, 2])):
        data = _odd_option(rng, data) if rng.random() < 0.6 else rng.choice(MISTAKES)(rng, data)
    return data


if __name__ == "__main__":
    sys.stdout.buffer.write(mutant(int(sys.argv[1])))
