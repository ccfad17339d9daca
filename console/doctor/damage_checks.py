"""Checks of events.db: that it is what was written to it, down to the last commit."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from console.output.progress import SlowProgress
from eventstore.common.diagnostic import Diagnostic
from eventstore.errors import DamagedFileError, LostCommitsError
from eventstore.integrity.whole_check import FIX, FIX_SCHEMA, require_whole
from eventstore.sqlite.high_water_mark import Mark, reached_by, require_kept
from replay.check.damage import check_rows

__all__ = ["check_damage", "check_mark"]

_SUBJECT = "database"


def check_mark(database: Path, mark: Mark | None, connection: sqlite3.Connection) -> Diagnostic:
    """See that all that was committed is there; `mark` was read before the database was opened."""
    if mark is None:
        return Diagnostic.warning(
            "commits",
            "the file beside events.db that says how far it had come is absent or torn: a loss would not be seen",
            "start the daemon, or send anything: it is made anew",
        )
    try:
        require_kept(database, mark, reached_by(connection))
    except LostCommitsError as error:
        text, _, fix = str(error).rpartition(": ")
        return Diagnostic.fault("commits", text, fix)
    return Diagnostic.good("commits", f"all are there, up to event {mark.position:,} and delivery {mark.sequence:,}")


def check_damage(database: Path, connection: sqlite3.Connection) -> Iterator[Diagnostic]:
    """Look at every page, index entry, event and payload, and make the projections anew: seconds for a gigabyte."""
    try:
        position = require_whole(connection, SlowProgress)
    except DamagedFileError as error:
        text = str(error)
        fix = next((one for one in (FIX, FIX_SCHEMA) if text.endswith(one)), "restore a backup of before")
        yield Diagnostic.fault(_SUBJECT, text.removesuffix(f": {fix}"), fix)
        return
    yield Diagnostic.good(_SUBJECT, f"the file is whole, and holds {position:,} events, each as it was recorded")
    yield from check_rows(database, connection, SlowProgress)
