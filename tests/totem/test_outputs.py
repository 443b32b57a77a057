"""The ring's outputs as a set."""

from typing import get_args

from pycorosync.totem import outputs
from pycorosync.totem.outputs import Broadcast, MembershipKind, Output


def test_every_value_of_the_module_is_an_output() -> None:
    declared = {
        value
        for value in vars(outputs).values()
        if getattr(value, "__module__", "") == outputs.__name__ and hasattr(value, "__match_args__")
    }
    assert declared == set(get_args(Output))


def test_values_compare_by_contents() -> None:
    assert Broadcast(b"x", True) == Broadcast(b"x", loop_back=True) != Broadcast(b"x", loop_back=False)
    assert [kind.value for kind in MembershipKind] == ["transitional", "regular"]
