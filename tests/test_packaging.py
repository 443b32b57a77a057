"""What stands in the packaging agrees with the source: versions, files, dependencies."""

import re
import tomllib
from pathlib import Path

import pycorosync

ROOT = Path(__file__).resolve().parents[1]


def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]  # type: ignore[no-any-return]


def text(path: str) -> str:
    return (ROOT / path).read_text()


def test_the_packages_have_the_version_of_the_source() -> None:
    assert text("debian/changelog").startswith(f"pycorosync ({pycorosync.__version__})")


def test_what_debian_has_no_package_of_is_pinned_with_its_hash() -> None:
    lines = text("debian/bundled.txt")
    assert re.search(r"^posix_ipc==[\d.]+ \\\n +--hash=sha256:[0-9a-f]{64}$", lines, re.MULTILINE)
    # Nothing may guess a package for what comes with ours; the others stand in debian/control by name.
    names = {re.split("[>=]", entry)[0] for entry in project()["dependencies"]}  # type: ignore[attr-defined]
    assert names == set(text("debian/py3dist-overrides").split())
    for name in names - {"posix_ipc"}:
        assert f"python3-{name} (>=" in text("debian/control"), name


def test_each_module_belongs_to_a_package() -> None:
    # A star stands for the source and what it is compiled to.
    lines = installed_by_debian(r"dist-packages/pycorosync/(\S+)$")
    installed = [name.replace(".*", ".py") for name in lines]
    present = {
        path.name
        for path in (ROOT / "pycorosync").iterdir()
        if path.suffix in {".py", ".typed"} or path.is_dir()
    }
    assert sorted(installed) == sorted((present - {"__pycache__"}) | {"bundled"})


def installed_by_debian(pattern: str) -> list[str]:
    """What the expression finds in the lists of all binary packages."""
    lists = sorted((ROOT / "debian").glob("*.install"))
    return sorted(re.findall(pattern, "".join(path.read_text() for path in lists), re.MULTILINE))


def test_each_command_and_manual_page_belongs_to_one_package() -> None:
    scripts = set(project()["scripts"])  # type: ignore[call-overload]
    assert installed_by_debian(r"^usr/s?bin/(\S+)$") == sorted(scripts)
    pages = {path.stem for path in (ROOT / "docs/man").glob("*.rst")}
    assert installed_by_debian(r"^usr/share/man/man\d/(\S+)\*$") == sorted(pages)
