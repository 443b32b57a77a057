"""The statistics map."""

import pytest

from pycorosync.cmap import stats
from pycorosync.cmap.stats import ScheduleMisses, Stat, StatsMap
from pycorosync.cmap.trackers import Change
from pycorosync.cmap.values import Entry, TrackEvent, ValueType
from pycorosync.cs_error import CsError
from pycorosync.errors import ClientError

ADD, DELETE, MODIFY, PREFIX = TrackEvent.ADD, TrackEvent.DELETE, TrackEvent.MODIFY, TrackEvent.PREFIX


class Figures:
    """A provider whose figures a test changes."""

    def __init__(self, **values: int) -> None:
        self.values = values
        self.calls = 0

    def __call__(self) -> list[Stat]:
        self.calls += 1
        return [(f"stats.{name}", ValueType.UINT32, value) for name, value in self.values.items()]


def make(**values: int) -> tuple[StatsMap, Figures]:
    figures, map_ = Figures(**values), StatsMap()
    map_.add(figures)
    return map_, figures


def test_values_are_read_when_asked_for() -> None:
    map_, figures = make(b=1, a=2)
    assert map_.get("stats.a") == Entry(ValueType.UINT32, 2)
    figures.values["a"] = 2**32 + 3
    assert map_.get("stats.a") == Entry(ValueType.UINT32, 3)
    assert map_.get("stats.c") is None
    assert [key for key, _ in map_.items()] == ["stats.a", "stats.b"]
    assert [key for key, _ in map_.items("stats.b")] == ["stats.b"]
    assert map_.items("other") == []


def test_a_provider_with_a_prefix_is_not_asked_for_others() -> None:
    map_, figures = StatsMap(), Figures(x=1)
    map_.add(figures, "stats.x")
    map_.get("stats.y")
    map_.items("stats.y.")
    assert figures.calls == 0
    map_.items("stats.")
    map_.items("stats.x.longer")
    assert figures.calls == 2


def test_iterations_hide_the_length_of_strings() -> None:
    assert StatsMap.size_in_iteration(Entry(ValueType.STRING, "name")) == 0
    assert StatsMap.size_in_iteration(Entry(ValueType.UINT64, 1)) == 8


@pytest.mark.parametrize(
    ("key", "cleared"),
    [
        ("stats.clear.knet", ["knet"]),
        ("stats.clear.ipcs", ["ipc"]),
        ("stats.clear.totem", ["totem"]),
        ("stats.clear.schedmiss", ["schedmiss"]),
        ("stats.clear.all.of.it", ["knet", "ipc", "totem", "schedmiss"]),
    ],
)
def test_clearing(key: str, cleared: list[str]) -> None:
    map_, done = StatsMap(), list[str]()
    for what in stats.CLEARABLE:
        map_.add_clear(what, lambda what=what: done.append(what))  # type: ignore[misc]
    assert not map_.is_read_only(key)
    map_.clear(key)
    assert done == cleared


def test_what_cannot_be_cleared() -> None:
    with pytest.raises(ClientError) as caught:
        StatsMap().clear("stats.clear.other")
    assert caught.value.code is CsError.NOT_SUPPORTED
    assert StatsMap.is_read_only("stats.srp.mcast_tx")


def test_a_changed_value_is_noticed_by_poll() -> None:
    map_, figures = make(a=1)
    heard: list[Change] = []
    map_.track("stats.a", MODIFY, heard.append)
    map_.poll()
    figures.values["a"] = 2
    assert heard == []
    map_.poll()
    map_.poll()
    assert heard == [Change(MODIFY, "stats.a", Entry(ValueType.UINT32, 1), Entry(ValueType.UINT32, 2))]


