"""Installations of other Debian releases for the tests of the packages, and our packages built on each.

What takes long is kept in .cache: the roots, which have nothing of ours, and the packages of each state of
the source. A root needs about 700 MB.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from lab import Host, Lab
from lab.host import CHECKOUT, environment

CACHE = CHECKOUT / ".cache/packages"
MAKE_ROOT = Path(__file__).parent / "make-root"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
LIMIT_S = 1800.0
# How the machine reaches PyPI; and DEB_BUILD_OPTIONS=nocheck, to build without the unit tests.
PASSED_ON = ("PIP_", "DEB_BUILD_")
# dpkg must never wait for an answer; that is what a script that installs the package does, too.
APT = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none"}


def root_of(suite: str) -> Path:
    """A Debian with the distribution's cluster packages, made at the first call."""
    root = CACHE.parent / "roots" / suite
    subprocess.run([MAKE_ROOT, suite, root], check=True)
    return root


def with_network(host: Host, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a command on a host, but in the machine's network, where the distribution's mirror is."""
    done = subprocess.run(
        host.inside(command, network=False),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        env=environment(
            APT | {name: text for name, text in os.environ.items() if name.startswith(PASSED_ON)}
        ),
        timeout=LIMIT_S,
        check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def apt(host: Host, *arguments: str) -> str:
    """apt-get on the host, without questions."""
    return with_network(host, "apt-get", "-y", *arguments).stdout


def source() -> bytes:
    """What a clean checkout would have, of the files as they are now: a tar archive."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    ).stdout
    names = b"\0".join(
        name for name in sorted(listed.split(b"\0")) if (CHECKOUT / os.fsdecode(name)).is_file()
    )
    archive = ["tar", "--create", "--null", "--files-from=-", "--mtime=2026-01-01", "--owner=0", "--group=0"]
    return subprocess.run(archive, cwd=CHECKOUT, input=names, check=True, capture_output=True).stdout


def packages(suite: str) -> Path:
    """A folder with our packages for that release, built there as the README says; `report` is lintian's."""
    text = source()
    kept = CACHE / suite / hashlib.sha256(text).hexdigest()[:16]
    if not kept.exists():
        part = kept.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with Lab(1, root=root_of(suite)) as lab:
            _build(lab[1], text, part)
        part.rename(kept)
    return kept


def _build(host: Host, text: bytes, target: Path) -> None:
    folder = host.path("/build/pycorosync")
    folder.mkdir(parents=True)
    subprocess.run(["tar", "--extract"], cwd=folder, input=text, check=True)
    # Only for pip, which fetches what Debian has no package of: trust whom this machine trusts.
    shutil.copyfile(AUTHORITIES, host.path(AUTHORITIES))
    with_network(host, "apt-get", "update")
    apt(host, "install", "build-essential", "devscripts", "lintian")
    shell = "cd /build/pycorosync && apt-get -y build-dep . && dpkg-buildpackage -us -uc -b"
    log = with_network(host, "sh", "-c", shell)
    (target / "build.log").write_text(log.stdout + log.stderr)
    report = with_network(host, "sh", "-c", "lintian --allow-root /build/*.changes", check=False)
    (target / "report").write_text(report.stdout)
    for package in host.path("/build").glob("*.deb"):
        if "-dbgsym" not in package.name:
            shutil.copyfile(package, target / package.name)
