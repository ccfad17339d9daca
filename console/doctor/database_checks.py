"""Checks of events.db: that it is whole, that its newest events hang together, and that nothing lies about."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

from eventstore.clock import parse_time
from eventstore.finding import Finding
from eventstore.log import NO_HASH, chain_hash, last_position
from eventstore.outbox import count_mails
from eventstore.queue_view import count_deliveries, read_deliveries
from eventstore.registry import apps_without_secret

__all__ = ["check_chain", "check_integrity", "check_work"]

_SUBJECT = "database"
_CHAINED_EVENTS = 1000
_LONG_WAIT = timedelta(hours=1)
_APPS_NAMED = 5


def check_integrity(connection: sqlite3.Connection) -> Finding:
    """Have SQLite look at every page: some seconds for a gigabyte."""
    faults = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if faults != ["ok"]:
        return Finding.fault(_SUBJECT, f"the file is damaged: {faults[0]}", "stop the daemon and restore a backup")
    return Finding.good(_SUBJECT, f"the file is whole, and holds {last_position(connection):,} events")


def check_chain(connection: sqlite3.Connection) -> Finding:
    """Make the hashes of the newest events anew; `hookfuse replay verify --log` does so for all."""
    rows = connection.execute(
        "SELECT position, stream, version, type, schema, recorded_at, data, hash FROM events"
        " ORDER BY position DESC LIMIT ?",
        (_CHAINED_EVENTS + 1,),
    ).fetchall()
    if not rows:
        return Finding.good(_SUBJECT, "no event yet")
    rows.reverse()
    previous = NO_HASH if rows[0][0] == 1 else None
    for position, stream, version, type_name, schema, recorded_at, data, found in rows:
        if previous is not None:
            expected = chain_hash(
                previous,
                position=position,
                stream=stream,
                version=version,
                type_name=type_name,
                schema=schema,
                recorded_at=recorded_at,
                data=data,
            )
            if expected != found:
                return Finding.fault(
                    _SUBJECT,
                    f"the event at position {position} is not what was recorded",
                    "hookfuse replay verify --log names all such events; restore a backup of before",
                )
        previous = found
    return Finding.good(_SUBJECT, f"the newest {min(len(rows), _CHAINED_EVENTS):,} events are as they were recorded")


def check_work(connection: sqlite3.Connection, *, is_running: bool, now: datetime) -> Iterator[Finding]:
    """See whether anything has been lying about."""
    counts = count_deliveries(connection)
    waiting = counts.get("waiting", 0)
    text = f"{waiting} waiting, {counts.get('missed', 0)} missed, {counts.get('dead', 0)} dead"
    if waiting and not is_running:
        yield Finding.warning("work", f"{text}, and no daemon runs", "start it: hookfuse run")
    elif (
        waiting and now - parse_time(read_deliveries(connection, state="waiting", limit=1)[0].enqueued_at) > _LONG_WAIT
    ):
        yield Finding.warning("work", f"{text}, the oldest for over an hour", "hookfuse status shows behind whom")
    else:
        yield Finding.good("work", text)
    mails = count_mails(connection)
    if mails["failed"]:
        yield Finding.warning(
            "work",
            f"{mails['failed']} mails were given up",
            "hookfuse events --type mail.failed says why; the owners' addresses stand in the registry file",
        )
    lacking = apps_without_secret(connection)
    if lacking:
        named = ", ".join(str(app.app_id) for app in lacking[:_APPS_NAMED]) + (" ..." if lacking[_APPS_NAMED:] else "")
        yield Finding.warning(
            "work",
            f"apps without a secret: {named}; what is queued for them waits",
            "hookfuse apply REGISTRY.toml, or hookfuse app rotate-secret APP",
        )
