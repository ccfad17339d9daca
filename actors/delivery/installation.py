"""The actor of one installation."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pykka
import structlog

from actors.delivery.attempt import (
    attempt_event,
    body_of,
    damaged_payload,
    hold_moment,
    own_failure,
    retry_moment,
    secrets_of,
    timeouts_of,
    webhook_request,
)
from actors.delivery.delivery_log import log_breaker, log_record
from actors.delivery.gate import Gate, GateRule
from actors.delivery.lane import Lane, LaneWatch
from actors.messages import (
    ConsiderDisabling,
    ConsiderEnabling,
    Deliver,
    Hold,
    LearnRecorded,
    NoteHealth,
    Postpone,
    RecordDelivery,
    RecordEvent,
    Ref,
    Refresh,
    Settle,
    tell_if_alive,
)
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.clock import Clock, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.common.shortage import lack_of
from eventstore.decisions.disable import may_be_disabled
from eventstore.decisions.probing import is_by_machine, sender_of_probe
from eventstore.decisions.review import needs_review
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
from eventstore.log.snapshots import read_recent_outcomes
from eventstore.policies.day_counts import counted_class_of, window_start
from eventstore.policies.evaluation import judge
from eventstore.policies.policy import Policy, is_checked_after
from eventstore.policies.recent_outcomes import RecentOutcomes
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.registry import Endpoint, Installation, read_endpoint
from eventstore.queue.delivery import QueuedDelivery
from eventstore.sqlite.reader_pool import Readers
from webhook import ErrorClass, Outcome, RetrySchedule, SecretMask, Timeouts, WebhookSender, hidden_traceback

__all__ = ["InstallationActor", "InstallationParts"]

log = structlog.get_logger("hookfuse.delivery")

Message = Deliver | LearnRecorded | Postpone | Refresh

_POSTPONED_S = 60
# How long an installation waits after an attempt that this machine could not make, with half of it more or less: all
# that were postponed in one moment must not come back in one.
_SHORT_S = 2.0
_GONE_REASON = "the endpoint answered 410 Gone"


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
    gate: GateRule = field(default_factory=GateRule)
    lane_watch: LaneWatch = field(default_factory=LaneWatch)
    slow_down_s: float = 5.0
    is_warned: bool = True
    is_probed: bool = False
    random_unit: Callable[[], float] = field(default=random.random)
    # By which the secret of before a rotation ends; None = by the clock.
    believed_now: Callable[[], datetime] | None = None


class InstallationActor(SupervisedActor[Message]):
    """Owns what is needed to send to one installation, and whether anything is sent.

    Receives Deliver, LearnRecorded, Postpone and Refresh.
    Tells the journal what became of attempts and of its breaker, the supervisor when it looks broken or fares
    otherwise than before, the dispatcher to settle.
    """

    is_registered = False  # by the thousand; the dispatcher holds the refs
    turn_messages = 64

    def __init__(self, installation_id: str, parts: InstallationParts) -> None:
        super().__init__(pool=parts.pool, budget=parts.budget, escalate=parts.escalate)
        self._installation_id = installation_id
        self._parts = parts
        self._endpoint: Endpoint | None = None
        self._gate: Gate | None = None
        self._is_failing: bool | None = None
        # While the supervisor considers a disabling nothing is sent: what comes is held back until its word.
        self._is_considered = False
        self._is_review_asked = False
        # What was recorded while the supervisor's word was awaited: it may be what a decision hangs on.
        self._unconsidered: AttemptEvent | None = None
        self._held_back: deque[QueuedDelivery] = deque()
        self._lane = Lane(parts.send_pool, parts.lane_watch)

    def on_start(self) -> None:
        """Read the registry, on the first turn, and make up for a review that a crash has come before."""
        recent = self._load()
        if recent is None or not recent.has_failed_last or not self._is_reviewable():
            return
        if recent.is_gone_last and self._parts.policy.gone_disables:
            self._ask_for_disabling("receiver", _GONE_REASON)
        elif is_checked_after(self._parts.policy, recent.last_class):
            self._review()

    def on_stop(self) -> None:
        """Say that it is active no more."""
        tell_if_alive(self._parts.supervisor, NoteHealth(self._installation_id, is_failing=None))

    def receive(self, message: Message) -> None:
        """Handle one message."""
        match message:
            case Deliver(delivery):
                self._deliver(delivery)
            case LearnRecorded(record, position):
                self._learn(record, position)
                self._take_back()
            case Postpone(delivery, lack):
                self._postpone_short(delivery, lack)
            case Refresh():
                self._refresh()

    def restarted(self, message: Message | None, error: Exception) -> None:
        """Read everything anew; an attempt that could not even be made is recorded as our own failure."""
        self._load()
        if isinstance(message, Refresh):
            self._refresh()  # nobody says it twice, and what is held back waits for it
        elif isinstance(message, Postpone):
            self._postpone_short(message.delivery, message.lack)
        elif isinstance(message, Deliver) and (lack := lack_of(error)) is not None:
            self._postpone_short(message.delivery, lack)
        elif isinstance(message, Deliver) and self._endpoint is not None:
            outcome = own_failure(error)
            self._record(message.delivery, outcome, body=b"")
        elif isinstance(message, LearnRecorded):
            self._leave(message.record.delivery.sequence)
            self._settle(message.record)
            self._take_back()

    def _load(self) -> RecentOutcomes | None:
        """Read the registry, and give the latest outcomes where the gate had to be made anew from them."""
        before = self._endpoint
        try:
            with self._parts.readers.borrow() as connection:
                self._endpoint = endpoint = read_endpoint(connection, self._installation_id)
                # Its breaker is followed here, outcome by outcome; only what somebody else decides makes it anew.
                if before is not None and _gate_stays(before.installation, endpoint.installation):
                    return None
                recent = read_recent_outcomes(connection, self._installation_id)
                self._gate = Gate(self._parts.gate, endpoint.installation, recent.moments())
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
        self._is_considered = self._is_review_asked = False
        # What was settled before may have told the dispatcher of a gate that is no more: the latest word counts.
        tell_if_alive(self._parts.dispatcher, Hold(self._installation_id, self._closed_until()))
        event, self._unconsidered = self._unconsidered, None
        if event is not None:
            self._consider(event)
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
        elif self._is_considered:
            self._held_back.append(delivery)
        elif not endpoint.installation.is_active:
            missed = DeliveryMissed(delivery.delivery_id, delivery.event_name, delivery.enqueued_at, delivery.attempts)
            self._parts.journal.tell(RecordDelivery(DeliveryRecord(delivery, missed), self.actor_ref))
        elif (until := gate.enter(delivery.sequence, self._parts.clock.now())) is not None:
            self._put_back(delivery, until)
        else:
            self._start_attempt(endpoint, delivery)

    def _start_attempt(self, endpoint: Endpoint, delivery: QueuedDelivery) -> None:
        self._lane.add(delivery, lambda: self._attempt(endpoint, delivery))

    def _take_back(self) -> None:
        """Let go of what has not begun, once it may not be sent, or would wait for a silence; the queue keeps it."""
        if not self._lane.has_waiting:
            return
        until = self._closed_until()
        if until is None and self._is_active() and not self._is_considered and not self._lane.is_held_up:
            return
        for delivery in self._lane.take_back():
            if delivery.is_probe:
                self._deliver(delivery)  # it goes through whatever holds up the others
                continue
            self._leave(delivery.sequence)
            self._put_back(delivery, until or time_text(self._parts.clock.now()))

    def _put_back(self, delivery: QueuedDelivery, until: str) -> None:
        """Let go of a delivery that may not be attempted yet; the queue keeps it, and no attempt is used up."""
        settle = Settle(
            self._installation_id,
            delivery.sequence,
            until,
            is_answered=False,
            is_postponed=True,
            hold_until=until,
        )
        tell_if_alive(self._parts.dispatcher, settle)

    def _postpone(self, delivery: QueuedDelivery) -> None:
        """Let go of a delivery that cannot be attempted, or not be recorded; the queue keeps it."""
        self._load()
        again = time_text(self._parts.clock.now() + timedelta(seconds=_POSTPONED_S))
        settle = Settle(self._installation_id, delivery.sequence, again, is_answered=False, is_postponed=True)
        tell_if_alive(self._parts.dispatcher, settle)

    def _postpone_short(self, delivery: QueuedDelivery, lack: Lack) -> None:
        """Let go of a delivery that this machine could not send: no attempt is used up, and nothing counts for it."""
        self._parts.budget.shortages.note(
            lack, done="deliveries are postponed by some seconds; no attempt is used up, and nothing is counted"
        )
        until = self._parts.clock.now() + timedelta(seconds=_SHORT_S * (0.5 + self._parts.random_unit()))
        self._leave(delivery.sequence)
        if self._gate is not None:
            self._gate.postpone(until)
        self._put_back(delivery, time_text(until))
        self._take_back()

    def _attempt(self, endpoint: Endpoint, delivery: QueuedDelivery) -> Outcome | None:
        # On a thread of the send pool, beside this actor's turns: it touches nothing that changes.
        body, outcome, lack = b"", None, None
        try:
            if delivery.is_intact:
                body = body_of(delivery)
                timeouts = timeouts_of(endpoint.app, self._parts.timeouts)
                now = (self._parts.believed_now or self._parts.clock.now)()
                request = webhook_request(endpoint, delivery, body, timeouts, now=now)
                outcome = self._parts.sender.send(request)
            else:
                outcome = damaged_payload()
        except Exception as error:  # noqa: BLE001 - it is logged, without what is secret
            lack = lack_of(error)
            if lack is None:
                log.error(  # noqa: TRY400 - its text may hold what is secret
                    "attempt_crashed",
                    delivery_id=delivery.delivery_id,
                    traceback=hidden_traceback(error, SecretMask(secrets_of(endpoint))),
                    done="recorded as failed attempt",
                )
                outcome = own_failure(error)
        try:
            if lack is not None:
                self.actor_ref.tell(Postpone(delivery, lack))
            elif outcome is not None:
                self._record(delivery, outcome, body=body, endpoint=endpoint)
        except pykka.ActorDeadError:
            log.warning(
                "outcome_unheard",
                installation_id=self._installation_id,
                delivery_id=delivery.delivery_id,
                done="the daemon has stopped meanwhile; it is sent again under the same delivery id by the next one",
            )
        except Exception:
            log.exception(
                "outcome_lost",
                installation_id=self._installation_id,
                delivery_id=delivery.delivery_id,
                done="not recorded; it is sent again under the same delivery id by the next daemon",
            )
        return outcome

    def _record(
        self, delivery: QueuedDelivery, outcome: Outcome, *, body: bytes, endpoint: Endpoint | None = None
    ) -> None:
        endpoint = endpoint or self._endpoint
        assert endpoint is not None  # noqa: S101 - nothing is attempted without it
        now = self._parts.clock.now()
        retry_at = None
        if not delivery.is_probe:  # what is tried out is not tried again
            retry_at = retry_moment(
                outcome,
                self._parts.retry,
                attempt=delivery.attempts + 1,
                now=now,
                random_unit=self._parts.random_unit(),
            )
        hold_until = hold_moment(outcome, now=now, slow_down_s=self._parts.slow_down_s)
        event = attempt_event(endpoint, delivery, outcome, body=body, retry_at=retry_at, hold_until=hold_until)
        self._parts.journal.tell(RecordDelivery(DeliveryRecord(delivery, event), self.actor_ref))

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
            self._consider(event)
        self._settle(record)

    def _leave(self, sequence: int) -> None:
        if self._gate is not None:
            self._gate.leave(sequence)

    def _closed_until(self) -> str | None:
        """Say until when the dispatcher need hand nothing out; what is not active takes all at once, as missed."""
        if self._gate is None or not self._is_active():
            return None
        return self._gate.closed_until(self._parts.clock.now())

    def _is_active(self) -> bool:
        return self._endpoint is not None and self._endpoint.installation.is_active

    def _follow(self, sequence: int, event: AttemptEvent) -> None:
        """Have breaker and supervisor know how it went; the breaker passes over what comes after a disabling."""
        if self._gate is not None and self._is_active():
            change = self._noted(self._gate, sequence, event)
            if change is not None:
                self._parts.journal.tell(RecordEvent(installation_stream(self._installation_id), change))
                log_breaker(self._installation_id, change)
        is_failing = not isinstance(event, DeliverySucceeded)
        # A 429 is the answer of one that works: neither it nor we are at fault.
        if counted_class_of(event) not in (None, "rate_limited") and is_failing != self._is_failing:
            self._is_failing = is_failing
            tell_if_alive(self._parts.supervisor, NoteHealth(self._installation_id, is_failing=is_failing))

    def _noted(self, gate: Gate, sequence: int, event: AttemptEvent) -> BreakerOpened | BreakerClosed | None:
        if self._endpoint is not None and event.webhook_url != self._endpoint.app.webhook_url:
            gate.leave(sequence)  # it was on its way to the URL of before, and says nothing about this one
            return None
        return gate.note(sequence, event, self._parts.clock.now())

    def _settle(self, record: DeliveryRecord) -> None:
        event, gate = record.event, self._gate
        is_silent = isinstance(event, DeliveryTimedOut) or (gate is not None and gate.is_suspect)
        settle = Settle(
            installation_id=self._installation_id,
            sequence=record.delivery.sequence,
            retry_at=event.retry_at if isinstance(event, AttemptEvent) else None,
            is_answered=not is_silent,
            # What is recovered goes one by one, as what shares a key does.
            has_key=bool(record.delivery.ordering_key) or record.delivery.is_recovery,
            hold_until=self._closed_until(),
        )
        # When a stop runs into its deadline the dispatcher is gone before the last outcomes are recorded.
        tell_if_alive(self._parts.dispatcher, settle)

    def _consider(self, event: AttemptEvent) -> None:
        """After an outcome, look whether it is broken, to be warned of, or calm again."""
        is_success = isinstance(event, DeliverySucceeded)
        is_gone = self._parts.policy.gone_disables and event.error_class == ErrorClass.GONE
        if not is_success and not is_gone and not is_checked_after(self._parts.policy, counted_class_of(event)):
            return
        if self._is_considered or self._is_review_asked:
            self._remember(event)
        if not self._is_reviewable():
            return
        if is_gone:
            self._ask_for_disabling("receiver", _GONE_REASON)
        elif not is_success or self._is_warned_of():
            self._review()

    def _remember(self, event: AttemptEvent) -> None:
        """Keep what weighs most for the supervisor's word: a 410, else a failure, else the first."""
        kept = self._unconsidered
        if kept is None or isinstance(kept, DeliverySucceeded) or event.error_class == ErrorClass.GONE:
            self._unconsidered = event

    def _is_reviewable(self) -> bool:
        endpoint = self._endpoint
        return (
            endpoint is not None
            and not self._is_considered
            and not self._is_review_asked
            and endpoint.installation.is_active
            and may_be_disabled(endpoint.app, self._parts.disable_scope)
        )

    def _is_warned_of(self) -> bool:
        return self._endpoint is not None and self._endpoint.installation.warned_level > 0

    def _review(self) -> None:
        """Judge by what the database says now, and ask for what follows from it."""
        assert self._endpoint is not None  # noqa: S101 - it is reviewable
        policy, now = self._parts.policy, self._parts.clock.now()
        with self._parts.readers.borrow() as connection:
            days = read_days(connection, self._installation_id, window_start(now, policy.window_days))
        verdict = judge(policy, days, now.date())
        if verdict.is_broken:
            self._ask_for_disabling("policy", "")
        elif needs_review(verdict, self._endpoint.installation, is_warned=self._parts.is_warned):
            self._is_review_asked = True
            tell_if_alive(self._parts.supervisor, ConsiderDisabling(self._installation_id, "policy", ""))

    def _close_breaker(self, probe: QueuedDelivery) -> None:
        if self._gate is None or not self._is_active():
            return
        closed = self._gate.close_after_test(self._parts.clock.now(), by=sender_of_probe(probe))
        if closed is not None:
            self._parts.journal.tell(RecordEvent(installation_stream(self._installation_id), closed))
            log_breaker(self._installation_id, closed)

    def _consider_enabling(self, probe: QueuedDelivery) -> None:
        # A person who tries an endpoint out with `hookfuse test` decides for themselves.
        if self._parts.is_probed and is_by_machine(probe):
            tell_if_alive(self._parts.supervisor, ConsiderEnabling(self._installation_id, probe.enqueued_at))

    def _ask_for_disabling(self, cause: str, reason: str) -> None:
        self._is_considered = True
        # With a supervisor that was stopped the next daemon's first failure asks.
        tell_if_alive(self._parts.supervisor, ConsiderDisabling(self._installation_id, cause, reason))


def _gate_stays(before: Installation, after: Installation) -> bool:
    return (before.changed_at, before.breaker_closed_position) == (after.changed_at, after.breaker_closed_position)
