"""Checks of events.db: that it is what was written to it, down to the last commit."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from console.progress import SlowProgress
from eventstore.app_secrets import apps_with_damaged_secrets
from eventstore.errors import DamagedFileError, DamagedLogError, LostCommitsError
from eventstore.finding import Finding
from eventstore.high_water_mark import Mark, reached_by, require_kept
from eventstore.integrity import MEND, MEND_SCHEMA, damaged_deliveries, require_whole
from eventstore.log import last_position
from eventstore.parcels import damaged_parcel_texts
from replay.verification import verify

__all__ = ["check_damage", "check_mark"]

_SUBJECT = "database"
_NAMED = 3


def check_mark(database: Path, mark: Mark | None, connection: sqlite3.Connection) -> Finding:
    """See that all that was committed is there; `mark` was read before the database was opened."""
    if mark is None:
        return Finding.warning(
            "commits",
            "the file beside events.db that says how far it had come is absent or torn: a loss would not be seen",
            "start the daemon, or send anything: it is made anew",
        )
    try:
        require_kept(database, mark, reached_by(connection))
    except LostCommitsError as error:
        text, _, mend = str(error).rpartition(": ")
        return Finding.fault("commits", text, mend)
    return Finding.good("commits", f"all are there, up to event {mark.position:,} and delivery {mark.sequence:,}")


def check_damage(database: Path, connection: sqlite3.Connection) -> Iterator[Finding]:
    """Look at every page, index entry, event and payload, and make the projections anew: seconds for a gigabyte."""
    try:
        position = require_whole(connection, SlowProgress)
    except DamagedFileError as error:
        text = str(error)
        mend = next((one for one in (MEND, MEND_SCHEMA) if text.endswith(one)), "restore a backup of before")
        yield Finding.fault(_SUBJECT, text.removesuffix(f": {mend}"), mend)
        return
    yield Finding.good(_SUBJECT, f"the file is whole, and holds {position:,} events, each as it was recorded")
    yield from _check_payloads(connection)
    yield from _check_projections(database, connection)


def _check_payloads(connection: sqlite3.Connection) -> Iterator[Finding]:
    deliveries = damaged_deliveries(connection)
    if deliveries:
        yield Finding.fault(
            "payloads",
            f"{len(deliveries)} deliveries are not what was queued, and are never sent: {_some(deliveries)}",
            "queue them anew from where they came from; hookfuse deliveries drop DELIVERY once they are dead",
        )
    parcels = damaged_parcel_texts(connection)
    if parcels:
        yield Finding.fault(
            "payloads",
            f"{len(parcels)} parcels of a batch are damaged: {_some(parcels)}",
            "queue them anew from where they came from; hookfuse forget-damaged lets go of what is kept",
        )
    secrets = apps_with_damaged_secrets(connection)
    if secrets:
        yield Finding.fault(
            "secrets",
            f"those of apps {_some(list(map(str, secrets)))} are not what was stored, and sign nothing",
            "hookfuse apply REGISTRY.toml, or hookfuse app rotate-secret APP",
        )
    if not (deliveries or parcels or secrets):
        yield Finding.good("payloads", "all that waits is what was queued")


def _check_projections(database: Path, connection: sqlite3.Connection) -> Iterator[Finding]:
    try:
        with SlowProgress("reading events", last_position(connection)) as progress:
            found = verify(database, limit=1, advance=progress.advance)
    except DamagedLogError as error:
        yield Finding.fault(_SUBJECT, str(error), "hookfuse replay verify --log names every fault; restore a backup")
        return
    if found.cut_tail is not None:
        yield Finding.fault(_SUBJECT, found.cut_tail, "restore a backup")
    elif found.count:
        yield Finding.fault(
            "projections",
            f"{found.count} values differ from what follows from the events, in {', '.join(found.counts)}",
            "hookfuse replay verify lists them, hookfuse replay rebuild mends them",
        )
    else:
        yield Finding.good("projections", "all tables say what follows from the events")


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:_NAMED]) + (f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else "")
