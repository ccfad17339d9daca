"""Checks of events.db: that it is what was written to it, that nothing has been lying about, and who works on it."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from console.output.progress import SlowProgress
from eventstore.common.clock import parse_time
from eventstore.common.diagnostic import Diagnostic
from eventstore.errors import DamagedFileError, LostCommitsError
from eventstore.home.folder import Home
from eventstore.integrity.whole_check import FIX, FIX_SCHEMA, require_whole
from eventstore.projections.outbox import count_mails
from eventstore.projections.registry import apps_without_secret
from eventstore.queue.queries import count_deliveries, read_deliveries
from eventstore.settings.daemon_report import read_report
from eventstore.sqlite.high_water_mark import Mark, reached_by, require_kept
from replay.check.damage import check_rows

__all__ = ["check_daemon", "check_damage", "check_mark", "check_work"]

_LONG_WAIT = timedelta(hours=1)
_APPS_NAMED = 5

_SUBJECT = "database"


def check_work(connection: sqlite3.Connection, *, is_running: bool, now: datetime) -> Iterator[Diagnostic]:
    """Check whether anything has been left undone for long."""
    counts = count_deliveries(connection)
    waiting = counts.get("waiting", 0)
    text = f"{waiting} waiting, {counts.get('missed', 0)} missed, {counts.get('dead', 0)} dead"
    if waiting and not is_running:
        yield Diagnostic.warning("work", f"{text}, and no daemon runs", "start it: hookfuse run")
    elif (
        waiting and now - parse_time(read_deliveries(connection, state="waiting", limit=1)[0].enqueued_at) > _LONG_WAIT
    ):
        yield Diagnostic.warning("work", f"{text}, the oldest for over an hour", "hookfuse status shows behind whom")
    else:
        yield Diagnostic.good("work", text)
    mails = count_mails(connection)
    if mails["failed"]:
        yield Diagnostic.warning(
            "work",
            f"{mails['failed']} mails were given up",
            "hookfuse events --type mail.failed says why; the owners' addresses stand in the registry file",
        )
    lacking = apps_without_secret(connection)
    if lacking:
        named = ", ".join(str(app.app_id) for app in lacking[:_APPS_NAMED]) + (" ..." if lacking[_APPS_NAMED:] else "")
        yield Diagnostic.warning(
            "work",
            f"apps without a secret: {named}; what is queued for them waits",
            "hookfuse apply REGISTRY.toml, or hookfuse app rotate-secret APP",
        )


def check_daemon(home: Home) -> Iterator[Diagnostic]:
    """Check whether a daemon runs, and whether its output is read."""
    pid = home.ownership.daemon_pid()
    if pid is None:
        yield Diagnostic.good("daemon", "none runs")
        return
    yield Diagnostic.good("daemon", f"runs (process {pid})")
    dropped = read_report(home.report, pid).dropped_lines
    if dropped:
        yield Diagnostic.warning(
            "daemon",
            f"{dropped:,} lines of standard error were dropped since its start, as nobody read them",
            f"check where its standard error goes; {home.log} has what was logged",
        )


def check_mark(database: Path, mark: Mark | None, connection: sqlite3.Connection) -> Diagnostic:
    """Check that all that was committed is there; `mark` was read before the database was opened."""
    if mark is None:
        return Diagnostic.warning(
            "commits",
            "the file beside events.db that says how far it had come is absent or torn: a loss would not be seen",
            "start the daemon, or send anything: it is created again",
        )
    try:
        require_kept(database, mark, reached_by(connection))
    except LostCommitsError as error:
        text, _, fix = str(error).rpartition(": ")
        return Diagnostic.fault("commits", text, fix)
    return Diagnostic.good("commits", f"all are there, up to event {mark.position:,} and delivery {mark.sequence:,}")


def check_damage(database: Path, connection: sqlite3.Connection) -> Iterator[Diagnostic]:
    """Look at every page, index entry, event and payload, and rebuild the projections: seconds for a gigabyte."""
    try:
        position = require_whole(connection, SlowProgress)
    except DamagedFileError as error:
        text = str(error)
        fix = next((one for one in (FIX, FIX_SCHEMA) if text.endswith(one)), "restore a backup of before")
        yield Diagnostic.fault(_SUBJECT, text.removesuffix(f": {fix}"), fix)
        return
    yield Diagnostic.good(_SUBJECT, f"the file is whole, and holds {position:,} events, each as it was recorded")
    yield from check_rows(database, connection, SlowProgress)
