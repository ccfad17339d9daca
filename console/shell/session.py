"""What a command works with: the home, the clock, and the database for reading or writing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from eventstore.common.clock import Clock, SystemClock
from eventstore.home.folder import Home
from eventstore.sqlite.database import explained, open_database, reading

if TYPE_CHECKING:
    from eventstore.policies.breaker import BreakerRule
    from eventstore.policies.policy import Policy
    from eventstore.settings.configuration import Configuration
    from eventstore.settings.daemon_report import DaemonReport
    from eventstore.unit_of_work import Store

__all__ = ["Session", "open_session"]


@dataclass(frozen=True)
class Session:
    """One run of the command line, which reads its settings once."""

    home: Home
    clock: Clock

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return self.clock.now()

    def configuration(self) -> "Configuration":
        """Read the configuration of the home. Raises ConfigurationError."""
        return self._configuration

    @cached_property
    def _configuration(self) -> "Configuration":
        # Settings take a while to import: only who asks pays.
        from eventstore.settings.configuration import load_configuration  # noqa: PLC0415

        return load_configuration(self.home.configuration)

    def running(self) -> "DaemonReport | None":
        """Return what the running daemon says of itself, None = none runs."""
        from eventstore.settings.daemon_report import read_report  # noqa: PLC0415 - policies take a while to import

        pid = self.home.ownership.daemon_pid()
        return None if pid is None else read_report(self.home.report, pid)

    def configured_policy(self) -> "Policy":
        """Return the policy that the settings choose. Raises ConfigurationError, DocumentError."""
        from eventstore.settings.chosen_policy import configured_policy  # noqa: PLC0415 - as above

        return configured_policy(self.home, self.configuration().policy)

    def policy(self) -> "Policy":
        """Return the policy that installations are evaluated by: the running daemon's, or else that of the settings.

        Raises ConfigurationError, DocumentError.
        """
        running = self.running()
        return running.policy if running is not None and running.policy is not None else self.configured_policy()

    def breaker_rule(self) -> "BreakerRule | None":
        """Return when a breaker of this home opens and for how long, None = none holds anything back."""
        from eventstore.policies.breaker import BreakerRule  # noqa: PLC0415 - as above

        chosen = self.configuration().breaker
        if not chosen.enabled or chosen.dry_run:
            return None
        return BreakerRule(streak_min=chosen.streak_min, open_s=chosen.open_s, open_max_s=chosen.open_max_s)

    def require_home(self) -> None:
        """Raise HomeError when there is no home yet, as a mistyped one is not to be made."""
        self.home.require()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the database for reading; all that the block reads is of one moment.

        It is for what is read at once, and shown afterwards: while the block lasts the WAL only grows. Raises HomeError
        when there is no home, and DatabaseError.
        """
        with self.reading_on() as connection, reading(connection):
            yield connection

    @contextmanager
    def reading_on(self) -> Iterator[sqlite3.Connection]:
        """Open the database for reading that takes its time, or is shown meanwhile: each statement for itself.

        The log is the same all along up to any position. Raises HomeError when there is no home, and DatabaseError.
        """
        self.require_home()
        connection = open_database(self.home.database, is_writer=False)
        try:
            with explained(self.home.database):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def writing(self) -> "Iterator[Store]":
        """Open the store for writing and wake a running daemon afterwards. Raises HomeError, DatabaseError."""
        from eventstore.unit_of_work import Store  # noqa: PLC0415 - with all projections: only who writes pays

        self.require_home()
        with Store(self.home.database, self.clock) as store:
            yield store
        self.home.doorbell.notify()


def open_session(home_path: Path, clock: Clock | None = None) -> Session:
    """Begin a session on a home folder; a test hands in its clock."""
    return Session(Home(home_path), clock or SystemClock())
