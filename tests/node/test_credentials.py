"""Root, and users and groups that the configuration names."""

import pytest

from pycorosync.cmap.store import Store
from pycorosync.node.credentials import are_accepted
from pycorosync.services.service import ClientInfo


@pytest.mark.parametrize(
    ("key", "value", "uid", "gid", "accepted"),
    [
        ("uidgid.uid.7", 1, 7, 8, True),
        ("uidgid.gid.8", 1, 7, 8, True),
        ("uidgid.config.uid.7", 1, 7, 8, True),
        ("uidgid.config.gid.8", 1, 7, 8, True),
        ("uidgid.uid.8", 1, 7, 8, False),
        ("uidgid.uid.7", 0, 7, 8, False),
        ("uidgid.uid.9", 1, 0, 8, True),
        ("uidgid.uid.9", 1, 7, 0, True),
    ],
)
def test_credentials(key: str, value: int, uid: int, gid: int, accepted: bool) -> None:
    cmap = Store()
    cmap.set_u8(key, value)
    assert are_accepted(cmap, ClientInfo(1, 2, 100, uid, gid)) is accepted
