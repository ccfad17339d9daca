"""Going on with what is left: a person's word that what was committed, and is gone, is given up."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from eventstore.common.clock import Clock
from eventstore.common.identifiers import HOME_STREAM, new_id
from eventstore.errors import LostCommitsError
from eventstore.events.catalogue import AuditRecorded
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.queue.sequences import skip_sequences
from eventstore.sqlite.database import explained, open_database
from eventstore.sqlite.high_water_mark import Mark, mark_path, reached_by, read_mark, require_kept, write_mark
from eventstore.unit_of_work import Store

__all__ = ["AcceptedLoss", "accept_loss"]


@dataclass(frozen=True, slots=True)
class AcceptedLoss:
    """What was given up: `before` is what had been committed, None = that is not known; `left` is what is there."""

    before: Mark | None
    left: Mark

    @property
    def is_other(self) -> bool:
        """Return whether what is there is another database than that which was."""
        return self.before is not None and self.before.database_id != self.left.database_id


def accept_loss(home: Home, clock: Clock, *, by: str, reason: str) -> AcceptedLoss | None:
    """Reset the mark to what is there, and record who decided so; None = nothing is missing, nothing changed.

    Numbers of deliveries that are lost are not given again; positions of events are, as the log has no gaps, and what
    follows a log by position reads it again (docs/backup.md). Where there is no database any more a new one is made.
    No daemon may run. Raises DaemonRunningError, DatabaseError.
    """
    with home.ownership.held():
        before = read_mark(home.database)
        if not (home.database.exists() and home.database.stat().st_size):
            _begin_anew(home)
        with closing(open_database(home.database, is_writer=True)) as connection:
            left = reached_by(connection)
        try:
            require_kept(home.database, before, left)
            if before is not None:
                return None
        except LostCommitsError:
            pass  # that is what is accepted
        write_mark(home.database, left)
        loss = AcceptedLoss(before, left)
        with Store(home.database, clock) as store, store.transaction() as transaction:
            if before is not None:
                skip_sequences(transaction.connection, before.sequence)
            transaction.append(NewEvent(HOME_STREAM, _entry(loss, by, reason)))
        return loss


def _begin_anew(home: Home) -> None:
    """Make an empty database, with nothing beside it that belonged to the one before."""
    folder = home.path / f"before-loss-{new_id()}"
    folder.mkdir(mode=0o700)
    for path in home.path.glob("events.db*"):
        if path != mark_path(home.database):
            path.rename(folder / path.name)
    with explained(home.database):
        descriptor = os.open(home.database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        with closing(sqlite3.connect(home.database)) as connection:
            # That alone writes the first page: from there on it is a database that has nothing in it yet.
            connection.execute("PRAGMA journal_mode = WAL")


def _entry(loss: AcceptedLoss, by: str, reason: str) -> AuditRecorded:
    data = {"reason": reason}
    if loss.before is not None:
        data |= {"events_before": str(loss.before.position), "deliveries_before": str(loss.before.sequence)}
    data |= {"events_left": str(loss.left.position), "deliveries_left": str(loss.left.sequence)}
    return AuditRecorded("home.accept-loss", by, "home", data)
