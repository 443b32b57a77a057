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

SIZES = (64, 320, 1600, 40_000)
RINGS = ("rrr", "rro")


def measure(kinds: str, load: Path, window_ms: int) -> dict[int, float]:
    """Delivered messages per second, by size."""
    with Lab(hosts=3) as lab:
        ring = Ring(lab, kinds)
        ring.start()
        ring.wait_whole()
        ring.wait_links(1)
        shutil.copy(load, lab[1].path(LOAD))
        found = {}
        for size in SIZES:
            done = lab[1].run(LOAD, "throughput", str(size), str(window_ms // 5), str(window_ms), check=True)
            found[size] = fields(done.stdout)["delivered"]
    return found


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    window_ms = int(float(sys.argv[2]) * 1000) if len(sys.argv) > 2 else 1000
    samples: dict[tuple[str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        load = compile_load(Path(directory))
        for _ in range(rounds):
            for kinds in RINGS:
                for size, figure in measure(kinds, load, window_ms).items():
                    samples[kinds, size].append(figure)
    for size in SIZES:
        real, mixed = (statistics.median(samples[kinds, size]) for kinds in RINGS)
        print(f"{size} B: three real {real:.0f}/s, one of them ours {mixed:.0f}/s: {mixed / real:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
