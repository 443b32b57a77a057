"""Votequorum scenarios in virtual time: whole nodes, their ring, and clients as the tools and a quorum
device's daemon would be.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pycorosync.client.quorum import QuorumChanged, event_of
from pycorosync.client.votequorum import NodeList
from pycorosync.client.votequorum import event_of as vote_event_of
from pycorosync.cmap.values import ValueType
from pycorosync.cs_error import CsError
from pycorosync.errors import ConfigError
from pycorosync.services.cfg import messages as cfg
from pycorosync.services.cpg.messages import PLAIN_REQUEST
from pycorosync.services.quorum import messages as quorum
from pycorosync.services.service import RESPONSE_HEADER, TrackFlags
from pycorosync.services.votequorum import messages as votes
from pycorosync.services.votequorum.messages import Info, VoteRequest
from pycorosync.tools.quorumtool import FLAG_WORDS
from pycorosync.types import NodeId, RingId
from pycorosync.wire.fixed import Fixed
from tests.scenarios.votequorum.script import Configuration, Status, together
from tests.simulator.clients import Client
from tests.simulator.cluster import Cluster, Setup
from tests.simulator.host import Daemon
from tests.simulator.network import MS

TOKEN_MS: Final = 1000
SETTLED_MS: Final = 400
WITHIN_MS: Final = 60_000
POLL_MS: Final = 300
PID: Final = 100
KINDS: Final = {"u8": ValueType.UINT8, "u32": ValueType.UINT32, "str": ValueType.STRING}


class Asker(Client):
    """Asks one question and waits for the answer."""

    def __init__(self, daemon: Daemon, service_id: int) -> None:
        super().__init__(daemon, service_id, PID)
        self.answers: list[bytes] = []
        self.events: list[bytes] = []

    def on_response(self, payload: bytes) -> None:
        self.answers.append(payload)

    def on_event(self, payload: bytes) -> None:
        self.events.append(payload)

    def ask(self, number: int, layout: Fixed, *values: object) -> bytes:
        self.write(layout.encode(number, layout.size, *values))
        cluster = self.daemon.host.cluster
        cluster.run_until(lambda: bool(self.answers), 10_000, "an answer", look_every=1)
        return self.answers.pop()

    def code(self, number: int, layout: Fixed, *values: object) -> CsError:
        return CsError(RESPONSE_HEADER.decode(self.ask(number, layout, *values)).error)


class Device(Client):
    """What corosync-qdevice is to corosync: registers, hears of each ring, and polls."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon, votes.SERVICE_ID, PID)
        self.name = b""
        self.vote = True
        self.silent = True
        self.ring_id = RingId(0, 0)
        self.answers: list[bytes] = []
        layout = votes.TRACK_START_REQUEST
        self.write(layout.encode(VoteRequest.TRACK_START, layout.size, 0, TrackFlags(3)))

    def on_response(self, payload: bytes) -> None:
        self.answers.append(payload)

    def on_event(self, payload: bytes) -> None:
        event = vote_event_of(payload)
        if isinstance(event, NodeList):
            self.ring_id = event.ring_id
            self.poll()

    def poll(self) -> None:
        if not self.silent:
            layout = votes.DEVICE_POLL_REQUEST
            self.write(
                layout.encode(VoteRequest.DEVICE_POLL, layout.size, self.name, int(self.vote), *self.ring_id)
            )

    def tick(self) -> None:
        """Poll now and again."""
        if self.daemon.alive and not self.gone:
            self.poll()
            self.daemon.host.cluster.schedule.after(POLL_MS * MS, self.tick)


