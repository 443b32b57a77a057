"""What clients and nodes may ask of the cfg service (pycorosync/services/cfg/service.py)."""

import struct

import pytest

from pycorosync.cmap.store import Change, TrackEvent
from pycorosync.cs_error import CsError
from pycorosync.services.cfg import messages
from pycorosync.services.cfg.messages import CfgExec, CfgRequest, CfgResponse
from pycorosync.services.cfg.service import CfgService
from pycorosync.services.outputs import ReadConfiguration, ReconfigureCrypto, ReopenLogs, Respond, StopDaemon
from pycorosync.wire.fixed import BIG
from tests.services.cfg.fakes import MS, Bench, FakeTransport, answer, multicast, question

REQUEST, REGARDLESS, IMMEDIATE = (struct.pack("<I", flag) for flag in range(3))
NO, YES = (struct.pack("<I", reply) for reply in range(2))
TRACK = bytes(1)
SHUTDOWN = messages.SHUTDOWN_EXEC.encode(0x10002, 16)


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# --- questions


def test_every_request_of_the_library_is_answered() -> None:
    assert set(CfgService.REQUESTS) == set(CfgRequest)


def test_local_get() -> None:
    (output,) = Bench().ask(1, CfgRequest.LOCAL_GET)
    assert answer(output) == (1, CfgResponse.LOCAL_GET, CsError.OK)
    assert isinstance(output, Respond)
    assert messages.LOCAL_GET_RESPONSE.decode(output.payload).node_id == 1


@pytest.mark.parametrize(
    ("request_", "body", "response"),
    [
        (CfgRequest.GET_NODE_ADDRS, struct.pack("<I", 2), CfgResponse.GET_NODE_ADDRS),
        (CfgRequest.RING_STATUS_GET, b"", CfgResponse.RING_STATUS_GET),
        (CfgRequest.NODE_STATUS_GET, struct.pack("<I4xI", 2, 1), CfgResponse.NODE_STATUS_GET),
    ],
)
def test_questions_about_links(request_: CfgRequest, body: bytes, response: CfgResponse) -> None:
    (output,) = Bench().ask(3, request_, body)
    assert answer(output) == (3, response, CsError.OK)


def test_a_node_that_knet_does_not_know_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    (output,) = Bench().ask(1, CfgRequest.NODE_STATUS_GET, struct.pack("<I4xI", 9, 1))
    assert answer(output) == (1, CfgResponse.NODE_STATUS_GET, CsError.FAILED_OPERATION)
    assert texts(caplog) == ["knet_handle_get_host_status(9) failed: -1"]


def test_rings_are_never_reenabled() -> None:
    (output,) = Bench().ask(1, CfgRequest.RING_REENABLE)
    assert answer(output) == (1, CfgResponse.RING_REENABLE, CsError.NOT_SUPPORTED)
    assert Bench().deliver(messages.EMPTY_REQUEST.encode(0x10000, 16), node_id=2) == []


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (CfgRequest.KILL_NODE, CfgResponse.KILL_NODE),
        (CfgRequest.TRY_SHUTDOWN, CfgResponse.TRY_SHUTDOWN),
        (CfgRequest.REPLY_TO_SHUTDOWN, CfgResponse.REPLY_TO_SHUTDOWN),
        (CfgRequest.GET_NODE_ADDRS, CfgResponse.GET_NODE_ADDRS),
        (CfgRequest.NODE_STATUS_GET, CfgResponse.NODE_STATUS_GET),
        (CfgRequest.TRACK_START, CfgResponse.TRACK_START),
    ],
)
def test_a_request_that_is_too_short_is_refused(request_: CfgRequest, response: CfgResponse) -> None:
    (output,) = Bench().ask(1, request_)
    assert answer(output) == (1, response, CsError.INVALID_PARAM)


