"""The actor of one installation."""

from collections import deque
from datetime import timedelta

import structlog

from actors.delivery.attempt import own_failure
from actors.delivery.attempt_task import attempt, record_outcome
from actors.delivery.concurrency_limiter import ConcurrencyLimiter
from actors.delivery.delivery_gate import DeliveryGate, gate_stays
from actors.delivery.delivery_log import log_breaker, log_record
from actors.delivery.installation_dependencies import InstallationDependencies
from actors.delivery.review_asker import ReviewAsker
from actors.messages import (
    Deliver,
    HoldBack,
    NoteHealth,
    NoteRecorded,
    Postpone,
    RecordDelivery,
    RecordEvent,
    Refresh,
    Release,
    ReviewAfterProbe,
    tell_if_alive,
)
from actors.runtime.supervision import SupervisedActor
from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream
from eventstore.common.shortage import lack_of
from eventstore.decisions.probing import is_by_machine, sender_of_probe
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.errors import Lack, NotFoundError
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryMissed,
    DeliverySucceeded,
    DeliveryTimedOut,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import last_position
from eventstore.log.snapshots import read_recent_outcomes
from eventstore.policies.day_counts import counted_class_of
from eventstore.policies.recent_outcomes import RecentOutcomes
from eventstore.projections.registry import Endpoint, read_endpoint
from eventstore.queue.delivery import QueuedDelivery

__all__ = ["InstallationActor"]

log = structlog.get_logger("hookfuse.delivery")

Message = Deliver | NoteRecorded | Postpone | Refresh

_POSTPONED_S = 60
# How long an installation waits after an attempt that this machine could not make, with half of it more or less: all
# that were postponed in one moment must not come back in one.
_SHORT_S = 2.0


