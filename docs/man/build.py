#!/usr/bin/env python3
"""Make a man page: docs/man/build.py docs/man/corosync.8.rst >corosync.8. Needs docutils.

The pages are reStructuredText because that reads as well in the source, on the web and in a diff as on a
terminal, and docutils is in every distribution. A line `.. keys: PREFIX` stands for the rows of the table in
cmap/keys.py.
"""

import re
import sys
from pathlib import Path

from docutils.core import publish_string
from docutils.writers import manpage

ROOT = Path(__file__).resolve().parents[2]
TYPE_NAMES = {
    "INT8": "i8", "UINT8": "u8", "INT16": "i16", "UINT16": "u16", "INT32": "i32", "UINT32": "u32",
    "INT64": "i64", "UINT64": "u64", "FLOAT": "flt", "DOUBLE": "dbl", "STRING": "str", "BINARY": "bin",
}  # fmt: skip
GROUPS = {"5": "File formats", "7": "Overviews", "8": "System administration"}


def version() -> str:
    """The package's, read without importing it: where pages are built, what it imports need not be there."""
    text = (ROOT / "pycorosync/__init__.py").read_text()
    return text.partition('__version__ = "')[2].partition('"')[0]


def keys(prefix: str) -> str:
    """The rows of cmap/keys.py that begin with `prefix`, as a definition list."""
    sys.path.insert(0, str(ROOT))
    from pycorosync.cmap.keys import KEYS, READ_ONLY, READ_ONLY_WITH_VOTEQUORUM

    text = ""
    for key in KEYS:
        if not key.pattern.startswith(prefix):
            continue
        read_only = any(
            key.pattern.startswith(row.key) if row.is_prefix else key.pattern == row.key
            for row in (*READ_ONLY, *READ_ONLY_WITH_VOTEQUORUM)
        )
        kind = TYPE_NAMES[key.kind.name] if key.kind else "several types"
        facts = f"{kind}, set by {key.setter.value}" + (", read-only" if read_only else "")
        pattern = key.pattern.replace("*", "\\*")
        text += f"**{pattern}** ({facts})\n    {key.meaning}\n\n"
    return text


def roff(source: Path) -> bytes:
    """The page as man(7) text."""
    section = source.stem.rpartition(".")[2]
    facts = {"Manual section": section, "Manual group": GROUPS[section], "Version": f"pycorosync {version()}"}
    head = "\n" + "".join(f":{name}: {value}\n" for name, value in facts.items()) + "\n"
    # The first title and its subtitle are the page's name and what follows the dash in NAME.
    title, _, rest = source.read_text().partition("\n\n")
    rest = re.sub(r"^\.\. keys: (.*)\n", lambda match: keys(match[1]), rest, flags=re.MULTILINE)
    page = publish_string(
        title + "\n" + head + rest,
        source_path=str(source),
        writer=manpage.Writer(),
        settings_overrides={"report_level": 2, "halt_level": 2, "input_encoding": "unicode"},
    )
    return page if isinstance(page, bytes) else page.encode()


if __name__ == "__main__":
    sys.stdout.buffer.write(roff(Path(sys.argv[1])))