def test_log_files_are_reopened() -> None:
    first, second = Bench().ask(1, CfgRequest.REOPEN_LOG_FILES)
    assert first == ReopenLogs()
    assert answer(second) == (1, CfgResponse.REOPEN_LOG_FILES, CsError.OK)


# --- killing nodes


def kill_request(node_id: int, reason: bytes = b"why\0junk") -> bytes:
    return struct.pack("<I4xH256s", node_id, 4, reason)


def test_a_member_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sent, response = Bench().ask(1, CfgRequest.KILL_NODE, kill_request(2))
    assert answer(response) == (1, CfgResponse.KILL_NODE, CsError.OK)
    function, message = multicast(sent)
    assert function is CfgExec.KILL_NODE
    record = messages.KILL_NODE_EXEC.decode(message)
    assert (record.node_id, record.reason_length, record.reason) == (2, 4, b"why".ljust(256, b"\0"))

    assert Bench().deliver(message, node_id=2) == []  # on node 1
    victim = Bench()
    victim.view.node_id = 2
    assert victim.deliver(message) == [StopDaemon(-1, leave=False)]
    assert texts(caplog)[-2:] == ["request to kill node 2 (us=2)", "Killed by node 1 : why"]


def test_the_order_to_kill_is_understood_from_any_machine() -> None:
    message = messages.KILL_NODE_EXEC.encode(0x10001, 288, 1, 2, b"x", order=BIG)
    assert Bench().deliver(message, node_id=2, order=BIG) == [StopDaemon(-1, leave=False)]


@pytest.mark.parametrize("status", ["left", None])
def test_who_is_no_member_cannot_be_killed(status: str | None) -> None:
    bench = Bench()
    bench.view.cmap.delete("runtime.members.2.status")
    if status:
        bench.view.cmap.set_str("runtime.members.2.status", status)
    (output,) = bench.ask(1, CfgRequest.KILL_NODE, kill_request(2))
    assert answer(output) == (1, CfgResponse.KILL_NODE, CsError.NOT_EXIST)


# --- shutting down


def tracking(*clients: int) -> Bench:
    bench = Bench()
    for client in clients:
        (output,) = bench.ask(client, CfgRequest.TRACK_START, TRACK)
        assert answer(output) == (client, CfgResponse.TRACK_START, CsError.OK)
    return bench


