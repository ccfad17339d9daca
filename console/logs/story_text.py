"""The events of a delivery's story in words."""

from collections.abc import Callable
from typing import Any

from console.output.times import short_time
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryExpired,
    DeliveryMissed,
    DeliveryRequeued,
    EndpointChanged,
    Event,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
    ProbeFailed,
    ProbeSucceeded,
    RecoveryCompleted,
    RecoveryStarted,
)

__all__ = ["event_words"]

_OUTCOMES = {
    "delivery.succeeded": "succeeded",
    "delivery.failed": "failed",
    "delivery.timed_out": "timed out",
    "delivery.blocked": "was blocked",
}


def event_words(event: Event, *, is_own: bool) -> str:
    """Return what happened; `is_own`: to the delivery itself, and not to another of its installation."""
    if isinstance(event, AttemptEvent):
        return _attempt(event) if is_own else _pause_of_another(event)
    words = _WORDS.get(type(event))
    return words(event) if words else event.type_name


def _attempt(event: AttemptEvent) -> str:
    if isinstance(event, ProbeSucceeded | ProbeFailed):
        said = f"the test delivery {event.type_name.partition('.')[2]}"
    else:
        said = f"attempt {event.attempt} {_OUTCOMES.get(event.type_name, event.type_name)}"
    detail = "" if event.detail == f"answered {event.status_code}" else event.detail
    answer = [str(event.status_code) if event.status_code else "", event.error_class, detail]
    parts = [said, f"{' '.join(part for part in answer if part)} after {event.duration_ms:.0f} ms".strip()]
    if event.retry_at:
        parts.append(f"again at {short_time(event.retry_at)}")
    if event.hold_until:
        parts.append(f"the endpoint asks for a pause until {short_time(event.hold_until)}")
    return ", ".join(parts)


def _pause_of_another(event: AttemptEvent) -> str:
    until = short_time(event.hold_until or "")
    return f"the endpoint asks for a pause until {until} (it answered another delivery with {event.status_code})"


def _opened(event: BreakerOpened) -> str:
    waiting = "in a dry run: nothing waits" if event.is_dry_run else "deliveries wait"
    return f"the breaker opens until {short_time(event.until)}, {waiting}: {event.explanation}"


def _disabled(event: InstallationDisabled) -> str:
    why = event.evidence.explanation if event.evidence and event.cause == "policy" else event.reason
    return f"the installation is disabled by {event.by} ({event.cause})" + (f": {why}" if why else "")


def _decided(what: str, event: DeliveryRequeued | DeliveryDropped | InstallationEnabled) -> str:
    return f"{what} by {event.by}" + (f": {event.reason}" if event.reason else "")


def _closed(event: BreakerClosed) -> str:
    return f"is closed by {event.by} ({event.reason})" if event.by else "closes"


_WORDS: dict[type[Event], Callable[[Any], str]] = {
    DeliveryMissed: lambda _event: "missed: the installation is not active; it is kept",
    DeliveryExhausted: lambda event: f"dead: no attempts are left after {event.attempts}",
    DeliveryRequeued: lambda event: _decided(f"sent again (it was {event.was})", event),
    DeliveryDropped: lambda event: _decided(f"given up (it was {event.was})", event),
    DeliveryExpired: lambda event: f"its payload is dropped, as its retention is over (it is {event.was})",
    BreakerOpened: _opened,
    BreakerClosed: lambda event: (
        f"the breaker {_closed(event)}, with stricter limits until {short_time(event.strict_until)}: deliveries flow"
    ),
    EndpointChanged: lambda event: (
        f"its {', '.join(event.changed)} was changed: the breaker is closed, deliveries flow"
    ),
    InstallationDisabled: _disabled,
    InstallationEnabled: lambda event: _decided("the installation is enabled", event),
    InstallationRemoved: lambda _event: "the installation is removed",
    InstallationWarned: lambda event: f"the owners are warned at {event.level}%: {event.evidence.explanation}",
    RecoveryStarted: lambda event: f"the recovery of {event.deliveries} missed deliveries begins, by {event.by}",
    RecoveryCompleted: lambda _event: "the recovery is complete",
}
