"""The actor of one installation."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pykka
import structlog

from actors.attempt import attempt_event, body_of, retry_moment, timeouts_of, webhook_request
from actors.messages import (
    ConsiderDisabling,
    Deliver,
    LearnRecorded,
    RecordDelivery,
    Ref,
    Refresh,
    Settle,
    tell_if_alive,
)
from actors.pool import Pool
from actors.restart_budget import RestartBudget
from actors.supervised import SupervisedActor
from eventstore.buffer import read_days, window_start
from eventstore.clock import Clock, time_text
from eventstore.disabling import may_be_disabled
from eventstore.errors import NotFoundError
from eventstore.events import AttemptEvent, DeliveryMissed, DeliverySucceeded, DeliveryTimedOut
from eventstore.policy import Policy
from eventstore.readers import Readers
from eventstore.recording import DeliveryRecord
from eventstore.registry import Endpoint, read_endpoint
from eventstore.verdict import judge
from eventstore.work_queue import QueuedDelivery
from webhook import ErrorClass, Outcome, OutcomeKind, RetrySchedule, Timeouts, WebhookSender

__all__ = ["InstallationActor", "InstallationParts"]

log = structlog.get_logger("hookfuse.delivery")

Message = Deliver | LearnRecorded | Refresh

_POSTPONED_S = 60


@dataclass(frozen=True, slots=True)
class InstallationParts:
    """What all installations share."""

    pool: Pool
    send_pool: Pool
    budget: RestartBudget
    escalate: Callable[[str], None]
    readers: Readers
    sender: WebhookSender
    journal: Ref
    supervisor: Ref
    dispatcher: Ref
    clock: Clock
    policy: Policy
    disable_scope: str
    retry: RetrySchedule
    timeouts: Timeouts
    random_unit: Callable[[], float] = field(default=random.random)


class InstallationActor(SupervisedActor[Message]):
    """Owns what is needed to send to one installation, and whether anything is sent.

    Receives Deliver, LearnRecorded and Refresh.
    Tells the journal what became of attempts, the supervisor when it looks broken, the dispatcher to settle.
    """

    is_registered = False  # by the thousand; the dispatcher holds the refs
    turn_messages = 64

    def __init__(self, installation_id: str, parts: InstallationParts) -> None:
        super().__init__(pool=parts.pool, budget=parts.budget, escalate=parts.escalate)
        self._installation_id = installation_id
        self._parts = parts
        self._endpoint: Endpoint | None = None
        # While the supervisor considers a disabling nothing is sent: what comes is held back until its word.
        self._is_considered = False
        self._held_back: deque[QueuedDelivery] = deque()

    def on_start(self) -> None:
        """Read the registry, on the first turn."""
        self._load()

    def receive(self, message: Message) -> None:
        """Handle one message."""
        match message:
            case Deliver(delivery):
                self._deliver(delivery)
            case LearnRecorded(record, position):
                self._learn(record, position)
            case Refresh():
                self._refresh()

    def restarted(self, message: Message | None, error: Exception) -> None:
        """Read everything anew; an attempt that could not even be made is recorded as our own failure."""
        self._load()
        if isinstance(message, Refresh):
            self._refresh()  # nobody says it twice, and what is held back waits for it
        elif isinstance(message, Deliver) and self._endpoint is not None:
            outcome = _own_failure(error)
            self._record(message.delivery, outcome, body=b"")
        elif isinstance(message, LearnRecorded):
            self._settle(message.record)

    def _load(self) -> None:
        try:
            with self._parts.readers.borrow() as connection:
                self._endpoint = read_endpoint(connection, self._installation_id)
        except NotFoundError as error:
            self._endpoint = None
            log.error(  # noqa: TRY400 - the text says it all
                "endpoint_unknown",
                installation_id=self._installation_id,
                error=str(error),
                done=f"its deliveries wait, and are looked at again every {_POSTPONED_S} s",
            )

    def _refresh(self) -> None:
        self._load()
        self._is_considered = False
        while self._held_back:
            self._deliver(self._held_back[0])
            self._held_back.popleft()  # only now: what a crash leaves is gone on with after it

    def _deliver(self, delivery: QueuedDelivery) -> None:
        endpoint = self._endpoint
        if endpoint is None:
            self._postpone(delivery)
        elif self._is_considered:
            self._held_back.append(delivery)
        elif endpoint.installation.is_active:
            self._parts.send_pool.submit(lambda: self._attempt(endpoint, delivery))
        else:
            missed = DeliveryMissed(delivery.delivery_id, delivery.event_name, delivery.enqueued_at, delivery.attempts)
            self._parts.journal.tell(RecordDelivery(DeliveryRecord(delivery, missed), self.actor_ref))

    def _postpone(self, delivery: QueuedDelivery) -> None:
        """Let go of a delivery that cannot be attempted, or not be recorded; the queue keeps it."""
        self._load()
        again = time_text(self._parts.clock.now() + timedelta(seconds=_POSTPONED_S))
        settle = Settle(self._installation_id, delivery.sequence, again, is_answered=False, is_postponed=True)
        tell_if_alive(self._parts.dispatcher, settle)

    def _attempt(self, endpoint: Endpoint, delivery: QueuedDelivery) -> None:
        # On a thread of the send pool, beside this actor's turns: it touches nothing that changes.
        body = b""
        try:
            body = body_of(delivery)
            timeouts = timeouts_of(endpoint.app, self._parts.timeouts)
            outcome = self._parts.sender.send(webhook_request(endpoint, delivery, body, timeouts))
        except Exception as error:
            log.exception("attempt_crashed", delivery_id=delivery.delivery_id, done="recorded as failed attempt")
            outcome = _own_failure(error)
        try:
            self._record(delivery, outcome, body=body, endpoint=endpoint)
        except pykka.ActorDeadError:
            log.warning(
                "outcome_unheard",
                installation_id=self._installation_id,
                delivery_id=delivery.delivery_id,
                done="the daemon has stopped meanwhile; it is sent again under the same delivery id by the next one",
            )

    def _record(
        self, delivery: QueuedDelivery, outcome: Outcome, *, body: bytes, endpoint: Endpoint | None = None
    ) -> None:
        endpoint = endpoint or self._endpoint
        assert endpoint is not None  # noqa: S101 - nothing is attempted without it
        retry_at = retry_moment(
            outcome,
            self._parts.retry,
            attempt=delivery.attempts + 1,
            now=self._parts.clock.now(),
            random_unit=self._parts.random_unit(),
        )
        event = attempt_event(endpoint, delivery, outcome, body=body, retry_at=retry_at)
        self._parts.journal.tell(RecordDelivery(DeliveryRecord(delivery, event), self.actor_ref))

    def _learn(self, record: DeliveryRecord, position: int | None) -> None:
        if position is None:
            self._postpone(record.delivery)
            return
        self._log(record, position)
        if position and isinstance(record.event, AttemptEvent) and not isinstance(record.event, DeliverySucceeded):
            self._consider(record.event)
        self._settle(record)

    def _settle(self, record: DeliveryRecord) -> None:
        event = record.event
        settle = Settle(
            installation_id=self._installation_id,
            sequence=record.delivery.sequence,
            retry_at=event.retry_at if isinstance(event, AttemptEvent) else None,
            is_answered=not isinstance(event, DeliveryTimedOut),
        )
        # When a stop runs into its deadline the dispatcher is gone before the last outcomes are recorded.
        tell_if_alive(self._parts.dispatcher, settle)

    def _consider(self, failure: AttemptEvent) -> None:
        """After a failure, look whether this installation is broken by what the database says now."""
        endpoint, policy = self._endpoint, self._parts.policy
        if (
            endpoint is None
            or self._is_considered
            or not endpoint.installation.is_active
            or not may_be_disabled(endpoint.app, self._parts.disable_scope)
        ):
            return
        if policy.gone_disables and failure.error_class == ErrorClass.GONE:
            self._ask_for_disabling("receiver", "the endpoint answered 410 Gone")
            return
        now = self._parts.clock.now()
        with self._parts.readers.borrow() as connection:
            days = read_days(connection, self._installation_id, window_start(now, policy.window_days))
        verdict = judge(policy, days, now.date())
        if verdict.is_broken:
            self._ask_for_disabling("policy", "")

    def _ask_for_disabling(self, cause: str, reason: str) -> None:
        self._is_considered = True
        # With a supervisor that was stopped the next daemon's first failure asks.
        tell_if_alive(self._parts.supervisor, ConsiderDisabling(self._installation_id, cause, reason))

    def _log(self, record: DeliveryRecord, position: int) -> None:
        event = record.event
        if not position:
            log.warning(
                "outcome_ignored",
                installation_id=self._installation_id,
                delivery_id=event.delivery_id,
                done="not counted: the queue does not wait for this attempt any more",
            )
        elif isinstance(event, AttemptEvent):
            log.info(
                "delivery_attempted",
                installation_id=self._installation_id,
                delivery_id=event.delivery_id,
                event_name=event.event_name,
                attempt=event.attempt,
                position=position,
                outcome=event.type_name.partition(".")[2],
                status_code=event.status_code,
                error_class=event.error_class or None,
                duration_ms=event.duration_ms,
                retry_at=event.retry_at,
                request_id=event.request_id,
            )
        else:
            log.info(
                "delivery_missed",
                installation_id=self._installation_id,
                delivery_id=event.delivery_id,
                event_name=event.event_name,
                position=position,
                outcome="missed",
            )


def _own_failure(error: Exception) -> Outcome:
    return Outcome(
        kind=OutcomeKind.FAILED,
        error_class=ErrorClass.INTERNAL,
        status_code=0,
        duration_ms=0.0,
        detail=f"internal: {type(error).__name__}",
        request_id="",
    )
