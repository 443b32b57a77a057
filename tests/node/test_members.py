"""A node that comes, goes and comes again."""

from pycorosync.cmap.store import Store
from pycorosync.node.members import publish_joined, publish_left


def test_members_are_published() -> None:
    cmap = Store()
    publish_joined(cmap, 2, ["192.0.2.2", "198.51.100.2"])
    assert cmap.value("runtime.members.2.ip") == "r(0) ip(192.0.2.2) r(1) ip(198.51.100.2) "
    publish_left(cmap, 2)
    assert cmap.value("runtime.members.2.status") == "left"
    publish_joined(cmap, 2, [])
    assert (cmap.value("runtime.members.2.status"), cmap.value("runtime.members.2.join_count")) == (
        "joined",
        2,
    )
