"""Homes with a long history, written once and used by run after run."""

import shutil

from benchmarks.conditions import Conditions
from benchmarks.history import Shape, write_history
from benchmarks.home_builder import write_settings
from eventstore.errors import DatabaseError
from eventstore.home.folder import Home
from eventstore.queue.queries import count_deliveries
from eventstore.sqlite.database import open_database

__all__ = ["home_with_history"]


def home_with_history(conditions: Conditions, name: str, shape: Shape) -> Home:
    """Return the home that was written before, or write it.

    One that a run has left in the middle, or that this version cannot open, is written again.
    """
    home = Home(conditions.folder / f"{name}-{shape.events}")
    if home.database.exists() and not _is_as_written(home):
        shutil.rmtree(home.path)
    if not home.database.exists():
        being_written = Home(home.path.with_suffix(".unfinished"))
        shutil.rmtree(being_written.path, ignore_errors=True)
        write_history(being_written, shape)
        write_settings(being_written)
        being_written.path.rename(home.path)
    return home


def _is_as_written(home: Home) -> bool:
    """Return whether nothing waits in it."""
    try:
        connection = open_database(home.database, is_writer=False)
    except DatabaseError:
        return False
    try:
        return not count_deliveries(connection)["waiting"]
    finally:
        connection.close()
