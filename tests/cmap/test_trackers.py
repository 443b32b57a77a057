"""Who is told, and in which order."""

import pytest

from pycorosync.cmap.trackers import Change, Trackers
from pycorosync.cmap.values import Entry, TrackEvent, ValueType
from pycorosync.errors import ClientError

ADD, DELETE, MODIFY, PREFIX = TrackEvent.ADD, TrackEvent.DELETE, TrackEvent.MODIFY, TrackEvent.PREFIX
ONE = Entry(ValueType.UINT8, 1)


class Heard:
    def __init__(self) -> None:
        self.trackers = Trackers()
        self.names: list[str] = []

    def add(self, name: str, key: str, events: int) -> int:
        return self.trackers.add(key, events, lambda change: self.names.append(name))

    def after(self, key: str, event: TrackEvent = ADD) -> list[str]:
        self.names.clear()
        self.trackers.notify(event, key, None, ONE)
        return list(self.names)


def test_longest_key_first_then_exact_before_prefix() -> None:
    heard = Heard()
    heard.add("whole 1", "", ADD | PREFIX)
    heard.add("whole 2", "", ADD | PREFIX)
    heard.add("a. prefix 1", "a.", ADD | PREFIX)
    heard.add("a. prefix 2", "a.", ADD | PREFIX)
    heard.add("a.b prefix 1", "a.b", ADD | PREFIX)
    heard.add("a.b exact 1", "a.b", ADD)
    heard.add("a.b prefix 2", "a.b", ADD | PREFIX)
    heard.add("a.b exact 2", "a.b", ADD)
    assert heard.after("a.b") == [
        "a.b exact 2",
        "a.b exact 1",
        "a.b prefix 1",
        "a.b prefix 2",
        "a. prefix 1",
        "a. prefix 2",
        "whole 2",
        "whole 1",
    ]
    assert heard.after("a.bc") == [
        "a.b prefix 1",
        "a.b prefix 2",
        "a. prefix 1",
        "a. prefix 2",
        "whole 2",
        "whole 1",
    ]
    assert heard.after("b") == ["whole 2", "whole 1"]


def test_the_whole_map_needs_the_prefix_flag() -> None:
    heard = Heard()
    heard.add("nothing", "", ADD)
    assert heard.after("a.b") == []


def test_only_the_events_that_are_wanted() -> None:
    heard = Heard()
    heard.add("adds", "k", ADD)
    heard.add("rest", "k", DELETE | MODIFY)
    assert heard.after("k", ADD) == ["adds"]
    assert heard.after("k", MODIFY) == ["rest"]
    assert heard.after("k", DELETE) == ["rest"]


@pytest.mark.parametrize("events", [16, -1, 32 | 4])
def test_unknown_events_are_refused(events: int) -> None:
    with pytest.raises(ClientError):
        Trackers().add("k", events, print)


def test_a_tracker_removed_by_an_earlier_callback_is_not_called() -> None:
    heard = Heard()
    trackers = heard.trackers
    victim = heard.add("victim", "k", ADD | PREFIX)
    trackers.add("k", ADD, lambda change: trackers.remove(victim))
    assert heard.after("k") == []
    assert not trackers.remove(victim)


def test_a_tracker_added_inside_a_callback_hears_only_later_changes() -> None:
    heard = Heard()

    def add_another(change: Change) -> None:
        heard.add("late", "k", ADD)

    handle = heard.trackers.add("k", ADD, add_another)
    assert heard.after("k") == []
    heard.trackers.remove(handle)
    assert heard.after("k") == ["late"]


def test_removing_and_forgetting_leave_nothing_behind() -> None:
    heard = Heard()
    handles = [heard.add("x", key, ADD | PREFIX) for key in ("a", "a.b", "a.b")]
    assert heard.after("a.b") == ["x", "x", "x"]
    heard.trackers.forget("a.b")
    for handle in handles:
        assert heard.trackers.remove(handle)
    assert len(heard.trackers) == 0
    assert heard.after("a.b") == []
