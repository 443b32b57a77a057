"""What pip makes of the project: wheel and sdist, installed into bare virtual environments, run."""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from lab import Engine, Lab, corosync_conf

from packages.roots import CACHE, source

pytestmark = pytest.mark.packages


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not below /tmp, of which every host has its own."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def dist(folder: Path) -> Path:
    """wheel and sdist of a clean checkout."""
    checkout = folder / "checkout"
    checkout.mkdir()
    subprocess.run(["tar", "--extract"], cwd=checkout, input=source(), check=True)
    run("/usr/bin/python3", "-m", "venv", folder / "builder")
    run(folder / "builder/bin/pip", "install", "--quiet", "build")
    run(folder / "builder/bin/python", "-m", "build", "--outdir", folder / "dist", checkout)
    return folder / "dist"


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_it_installs_with_pip_into_a_bare_environment_and_runs(
    dist: Path, folder: Path, pattern: str
) -> None:
    (built,) = dist.glob(pattern)
    bare = folder / f"bare-{built.suffix}"
    run("/usr/bin/python3", "-m", "venv", bare)
    run(bare / "bin/pip", "install", "--quiet", built)
    assert "Corosync Cluster Engine, version '3." in run(bare / "bin/corosync", "-v")
    with Lab() as lab:
        engine = Engine("pip", [str(bare / "bin/corosync")])
        process = engine.start(lab[1], corosync_conf(lab))
        shown = lab[1].run(str(bare / "bin/corosync-quorumtool"), "-s", check=True).stdout
        assert "Quorate:          Yes" in shown
        assert lab[1].run("pidof", "corosync").stdout.strip()
        assert process.stop() == 0


def test_the_sdist_has_what_packages_are_built_from(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "debian/rules",
        "rpm/pycorosync.spec",
        "conf/install",
        "docs/man/corosync.8.rst",
        "tests/test_packaging.py",
    } <= names
