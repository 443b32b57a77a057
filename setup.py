"""Compiles the data path with mypyc, from the same source, where a C compiler is at hand.

PYCOROSYNC_COMPILE=0 builds a pure package, 1 fails if it cannot be compiled. Otherwise it is tried, and what
does not work costs speed, not the installation. docs/architecture.md says what is compiled and why.
"""

import os
import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.extension import Extension

# What runs for each message, each packet, each turn of the loop.
COMPILED = [
    *("deadlines", "record"),
    *("ipc/connection", "ipc/ringbuffer"),
    *("services/stream", "services/cpg/traffic"),
    *("totem/config", "totem/messages", "totem/outputs", "totem/packing", "totem/recovery", "totem/ring"),
    *("totem/sequence", "totem/stats", "totem/timers", "totem/token", "totem/transitions", "totem/window"),
    *("knet/dedup", "knet/engine", "knet/fragments", "knet/link", "knet/outputs", "knet/peer"),
    *("knet/pmtud", "knet/receiver", "knet/sender", "knet/stats", "knet/target"),
    *("node/counters", "node/deliveries", "node/knet_network", "node/network", "node/node"),
    *("node/outbox", "node/udp_network"),
    *("daemon/client_server", "daemon/loop", "daemon/shell", "daemon/socket_channel", "daemon/udp"),
]
WANTED = os.environ.get("PYCOROSYNC_COMPILE", "auto")


def extensions() -> list[Extension]:
    if WANTED == "0":
        return []
    try:
        from mypyc.build import mypycify

        # Only what matters for the generated code: the checks are `make check`'s, with all libraries there.
        options = ["--config-file=", "--ignore-missing-imports", "--python-version=3.11"]
        paths = [f"pycorosync/{name}.py" for name in COMPILED]
        modules: list[Extension] = mypycify([*options, *paths], opt_level="2", debug_level="0")
    except (ImportError, SystemExit) as fault:
        if WANTED == "1":
            raise
        print(f"pycorosync is not compiled: {fault}", file=sys.stderr)
        return []
    for module in modules:
        module.optional = WANTED != "1"
    return modules


class Build(build_ext):
    """Leaves nothing behind that a failed compiler has begun: half of a compiled group does not work."""

    def run(self) -> None:
        super().run()
        outputs = self.get_outputs()
        if not all(os.path.exists(path) for path in outputs):
            print("pycorosync is not compiled: the C compiler failed", file=sys.stderr)
            for path in outputs:
                if os.path.exists(path):
                    os.unlink(path)


setup(ext_modules=extensions(), cmdclass={"build_ext": Build})