class SimulatedStage:
    """The stage."""

    def __init__(self, hosts: int, seed: int = 1) -> None:
        self.cluster = Cluster(seed, Setup(nodes=hosts, transport="udpu", token_ms=TOKEN_MS))
        self.devices: dict[NodeId, Device] = {}

    @contextmanager
    def open(self) -> Iterator["SimulatedStage"]:
        with self.cluster.log.installed():
            yield self

    # --- life

    def configure(self, configuration: Configuration) -> None:
        text = (
            f"totem {{\n  version: 2\n  cluster_name: sim\n  transport: udpu\n  token: {TOKEN_MS}\n"
            f"  token_coefficient: 0\n  config_version: {configuration.version}\n}}\n"
            + configuration.sections(lambda node: f"10.0.0.{node}")
            + "logging {\n  to_syslog: no\n  to_stderr: no\n}\n"
        )
        for host in self.cluster.hosts.values():
            host.text = text

    def start(self, nodes: Sequence[NodeId]) -> dict[NodeId, str]:
        ended = {}
        for node in nodes:
            try:
                self.cluster.start(node)
            except ConfigError as error:
                ended[node] = f"ended 20 {error.faults[0].text}"
        return ended

    def stop(self, node: NodeId) -> None:
        host = self.cluster.host(node)
        host.stop()
        self.cluster.run_until(lambda: host.daemon is None, WITHIN_MS, f"n{node} to leave", look_every=1)

    def crash(self, node: NodeId) -> None:
        self.cluster.host(node).crash()

    def split(self, sides: Sequence[Sequence[NodeId]]) -> None:
        self.cluster.heal()
        if sides:
            self.cluster.partition(*sides)

    def wait(self, ms: int) -> None:
        self.cluster.run(ms)

    # --- clients

    @contextmanager
    def _asker(self, node: NodeId, service_id: int) -> Iterator[Asker]:
        asker = Asker(self.cluster.daemon(node), service_id)
        yield asker
        asker.close()

    def reload(self, node: NodeId) -> str:
        with self._asker(node, cfg.SERVICE_ID) as asker:
            return asker.code(cfg.CfgRequest.RELOAD_CONFIG, PLAIN_REQUEST).label

    def set_expected(self, node: NodeId, number: int) -> str:
        with self._asker(node, votes.SERVICE_ID) as asker:
            return asker.code(VoteRequest.SET_EXPECTED, votes.SET_EXPECTED_REQUEST, number).label

    def set_votes(self, node: NodeId, about: NodeId, number: int) -> str:
        with self._asker(node, votes.SERVICE_ID) as asker:
            return asker.code(VoteRequest.SET_VOTES, votes.SET_VOTES_REQUEST, number, about).label

    def set_key(self, node: NodeId, key: str, kind: str, value: str) -> str:
        daemon = self.cluster.daemon(node)
        cmap = daemon.node.view.cmap
        if cmap.is_read_only(key):
            return CsError.ACCESS.label
        cmap.set(key, KINDS[kind], value if kind == "str" else int(value))
        daemon.wake()
        return CsError.OK.label

    def device(self, node: NodeId, order: str) -> str:
        word, _, rest = order.partition(" ")
        if word == "register":
            self.devices[node] = Device(self.cluster.daemon(node))
        device = self.devices[node]
        return DEVICE_ORDERS[word](self, device, rest)

    def _ask(self, device: Device, number: int, layout: Fixed, *values: object) -> str:
        device.answers.clear()
        with self._asker(device.daemon.host.node_id, votes.SERVICE_ID) as asker:
            return asker.code(number, layout, *values).label

    def _register(self, device: Device, name: str) -> str:
        device.name = name.encode()
        result = self._ask(device, VoteRequest.DEVICE_REGISTER, votes.DEVICE_NAME_REQUEST, device.name)
        device.tick()
        return result

    def _votes(self, device: Device, _rest: str) -> str:
        device.silent, device.vote = False, True
        device.poll()
        return CsError.OK.label

    def _abstains(self, device: Device, _rest: str) -> str:
        device.silent, device.vote = False, False
        device.poll()
        return CsError.OK.label

    def _is_silent(self, device: Device, _rest: str) -> str:
        device.silent = True
        return CsError.OK.label

    def _unregister(self, device: Device, _rest: str) -> str:
        device.silent = True
        return self._ask(device, VoteRequest.DEVICE_UNREGISTER, votes.DEVICE_NAME_REQUEST, device.name)

    def _wins(self, device: Device, rest: str) -> str:
        layout = votes.DEVICE_MASTER_WINS_REQUEST
        return self._ask(device, VoteRequest.DEVICE_MASTER_WINS, layout, device.name, int(rest == "on"))

    def unregister(self, node: NodeId) -> str:
        with self._asker(node, votes.SERVICE_ID) as asker:
            info = votes.GET_INFO_RESPONSE.decode(
                asker.ask(VoteRequest.GET_INFO, votes.GET_INFO_REQUEST, node)
            )
            if not info.flags & Info.DEVICE_REGISTERED:
                return CsError.OK.label
            return asker.code(
                VoteRequest.DEVICE_UNREGISTER, votes.DEVICE_NAME_REQUEST, info.device_name
            ).label

    # --- what is seen

    def look(self, members: dict[NodeId, tuple[NodeId, ...]], wanted: Sequence[str] | None) -> list[str]:
        del wanted  # time is ours: everything that was to happen has happened

        def formed() -> bool:
            return all(self.cluster.formed(*ring) for ring in set(members.values()))

        if members:
            self.cluster.run_until(formed, WITHIN_MS, f"rings of {set(members.values())}")
            self.cluster.run(SETTLED_MS)
            self.cluster.run_until(formed, WITHIN_MS, f"rings of {set(members.values())}")
        return together({node: str(self._status(node)) for node in members})

    def _status(self, node: NodeId) -> Status:
        with self._asker(node, 3) as asker:
            layout = quorum.TRACK_START_REQUEST
            asker.ask(quorum.QuorumRequest.TRACK_START, layout, TrackFlags.CURRENT)
            event = event_of(asker.events[-1])
            assert isinstance(event, QuorumChanged)
        with self._asker(node, votes.SERVICE_ID) as asker:
            infos = {
                each: votes.GET_INFO_RESPONSE.decode(
                    asker.ask(VoteRequest.GET_INFO, votes.GET_INFO_REQUEST, each)
                )
                for each in dict.fromkeys((node, *event.members))
            }
        us = infos[node]
        flags = Info(us.flags)
        shows_device = any(infos[each].flags & Info.DEVICE_REGISTERED for each in event.members)
        device = ""
        if shows_device:
            casts = Info.DEVICE_CAST_VOTE in flags
            name = votes.name_in(us.device_name) or b""
            device = f"{us.device_votes if casts else 0} {name.decode()}" + (
                "" if casts else f" (votes {us.device_votes})"
            )
        return Status(
            exit_status=0 if event.quorate else 2,
            quorate=event.quorate,
            expected=us.expected_votes,
            highest=us.highest_expected,
            total=us.total_votes,
            quorum=us.quorum,
            blocked=Info.QUORATE not in flags,
            flags=tuple(word for flag, word in FLAG_WORDS if flag in flags),
            members=tuple(
                f"{each}:{infos[each].votes}" + (f":{_letters(infos[each].flags)}" if shows_device else "")
                for each in event.members
            ),
            device=device,
        )


DEVICE_ORDERS: Final[dict[str, Callable[[SimulatedStage, Device, str], str]]] = {
    "register": SimulatedStage._register,
    "votes": SimulatedStage._votes,
    "abstains": SimulatedStage._abstains,
    "silent": SimulatedStage._is_silent,
    "unregister": SimulatedStage._unregister,
    "wins": SimulatedStage._wins,
}


def _letters(flags: Info) -> str:
    if not flags & Info.DEVICE_REGISTERED:
        return "NR"
    return ",".join(
        (
            "A" if flags & Info.DEVICE_ALIVE else "NA",
            "V" if flags & Info.DEVICE_CAST_VOTE else "NV",
            "MW" if flags & Info.DEVICE_MASTER_WINS else "NMW",
        )
    )
