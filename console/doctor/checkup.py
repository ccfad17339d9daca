"""A check-up from end to end: what is looked at, in which order, and how it is told."""

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from console.doctor.clock_checks import check_clock
from console.doctor.configuration_checks import check_redis, check_stream
from console.doctor.database_checks import check_daemon, check_damage, check_mark, check_work
from console.doctor.home_checks import check_disk, check_permissions, check_sync, check_wal
from console.output.tables import Column, print_json, print_line, print_table
from console.shell.exit_codes import ExitCode
from console.shell.running import pending_settings_text
from console.shell.session import Session
from eventstore.common.diagnostic import Diagnostic
from eventstore.common.plural import counted
from eventstore.errors import ConfigurationError, DatabaseError
from eventstore.sqlite.database import explained, open_database
from eventstore.sqlite.high_water_mark import read_mark
from eventstore.sqlite.migrations import SCHEMA_VERSION

if TYPE_CHECKING:
    from eventstore.settings.configuration import Configuration

__all__ = ["check_home", "show_findings"]

Outside = Callable[["Configuration", sqlite3.Connection], Iterable[Diagnostic]]

_COLUMNS = (Column("subject", is_whole=True), Column("level", is_whole=True), Column("found"), Column("to fix it"))


def check_home(session: Session, check_outside: Outside) -> Iterator[Diagnostic]:
    """Look at everything that can be looked at; what a fault keeps from being looked at is left out.

    `check_outside` looks at what lies beyond this machine. Raises HomeError when there is no home.
    """
    session.require_home()
    yield from check_permissions(session.home)
    yield check_disk(session.home)
    yield check_sync(session.home)
    yield check_wal(session.home)
    configuration = None
    try:
        # This takes a while to import, and this command is the one that wants it all.
        from console.doctor.configuration_checks import (  # noqa: PLC0415
            check_chosen_policy,
            check_configuration,
            check_limits,
        )

        configuration = session.configuration()
        yield from check_configuration(configuration)
        evaluating = check_chosen_policy(session.home, configuration)
        yield evaluating
        if evaluating.level != "fault" and (pending := pending_settings_text(session)):
            yield Diagnostic.warning("daemon", pending, "restart the daemon when the settings are as you want them")
        yield check_limits(configuration)
    except ConfigurationError as error:
        yield Diagnostic.fault("settings", str(error), "fix the file: docs/configuration.md has every setting")
    try:
        yield from _check_database(session, configuration, check_outside)
    except DatabaseError as error:
        yield Diagnostic.fault(
            "database", str(error), "hookfuse reindex repairs indexes; else restore a backup (hookfuse restore FILE)"
        )


def show_findings(findings: Iterable[Diagnostic], *, is_json: bool) -> ExitCode:
    """Tell what was found, and return the exit code that follows from it."""
    found = list(findings)
    if is_json:
        print_json(found)
    else:
        print_table(_COLUMNS, [(one.subject, one.level, one.text, one.fix) for one in found])
        print_line(_total(found))
    return ExitCode.FAULT_FOUND if any(one.level == "fault" for one in found) else ExitCode.OK


def _check_database(
    session: Session, configuration: "Configuration | None", check_outside: Outside
) -> Iterator[Diagnostic]:
    mark = read_mark(session.home.database)  # before the database is: it may be behind, and never ahead
    with closing(open_database(session.home.database, is_writer=False)) as connection, explained(session.home.database):
        yield from check_daemon(session.home)
        yield Diagnostic.good(
            "database", f"schema {SCHEMA_VERSION}, SQLite {sqlite3.sqlite_version}, Python {_python()}"
        )
        yield check_mark(session.home.database, mark, connection)
        yield from check_damage(session.home.database, connection)
        longest_s = max(configuration.retry.schedule, default=0.0) if configuration is not None else 0.0
        yield from check_clock(connection, session.now(), longest_retry_s=longest_s)
        yield from check_work(connection, is_running=session.home.ownership.daemon_pid() is not None, now=session.now())
        if configuration is not None:
            yield from check_redis(configuration, connection)
            yield from check_stream(configuration)
            yield from check_outside(configuration, connection)


def _total(found: Sequence[Diagnostic]) -> str:
    counts = {level: sum(one.level == level for one in found) for level in ("fault", "warning")}
    said = [counted(count, level) for level, count in counts.items() if count]
    return ", ".join(said) or "all is well"


def _python() -> str:
    return sys.version.split(maxsplit=1)[0]