def test_with_nobody_to_ask_the_node_goes_down(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bench = tracking(1)  # who asks for it is not asked
    response, sent = bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    assert answer(response) == (1, CfgResponse.TRY_SHUTDOWN, CsError.OK)
    assert multicast(sent) == (CfgExec.SHUTDOWN, SHUTDOWN)
    assert bench.service.next_deadline() is None
    assert bench.deliver(SHUTDOWN) == [StopDaemon(0)]
    assert texts(caplog) == ["Node 1 was shut down by sysadmin"]


def test_another_node_that_goes_down_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert Bench().deliver(SHUTDOWN, node_id=2) == []
    assert texts(caplog) == ["Node 2 was shut down by sysadmin"]


def test_at_once_nobody_is_asked() -> None:
    sent, response = tracking(2, 3).ask(1, CfgRequest.TRY_SHUTDOWN, IMMEDIATE)
    assert multicast(sent)[0] is CfgExec.SHUTDOWN
    assert answer(response) == (1, CfgResponse.TRY_SHUTDOWN, CsError.OK)


def test_all_agree(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    bench = tracking(2, 3)
    questions = bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    assert [question(output) for output in questions] == [(2, CsError.OK, 0), (3, CsError.OK, 0)]
    (reply,) = bench.ask(2, CfgRequest.REPLY_TO_SHUTDOWN, YES)
    assert answer(reply) == (2, CfgResponse.REPLY_TO_SHUTDOWN, CsError.OK)
    decided, sent, reply = bench.ask(3, CfgRequest.REPLY_TO_SHUTDOWN, YES)
    assert answer(decided) == (1, CfgResponse.TRY_SHUTDOWN, CsError.OK)
    assert multicast(sent)[0] is CfgExec.SHUTDOWN
    assert answer(reply) == (3, CfgResponse.REPLY_TO_SHUTDOWN, CsError.OK)
    assert texts(caplog) == ["shutdown decision is: (yes count: 2, no count: 0) flags=0"]


def test_one_objects() -> None:
    bench = tracking(2, 3)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    bench.ask(2, CfgRequest.REPLY_TO_SHUTDOWN, NO)
    decided, reply = bench.ask(3, CfgRequest.REPLY_TO_SHUTDOWN, YES)
    assert answer(decided) == (1, CfgResponse.TRY_SHUTDOWN, CsError.BUSY)
    assert answer(reply) == (3, CfgResponse.REPLY_TO_SHUTDOWN, CsError.OK)
    assert bench.service.next_deadline() is None


def test_regardless_of_objections() -> None:
    bench = tracking(2)
    assert question(bench.ask(1, CfgRequest.TRY_SHUTDOWN, REGARDLESS)[0]) == (2, CsError.OK, 1)
    decided, sent, _ = bench.ask(2, CfgRequest.REPLY_TO_SHUTDOWN, NO)
    assert answer(decided) == (1, CfgResponse.TRY_SHUTDOWN, CsError.OK)
    assert multicast(sent)[0] is CfgExec.SHUTDOWN


def test_only_one_attempt_at_a_time() -> None:
    bench = tracking(2)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    (output,) = bench.ask(3, CfgRequest.TRY_SHUTDOWN, REQUEST)
    assert answer(output) == (3, CfgResponse.TRY_SHUTDOWN, CsError.EXIST)


def test_a_reply_without_a_question_is_refused() -> None:
    (output,) = tracking(2).ask(2, CfgRequest.REPLY_TO_SHUTDOWN, YES)
    assert answer(output) == (2, CfgResponse.REPLY_TO_SHUTDOWN, CsError.ACCESS)


def test_a_newcomer_is_asked_too() -> None:
    bench = tracking(2)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    asked, response = bench.ask(3, CfgRequest.TRACK_START, TRACK)
    assert question(asked) == (3, CsError.OK, 0)
    assert answer(response) == (3, CfgResponse.TRACK_START, CsError.OK)
    assert len(bench.ask(2, CfgRequest.REPLY_TO_SHUTDOWN, YES)) == 1
    assert len(bench.ask(3, CfgRequest.REPLY_TO_SHUTDOWN, YES)) == 3


def test_tracking_twice_changes_nothing() -> None:
    bench = tracking(2, 2)
    assert len(bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)) == 1


def test_who_goes_agrees() -> None:
    bench = tracking(2, 3)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    bench.service.on_client_gone(2, bench.now_ns)
    assert bench.take() == []
    decided, sent, response = bench.ask(3, CfgRequest.TRACK_STOP)
    assert answer(decided) == (1, CfgResponse.TRY_SHUTDOWN, CsError.OK)
    assert multicast(sent)[0] is CfgExec.SHUTDOWN
    assert answer(response) == (3, CfgResponse.TRACK_STOP, CsError.OK)


def test_the_attempt_ends_with_its_originator() -> None:
    bench = tracking(2)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    bench.service.on_client_gone(1, bench.now_ns)
    assert bench.service.next_deadline() is None
    (output,) = bench.ask(2, CfgRequest.REPLY_TO_SHUTDOWN, YES)
    assert answer(output) == (2, CfgResponse.REPLY_TO_SHUTDOWN, CsError.ACCESS)


@pytest.mark.parametrize(("flags", "error"), [(REQUEST, CsError.BUSY), (REGARDLESS, CsError.OK)])
def test_time_runs_out(flags: bytes, error: CsError) -> None:
    bench = tracking(2)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, flags)
    deadline = bench.service.next_deadline()
    assert deadline == bench.now_ns + 5000 * MS
    bench.service.on_timer(deadline - 1)
    assert bench.take() == []
    bench.service.on_timer(deadline)
    outputs = bench.take()
    assert answer(outputs[0]) == (1, CfgResponse.TRY_SHUTDOWN, error)
    assert len(outputs) == (2 if error is CsError.OK else 1)
    assert bench.service.next_deadline() is None


