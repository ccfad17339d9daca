"""`hookfuse events`: what was recorded, in order; or on its way out and in."""

import click

from console.output.event_text import event_document, event_summary
from console.output.tables import Column, note_limit, print_json_rows, print_table, shown_id
from console.output.times import short_time
from console.shell.event_type_option import event_type_option
from console.shell.filters import period, period_options, require_stream
from console.shell.lazy_command import LazyCommand
from console.shell.lookup import resolve_installation
from console.shell.options import NUMBER, installation_option, json_option, limit_option, refuse_own_options
from console.shell.session import Session
from eventstore.common.identifiers import installation_stream
from eventstore.log.event_log import last_position, read_events

__all__ = ["events"]

_COLUMNS = (
    Column("position", is_number=True),
    Column("recorded at", is_whole=True, is_extra=True),
    Column("stream", is_whole=True),
    Column("version", is_number=True, is_extra=True),
    Column("type", is_whole=True),
    Column("data"),
)


@click.group(invoke_without_command=True)
@click.option("--stream", metavar="NAME", help="Only of this stream: installation-UUID, app-ID or organization-ID.")
@installation_option
@event_type_option
@click.option("--after", "after_position", type=NUMBER, default=0, metavar="POSITION", help="Only after this position.")
@period_options
@click.option("--newest", is_flag=True, help="The newest first.")
@limit_option(100)
@json_option
@click.pass_context
def events(
    context: click.Context,
    *,
    stream: str | None,
    installation: str | None,
    type_names: tuple[str, ...],
    after_position: int,
    since: str | None,
    until: str | None,
    newest: bool,
    limit: int,
    is_json: bool,
) -> None:
    """Show recorded events, the oldest first; or write them to a file, or read them from one.

    \b
    Example:
      hookfuse events --type delivery.failed --newest --limit 20
      hookfuse events export --to events.jsonl.gz
    """  # noqa: D301 - \b is click's
    if context.invoked_subcommand is not None:
        refuse_own_options(context)
        return
    if stream is not None and installation is not None:
        raise click.UsageError("--stream and --installation name the same thing: give one of them")
    session = context.ensure_object(Session)
    start, end = period(since, until, session.now())
    with session.reading_on() as connection:
        if installation is not None:
            stream = installation_stream(resolve_installation(connection, installation))
        elif stream is not None:
            require_stream(connection, stream)
        found = read_events(
            connection,
            after_position=after_position,
            up_to_position=last_position(connection),  # nobody runs after a log that grows
            stream=stream,
            type_names=type_names,
            since=start,
            until=end,
            is_newest_first=newest,
            limit=limit,
        )
        if is_json:
            print_json_rows(event_document(stored) for stored in found)
            return
        shown = list(found)
        rows = [
            (
                stored.position,
                short_time(stored.recorded_at),
                shown_id(stored.stream),
                stored.version,
                stored.type,
                event_summary(stored.event),
            )
            for stored in shown
        ]
    print_table(_COLUMNS, rows, empty="no event to show")
    if shown and not newest:
        note_limit(len(shown), limit, f"--after {shown[-1].position}, a larger --limit or --newest")
    else:
        note_limit(len(shown), limit)


events.add_command(LazyCommand("export", "console.commands.events.export:export", "Write recorded events to a file."))
events.add_command(
    LazyCommand("import", "console.commands.events.imports:import_history", "Bring in events of a file.")
)
