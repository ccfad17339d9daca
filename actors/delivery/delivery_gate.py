"""When the next attempt at an installation may be made: its breaker, the pause it asked for, its rate. No threads."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventstore.common.clock import parse_time, time_text
from eventstore.common.rate_limit import RateLimit
from eventstore.events.catalogue import AttemptEvent, BreakerClosed, BreakerOpened, DeliverySucceeded
from eventstore.policies.breaker import SAYS_NOTHING, Breaker, BreakerRule
from eventstore.policies.waits import LONGEST_PAUSE_S, is_held
from eventstore.projections.registry import Installation

__all__ = ["DeliveryGate", "GateRule", "gate_stays"]

# While one attempt is on trial, how long the others wait until they look again, in seconds.
_TRIAL_WAIT_S = 1.0
# What this machine is short of is looked for again after some seconds (actors.delivery.installation).
_SHORTAGE_S = 10.0


@dataclass(frozen=True, slots=True)
class GateRule:
    """What gates are made by. `breaker` None = there is none; `rate_per_s` 0 = no limit."""

    breaker: BreakerRule | None = None
    is_dry_run: bool = False
    rate_per_s: float = 0.0
    rate_burst: int = 1


class DeliveryGate:
    """Owns what holds an installation's deliveries back; built from its registry row and its latest outcomes."""

    def __init__(self, rule: GateRule, installation: Installation, outcomes: Iterable[tuple[datetime, bool]]) -> None:
        self._rule = rule
        self._installation_id = installation.installation_id
        self._paused_until = _moment(installation.hold_until)
        self._rate = RateLimit(rule.rate_per_s, rule.rate_burst)
        self._trial: int | None = None
        self._short_until: datetime | None = None
        self._breaker: Breaker | None = None
        if rule.breaker is not None:
            # One that was opened before the dry run began holds nothing any more.
            open_until = None if rule.is_dry_run else _moment(installation.breaker_open_until)
            self._breaker = Breaker(
                rule.breaker,
                open_until,
                _moment(installation.breaker_strict_until),
                installation.breaker_failed_trials,
            )
            self._breaker.remember(outcomes)

    @property
    def is_suspect(self) -> bool:
        """Return whether the breaker is open or waits for a trial: then one attempt at a time is plenty."""
        return self._breaker is not None and self._breaker.open_until is not None

    def closed_until(self, now: datetime) -> str | None:
        """Return until when nothing may be sent, None = something may."""
        moments = [
            self._held_until(now),
            self._short_until if is_held(self._short_until, now, _SHORTAGE_S) else None,
            self._breaker.held_until(now) if self._breaker is not None else None,
        ]
        ahead = [moment for moment in moments if moment is not None]
        return time_text(max(ahead)) if ahead else None

    def acquire(self, sequence: int, now: datetime) -> str | None:
        """Admit a delivery and return None, or return the time at which it may ask again."""
        closed = self.closed_until(now)
        if closed is not None:
            return closed
        is_half_open = self._breaker is not None and self._breaker.is_half_open(now)
        if is_half_open and self._trial is not None:
            return time_text(now + timedelta(seconds=_TRIAL_WAIT_S))
        later = self._rate.take(now)
        if later is not None:
            return time_text(later)
        if is_half_open:
            self._trial = sequence
        return None

    def release(self, sequence: int) -> None:
        """Forget a delivery whose attempt came to nothing that counts."""
        if self._trial == sequence:
            self._trial = None

    def postpone(self, until: datetime) -> None:
        """Admit nothing before a given time, as this machine is short of something; nobody else hears of it."""
        self._short_until = until

    def record(self, sequence: int, event: AttemptEvent, now: datetime) -> BreakerOpened | BreakerClosed | None:
        """Take in a recorded attempt, and return the event that it leads to."""
        self._pause(_moment(event.hold_until), now)
        is_trial = self._trial == sequence
        self.release(sequence)
        if self._breaker is None or event.error_class in SAYS_NOTHING:
            return None
        is_success = isinstance(event, DeliverySucceeded)
        if self._breaker.open_until is not None:
            return self._end_trial(self._breaker, event, now) if is_trial else None
        trip = self._breaker.note(now, is_success=is_success)
        if trip is None:
            return None
        if self._rule.is_dry_run:
            self._breaker.reset()
        else:
            self._breaker.opened(trip)
        return BreakerOpened(
            self._installation_id,
            time_text(trip.until),
            trip.explanation,
            is_dry_run=self._rule.is_dry_run,
            webhook_url=event.webhook_url,
        )

    def close_after_test(self, now: datetime, *, by: str) -> BreakerClosed | None:
        """Close the breaker as a test delivery has succeeded, and return the event; None = it was not open."""
        if self._breaker is None or self._breaker.open_until is None:
            return None
        self._trial = None
        strict_until = time_text(self._breaker.closed(now))
        return BreakerClosed(self._installation_id, strict_until, by, "a test delivery succeeded")

    def _held_until(self, now: datetime) -> datetime | None:
        return self._paused_until if is_held(self._paused_until, now, LONGEST_PAUSE_S) else None

    def _pause(self, until: datetime | None, now: datetime) -> None:
        # What was in flight beside it may ask for less, or not say how long: the longest pause counts.
        held_until = self._held_until(now)
        if until is not None and (held_until is None or until > held_until):
            self._paused_until = until

    def _end_trial(self, breaker: Breaker, event: AttemptEvent, now: datetime) -> BreakerOpened | BreakerClosed:
        if isinstance(event, DeliverySucceeded):
            return BreakerClosed(self._installation_id, time_text(breaker.closed(now)))
        trip = breaker.probe_failed(now)
        breaker.opened(trip)
        return BreakerOpened(
            self._installation_id,
            time_text(trip.until),
            trip.explanation,
            failed_trials=trip.failed_trials,
            webhook_url=event.webhook_url,
        )


def _moment(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


def gate_stays(before: Installation, after: Installation) -> bool:
    """Return whether nobody but the gate itself has changed what it is made from."""
    return (before.changed_at, before.breaker_closed_position) == (after.changed_at, after.breaker_closed_position)
