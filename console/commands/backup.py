"""`hookfuse backup` and `hookfuse restore`: a copy of the database, and back."""

from pathlib import Path

import click

from console.output import print_line
from console.progress import SlowProgress
from console.session import Session
from eventstore.backup import back_up
from eventstore.backup import restore as put_back

__all__ = ["backup", "restore"]

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("target", type=_FILE, metavar="FILE")
@click.pass_obj
def backup(session: Session, target: Path) -> None:
    """Copy the database to a new file, while a daemon runs or not.

    The copy is of one moment, checked, and readable by you only: it holds the apps' secrets. Settings and logs are not
    in it.

    \b
    Example:
      hookfuse backup /var/backups/hookfuse-2026-03-01.db
    """  # noqa: D301 - \b is click's
    session.require_home()
    with SlowProgress("copying", None) as progress:
        done = 0

        def on_pages(left: int, total: int) -> None:
            nonlocal done
            progress.advance(total - left - done)
            done = total - left

        position = back_up(session.home, target, on_pages)
    print_line(f"copied {position:,} events to {target} ({target.stat().st_size:,} bytes)")


@click.command()
@click.argument("source", type=_FILE, metavar="FILE")
@click.pass_obj
def restore(session: Session, source: Path) -> None:
    """Put a copy that `backup` made in the place of the database; no daemon may run.

    The database that is there now is moved into a folder beside it. What was delivered after the copy was made is
    unknown to it, and is sent again if it was queued by then: under the same delivery ids.

    \b
    Example:
      hookfuse restore /var/backups/hookfuse-2026-03-01.db
    """  # noqa: D301 - \b is click's
    position, kept = put_back(session.home, source)
    print_line(f"restored {position:,} events into {session.home.database}")
    if kept is not None:
        print_line(f"what was there before is in {kept}")
