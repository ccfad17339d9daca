"""The tables of events.db, as migrations.

Only `events`, `queue`, `parcels`, `damaged_parcels`, `idempotency_keys`, `stream_entries`, `secrets` and `database_id`
hold what nothing else does; `at_work` begins empty with each daemon, `snapshots` spare reading, `clock` tells whether
the machine's clock is to be believed, and every other table is a projection of `events` that can be made anew.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from eventstore.errors import NewerSchemaError, NotADatabaseError

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["MARKED_SINCE", "SCHEMA_VERSION", "found_schema", "migrate", "schema_of"]

# Kept in SQLite's user_version, so that an up-to-date file is recognised without importing sqlite-utils.
SCHEMA_VERSION = 14
# From this one on a database has an id, and a mark beside it.
MARKED_SINCE = 11

# "hkfs", in the header of the file: tells it from any other program's.
_APPLICATION_ID = 0x686B6673

_FIRST = (
    # Positions are given by the writer, without gaps. `hash` chains each event to the one before it.
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        type TEXT NOT NULL,
        schema INTEGER NOT NULL,
        recorded_at TEXT NOT NULL,
        data TEXT NOT NULL,
        hash BLOB NOT NULL,
        UNIQUE (stream, version)
    )""",
    """CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    # A REPLACE deletes without firing the delete trigger: what it would replace is looked for here.
    """CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events
        WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
            OR EXISTS (SELECT 1 FROM events WHERE stream = NEW.stream AND version = NEW.version)
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TABLE queue (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        delivery_id TEXT NOT NULL UNIQUE,
        installation_id TEXT NOT NULL,
        event_name TEXT NOT NULL,
        ordering_key TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'missed', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        enqueued_at TEXT NOT NULL,
        due_at TEXT NOT NULL,
        last_error TEXT NOT NULL DEFAULT '',
        is_probe INTEGER NOT NULL DEFAULT 0,
        is_recovery INTEGER NOT NULL DEFAULT 0,
        is_expired INTEGER NOT NULL DEFAULT 0,
        actor TEXT,
        data TEXT NOT NULL
    )""",
    "CREATE INDEX queue_by_installation ON queue (installation_id, state, due_at)",
    """CREATE INDEX queue_by_ordering_key ON queue (installation_id, ordering_key, sequence)
        WHERE ordering_key != '' AND state = 'waiting'""",
    "CREATE INDEX queue_of_kept ON queue (enqueued_at) WHERE state != 'waiting' AND NOT is_expired",
    "CREATE INDEX queue_of_recoveries ON queue (installation_id) WHERE is_recovery AND state = 'waiting'",
    """CREATE TABLE idempotency_keys (
        installation_id TEXT NOT NULL,
        idempotency_key TEXT NOT NULL,
        delivery_id TEXT NOT NULL,
        enqueued_at TEXT NOT NULL,
        PRIMARY KEY (installation_id, idempotency_key)
    ) WITHOUT ROWID""",
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (enqueued_at)",
    """CREATE TABLE secrets (
        app_id INTEGER PRIMARY KEY,
        client_secret TEXT NOT NULL,
        headers TEXT NOT NULL,
        previous_secret TEXT,
        previous_until TEXT,
        signing_key BLOB
    )""",
    # One row. What a running daemon must notice (registry, enabling, disabling, sending again) moves it.
    "CREATE TABLE attention (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
    "INSERT INTO attention VALUES (1, 0)",
    """CREATE TABLE organizations (
        organization_id INTEGER PRIMARY KEY,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        url TEXT NOT NULL,
        owners TEXT NOT NULL
    )""",
    """CREATE TABLE apps (
        app_id INTEGER PRIMARY KEY,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        uuid TEXT NOT NULL,
        status TEXT NOT NULL,
        organization_id INTEGER NOT NULL,
        webhook_url TEXT NOT NULL,
        events TEXT NOT NULL,
        header_names TEXT NOT NULL,
        secret_version INTEGER NOT NULL,
        headers_version INTEGER NOT NULL,
        connect_s REAL,
        read_s REAL,
        total_s REAL
    )""",
    """CREATE TABLE installations (
        installation_id TEXT PRIMARY KEY,
        app_id INTEGER NOT NULL,
        organization_id INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'removed')),
        changed_at TEXT NOT NULL,
        disabled_position INTEGER,
        warned_level INTEGER NOT NULL DEFAULT 0,
        breaker_open_until TEXT,
        breaker_strict_until TEXT,
        breaker_failed_trials INTEGER NOT NULL DEFAULT 0,
        hold_until TEXT,
        probe_failures INTEGER NOT NULL DEFAULT 0,
        last_probe_at TEXT
    ) WITHOUT ROWID""",
    # One row: whether automatic disabling is frozen, since when, and how many were active and failed then.
    """CREATE TABLE fleet (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        is_frozen INTEGER NOT NULL,
        changed_at TEXT NOT NULL,
        active INTEGER NOT NULL,
        failing INTEGER NOT NULL
    )""",
    "INSERT INTO fleet VALUES (1, 0, '', 0, 0)",
    "CREATE INDEX installations_by_app ON installations (app_id, organization_id)",
    """CREATE TABLE buffer (
        installation_id TEXT NOT NULL,
        day TEXT NOT NULL,
        success INTEGER NOT NULL DEFAULT 0,
        redirect INTEGER NOT NULL DEFAULT 0,
        client_error INTEGER NOT NULL DEFAULT 0,
        rate_limited INTEGER NOT NULL DEFAULT 0,
        server_error INTEGER NOT NULL DEFAULT 0,
        protocol INTEGER NOT NULL DEFAULT 0,
        timeout INTEGER NOT NULL DEFAULT 0,
        fatal INTEGER NOT NULL DEFAULT 0,
        first_failure INTEGER,
        last_failure INTEGER,
        PRIMARY KEY (installation_id, day)
    ) WITHOUT ROWID""",
    """CREATE TABLE request_log (
        app_id INTEGER NOT NULL,
        event_name TEXT NOT NULL,
        position INTEGER NOT NULL,
        is_error INTEGER NOT NULL,
        PRIMARY KEY (app_id, event_name, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE audit (
        position INTEGER PRIMARY KEY,
        event TEXT NOT NULL,
        actor TEXT NOT NULL,
        target TEXT NOT NULL,
        data TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    )""",
    """CREATE TABLE outbox (
        mail_id TEXT PRIMARY KEY,
        message_id TEXT NOT NULL,
        installation_id TEXT NOT NULL,
        recipient TEXT NOT NULL,
        kind TEXT NOT NULL,
        about_position INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('requested', 'sent', 'failed')),
        attempts INTEGER NOT NULL DEFAULT 0,
        requested_at TEXT NOT NULL,
        due_at TEXT NOT NULL,
        last_error TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID""",
    "CREATE INDEX outbox_by_state ON outbox (state, due_at)",
)

_SECOND = (
    # The installations with an outcome of late, of all workers; NULL = the latest one succeeded.
    "CREATE TABLE at_work (installation_id TEXT PRIMARY KEY, failing_since TEXT) WITHOUT ROWID",
    # `version` is that of the stream's event that a snapshot stands for; `checksum` ties it to that event.
    """CREATE TABLE snapshots (
        installation_id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        schema INTEGER NOT NULL,
        checksum BLOB NOT NULL,
        data BLOB NOT NULL
    )""",
)

_THIRD = (
    # Mails that go as one: the digest that a mail was gathered into.
    "ALTER TABLE outbox ADD COLUMN digest_id TEXT",
    "CREATE INDEX outbox_by_digest ON outbox (digest_id) WHERE digest_id IS NOT NULL",
)

_FOURTH = (
    # Entries of a Redis stream that are in the queue here, and not acknowledged there yet.
    """CREATE TABLE stream_entries (
        stream TEXT NOT NULL,
        entry_id TEXT NOT NULL,
        delivery_id TEXT NOT NULL,
        PRIMARY KEY (stream, entry_id)
    ) WITHOUT ROWID""",
)

# The next of an ordering key, when the one before it has gone.
_NEXT_OF_ITS_KEY = """
    BEGIN
        UPDATE queue SET is_behind = 0 WHERE is_behind AND sequence = (SELECT min(sequence) FROM queue
            WHERE installation_id = OLD.installation_id AND ordering_key = OLD.ordering_key
            AND ordering_key != '' AND state = 'waiting');
    END"""

_FIFTH = (
    # What is behind another of its ordering key stands apart: a claim need not pass over a backlog of one key.
    "ALTER TABLE queue ADD COLUMN is_behind INTEGER NOT NULL DEFAULT 0",
    "DROP INDEX queue_by_installation",
    "CREATE INDEX queue_by_installation ON queue (installation_id, state, is_behind, due_at)",
    "CREATE TRIGGER queue_next_after_delete AFTER DELETE ON queue"
    " WHEN OLD.ordering_key != '' AND OLD.state = 'waiting'" + _NEXT_OF_ITS_KEY,
    "CREATE TRIGGER queue_next_after_update AFTER UPDATE OF state ON queue"
    " WHEN OLD.ordering_key != '' AND OLD.state = 'waiting' AND NEW.state != 'waiting'" + _NEXT_OF_ITS_KEY,
)

_SIXTH = (
    # Keys of one time are alike: by the key first, a batch to many installations changes few pages, not one for each.
    "DROP INDEX queue_by_ordering_key",
    """CREATE INDEX queue_by_ordering_key ON queue (ordering_key, installation_id, sequence)
        WHERE ordering_key != '' AND state = 'waiting'""",
)

_SEVENTH = (
    # Deliveries of large batches, which have no rows in the queue yet. `first_sequence` is that of the first of them;
    # `installations` says how many there are to each; `deliveries` is JSON, compressed by Zstandard.
    """CREATE TABLE parcels (
        first_sequence INTEGER PRIMARY KEY,
        delivery_count INTEGER NOT NULL,
        enqueued_at TEXT NOT NULL,
        installations TEXT NOT NULL,
        deliveries BLOB NOT NULL
    )""",
    # Holds all that is asked of them again and again: how many deliveries there are, and since when.
    "CREATE INDEX parcels_by_age ON parcels (enqueued_at, delivery_count)",
)

# The event by which somebody closed a breaker by hand: before, nobody could.
_EIGHTH = ("ALTER TABLE installations ADD COLUMN breaker_closed_position INTEGER NOT NULL DEFAULT 0",)
_NINTH = (
    # One row, from the first minute of the first daemon on: what time it was when the machine had run for so long, and
    # whether the clock is doubted since (NULL = it is not).
    """CREATE TABLE clock (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        moment TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        uptime_s REAL NOT NULL,
        doubted_ahead_s REAL,
        doubted_ran_s REAL
    )""",
)

_TENTH = ("ALTER TABLE buffer ADD COLUMN no_answer INTEGER NOT NULL DEFAULT 0",)

_ELEVENTH = (
    # Tells this database, and its copies, from every other: the mark beside it names the same (high_water_mark.py).
    "CREATE TABLE database_id (id TEXT NOT NULL)",
    "INSERT INTO database_id VALUES (lower(hex(randomblob(16))))",
    # CRC-32 of what is sent (payload_checksum.py). NULL = it was queued before there were any, and is sent as it is.
    "ALTER TABLE queue ADD COLUMN checksum INTEGER",
    "ALTER TABLE parcels ADD COLUMN checksum INTEGER",
    "ALTER TABLE secrets ADD COLUMN checksum INTEGER",
    # Parcels that cannot be read any more, as they were found, until a person lets go of them.
    """CREATE TABLE damaged_parcels (
        first_sequence INTEGER PRIMARY KEY,
        delivery_count INTEGER NOT NULL,
        enqueued_at TEXT NOT NULL,
        installations TEXT NOT NULL,
        deliveries BLOB NOT NULL,
        checksum INTEGER,
        found_at TEXT NOT NULL
    )""",
)

_TWELFTH = (
    "ALTER TABLE apps ADD COLUMN client_certificate TEXT",
    "ALTER TABLE apps ADD COLUMN client_key TEXT",
)

# NULL = it was stored before there were any.
_THIRTEENTH = ("ALTER TABLE idempotency_keys ADD COLUMN checksum INTEGER",)

_FOURTEENTH = (
    # The days by which an installation can be in trouble, of all installations: most days of most are none of them.
    """CREATE INDEX buffer_of_trouble ON buffer (day, installation_id, success, timeout, no_answer, fatal)
        WHERE success = 0 OR timeout > 0 OR no_answer > 0 OR fatal > 0""",
    # How many attempts failed, by hour (2025-02-03T10) and error class.
    """CREATE TABLE failures (
        hour TEXT NOT NULL,
        error_class TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (hour, error_class)
    ) WITHOUT ROWID""",
    """INSERT INTO failures SELECT substr(recorded_at, 1, 13), data ->> '$.error_class', count(*) FROM events
        WHERE type IN ('delivery.failed', 'delivery.timed_out', 'delivery.blocked', 'probe.failed')
        AND data ->> '$.error_class' != '' GROUP BY 1, 2""",
)

_MIGRATIONS = (
    ("0001_first_tables", _FIRST),
    ("0002_work_and_snapshots", _SECOND),
    ("0003_digests", _THIRD),
    ("0004_stream_entries", _FOURTH),
    ("0005_behind", _FIFTH),
    ("0006_keys_first", _SIXTH),
    ("0007_parcels", _SEVENTH),
    ("0008_breakers_closed_by_hand", _EIGHTH),
    ("0009_clock", _NINTH),
    ("0010_no_answer", _TENTH),
    ("0011_damage", _ELEVENTH),
    ("0012_client_certificates", _TWELFTH),
    ("0013_checked_idempotency_keys", _THIRTEENTH),
    ("0014_trouble_and_failures", _FOURTEENTH),
)


# What sqlite-utils writes down there: which migrations were applied.
_OF_SQLITE_UTILS = (
    "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)",
    "CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name ON _sqlite_migrations (migration_set, name)",
)


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """Bring a database, which has the schema that `found_schema` has found, to the newest one."""
    if found < SCHEMA_VERSION:
        _apply_migrations(connection)


def found_schema(connection: sqlite3.Connection) -> int:
    """Return the schema that a database has, 0 when it is new.

    Raises NewerSchemaError when a newer hookfuse has written the file, NotADatabaseError when another program has.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"the database has schema {found} and this hookfuse knows up to {SCHEMA_VERSION}: install a newer one"
        )
    if found == 0 and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id != _APPLICATION_ID:
            raise NotADatabaseError("this is the database of another program: move it away, or name another home")
    return int(found)


def schema_of(connection: sqlite3.Connection, version: int) -> None:
    """Make, in an empty database, the parts of a schema to compare with: of this one, or of one before.

    By hand: a look at a database need not wait for sqlite-utils.
    """
    for _, statements in _MIGRATIONS[:version]:
        for statement in statements:
            connection.execute(statement)
    for statement in _OF_SQLITE_UTILS:
        connection.execute(statement)


def _apply_migrations(
    connection: sqlite3.Connection, wanted: tuple[tuple[str, tuple[str, ...]], ...] = _MIGRATIONS
) -> None:
    # sqlite-utils takes 60 ms to import: only a file that needs it pays.
    from sqlite_utils import Database  # noqa: PLC0415
    from sqlite_utils.migrations import Migrations  # noqa: PLC0415

    migrations = Migrations("hookfuse")

    for name, statements in wanted:
        migrations(name=name)(partial(_execute_all, statements))  # type: ignore[type-var] # it has a name by that
    with _together(connection):
        migrations.apply(Database(connection))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def _together(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")  # two processes on a new home: the second finds it done
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def _execute_all(statements: Iterable[str], database: "Database") -> None:
    for statement in statements:
        database.execute(statement)
