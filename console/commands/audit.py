"""`hookfuse audit`: who decided what about which organization."""

import click

from console.output.tables import Column, note_limit, print_json_rows, print_table
from console.output.times import short_time
from console.shell.filters import find_named_organization, organization_option, period, period_options
from console.shell.options import json_option, limit_option
from console.shell.session import Session
from eventstore.projections.audit import read_audit

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
@organization_option
@period_options
@limit_option(100)
@json_option
@click.pass_obj
def audit(
    session: Session, *, organization: str | None, since: str | None, until: str | None, limit: int, is_json: bool
) -> None:
    """Show the newest entries of the audit log, newest first.

    \b
    Example:
      hookfuse audit --organization acme --since 7d
    """  # noqa: D301 - \b is click's
    start, end = period(since, until, session.now())
    with session.reading() as connection:
        found = None if organization is None else find_named_organization(connection, organization)
        entries = read_audit(
            connection,
            target=f"organization:{found.organization_id}" if found else None,
            since=start,
            until=end,
            limit=limit,
        )
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
    print_table(_COLUMNS, rows, empty="no entry to show")
    note_limit(len(rows), limit)
