"""The ledger of missed deliveries, and sending them again: in order, paced, and once."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream
from eventstore.errors import RejectedError
from eventstore.events.catalogue import RecoveryCompleted, RecoveryStarted
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import NewEvent
from eventstore.projections.registry import find_installation
from eventstore.queue.missed import is_recovering, missed_ledger, read_recoverable, recover_missed
from eventstore.unit_of_work import Transaction

__all__ = ["completing_recoveries", "due_moments", "start_recovery"]


def start_recovery(transaction: Transaction, installation_id: str, *, by: str, per_s: float) -> RecoveryStarted | None:
    """Requeue all that an active installation has missed, in the order of queueing, so many a second.

    None = it has missed nothing that can be sent. What an earlier recovery has not sent yet is paced again
    together with it. Raises NotFoundError; RejectedError when the installation is not active, or the pace is none.
    """
    connection = transaction.connection
    installation = find_installation(connection, installation_id)
    if not installation.is_active:
        raise RejectedError(
            f"installation {installation_id} is {installation.state}: what it missed is sent when it is enabled"
        )
    ledger = missed_ledger(connection, installation_id)
    if ledger.count == ledger.without_payload:
        return None
    rows = read_recoverable(connection, installation_id)
    moments = due_moments(transaction.now, len(rows), per_s)
    recover_missed(connection, zip(moments, (sequence for sequence, _, _ in rows), strict=True))
    enqueued = [enqueued_at for _, enqueued_at, state in rows if state == "missed"]
    event = RecoveryStarted(
        installation_id=installation_id,
        by=by,
        deliveries=len(enqueued),
        first_enqueued_at=min(enqueued),
        last_enqueued_at=max(enqueued),
        without_payload=ledger.without_payload,
    )
    transaction.append(NewEvent(installation_stream(installation_id), event))
    notify_change(connection)  # the daemon has long passed their sequence numbers
    return event


def due_moments(start: datetime, count: int, per_s: float) -> list[str]:
    """Return moments from `start` on, so many a second; none is before the one that comes before it.

    Raises RejectedError when there is no such pace.
    """
    if per_s <= 0:
        raise RejectedError(f"{per_s:g} deliveries a second is not a valid pace")
    try:
        return [time_text(start + timedelta(seconds=number / per_s)) for number in range(count)]
    except OverflowError as error:
        raise RejectedError(f"{count} deliveries cannot be sent at {per_s:g} a second") from error


@contextmanager
def completing_recoveries(transaction: Transaction, installation_ids: Iterable[str]) -> Iterator[None]:
    """Record the end of each recovery of which the block takes the last delivery out of waiting.

    Whatever has become of it: one that is missed again stands in the ledger again, for another recovery.
    """
    connection = transaction.connection
    recovering = (
        [one for one in sorted(set(installation_ids)) if is_recovering(connection, one)]
        if is_recovering(connection)
        else []
    )
    yield
    ended = [one for one in recovering if not is_recovering(connection, one)]
    if ended:
        transaction.append(*(NewEvent(installation_stream(one), RecoveryCompleted(one)) for one in ended))
