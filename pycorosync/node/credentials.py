"""Who may use the daemon: root, and those whom the configuration names (corosync: exec/ipc_glue.c)."""

from pycorosync.cmap.store import Store
from pycorosync.services.service import ClientInfo


def are_accepted(cmap: Store, info: ClientInfo) -> bool:
    """Whether a client's user or group is root's, or has a key uidgid.{uid,gid}.N of value 1."""
    if info.uid == 0 or info.gid == 0:
        return True
    return any(
        cmap.get_int(f"{origin}.{kind}.{number}") == 1
        for kind, number in (("uid", info.uid), ("gid", info.gid))
        for origin in ("uidgid", "uidgid.config")
    )
