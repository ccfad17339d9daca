"""`hookfuse replay timeline`: the story of one installation, in a page."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click

from console.input.private_file import new_private_file
from console.output.plot import Picture, draw, require_matplotlib
from console.output.progress import SlowProgress
from console.output.tables import print_facts, print_json, print_line
from console.output.timeline_table import print_story
from console.output.times import short_time
from console.shell.as_of import moment_row, read_moment
from console.shell.lookup import resolve_installation
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.clock import parse_time
from eventstore.errors import RejectedError
from eventstore.projections.registry import find_app, find_installation
from replay.reading.history import History
from replay.reading.moment import Moment, latest_moment, moment_text
from replay.timeline.entries import Attempts, Entry, Missed
from replay.timeline.outcome_days import OutcomeDays
from replay.timeline.telling import tell

__all__ = ["timeline"]

_FORMATS = ("svg", "png")


@dataclass(frozen=True, slots=True)
class _Story:
    """What `timeline --json` holds; `since` None = the beginning."""

    installation_id: str
    app: str
    state: str
    since: Moment | None
    until: Moment
    entries: tuple[Entry, ...]


@click.command()
@click.argument("installation")
@click.option("--since", metavar="TIME|POSITION", help="Only what was still going on then (2h, 3d: that long ago).")
@click.option("--until", metavar="TIME|POSITION", help="Only what was recorded up to then.")
@click.option(
    "--plot",
    "picture_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw it too, into FILE.svg or FILE.png: days across, outcomes stacked, decisions as marks.",
)
@json_option
@click.pass_obj
def timeline(
    session: Session,
    installation: str,
    *,
    since: str | None,
    until: str | None,
    picture_path: Path | None,
    is_json: bool,
) -> None:
    """Tell the story of INSTALLATION (its UUID, or at least its first 6 characters) on about a page.

    Attempts that went alike are one line; decisions have their evidence and what became of the mails; then
    there is who did what and why, settings that were changed, and times without traffic.

    \b
    Example:
      hookfuse replay timeline 7c1f0a52
      hookfuse replay timeline 7c1f0a52 --since 30d --json
      hookfuse replay timeline 7c1f0a52 --plot story.svg
    """  # noqa: D301 - \b is click's
    if picture_path is None:
        story = _read(session, installation, since, until)
    else:
        story = _draw(session, installation, since, until, picture_path)
    if is_json:
        print_json(_document(story))
    else:
        _print(story)


def _draw(session: Session, installation: str, since: str | None, until: str | None, path: Path) -> _Story:
    file_format = path.suffix.lower().removeprefix(".")
    if file_format not in _FORMATS:
        raise click.UsageError(f"--plot draws .svg and .png, and {path.name!r} ends with neither")
    require_matplotlib()
    days = OutcomeDays()
    with new_private_file(
        session.home, path, is_forced=True
    ) as file:  # what stands in its way is said before the story is read
        story = _read(session, installation, since, until, days)
        first = story.since.at if story.since else parse_time(min([story.entries[0].first_at, *days.days]))
        days_told = f"{first:%Y-%m-%d} to {story.until.at:%Y-%m-%d}"
        title = f"{story.app}, installation {story.installation_id[:8]}, {days_told} (UTC)"
        draw(Picture(title, first, story.until.at, story.entries, days), file, file_format)
    return story


def _read(
    session: Session, installation: str, since: str | None, until: str | None, days: OutcomeDays | None = None
) -> _Story:
    now = session.now()
    with session.reading_on() as connection:
        installation_id = resolve_installation(connection, installation)
        last = latest_moment(connection, now) if until is None else read_moment(connection, until, now)
        first = None if since is None else read_moment(connection, since, now)
        if first is not None and first.is_after(last):
            raise RejectedError(f"{moment_text(first)} is after {moment_text(last)}: swap them")
        found = find_installation(connection, installation_id)
        app = find_app(connection, found.app_id)
        count = History(connection, installation_id).count_events(last)
        with SlowProgress("reading its events", count) as progress:
            entries = tell(connection, installation_id, last, since=first, days=days, note=progress.advance)
    state = f"{found.state} since {short_time(found.changed_at)}"
    return _Story(installation_id, f"{app.app_id} {app.slug} ({app.name})", state, first, last, entries)


def _document(story: _Story) -> dict[str, object]:
    return {
        "installation_id": story.installation_id,
        "since": moment_row(story.since),
        "until": moment_row(story.until),
        "entries": story.entries,
    }


def _print(story: _Story) -> None:
    print_facts(_facts(story))
    print_line()
    print_story(story.entries)


def _facts(story: _Story) -> dict[str, object]:
    attempts = [entry for entry in story.entries if isinstance(entry, Attempts)]
    failed: Counter[str] = Counter()
    for entry in attempts:
        failed.update(entry.failed)
    missed = sum(entry.count for entry in story.entries if isinstance(entry, Missed))
    since = f"{moment_text(story.since)} to " if story.since else "up to "
    return {
        "installation": story.installation_id,
        "app": story.app,
        "now": story.state,
        "told": f"{since}{moment_text(story.until)}, in UTC",
        "delivered": f"{sum(entry.succeeded for entry in attempts):,}",
        "failed": ", ".join(f"{count:,} {name}" for name, count in failed.most_common()),
        "given up": f"{sum(entry.exhausted for entry in attempts):,}",
        "missed": f"{missed:,}" if missed else "",
    }
