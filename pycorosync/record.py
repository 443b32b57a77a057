"""Values that are made for each packet.

They compare, match and print like named tuples, and are plain classes: in compiled code a named tuple is
still made by an interpreted function, and its fields are looked up by name.
"""

from typing import ClassVar


class Record:
    """Subclasses list their attributes in `__match_args__`, in the order of the arguments of __init__."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __ne__(self, other: object) -> bool:
        # Python has the same; mypyc 1.18 fails to make it for classes of other modules, now and then.
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({fields})"
