"""What one node of ours costs a ring of real ones: CPG load from a real node, on three real nodes, and with
one of the others replaced by ours.

    python3 -m bench.mixed [ROUNDS [SECONDS]]     (in compat-tests/)
"""

import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.run import LOAD, compile_load, fields
from lab import Lab
from mixed.ring import Ring

SIZES = (64, 320, 1600, 8000, 40_000, 200_000)
RINGS = ("rrr", "rro")
# What is measured, the field that load prints, and the rows.
ROWS = [("throughput", "delivered", size) for size in SIZES] + [("latency", "p50_us", 64)]

Row = tuple[str, str, int]


def measure(kinds: str, load: Path, window_ms: int) -> dict[Row, float]:
    """Delivered messages per second by size, and the median time that one message takes alone."""
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds)
        ring.start()
        ring.wait_whole()
        ring.wait_links(1)
        shutil.copy(load, lab[1].path(LOAD))
        found = {}
        for mode, field, size in ROWS:
            done = lab[1].run(LOAD, mode, str(size), str(window_ms // 5), str(window_ms), check=True)
            found[mode, field, size] = fields(done.stdout)[field]
    return found


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    window_ms = int(float(sys.argv[2]) * 1000) if len(sys.argv) > 2 else 1000
    samples: dict[tuple[str, Row], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        load = compile_load(Path(directory))
        for _ in range(rounds):
            for kinds in RINGS:
                for row, figure in measure(kinds, load, window_ms).items():
                    samples[kinds, row].append(figure)
    print("|  | three real | one of them ours | ratio |\n|---|---|---|---|")
    for row in ROWS:
        real, mixed = (statistics.median(samples[kinds, row]) for kinds in RINGS)
        mode, _, size = row
        what = f"{size} B delivered/s" if mode == "throughput" else f"{size} B latency p50, us"
        print(f"| {what} | {real:.0f} | {mixed:.0f} | {mixed / real:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