def test_a_tracker_that_asked_itself_is_told_that_time_has_run_out() -> None:
    bench = tracking(1, 2)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    bench.service.on_timer(bench.now_ns + 5000 * MS)
    decided, told = bench.take()
    assert answer(decided) == (1, CfgResponse.TRY_SHUTDOWN, CsError.BUSY)
    assert question(told) == (1, CsError.TIMEOUT, 0)


def test_the_time_for_answers_can_be_set() -> None:
    bench = tracking(2)
    bench.view.cmap.set_u32("cfg.shutdown_timeout", 70)
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    assert bench.service.next_deadline() == bench.now_ns + 70 * MS


def test_a_time_of_another_type_is_ignored() -> None:
    bench = tracking(2)
    bench.view.cmap.set_str("cfg.shutdown_timeout", "70")
    bench.ask(1, CfgRequest.TRY_SHUTDOWN, REQUEST)
    assert bench.service.next_deadline() == bench.now_ns + 5000 * MS


# --- reload


def reload_request(bench: Bench, client: int = 1) -> bytes:
    (sent,) = bench.ask(client, CfgRequest.RELOAD_CONFIG)
    function, message = multicast(sent)
    assert function is CfgExec.RELOAD_CONFIG
    return bytes(message)


def watched(bench: Bench) -> list[tuple[str, object]]:
    seen: list[tuple[str, object]] = []

    def note(change: Change) -> None:
        seen.append((change.key.removeprefix("config."), change.new and change.new.value))

    every = TrackEvent.ADD | TrackEvent.MODIFY | TrackEvent.DELETE | TrackEvent.PREFIX
    bench.view.cmap.track("config.", every, note)
    return seen


def test_a_reload_answers_when_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bench = Bench()
    seen = watched(bench)
    message = reload_request(bench)
    assert bench.deliver(message) == [ReadConfiguration()]
    bench.service.on_configuration_read(bench.now_ns)
    assert bench.take() == []
    bench.service.on_reloaded(CsError.OK, bench.now_ns)
    (output,) = bench.take()
    assert answer(output) == (1, CfgResponse.RELOAD_CONFIG, CsError.OK)
    assert texts(caplog) == ["Config reload requested by node 1"]
    assert seen == [
        ("totemconfig_reload_in_progress", 1),
        ("reload_in_progress", 1),
        ("reload_status", 1),
        ("totemconfig_reload_in_progress", 0),
        ("reload_in_progress", 0),
    ]


def test_a_configuration_that_is_refused() -> None:
    bench = Bench()
    bench.deliver(reload_request(bench))
    bench.service.on_configuration_read(bench.now_ns)
    bench.service.on_reloaded(CsError.INVALID_PARAM, bench.now_ns, refusal="Configuration is not valid: x")
    assert bench.view.cmap.get_str("config.reload_refusal") == "Configuration is not valid: x"
    assert answer(bench.take()[0]) == (1, CfgResponse.RELOAD_CONFIG, CsError.INVALID_PARAM)
    assert bench.view.cmap.get_int("config.reload_status") == 7
    assert bench.view.cmap.get_int("config.reload_in_progress") == 0


