"""Scheduler, memory and cgroup (pycorosync/daemon/realtime.py)."""

import ctypes
import logging
import os

import pytest

from pycorosync.daemon.realtime import (
    CGROUP_V1_PROBE,
    CGROUP_V1_TASKS,
    CGROUP_V2,
    INT_MAX,
    INT_MIN,
    Scheduling,
    System,
    apply_scheduling,
    give_back_heap,
    keep_heap,
    lock_memory,
    parse_priority,
    raise_descriptor_limit,
)


class FakeSystem(System):
    """Records what is done; refuses what is named in `refuse` (a number of times)."""

    def __init__(self, files: tuple[str, ...] = (CGROUP_V2,), **refuse: int) -> None:
        self.done: list[tuple[str, object]] = []
        self.limits = 1024, 1024
        self._files = files
        self._refuse = refuse

    def _do(self, what: str, value: object) -> None:
        if self._refuse.get(what, 0) > 0:
            self._refuse[what] -= 1
            raise PermissionError(1, "Operation not permitted", *([value] if what == "open" else []))
        self.done.append((what, value))

    def round_robin_priority_max(self) -> int:
        self._do("max", None)
        self.done.pop()
        return 99

    def set_round_robin(self, priority: int) -> None:
        self._do("rr", priority)

    def set_nice(self, value: int) -> None:
        self._do("nice", value)

    def exists(self, path: str) -> bool:
        return path in self._files

    def write_file(self, path: str, text: str) -> None:
        self._do("open", path)
        assert text == f"{os.getpid()}\n"

    def unlimit_locked_memory(self) -> None:
        self._do("rlimit", None)

    def lock_memory(self, flags: int) -> None:
        self._do("mlock", flags)

    def descriptor_limits(self) -> tuple[int, int]:
        return self.limits

    def set_descriptor_limits(self, limits: tuple[int, int]) -> None:
        self._do("nofile", limits)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_round_robin_is_the_default(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem()
    apply_scheduling(Scheduling(priority="-5"), system)
    assert system.done == [("rr", 99)]
    assert lines(caplog) == []


def test_a_refusal_is_retried_in_the_root_cgroup(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem(rr=1)
    apply_scheduling(Scheduling(), system)
    assert system.done == [("open", CGROUP_V2), ("rr", 99)]
    assert lines(caplog) == []


def test_without_permission_it_falls_back_to_the_best_nice_value(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem(rr=2, nice=1)
    apply_scheduling(Scheduling(), system)
    assert system.done == [("open", CGROUP_V2)]
    assert lines(caplog) == [
        "Could not set SCHED_RR at priority 99: Operation not permitted (1)",
        "Could not set priority -2147483648: Operation not permitted (1)",
    ]


def test_the_cgroup_is_entered_first_if_asked_for() -> None:
    system = FakeSystem(files=(CGROUP_V1_PROBE, CGROUP_V2))
    apply_scheduling(Scheduling(move_to_root_cgroup="yes"), system)
    assert system.done == [("open", CGROUP_V1_TASKS), ("rr", 99)]


def test_the_cgroup_is_left_alone_if_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem(rr=1)
    apply_scheduling(Scheduling(move_to_root_cgroup="no"), system)
    assert system.done == [("nice", INT_MIN)]
    assert lines(caplog) == ["Could not set SCHED_RR at priority 99: Operation not permitted (1)"]


def test_an_unwritable_cgroup_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    apply_scheduling(Scheduling(move_to_root_cgroup="yes"), FakeSystem(open=1))
    assert lines(caplog) == ["Can't open cgroups tasks file for writing"]


def test_a_system_without_cgroups_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem(files=())
    apply_scheduling(Scheduling(move_to_root_cgroup="yes"), system)
    assert system.done == [("rr", 99)]
    assert lines(caplog) == []


def test_a_nice_value_is_used_without_round_robin() -> None:
    system = FakeSystem()
    apply_scheduling(Scheduling(sched_rr="no", priority="-10"), system)
    assert system.done == [("nice", -10)]


@pytest.mark.parametrize(
    ("text", "value"), [(None, 0), ("max", INT_MIN), ("min", INT_MAX), ("-3", -3), ("+7", 7), (" 5", 5)]
)
def test_priorities(text: str | None, value: int) -> None:
    assert parse_priority(text) == value


@pytest.mark.parametrize("text", ["fast", "1.5", "99999999999", "1_0", "5 ", "-2147483649"])
def test_a_priority_that_is_no_number_is_refused_before_anything_is_done(text: str) -> None:
    system = FakeSystem()
    with pytest.raises(ValueError, match="is invalid"):
        apply_scheduling(Scheduling(priority=text), system)
    assert system.done == []


def test_memory_is_locked_page_by_page(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem()
    assert lock_memory(system)
    assert system.done == [("rlimit", None), ("mlock", 7)]
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("refuse", "text"),
    [
        ("rlimit", "Could not increase RLIMIT_MEMLOCK, not locking memory"),
        ("mlock", "Could not lock memory of service to avoid page faults"),
    ],
)
def test_a_refused_lock_is_only_logged(caplog: pytest.LogCaptureFixture, refuse: str, text: str) -> None:
    assert not lock_memory(FakeSystem((), **{refuse: 1}))
    assert lines(caplog) == [f"{text}: Operation not permitted (1)"]


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ((1024, 524288), (65536, 524288)),
        ((1024, 20000), (20000, 20000)),
        ((1024, -1), (65536, -1)),
        ((1024, 1024), None),
        ((100000, 524288), None),
        ((-1, -1), None),
    ],
)
def test_descriptors_up_to_what_the_administrator_allows(
    limits: tuple[int, int], wanted: tuple[int, int] | None
) -> None:
    system = FakeSystem()
    system.limits = limits
    raise_descriptor_limit(system)
    assert system.done == ([("nofile", wanted)] if wanted else [])


def test_descriptors_that_cannot_be_had(caplog: pytest.LogCaptureFixture) -> None:
    system = FakeSystem(nofile=1)
    system.limits = 1024, 4096
    raise_descriptor_limit(system)
    assert lines(caplog) == ["Could not raise the limit of open files: Operation not permitted (1)"]


def test_the_heap_is_kept_where_malloc_is_glibcs() -> None:
    assert keep_heap() == hasattr(ctypes.CDLL(None), "mallopt")


def test_the_heap_can_be_given_back_at_any_time() -> None:
    give_back_heap()
    assert bytearray(1 << 20)
