"""What is not as it was stored, row by row: for doctor, backup and restore alike.

The file, its schema and the log come first (eventstore/integrity/whole_check.py): without those nothing else is to be
believed.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from eventstore.common.diagnostic import Diagnostic
from eventstore.common.plural import grouped
from eventstore.errors import DamagedLogError
from eventstore.integrity.whole_check import Watch, damaged_deliveries, quietly
from eventstore.log.event_log import last_position
from eventstore.projections.app_secrets import apps_with_damaged_secrets
from eventstore.queue.idempotency import damaged_keys
from eventstore.queue.packed_batches import damaged_packed_batch_texts
from replay.check.verification import verify

__all__ = ["check_rows"]

_NAMED = 3


def check_rows(
    database: Path, connection: sqlite3.Connection, watch: Watch = quietly, *, is_copy: bool = False
) -> Iterator[Diagnostic]:
    """Look at each payload and secret, and rebuild the projections: seconds for a gigabyte.

    `is_copy`: the file is of the newest schema, nobody writes to it, and nothing is to come to lie beside it.
    """
    yield from _check_stored(connection)
    yield from _check_projections(database, connection, watch, is_copy=is_copy)


def _check_stored(connection: sqlite3.Connection) -> Iterator[Diagnostic]:
    deliveries = damaged_deliveries(connection)
    if deliveries:
        yield Diagnostic.fault(
            "payloads",
            f"{grouped(len(deliveries), 'delivery is', 'deliveries are')} not what was queued, and never sent:"
            f" {_some(deliveries)}",
            "queue them again from their source; hookfuse deliveries drop DELIVERY once they are dead",
        )
    packed_batches = damaged_packed_batch_texts(connection)
    if packed_batches:
        yield Diagnostic.fault(
            "payloads",
            f"{grouped(len(packed_batches), 'packed batch is', 'packed batches are')} damaged: {_some(packed_batches)}",
            "queue them again from their source; hookfuse forget-damaged deletes what is kept",
        )
    secrets = apps_with_damaged_secrets(connection)
    if secrets:
        yield Diagnostic.fault(
            "secrets",
            f"those of apps {_some(list(map(str, secrets)))} are not what was stored, and sign nothing",
            "hookfuse apply REGISTRY.toml, or hookfuse app rotate-secret APP",
        )
    keys = damaged_keys(connection)
    if keys:
        yield Diagnostic.fault(
            "payloads",
            f"{grouped(len(keys), 'idempotency key is', 'idempotency keys are')} not what was stored:"
            f" {_some([f'{_readable(key)} of {_readable(installation)}' for installation, key in keys])}",
            "look whether their deliveries have arrived; hookfuse forget-damaged deletes the keys",
        )
    if not (deliveries or packed_batches or secrets or keys):
        yield Diagnostic.good("payloads", "all that waits is what was queued")


def _check_projections(
    database: Path, connection: sqlite3.Connection, watch: Watch, *, is_copy: bool
) -> Iterator[Diagnostic]:
    try:
        with watch("reading events", last_position(connection)) as progress:
            found = verify(database, limit=1, advance=progress.advance, is_copy=is_copy)
    except DamagedLogError as error:
        yield Diagnostic.fault(
            "database", str(error), "hookfuse replay verify --log names every fault; restore a backup"
        )
        return
    if found.truncation is not None:
        yield Diagnostic.fault("database", found.truncation, "restore a backup")
    elif found.count:
        yield Diagnostic.fault(
            "projections",
            f"{grouped(found.count, 'value differs', 'values differ')} from what follows from the events, in"
            f" {', '.join(found.counts)}",
            "hookfuse replay verify lists them, hookfuse replay rebuild repairs them",
        )
    else:
        yield Diagnostic.good("projections", "all tables say what follows from the events")


def _readable(stored: bytes) -> str:
    return stored.decode(errors="backslashreplace")


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_NAMED]) + (f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else "")
