"""A row of the request log, as FLOW section 5 has it."""

from eventstore.request_log import LoggedRequest, is_error_code

__all__ = ["request_row"]


def request_row(request: LoggedRequest) -> dict[str, object]:
    """Give one attempt with the fields of FLOW section 5, and what hookfuse knows beside them."""
    attempt = request.attempt
    row: dict[str, object] = {
        "date": request.date,
        "response_code": attempt.status_code,
        "webhook_url": attempt.webhook_url,
    }
    if is_error_code(attempt.status_code) or attempt.status_code >= 400:
        row["request_headers"] = attempt.request_headers
        row["request_body"] = attempt.request_body
        row["response_body"] = attempt.response_body
    if not request.is_internal:
        row["organization_id"] = attempt.organization_id
    if attempt.error_id is not None and attempt.project_id is not None:
        row["error_id"] = attempt.error_id
        row["project_id"] = attempt.project_id
    return row | {
        "event": attempt.event_name,
        "app_id": attempt.app_id,
        "installation_id": request.installation_id,
        "delivery_id": attempt.delivery_id,
        "attempt": attempt.attempt,
        "duration_ms": attempt.duration_ms,
        "error_class": attempt.error_class,
        "detail": attempt.detail,
        "position": request.position,
    }
