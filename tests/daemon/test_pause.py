"""Pauses of the whole process (pycorosync/daemon/pause.py)."""

import pytest

from pycorosync.daemon.pause import PauseDetector

MS = 1_000_000
START = 5_000 * MS


def test_it_looks_every_third_of_the_token_timeout() -> None:
    detector = PauseDetector(lambda: 3000)
    assert detector.next_deadline(START) == START + 1000 * MS
    assert detector.next_deadline(START + 999 * MS) == START + 1000 * MS
    assert detector.next_deadline(START + 1000 * MS) == START + 2000 * MS


def test_a_gap_of_up_to_four_fifths_of_the_timeout_is_none(caplog: pytest.LogCaptureFixture) -> None:
    detector = PauseDetector(lambda: 3000)
    now_ns = START
    for _ in range(5):
        detector.next_deadline(now_ns)
        now_ns += 2400 * MS
    assert not caplog.records
    assert not list(detector.misses())


def test_a_longer_gap_is_reported_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pycorosync.daemon.pause.time.time_ns", lambda: 1_700_000_000_123 * MS)
    detector = PauseDetector(lambda: 3000)
    detector.next_deadline(START)
    detector.next_deadline(START + 2400 * MS + MS // 2)
    (record,) = caplog.records
    assert record.getMessage() == (
        "Corosync main process was not scheduled (@1700000000123) for 2400.5000 ms "
        "(threshold is 2400.0000 ms). Consider token timeout increase."
    )
    assert [(key, value) for key, _, value in detector.misses()] == [
        ("stats.schedmiss.0.timestamp", 1_700_000_000_123),
        ("stats.schedmiss.0.delay", 2400.5),
    ]


def test_a_new_timeout_counts_from_the_next_look(caplog: pytest.LogCaptureFixture) -> None:
    timeout_ms = 3000
    detector = PauseDetector(lambda: timeout_ms)
    now_ns = START
    detector.next_deadline(now_ns)
    timeout_ms = 300
    now_ns += 1000 * MS  # judged by the old one
    assert detector.next_deadline(now_ns) == now_ns + 100 * MS
    assert not caplog.records
    detector.next_deadline(now_ns + 241 * MS)
    assert "(threshold is 240.0000 ms)" in caplog.text