def test_a_file_that_cannot_be_parsed_leaves_no_key_behind(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    seen = watched(bench)
    bench.deliver(reload_request(bench))
    bench.service.on_configuration_unreadable("parser error: f:3: Missing closing brace", bench.now_ns)
    assert bench.view.cmap.get_str("config.reload_refusal") == "parser error: f:3: Missing closing brace"
    assert answer(bench.take()[0]) == (1, CfgResponse.RELOAD_CONFIG, CsError.INVALID_PARAM)
    assert texts(caplog) == ["Unable to reload config file: parser error: f:3: Missing closing brace"]
    assert seen == [
        ("totemconfig_reload_in_progress", 1),
        ("reload_refusal", "parser error: f:3: Missing closing brace"),
        ("reload_status", 7),
        ("totemconfig_reload_in_progress", 0),
    ]


def test_a_reload_of_another_node_is_answered_there() -> None:
    there, here = Bench(), Bench()
    there.view.node_id = 2
    assert here.deliver(reload_request(there), node_id=2) == [ReadConfiguration()]
    here.service.on_reloaded(CsError.OK, here.now_ns)
    assert here.take() == []


def test_a_client_that_asks_again_before_the_answer_is_refused() -> None:
    bench = Bench()
    reload_request(bench)
    (output,) = bench.ask(1, CfgRequest.RELOAD_CONFIG)
    assert answer(output) == (1, CfgResponse.RELOAD_CONFIG, CsError.BUSY)


def test_a_client_that_has_gone_is_not_answered() -> None:
    bench = Bench()
    message = reload_request(bench)
    bench.service.on_client_gone(1, bench.now_ns)
    bench.deliver(message)
    bench.service.on_reloaded(CsError.OK, bench.now_ns)
    assert bench.take() == []


def test_reloads_that_come_meanwhile_are_served_by_one_more_reading() -> None:
    bench = Bench()
    first, second, third = (reload_request(bench, client) for client in (1, 2, 3))
    assert bench.deliver(first) == [ReadConfiguration()]
    assert bench.deliver(second) == bench.deliver(third) == []
    bench.service.on_reloaded(CsError.INVALID_PARAM, bench.now_ns)
    done, again = bench.take()
    assert answer(done) == (1, CfgResponse.RELOAD_CONFIG, CsError.INVALID_PARAM)
    assert again == ReadConfiguration()
    bench.service.on_reloaded(CsError.OK, bench.now_ns)
    assert [answer(output)[0] for output in bench.take()] == [2, 3]


def test_an_old_message_about_a_failed_reload_goes_away() -> None:
    bench = Bench()
    bench.view.cmap.set_str("config.reload_error_message", "old")
    bench.deliver(reload_request(bench))
    assert "config.reload_error_message" not in bench.view.cmap


# --- new keys


def crypto(phase: int) -> bytes:
    return messages.CRYPTO_RECONFIG_EXEC.encode(0x10004, 24, phase)


def test_new_keys_come_into_use_in_two_steps() -> None:
    bench = Bench()
    bench.deliver(reload_request(bench))
    bench.service.on_reloaded(CsError.OK, bench.now_ns, crypto_changed=True)
    sent, response = bench.take()
    assert multicast(sent) == (CfgExec.CRYPTO_RECONFIG, crypto(1))
    assert answer(response) == (1, CfgResponse.RELOAD_CONFIG, CsError.OK)
    activate, sent = bench.deliver(crypto(1))
    assert activate == ReconfigureCrypto(1)
    assert multicast(sent) == (CfgExec.CRYPTO_RECONFIG, crypto(2))
    assert bench.deliver(crypto(2)) == [ReconfigureCrypto(2)]


def test_each_node_changes_its_keys_for_itself() -> None:
    assert Bench().deliver(crypto(1), node_id=2) == []
    assert Bench().deliver(crypto(3)) == []


def test_udp_answers_for_any_node() -> None:
    bench = Bench(FakeTransport("udp", links=1))
    (output,) = bench.ask(1, CfgRequest.NODE_STATUS_GET, struct.pack("<I4xI", 9, 1))
    assert answer(output) == (1, CfgResponse.NODE_STATUS_GET, CsError.OK)
