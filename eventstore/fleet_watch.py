"""Who is at work, and since when it fails: the watch by which disabling is frozen and thawed, shared by all workers."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventstore.clock import parse_time, time_text
from eventstore.disabling import Decision
from eventstore.events import DisablingFrozen, DisablingThawed
from eventstore.fleet import FleetRule, FleetState, should_freeze, should_thaw
from eventstore.health import read_fleet
from eventstore.identifiers import FLEET_STREAM
from eventstore.log import NewEvent
from eventstore.shard import Shard
from eventstore.store import Transaction

__all__ = ["HealthChange", "begin_watch", "note_health", "read_fleet_state", "thaw"]


@dataclass(frozen=True, slots=True)
class HealthChange:
    """An installation has begun to fail, or to work (`failing_since` None), or is at work no more."""

    installation_id: str
    failing_since: datetime | None
    is_at_work: bool = True


def begin_watch(transaction: Transaction, shard: Shard) -> None:
    """Forget who of a share was at work before its worker started, however that one ended."""
    rows = transaction.connection.execute("SELECT installation_id FROM at_work").fetchall()
    _forget(transaction.connection, shard.of(row[0] for row in rows))


def note_health(transaction: Transaction, changes: Sequence[HealthChange], rule: FleetRule) -> DisablingFrozen | None:
    """Take changes in, in order; freeze disabling when so many have begun to fail that the cause is likely here.

    Which worker notes the one that is too many makes no difference: it is frozen once.
    """
    connection = transaction.connection
    for change in changes:
        if change.is_at_work:
            _note(connection, change)
        else:
            _forget(connection, (change.installation_id,))
    if all(change.failing_since is None for change in changes) or read_fleet(connection).is_frozen:
        return None
    state = read_fleet_state(connection, rule, parse_time(transaction.recorded_at))
    if not should_freeze(rule, state):
        return None
    frozen = DisablingFrozen(state.active, state.failing, state.newly_failing)
    transaction.append(NewEvent(FLEET_STREAM, frozen))
    return frozen


def thaw(transaction: Transaction, rule: FleetRule | None, *, watched_since: datetime) -> Decision:
    """End a freeze when it has passed; without a rule there is none to pass, and it ends at once."""
    if not read_fleet(transaction.connection).is_frozen:
        return Decision(False, "it is not frozen")
    now = parse_time(transaction.recorded_at)
    state = read_fleet_state(transaction.connection, rule or FleetRule(), now)
    if rule is not None and not should_thaw(rule, state, watched_s=(now - watched_since).total_seconds()):
        return Decision(False, "too many fail still")
    (stored,) = transaction.append(NewEvent(FLEET_STREAM, DisablingThawed(state.active, state.failing)))
    return Decision(True, "thawed", stored.position)


def read_fleet_state(connection: sqlite3.Connection, rule: FleetRule, now: datetime) -> FleetState:
    """Count who is at work, who of them fails, and who has begun to within the rule's window."""
    window = timedelta(seconds=rule.window_s)
    # What began so far ahead began by another clock.
    row = connection.execute(
        "SELECT count(*), count(failing_since), count(*) FILTER (WHERE failing_since > ? AND failing_since < ?)"
        " FROM at_work",
        (time_text(now - window), time_text(now + window)),
    ).fetchone()
    return FleetState(*row)


def _note(connection: sqlite3.Connection, change: HealthChange) -> None:
    # A further failure begins nothing anew.
    connection.execute(
        "INSERT INTO at_work VALUES (?, ?) ON CONFLICT DO UPDATE SET failing_since ="
        " CASE WHEN excluded.failing_since IS NULL THEN NULL ELSE coalesce(failing_since, excluded.failing_since) END",
        (change.installation_id, time_text(change.failing_since) if change.failing_since else None),
    )


def _forget(connection: sqlite3.Connection, installation_ids: Sequence[str]) -> None:
    connection.executemany("DELETE FROM at_work WHERE installation_id = ?", ((one,) for one in installation_ids))
