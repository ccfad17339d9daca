import gc
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

from actors.delivery import attempt_task as attempt_task_module
from actors.delivery import installation as installation_module
from actors.delivery import review_asker as review_asker_module
from actors.delivery.attempt import attempt_event
from actors.delivery.delivery_gate import GateRule
from actors.messages import (
    Deliver,
    NoteHealth,
    NoteRecorded,
    RecordDelivery,
    Refresh,
    Release,
    ReviewAfterProbe,
    ReviewInstallation,
)
from actors.runtime.manual_pool import ManualPool
from eventstore.common.clock import day_of, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.close_breaker import close_breaker
from eventstore.decisions.probing import enqueue_probe
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.errors import RejectedError, ShortageError
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerOpened,
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    InstallationCountsImported,
    InstallationEnabled,
    InstallationRemoved,
)
from eventstore.policies.breaker import BreakerRule
from eventstore.policies.day_counts import counted_class_of
from eventstore.policies.policy import BALANCED, SENTRY_2024
from eventstore.projections.registry import find_app, find_installation, read_endpoint
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import count_deliveries, find_delivery, read_deliveries
from eventstore.registry.apply import apply_document
from eventstore.registry.document import AppEntry, RegistryDocument
from tests.actors.stage import (
    EVENT_NAME,
    GONE,
    HEADER_VALUE,
    ONE,
    READ_TIMEOUT,
    SECRET,
    SERVER_ERROR,
    TWO,
    URL,
    Receiver,
    Stage,
    Works,
    lines_of,
    outcome,
)
from webhook import ErrorClass, FakeSender, Outcome, WebhookRequest


class Post:
    """One installation's actor at a real journal; the supervisor and the dispatcher only write down."""

    def __init__(self, stage: Stage, *outcomes: Outcome | ShortageError, **parts: Any) -> None:
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
    def settled(self) -> list[Release]:
        return self.dispatcher.of(Release)

    @property
    def noted(self) -> list[bool | None]:
        return [message.is_failing for message in self.supervisor.of(NoteHealth)]

    @property
    def asked(self) -> list[ReviewInstallation]:
        return self.supervisor.of(ReviewInstallation)


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
    assert post.settled == [Release(ONE, delivery.sequence, None, is_answered=True)]


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
    assert post.settled == [Release(ONE, delivery.sequence, None, is_answered=True)]


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
    """Return an actor that has asked for its disabling, and a delivery that has come since."""
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
        (outcome(ErrorClass.PROTOCOL, 0, fault="no_answer"), DeliveryFailed, "no_answer"),
        (outcome(ErrorClass.PROTOCOL, 200, fault="broken_body"), DeliveryFailed, "protocol"),
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
    for delivery in stage.enqueue(ONE, 3):
        post.deliver(delivery)

    assert [settle.is_answered for settle in post.settled] == [False, True, True]


def test_what_waits_behind_a_time_out_is_let_go_and_no_attempt_is_used_up(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, READ_TIMEOUT)
    first, *others = stage.enqueue(ONE, 3)
    post.deliver(first, *others)

    assert [request.delivery_id for request in post.sender.requests] == [first.delivery_id]
    assert [(settle.sequence, settle.is_postponed) for settle in post.settled] == [(1, False), (2, True), (3, True)]
    assert stage.rows("SELECT state, attempts FROM queue ORDER BY sequence") == [
        ("waiting", 1),
        ("waiting", 0),
        ("waiting", 0),
    ]


class _LearningSender(FakeSender):
    """Has the actor learn what came of the attempts before, while it makes the next."""

    def __init__(self, stage: Stage, outcomes: Iterable[Outcome]) -> None:
        super().__init__(outcomes)
        self._stage = stage

    def send(self, request: WebhookRequest) -> Outcome:
        self._stage.journal_pool.run_all()
        self._stage.pool.run_all()
        return super().send(request)


def test_what_has_not_begun_when_a_disabling_is_considered_is_not_sent(stage: Stage) -> None:
    stage.register(ONE)
    sender = _LearningSender(stage, [GONE])
    post = Post(stage, sender=sender)
    post.deliver(*stage.enqueue(ONE, 4))

    assert len(post.asked) == 1
    assert len(sender.requests) == 2  # the second was on its way when it was asked for
    assert sorted(settle.sequence for settle in post.settled if settle.is_postponed) == [3, 4]


