"""`hookfuse installations`: all of them, a line each."""

import click

from console.output.tables import Column, print_json_rows, print_table, shown_id
from console.output.times import short_time
from console.shell.filters import app_option, find_named_app, find_named_organization, organization_option
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.plural import counted
from eventstore.projections.registry import find_app, find_organization, read_installations

__all__ = ["installations"]

_COLUMNS = (
    Column("installation", is_whole=True),
    Column("app"),
    Column("organization"),
    Column("status", is_extra=True),
    Column("state"),
    Column("since", is_whole=True, is_extra=True),
)


@click.command()
@app_option
@organization_option
@click.option("--state", type=click.Choice(["active", "disabled"]), help="Only those in this state.")
@json_option
@click.pass_obj
def installations(
    session: Session, *, app: str | None, organization: str | None, state: str | None, is_json: bool
) -> None:
    """List the installations, by app and organization.

    \b
    Example:
      hookfuse installations --state disabled
    """  # noqa: D301 - \b is click's
    with session.reading() as connection:
        app_id = None if app is None else find_named_app(connection, app).app_id
        organization_id = (
            None if organization is None else find_named_organization(connection, organization).organization_id
        )
        known = read_installations(connection)
        rows = [
            {
                "installation_id": one.installation_id,
                "app": find_app(connection, one.app_id).slug,
                "app_id": one.app_id,
                "app_status": find_app(connection, one.app_id).status,
                "organization": find_organization(connection, one.organization_id).slug,
                "organization_id": one.organization_id,
                "state": one.state,
                "since": one.changed_at,
            }
            for one in known
            if app_id in (None, one.app_id)
            and organization_id in (None, one.organization_id)
            and state in (None, one.state)
        ]
    if is_json:
        print_json_rows(rows)
        return
    shown = [
        (
            shown_id(str(row["installation_id"])),
            f"{row['app_id']} {row['app']}",
            f"{row['organization_id']} {row['organization']}",
            row["app_status"],
            row["state"],
            short_time(str(row["since"])),
        )
        for row in rows
    ]
    print_table(_COLUMNS, shown, empty=_nothing(len(known), state))


def _nothing(known_count: int, state: str | None) -> str:
    if not known_count:
        return "no installation yet: see `hookfuse apply`"
    known = counted(known_count, "installation is known", "installations are known")
    return f"none is {state}; {known}" if state else f"none of those asked for; {known}"
