"""A row of the request log, as docs/original.md, section 5 has it, and what hookfuse knows beside it."""

from eventstore.events.catalogue import AttemptEvent
from eventstore.projections.request_log import LoggedRequest
from eventstore.projections.request_log import request_row as flow_row

__all__ = ["request_row", "shown_class"]


def request_row(request: LoggedRequest) -> dict[str, object]:
    """Return one attempt with the fields of docs/original.md, section 5, and what hookfuse knows beside them."""
    attempt = request.attempt
    return flow_row(attempt, request.date, is_internal=request.is_internal) | {
        "event": attempt.event_name,
        "app_id": attempt.app_id,
        "installation_id": request.installation_id,
        "delivery_id": attempt.delivery_id,
        "attempt": attempt.attempt,
        "duration_ms": attempt.duration_ms,
        "error_class": attempt.error_class,
        "fault": attempt.fault,
        "detail": attempt.detail,
        "position": request.position,
    }


def shown_class(attempt: AttemptEvent) -> str:
    """Return an attempt's error class, and of one that stands for several cases which of them it was."""
    return f"{attempt.error_class} ({attempt.fault})" if attempt.fault else attempt.error_class or ""
