"""Keeps the daemon running on a busy machine: scheduler, memory, cgroup (corosync: exec/main.c).

Memory is locked with MCL_ONFAULT: a page is locked once it has been touched, instead of every mapping being
read in at once. corosync locks everything at once, which its few megabytes of code allow. A Python process
maps far more than it uses (libraries, reserved heaps, stacks of threads), and locking that would multiply its
resident memory; what the daemon's loop touches has been touched, and so locked, after its first rounds.
Measured with the daemon's libraries loaded and one mapping of 32 MiB: 78 MB resident with everything locked,
36 MB with MCL_ONFAULT.
"""

import ctypes
import errno
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from pycorosync import log

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Free memory at the heap's end that stays, and the size above which a block is mapped for itself.
HEAP_KEPT_BYTES, HEAP_BLOCK_BYTES_MAX = 16 << 20, 4 << 20
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
DESCRIPTORS_WANTED = 65536
CGROUP_V1_PROBE, CGROUP_V1_TASKS = "/sys/fs/cgroup/cpu/cpu.rt_runtime_us", "/sys/fs/cgroup/cpu/tasks"
CGROUP_V2 = "/sys/fs/cgroup/cgroup.procs"

LOG = log.subsystem("MAIN")


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The options of the system section, as text."""

    move_to_root_cgroup: str = "auto"  # yes, no, auto
    sched_rr: str = "yes"  # anything but yes means no
    priority: str | None = None  # max, min or a number for nice


def parse_priority(text: str | None) -> int:
    """system.priority as a nice value; raises ValueError with corosync's text."""
    if text is None:
        return 0
    if text in ("max", "min"):
        return INT_MIN if text == "max" else INT_MAX
    try:
        number = int(text, 10)
    except ValueError:
        number = INT_MAX + 1
    if not INT_MIN <= number <= INT_MAX or "_" in text or text != text.rstrip():
        raise ValueError(f"Priority value {text} is invalid")
    return number


class System:
    """The calls to the operating system, which a test replaces. Each raises OSError."""

    def round_robin_priority_max(self) -> int:
        return os.sched_get_priority_max(os.SCHED_RR)

    def set_round_robin(self, priority: int) -> None:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))

    def set_nice(self, value: int) -> None:
        os.setpriority(os.PRIO_PGRP, 0, value)

    def exists(self, path: str) -> bool:
        return os.access(path, os.R_OK)

    def write_file(self, path: str, text: str) -> None:
        with open(path, "w") as file:
            file.write(text)

    def unlimit_locked_memory(self) -> None:
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except ValueError as fault:  # what Python makes of EPERM here
            raise OSError(errno.EPERM, os.strerror(errno.EPERM)) from fault

    def descriptor_limits(self) -> tuple[int, int]:
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    def set_descriptor_limits(self, limits: tuple[int, int]) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def lock_memory(self, flags: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(flags) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def apply_scheduling(options: Scheduling, system: System | None = None) -> None:
    """Set SCHED_RR at its highest priority, or a nice value where that is not wanted or not allowed.

    Failures are logged and the daemon goes on. Threads that are started later inherit the result. Raises
    ValueError for a priority that is no number, before anything is changed.
    """
    system = system or System()
    nice = parse_priority(options.priority)
    cgroup = options.move_to_root_cgroup
    if cgroup == "yes":
        move_to_root_cgroup(system)
    if options.sched_rr == "yes":
        automatic = cgroup not in ("yes", "no")
        done = _set_round_robin(system, silent=automatic)
        if not done and automatic:
            # Group scheduling without a real-time budget refuses SCHED_RR; the root group has one.
            move_to_root_cgroup(system)
            done = _set_round_robin(system, silent=False)
        nice = 0 if done else INT_MIN
    if nice:
        _attempt(lambda: system.set_nice(nice), f"Could not set priority {nice}")


def _set_round_robin(system: System, *, silent: bool) -> bool:
    try:
        priority = system.round_robin_priority_max()
    except OSError as fault:
        if not silent:
            _warn("Could not get maximum scheduler priority", fault)
        return False
    try:
        system.set_round_robin(priority)
    except OSError as fault:
        if not silent:
            _warn(f"Could not set SCHED_RR at priority {priority}", fault)
        return False
    return True


def move_to_root_cgroup(system: System) -> None:
    """Put the process into the root group of the cpu controller; a failure is logged only."""
    if system.exists(CGROUP_V1_PROBE):
        LOG.debug("Moving main pid to cgroup v1 root cgroup")
        tasks = CGROUP_V1_TASKS
    elif system.exists(CGROUP_V2):
        LOG.debug("Moving main pid to cgroup v2 root cgroup")
        tasks = CGROUP_V2
    else:
        LOG.debug(
            "cpu.rt_runtime_us or cgroup.procs doesn't exist -> "
            "system without cgroup or with disabled CONFIG_RT_GROUP_SCHED"
        )
        return
    try:
        system.write_file(tasks, f"{os.getpid()}\n")
    except OSError as fault:
        at_open = fault.filename is not None
        LOG.warning(
            "Can't open cgroups tasks file for writing" if at_open else "Can't close cgroups tasks file"
        )


def lock_memory(system: System | None = None) -> bool:
    """Keep the daemon's memory from being paged out. After daemonize(): a child does not inherit locks."""
    system = system or System()
    if not _attempt(system.unlimit_locked_memory, "Could not increase RLIMIT_MEMLOCK, not locking memory"):
        return False
    return _attempt(
        lambda: system.lock_memory(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT),
        "Could not lock memory of service to avoid page faults",
    )


def raise_descriptor_limit(system: System | None = None) -> None:
    """Have as many descriptors as the administrator allows, within reason.

    corosync does not do this: it maps the zero-copy buffers of its clients, of which one may have thousands,
    where this daemon keeps a descriptor of each.
    """
    system = system or System()
    soft, hard = system.descriptor_limits()
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    _attempt(lambda: system.set_descriptor_limits((wanted, hard)), "Could not raise the limit of open files")


def keep_heap() -> bool:
    """Let malloc keep the memory that messages pass through, not give it back and fault it in again.

    A message of 1 MB took 120 page faults without this, and twice the time. False if malloc is not glibc's.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wishes = ((M_TRIM_THRESHOLD, HEAP_KEPT_BYTES), (M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES_MAX))
    return all(mallopt(option, value) == 1 for option, value in wishes)


def give_back_heap() -> None:
    """Return what malloc holds and nobody uses: after something that needed much more than usual."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(HEAP_KEPT_BYTES)


def _attempt(action: Callable[[], None], text: str) -> bool:
    try:
        action()
    except OSError as fault:
        _warn(text, fault)
        return False
    return True


def _warn(text: str, fault: OSError) -> None:
    LOG.warning("%s: %s (%s)", text, fault.strerror, fault.errno)
