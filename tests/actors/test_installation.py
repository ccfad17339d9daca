from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

from actors import installation as installation_module
from actors.manual_pool import ManualPool
from actors.messages import ConsiderDisabling, Deliver, LearnRecorded, RecordDelivery, Refresh, Settle
from eventstore.events import (
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    InstallationEnabled,
    InstallationRemoved,
)
from eventstore.identifiers import installation_stream
from eventstore.policy import BALANCED, SENTRY_2024
from eventstore.recording import DeliveryRecord
from eventstore.registry import read_endpoint
from eventstore.work_queue import QueuedDelivery, count_deliveries, read_deliveries
from tests.actors.stage import (
    EVENT_NAME,
    GONE,
    HEADER_VALUE,
    ONE,
    READ_TIMEOUT,
    SECRET,
    SERVER_ERROR,
    URL,
    Stage,
    lines_of,
    outcome,
)
from webhook import ErrorClass, FakeSender, Outcome, WebhookRequest


class Post:
    """One installation's actor at a real journal; the supervisor and the dispatcher only write down."""

    def __init__(self, stage: Stage, *outcomes: Outcome, **parts: Any) -> None:
        self.stage = stage
        self.sender = FakeSender(outcomes)
        self.supervisor = stage.hear()
        self.dispatcher = stage.hear()
        parts = {"sender": self.sender} | parts
        self.ref = stage.installation(supervisor=self.supervisor.ref, dispatcher=self.dispatcher.ref, **parts)

    def deliver(self, *deliveries: QueuedDelivery) -> None:
        for delivery in deliveries:
            self.ref.tell(Deliver(delivery))
        self.stage.run()

    def tell(self, message: object) -> None:
        self.ref.tell(message)
        self.stage.run()

    @property
    def settled(self) -> list[Settle]:
        return self.dispatcher.of(Settle)

    @property
    def asked(self) -> list[ConsiderDisabling]:
        return self.supervisor.of(ConsiderDisabling)


def test_a_delivery_to_an_active_installation_is_sent(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage)
    post.deliver(delivery)

    (request,) = post.sender.requests
    assert (request.delivery_id, request.url, request.event_name) == (delivery.delivery_id, URL, EVENT_NAME)


def test_a_delivered_delivery_has_left_the_queue_and_settles(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage)
    post.deliver(delivery)

    assert stage.rows("SELECT * FROM queue") == []
    assert post.settled == [Settle(ONE, delivery.sequence, None, is_answered=True)]


def test_a_delivery_settles_only_after_its_record_is_on_disk(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage)
    post.ref.tell(Deliver(delivery))
    stage.pool.run_all()
    stage.send_pool.run_all()
    stage.pool.run_all()

    assert len(post.sender.requests) == 1
    assert post.settled == []


def _disabled(stage: Stage) -> None:
    stage.decide(ONE)


def _removed(stage: Stage) -> None:
    stage.append(installation_stream(ONE), InstallationRemoved(ONE))


@pytest.mark.parametrize("end", [_disabled, _removed])
def test_a_delivery_that_meets_a_disabled_or_removed_installation_is_kept_as_missed(
    stage: Stage, end: Callable[[Stage], None]
) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    end(stage)
    post = Post(stage)
    post.deliver(delivery)

    assert post.sender.requests == []
    assert count_deliveries(stage.store.connection) == {"waiting": 0, "missed": 1, "dead": 0}
    (missed,) = stage.events("delivery.missed")
    assert (missed.delivery_id, missed.enqueued_at, missed.attempts) == (delivery.delivery_id, delivery.enqueued_at, 0)
    assert post.settled == [Settle(ONE, delivery.sequence, None, is_answered=True)]


