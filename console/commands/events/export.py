"""`hookfuse events export`: history on its way out."""

import gzip
import sqlite3
from collections.abc import Callable
from pathlib import Path

import click

from console.input.private_file import new_private_file
from console.output.printable import safe_json
from console.output.progress import SlowProgress
from console.output.tables import is_terminal, print_bytes, print_line
from console.shell.event_type_option import event_type_option
from console.shell.filters import period
from console.shell.lookup import resolve_installation
from console.shell.options import NUMBER, installation_option
from console.shell.session import Session
from eventstore.common.identifiers import installation_stream
from eventstore.common.plural import grouped
from eventstore.log.event_log import last_position
from eventstore.transfer.event_export import ExportFilter, export_lines

__all__ = ["export"]

# So many lines at a time are told to whoever waits.
_CHUNK = 1_000


@click.command()
@click.option(
    "--to",
    "path",
    default="-",
    show_default=True,
    metavar="FILE|-",
    help="The file to write, compressed when its name ends in .gz; - = standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@installation_option
@event_type_option
@click.option("--since", metavar="TIME", help="Only what was recorded since then: 2025-02-01T10:00, or 2h, 3d ago.")
@click.option("--until", metavar="TIME", help="Only what was recorded before then.")
@click.option(
    "--after-position",
    type=NUMBER,
    default=0,
    metavar="POSITION",
    help="Only what came after this position.",
)
@click.pass_obj
def export(
    session: Session,
    *,
    path: str,
    force: bool,
    installation: str | None,
    type_names: tuple[str, ...],
    since: str | None,
    until: str | None,
    after_position: int,
) -> None:
    """Write recorded events as lines of JSON, oldest first, as they are at this moment.

    A line is {"position", "stream", "version", "type", "schema", "recorded_at", "data", "hash"}. A file is readable
    by you only, and appears once it is complete. It holds no secret, but webhook URLs, mail addresses and excerpts of
    failed requests are. What was filtered by --type or --since lacks versions, and cannot be imported.

    \b
    Example:
      hookfuse events export --to events.jsonl.gz
      hookfuse events export --type delivery.failed --since 7d | jq .data.error_class
    """  # noqa: D301 - \b is click's
    first, end = period(since, until, session.now())
    with session.reading_on() as connection:
        wanted = ExportFilter(
            after_position=after_position,
            stream=None
            if installation is None
            else installation_stream(resolve_installation(connection, installation)),
            type_names=type_names,
            since=first,
            until=end,
        )
        if path == "-":
            _write(connection, wanted, _print_safely if is_terminal() else print_bytes)
            return
        with new_private_file(session.home, Path(path), is_forced=force) as file:
            if path.endswith(".gz"):
                # Neither a name nor the time: the same events give the same bytes.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as compressed:
                    count = _write(connection, wanted, compressed.write)
            else:
                count = _write(connection, wanted, file.write)
    print_line(f"exported {grouped(count, 'event')} to {path} (readable by you only)")


def _write(connection: sqlite3.Connection, wanted: ExportFilter, write: Callable[[bytes], object]) -> int:
    count, told_position = 0, wanted.after_position
    total = max(0, last_position(connection) - wanted.after_position)
    with SlowProgress("exporting", total) as progress:
        for count, exported in enumerate(export_lines(connection, wanted), start=1):
            write(exported.line)
            if count % _CHUNK == 0:
                progress.advance(exported.position - told_position)
                told_position = exported.position
    return count


def _print_safely(line: bytes) -> None:
    """Print a line where a person looks: nothing in it escapes to the terminal."""
    print_bytes(safe_json(line.decode()).encode())
