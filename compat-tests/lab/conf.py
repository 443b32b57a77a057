"""A corosync.conf for the hosts of a lab."""

from collections.abc import Mapping

from lab.network import Lab

LOGFILE = "/var/log/corosync/corosync.log"


def corosync_conf(
    lab: Lab,
    *,
    transport: str = "knet",
    links: int | None = None,
    crypto: bool = False,
    nodes: int | None = None,
    totem: Mapping[str, object] | None = None,
    quorum: Mapping[str, object] | None = None,
    logging: Mapping[str, object] | None = None,
    cluster_name: str = "lab",
) -> str:
    """The text: every host (or the first `nodes`) in the nodelist; `totem`, `quorum`, `logging` add options.

    quorum={"provider": None} leaves the quorum section out.
    """
    totem_options: dict[str, object] = {"version": 2, "cluster_name": cluster_name, "transport": transport}
    if crypto:
        totem_options |= {"crypto_cipher": "aes256", "crypto_hash": "sha256"}
    quorum_options = {"provider": "corosync_votequorum", **(quorum or {})}
    logging_options = {
        "to_logfile": "yes",
        "logfile": LOGFILE,
        "to_syslog": "no",
        "to_stderr": "no",
        "timestamp": "hires",
        **(logging or {}),
    }
    text = _section("totem", totem_options | dict(totem or {}))
    text += "nodelist {\n"
    for host in lab.hosts[: nodes or len(lab.hosts)]:
        node: dict[str, object] = {"name": host.name, "nodeid": host.number}
        node |= {f"ring{link}_addr": host.address(link) for link in range(links or lab.links)}
        text += _section("node", node, "  ")
    text += "}\n"
    if quorum_options["provider"] is not None:
        text += _section("quorum", quorum_options)
    return text + _section("logging", logging_options)


def _section(name: str, options: Mapping[str, object], indent: str = "") -> str:
    lines = [f"{indent}  {key}: {value}\n" for key, value in options.items()]
    return f"{indent}{name} {{\n{''.join(lines)}{indent}}}\n"
