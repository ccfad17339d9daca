"""The outbox: mails that are owed, sent and given up."""

import sqlite3
from dataclasses import dataclass

from eventstore.events import MailFailed, MailRequested, MailSent
from eventstore.identifiers import installation_of
from eventstore.log import Handlers, StoredEvent

__all__ = ["HANDLERS", "OwedMail", "count_mails", "next_mail_due_at", "read_owed_mails"]


@dataclass(frozen=True, slots=True)
class OwedMail:
    """A mail that is to be handed over; `attempts` are those already made."""

    mail_id: str
    message_id: str
    installation_id: str
    recipient: str
    kind: str
    about_position: int
    attempts: int
    requested_at: str


def read_owed_mails(connection: sqlite3.Connection, *, due_at: str, limit: int = 100) -> tuple[OwedMail, ...]:
    """Read the mails that are due by a moment, the longest due first."""
    rows = connection.execute(
        "SELECT mail_id, message_id, installation_id, recipient, kind, about_position, attempts, requested_at"
        " FROM outbox WHERE state = 'requested' AND due_at <= ? ORDER BY due_at, mail_id LIMIT ?",
        (due_at, limit),
    )
    return tuple(OwedMail(*row) for row in rows)


def next_mail_due_at(connection: sqlite3.Connection) -> str | None:
    """Give the moment at which the next owed mail is due, None when none is owed."""
    (due_at,) = connection.execute("SELECT min(due_at) FROM outbox WHERE state = 'requested'").fetchone()
    return due_at if isinstance(due_at, str) else None


def count_mails(connection: sqlite3.Connection) -> dict[str, int]:
    """Count mails by state: requested, sent, failed."""
    counts = {"requested": 0, "sent": 0, "failed": 0}
    counts.update(connection.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())
    return counts


def _request(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailRequested)  # noqa: S101
    connection.execute(
        "INSERT INTO outbox (mail_id, message_id, installation_id, recipient, kind, about_position, state,"
        " requested_at, due_at) VALUES (?, ?, ?, ?, ?, ?, 'requested', ?, ?)",
        (
            event.mail_id,
            event.message_id,
            installation_of(stored.stream),
            event.recipient,
            event.kind,
            event.about_position,
            stored.recorded_at,
            stored.recorded_at,
        ),
    )


def _sent(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailSent)  # noqa: S101
    connection.execute(
        "UPDATE outbox SET state = 'sent', attempts = ?, last_error = '' WHERE mail_id = ?",
        (event.attempt, event.mail_id),
    )


def _failed(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailFailed)  # noqa: S101
    connection.execute(
        "UPDATE outbox SET state = ?, attempts = ?, last_error = ?, due_at = coalesce(?, due_at) WHERE mail_id = ?",
        (
            "failed" if event.retry_at is None else "requested",
            event.attempt,
            event.error,
            event.retry_at,
            event.mail_id,
        ),
    )


HANDLERS: Handlers = {
    MailRequested: _request,
    MailSent: _sent,
    MailFailed: _failed,
}
