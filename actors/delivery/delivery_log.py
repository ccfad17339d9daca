"""The log line of each attempt, with all that is known about it."""

import structlog

from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.events.catalogue import AttemptEvent, BreakerClosed, BreakerOpened

__all__ = ["log_breaker", "log_record"]

log = structlog.get_logger("hookfuse.delivery")


def log_record(installation_id: str, record: DeliveryRecord, position: int) -> None:
    """Write one line about a record; `position` 0 = it was not counted."""
    event = record.event
    if not position:
        log.warning(
            "outcome_ignored",
            installation_id=installation_id,
            delivery_id=event.delivery_id,
            done="not counted: the queue no longer waits for this attempt",
        )
    elif isinstance(event, AttemptEvent):
        kind, _, outcome = event.type_name.partition(".")
        name = "probe_attempted" if kind == "probe" else "delivery_attempted"
        log.info(
            name,
            installation_id=installation_id,
            delivery_id=event.delivery_id,
            event_name=event.event_name,
            attempt=event.attempt,
            position=position,
            outcome=outcome,
            status_code=event.status_code,
            error_class=event.error_class or None,
            duration_ms=event.duration_ms,
            retry_at=event.retry_at,
            request_id=event.request_id,
        )
    else:
        log.info(
            "delivery_missed",
            installation_id=installation_id,
            delivery_id=event.delivery_id,
            event_name=event.event_name,
            position=position,
            outcome="missed",
        )


def log_breaker(installation_id: str, change: BreakerOpened | BreakerClosed) -> None:
    """Write one line about a breaker that opens or closes."""
    if isinstance(change, BreakerOpened):
        log.warning(
            "breaker_opened",
            installation_id=installation_id,
            until=change.until,
            explanation=change.explanation,
            is_dry_run=change.is_dry_run,
        )
    else:
        log.info("breaker_closed", installation_id=installation_id, strict_until=change.strict_until)
