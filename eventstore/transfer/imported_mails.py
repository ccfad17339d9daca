"""Mails that are pending in an imported history: sent only when asked for, as they may have been sent elsewhere."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from eventstore.common.identifiers import import_stream, new_id
from eventstore.events.catalogue import Event, MailDigested, MailFailed, MailRequested, MailSent
from eventstore.log.event_log import NewEvent
from eventstore.unit_of_work import Transaction

__all__ = ["ImportedMails"]

_ABOUT_A_MAIL = (MailRequested, MailDigested, MailSent, MailFailed)
_BATCH = 500
# What was gathered goes with its digest.
_IS_OWED = "state = 'requested' AND digest_id IS NULL"
_GIVEN_UP = "it was pending when its history was imported, and may have been sent elsewhere"
_WITHOUT_SUBJECT = "what it tells of was not in the history that was imported"


class ImportedMails:
    """Owns the temporary table `incoming_mails`: which mails an import has brought something new about."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        self._connection.execute("CREATE TEMP TABLE incoming_mails (mail_id TEXT PRIMARY KEY) WITHOUT ROWID")
        return self

    def __exit__(
        self, _class: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._connection.execute("DROP TABLE temp.incoming_mails")

    def note(self, events: Iterable[Event]) -> None:
        """Note the mails that newly appended events are about."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO incoming_mails VALUES (?)",
            ((event.mail_id,) for event in events if isinstance(event, _ABOUT_A_MAIL)),
        )

    def settle(self, transaction: Transaction, *, is_sent: bool) -> tuple[int, int]:
        """Leave those that are still pending as they are, or give them up; return how many of each there are.

        What cannot be told any more, as the event that it is about is not here, is given up in any case. The events
        go into a stream of their own: the one they came from may go on elsewhere, and be imported again.
        """
        stream = import_stream(new_id())
        given_up = 0
        while rows := self._read_some(is_sent=is_sent):
            failures = (
                MailFailed(mail_id, attempts, _GIVEN_UP if about_position else _WITHOUT_SUBJECT)
                for mail_id, attempts, about_position in rows
            )
            transaction.append(*(NewEvent(stream, failed) for failed in failures))
            given_up += len(rows)
        (pending,) = transaction.connection.execute(
            f"SELECT count(*) FROM outbox JOIN incoming_mails USING (mail_id) WHERE {_IS_OWED}"  # noqa: S608
        ).fetchone()
        return int(pending), given_up

    def _read_some(self, *, is_sent: bool) -> list[tuple[str, int, int]]:
        return self._connection.execute(
            "SELECT mail_id, attempts, about_position FROM outbox JOIN incoming_mails USING (mail_id)"  # noqa: S608
            f" WHERE {_IS_OWED} AND (NOT ? OR about_position = 0) ORDER BY mail_id LIMIT ?",
            (is_sent, _BATCH),
        ).fetchall()
