"""From a queued delivery to a request, and from an outcome to an event: pure."""

import json
from datetime import datetime, timedelta

import msgspec

from eventstore.common.clock import time_text
from eventstore.common.excerpt import shorten, shorten_all, stored_bytes
from eventstore.events.catalogue import (
    AttemptEvent,
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.events.codec import encode_event
from eventstore.projections.app_secrets import signing_secrets
from eventstore.projections.registry import App, Endpoint
from eventstore.queue.delivery import QueuedDelivery
from webhook import (
    SYSTEM_ACTOR,
    ErrorClass,
    Outcome,
    OutcomeKind,
    RetrySchedule,
    SecretMask,
    Timeouts,
    WebhookRequest,
    build_body,
    is_final,
    split_event,
)

__all__ = [
    "attempt_event",
    "body_of",
    "damaged_payload",
    "own_failure",
    "pause_moment",
    "retry_moment",
    "timeouts_of",
    "webhook_request",
]

_EXCERPT_CHARACTERS = 1024  # docs/original.md, section 5
_LONGEST_HOLD_S = 86_400.0

# A failed attempt takes 3 kB in the log at most: this much in JSON, and its stream, moments and hashes beside it.
_EVENT_BYTES = 2_700
# Of each of the two ids by which an endpoint names what it has made of a delivery.
_REFERENCE_BYTES = 100

_EVENT_CLASSES: dict[OutcomeKind, type[AttemptEvent]] = {
    OutcomeKind.SUCCESS: DeliverySucceeded,
    OutcomeKind.FAILED: DeliveryFailed,
    OutcomeKind.TIMED_OUT: DeliveryTimedOut,
    OutcomeKind.BLOCKED: DeliveryBlocked,
}


def body_of(delivery: QueuedDelivery) -> bytes:
    """Return the bytes that are sent, and signed: the same on each attempt."""
    _, action = split_event(delivery.event_name)
    return build_body(
        action=action,
        installation_id=delivery.installation_id,
        data_json=delivery.data.encode(),
        actor_json=delivery.actor.encode() if delivery.actor else SYSTEM_ACTOR,
    )


def webhook_request(
    endpoint: Endpoint, delivery: QueuedDelivery, body: bytes, timeouts: Timeouts, *, now: datetime
) -> WebhookRequest:
    """Return the request that an attempt sends, signed with the secrets that count at this moment."""
    return WebhookRequest(
        url=endpoint.app.webhook_url,
        secrets=signing_secrets(endpoint.secrets, now),
        event_name=delivery.event_name,
        body=body,
        delivery_id=delivery.delivery_id,
        custom_headers=endpoint.secrets.headers,
        timeouts=timeouts,
        signing_key=endpoint.secrets.signing_key,
        other_secrets=endpoint.secrets.texts(),
        app=str(endpoint.app.app_id),
        client_certificate=_client_files(endpoint.app),
    )


def _client_files(app: App) -> tuple[str, str | None] | None:
    return None if app.client_certificate is None else (app.client_certificate, app.client_key)


def timeouts_of(app: App, default: Timeouts) -> Timeouts:
    """Return the app's own time-outs, and the default for those it does not have."""
    if app.connect_s is None and app.read_s is None and app.total_s is None:
        return default
    return Timeouts(
        connect_s=app.connect_s or default.connect_s,
        read_s=app.read_s or default.read_s,
        total_s=app.total_s or default.total_s,
    )


def retry_moment(
    outcome: Outcome, schedule: RetrySchedule, *, attempt: int, now: datetime, random_unit: float
) -> str | None:
    """Return when the next attempt is due, None = there is none: it succeeded, is final, or was the last."""
    if outcome.kind is OutcomeKind.SUCCESS or (outcome.error_class is not None and is_final(outcome.error_class)):
        return None
    delay_s = schedule.next_delay_s(attempt, random_unit=random_unit, retry_after_s=outcome.retry_after_s)
    return None if delay_s is None else time_text(now + timedelta(seconds=delay_s))


def pause_moment(outcome: Outcome, *, now: datetime, slow_down_s: float) -> str | None:
    """Return until when the whole installation pauses, as the endpoint asked for it with 429 or 503; None = it did not.

    Without a Retry-After it is `slow_down_s`; a Retry-After is bounded by a day.
    """
    if outcome.error_class not in (ErrorClass.RATE_LIMITED, ErrorClass.UNAVAILABLE):
        return None
    pause_s = slow_down_s if outcome.retry_after_s is None else min(outcome.retry_after_s, _LONGEST_HOLD_S)
    return time_text(now + timedelta(seconds=pause_s))


def _event_class(delivery: QueuedDelivery, outcome: Outcome) -> type[AttemptEvent]:
    if delivery.is_probe:
        return ProbeSucceeded if outcome.kind is OutcomeKind.SUCCESS else ProbeFailed
    return _EVENT_CLASSES[outcome.kind]


def attempt_event(
    endpoint: Endpoint,
    delivery: QueuedDelivery,
    outcome: Outcome,
    *,
    body: bytes,
    retry_at: str | None,
    hold_until: str | None = None,
) -> AttemptEvent:
    """Return the event that records an attempt; excerpts only where it failed (docs/original.md, section 5)."""
    event = _event_class(delivery, outcome)(
        delivery_id=delivery.delivery_id,
        event_name=delivery.event_name,
        app_id=endpoint.app.app_id,
        organization_id=endpoint.installation.organization_id,
        attempt=delivery.attempts + 1,
        webhook_url=endpoint.app.webhook_url,
        status_code=outcome.status_code,
        duration_ms=round(outcome.duration_ms, 3),
        request_id=outcome.request_id,
        error_class=outcome.error_class or "",
        fault=outcome.fault,
        retry_at=retry_at,
        hold_until=hold_until,
        error_id=outcome.error_id and shorten(outcome.error_id, _REFERENCE_BYTES),
        project_id=outcome.project_id and shorten(outcome.project_id, _REFERENCE_BYTES),
    )
    if outcome.kind is OutcomeKind.SUCCESS:
        return event
    return msgspec.structs.replace(event, **_excerpts(event, outcome, body, SecretMask(endpoint.secrets.texts())))


def _excerpts(event: AttemptEvent, outcome: Outcome, body: bytes, mask: SecretMask) -> dict[str, str]:
    """Return what was sent and answered, as much of it as the event has room for.

    The sender has hidden the secrets in the outcome; the body is what it was given.
    """
    texts = {
        "detail": outcome.detail,
        "request_headers": _headers_text(outcome, _EXCERPT_CHARACTERS),
        "request_body": mask.excerpt(body, _EXCERPT_CHARACTERS),
        "response_body": outcome.response_body[:_EXCERPT_CHARACTERS],
    }
    names = sum(len(name) + len('"":"",') for name in texts)
    shortened = shorten_all(texts, _EVENT_BYTES - len(encode_event(event).encode()) - names)
    shortened["request_headers"] = _headers_text(outcome, stored_bytes(shortened["request_headers"]))
    return shortened


def _headers_text(outcome: Outcome, limit_bytes: int) -> str:
    """Return the headers that were sent as JSON, without the last ones where they take more than so many bytes."""
    headers = list(outcome.request_headers)
    while stored_bytes(text := json.dumps(dict(headers))) > limit_bytes:
        if not headers:
            return ""
        headers.pop()
    return text


def own_failure(error: Exception) -> Outcome:
    """Return the outcome of an attempt that could not even be made, by our own fault."""
    return Outcome(
        kind=OutcomeKind.FAILED,
        error_class=ErrorClass.INTERNAL,
        status_code=0,
        duration_ms=0.0,
        detail=type(error).__name__,
        request_id="",
    )


def damaged_payload() -> Outcome:
    """Return the outcome of what is not attempted, as its payload is not what was queued."""
    return Outcome(
        kind=OutcomeKind.FAILED,
        error_class=ErrorClass.DAMAGED,
        status_code=0,
        duration_ms=0.0,
        detail="the stored payload is not what was queued: it was not sent",
        request_id="",
    )
