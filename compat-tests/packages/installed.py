"""Run tests of the compat suite on the files of the Debian 12 package: python -m packages.installed ARGUMENTS

ARGUMENTS are pytest's. The package cannot be installed beside the distribution's corosync, which the tests
compare with. So its files are unpacked, and its Python modules put where they belong by an overlay that only
the tests' processes see. Daemon and tools then are the package's, with the system's Python and libraries.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from packages.roots import packages

MODULES = "/usr/lib/python3/dist-packages"


def main() -> int:
    built = packages("bookworm")
    # Not below /tmp, of which every host has its own.
    with tempfile.TemporaryDirectory(dir=built) as name:
        unpacked = Path(name)
        for package in built.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
        layers = f"lowerdir={unpacked}{MODULES}:{MODULES}"
        mount = f"mount --make-rprivate / && mount -t overlay -o {shlex.quote(layers)} installed {MODULES}"
        tests = [sys.executable, "-m", "pytest", "-c", "pytest.ini", *sys.argv[1:]]
        places = {
            "PYCOROSYNC_DAEMON": f"{unpacked}/usr/sbin/corosync",
            "PYCOROSYNC_TOOLS": f"{unpacked}/usr/sbin:{unpacked}/usr/bin",
        }
        command = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {shlex.join(tests)}"]
        return subprocess.run(command, env=os.environ | places, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
