"""Why a delivery that was due was not attempted yet, as far as the events say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from console.output.times import age_text, short_time
from eventstore.common.clock import parse_time, time_text
from eventstore.events.catalogue import AttemptEvent, BreakerOpened, DeliveryRequeued
from eventstore.log.event_log import StoredEvent

__all__ = ["Wait", "waits_of"]

# Less is the daemon's own pace.
_WORTH_A_WORD = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Wait:
    """From `at` on it was due, and waited all the same."""

    at: str
    text: str


def waits_of(queued_at: str, events: Sequence[StoredEvent], around: Sequence[StoredEvent]) -> Iterator[Wait]:
    """Return the times in which a delivery was due and not attempted, each with what held it back."""
    due_at = queued_at
    for stored in events:
        event = stored.event
        if isinstance(event, AttemptEvent):
            began_at = time_text(parse_time(stored.recorded_at) - timedelta(milliseconds=event.duration_ms))
            if due_at:
                yield from _wait(due_at, began_at, around)
            due_at = event.retry_at or ""
        elif isinstance(event, DeliveryRequeued):
            due_at = stored.recorded_at
        else:
            due_at = ""


def _wait(due_at: str, began_at: str, around: Sequence[StoredEvent]) -> Iterator[Wait]:
    lasted = parse_time(began_at) - parse_time(due_at)
    if lasted < _WORTH_A_WORD:
        return
    reasons = [_reason(stored) for stored in around if _held(stored, due_at, began_at)]
    why = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    unknown = "for its turn (order, a rate limit, other deliveries), or no daemon was at work"
    yield Wait(due_at, f"due, and waits {age_text(lasted)}: {why or unknown}")


def _held(stored: StoredEvent, due_at: str, began_at: str) -> bool:
    """Return whether an event held an installation's deliveries back at some time between two moments."""
    return stored.recorded_at < began_at and _until(stored) > due_at


def _until(stored: StoredEvent) -> str:
    event = stored.event
    if isinstance(event, BreakerOpened):
        return "" if event.is_dry_run else event.until
    return (event.hold_until or "") if isinstance(event, AttemptEvent) else ""


def _reason(stored: StoredEvent) -> str:
    until = short_time(_until(stored))
    if isinstance(stored.event, BreakerOpened):
        return f"the breaker is open until {until}"
    return f"the endpoint had asked for a pause until {until}"
