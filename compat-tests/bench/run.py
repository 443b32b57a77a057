"""CPG load on the distribution's corosync and on this one, turn about, on the same lab host(s).

Each round starts one daemon, measures it, stops it, and does the same with the other; the table holds the
medians over all rounds. The load is load.c through the distribution's unmodified libcpg. What counts is
"delivered": messages that the client got back in total order, per second, within the window. (Either daemon
may accept more than it delivers for a while; the backlog is drained and checked, and not counted.)
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import OURS, REAL, Engine, Host, Lab, Process, corosync_conf, wait_until
from lab.network import tidy

HERE = Path(__file__).resolve().parent
SIZES = (64, 320, 1600, 8000, 40000, 200000, 1000000)
LATENCY_SIZES = (64, 8000)
LOAD = "/var/log/load"  # where a host sees the compiled program
ENGINES = {"real": REAL, "ours": OURS}

Samples = dict[tuple[str, str], list[float]]  # (row, engine) -> one figure a round


def compile_load(directory: Path) -> Path:
    target = directory / "load"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", str(target), str(HERE / "load.c"), "-lcpg"]
    subprocess.run(command, check=True)
    return target


def fields(line: str) -> dict[str, float]:
    return {name: float(value) for name, value in (pair.split("=") for pair in line.split())}


def cpu_seconds(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS")


class Bench:
    """The rounds, and what they measured."""

    def __init__(self, options: argparse.Namespace, load: Path) -> None:
        self.options = options
        self.load = load
        self.samples: Samples = defaultdict(list)

    def note(self, row: str, engine: Engine, value: float) -> None:
        self.samples[row, engine.name].append(value)

    def round(self, engine: Engine) -> None:
        with Lab(hosts=self.options.nodes) as lab:
            conf = corosync_conf(lab, transport=self.options.transport, crypto=self.options.crypto)
            daemons = [engine.start(host, conf) for host in lab.hosts]
            wait_until(
                lambda: (
                    f"Nodes:            {self.options.nodes}"
                    in lab[1].run("corosync-quorumtool", "-s").stdout
                ),
                "every node to be in the membership",
            )
            shutil.copy(self.load, lab[1].path(LOAD))
            self.measure(engine, lab[1], daemons[0])
            for daemon in daemons:
                daemon.stop()

    def measure(self, engine: Engine, host: Host, daemon: Process) -> None:
        self.note("RSS fresh, MB", engine, rss_mb(daemon.pid))
        before = cpu_seconds(daemon.pid)
        time.sleep(self.options.idle)  # the interval that is measured
        self.note("CPU idle, %", engine, (cpu_seconds(daemon.pid) - before) / self.options.idle * 100)
        for size in self.options.sizes:
            before = cpu_seconds(daemon.pid)
            result = self.run_load(host, "throughput", size)
            self.note(f"{size} B delivered/s", engine, result["delivered"])
            self.note(f"{size} B accepted/s", engine, result["accepted"])
            cpu = (cpu_seconds(daemon.pid) - before) / result["total"] * 1e6
            self.note(f"{size} B daemon CPU, us/message", engine, cpu)
        for size in self.options.latency_sizes:
            result = self.run_load(host, "latency", size)
            self.note(f"{size} B latency p50, us", engine, result["p50_us"])
            self.note(f"{size} B latency p99, us", engine, result["p99_us"])
        self.note("RSS after load, MB", engine, rss_mb(daemon.pid))

    def run_load(self, host: Host, mode: str, size: int) -> dict[str, float]:
        window = int(self.options.seconds * 1000)
        # At least as long as it takes for queues of earlier runs' memory to settle.
        warmup = max(100, window // 5)
        done = host.run(
            LOAD, mode, str(size), str(warmup), str(window), limit_s=120 + self.options.seconds * 2
        )
        if done.returncode:
            raise RuntimeError(f"load {mode} {size} ended with {done.returncode}: {done.stderr}")
        if self.options.verbose:
            print("   ", mode, done.stdout.strip(), flush=True)
        return fields(done.stdout)

    def table(self) -> str:
        rows = list(dict.fromkeys(row for row, _ in self.samples))
        engines = self.options.engines
        head = ["", *engines]
        if len(engines) == 2:
            head.append("ours / real")
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for row in rows:
            medians = {engine: statistics.median(self.samples[row, engine]) for engine in engines}
            cells = [_figure(medians[engine]) for engine in engines]
            if len(engines) == 2:
                cells.append(f"{medians['ours'] / medians['real']:.2f}" if medians["real"] else "-")
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def _figure(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.1f}"


def machine() -> str:
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    version = subprocess.run(["/usr/sbin/corosync", "-v"], capture_output=True, text=True, check=False).stdout
    first = version.splitlines()[0] if version else "not installed"
    return (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"real: {first}, {time.strftime('%d %b %Y', time.gmtime())}"
    )


def _numbers(kind: Callable[[str], int]) -> Callable[[str], list[int]]:
    return lambda text: [kind(part) for part in text.split(",") if part]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="window of each measurement")
    parser.add_argument("--idle", type=float, default=2.0, help="seconds over which idle CPU is measured")
    parser.add_argument("--sizes", type=_numbers(int), default=list(SIZES))
    parser.add_argument("--latency-sizes", type=_numbers(int), default=list(LATENCY_SIZES))
    parser.add_argument(
        "--nodes", type=int, default=1, help="ring of so many hosts, all of one implementation"
    )
    parser.add_argument("--transport", default="knet")
    parser.add_argument("--crypto", action="store_true")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=["real", "ours"])
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    parser.add_argument("--json", type=Path, help="write every sample here")
    parser.add_argument("--verbose", action="store_true", help="print each measurement")
    return parser.parse_args()


def write_between_marks(options: argparse.Namespace, report: str) -> None:
    """Each kind of ring has its own place in the file."""
    kind = f"{options.nodes}-{options.transport}-{'crypto' if options.crypto else 'plain'}"
    begin, end = f"<!-- bench {kind}: begin -->", f"<!-- bench {kind}: end -->"
    before, found, rest = options.write.read_text().partition(begin)
    if not found:
        raise SystemExit(f"{options.write} has no place for it: {begin}")
    options.write.write_text(f"{before}{begin}\n{report}{end}{rest.partition(end)[2]}")


def main() -> int:
    options = parse()
    tidy()
    with tempfile.TemporaryDirectory(prefix="pycorosync-bench-") as scratch:
        bench = Bench(options, compile_load(Path(scratch)))
        for number in range(1, options.rounds + 1):
            # The order changes from round to round, so that neither always follows the other.
            for name in options.engines if number % 2 else reversed(options.engines):
                print(f"round {number} of {options.rounds}: {name}", flush=True)
                bench.round(ENGINES[name])
    command = "make bench " + os.environ.get("BENCH_ARGUMENTS", " ".join(sys.argv[1:])).strip()
    report = (
        f"`{command.strip()}`: {options.rounds} rounds, windows of {options.seconds:g} s, medians; "
        f"{options.nodes} node(s), {options.transport}, {'aes256/sha256' if options.crypto else 'plain'}.\n"
        f"Machine: {machine()}.\n\n{bench.table()}"
    )
    print("\n" + report)
    if options.json:
        options.json.write_text(
            json.dumps({f"{row}|{name}": v for (row, name), v in bench.samples.items()}, indent=1)
        )
    if options.write:
        write_between_marks(options, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
