"""`hookfuse backup` and `hookfuse restore`: a copy of the database, and back."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import click

from console.output.progress import SlowProgress
from console.output.tables import note, print_json, print_line
from console.shell.exit_codes import ExitCode
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.backup.copy import back_up, open_copy
from eventstore.backup.copy import restore as restore_copy
from eventstore.backup.redacted_copy import copy_without_secrets
from eventstore.common.diagnostic import Diagnostic
from eventstore.log.event_log import last_position
from eventstore.sqlite.database import explained
from replay.check.damage import check_rows

__all__ = ["backup", "restore"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_METADATA = Path(__file__).parent.parent / "formats" / "datasette.json"


def _print_metadata(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        print_line(str(_METADATA))
        context.exit()


@click.command()
@click.argument("target", type=_FILE, metavar="FILE")
@click.option(
    "--without-secrets", is_flag=True, help="Leave the secrets out: for inspection only, as it cannot be restored."
)
@click.option(
    "--datasette-metadata",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_metadata,
    help="Print the path of the Datasette metadata that describes such a copy.",
)
@json_option
@click.pass_obj
def backup(session: Session, target: Path, *, without_secrets: bool, is_json: bool) -> ExitCode:
    """Copy the database to a new file, whether or not a daemon is running.

    The copy is of one moment, checked, and readable by you only: it holds the apps' secrets. Settings and logs are not
    in it. A damaged file is not copied; if only single rows are damaged it is, with exit code 11.

    \b
    Example:
      hookfuse backup /var/backups/hookfuse-2026-03-01.db
      hookfuse backup --without-secrets looking/hookfuse.db
    """  # noqa: D301 - \b is click's
    session.require_home()
    if without_secrets:
        with SlowProgress("copying", _newest(session)) as copied:
            position = copy_without_secrets(session.home, target, copied.advance, SlowProgress)
    else:
        position = back_up(session.home, target, SlowProgress)
    size_bytes = target.stat().st_size
    if is_json:
        document = {"file": str(target), "events": position, "bytes": size_bytes, "has_secrets": not without_secrets}
        print_json(document)
    else:
        left_out = ", without secrets" if without_secrets else ""
        print_line(f"copied {position:,} events to {target} ({size_bytes:,} bytes){left_out}")
    if without_secrets:  # the copy lacks what is compared
        with session.reading() as connection:
            return _say_faults(check_rows(session.home.database, connection, SlowProgress))
    with closing(open_copy(target)) as connection, explained(target):
        return _say_faults(check_rows(target, connection, SlowProgress, is_copy=True))


def _newest(session: Session) -> int:
    with session.reading() as connection:
        return last_position(connection)


@click.command()
@click.argument("source", type=_FILE, metavar="FILE")
@json_option
@click.pass_obj
def restore(session: Session, source: Path, *, is_json: bool) -> ExitCode:
    """Replace the database with a copy that `backup` made; no daemon may run.

    The database that is there now is moved into a folder beside it. What was delivered after the copy was made is
    unknown to it, and is sent again if it was queued by then: under the same delivery ids. A damaged file is refused;
    single damaged rows are reported once it is in place, with exit code 11.

    \b
    Example:
      hookfuse restore /var/backups/hookfuse-2026-03-01.db
    """  # noqa: D301 - \b is click's
    position, kept = restore_copy(session.home, source, SlowProgress)
    if is_json:
        print_json({"database": str(session.home.database), "events": position, "kept": str(kept) if kept else None})
    else:
        print_line(f"restored {position:,} events into {session.home.database}")
        if kept is not None:
            print_line(f"what was there before is in {kept}")
    with session.reading() as connection:
        return _say_faults(check_rows(session.home.database, connection, SlowProgress))


def _say_faults(findings: Iterable[Diagnostic]) -> ExitCode:
    """Print what is wrong with single rows, as doctor does."""
    faults = [one for one in findings if one.level == "fault"]
    for one in faults:
        note(f"{one.subject}: {one.text}: {one.fix}")
    return ExitCode.FAULT_FOUND if faults else ExitCode.OK