def test_keys_that_come_and_go_are_told_with_their_value() -> None:
    map_, figures = make(old=1)
    heard: list[Change] = []
    map_.track("stats.", ADD | DELETE | PREFIX, heard.append)
    map_.track("stats.new", DELETE, heard.append)
    figures.values = {"new": 5}
    map_.refresh()
    map_.refresh()
    one, five = Entry(ValueType.UINT32, 1), Entry(ValueType.UINT32, 5)
    assert heard == [Change(DELETE, "stats.old", one, one), Change(ADD, "stats.new", five, five)]
    heard.clear()
    figures.values = {}
    map_.poll()
    assert [(change.event, change.key) for change in heard] == [(DELETE, "stats.new")] * 2


def test_a_later_tracker_does_not_hear_of_keys_that_were_there_before() -> None:
    map_, figures = make()
    early: list[Change] = []
    late: list[Change] = []
    map_.track("stats.x", MODIFY, early.append)
    map_.track("stats.", ADD | DELETE | PREFIX, early.append)
    figures.values["a"] = 1
    map_.track("stats.", ADD | DELETE | PREFIX, late.append)
    map_.poll()
    assert [change.key for change in early] == ["stats.a"]
    assert late == []


def test_prefixes_need_add_and_delete_and_never_get_modify() -> None:
    map_, figures = make(a=1)
    for events in (ADD | PREFIX, DELETE | PREFIX, MODIFY | PREFIX):
        with pytest.raises(ClientError) as caught:
            map_.track("stats.", events, print)
        assert caught.value.code is CsError.NOT_SUPPORTED
    heard: list[Change] = []
    map_.track("stats.", ADD | DELETE | MODIFY | PREFIX, heard.append)
    figures.values["a"] = 2
    map_.poll()
    assert heard == []


def test_untracking_stops_the_polling() -> None:
    map_, figures = make(a=1)
    heard: list[Change] = []
    handles = [map_.track("stats.a", MODIFY, heard.append), map_.track("stats.a", ADD, heard.append)]
    assert map_.is_tracked
    assert all(map_.untrack(handle) for handle in handles)
    assert not map_.untrack(handles[0])
    assert not map_.is_tracked
    figures.values["a"] = 2
    map_.poll()
    assert heard == []


def test_a_polled_tracker_that_is_ended_by_another_is_not_called() -> None:
    map_, figures = make(a=1)
    heard: list[Change] = []
    map_.track("stats.a", MODIFY, lambda change: map_.untrack(victim))
    victim = map_.track("stats.a", MODIFY, heard.append)
    figures.values["a"] = 2
    map_.poll()
    assert heard == []


def test_schedule_misses_keep_the_newest_ten_and_are_not_announced() -> None:
    map_, misses = StatsMap(), ScheduleMisses()
    map_.add(misses, ScheduleMisses.PREFIX)
    map_.add_clear("schedmiss", misses.clear)
    heard: list[Change] = []
    map_.track("stats.schedmiss.", ADD | DELETE | PREFIX, heard.append)
    for number in range(12):
        misses.add(1000 + number, 0.5 + number)
    assert map_.get("stats.schedmiss.0.timestamp") == Entry(ValueType.UINT64, 1011)
    assert map_.get("stats.schedmiss.9.delay") == Entry(ValueType.FLOAT, 2.5)
    assert len(map_.items("stats.schedmiss.")) == 20
    map_.refresh()
    map_.clear("stats.clear.schedmiss")
    assert map_.items("stats.schedmiss.") == []
    map_.refresh()
    assert heard == []


def test_tables_make_providers() -> None:
    class Source:
        msg_queue_avail = 3
        msg_reserved = 4

    assert list(stats.stats_of("stats.pg", stats.PG, Source())) == [
        ("stats.pg.msg_queue_avail", ValueType.UINT32, 3),
        ("stats.pg.msg_reserved", ValueType.UINT32, 4),
    ]


@pytest.mark.parametrize(
    ("table", "length"),
    [
        (stats.PG, 2),
        (stats.SRP, 30),
        (stats.KNET_LINK, 39),
        (stats.KNET_HANDLE, 22),
        (stats.IPC_CONNECTION, 13),
    ],
)
def test_tables_are_as_long_as_those_of_a_running_daemon(table: stats.Names, length: int) -> None:
    assert len(table) == len({name for name, _ in table}) == length
