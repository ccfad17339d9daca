"""What is counted, and what the gauges say: by names and labels that stay few."""

from typing import Any

import pytest

from actors.observability.metrics import Metrics, Readings
from actors.observability.process_stats import ProcessStats
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    AttemptEvent,
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    Event,
    MailSent,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import StoredEvent
from eventstore.redis.stream_depth import StreamDepth
from eventstore.views.system_overview import SystemOverview
from tests.actors.stage import EVENT_NAME, ONE, URL
from tests.exposition import Exposition
from webhook import ErrorClass, kind_of

SIGNS = SystemOverview(
    last_position=42,
    deliveries={"waiting": 3, "missed": 2, "dead": 1},
    oldest_waiting_s=12.5,
    overdue_s=1.5,
    installations={"active": 7, "disabled": 2, "removed": 0},
    breakers={"open": 1, "half_open": 2, "recovering": 3},
    paused=4,
    warned={50: 5, 90: 6},
    mails={"requested": 8, "sent": 9, "failed": 10},
    is_frozen=True,
    is_clock_doubted=True,
)


def attempt(event_class: type[AttemptEvent], **fields: Any) -> AttemptEvent:
    values: dict[str, Any] = {"attempt": 1, "duration_ms": 20.0} | fields
    return event_class(
        delivery_id="d-1", event_name=EVENT_NAME, app_id=5, organization_id=17, webhook_url=URL, **values
    )


def stored(*events: Event, moment: str = "2025-02-03T12:00:00.000000Z") -> list[StoredEvent]:
    return [StoredEvent(number, f"installation-{ONE}", number, moment, event) for number, event in enumerate(events, 1)]


def shown(metrics: Metrics, **process_stats: int) -> Exposition:
    return Exposition(metrics.expose(Readings(is_ready=True, signs=SIGNS, process_stats=ProcessStats(**process_stats))))


def test_events_are_counted_by_type() -> None:
    metrics = Metrics()
    metrics.count(stored(attempt(DeliverySucceeded), attempt(DeliverySucceeded), MailSent("m-1", 1)))

    assert shown(metrics).by("hookfuse_events_total", "type") == {"delivery.succeeded": 2, "mail.sent": 1}


