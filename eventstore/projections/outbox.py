"""The outbox: mails that are pending, gathered into digests, sent and given up."""

from dataclasses import dataclass

from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_of
from eventstore.events.catalogue import MailDigested, MailFailed, MailRequested, MailSent
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one

__all__ = [
    "DIGEST",
    "DISABLED",
    "HANDLERS",
    "WARNED",
    "PendingMail",
    "PendingTo",
    "count_mails",
    "read_gathered_mails",
    "read_pending_mails",
    "read_pending_recipients",
]

# The kinds of mails: about a disabling, about a warning, and one that stands for several of these.
DISABLED = "integration-disabled"
WARNED = "integration-warned"
DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class PendingMail:
    """A mail that is to be handed over; `attempts` are those already made."""

    mail_id: str
    message_id: str
    installation_id: str
    recipient: str
    kind: str
    about_position: int
    attempts: int
    requested_at: str


@dataclass(frozen=True, slots=True)
class PendingTo:
    """What is due to one recipient by a moment: how many mails, and how many of them could go as one digest."""

    recipient: str
    mails: int
    gatherable: int


_COLUMNS = "mail_id, message_id, installation_id, recipient, kind, about_position, attempts, requested_at"
# A mail that was gathered goes with its digest, and is not due by itself. A first attempt waits for nothing; what lies
# further ahead than any retry was put off by another clock.
_IS_DUE = "state = 'requested' AND digest_id IS NULL AND (attempts = 0 OR due_at <= :due_at OR due_at > :latest)"
# Only what a digest has words for; a mail of a kind that a newer hookfuse has asked for waits for that.
_IS_GATHERABLE = f"kind IN ('{DISABLED}', '{WARNED}')"


def read_pending_mails(
    connection: Connection,
    *,
    due_at: str,
    latest: str = "~",
    recipient: str | None = None,
    is_gatherable: bool = False,
    limit: int = 100,
) -> tuple[PendingMail, ...]:
    """Read the mails that are due by a moment, the longest due first; of one recipient, or of all (None).

    `latest`: what lies further ahead waits for no retry, and is due too.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE {_IS_DUE}"  # noqa: S608 - names of columns
        f" AND (:recipient IS NULL OR recipient = :recipient) AND (NOT :is_gatherable OR {_IS_GATHERABLE})"
        " ORDER BY due_at, mail_id LIMIT :limit",
        {
            "due_at": due_at,
            "latest": latest,
            "recipient": recipient,
            "is_gatherable": is_gatherable,
            "limit": limit,
        },
    )
    return tuple(PendingMail(*row) for row in rows)


def read_pending_recipients(connection: Connection, *, due_at: str, latest: str = "~") -> tuple[PendingTo, ...]:
    """Read how many mails are pending by recipient, the longest waiting first; `latest` as for read_pending_mails."""
    rows = connection.execute(
        f"SELECT recipient, count(*), sum({_IS_GATHERABLE}) FROM outbox WHERE {_IS_DUE}"  # noqa: S608 - as above
        " GROUP BY recipient ORDER BY min(due_at), recipient",
        {"due_at": due_at, "latest": latest},
    )
    return tuple(PendingTo(*row) for row in rows)


def read_gathered_mails(connection: Connection, digest_id: str) -> tuple[PendingMail, ...]:
    """Read the mails that a digest stands for, in the order in which they were requested."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE digest_id = ? ORDER BY requested_at, mail_id",  # noqa: S608 - as above
        (digest_id,),
    )
    return tuple(PendingMail(*row) for row in rows)


def count_mails(connection: Connection) -> dict[str, int]:
    """Count mails by state: requested, sent, failed."""
    counts = {"requested": 0, "sent": 0, "failed": 0}
    counts.update(connection.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())
    return counts


def _request(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailRequested)  # noqa: S101
    _insert(connection, stored, event, event.kind, event.about_position)


def _gathered(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailDigested)  # noqa: S101
    _insert(connection, stored, event, DIGEST, stored.position)
    connection.executemany(
        "UPDATE outbox SET digest_id = ? WHERE mail_id = ?", ((event.mail_id, mail_id) for mail_id in event.gathered)
    )


def _insert(
    connection: Connection,
    stored: StoredEvent,
    event: MailRequested | MailDigested,
    kind: str,
    about_position: int,
) -> None:
    connection.execute(
        "INSERT INTO outbox (mail_id, message_id, installation_id, recipient, kind, about_position, state,"
        " requested_at, due_at) VALUES (?, ?, ?, ?, ?, ?, 'requested', ?, ?)",
        (
            event.mail_id,
            event.message_id,
            installation_of(stored.stream),
            event.recipient,
            kind,
            about_position,
            stored.recorded_at,
            stored.recorded_at,
        ),
    )


# What becomes of a digest becomes of each mail in it.
_ITS_MAILS = " WHERE mail_id = :mail_id OR digest_id = :mail_id"


def _sent(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailSent)  # noqa: S101
    connection.execute(
        "UPDATE outbox SET state = 'sent', attempts = :attempt, last_error = ''" + _ITS_MAILS,  # noqa: S608 - as above
        {"attempt": event.attempt, "mail_id": event.mail_id},
    )


def _failed(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, MailFailed)  # noqa: S101
    connection.execute(
        "UPDATE outbox SET state = :state, attempts = :attempt, last_error = :error,"  # noqa: S608 - as above
        " due_at = coalesce(:retry_at, due_at)" + _ITS_MAILS,
        {
            "state": "failed" if event.retry_at is None else "requested",
            "attempt": event.attempt,
            "error": event.error,
            "retry_at": event.retry_at,
            "mail_id": event.mail_id,
        },
    )


HANDLERS: Handlers = one_by_one(
    {
        MailRequested: _request,
        MailDigested: _gathered,
        MailSent: _sent,
        MailFailed: _failed,
    }
)
