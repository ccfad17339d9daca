"""From a queued delivery to a request, and from an outcome to an event: pure."""

import json
from datetime import datetime, timedelta

from eventstore.clock import time_text
from eventstore.events import (
    AttemptEvent,
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
)
from eventstore.registry import App, Endpoint
from eventstore.work_queue import QueuedDelivery
from webhook import (
    SYSTEM_ACTOR,
    Outcome,
    OutcomeKind,
    RetrySchedule,
    Timeouts,
    WebhookRequest,
    build_body,
    is_final,
    split_event,
)

__all__ = ["attempt_event", "body_of", "retry_moment", "timeouts_of", "webhook_request"]

_EXCERPT_CHARACTERS = 1024  # FLOW section 5

_HIDDEN = "[hidden]"
# Shorter ones are no secrets, and would blacken half of a text.
_SECRET_CHARACTERS = 6

_EVENT_CLASSES: dict[OutcomeKind, type[AttemptEvent]] = {
    OutcomeKind.SUCCESS: DeliverySucceeded,
    OutcomeKind.FAILED: DeliveryFailed,
    OutcomeKind.TIMED_OUT: DeliveryTimedOut,
    OutcomeKind.BLOCKED: DeliveryBlocked,
}


def body_of(delivery: QueuedDelivery) -> bytes:
    """Give the bytes that are sent, and signed: the same on each attempt."""
    _, action = split_event(delivery.event_name)
    return build_body(
        action=action,
        installation_id=delivery.installation_id,
        data_json=delivery.data.encode(),
        actor_json=delivery.actor.encode() if delivery.actor else SYSTEM_ACTOR,
    )


def webhook_request(endpoint: Endpoint, delivery: QueuedDelivery, body: bytes, timeouts: Timeouts) -> WebhookRequest:
    """Give the request that an attempt sends."""
    return WebhookRequest(
        url=endpoint.app.webhook_url,
        secrets=(endpoint.secrets.client_secret,),
        event_name=delivery.event_name,
        body=body,
        delivery_id=delivery.delivery_id,
        custom_headers=endpoint.secrets.headers,
        timeouts=timeouts,
    )


def timeouts_of(app: App, default: Timeouts) -> Timeouts:
    """Give the app's own time-outs, and the default for those it does not have."""
    return Timeouts(
        connect_s=app.connect_s or default.connect_s,
        read_s=app.read_s or default.read_s,
        total_s=app.total_s or default.total_s,
    )


def retry_moment(
    outcome: Outcome, schedule: RetrySchedule, *, attempt: int, now: datetime, random_unit: float
) -> str | None:
    """Say when the next attempt is due, None = there is none: it succeeded, is final, or was the last."""
    if outcome.kind is OutcomeKind.SUCCESS or (outcome.error_class is not None and is_final(outcome.error_class)):
        return None
    delay_s = schedule.next_delay_s(attempt, random_unit=random_unit, retry_after_s=outcome.retry_after_s)
    return None if delay_s is None else time_text(now + timedelta(seconds=delay_s))


def attempt_event(
    endpoint: Endpoint, delivery: QueuedDelivery, outcome: Outcome, *, body: bytes, retry_at: str | None
) -> AttemptEvent:
    """Give the event that records an attempt; excerpts only where it failed (FLOW section 5)."""
    is_success = outcome.kind is OutcomeKind.SUCCESS
    excerpts: dict[str, str] = {}
    if not is_success:
        excerpts = {
            "detail": _hide_secrets(outcome.detail, endpoint),
            "request_headers": json.dumps(dict(outcome.request_headers))[:_EXCERPT_CHARACTERS],
            "request_body": body[: 4 * _EXCERPT_CHARACTERS].decode(errors="replace")[:_EXCERPT_CHARACTERS],
            "response_body": _hide_secrets(outcome.response_body, endpoint)[:_EXCERPT_CHARACTERS],
        }
    return _EVENT_CLASSES[outcome.kind](
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
        retry_at=retry_at,
        error_id=outcome.error_id,
        project_id=outcome.project_id,
        **excerpts,
    )


def _hide_secrets(text: str, endpoint: Endpoint) -> str:
    """Give the text without the app's secrets: an endpoint's error page may well show the headers it was sent."""
    secrets = {endpoint.secrets.client_secret, *(value for _, value in endpoint.secrets.headers)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_CHARACTERS:
            text = text.replace(secret, _HIDDEN)
    return text