class InstallationActor(SupervisedActor[Message]):
    """Owns what is needed to send to one installation, and whether anything is sent.

    Receives Deliver, NoteRecorded, Postpone and Refresh.
    Tells the journal what became of attempts and of its breaker, the supervisor when it looks broken or fares
    otherwise than before, the dispatcher to settle.
    """

    is_registered = False  # by the thousand; the dispatcher holds the refs
    turn_messages = 64

    def __init__(self, installation_id: str, dependencies: InstallationDependencies) -> None:
        super().__init__(pool=dependencies.pool, budget=dependencies.budget, escalate=dependencies.escalate)
        self._installation_id = installation_id
        self._dependencies = dependencies
        self._endpoint: Endpoint | None = None
        self._gate: DeliveryGate | None = None
        self._is_failing: bool | None = None
        self._reviews = ReviewAsker(installation_id, dependencies, self.actor_ref)
        self._held_back: deque[QueuedDelivery] = deque()
        self._limiter = ConcurrencyLimiter(dependencies.send_pool, dependencies.limiter_watch)

    def on_start(self) -> None:
        """Read the registry, on the first turn, and make up for a review that a crash has come before."""
        with self._dependencies.readers.borrow() as connection:
            position = last_position(connection)
        recent = self._load()
        if recent is not None and self._endpoint is not None:
            self._reviews.make_up(self._endpoint, recent, position)

    def on_stop(self) -> None:
        """Count the actor as no longer active."""
        tell_if_alive(self._dependencies.supervisor, NoteHealth(self._installation_id, is_failing=None))

    def receive(self, message: Message) -> None:
        """Handle one message."""
        match message:
            case Deliver(delivery):
                self._deliver(delivery)
            case NoteRecorded(record, position):
                self._learn(record, position)
                self._take_back()
            case Postpone(delivery, lack):
                self._postpone_short(delivery, lack)
            case Refresh():
                self._refresh()

    def restarted(self, message: Message | None, error: Exception) -> None:
        """Read everything again; an attempt that could not even be made is recorded as our own failure."""
        self._load()
        if isinstance(message, Refresh):
            self._refresh()  # nobody says it twice, and what is held back waits for it
        elif isinstance(message, Postpone):
            self._postpone_short(message.delivery, message.lack)
        elif isinstance(message, Deliver) and (lack := lack_of(error)) is not None:
            self._postpone_short(message.delivery, lack)
        elif isinstance(message, Deliver) and self._endpoint is not None:
            record_outcome(self._dependencies, self._endpoint, message.delivery, own_failure(error), self.actor_ref)
        elif isinstance(message, NoteRecorded):
            self._leave(message.record.delivery.sequence)
            self._settle(message.record)
            self._take_back()

    def _load(self) -> RecentOutcomes | None:
        """Read the registry, and return the latest outcomes where the gate had to be rebuilt from them."""
        before = self._endpoint
        try:
            with self._dependencies.readers.borrow() as connection:
                self._endpoint = endpoint = read_endpoint(connection, self._installation_id)
                # Its breaker is followed here, outcome by outcome; only what somebody else decides renews it.
                if before is not None and gate_stays(before.installation, endpoint.installation):
                    return None
                recent = read_recent_outcomes(connection, self._installation_id)
                self._gate = DeliveryGate(self._dependencies.gate, endpoint.installation, recent.moments())
                return recent
        except NotFoundError as error:
            self._endpoint = None
            log.error(  # noqa: TRY400 - the text says it all
                "endpoint_unknown",
                installation_id=self._installation_id,
                error=str(error),
                done=f"its deliveries wait, and are looked at again every {_POSTPONED_S} s",
            )
            return None

    def _refresh(self) -> None:
        self._load()
        # What was settled before may have told the dispatcher of a gate that is no more: the latest word counts.
        tell_if_alive(self._dependencies.dispatcher, HoldBack(self._installation_id, self._closed_until()))
        self._reviews.answered(self._endpoint)
        while self._held_back:
            self._deliver(self._held_back[0])
            self._held_back.popleft()  # only now: what a crash leaves is gone on with after it
        self._take_back()

    def _deliver(self, delivery: QueuedDelivery) -> None:
        endpoint, gate = self._endpoint, self._gate
        if endpoint is None or gate is None:
            self._postpone(delivery)
        elif delivery.is_probe and endpoint.installation.state != "removed":
            self._start_attempt(endpoint, delivery)
        elif self._reviews.is_holding_back:
            self._held_back.append(delivery)
        elif not endpoint.installation.is_active:
            missed = DeliveryMissed(delivery.delivery_id, delivery.event_name, delivery.enqueued_at, delivery.attempts)
            self._dependencies.journal.tell(RecordDelivery(DeliveryRecord(delivery, missed), self.actor_ref))
        elif (until := gate.acquire(delivery.sequence, self._dependencies.clock.now())) is not None:
            self._put_back(delivery, until)
        else:
            self._start_attempt(endpoint, delivery)

    def _start_attempt(self, endpoint: Endpoint, delivery: QueuedDelivery) -> None:
        self._limiter.add(delivery, lambda: attempt(self._dependencies, endpoint, delivery, self.actor_ref))

    def _take_back(self) -> None:
        """Release what has not begun, once it may not be sent, or would wait for a silence; the queue keeps it."""
        if not self._limiter.has_waiting:
            return
        until = self._closed_until()
        if until is None and self._is_active() and not self._reviews.is_holding_back and not self._limiter.is_held_up:
            return
        for delivery in self._limiter.take_back():
            if delivery.is_probe:
                self._deliver(delivery)  # it goes through whatever holds up the others
                continue
            self._leave(delivery.sequence)
            self._put_back(delivery, until or time_text(self._dependencies.clock.now()))

    def _put_back(self, delivery: QueuedDelivery, until: str) -> None:
        """Release a delivery that may not be attempted yet; the queue keeps it, and no attempt is used up."""
        settle = Release(
            self._installation_id,
            delivery.sequence,
            until,
            is_answered=False,
            is_postponed=True,
            hold_until=until,
        )
        tell_if_alive(self._dependencies.dispatcher, settle)

    def _postpone(self, delivery: QueuedDelivery) -> None:
        """Release a delivery that cannot be attempted, or not be recorded; the queue keeps it."""
        self._load()
        again = time_text(self._dependencies.clock.now() + timedelta(seconds=_POSTPONED_S))
        settle = Release(self._installation_id, delivery.sequence, again, is_answered=False, is_postponed=True)
        tell_if_alive(self._dependencies.dispatcher, settle)

    def _postpone_short(self, delivery: QueuedDelivery, lack: Lack) -> None:
        """Release a delivery that this machine could not send: no attempt is used up, and nothing counts for it."""
        self._dependencies.budget.shortages.note(
            lack, done="deliveries are postponed by a few seconds; no attempt is used up, and nothing is counted"
        )
        until = self._dependencies.clock.now() + timedelta(seconds=_SHORT_S * (0.5 + self._dependencies.random_unit()))
        self._leave(delivery.sequence)
        if self._gate is not None:
            self._gate.postpone(until)
        self._put_back(delivery, time_text(until))
        self._take_back()

    def _learn(self, record: DeliveryRecord, position: int | None) -> None:
        if position is None:
            self._leave(record.delivery.sequence)
            self._postpone(record.delivery)
            return
        log_record(self._installation_id, record, position)
        event, sequence = record.event, record.delivery.sequence
        if not position or not isinstance(event, AttemptEvent):
            self._leave(sequence)
        elif isinstance(event, ProbeSucceeded):
            self._close_breaker(record.delivery)
            self._consider_enabling(record.delivery)
        elif not isinstance(event, ProbeFailed):
            self._follow(sequence, event)
            self._reviews.consider(self._endpoint, event, position)
        self._settle(record)

    def _leave(self, sequence: int) -> None:
        if self._gate is not None:
            self._gate.release(sequence)

    def _closed_until(self) -> str | None:
        """Return until when the dispatcher need hand nothing out; what is not active takes all at once, as missed."""
        if self._gate is None or not self._is_active():
            return None
        return self._gate.closed_until(self._dependencies.clock.now())

    def _is_active(self) -> bool:
        return self._endpoint is not None and self._endpoint.installation.is_active

    def _follow(self, sequence: int, event: AttemptEvent) -> None:
        """Tell breaker and supervisor how it went; the breaker passes over what comes after a disabling."""
        if self._gate is not None and self._is_active():
            change = self._noted(self._gate, sequence, event)
            if change is not None:
                self._dependencies.journal.tell(RecordEvent(installation_stream(self._installation_id), change))
                log_breaker(self._installation_id, change)
        is_failing = not isinstance(event, DeliverySucceeded)
        # A 429 is the answer of one that works: neither it nor we are at fault.
        if counted_class_of(event) not in (None, "rate_limited") and is_failing != self._is_failing:
            self._is_failing = is_failing
            tell_if_alive(self._dependencies.supervisor, NoteHealth(self._installation_id, is_failing=is_failing))

    def _noted(self, gate: DeliveryGate, sequence: int, event: AttemptEvent) -> BreakerOpened | BreakerClosed | None:
        if self._endpoint is not None and event.webhook_url != self._endpoint.app.webhook_url:
            gate.release(sequence)  # it was on its way to the URL of before, and says nothing about this one
            return None
        return gate.record(sequence, event, self._dependencies.clock.now())

    def _settle(self, record: DeliveryRecord) -> None:
        event, gate = record.event, self._gate
        is_silent = isinstance(event, DeliveryTimedOut) or (gate is not None and gate.is_suspect)
        settle = Release(
            installation_id=self._installation_id,
            sequence=record.delivery.sequence,
            retry_at=event.retry_at if isinstance(event, AttemptEvent) else None,
            is_answered=not is_silent,
            # What is recovered goes one by one, as what shares a key does.
            has_key=bool(record.delivery.ordering_key) or record.delivery.is_recovery,
            hold_until=self._closed_until(),
        )
        # When a stop runs into its deadline the dispatcher is gone before the last outcomes are recorded.
        tell_if_alive(self._dependencies.dispatcher, settle)

    def _close_breaker(self, probe: QueuedDelivery) -> None:
        if self._gate is None or not self._is_active():
            return
        closed = self._gate.close_after_test(self._dependencies.clock.now(), by=sender_of_probe(probe))
        if closed is not None:
            self._dependencies.journal.tell(RecordEvent(installation_stream(self._installation_id), closed))
            log_breaker(self._installation_id, closed)

    def _consider_enabling(self, probe: QueuedDelivery) -> None:
        # A person who tries an endpoint out with `hookfuse test` decides for themselves.
        if self._dependencies.is_probed and is_by_machine(probe):
            wish = ReviewAfterProbe(self._installation_id, self.actor_ref, probe.enqueued_at)
            tell_if_alive(self._dependencies.supervisor, wish)
