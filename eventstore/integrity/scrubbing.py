"""Looking for damage before anybody meets it: at the start, and once a day, a piece at a time."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from eventstore.common.lazy_log import LazyLog
from eventstore.errors import DatabaseError
from eventstore.home.folder import Home
from eventstore.integrity.whole_check import foreign_parts, integrity_faults, require_none, small_tables
from eventstore.log.chain import BEFORE_ALL, follow_chain
from eventstore.log.event_log import last_position
from eventstore.queue.enqueue import unpack
from eventstore.queue.packed_batches import damaged_packed_batches
from eventstore.sqlite.database import explained, open_database
from eventstore.unit_of_work import Store

__all__ = ["Scrub", "check_at_start", "damage_of"]

_log = LazyLog("hookfuse.database")

_DAY_S = 86_400.0
_FIRST_S = 60.0
_REST_S = 1.0
# Some 20 ms of a core once a second; a log that needs more steps than half a day has seconds gets larger ones.
_EVENTS = 2_000
_MOST_STEPS = 40_000


def check_at_start(home: Home) -> None:
    """Check all tables but the log, the schema, and that no commit is missing; set damaged packed batches apart.

    Raises DamagedFileError and LostCommitsError: with a damaged queue deliveries would never be sent, and nobody told.
    """
    with Store(home.database) as store, explained(home.database):
        require_sound(store.connection)
        for first_sequence in damaged_packed_batches(store.connection):
            with store.transaction() as transaction:
                unpack(transaction.connection, first_sequence)


def damage_of(home: Home) -> str:
    """Return why a daemon could not start on a home's database as it is now, "" = it could."""
    try:
        check_at_start(home)
    except DatabaseError as error:
        return str(error)
    return ""


def require_sound(connection: sqlite3.Connection) -> None:
    """Raise DamagedFileError at the first fault of the schema, or of a table that is not the log."""
    require_none(integrity_faults(connection, small_tables(connection)), foreign_parts(connection))


class Scrub:
    """Goes over the log once a day, a range a second; what it finds is an error in the daemon's log."""

    def __init__(self, home: Home, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._database = home.database
        self._clock_s = clock_s
        self._due_s = clock_s() + _FIRST_S
        # What is left of a day's work: tables that are not looked at yet (None = it has not begun), then the log.
        self._tables: list[str] | None = None
        self._position = BEFORE_ALL
        self._hash: bytes | None = None
        self._faults = 0

    def look(self) -> None:
        """Check the next range, when it is time."""
        now_s = self._clock_s()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _REST_S
        try:
            with closing(open_database(self._database, is_writer=False)) as connection, explained(self._database):
                is_over = self._step(connection)
        except DatabaseError as error:
            self._report(str(error))
            is_over = True
        if is_over:
            _log.info("database_checked", events=max(0, self._position), faults=self._faults)
            self._due_s, self._position, self._hash, self._faults = now_s + _DAY_S, BEFORE_ALL, None, 0
            self._tables = None

    def _step(self, connection: sqlite3.Connection) -> bool:
        """Check a table, or a range of the log; return whether it was the last one.

        The daemon's loop, which tells systemd that it lives, waits meanwhile: all tables of 10,000 installations with
        half a million deliveries waiting took 15 s at once, 12 s of them for the queue.
        """
        if self._tables is None:
            require_none([], foreign_parts(connection))
            self._tables = small_tables(connection)
        if self._tables:
            require_none(integrity_faults(connection, [self._tables.pop()]), [])
            return False
        limit = max(_EVENTS, last_position(connection) // _MOST_STEPS)
        found = follow_chain(connection, self._position, self._hash, limit=limit)
        self._position, self._hash = found.position, found.hash
        if found.fault:
            self._report(found.fault)
        return not found.fault and found.count < limit

    def _report(self, text: str) -> None:
        self._faults += 1
        _log.error("damage_found", error=text, done="deliveries go on; hookfuse doctor says how to repair it")