def test_what_is_missed_is_not_counted(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    stage.decide(ONE)
    Post(stage).deliver(delivery)

    assert stage.counts() == []


def test_an_actor_that_lives_keeps_what_comes_once_it_hears_that_it_is_disabled(stage: Stage) -> None:
    stage.register(ONE)
    first, second = stage.enqueue(ONE, 2)
    post = Post(stage)
    post.deliver(first)
    stage.decide(ONE)
    post.tell(Refresh())
    post.deliver(second)

    assert len(post.sender.requests) == 1
    assert len(stage.events("delivery.missed")) == 1


def test_an_actor_that_is_enabled_again_sends(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    stage.decide(ONE)
    post = Post(stage)
    stage.run()
    stage.append(installation_stream(ONE), InstallationEnabled(ONE, "person:ada", ""))
    post.tell(Refresh())
    post.deliver(delivery)

    assert len(post.sender.requests) == 1


def considered(stage: Stage) -> tuple[Post, QueuedDelivery]:
    """Give an actor that has asked for its disabling, and a delivery that has come since."""
    stage.register(ONE)
    first, second = stage.enqueue(ONE, 2)
    post = Post(stage, GONE)
    post.deliver(first)
    post.deliver(second)
    return post, second


def test_while_a_disabling_is_considered_deliveries_are_held_back(stage: Stage) -> None:
    post, second = considered(stage)

    assert len(post.sender.requests) == 1
    assert [settle.sequence for settle in post.settled] == [second.sequence - 1]


def test_what_was_held_back_is_missed_when_it_is_disabled(stage: Stage) -> None:
    post, second = considered(stage)
    stage.decide(ONE)
    post.tell(Refresh())

    assert len(post.sender.requests) == 1
    assert [event.delivery_id for event in stage.events("delivery.missed")] == [second.delivery_id]
    assert len(post.settled) == 2


def test_what_was_held_back_is_sent_when_the_disabling_is_declined(stage: Stage) -> None:
    post, second = considered(stage)
    post.tell(Refresh())

    assert [request.delivery_id for request in post.sender.requests][1:] == [second.delivery_id]
    assert len(post.settled) == 2


def test_what_was_held_back_is_sent_once_only(stage: Stage) -> None:
    post, _ = considered(stage)
    post.tell(Refresh())
    post.tell(Refresh())

    assert len(post.sender.requests) == 2


def test_a_second_failure_does_not_ask_again_while_the_first_is_considered(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, GONE, GONE, GONE)
    post.deliver(*stage.enqueue(ONE, 3))

    assert len(post.sender.requests) == 3
    assert len(post.asked) == 1


def test_after_a_declined_disabling_the_next_failure_asks_again(stage: Stage) -> None:
    stage.register(ONE)
    first, second = stage.enqueue(ONE, 2)
    post = Post(stage, GONE, GONE)
    post.deliver(first)
    post.tell(Refresh())
    post.deliver(second)

    assert len(post.asked) == 2


@pytest.mark.parametrize(
    ("answer", "event_class", "counted"),
    [
        (outcome(), DeliverySucceeded, "success"),
        (outcome(ErrorClass.REDIRECT, 302), DeliveryFailed, "redirect"),
        (outcome(ErrorClass.CLIENT_ERROR, 404), DeliveryFailed, "client_error"),
        (outcome(ErrorClass.GONE, 410), DeliveryFailed, "client_error"),
        (outcome(ErrorClass.RATE_LIMITED, 429), DeliveryFailed, "rate_limited"),
        (outcome(ErrorClass.SERVER_ERROR, 500), DeliveryFailed, "server_error"),
        (outcome(ErrorClass.UNAVAILABLE, 503), DeliveryFailed, "server_error"),
        (outcome(ErrorClass.PROTOCOL, 0), DeliveryFailed, "protocol"),
        (outcome(ErrorClass.DNS), DeliveryTimedOut, "timeout"),
        (outcome(ErrorClass.CONNECT), DeliveryTimedOut, "timeout"),
        (outcome(ErrorClass.TLS), DeliveryTimedOut, "timeout"),
        (outcome(ErrorClass.CONNECT_TIMEOUT), DeliveryTimedOut, "timeout"),
        (outcome(ErrorClass.READ_TIMEOUT), DeliveryTimedOut, "timeout"),
        (outcome(ErrorClass.DEADLINE), DeliveryTimedOut, "timeout"),
        (outcome(ErrorClass.BLOCKED, 0), DeliveryBlocked, None),
        (outcome(ErrorClass.INTERNAL, 0), DeliveryFailed, None),
    ],
)
def test_each_outcome_is_recorded_as_its_event_and_counted_under_its_class(
    stage: Stage, answer: Outcome, event_class: type[Any], counted: str | None
) -> None:
    stage.register(ONE)
    post = Post(stage, answer)
    post.deliver(*stage.enqueue(ONE))

    (event,) = stage.events("delivery.succeeded", "delivery.failed", "delivery.timed_out", "delivery.blocked")
    assert type(event) is event_class
    assert stage.counts() == ([((counted, 1),)] if counted else [])


def test_a_failed_attempt_waits_for_the_next_by_the_schedule(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, SERVER_ERROR)
    post.deliver(*stage.enqueue(ONE))

    assert stage.rows("SELECT state, attempts, due_at, last_error FROM queue") == [
        ("waiting", 1, "2025-02-03T12:00:05.000000Z", "500 server_error")
    ]
    assert post.settled[0].retry_at == "2025-02-03T12:00:05.000000Z"


def test_a_later_attempt_waits_for_its_own_delay(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, SERVER_ERROR, SERVER_ERROR, delays_s=(5, 300))
    (first,) = stage.enqueue(ONE)
    post.deliver(first)
    (second,) = read_deliveries(stage.store.connection)
    post.deliver(second)

    assert stage.rows("SELECT attempts, due_at FROM queue") == [(2, "2025-02-03T12:05:00.000000Z")]
    assert [event.attempt for event in stage.events("delivery.failed")] == [1, 2]


def test_the_endpoint_s_retry_after_is_waited_for(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=3600.0))
    post.deliver(*stage.enqueue(ONE))

    assert stage.rows("SELECT due_at FROM queue") == [("2025-02-03T13:00:00.000000Z",)]


def test_the_last_attempt_exhausts_the_delivery(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, SERVER_ERROR, delays_s=())
    (delivery,) = stage.enqueue(ONE)
    post.deliver(delivery)

    (exhausted,) = stage.events("delivery.exhausted")
    assert (exhausted.delivery_id, exhausted.attempts, exhausted.status_code) == (delivery.delivery_id, 1, 500)
    assert stage.rows("SELECT state FROM queue") == [("dead",)]
    assert post.settled[0].retry_at is None


def test_only_a_time_out_settles_as_not_answered(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, READ_TIMEOUT, SERVER_ERROR, outcome())
    post.deliver(*stage.enqueue(ONE, 3))

    assert [settle.is_answered for settle in post.settled] == [False, True, True]


def test_a_410_asks_for_a_disabling_in_the_receiver_s_name(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, GONE, policy=BALANCED)
    post.deliver(*stage.enqueue(ONE))

    assert [(asked.installation_id, asked.cause) for asked in post.asked] == [(ONE, "receiver")]


def test_under_sentry_2024_a_410_is_one_error_among_others(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, GONE, policy=SENTRY_2024)
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == []


def test_one_failure_asks_for_nothing(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, SERVER_ERROR)
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == []


def test_the_failure_that_breaks_it_asks_for_a_disabling_by_the_policy(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out(failures=3, days=3)
    post = Post(stage, SERVER_ERROR)
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == [ConsiderDisabling(ONE, "policy", "")]


def test_a_success_never_asks(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out()
    post = Post(stage, outcome())
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == []


def test_a_published_app_never_asks_where_only_internal_ones_are_disabled(stage: Stage) -> None:
    stage.register(ONE, status="published")
    stage.wear_out()
    post = Post(stage, SERVER_ERROR, GONE, scope="internal")
    post.deliver(*stage.enqueue(ONE, 2))

    assert post.asked == []


def test_a_published_app_asks_where_all_are_disabled(stage: Stage) -> None:
    stage.register(ONE, status="published")
    post = Post(stage, GONE, scope="all")
    post.deliver(*stage.enqueue(ONE))

    assert len(post.asked) == 1


def test_an_outcome_that_is_not_counted_asks_for_nothing_but_settles(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    stage.acknowledge(delivery)  # a person has dropped it meanwhile
    post = Post(stage, GONE)
    post.deliver(delivery)

    assert post.asked == []
    assert stage.events("delivery.failed") == []
    assert len(post.settled) == 1
    assert [line["delivery_id"] for line in lines_of(lines, "outcome_ignored")] == [delivery.delivery_id]


def test_an_attempt_is_one_log_line_with_all_that_is_known(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage, outcome(ErrorClass.UNAVAILABLE, 503))
    post.deliver(delivery)

    assert lines_of(lines, "delivery_attempted") == [
        {
            "event": "delivery_attempted",
            "log_level": "info",
            "installation_id": ONE,
            "delivery_id": delivery.delivery_id,
            "event_name": EVENT_NAME,
            "attempt": 1,
            "position": 4,
            "outcome": "failed",
            "status_code": 503,
            "error_class": "unavailable",
            "duration_ms": 12.5,
            "retry_at": "2025-02-03T12:00:05.000000Z",
            "request_id": "f" * 32,
        }
    ]
    assert len(lines) == 1


def test_a_missed_delivery_is_one_log_line(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    stage.decide(ONE)
    Post(stage).deliver(delivery)

    (line,) = lines
    assert line["event"] == "delivery_missed"
    assert (line["installation_id"], line["delivery_id"]) == (ONE, delivery.delivery_id)
    assert line["position"] == stage.rows("SELECT max(position) FROM events")[0][0]


def test_no_secret_is_in_any_event_or_log_line(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    echo = f"you sent {SECRET} and {HEADER_VALUE}"
    crash = [outcome(ErrorClass.SERVER_ERROR, response_body=echo), outcome(response_body=echo)]
    post = Post(stage, *crash)
    post.deliver(*stage.enqueue(ONE, 2))
    broken = stage.installation(sender=_CrashingSender(f"{SECRET} {HEADER_VALUE}"))
    broken.tell(Deliver(*stage.enqueue(ONE)))
    stage.run()

    stored = repr(stage.rows("SELECT * FROM events")) + repr(stage.rows("SELECT * FROM queue"))
    logged = repr([{name: value for name, value in line.items() if name != "exc_info"} for line in lines])
    assert post.sender.requests[0].secrets == (SECRET,)
    assert SECRET not in stored + logged
    assert HEADER_VALUE not in stored + logged


def test_without_a_registry_entry_a_delivery_is_postponed(stage: Stage, lines: list[EventDict]) -> None:
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage)
    post.deliver(delivery)

    assert post.sender.requests == []
    assert post.settled == [
        Settle(ONE, delivery.sequence, "2025-02-03T12:01:00.000000Z", is_answered=False, is_postponed=True)
    ]
    assert stage.rows("SELECT state, attempts FROM queue") == [("waiting", 0)]
    assert lines_of(lines, "endpoint_unknown")[0]["installation_id"] == ONE
    assert lines_of(lines, "actor_crashed") == []


def test_a_delivery_is_sent_once_its_registry_entry_is_there(stage: Stage, lines: list[EventDict]) -> None:
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage)
    post.deliver(delivery)
    stage.register(ONE)
    post.tell(Refresh())
    post.deliver(delivery)

    assert len(post.sender.requests) == 1


class _CrashingSender:
    def __init__(self, text: str) -> None:
        self._text = text

    def send(self, request: WebhookRequest) -> Outcome:
        raise RuntimeError(self._text)

    def close(self) -> None:
        pass


def test_a_sender_that_raises_is_our_own_failure_and_is_not_counted(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    post = Post(stage, sender=_CrashingSender("on purpose"))
    post.deliver(*stage.enqueue(ONE))

    (event,) = stage.events("delivery.failed")
    assert (event.error_class, event.status_code, event.detail) == ("internal", 0, "internal: RuntimeError")
    assert stage.counts() == []
    assert post.settled[0].retry_at is not None
    assert len(lines_of(lines, "attempt_crashed")) == 1


class _FaultyPool(ManualPool):
    """A pool that can't have a thread for the first task."""

    def __init__(self, faults: int = 1) -> None:
        super().__init__()
        self.faults = faults

    def submit(self, task: Callable[[], None]) -> None:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("can't start new thread")
        super().submit(task)


def test_a_crash_while_delivering_is_our_own_failure_and_is_not_counted(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    post = Post(stage, send_pool=_FaultyPool())
    post.deliver(*stage.enqueue(ONE))

    (event,) = stage.events("delivery.failed")
    assert (event.error_class, event.detail) == ("internal", "internal: RuntimeError")
    assert stage.counts() == []
    assert len(post.settled) == 1
    assert len(lines_of(lines, "actor_crashed")) == 1


def test_a_crash_while_learning_settles_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    monkeypatch.setattr(installation_module, "judge", _fail)
    post = Post(stage, SERVER_ERROR)
    post.deliver(*stage.enqueue(ONE))

    assert len(post.settled) == 1
    assert len(stage.events("delivery.failed")) == 1


def _fail(*_arguments: object) -> Any:
    raise OSError("on purpose")


@pytest.fixture
def faulty_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Give a list of faults, one for each coming reading of the registry."""
    faults: list[Exception] = []
    real = read_endpoint

    def read(connection: Any, installation_id: str) -> Any:
        if faults:
            raise faults.pop()
        return real(connection, installation_id)

    monkeypatch.setattr(installation_module, "read_endpoint", read)
    yield faults
    assert faults == []


def test_a_crash_while_refreshing_does_not_leave_deliveries_held_back_for_ever(
    stage: Stage, faulty_registry: list[Exception], lines: list[EventDict]
) -> None:
    post, _ = considered(stage)
    faulty_registry.append(OSError("on purpose"))
    post.tell(Refresh())

    assert len(post.sender.requests) == 2
    assert len(post.settled) == 2


def test_a_crash_among_held_back_deliveries_loses_none_of_them(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    send_pool = _FaultyPool(faults=0)
    post = Post(stage, GONE, send_pool=send_pool)
    first, *others = stage.enqueue(ONE, 4)
    post.ref.tell(Deliver(first))
    stage.run()
    send_pool.run_all()
    stage.run()
    post.deliver(*others)
    send_pool.faults = 1
    post.tell(Refresh())
    send_pool.run_all()
    stage.run()

    assert len(post.sender.requests) == 4
    assert sorted(settle.sequence for settle in post.settled) == [1, 2, 3, 4]


def test_what_can_not_be_recorded_is_postponed_and_not_sent_again_at_once(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    journal = stage.hear()
    post = Post(stage, journal=journal.ref)
    post.deliver(delivery)
    (told,) = journal.of(RecordDelivery)
    post.tell(LearnRecorded(DeliveryRecord(delivery, told.record.event), None))

    (settle,) = post.settled
    assert settle.is_postponed
    assert settle.retry_at == "2025-02-03T12:01:00.000000Z"
    assert lines_of(lines, "delivery_attempted") == []


def test_an_outcome_is_recorded_though_dispatcher_and_supervisor_were_stopped_first(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, GONE)
    for heard in (post.dispatcher, post.supervisor):
        heard.ref.stop(block=False)
    post.deliver(*stage.enqueue(ONE))

    assert len(stage.events("delivery.failed")) == 1
    assert stage.budget.crash_count == 0


def test_an_outcome_that_comes_after_the_journal_s_end_is_said_and_not_raised(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    journal = stage.journal()
    post = Post(stage, journal=journal)
    post.ref.tell(Deliver(delivery))
    stage.pool.run_all()
    journal.stop(block=False)
    with structlog.testing.capture_logs() as lines:
        stage.run()

    assert [line["event"] for line in lines] == ["outcome_unheard"]
    assert stage.rows("SELECT state, attempts FROM queue") == [("waiting", 0)]