@pytest.mark.parametrize(
    ("event", "labels"),
    [
        (attempt(DeliverySucceeded), {"outcome": "succeeded", "error_class": ""}),
        (attempt(DeliveryFailed, error_class="server_error"), {"outcome": "failed", "error_class": "server_error"}),
        (attempt(DeliveryTimedOut, error_class="dns"), {"outcome": "timed_out", "error_class": "dns"}),
        (attempt(DeliveryBlocked, error_class="blocked"), {"outcome": "blocked", "error_class": "blocked"}),
        (attempt(ProbeSucceeded), {"outcome": "probe", "error_class": ""}),
        (attempt(ProbeFailed, error_class="tls"), {"outcome": "probe", "error_class": "tls"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AttemptEvent) else "",
)
def test_an_attempt_is_counted_by_outcome_and_class_of_error(event: AttemptEvent, labels: dict[str, str]) -> None:
    metrics = Metrics()
    metrics.count(stored(event))
    exposition = shown(metrics)

    assert exposition("hookfuse_attempts_total", **labels) == 1
    assert sum(exposition.by("hookfuse_attempts_total", "outcome").values()) == 1


def test_how_long_attempts_took_is_counted_in_seconds_by_outcome() -> None:
    metrics = Metrics()
    metrics.count(stored(*(attempt(DeliverySucceeded, duration_ms=milliseconds) for milliseconds in (4, 20, 700))))
    exposition = shown(metrics)

    assert exposition("hookfuse_attempt_seconds_count", outcome="succeeded") == 3
    assert exposition("hookfuse_attempt_seconds_sum", outcome="succeeded") == pytest.approx(0.724)
    assert exposition("hookfuse_attempt_seconds_bucket", outcome="succeeded", le="0.005") == 1
    assert exposition("hookfuse_attempt_seconds_bucket", outcome="succeeded", le="0.5") == 2
    assert exposition("hookfuse_attempt_seconds_count", outcome="failed") == 0


def test_a_retry_is_each_attempt_after_the_first() -> None:
    metrics = Metrics()
    metrics.count(stored(*(attempt(DeliveryFailed, attempt=number, error_class="gone") for number in (1, 2, 3))))

    assert shown(metrics)("hookfuse_retries_total") == 2


def test_events_that_share_the_moment_of_recording_are_one_commit() -> None:
    metrics = Metrics()
    first = stored(*[attempt(DeliverySucceeded)] * 3, moment="2025-02-03T12:00:00.000001Z")
    second = stored(attempt(DeliverySucceeded), moment="2025-02-03T12:00:00.000002Z")
    metrics.count([*first, *second])
    exposition = shown(metrics)

    assert exposition("hookfuse_commit_events_count") == 2
    assert exposition("hookfuse_commit_events_sum") == 4
    assert exposition("hookfuse_commit_events_bucket", le="1.0") == 1


def test_nothing_to_count_counts_nothing() -> None:
    metrics = Metrics()
    metrics.count([])

    assert shown(metrics)("hookfuse_commit_events_count") == 0


def test_each_series_is_there_before_the_first_event_so_that_a_rate_sees_it() -> None:
    exposition = shown(Metrics())

    for name in EVENT_CLASSES:
        assert exposition("hookfuse_events_total", type=name) == 0
    for error_class in ErrorClass:
        labels = {"outcome": str(kind_of(error_class)), "error_class": str(error_class)}
        assert exposition("hookfuse_attempts_total", **labels) == 0
    assert exposition("hookfuse_attempts_total", outcome="succeeded") == 0


def test_gauges_say_what_the_database_says() -> None:
    exposition = shown(Metrics())

    assert exposition.by("hookfuse_queue_deliveries", "state") == {"waiting": 3, "missed": 2, "dead": 1}
    assert exposition("hookfuse_queue_oldest_waiting_seconds") == 12.5
    assert exposition("hookfuse_queue_overdue_seconds") == 1.5
    assert exposition.by("hookfuse_installations", "state") == {"active": 7, "disabled": 2}
    assert exposition.by("hookfuse_breakers", "state") == {"open": 1, "half_open": 2, "recovering": 3}
    assert exposition("hookfuse_paused_installations") == 4
    assert exposition.by("hookfuse_warned_installations", "level") == {"50": 5, "90": 6}
    assert exposition.by("hookfuse_mails", "state") == {"requested": 8, "sent": 9, "failed": 10}
    assert exposition("hookfuse_disabling_frozen") == 1
    assert exposition("hookfuse_clock_doubted") == 1
    assert exposition("hookfuse_last_position") == 42


def test_gauges_say_what_the_processes_say() -> None:
    metrics = Metrics()
    exposition = Exposition(
        metrics.expose(
            Readings(
                is_ready=True,
                signs=SIGNS,
                process_stats=ProcessStats(11, 12, 13, 14),
                restarts=15,
                redis_lag=16,
                stream=StreamDepth("", 17, 18, 19),
            )
        )
    )

    assert exposition("hookfuse_actors") == 11
    assert exposition("hookfuse_mailbox_messages") == 12
    assert exposition("hookfuse_deliveries_in_flight") == 13
    assert exposition("hookfuse_actor_crashes_total") == 14
    assert exposition("hookfuse_worker_restarts_total") == 15
    assert exposition("hookfuse_redis_lag_events") == 16
    assert exposition("hookfuse_redis_up") == exposition("hookfuse_ready") == exposition("hookfuse_stream_up") == 1
    assert exposition.by("hookfuse_stream_entries", "state") == {"unread": 17, "pending": 18, "dead": 19}


def test_a_stream_that_is_away_is_down_and_has_no_entries() -> None:
    away = StreamDepth("redis://localhost", error="ConnectionError")
    exposition = Exposition(Metrics().expose(Readings(is_ready=True, signs=SIGNS, process_stats=None, stream=away)))

    assert exposition("hookfuse_stream_up") == 0
    assert "hookfuse_stream_entries" not in exposition.sample_names


def test_what_is_not_known_is_not_said() -> None:
    exposition = Exposition(Metrics().expose(Readings(is_ready=False, signs=SIGNS, process_stats=None)))

    unknown = {"hookfuse_actors", "hookfuse_mailbox_messages", "hookfuse_deliveries_in_flight"}
    unknown |= {"hookfuse_actor_crashes_total", "hookfuse_redis_up", "hookfuse_redis_lag_events"}
    unknown |= {"hookfuse_stream_up", "hookfuse_stream_entries"}
    assert not exposition.sample_names & unknown
    assert exposition("hookfuse_ready") == 0


def test_labels_are_few_and_name_no_installation_app_or_host() -> None:
    metrics = Metrics()
    for error_class in ErrorClass:
        metrics.count(stored(attempt(DeliveryFailed, error_class=error_class.value, detail="https://pager.example")))
        metrics.count(stored(attempt(ProbeFailed, error_class=error_class.value)))
    exposition = shown(metrics)

    names = {label for label, _ in exposition.labels}
    assert names == {"le", "type", "outcome", "error_class", "state", "level", "version"}
    assert not [value for _, value in exposition.labels if value in (ONE, "5", "17", EVENT_NAME) or "pager" in value]
    assert len(exposition.labels) < 150


def test_a_class_of_error_that_is_not_known_makes_no_series_of_its_own() -> None:
    metrics = Metrics()
    for number in range(3):
        metrics.count(stored(attempt(DeliveryFailed, error_class=f"made-up-{number}")))

    assert shown(metrics).by("hookfuse_attempts_total", "error_class") == {"other": 3}


def test_two_meters_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.count(stored(attempt(DeliverySucceeded)))

    assert shown(other).by("hookfuse_events_total", "type") == {}
