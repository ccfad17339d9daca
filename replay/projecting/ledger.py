"""The ledger of kept deliveries rebuilt from the events: which were missed or are dead, or wait again."""

import sqlite3

from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_of
from eventstore.events.catalogue import (
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryExpired,
    DeliveryMissed,
    DeliveryRequeued,
    DeliverySucceeded,
    RecoveryStarted,
)
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one
from eventstore.queue.delivery import error_text
from replay.reading.log_range import LogRange

__all__ = ["HANDLERS", "LedgerFold", "has_waiting", "make_ledger"]

# Beside the projections in a scratch. `is_waiting`: it was kept, and waits to be sent again; `is_recovery`: as one of
# all that were missed. What the events do not say is NULL: when a dead one was queued, and how a missed one failed
# before.
_TABLES = (
    """CREATE TABLE ledger (
        delivery_id TEXT PRIMARY KEY,
        installation_id TEXT NOT NULL,
        event_name TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        enqueued_at TEXT,
        kept_at TEXT NOT NULL,
        last_error TEXT,
        is_expired INTEGER NOT NULL DEFAULT 0,
        is_waiting INTEGER NOT NULL DEFAULT 0,
        is_recovery INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    "CREATE INDEX ledger_of_missed ON ledger (installation_id) WHERE state = 'missed'",
    "CREATE INDEX ledger_of_waiting ON ledger (is_waiting) WHERE is_waiting",
)
_KEEP = (
    "INSERT OR REPLACE INTO ledger (delivery_id, installation_id, event_name, state, attempts, enqueued_at, kept_at,"
    " last_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def _missed(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DeliveryMissed)  # noqa: S101
    kept = (event.delivery_id, installation_of(stored.stream), event.event_name, "missed", event.attempts)
    connection.execute(_KEEP, (*kept, event.enqueued_at, stored.recorded_at, None))


def _exhausted(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DeliveryExhausted)  # noqa: S101
    kept = (event.delivery_id, installation_of(stored.stream), event.event_name, "dead", event.attempts)
    connection.execute(_KEEP, (*kept, None, stored.recorded_at, error_text(event.status_code, event.error_class)))


def _requeued(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DeliveryRequeued)  # noqa: S101
    connection.execute("UPDATE ledger SET is_waiting = 1 WHERE delivery_id = ?", (event.delivery_id,))


def _recovery_started(connection: Connection, stored: StoredEvent) -> None:
    connection.execute(
        "UPDATE ledger SET is_waiting = 1, is_recovery = 1"
        " WHERE installation_id = ? AND state = 'missed' AND NOT is_expired AND NOT is_waiting",
        (installation_of(stored.stream),),
    )


def _expired(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DeliveryExpired)  # noqa: S101
    connection.execute("UPDATE ledger SET is_expired = 1 WHERE delivery_id = ?", (event.delivery_id,))


def _gone(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DeliverySucceeded | DeliveryDropped)  # noqa: S101
    connection.execute("DELETE FROM ledger WHERE delivery_id = ?", (event.delivery_id,))


HANDLERS: Handlers = one_by_one(
    {
        DeliveryMissed: _missed,
        DeliveryExhausted: _exhausted,
        DeliveryRequeued: _requeued,
        RecoveryStarted: _recovery_started,
        DeliveryExpired: _expired,
        DeliveryDropped: _gone,
        DeliverySucceeded: _gone,
    }
)

# Of all others a delivery that waits is taken out by the one type that is by far the most frequent.
_SELDOM = tuple(one.type_name for one in HANDLERS if one is not DeliverySucceeded)
_BEGIN_WAITING = (DeliveryRequeued.type_name, RecoveryStarted.type_name)


def make_ledger(connection: sqlite3.Connection) -> None:
    """Make the table `ledger` in a scratch, which HANDLERS write to."""
    for statement in _TABLES:
        connection.execute(statement)


def has_waiting(connection: sqlite3.Connection) -> bool:
    """Return whether anything that was kept waits to be sent again: only then a success takes something out."""
    return connection.execute("SELECT 1 FROM ledger WHERE is_waiting LIMIT 1").fetchone() is not None


class LedgerFold:
    """Follows the log, range by range, in a table `ledger` of a scratch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        make_ledger(connection)

    def follow(self, log_range: LogRange) -> None:
        """Take a range in that comes after all before. Raises UnknownEventError at an event that cannot be read."""
        type_names = _SELDOM
        if has_waiting(self._connection) or self._begins_waiting(log_range):
            type_names = (*_SELDOM, DeliverySucceeded.type_name)
        for stored in log_range.read(self._connection, type_names):
            HANDLERS[type(stored.event)](self._connection, (stored,))

    def _begins_waiting(self, log_range: LogRange) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM events WHERE position > ? AND position <= ? AND type IN (?, ?) LIMIT 1",
            (*log_range.bounds(), *_BEGIN_WAITING),
        ).fetchone()
        return row is not None
