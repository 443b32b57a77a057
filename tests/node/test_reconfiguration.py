"""A changed file, or a changed key, in a running node."""

import struct
from ipaddress import ip_address

import pytest

from pycorosync.config.host import HostFacts, LocalAddress
from pycorosync.cs_error import CsError
from pycorosync.node.reconfiguration import ConfigurationFiles
from pycorosync.services.outputs import ReadConfiguration
from pycorosync.services.service import REQUEST_HEADER, RESPONSE_HEADER
from tests.nodes import CONFIGURATION, SimulatedNode

CFG = 1
RELOAD = 7
HOST = HostFacts(hostname="n1", addresses=(LocalAddress(ip_address("192.0.2.1")),))


@pytest.fixture
def simulated() -> SimulatedNode:
    started = SimulatedNode()
    started.start()
    started.done.clear()
    return started


def _reload(simulated: SimulatedNode, files: ConfigurationFiles | str) -> int:
    """Ask for a reload as corosync-cfgtool -R does; the result that the client gets."""
    client = simulated.connect(CFG)
    assert simulated.request(client, CFG, REQUEST_HEADER.encode(RELOAD, 16)) is None, (
        "answered before its time"
    )
    assert ReadConfiguration() in simulated.done
    simulated.done.clear()
    simulated.node.reload(files, simulated.now_ns)
    simulated.settle()
    return int(RESPONSE_HEADER.decode(simulated.responses[client].pop()).error)


def _files(text: str) -> ConfigurationFiles:
    return ConfigurationFiles(text.encode(), "corosync.conf", HOST, ())


def test_new_timers_reach_the_map_and_the_ring(simulated: SimulatedNode) -> None:
    text = CONFIGURATION.replace("version: 2", "version: 2\n  token: 4242")
    assert _reload(simulated, _files(text)) == CsError.OK
    assert simulated.value("runtime.config.totem.token") == 4242
    assert simulated.node._ring.config.token_ms == 4242
    assert simulated.value("config.reload_status") == CsError.OK
    assert simulated.value("config.reload_in_progress") == 0


def test_what_the_file_no_longer_says_goes(simulated: SimulatedNode) -> None:
    longer = CONFIGURATION.replace("version: 2", "version: 2\n  token: 4242")
    assert _reload(simulated, _files(longer)) == CsError.OK
    assert _reload(simulated, _files(CONFIGURATION)) == CsError.OK
    assert simulated.value("totem.token") is None
    assert simulated.value("runtime.config.totem.token") == 3000


@pytest.mark.parametrize(
    "text",
    [
        CONFIGURATION.replace("version: 2", "version: 2\n  token: 4242\n  join: 9999"),
        CONFIGURATION.replace("version: 2", "version 2"),
        CONFIGURATION.replace("version: 2", "version: 2\n  token: -5"),
        "totem {",
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(simulated: SimulatedNode, text: str) -> None:
    cmap = simulated.node.view.cmap
    before = {
        key: entry for key, entry in cmap.items() if not key.startswith(("config.", "runtime.services"))
    }
    assert _reload(simulated, _files(text)) == CsError.INVALID_PARAM
    after = {key: entry for key, entry in cmap.items() if not key.startswith(("config.", "runtime.services"))}
    assert after == before
    assert simulated.value("config.reload_status") == CsError.INVALID_PARAM


def test_a_file_that_cannot_be_read_is_refused(simulated: SimulatedNode) -> None:
    assert (
        _reload(simulated, "Can't read file corosync.conf: No such file or directory")
        == CsError.INVALID_PARAM
    )


def test_what_cannot_change_keeps_its_value_and_the_rest_counts(
    simulated: SimulatedNode, caplog: pytest.LogCaptureFixture
) -> None:
    text = CONFIGURATION.replace("cluster_name: test", "cluster_name: other\n  token: 4242")
    with caplog.at_level("INFO", "corosync.CFG"):
        assert _reload(simulated, _files(text)) == CsError.OK
    assert simulated.value("totem.cluster_name") == "test"
    assert simulated.value("totem.token") == 4242
    notice = "Modified entry 'totem.cluster_name' in corosync.conf cannot be changed at run-time"
    assert notice in caplog.text


def test_a_key_that_a_client_sets_takes_effect(simulated: SimulatedNode) -> None:
    simulated.node.view.cmap.set_u32("totem.token", 7000)
    simulated.settle()
    assert simulated.value("runtime.config.totem.token") == 7000
    assert simulated.node._ring.config.token_ms == 7000


def test_a_reload_during_traffic_loses_no_message(simulated: SimulatedNode) -> None:
    group = struct.pack("=I4x128s", 4, b"test")
    client = simulated.connect(2)
    simulated.request(client, 2, REQUEST_HEADER.encode(0, 168) + group + struct.pack("=I4xI4x", 100, 0))
    simulated.events[client].clear()
    message = memoryview(struct.pack("=i4xi4xi4xi4xi4x", 2, 44, 0, 2, 4) + b"body")
    for number in range(100):
        assert simulated.node.on_request(client, 2, message, simulated.now_ns, simulated.counters)
        if number % 10 == 0:
            text = CONFIGURATION.replace("version: 2", f"version: 2\n  token: {4000 + number}")
            simulated.node.reload(_files(text), simulated.now_ns)
    simulated.settle()
    assert len(simulated.events[client]) == 100
