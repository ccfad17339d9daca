"""`hookfuse requests`: the request log."""

import click

from console.output.request_row import request_row, shown_class
from console.output.tables import Column, note_limit, print_json_rows, print_table, shown_id
from console.output.times import short_time
from console.shell.filters import (
    app_option,
    event_option,
    find_named_app,
    find_named_organization,
    organization_option,
    period,
    period_options,
    require_event_name,
)
from console.shell.lookup import resolve_installation
from console.shell.options import installation_option, json_option, limit_option
from console.shell.session import Session
from eventstore.projections.request_log import KEPT_ROWS, LoggedRequest, RequestFilter, read_requests

__all__ = ["REQUEST_COLUMNS", "request_cells", "requests"]

REQUEST_COLUMNS = (
    Column("date", is_whole=True),
    Column("app", is_number=True, is_extra=True),
    Column("installation", is_whole=True),
    Column("event", is_whole=True),
    Column("try", is_number=True),
    Column("code", is_number=True),
    Column("ms", is_number=True),
    Column("what"),
    Column("webhook url", is_extra=True),
)


@click.command()
@app_option
@installation_option
@event_option
@click.option("--errors", is_flag=True, help="Only errors: 400 to 599, or no answer.")
@organization_option
@period_options
@limit_option(KEPT_ROWS, KEPT_ROWS)
@json_option
@click.pass_obj
def requests(
    session: Session,
    *,
    app: str | None,
    installation: str | None,
    event_name: str | None,
    errors: bool,
    organization: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    is_json: bool,
) -> None:
    """Show the request log, newest first: of each app and event the last 100 requests and the last 100 errors.

    \b
    Example:
      hookfuse requests --app 5 --errors --since 2h
    """  # noqa: D301 - \b is click's
    now = session.now()
    start, end = period(since, until, now)
    with session.reading() as connection:
        wanted = RequestFilter(
            app_id=None if app is None else find_named_app(connection, app).app_id,
            installation_id=None if installation is None else resolve_installation(connection, installation),
            organization_id=None
            if organization is None
            else find_named_organization(connection, organization).organization_id,
            event_name=None if event_name is None else require_event_name(connection, event_name),
            is_errors_only=errors,
            start=start,
            end=end,
            limit=limit,
        )
        found = read_requests(connection, wanted, now)
    if is_json:
        print_json_rows(request_row(request) for request in found)
    else:
        print_table(REQUEST_COLUMNS, [request_cells(request) for request in found], empty="no request to show")
        note_limit(len(found), limit)


def request_cells(request: LoggedRequest) -> tuple[object, ...]:
    """Return one attempt as the table shows it."""
    attempt = request.attempt
    return (
        short_time(request.date),
        attempt.app_id,
        shown_id(request.installation_id),
        attempt.event_name,
        attempt.attempt,
        attempt.status_code,
        f"{attempt.duration_ms:.0f}",
        ": ".join(part for part in (shown_class(attempt), attempt.detail) if part),
        attempt.webhook_url,
    )
