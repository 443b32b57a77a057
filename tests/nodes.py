"""A whole node in virtual time, without a shell: what scenario tests drive."""

from ipaddress import ip_address
from random import Random

from pycorosync.cmap.stats import StatsMap
from pycorosync.config.host import HostFacts, LocalAddress
from pycorosync.config.load import load
from pycorosync.node.assembly import build_services
from pycorosync.node.node import Node
from pycorosync.node.outputs import SaveRingId
from pycorosync.services.cpg.zero_copy import NoSharedBuffers
from pycorosync.services.outputs import Respond, SendEvent, SendEvents
from pycorosync.services.service import ClientInfo

CONFIGURATION = """
totem {
  version: 2
  cluster_name: test
  transport: knet
}
nodelist {
  node {
    name: n1
    nodeid: 1
    ring0_addr: 192.0.2.1
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_syslog: no
  to_stderr: no
}
"""
MS = 1_000_000


class Counters:
    """What a connection counts."""

    def __init__(self) -> None:
        self.invalid_request = 0
        self.overload = 0


class SimulatedNode:
    """One node, its clock, and the clients that a test pretends to be."""

    def __init__(
        self, text: str = CONFIGURATION, *, ring_seq: int = 0, seed: int = 1, now_ns: int = 1_000 * MS
    ) -> None:
        host = HostFacts(hostname="n1", addresses=(LocalAddress(ip_address("192.0.2.1")),))
        self.configuration = load(text, "corosync.conf", host=host)
        self.now_ns = now_ns
        self.node: Node = Node(self.configuration, ring_seq, Random(seed), Random(seed).randbytes)
        self.stats = StatsMap()
        self.node.add_stats(self.stats)
        for service in build_services(self.node.view, self.stats, NoSharedBuffers(), 0, self.now_ns):
            self.node.load(service, self.now_ns)
        self.node.publish_controls()
        self.saved: list[int] = []
        self.done: list[object] = []
        self.responses: dict[int, list[bytes]] = {}
        self.events: dict[int, list[bytes]] = {}
        self.counters = Counters()
        self._next_client = 0

    def start(self) -> None:
        """Begin, and go on until nothing is due at once."""
        self.node.start(self.now_ns)
        self.settle()

    def settle(self) -> None:
        """Run until only time can bring more."""
        for _ in range(10_000):
            self.node.run(self.now_ns)
            self._collect()
            deadline = self.node.next_deadline()
            if deadline is None or deadline > self.now_ns:
                return
        raise AssertionError("the node never comes to rest")

    def advance(self, ms: int) -> None:
        """Let time pass, from deadline to deadline."""
        end = self.now_ns + ms * MS
        while True:
            self.settle()
            deadline = self.node.next_deadline()
            if deadline is None or deadline > end:
                break
            self.now_ns = max(self.now_ns, deadline)
        self.now_ns = end
        self.settle()

    def _collect(self) -> None:
        for output in self.node.outputs:
            match output:
                case Respond():
                    self.responses[output.client].append(bytes(output.payload))
                case SendEvent():
                    self.events[output.client].append(bytes(output.head) + bytes(output.body))
                case SendEvents():
                    for client, head, body in output.events:
                        self.events[client].append(bytes(head) + bytes(body))
                case SaveRingId():
                    self.saved.append(output.seq)
                case _:
                    self.done.append(output)
        self.node.outputs.clear()

    # --- clients

    def connect(self, service_id: int, *, pid: int = 100, uid: int = 0, gid: int = 0) -> int:
        """A client; raises PermissionError-like OSError with the errno it would get."""
        self._next_client += 1
        info = ClientInfo(self._next_client, service_id, pid, uid, gid)
        if error := self.node.may_connect(info):
            raise OSError(error, "refused")
        self.responses[info.client], self.events[info.client] = [], []
        self.node.on_client(info, self.now_ns)
        return info.client

    def request(self, client: int, service_id: int, message: bytes) -> bytes | None:
        """Send a request and return its response, if there is one."""
        taken = self.node.on_request(client, service_id, memoryview(message), self.now_ns, self.counters)
        self.settle()
        if not taken or not self.responses[client]:
            return None
        return self.responses[client].pop(0)

    def value(self, key: str) -> object:
        """A key of the configuration map, with counters up to date."""
        self.node.publish_counters()
        return self.node.view.cmap.value(key)
