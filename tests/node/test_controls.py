"""What an operator writes to the keys is done once, and answered in the key."""

from pycorosync.cmap.store import Store
from pycorosync.node import controls


class Calls:
    def __init__(self) -> None:
        self.cmap = Store()
        self.made: list[str] = []
        controls.publish(self.cmap, lambda: self.made.append("dump"), lambda: self.made.append("gather"))


def test_the_keys_are_there_and_ask_for_nothing() -> None:
    calls = Calls()
    names = ("runtime.blackbox.dump_flight_data", "runtime.blackbox.dump_state", "runtime.force_gather")
    assert [calls.cmap.value(name) for name in names] == ["no"] * 3
    assert not calls.made


def test_a_dump_for_each_write() -> None:
    calls = Calls()
    calls.cmap.set_str("runtime.blackbox.dump_flight_data", "yes")
    calls.cmap.set_str("runtime.blackbox.dump_flight_data", "again")
    assert calls.made == ["dump", "dump"]


def test_a_gather_is_forced_once_and_the_key_says_no_again() -> None:
    calls = Calls()
    calls.cmap.set_str("runtime.force_gather", "yes")
    assert calls.made == ["gather"]
    assert calls.cmap.value("runtime.force_gather") == "no"
