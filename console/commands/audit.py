"""`hookfuse audit`: who decided what about which organization."""

import click

from console.options import json_option, limit_option
from console.output import Column, note_limit, print_json_rows, print_table
from console.session import Session
from console.times import short_time
from eventstore.audit import read_audit

__all__ = ["audit"]

_COLUMNS = (
    Column("position", is_number=True),
    Column("recorded at", is_whole=True),
    Column("event"),
    Column("actor"),
    Column("target"),
    Column("data"),
)


@click.command()
@limit_option(100)
@json_option
@click.pass_obj
def audit(session: Session, limit: int, is_json: bool) -> None:
    """Show the newest entries of the audit log, newest first.

    \b
    Example:
      hookfuse audit --limit 20
    """  # noqa: D301 - \b is click's
    with session.reading() as connection:
        entries = read_audit(connection, limit=limit)
    if is_json:
        print_json_rows(entries)
        return
    rows = [
        (
            entry.position,
            short_time(entry.recorded_at),
            entry.event,
            entry.actor,
            entry.target,
            ", ".join(f"{name}: {value}" for name, value in entry.data.items()),
        )
        for entry in entries
    ]
    print_table(_COLUMNS, rows, empty="no audit entry yet")
    note_limit(len(rows), limit)
