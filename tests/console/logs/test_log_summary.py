import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs.log_entry import LogEntry
from console.logs.log_summary import LogSummary
from tests.console.conftest import Hookfuse
from tests.console.logs.lines import INSTALLATION, OTHER_INSTALLATION, line


def _summary(*entries: LogEntry) -> LogSummary:
    summary = LogSummary()
    for entry in entries:
        summary.add(entry)
    return summary


@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=200))
def test_latencies_are_within_one_percent(durations_ms: list[float]) -> None:
    summary = _summary(*(LogEntry(outcome="succeeded", duration_ms=duration) for duration in durations_ms))

    (latency,) = summary.latencies()

    ordered = sorted(durations_ms)
    for quantile, value in ((0.5, latency.p50_ms), (0.95, latency.p95_ms), (0.99, latency.p99_ms)):
        assert value == pytest.approx(ordered[int(quantile * (len(ordered) - 1))], rel=0.0101)


def test_latencies_are_given_for_each_outcome_and_for_all() -> None:
    fast = [LogEntry(outcome="succeeded", duration_ms=10)] * 98
    slow = [LogEntry(outcome="timed_out", duration_ms=5000)] * 2

    latencies = _summary(*fast, *slow, LogEntry(outcome="missed")).latencies()

    assert [(one.outcome, one.attempts) for one in latencies] == [("succeeded", 98), ("timed_out", 2), (None, 100)]
    assert latencies[0].p99_ms == pytest.approx(10, rel=0.01)
    assert latencies[2].p50_ms == pytest.approx(10, rel=0.01)
    assert latencies[2].p99_ms == pytest.approx(5000, rel=0.01)


@pytest.mark.parametrize("duration_ms", [0.0, -1.0, 1e308, 5e-324])
def test_an_odd_duration_harms_no_other(duration_ms: float) -> None:
    entries = [LogEntry(outcome="succeeded", duration_ms=10)] * 50

    (latency,) = _summary(*entries, LogEntry(outcome="succeeded", duration_ms=duration_ms)).latencies()

    assert latency.p50_ms == pytest.approx(10, rel=0.01)


def test_failures_are_counted_by_outcome_and_class_and_by_installation() -> None:
    failed = LogEntry(installation_id=INSTALLATION, outcome="failed", error_class="gone")
    summary = _summary(
        failed,
        failed,
        LogEntry(installation_id=INSTALLATION, outcome="succeeded"),
        LogEntry(installation_id=OTHER_INSTALLATION, outcome="timed_out", error_class="dns"),
        LogEntry(installation_id=OTHER_INSTALLATION, outcome="missed"),
        LogEntry(event="daemon_started"),
    )

    assert summary.error_classes == {"failed\ngone": 2, "timed_out\ndns": 1}
    assert summary.installations == {INSTALLATION: 3, OTHER_INSTALLATION: 2}
    assert summary.failing == {INSTALLATION: 2, OTHER_INSTALLATION: 1}


def test_the_first_and_last_time_are_those_of_times() -> None:
    summary = _summary(*(LogEntry(timestamp=text) for text in ("", "2025-02-02", "zzz", "2025-02-01", "2025-02-03")))

    assert (summary.first_at, summary.last_at) == ("2025-02-01", "2025-02-03")


# --- the command ---


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [line(number, outcome="failed" if number % 4 == 0 else "succeeded") for number in range(100)]
    (tmp_path / "log").write_bytes(b"".join(lines) + b"rubbish\n" + line(200, installation_id=OTHER_INSTALLATION))
    return tmp_path / "log"


def test_the_summary_has_the_fields_that_are_promised(hookfuse: Hookfuse, log: Path) -> None:
    ended = hookfuse("logs", "summary", "--json", log)

    counted = {"others": 0, "other_names": 0}
    assert ended.json == {
        "first_at": "2025-02-08T00:00:00.000000Z",
        "last_at": "2025-02-08T00:03:20.000000Z",
        "lines": 101,
        "lines_read": 102,
        "broken_lines": 1,
        "bytes_read": log.stat().st_size,
        "faults": [],
        "levels": {"top": [{"level": "info", "count": 101}]} | counted,
        "events": {"top": [{"event": "delivery_attempted", "count": 101}]} | counted,
        "event_names": {"top": [{"event_name": "issue.created", "count": 101}]} | counted,
        "outcomes": {"top": [{"outcome": "succeeded", "count": 76}, {"outcome": "failed", "count": 25}]} | counted,
        "latencies": [
            {"outcome": outcome, "attempts": attempts}
            | {name: pytest.approx(12.5, rel=0.01) for name in ("p50_ms", "p95_ms", "p99_ms")}
            for outcome, attempts in (("succeeded", 76), ("failed", 25), (None, 101))
        ],
        "error_classes": {"top": [{"outcome": "failed", "error_class": "", "count": 25}]} | counted,
        "installations": {
            "top": [
                {"installation_id": INSTALLATION, "lines": 100, "failures": 25},
                {"installation_id": OTHER_INSTALLATION, "lines": 1, "failures": 0},
            ]
        }
        | counted,
    }
    assert ended.err == "hookfuse: 1 of 102 lines could not be read\n"


def test_the_summary_is_of_the_lines_that_are_wanted(hookfuse: Hookfuse, log: Path) -> None:
    counted = hookfuse("logs", "summary", "--json", "--outcome", "failed", "--since", "2025-02-08T00:01", log).json

    assert (counted["lines"], counted["lines_read"]) == (10, 102)
    assert counted["installations"]["top"] == [{"installation_id": INSTALLATION, "lines": 10, "failures": 10}]


def test_a_person_sees_the_top_and_what_the_others_come_to(hookfuse: Hookfuse, log: Path) -> None:
    shown = hookfuse("logs", "summary", "--top", "1", log).out

    assert f"{INSTALLATION}    100        25" in shown
    assert "1 others                                  1" in shown
    assert "all             101" in shown


def test_a_summary_of_nothing_is_one(hookfuse: Hookfuse, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert hookfuse("logs", "summary", tmp_path / "empty").out == "lines  0 of 0, 0 bytes\n"
    assert json.loads(hookfuse("logs", "summary", "--json", tmp_path / "empty").out)["latencies"] == []
