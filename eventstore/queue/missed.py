"""The ledger of missed deliveries, and their way back into waiting."""

from collections.abc import Iterable
from dataclasses import dataclass

from eventstore.common.connection import Connection

__all__ = ["Ledger", "is_recovering", "missed_ledger", "missed_totals", "read_recoverable", "recover_missed"]

_LEDGER = (
    "SELECT count(*) FILTER (WHERE state = 'missed'),"
    " min(enqueued_at) FILTER (WHERE state = 'missed'),"
    " max(enqueued_at) FILTER (WHERE state = 'missed'),"
    " count(*) FILTER (WHERE state = 'missed' AND is_expired),"
    " count(*) FILTER (WHERE state = 'waiting' AND is_recovery) FROM queue"
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """How many deliveries were missed and are kept, and from when to when they were queued (None = there are none).

    `without_payload`: those of them that cannot be sent any more; `recovering`: those beside them that were missed
    and wait to be sent again.
    """

    count: int
    first_enqueued_at: str | None
    last_enqueued_at: str | None
    without_payload: int
    recovering: int


def missed_ledger(connection: Connection, installation_id: str) -> Ledger:
    """Count what an installation has missed."""
    row = connection.execute(
        f"{_LEDGER} WHERE installation_id = ? AND state IN ('missed', 'waiting')", (installation_id,)
    ).fetchone()
    return Ledger(*row)


def missed_totals(connection: Connection) -> Ledger:
    """Count what all installations have missed."""
    return Ledger(*connection.execute(_LEDGER).fetchone())


def read_recoverable(connection: Connection, installation_id: str) -> list[tuple[int, str, str]]:
    """Return sequence number, moment of queueing and state of what a recovery sends, in the order of queueing.

    That is what was missed and has its payload, and what an earlier recovery has not sent yet.
    """
    return connection.execute(
        "SELECT sequence, enqueued_at, state FROM queue WHERE installation_id = ? AND NOT is_expired"
        " AND (state = 'missed' OR state = 'waiting' AND is_recovery AND attempts = 0) ORDER BY sequence",
        (installation_id,),
    ).fetchall()


def recover_missed(connection: Connection, due_at_of: Iterable[tuple[str, int]]) -> None:
    """Requeue missed deliveries, and those that are being recovered already, until the moment given for each.

    The pairs are of a moment and a sequence number.
    """
    connection.executemany(
        "UPDATE queue SET state = 'waiting', is_behind = FALSE, attempts = 0, is_recovery = TRUE, due_at = ?"
        " WHERE sequence = ? AND (state = 'missed' AND NOT is_expired OR state = 'waiting' AND is_recovery)",
        due_at_of,
    )


def is_recovering(connection: Connection, installation_id: str | None = None) -> bool:
    """Return whether anything that was missed waits to be sent again, of one installation or (None) of any."""
    # The index holds nothing else, so that this costs nothing on the way of each delivery.
    of_one = "" if installation_id is None else " AND installation_id = ?"
    row = connection.execute(
        f"SELECT 1 FROM queue INDEXED BY queue_of_recoveries WHERE is_recovery AND state = 'waiting'{of_one} LIMIT 1",  # noqa: S608
        () if installation_id is None else (installation_id,),
    ).fetchone()
    return row is not None
