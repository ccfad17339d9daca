"""Stored moments that lie further ahead than their rule allows, put right where they stand."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.log.change_signal import notify_change
from eventstore.policies.waits import QueuedWait, WaitRule, bounded_waits
from eventstore.projections.app_secrets import LONGEST_OVERLAP, bound_overlaps
from eventstore.unit_of_work import Transaction

__all__ = ["bound_kept", "bound_waits"]

_AHEAD = (
    "SELECT due_at, attempts, is_recovery, last_error, sequence FROM queue"
    " WHERE installation_id = ? AND state = 'waiting' AND is_behind IN (0, 1) AND due_at > ?"
)
# Keys of producers whose clock is a little ahead are none of a wrong clock.
_KEY_SLACK = timedelta(days=1)


def bound_waits(transaction: Transaction, installation_ids: Iterable[str], rule: WaitRule) -> int:
    """Limit how long deliveries to these installations wait to what their rules allow; return how many changed."""
    now = transaction.now
    bounded: list[tuple[str, int]] = []
    for installation_id in installation_ids:
        rows = transaction.connection.execute(_AHEAD, (installation_id, transaction.recorded_at))
        bounded += bounded_waits(rule, [QueuedWait(*row) for row in rows], now)
    if bounded:
        transaction.connection.executemany("UPDATE queue SET due_at = ? WHERE sequence = ?", bounded)
        notify_change(transaction.connection)  # timers that are set for the far future are not waited for
    return len(bounded)


def bound_kept(connection: Connection, now: datetime) -> int:
    """Limit how long keys are remembered and old secrets sign to what their rules allow; return how many changed.

    Only by a clock that is believed: by one that is behind, all that is sound would seem to lie ahead.
    """
    keys = connection.execute(
        "UPDATE idempotency_keys SET enqueued_at = ? WHERE enqueued_at > ?",
        (time_text(now), time_text(now + _KEY_SLACK)),
    ).rowcount
    overlaps = bound_overlaps(connection, time_text(now + LONGEST_OVERLAP))
    if overlaps:
        notify_change(connection)
    return keys + overlaps
