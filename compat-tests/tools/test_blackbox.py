"""The flight recorder of both, read by the distribution's qb-blackbox; both corosync-blackbox commands."""

import re
import signal
import sys

import pytest
from lab import OURS, REAL, Engine, Host, Lab, corosync_conf

STATE = "/var/lib/corosync"
# In short runs: our daemon, our tools.
ENGINES = [OURS, pytest.param(REAL, marks=pytest.mark.long)]
LINE = re.compile(
    r"(emerg|alert|crit|error|warning|notice|info|debug|trace) +"
    r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3} \w+\(\d+\):(\d+): (.*)"
)
LOGGED = re.compile(r"\[\d+\] n1 corosync (\w+) +\[(\w+) *\] (.*)")
HEAD = """\
Dumping the contents of /var/lib/corosync/fdata
Ringbuffer:\x20
 ->NORMAL
 ->write_pt [N]
 ->read_pt [N]
 ->size [2098176 words]
 =>free [N bytes]
 =>used [N bytes]
"""
# qb-blackbox reads until there is no more, which it calls a failure.
ERRORS = """\
[debug] shm size:8392704; real_size:8392704; rb->word_size:2098176
[debug] read total of: 8392724
ERROR: qb_rb_chunk_read failed: Connection timed out
[trace] ENTERING qb_rb_close()
[debug] Free'ing ringbuffer: /dev/shm/qb-create_from_file-header
"""


def read(text: str) -> list[tuple[str, str, str]]:
    """Level, tag and text of each line that qb-blackbox has printed."""
    lines = text.splitlines()
    head = re.sub(r"(_pt|free|used) \[\d+", r"\1 [N", "\n".join(lines[:8]) + "\n")
    assert head == HEAD
    found = [LINE.fullmatch(line) for line in lines[8:]]
    assert found
    assert all(found), [line for line, match in zip(lines[8:], found, strict=True) if not match]
    return [(match[1], match[2], match[3]) for match in found if match]


def stored(host: Host) -> str:
    """What the fdata link of the host points to, and its mode."""
    return (
        host.run("stat", "-L", "-c", "%a %s %F", f"{STATE}/fdata").stdout
        + host.run("readlink", f"{STATE}/fdata").stdout
    )


@pytest.mark.parametrize("daemon", ENGINES, ids=repr)
@pytest.mark.parametrize("tools", ENGINES, ids=repr)
def test_everything_that_is_logged_is_in_the_box(daemon: Engine, tools: Engine) -> None:
    with Lab(hosts=1) as lab:
        daemon.start(lab[1], corosync_conf(lab))
        compare_with_the_log(lab[1], tools)


def compare_with_the_log(host: Host, tools: Engine) -> None:
    tools.install_tools(host)
    host.shell("/usr/sbin/corosync-cpgtool; /usr/sbin/corosync-cfgtool -L")
    done = host.shell("corosync-blackbox")
    assert (done.returncode, done.stderr) == (0, ERRORS)
    found = read(done.stdout)
    assert found[0] == ("notice", "8", "Corosync Cluster Engine 3.1.7 starting up")
    assert {level for level, _tag, _text in found} >= {"notice", "info", "warning", "debug"}
    texts = [(level, text.strip()) for level, _tag, text in found]
    log = host.path("/var/log/corosync/corosync.log").read_text()
    logged = [(match[1], match[3].strip()) for match in LOGGED.finditer(log)]
    assert len(logged) > 20
    assert [line for line in logged if line not in texts] == []
    assert re.fullmatch(
        r"700 8392744 regular file\n"
        r"/var/lib/corosync/fdata-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-\d+\n",
        stored(host),
    )


@pytest.mark.long
def test_the_tags_are_those_of_corosync() -> None:
    tags: dict[Engine, set[tuple[str, str]]] = {}
    for engine in (REAL, OURS):
        with Lab(hosts=1) as lab:
            engine.start(lab[1], corosync_conf(lab, logging={"debug": "trace"}))
            lab[1].shell("corosync-cpgtool; corosync-quorumtool; corosync-cfgtool -s")
            found = read(lab[1].shell("corosync-blackbox").stdout)
            log = lab[1].path("/var/log/corosync/corosync.log").read_text()
            names = {match[3].strip(): match[2] for match in LOGGED.finditer(log)}
            tags[engine] = {(tag, names[text]) for _level, tag, text in found if text in names}
    assert len(tags[OURS]) >= 10
    # Of real corosync, lines with the same text may come from two subsystems, and libqb has tags of its own.
    assert tags[OURS] <= tags[REAL]


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@pytest.mark.parametrize("number", [signal.SIGSEGV, pytest.param(signal.SIGABRT, marks=pytest.mark.long)])
def test_a_crash_fills_the_box(engine: Engine, number: int) -> None:
    with Lab(hosts=1) as lab:
        process = engine.start(lab[1], corosync_conf(lab))
        process.signal(number)
        assert process.wait() == -number
        found = read(lab[1].run("qb-blackbox", f"{STATE}/fdata").stdout)
        assert found[0][2] == "Corosync Cluster Engine 3.1.7 starting up"
        assert ("notice", "8", "Completed service synchronization, ready to provide service.") in found
        assert stored(lab[1]).startswith("700 8392744 regular file\n")


@pytest.mark.parametrize("tools", ENGINES, ids=repr)
def test_without_a_daemon_an_old_box_is_shown(tools: Engine) -> None:
    with Lab(hosts=1) as lab:
        host = lab[1]
        tools.install_tools(host)
        done = host.shell("corosync-blackbox")
        assert done.returncode == 0
        assert done.stdout == "Dumping the contents of /var/lib/corosync/fdata\n"
        assert done.stderr == (
            "Failed to initialize the cmap API. Error CS_ERR_LIBRARY\n" * 2
            + "[error] qb_log_blackbox_print_from_file: No such file or directory (2)\n"
        )
        process = OURS.start(host, corosync_conf(lab))
        process.signal(signal.SIGSEGV)
        process.wait()
        done = host.shell("corosync-blackbox")
        assert read(done.stdout)
        assert done.stderr.endswith(ERRORS)


@pytest.mark.long
def test_without_the_box_there_is_nothing_to_store(engine: Engine) -> None:
    with Lab(hosts=1) as lab:
        engine.start(lab[1], corosync_conf(lab, logging={"blackbox": "off"}))
        lab[1].shell("corosync-blackbox")
        log = lab[1].path("/var/log/corosync/corosync.log").read_text()
        assert "[MAIN  ] Can't store blackbox file: No such file or directory (2)\n" in log
        assert not lab[1].path(f"{STATE}/fdata").is_symlink()


OVERFLOW = """
from pycorosync import log
from pycorosync.daemon.flight_recorder import FlightRecorder, store
recorder = FlightRecorder()
for number in range(250_000):
    recorder.record("CPG", log.DEBUG, "f", 1, f"line {number}" + "." * (number % 97), number * 10**9)
store(recorder, "/var/lib/corosync")
"""


def test_a_box_that_has_overflowed_holds_the_latest_lines() -> None:
    with Lab(hosts=1) as lab:
        lab[1].run(sys.executable, "-c", OVERFLOW, check=True)
        found = read(lab[1].run("qb-blackbox", f"{STATE}/fdata").stdout)
        numbers = [int(text.removeprefix("line ").rstrip(".")) for _level, _tag, text in found]
        assert numbers == list(range(numbers[0], 250_000))
        assert len(numbers) > 70_000
