"""The metrics_actor follows the events from its start on, and counts each once."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from structlog.typing import EventDict

from actors.messages import CountEvents
from actors.observability import metrics_actor as metrics_actor_module
from actors.observability.metrics import Metrics, Readings
from actors.observability.metrics_actor import MetricsActor, MetricsDependencies
from actors.observability.process_stats import ProcessStats
from actors.observability.statsd import Statsd
from eventstore.common.clock import time_text
from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.events.catalogue import (
    AppChanged,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    Event,
    MailRequested,
    MailSent,
)
from eventstore.events.codec import encode_event
from eventstore.log.event_log import NewEvent, Origin
from eventstore.views.system_overview import read_system_overview
from tests.actors.stage import EVENT_NAME, ONE, URL, Stage, lines_of
from tests.exposition import Exposition

APP = 1111


SHARED: dict[str, Any] = {"organization_id": APP, "attempt": 1, "webhook_url": URL}


def succeeded(event_name: str = EVENT_NAME, app_id: int = APP) -> DeliverySucceeded:
    return DeliverySucceeded("d-1", event_name, app_id, **SHARED, status_code=200)


class Watched:
    """A metrics_actor on a stage, and what it has counted."""

    def __init__(self, stage: Stage, statsd: Statsd | None = None) -> None:
        self.stage = stage
        self.metrics = Metrics()
        parts = MetricsDependencies(stage.readers, stage.clock, self.metrics, statsd)
        self.ref = stage.keep(
            MetricsActor.start(
                pool=stage.pool, budget=stage.budget, escalate=stage.escalations.append, dependencies=parts
            )
        )

    def record(self, *events: Event, origin: Origin | None = None) -> None:
        with self.stage.store.transaction() as transaction:
            transaction.append(*(NewEvent(installation_stream(ONE), event, origin) for event in events))

    def look(self) -> None:
        self.ref.tell(CountEvents())
        self.stage.run()

    def shown(self) -> Exposition:
        signs = read_system_overview(self.stage.store.connection, self.stage.clock.now())
        return Exposition(self.metrics.expose(Readings(is_ready=True, signs=signs, process_stats=ProcessStats())))

    def counted(self) -> dict[str, float]:
        return self.shown().by("hookfuse_events_total", "type")


@pytest.fixture
def watched(stage: Stage) -> Watched:
    stage.register(ONE)
    return Watched(stage)


def test_it_counts_what_is_recorded_after_its_start(watched: Watched) -> None:
    watched.record(succeeded())
    watched.look()

    assert watched.counted() == {"delivery.succeeded": 1}


def test_each_event_is_counted_once_however_often_it_is_told(watched: Watched) -> None:
    watched.record(succeeded())
    watched.look()
    watched.look()
    watched.record(succeeded())
    watched.look()

    assert watched.counted() == {"delivery.succeeded": 2}


def test_one_word_has_it_count_all_in_batches(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_actor_module, "_BATCH_EVENTS", 3)
    for _ in range(10):
        watched.record(succeeded())
    watched.look()

    assert watched.counted() == {"delivery.succeeded": 10}


def test_an_asker_hears_whether_there_was_something(watched: Watched) -> None:
    watched.record(succeeded())
    replies = []
    for _ in range(2):
        future = watched.ref.ask(CountEvents(), block=False)
        watched.stage.run()
        replies.append(future.get(timeout=0))

    assert replies == [True, False]


@pytest.mark.parametrize("batch", [4, 5, 6, 7])
def test_a_commit_that_a_batch_cuts_through_is_still_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(metrics_actor_module, "_BATCH_EVENTS", batch)
    for size in (3, 4, 2, 1, 4):
        watched.stage.clock.advance(seconds=1)
        watched.record(*[succeeded()] * size)
    watched.look()
    exposition = watched.shown()

    assert exposition("hookfuse_commit_events_count") == 5
    assert exposition("hookfuse_commit_events_sum") == 14


def test_a_commit_that_is_larger_than_a_batch_is_counted_in_parts_and_nothing_is_lost(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_actor_module, "_BATCH_EVENTS", 4)
    watched.record(*[succeeded()] * 10)
    watched.look()

    assert watched.counted() == {"delivery.succeeded": 10}
    assert watched.shown()("hookfuse_commit_events_sum") == 10


def test_history_that_is_imported_meanwhile_is_no_news(watched: Watched) -> None:
    event = succeeded()
    last_week = time_text(watched.stage.clock.now() - timedelta(days=7))
    watched.record(event, origin=Origin(last_week, event.schema, encode_event(event), event.type_name))
    watched.record(event)
    watched.look()

    assert watched.counted() == {"delivery.succeeded": 1}


def test_what_a_crash_interrupts_is_not_counted_twice(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    count = watched.metrics.count

    def count_and_crash(events: Any) -> None:
        count(events)
        raise ZeroDivisionError

    monkeypatch.setattr(watched.metrics, "count", count_and_crash)
    watched.record(succeeded())
    watched.look()
    monkeypatch.setattr(watched.metrics, "count", count)
    watched.record(succeeded())
    watched.look()

    assert watched.counted() == {"delivery.succeeded": 2}
    assert [line["actor"] for line in lines_of(lines, "actor_crashed")] == ["MetricsActor"]
    assert watched.stage.escalations == []


# statsd


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        yield receiver


def heard(receiver: socket.socket) -> list[str]:
    return receiver.recv(65_536).decode().split("\n")


@pytest.fixture
def told(stage: Stage, receiver: socket.socket) -> Watched:
    stage.register(ONE)
    return Watched(stage, Statsd("127.0.0.1", receiver.getsockname()[1]))


def test_the_original_s_names_and_tags_go_out_by_statsd(told: Watched, receiver: socket.socket) -> None:
    told.record(succeeded())
    told.look()

    assert heard(receiver) == [
        "integration-platform.http_response:1|c|#status:200,integration:internal,webhook_event:metric_alert.critical",
        "notifications.sent:1|c|#instance:pager",
    ]


def test_a_time_out_has_status_0_and_no_notification_is_sent_by_a_failure(
    told: Watched, receiver: socket.socket
) -> None:
    told.record(
        DeliveryTimedOut("d-1", EVENT_NAME, APP, **SHARED, error_class="connect"),
        DeliveryFailed("d-2", EVENT_NAME, APP, **SHARED, status_code=503, error_class="unavailable"),
    )
    told.look()

    name = "integration-platform.http_response:1|c|"
    assert heard(receiver) == [
        f"{name}#status:0,integration:internal,webhook_event:metric_alert.critical",
        f"{name}#status:503,integration:internal,webhook_event:metric_alert.critical",
    ]


def test_only_an_alert_is_a_notification(told: Watched, receiver: socket.socket) -> None:
    told.record(succeeded(event_name="issue.created"))
    told.look()

    assert heard(receiver) == [
        "integration-platform.http_response:1|c|#status:200,integration:internal,webhook_event:issue.created"
    ]


def test_mails_are_counted_when_they_are_owed_and_when_they_are_sent(told: Watched, receiver: socket.socket) -> None:
    told.stage.decide()
    told.look()
    requested = [event for event in told.stage.events("mail.requested") if isinstance(event, MailRequested)]
    told.record(MailSent(requested[0].mail_id, 1))
    told.look()

    assert heard(receiver) == [f"email.queued:1|c|#message_type:{one.kind}" for one in requested]
    assert heard(receiver) == ["email.sent:1|c"]


@pytest.mark.parametrize(
    ("status", "integration"), [("internal", "internal"), ("unpublished", "unpublished"), ("published", "pager")]
)
def test_only_a_published_app_is_an_integration_of_its_own_name(
    stage: Stage, receiver: socket.socket, status: str, integration: str
) -> None:
    stage.register(ONE, status=status)
    told = Watched(stage, Statsd("127.0.0.1", receiver.getsockname()[1]))
    told.record(succeeded(event_name="issue.created"))
    told.look()

    assert f"integration:{integration}," in heard(receiver)[0]


def test_an_app_that_is_published_meanwhile_goes_by_its_name_from_then_on(
    told: Watched, receiver: socket.socket
) -> None:
    told.record(succeeded(event_name="issue.created"))
    told.look()
    told.stage.append(
        app_stream(APP), AppChanged(APP, "pager", "Pager", "uuid", "published", APP, URL, changed=("status",))
    )
    told.record(succeeded(event_name="issue.created"))
    told.look()

    assert ["internal" in heard(receiver)[0], "integration:pager," in heard(receiver)[0]] == [True, True]


def test_an_app_that_is_not_known_has_its_number_for_a_name(told: Watched, receiver: socket.socket) -> None:
    told.record(succeeded(app_id=4711, event_name="issue.created"))
    told.look()

    assert "integration:4711," in heard(receiver)[0]


def test_what_has_gathered_goes_out_when_it_stops(told: Watched, receiver: socket.socket) -> None:
    told.record(succeeded())
    told.look()
    told.ref.stop(block=False)
    told.stage.run()

    assert len(heard(receiver)) == 2
    assert not told.ref.is_alive()
