"""Live tables brought into step with the events, in one transaction, while a daemon may be running."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from eventstore.errors import DamagedLogError
from eventstore.projections.catalogue import PROJECTIONS
from eventstore.sqlite.database import explained, writing
from replay.check.comparison import Repaired, repair, tables_of
from replay.check.kept_deliveries import count_waiting, count_without_payload, repair_kept
from replay.check.log_check import check_log
from replay.check.verification import Comparison, compare
from replay.projecting.remake import ALL_NAMES, LEDGER, Advance, Remake
from replay.projecting.scratch import open_scratch, together

__all__ = ["Rebuilt", "rebuild"]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild has done. `repaired`: the tables in which rows differed; `lock_s`: for how long nobody else wrote.

    Of the queue: `waiting`, left as it is, and `without_payload`, kept without one although no event says that it was
    dropped; None = not asked.
    """

    up_to_position: int
    repaired: tuple[Repaired, ...] = ()
    lock_s: float = 0.0
    waiting: int | None = None
    without_payload: int | None = None


def rebuild(
    database: Path,
    names: Collection[str] = ALL_NAMES,
    *,
    is_checked: bool = True,
    advance: Advance = lambda _count: None,
    advance_check: Advance = lambda _count: None,
) -> Rebuilt:
    """Rebuild projections in a scratch, and bring the live rows that differ into step, all or none.

    With `is_checked` a row is changed only when the log's chain holds, from its first event to its end. Raises
    DamagedLogError, which names the position, and then nothing is changed; DatabaseError.
    """
    with open_scratch(database, is_writer=True) as scratch, explained(database):
        remake = Remake(scratch, names)
        remake.catch_up(advance)
        found = _compare(remake, names, advance)
        if found.count == 0:
            return Rebuilt(found.up_to_position, (), 0.0, found.waiting, found.without_payload)
        if is_checked:
            _require_sound(database, found, advance_check)
        remake.catch_up(advance)  # while others may write still, so that little is left for when they may not
        return _swap(remake, names, _affected(names, found), advance)


def _compare(remake: Remake, names: Collection[str], advance: Advance) -> Comparison:
    with together(remake.connection):
        remake.catch_up(advance)
        remake.finish()
        return compare(remake, names, limit=0)


def _require_sound(database: Path, found: Comparison, advance: Advance) -> None:
    if found.truncation is not None:
        raise DamagedLogError(found.truncation)
    check = check_log(database, limit=1, advance=advance)
    if check.faults:
        others = f" (and {check.count - 1} more)" if check.count > 1 else ""
        raise DamagedLogError(f"event {check.faults[0].position} {check.faults[0].text}{others}")


def _affected(names: Collection[str], found: Comparison) -> tuple[str, ...]:
    """Return the tables to compare again under the lock: those that differ, and those that their handlers read."""
    differing = {name for name in PROJECTIONS if any(table in found.counts for table in PROJECTIONS[name].tables)}
    return tuple(
        name
        for name in PROJECTIONS
        if name in names and (name in differing or not differing.isdisjoint(PROJECTIONS[name].needs))
    )


def _swap(remake: Remake, names: Collection[str], affected: Collection[str], advance: Advance) -> Rebuilt:
    connection = remake.connection
    with writing(connection):
        started_s = time.monotonic()
        remake.catch_up(advance)
        remake.finish()
        repaired = [repair(connection, table) for table in tables_of(connection, affected)]
        if LEDGER in names:
            repaired.append(repair_kept(connection))
        # A running daemon looks at the registry and at the whole queue again.
        connection.execute("UPDATE live.attention SET version = version + 1")
    return Rebuilt(
        up_to_position=remake.position,
        repaired=tuple(one for one in repaired if one.rows),
        lock_s=time.monotonic() - started_s,
        waiting=count_waiting(connection) if LEDGER in names else None,
        without_payload=count_without_payload(connection) if LEDGER in names else None,
    )
