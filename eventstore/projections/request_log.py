"""The last 100 requests and, apart, the last 100 errors per app and event name (docs/original.md, section 5)."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_of
from eventstore.events.catalogue import AttemptEvent
from eventstore.events.codec import decode_event
from eventstore.log.event_log import Handlers, StoredEvent
from eventstore.sqlite.bulk import insert_rows

__all__ = [
    "HANDLERS",
    "LoggedRequest",
    "RequestFilter",
    "is_error_code",
    "read_requests",
    "request_row",
    "trim_requests",
]

KEPT_ROWS = 100
KEPT_DAYS = 30
# Trimming is worth its cost only now and then; until then a few more rows than KEPT_ROWS stand in the table.
_TRIM_EVERY = 64
_JSON_TEXT = r'"(?:[^"\\]|\\.)*"'
_HEADER = re.compile(rf"({_JSON_TEXT}): ?({_JSON_TEXT})")
_INTO_LOG = "INSERT INTO request_log (app_id, event_name, position, is_error)"


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests a reader wants; moments are UTC, both ends included, None = all."""

    app_id: int | None = None
    installation_id: str | None = None
    organization_id: int | None = None
    event_name: str | None = None
    is_errors_only: bool = False
    start: datetime | None = None
    end: datetime | None = None
    limit: int = KEPT_ROWS


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One attempt as the request log shows it; `response_code` 0 = there was no answer."""

    position: int
    date: str
    installation_id: str
    is_internal: bool
    attempt: AttemptEvent


def is_error_code(status_code: int) -> bool:
    """Return whether a request belongs to the errors: 400 to 599, or 0 (docs/original.md, section 5)."""
    return 400 <= status_code <= 599 or status_code == 0


def read_requests(connection: Connection, wanted: RequestFilter, now: datetime) -> tuple[LoggedRequest, ...]:
    """Read what the filter wants, newest first, at most 100 of them and at most 30 days old."""
    limit = max(0, min(wanted.limit, KEPT_ROWS))
    found = (request for request in _candidates(connection, wanted, now) if _fits(request, wanted))
    return tuple(request for _, request in zip(range(limit), found, strict=False))


def request_row(attempt: AttemptEvent, date: str, *, is_internal: bool) -> dict[str, object]:
    """Return one attempt with exactly the fields of docs/original.md, section 5."""
    row: dict[str, object] = {
        "date": date,
        "response_code": attempt.status_code,
        "webhook_url": attempt.webhook_url,
    }
    if is_error_code(attempt.status_code) or attempt.status_code >= 400:
        row["request_headers"] = _headers(attempt.request_headers)
        row["request_body"] = attempt.request_body
        row["response_body"] = attempt.response_body
    if not is_internal:
        row["organization_id"] = attempt.organization_id
    if attempt.error_id is not None and attempt.project_id is not None:
        row["error_id"] = attempt.error_id
        row["project_id"] = attempt.project_id
    return row


def _headers(text: str) -> dict[str, str]:
    """Read headers as an event holds them: JSON text, cut behind some characters; a pair that is cut is left out."""
    return {json.loads(name): json.loads(value) for name, value in _HEADER.findall(text)}


def trim_requests(connection: Connection, app_id: int, event_name: str) -> None:
    """Drop what is among neither the last 100 requests nor the last 100 errors."""
    connection.execute(
        "DELETE FROM request_log WHERE app_id = :app AND event_name = :name"
        " AND position < coalesce((SELECT position FROM request_log WHERE app_id = :app AND event_name = :name"
        "   ORDER BY position DESC LIMIT 1 OFFSET :last), 0)"
        " AND (NOT is_error OR position < coalesce((SELECT position FROM request_log"
        "   WHERE app_id = :app AND event_name = :name AND is_error"
        "   ORDER BY position DESC LIMIT 1 OFFSET :last), 0))",
        {"app": app_id, "name": event_name, "last": KEPT_ROWS - 1},
    )


def _candidates(connection: Connection, wanted: RequestFilter, now: datetime) -> Iterator[LoggedRequest]:
    oldest = now - timedelta(days=KEPT_DAYS)
    rows = connection.execute(
        "SELECT position, recorded_at, stream, type, schema, data, apps.status = 'internal' FROM ("
        "  SELECT position, app_id AS logged_app_id, is_error,"
        "    row_number() OVER (PARTITION BY app_id, event_name ORDER BY position DESC) AS age,"
        "    row_number() OVER (PARTITION BY app_id, event_name, is_error ORDER BY position DESC) AS error_age"
        "  FROM request_log WHERE (:app IS NULL OR app_id = :app) AND (:name IS NULL OR event_name = :name))"
        " JOIN events USING (position) LEFT JOIN apps ON apps.app_id = logged_app_id"
        " WHERE recorded_at BETWEEN :start AND :end"
        " AND ((is_error AND error_age <= :kept) OR (NOT :errors AND age <= :kept))"
        " ORDER BY position DESC",
        {
            "app": wanted.app_id,
            "name": wanted.event_name,
            "errors": wanted.is_errors_only,
            "start": time_text(max(wanted.start or oldest, oldest)),
            "end": time_text(wanted.end) if wanted.end else "~",
            "kept": KEPT_ROWS,
        },
    )
    for position, recorded_at, stream, type_name, schema, data, is_internal in rows:
        event = decode_event(type_name, schema, data)
        if isinstance(event, AttemptEvent):
            yield LoggedRequest(position, recorded_at, installation_of(stream), bool(is_internal), event)


def _fits(request: LoggedRequest, wanted: RequestFilter) -> bool:
    return (wanted.installation_id is None or request.installation_id == wanted.installation_id) and (
        wanted.organization_id is None or request.attempt.organization_id == wanted.organization_id
    )


def _log_requests(connection: Connection, group: Sequence[StoredEvent]) -> None:
    """Take attempts in; the rows are those of taking them in one by one."""
    rows = [
        (stored.event.app_id, stored.event.event_name, stored.position, is_error_code(stored.event.status_code))
        for stored in group
        if isinstance(stored.event, AttemptEvent)
    ]
    start = 0
    for end, (app_id, event_name, position, _) in enumerate(rows, start=1):
        # The position as the dice: deterministic, and spread over all keys that are written to.
        if position % _TRIM_EVERY == 0:
            insert_rows(connection, _INTO_LOG, rows[start:end])
            trim_requests(connection, app_id, event_name)
            start = end
    insert_rows(connection, _INTO_LOG, rows[start:])


HANDLERS: Handlers = dict.fromkeys(AttemptEvent.__subclasses__(), _log_requests)