def test_what_has_not_begun_when_it_is_disabled_is_not_sent(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage)
    for delivery in stage.enqueue(ONE, 3):
        post.ref.tell(Deliver(delivery))
    stage.pool.run_all()
    stage.decide(ONE)
    post.tell(Refresh())

    assert post.sender.requests == []
    assert [(settle.sequence, settle.is_postponed) for settle in post.settled] == [(1, True), (2, True), (3, True)]


def test_what_has_not_begun_when_the_breaker_opens_waits_for_it(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    sender = _LearningSender(stage, [SERVER_ERROR] * 4)
    post = Post(stage, sender=sender, gate=GATE)
    post.deliver(*stage.enqueue(ONE, 6))

    assert len(sender.requests) == 4
    assert [(settle.sequence, settle.hold_until) for settle in post.settled if settle.is_postponed] == [
        (5, "2025-02-03T12:05:00.000000Z"),
        (6, "2025-02-03T12:05:00.000000Z"),
    ]


def test_a_410_asks_for_a_disabling_in_the_receiver_s_name(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, GONE, policy=BALANCED)
    post.deliver(*stage.enqueue(ONE))

    assert [(asked.installation_id, asked.gone_at) for asked in post.asked] == [(ONE, 4)]


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

    assert post.asked == [ReviewInstallation(ONE, post.ref)]


def test_a_success_never_asks(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out(failures=1, days=1)
    post = Post(stage, outcome())
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == []


def test_a_review_that_a_crash_came_before_is_made_up_for_when_the_actor_starts(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out()
    post = Post(stage, outcome())
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == [ReviewInstallation(ONE, post.ref)]
    assert post.sender.requests == [], "nothing is sent before the supervisor's word"


def seven_error_days(stage: Stage) -> None:
    for ago in range(7):
        day = day_of(time_text(stage.clock.now() - timedelta(days=ago)))
        stage.append(
            installation_stream(ONE), InstallationCountsImported(ONE, day, "redis", "person:ann", client_error=1)
        )


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_sentry_2024_checks_only_after_what_the_original_records(stage: Stage, error_class: ErrorClass) -> None:
    """docs/original.md, sections 3 and 4: seven error days were counted, and the next attempt is not an error."""
    stage.register(ONE)
    seven_error_days(stage)
    post = Post(stage, outcome(error_class), policy=SENTRY_2024)
    post.deliver(*stage.enqueue(ONE))

    (attempt,) = [event for event in stage.events() if isinstance(event, AttemptEvent)]
    assert bool(post.asked) is (counted_class_of(attempt) in ("client_error", "timeout"))


@pytest.mark.parametrize(("error_class", "is_asked"), [("client_error", True), ("server_error", False)])
def test_an_actor_of_sentry_2024_that_starts_makes_up_only_for_a_check_that_there_was(
    stage: Stage, error_class: str, is_asked: bool
) -> None:
    stage.register(ONE)
    seven_error_days(stage)
    stage.append(
        installation_stream(ONE), DeliveryFailed("d-0", EVENT_NAME, 1111, 1111, 1, URL, 400, error_class=error_class)
    )
    post = Post(stage, outcome(), policy=SENTRY_2024)
    post.deliver(*stage.enqueue(ONE))

    assert bool(post.asked) is is_asked


def gone_before(stage: Stage) -> None:
    event = DeliveryFailed("d-0", EVENT_NAME, 1111, 1111, 1, URL, 410, error_class="gone")
    stage.append(installation_stream(ONE), event)


def test_a_410_whose_disabling_a_crash_came_before_is_made_up_for_when_the_actor_starts(stage: Stage) -> None:
    stage.register(ONE)
    gone_before(stage)
    post = Post(stage, outcome(), policy=BALANCED)
    post.deliver(*stage.enqueue(ONE))

    assert [(asked.installation_id, asked.gone_at) for asked in post.asked] == [(ONE, 4)]
    assert post.sender.requests == []


def test_a_410_of_before_an_enabling_asks_for_nothing(stage: Stage) -> None:
    stage.register(ONE)
    gone_before(stage)
    stage.append(installation_stream(ONE), InstallationEnabled(ONE, "person:ann", "fixed"))
    post = Post(stage, outcome(), policy=BALANCED)
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == []
    assert len(post.sender.requests) == 1


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
    post = Post(stage, SERVER_ERROR, outcome())  # what an endpoint shows of its request, the sender hides
    post.deliver(*stage.enqueue(ONE, 2))
    broken = stage.installation(sender=_CrashingSender(f"{SECRET} {HEADER_VALUE}"))
    broken.tell(Deliver(*stage.enqueue(ONE)))
    stage.run()

    stored = repr(stage.rows("SELECT * FROM events")) + repr(stage.rows("SELECT * FROM queue"))
    logged = repr([{name: value for name, value in line.items() if name != "exc_info"} for line in lines])
    assert {SECRET, HEADER_VALUE} <= set(post.sender.requests[0].secret_texts)
    assert SECRET not in stored + logged
    assert HEADER_VALUE not in stored + logged


def test_without_a_registry_entry_a_delivery_is_postponed(stage: Stage, lines: list[EventDict]) -> None:
    (delivery,) = stage.enqueue(ONE)
    post = Post(stage)
    post.deliver(delivery)

    assert post.sender.requests == []
    assert post.settled == [
        Release(ONE, delivery.sequence, "2025-02-03T12:01:00.000000Z", is_answered=False, is_postponed=True)
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

    def close_idle(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_sender_that_raises_is_our_own_failure_and_is_not_counted(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    post = Post(stage, sender=_CrashingSender("on purpose"))
    post.deliver(*stage.enqueue(ONE))

    (event,) = stage.events("delivery.failed")
    assert (event.error_class, event.status_code, event.detail) == ("internal", 0, "RuntimeError")
    assert stage.counts() == []
    assert post.settled[0].retry_at is not None
    assert len(lines_of(lines, "attempt_crashed")) == 1


class _FaultyPool(ManualPool):
    """A pool that fails at the first task."""

    def __init__(self, faults: int = 1) -> None:
        super().__init__()
        self.faults = faults

    def submit(self, task: Callable[[], None]) -> None:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("on purpose")
        super().submit(task)


def test_a_crash_while_delivering_is_our_own_failure_and_is_not_counted(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    post = Post(stage, send_pool=_FaultyPool())
    post.deliver(*stage.enqueue(ONE))

    (event,) = stage.events("delivery.failed")
    assert (event.error_class, event.detail) == ("internal", "RuntimeError")
    assert stage.counts() == []
    assert len(post.settled) == 1
    assert len(lines_of(lines, "actor_crashed")) == 1


def test_a_crash_while_learning_settles_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    monkeypatch.setattr(review_asker_module, "read_evaluation", _fail)
    post = Post(stage, SERVER_ERROR)
    post.deliver(*stage.enqueue(ONE))

    assert len(post.settled) == 1
    assert len(stage.events("delivery.failed")) == 1


def _fail(*_arguments: object) -> Any:
    raise OSError("on purpose")


@pytest.fixture
def faulty_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Return a list of faults, one for each coming reading of the registry."""
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
    post.tell(NoteRecorded(DeliveryRecord(delivery, told.record.event), None))

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


def test_a_test_delivery_that_has_not_begun_when_the_breaker_opens_is_sent(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    deliveries = stage.enqueue(ONE, 6)
    with stage.store.transaction() as transaction:
        enqueue_probe(transaction, ONE, by="person:ada")
    (probe,) = [one for one in read_deliveries(stage.store.connection) if one.is_probe]
    sender = _LearningSender(stage, [SERVER_ERROR] * 4)
    post = Post(stage, sender=sender, gate=GATE)
    post.deliver(*deliveries, probe)

    assert [request.delivery_id for request in sender.requests[4:]] == [probe.delivery_id]
    assert sorted(settle.sequence for settle in post.settled if settle.is_postponed) == [5, 6]


def test_an_actor_that_has_stopped_is_gone_without_a_garbage_collector(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage)
    post.deliver(*stage.enqueue(ONE, 3))
    actor = post.ref._actor_weakref
    gc.disable()
    try:
        post.ref.stop(block=False)
        stage.run()

        assert actor() is None
    finally:
        gc.enable()


def test_an_outcome_that_cannot_be_recorded_keeps_nothing_else_from_being_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    faults: list[Exception] = [OSError("on purpose")]
    real = attempt_event

    def event(*arguments: Any, **named: Any) -> Any:
        if faults:
            raise faults.pop()
        return real(*arguments, **named)

    monkeypatch.setattr(attempt_task_module, "attempt_event", event)
    post = Post(stage)
    post.deliver(*stage.enqueue(ONE, 3))

    assert len(post.sender.requests) == 3
    assert [settle.sequence for settle in post.settled] == [2, 3]
    assert len(lines_of(lines, "outcome_lost")) == 1


BREAKER = BreakerRule(failures_min=1000, streak_min=3, open_s=300, open_max_s=3600, recovery_s=1200)
GATE = GateRule(breaker=BREAKER)
RETRIES_S = (5.0,) * 50


def at_work(stage: Stage, *, gate: GateRule = GATE, answer: Outcome = SERVER_ERROR, **settings: Any) -> Works:
    stage.register(ONE, TWO)
    return Works(stage, receiver=Receiver(answer), gate=gate, **{"delays_s": RETRIES_S} | settings)


def broken(stage: Stage, **settings: Any) -> Works:
    """Return a daemon of which one installation's breaker has opened; four of its deliveries wait."""
    works = at_work(stage, limits={"per_installation": 1}, **settings)
    stage.enqueue(ONE, 4)
    works.look_around()
    return works


def open_until(stage: Stage) -> str | None:
    return find_installation(stage.store.connection, ONE).breaker_open_until


def test_the_breaker_opens_by_the_failures_that_are_recorded(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)

    assert len(works.receiver.requests) == 3
    assert open_until(stage) == "2025-02-03T12:05:00.000000Z"
    (line,) = lines_of(lines, "breaker_opened")
    assert (line["installation_id"], line["explanation"]) == (ONE, "3 failures in a row (the limit is 3)")


def test_behind_an_open_breaker_all_waits_and_no_attempt_is_used_up(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    before = stage.rows("SELECT sequence, attempts FROM queue ORDER BY sequence")
    sent = [works.look_around(after_s=59) for _ in range(5)]
    stage.enqueue(ONE, 3)
    works.look_around()

    assert sent == [0] * 5
    assert stage.rows("SELECT sequence, attempts FROM queue ORDER BY sequence")[:4] == before
    assert before == [(1, 1), (2, 1), (3, 1), (4, 0)]
    assert count_deliveries(stage.store.connection) == {"waiting": 7, "missed": 0, "dead": 0}


def test_after_it_has_closed_all_that_waited_is_delivered_once(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    stage.enqueue(ONE, 20)
    works.receiver.answer = outcome()
    works.look_around(after_s=300)
    while works.look_around(after_s=1):
        pass

    delivered = [event.delivery_id for event in stage.events("delivery.succeeded")]
    assert len(delivered) == len(set(delivered)) == 24
    assert stage.rows("SELECT * FROM queue") == []
    assert len(stage.events("breaker.closed")) == 1
    assert open_until(stage) is None
    assert len(lines_of(lines, "breaker_closed")) == 1


def test_half_open_a_single_attempt_finds_out_and_a_failure_keeps_it_open(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    stage.enqueue(ONE, 20)
    sent = [works.look_around(after_s=seconds) for seconds in (299, 1, 1, 598, 1)]

    assert sent == [0, 1, 0, 0, 1]
    assert [event.failed_trials for event in stage.events("breaker.opened")] == [0, 1, 2]


def test_an_open_breaker_holds_no_other_installation(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    stage.enqueue(TWO, 3)
    works.receiver.answers[TWO] = outcome()

    assert works.look_around() == 3


def test_in_flight_beside_the_failure_that_opens_it_changes_nothing(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage)  # eight at once
    stage.enqueue(ONE, 8)
    works.look_around()

    assert len(stage.events("delivery.failed")) == 8
    assert len(stage.events("breaker.opened")) == 1


def test_after_a_restart_an_open_breaker_is_open(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    works.restart()
    sent = [works.look_around(after_s=seconds) for seconds in (0, 299.9, 0.1)]

    assert sent == [0, 0, 1]


def test_after_a_restart_a_half_open_breaker_lets_one_through(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    stage.enqueue(ONE, 20)
    works.restart()

    assert works.look_around(after_s=301) == 1


def test_after_a_restart_failed_trials_are_remembered(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    works.look_around(after_s=300)
    works.restart()
    works.look_around(after_s=600)

    assert [event.failed_trials for event in stage.events("breaker.opened")] == [0, 1, 2]


def test_after_a_restart_the_limits_of_the_recovery_are_as_strict(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    works.receiver.answer = outcome()
    works.look_around(after_s=300)
    works.look_around(after_s=10)
    works.restart()
    works.receiver.answer = SERVER_ERROR
    stage.enqueue(ONE, 2)
    works.look_around()

    (_, again) = stage.events("breaker.opened")
    assert again.explanation == "2 failures in a row (the limit is 2)"


def test_after_a_restart_the_failures_so_far_count(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage)
    stage.enqueue(ONE, 2)
    works.look_around()
    works.restart()
    works.look_around(after_s=5)

    assert [event.explanation for event in stage.events("breaker.opened")] == ["3 failures in a row (the limit is 3)"]


def test_an_actor_that_was_put_away_finds_its_breaker_as_it_was(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, delays_s=(900.0,))
    stage.enqueue(ONE, 3)
    works.look_around()
    first = works.actors[ONE]
    works.look_around(after_s=61)
    is_put_away = not first.is_alive()
    stage.enqueue(ONE)

    assert is_put_away
    assert [works.look_around(after_s=seconds) for seconds in (0, 238.9, 0.1)] == [0, 0, 1]


def test_a_dry_run_holds_nothing_back(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage, gate=GateRule(breaker=BREAKER, is_dry_run=True))

    assert len(works.receiver.requests) == 4
    assert [event.is_dry_run for event in stage.events("breaker.opened")] == [True]
    assert open_until(stage) is None
    assert works.look_around(after_s=5) == 4


def test_a_restart_into_a_dry_run_lets_all_go(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    works.restart(gate=GateRule(breaker=BREAKER, is_dry_run=True))

    assert works.look_around(after_s=5) == 4
    assert all(event.is_dry_run for event in stage.events("breaker.opened")[1:])


def test_a_person_s_enabling_closes_the_breaker(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    stage.clock.advance(seconds=1)
    stage.decide(ONE)
    stage.append(installation_stream(ONE), InstallationEnabled(ONE, "person:ada", ""))
    works.receiver.answer = outcome()

    assert works.look_around() == 1  # the others wait for their retries
    assert works.look_around(after_s=4) == 3


def test_a_person_closes_the_breaker_and_what_waits_is_sent(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    works.receiver.answer = outcome()
    with stage.store.transaction() as transaction:
        decision = close_breaker(transaction, ONE, by="person:ann", reason="fixed", recovery_s=1200)

    assert decision.is_changed
    assert works.look_around() == 1, "the one that has not failed yet is due at once"
    assert works.look_around(after_s=5) == 3
    assert count_deliveries(stage.store.connection)["waiting"] == 0
    (closed,) = stage.events("breaker.closed")
    assert (closed.by, closed.reason) == ("person:ann", "fixed")
    (entry,) = stage.events("audit.recorded")
    assert (entry.event, entry.actor) == ("internal-integration.close-breaker", "person:ann")
    assert stage.events("mail.requested") == []


def test_after_a_closing_by_hand_the_limits_are_strict_and_failures_open_it_again(
    stage: Stage, lines: list[EventDict]
) -> None:
    works = broken(stage)
    with stage.store.transaction() as transaction:
        close_breaker(transaction, ONE, by="person:ann", reason="fixed", recovery_s=1200)
    works.look_around()
    works.look_around(after_s=5)

    assert [event.explanation for event in stage.events("breaker.opened")] == [
        "3 failures in a row (the limit is 3)",
        "2 failures in a row (the limit is 2)",
    ]
    assert open_until(stage) is not None


def test_a_breaker_that_is_closed_or_of_one_that_is_not_active_is_not_closed_again(stage: Stage) -> None:
    stage.register(ONE, TWO)
    stage.append(installation_stream(TWO), InstallationRemoved(TWO))
    with stage.store.transaction() as transaction:
        decision = close_breaker(transaction, ONE, by="person:ann", reason="fixed", recovery_s=1200)
        assert (decision.is_changed, decision.why) == (False, "its breaker is closed")
        with pytest.raises(RejectedError, match="is removed"):
            close_breaker(transaction, TWO, by="person:ann", reason="fixed", recovery_s=1200)
    _disabled(stage)
    with stage.store.transaction() as transaction, pytest.raises(RejectedError, match="see `hookfuse enable`"):
        close_breaker(transaction, ONE, by="person:ann", reason="fixed", recovery_s=1200)


@pytest.mark.parametrize(("answer", "is_closed"), [(outcome(), True), (SERVER_ERROR, False)], ids=["good", "bad"])
def test_a_good_test_delivery_closes_the_breaker(
    stage: Stage, lines: list[EventDict], answer: Outcome, is_closed: bool
) -> None:
    works = broken(stage)
    works.receiver.answer = answer
    with stage.store.transaction() as transaction:
        enqueue_probe(transaction, ONE, by="person:ada")
    works.look_around()
    works.look_around()

    assert [event.by for event in stage.events("breaker.closed")] == ["person:ada"] * is_closed
    assert (open_until(stage) is None) is is_closed
    assert (count_deliveries(stage.store.connection)["waiting"] < 4) is is_closed


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMITED, ErrorClass.INTERNAL])
def test_what_says_nothing_about_the_endpoint_opens_nothing(
    stage: Stage, lines: list[EventDict], error_class: ErrorClass
) -> None:
    works = at_work(stage, answer=outcome(error_class, 0))
    stage.enqueue(ONE, 20)
    for _ in range(5):
        works.look_around(after_s=5)

    assert stage.events("breaker.opened") == []


def test_a_trial_that_can_not_be_recorded_makes_room_for_another(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.append(installation_stream(ONE), BreakerOpened(ONE, "2025-02-03T12:00:00.000000Z", "on purpose"))
    first, second = stage.enqueue(ONE, 2)
    journal = stage.hear()
    post = Post(stage, journal=journal.ref, gate=GATE)
    post.deliver(first)
    (told,) = journal.of(RecordDelivery)
    post.tell(NoteRecorded(DeliveryRecord(first, told.record.event), None))
    post.deliver(second)

    assert [request.delivery_id for request in post.sender.requests] == [first.delivery_id, second.delivery_id]


def test_a_crash_while_learning_of_a_trial_makes_room_for_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.append(installation_stream(ONE), BreakerOpened(ONE, "2025-02-03T12:00:00.000000Z", "on purpose"))
    first, second = stage.enqueue(ONE, 2)
    post = Post(stage, gate=GATE)
    with monkeypatch.context() as patch:
        patch.setattr(installation_module, "log_record", _fail)
        post.deliver(first)
    post.deliver(second)

    assert len(post.sender.requests) == 2


def test_a_429_holds_everything_of_the_installation_until_its_retry_after(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, answer=outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=3600.0))
    stage.enqueue(ONE)
    works.look_around()
    works.receiver.answer = outcome()
    stage.enqueue(ONE, 3)
    stage.enqueue(TWO)
    sent = [works.look_around(after_s=seconds) for seconds in (0, 3599.9, 0.1)]

    assert sent == [1, 0, 4]  # at first the other installation's


def test_a_pause_outlasts_a_restart(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, answer=outcome(ErrorClass.UNAVAILABLE, 503, retry_after_s=3600.0))
    stage.enqueue(ONE)
    works.look_around()
    works.receiver.answer = outcome()
    stage.enqueue(ONE, 3)
    works.restart()

    assert [works.look_around(after_s=seconds) for seconds in (0, 3599.9, 0.1)] == [0, 0, 4]


def test_a_pause_is_a_day_at_most(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, answer=outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=1e7))
    stage.enqueue(ONE)
    works.look_around()
    works.receiver.answer = outcome()
    stage.enqueue(ONE)

    assert [works.look_around(after_s=seconds) for seconds in (86_399, 1)] == [0, 2]


def test_without_a_retry_after_the_pause_is_the_configured_one(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, answer=outcome(ErrorClass.RATE_LIMITED, 429), slow_down_s=40.0)
    stage.enqueue(ONE)
    works.look_around()
    works.receiver.answer = outcome()

    assert [works.look_around(after_s=seconds) for seconds in (39, 1)] == [0, 1]


def test_a_pause_that_was_asked_for_uses_up_no_attempt_of_what_waits(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, answer=outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=60.0))
    stage.enqueue(ONE)
    works.look_around()
    stage.enqueue(ONE, 3)
    for _ in range(5):
        works.look_around(after_s=10)

    assert stage.rows("SELECT attempts FROM queue ORDER BY sequence") == [(1,), (0,), (0,), (0,)]


def test_a_rate_limit_paces_one_installation_and_slows_no_other(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, gate=GateRule(rate_per_s=2.0, rate_burst=3), answer=outcome())
    stage.enqueue(ONE, 10)
    first = works.look_around()
    stage.enqueue(TWO, 3)
    sent = [works.look_around(after_s=0.5) for _ in range(8)]

    assert first == 3
    assert sent == [4, 1, 1, 1, 1, 1, 1, 0]
    assert stage.rows("SELECT * FROM queue") == []


def test_a_key_keeps_its_order_though_the_endpoint_fails_at_random(stage: Stage, lines: list[EventDict]) -> None:
    works = at_work(stage, gate=GateRule(), answer=outcome())
    keys = {"a": stage.enqueue(ONE, 6, ordering_key="a"), "b": stage.enqueue(ONE, 6, ordering_key="b")}
    pattern = [SERVER_ERROR, outcome(), READ_TIMEOUT, outcome(), outcome(), SERVER_ERROR, SERVER_ERROR]
    for number in range(60):
        works.receiver.answer = pattern[number % len(pattern)]
        works.look_around(after_s=1)

    received = [event.delivery_id for event in stage.events("delivery.succeeded")]
    for deliveries in keys.values():
        ids = [delivery.delivery_id for delivery in deliveries]
        assert [one for one in received if one in ids] == ids
        assert [one for one in dict.fromkeys(works.receiver.delivery_ids()) if one in ids] == ids


def test_a_key_goes_on_when_its_first_is_dead(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    works = Works(stage, receiver=Receiver(SERVER_ERROR), delays_s=(5.0,))
    stage.enqueue(ONE, 2, ordering_key="incident")
    works.look_around()
    works.receiver.answer = SERVER_ERROR
    works.look_around(after_s=5)

    assert stage.rows("SELECT state, attempts FROM queue ORDER BY sequence") == [("dead", 2), ("waiting", 1)]


def test_only_a_change_of_its_health_is_told(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    answers = [outcome(), outcome(), SERVER_ERROR, READ_TIMEOUT, outcome()]
    post = Post(stage, *answers)
    for delivery in stage.enqueue(ONE, 5):
        post.deliver(delivery)
    post.ref.stop(block=False)
    stage.run()

    assert post.noted == [False, True, False, None]


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMITED, ErrorClass.INTERNAL, ErrorClass.BLOCKED])
def test_what_says_nothing_about_the_endpoint_is_no_health(
    stage: Stage, lines: list[EventDict], error_class: ErrorClass
) -> None:
    stage.register(ONE)
    post = Post(stage, outcome(error_class, 0))
    post.deliver(*stage.enqueue(ONE))

    assert post.noted == []


def test_a_review_is_asked_for_once_until_the_word_comes(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out(failures=4, days=2)
    post = Post(stage, *[SERVER_ERROR] * 2)
    post.deliver(*stage.enqueue(ONE, 2))

    assert post.asked == [ReviewInstallation(ONE, post.ref)]


def test_a_warning_holds_no_delivery_back(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out(failures=4, days=2)
    post = Post(stage, SERVER_ERROR)
    first, second = stage.enqueue(ONE, 2)
    post.deliver(first)
    post.deliver(second)  # no word from the supervisor yet

    assert len(post.sender.requests) == 2
    assert len(post.settled) == 2


def test_without_warnings_no_review_is_asked_for_before_it_is_broken(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out(failures=4, days=2)
    post = Post(stage, SERVER_ERROR, is_warned=False)
    post.deliver(*stage.enqueue(ONE))

    assert post.asked == []


def test_owners_are_warned_once_an_episode_by_a_daemon_at_work_and_by_the_next_one(
    stage: Stage, lines: list[EventDict]
) -> None:
    works = at_work(stage, gate=GateRule())
    stage.wear_out(failures=3, days=2)
    for _ in range(2):
        stage.enqueue(ONE)
        works.look_around()
        works.restart()
    warned = [event.level for event in stage.events("installation.warned")]
    works.receiver.answer = outcome()
    works.look_around(after_s=60)

    assert warned == [50]
    assert len(stage.events("installation.warning_lifted")) == 1
    assert len(stage.events("mail.requested")) == 2


def probe(stage: Stage, by: str = "person:ada") -> QueuedDelivery:
    with stage.store.transaction() as transaction:
        delivery_id = enqueue_probe(transaction, ONE, by=by)
    delivery = find_delivery(stage.store.connection, delivery_id)
    assert delivery is not None
    return delivery


def test_a_test_delivery_goes_through_an_open_breaker_and_the_rest_waits_on(
    stage: Stage, lines: list[EventDict]
) -> None:
    works = broken(stage)
    delivery = probe(stage)
    sent = works.look_around()

    assert sent == 1
    assert works.receiver.delivery_ids()[-1] == delivery.delivery_id
    assert len(stage.events("probe.failed")) == 1
    assert open_until(stage) == "2025-02-03T12:05:00.000000Z"
    assert works.look_around(after_s=5) == 0


def test_a_test_delivery_goes_to_a_disabled_installation_and_counts_for_nothing(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.decide(ONE)
    post = Post(stage, SERVER_ERROR)
    post.deliver(probe(stage))

    assert len(stage.events("probe.failed")) == 1
    assert (stage.counts(), post.noted, post.asked) == ([], [], [])
    assert stage.rows("SELECT * FROM queue") == []
    assert post.settled[0].retry_at is None


@pytest.mark.parametrize(("is_probed", "expected"), [(True, 1), (False, 0)])
def test_a_test_delivery_of_the_machine_that_succeeds_asks_for_an_enabling_where_there_is_probing(
    stage: Stage, lines: list[EventDict], is_probed: bool, expected: int
) -> None:
    stage.register(ONE)
    stage.decide(ONE)
    post = Post(stage, outcome(), is_probed=is_probed)
    post.deliver(probe(stage, by="system"))

    assert len(post.supervisor.of(ReviewAfterProbe)) == expected


def test_an_actor_whose_installation_worked_last_makes_up_for_nothing(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out()
    stage.append(installation_stream(ONE), DeliverySucceeded("d-1", EVENT_NAME, 1111, 1111, 1, URL, 200))
    post = Post(stage)
    stage.run()

    assert post.asked == []


def test_a_refresh_makes_no_second_trial(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.append(installation_stream(ONE), BreakerOpened(ONE, "2025-02-03T12:00:00.000000Z", "on purpose"))
    first, second = stage.enqueue(ONE, 2)
    post = Post(stage, journal=stage.hear().ref, gate=GATE)  # the first one's outcome is never recorded
    post.deliver(first)
    post.tell(Refresh())
    post.deliver(second)

    assert [request.delivery_id for request in post.sender.requests] == [first.delivery_id]


def test_a_refresh_gives_no_further_burst(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    post = Post(stage, gate=GateRule(rate_per_s=0.001, rate_burst=2))
    for delivery in stage.enqueue(ONE, 6):
        post.deliver(delivery)
        post.tell(Refresh())

    assert len(post.sender.requests) == 2


def test_who_settles_says_until_when_the_gate_is_closed(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    post = Post(stage, outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=60.0))
    post.deliver(*stage.enqueue(ONE))

    assert [settle.hold_until for settle in post.settled] == ["2025-02-03T12:01:00.000000Z"]


def test_a_failure_that_comes_while_a_warning_is_decided_is_looked_at_with_the_word(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.wear_out(failures=5, days=2)
    stage.clock.advance(days=1)
    post = Post(stage, SERVER_ERROR)
    post.deliver(*stage.enqueue(ONE))  # its start asks for the warning, and the third day's failure comes meanwhile
    before = len(post.asked)
    post.tell(Refresh())

    assert (before, len(post.asked)) == (1, 2)


def test_a_410_that_comes_while_a_warning_is_decided_is_asked_for_with_the_word(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.wear_out(failures=4, days=2)
    post = Post(stage, SERVER_ERROR, GONE, SERVER_ERROR)
    for delivery in stage.enqueue(ONE, 3):
        post.deliver(delivery)
    post.tell(Refresh())

    assert [one.gone_at is not None for one in post.asked] == [False, True]


def test_a_success_that_comes_meanwhile_asks_for_nothing(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    first, second = stage.enqueue(ONE, 2)
    post = Post(stage, GONE)
    post.ref.tell(Deliver(first))
    post.ref.tell(Deliver(second))
    stage.run()
    post.tell(Refresh())

    assert len(post.asked) == 1


def move(stage: Stage, url: str) -> None:
    """Change the URL of the app of ONE, as `hookfuse apply` does."""
    known = find_app(stage.store.connection, find_installation(stage.store.connection, ONE).app_id)
    entry = AppEntry(
        known.app_id, known.slug, known.name, known.organization_id, url, headers=(f"X-Key: {HEADER_VALUE}",)
    )
    with stage.store.transaction() as transaction:
        apply_document(transaction, RegistryDocument(apps=(entry,)))


def test_another_url_is_sent_to_at_once_though_the_breaker_was_open(stage: Stage, lines: list[EventDict]) -> None:
    works = broken(stage)
    works.receiver.answer = outcome()
    held = works.look_around()
    move(stage, "https://new.example/hook")
    while works.look_around(after_s=6):
        pass

    assert held == 0
    assert {request.url for request in works.receiver.requests[3:]} == {"https://new.example/hook"}
    assert len(stage.events("delivery.succeeded")) == 4


def test_failures_at_the_old_url_do_not_open_the_breaker_of_the_new_one(stage: Stage) -> None:
    stage.register(ONE)
    sender = _MovingSender(stage, [SERVER_ERROR] * 4)
    post = Post(stage, sender=sender, gate=GATE)
    sender.refresh = lambda: post.ref.tell(Refresh())
    post.deliver(*stage.enqueue(ONE, 4))

    assert [request.url for request in sender.requests] == [URL] * 4
    assert stage.events("breaker.opened") == []


class _MovingSender(FakeSender):
    """Has the app move after the first request, before its outcome is known."""

    def __init__(self, stage: Stage, outcomes: list[Outcome]) -> None:
        super().__init__(outcomes)
        self._stage = stage
        self.refresh: Callable[[], None]

    def send(self, request: WebhookRequest) -> Outcome:
        if not self.requests:
            move(self._stage, "https://new.example/hook")
            self.refresh()
        return super().send(request)
