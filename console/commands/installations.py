"""`hookfuse installations`: all of them, a line each."""

import click

from console.options import json_option
from console.output import Column, print_json_rows, print_table, shown_id
from console.session import Session
from console.times import short_time
from eventstore.registry import find_app, find_organization, read_installations

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
@click.option("--app", "app_id", type=int, metavar="ID", help="Only those of this app.")
@click.option("--state", type=click.Choice(["active", "disabled"]), help="Only those in this state.")
@json_option
@click.pass_obj
def installations(session: Session, app_id: int | None, state: str | None, is_json: bool) -> None:
    """List the installations, by app and organization.

    \b
    Example:
      hookfuse installations --state disabled
    """  # noqa: D301 - \b is click's
    with session.reading() as connection:
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
            for one in read_installations(connection)
            if app_id in (None, one.app_id) and state in (None, one.state)
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
    print_table(_COLUMNS, shown, empty="no such installation: see `hookfuse apply`")
