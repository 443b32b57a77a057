"""The table of options: complete, consistent, and found from where a line stands."""

import re
from pathlib import Path

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.cmap.values import INTEGER_RANGE
from pycorosync.config.options import (
    OPTIONS,
    REFUSED_AT_RELOAD,
    STRING,
    U8,
    U16,
    U32,
    U64,
    Reload,
    Section,
    default_of,
    one_of,
    option_for,
)

# The options that the manual pages corosync.conf(5) and votequorum(5) describe.
DOCUMENTED = """
totem.interface.: linknumber knet_link_priority knet_ping_interval knet_ping_timeout knet_ping_precision
  knet_pong_count knet_transport bindnetaddr broadcast mcastaddr mcastport ttl
totem.: version clear_node_high_bit crypto_model crypto_hash crypto_cipher secauth keyfile key link_mode
  netmtu transport cluster_name config_version ip_version token token_warning token_coefficient
  token_retransmit
  knet_compression_model knet_compression_threshold knet_compression_level hold
  token_retransmits_before_loss_const join send_join consensus merge downcheck fail_recv_const
  seqno_unchanged_const heartbeat_failures_allowed max_network_delay window_size max_messages miss_count_const
  knet_pmtud_interval knet_mtu block_unlisted_ips cancel_token_hold_on_retransmit
logging.: timestamp fileline function_name blackbox to_stderr to_logfile to_syslog logfile logfile_priority
  syslog_facility syslog_priority debug
logging.logger_subsys.: subsys to_stderr to_logfile to_syslog logfile logfile_priority syslog_facility
  syslog_priority debug
quorum.: provider expected_votes two_node wait_for_all last_man_standing last_man_standing_window
  auto_tie_breaker auto_tie_breaker_node allow_downscale expected_votes_tracking votes
quorum.device.: model votes timeout sync_timeout master_wins
nodelist.node.: ring0_addr ring7_addr nodeid name quorum_votes
system.: qb_ipc_type sched_rr priority move_to_root_cgroup allow_knet_handle_fallback state_dir
resources.: watchdog_device watchdog_timeout
nozzle.: name ipaddr ipprefix macaddr
uidgid.: uid gid
"""


def documented() -> list[str]:
    paths = []
    prefix = ""
    for word in DOCUMENTED.split():
        if word.endswith(".:"):
            prefix = word[:-1]
        else:
            paths.append(prefix + word)
    return paths


@pytest.mark.parametrize("path", documented())
def test_every_documented_option_is_known(path: str) -> None:
    assert path in OPTIONS


def test_defaults_fit_their_types_and_choices() -> None:
    for option in OPTIONS.values():
        if option.default is None:
            continue
        if option.kind is STRING:
            assert isinstance(option.default, str), option
            assert not option.choices or not option.refusal or option.default in (*option.choices, "none"), (
                option
            )
        else:
            low, high = INTEGER_RANGE[option.kind]
            assert isinstance(option.default, int), option
            assert low <= option.default <= high, option


def test_what_a_reload_refuses_is_said_in_both_places() -> None:
    marked = {option.path for option in OPTIONS.values() if option.reload is Reload.REFUSED}
    assert marked <= set(REFUSED_AT_RELOAD)
    # These name the section itself, where real keys carry the link's number: they never match.
    assert set(REFUSED_AT_RELOAD) - marked == {
        f"totem.interface.{name}"
        for name in ("ringnumber", "bindnetaddr", "mcastaddr", "broadcast", "mcastport", "ttl")
    }


@pytest.mark.parametrize(
    ("section", "path", "key", "kind"),
    [
        (Section.TOTEM, "totem.token", "token", U32),
        (Section.TOTEM, "totem.config_version", "config_version", U64),
        (Section.TOTEM, "totem.knet_compression_level", "knet_compression_level", ValueType.INT32),
        (Section.TOTEM, "totem.foo.token", "token", None),  # a section inside that has no name
        (Section.TOTEM, "totem.interface.ttl", "interface.ttl", None),
        (Section.INTERFACE, "totem.interface.ttl", "ttl", U8),
        (Section.INTERFACE, "totem.interface.mcastport", "mcastport", U16),
        (Section.NONE, "totem.token", "totem.token", None),
        (Section.NONE, "pload.count", "count", None),
        (Section.NODE, "nodelist.node.nodeid", "nodeid", U32),
        (Section.NODE, "nodelist.node.foo.nodeid", "nodeid", U32),  # here the last word counts
        (Section.RESOURCES_SYSTEM, "resources.system.load_15min.poll_period", "poll_period", U64),
        (Section.RESOURCES, "resources.system.poll_period", "system.poll_period", None),
        (Section.QDEVICE, "quorum.device.votes", "votes", U32),
        (Section.QUORUM, "quorum.two_node", "two_node", U8),
    ],
)
def test_an_option_is_found_by_section(section: Section, path: str, key: str, kind: ValueType | None) -> None:
    option = option_for(section, path, key)
    assert (option.kind if option is not None else None) is kind


def test_words_are_listed_as_in_a_sentence() -> None:
    assert one_of(("a",)) == "a"
    assert one_of(("a", "b")) == "a or b"
    assert one_of(("a", "b", "c")) == "a, b or c"


def test_only_options_with_a_default_have_one() -> None:
    assert default_of("totem.token") == 3000
    with pytest.raises(KeyError):
        default_of("totem.hold")


LISTED = Path(__file__).parents[2] / "docs" / "options.md"


def test_every_option_is_listed_with_what_shows_it() -> None:
    listed = {
        name.strip()
        for line in LISTED.read_text().splitlines()
        if line.startswith("| ")
        for name in line.split("|")[1].split(",")
    }
    missing = {path for path in OPTIONS if path.rpartition(".")[2] not in listed}
    assert not missing


def test_what_shows_it_exists() -> None:
    root = LISTED.parents[1]
    for reference in re.findall(r"`((?:tests|compat-tests|protocol)/[^`]+)`", LISTED.read_text()):
        path, _, name = reference.partition("::")
        assert (root / path).exists(), reference
        assert not name or f"def {name}(" in (root / path).read_text(), reference
