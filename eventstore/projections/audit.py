"""The audit log: who decided what about which organization."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from eventstore.common.clock import stored_bound
from eventstore.common.connection import Connection
from eventstore.events.catalogue import AuditRecorded
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one

__all__ = ["HANDLERS", "AuditEntry", "read_audit"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision; `data` as docs/original.md, section 6 has it."""

    event: str
    actor: str
    target: str
    data: dict[str, str]
    recorded_at: str
    position: int


def read_audit(
    connection: Connection,
    *,
    target: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> tuple[AuditEntry, ...]:
    """Read the newest entries, newest first; of one target, such as organization:17, and of a time, where given."""
    rows = connection.execute(
        "SELECT event, actor, target, data, recorded_at, position FROM audit"
        " WHERE (:target IS NULL OR target = :target) AND (:since IS NULL OR recorded_at >= :since)"
        " AND (:until IS NULL OR recorded_at <= :until)"
        " ORDER BY position DESC LIMIT :limit",
        {"target": target, "since": stored_bound(since), "until": stored_bound(until), "limit": limit},
    )
    return tuple(
        AuditEntry(event, actor, target, msgspec.json.decode(data, type=dict[str, str]), recorded_at, position)
        for event, actor, target, data, recorded_at, position in rows
    )


def who_enabled(connection: Connection, stream: str, *, after: str, until: str, before_position: int) -> str | None:
    """Return who enabled what a stream is about last, within a time and before a position; None = nobody did.

    By the audit log, which holds decisions only: the stream holds every attempt too.
    """
    row = connection.execute(
        "SELECT audit.actor FROM audit JOIN events USING (position)"
        " WHERE audit.recorded_at > ? AND audit.recorded_at <= ?"
        " AND audit.position < ? AND audit.event LIKE '%.enable' AND events.stream = ?"
        " ORDER BY audit.position DESC LIMIT 1",
        (after, until, before_position, stream),
    ).fetchone()
    return None if row is None else str(row[0])


def _record(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, AuditRecorded)  # noqa: S101
    connection.execute(
        "INSERT INTO audit (position, event, actor, target, data, recorded_at) VALUES (?, ?, ?, ?, ?, ?)",
        (
            stored.position,
            event.event,
            event.actor,
            event.target,
            msgspec.json.encode(event.data).decode(),
            stored.recorded_at,
        ),
    )


HANDLERS: Handlers = one_by_one({AuditRecorded: _record})
