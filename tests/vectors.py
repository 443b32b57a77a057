"""Reads protocol/vectors: bytes that real programs sent, and the fields that they hold.

message  NAME               begins a vector; NAME is how the layer's messages.py calls it
order    big                the byte order, if it is not little
bytes    0011 2233 ...      hexadecimal; lines continue each other
field    name = value       what decoding must yield
"""

from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from pycorosync.wire.fixed import BIG, LITTLE, Fixed

FOLDER = Path(__file__).resolve().parents[1] / "protocol" / "vectors"


@dataclass
class Vector:
    """One message: its bytes, and its fields as text."""

    file: str
    name: str
    order: str = LITTLE
    data: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"

    def layout(self, messages: ModuleType) -> Fixed:
        """What its layer's messages.py declares under its name."""
        found = getattr(messages, self.name)
        assert isinstance(found, Fixed)
        return found

    def items(self, prefix: str) -> list[str]:
        """The values of `prefix.0`, `prefix.1`, ... in order."""
        return [value for key, value in self.fields.items() if key.startswith(f"{prefix}.")]


def vectors(layer: str) -> list[Vector]:
    """Every vector of a folder of protocol/vectors."""
    return [vector for path in sorted((FOLDER / layer).glob("*.txt")) for vector in _read(path)]


def _read(path: Path) -> list[Vector]:
    found: list[Vector] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word:
            case "message":
                found.append(Vector(path.name, rest))
            case "order":
                found[-1].order = {"big": BIG, "little": LITTLE}[rest]
            case "bytes":
                found[-1].data += bytes.fromhex(rest)
            case "field":
                key, _, value = rest.partition(" = ")
                found[-1].fields[key] = value
            case _:
                raise ValueError(f"{path.name}:{number}: {word}")
    return found
