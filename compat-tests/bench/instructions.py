"""What a rotation of the token costs a node of ours, in instructions: valgrind counts them, so that neither
other processes nor caches matter. Two real nodes, one of which sends one message at a time, and ours.

    apt-get install valgrind
    python3 -m bench.instructions [FUNCTIONS]     (in compat-tests/)

Prints the number for each rotation and the functions that most of it goes to, with what they call; without
what the kernel does.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copy

from bench.run import LOAD, compile_load
from lab import OURS, Engine, Host, Lab
from mixed.ring import Ring

BYTES = 64
WINDOW_S = 8
NODE = 3
PROFILE = "/var/log/callgrind"
UNDER_VALGRIND = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={PROFILE}"]


def rotations(host: Host) -> int:
    listing = host.run("/usr/sbin/corosync-cmapctl", "-m", "stats", check=True).stdout
    found = re.search(r"stats\.srp\.orf_token_rx \(u64\) = (\d+)", listing)
    return int(found[1]) if found else 0


def measure(load: Path) -> tuple[int, str]:
    """Rotations in the window, and what callgrind_annotate says of it."""
    with Lab(hosts=3) as lab:
        ring = Ring(lab, "rro", totem={"token": 20000})  # valgrind is some fifty times slower
        ring.engines[NODE] = Engine("under valgrind", [*UNDER_VALGRIND, *OURS.daemon()])
        ring.start()
        ring.wait_whole(limit_s=240)
        ring.wait_links(1)
        copy(load, lab[1].path(LOAD))
        host = lab[NODE]
        sender = lab[1].spawn(LOAD, "latency", str(BYTES), "500", str((WINDOW_S + 10) * 1000))
        before = rotations(host)  # not in the window: the answer is long
        host.run("callgrind_control", "--instr=on", check=True)
        time.sleep(WINDOW_S)  # the interval that is measured
        host.run("callgrind_control", "--instr=off", check=True)
        count = rotations(host) - before
        host.run("callgrind_control", "--dump", check=True)
        sender.kill()
        annotate = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", f"{host.path(PROFILE)}.1"]
        return count, subprocess.run(annotate, check=True, capture_output=True, text=True).stdout


def main() -> int:
    functions = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as directory:
        count, report = measure(compile_load(Path(directory)))
    lines = re.findall(r"^ *([\d,]+) \( *[\d.]+%\)  (?:\S*?:)?(PROGRAM TOTALS|CPyDef_\S+)", report, re.M)
    for number, name in lines[: functions + 1]:
        what = "a rotation" if name == "PROGRAM TOTALS" else name.removeprefix("CPyDef_")
        print(f"{int(number.replace(',', '')) // count:8}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
