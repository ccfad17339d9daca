"""`hookfuse replay diff`: what has changed about one installation between two moments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import click

from console.output.installation_text import breaker_text
from console.output.tables import Column, print_facts, print_json, print_line, print_table
from console.output.timeline_table import print_story
from console.output.times import short_time
from console.shell.as_of import moment_row, move_slowly, read_moment
from console.shell.lookup import resolve_installation
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.plural import grouped
from eventstore.errors import NotFoundError, RejectedError
from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from eventstore.policies.policy import Policy
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.registry import App
from eventstore.views.installation import InstallationView, read_installation
from replay.as_of.counter_diff import CounterChange, counter_changes
from replay.as_of.settings_diff import FieldChange, Settings, changes_between
from replay.as_of.view import AsOfView, open_past
from replay.reading.moment import Moment, latest_moment, moment_text
from replay.timeline.entries import Attempts, Entry, Gap, Missed
from replay.timeline.telling import is_over, tell

__all__ = ["diff"]

_DAYS_SHOWN = 31

# These are told by the counters and the numbers of what was kept.
_COUNTED_ENTRIES = (Attempts, Gap, Missed)


@dataclass(frozen=True, slots=True)
class _State:
    """How things stood at a moment; before the installation was there nothing stood."""

    facts: Settings
    days: tuple[DayCounts, ...]


@dataclass(frozen=True, slots=True)
class _Difference:
    """What `diff --json` holds."""

    installation_id: str
    first: Moment
    last: Moment
    changes: tuple[FieldChange, ...]
    counters: tuple[CounterChange, ...]
    entries: tuple[Entry, ...]


@click.command()
@click.argument("installation")
@click.option("--from", "first", required=True, metavar="TIME|POSITION", help="The earlier moment (3d: that long ago).")
@click.option("--to", "last", metavar="TIME|POSITION", show_default="now", help="The later moment.")
@json_option
@click.pass_obj
def diff(session: Session, installation: str, *, first: str, last: str | None, is_json: bool) -> None:
    """Show what has changed about INSTALLATION (its UUID, or at least its first 6 characters) between two moments.

    State, evaluation and progress, breaker, the app's settings, owners, counters by day, and the decisions between.

    \b
    Example:
      hookfuse replay diff 7c1f0a52 --from 2025-02-01 --to 2025-02-08T12:00
      hookfuse replay diff 7c1f0a52 --from 3d --json
    """  # noqa: D301 - \b is click's
    found = _read(session, installation, first, last)
    if is_json:
        print_json(_document(found))
    else:
        _print(found)


def _read(session: Session, installation: str, first: str, last: str | None) -> _Difference:
    policy, now = session.policy(), session.now()
    with session.reading_on() as connection:
        installation_id = resolve_installation(connection, installation)
        earlier = read_moment(connection, first, now)
        later = latest_moment(connection, now) if last is None else read_moment(connection, last, now)
        if earlier.is_after(later):
            raise RejectedError(f"{moment_text(earlier)} is after {moment_text(later)}: swap them")
        after = _after(earlier)
        entries = tell(connection, installation_id, later, since=after)
    with open_past(session.home.database, installation_id) as past:
        try:
            old = _state(past, installation_id, earlier, policy)
        except NotFoundError:
            old = _State({}, ())  # it was created in between
        new = _state(past, installation_id, later, policy)
    return _Difference(
        installation_id=installation_id,
        first=earlier,
        last=later,
        changes=changes_between(old.facts, new.facts),
        counters=counter_changes(old.days, new.days),
        entries=tuple(one for one in entries if not isinstance(one, _COUNTED_ENTRIES) and not is_over(one, after)),
    )


def _after(moment: Moment) -> Moment:
    """Return what begins after a moment: what was recorded at a time belongs to the state at that time."""
    return replace(moment, at=moment.at + timedelta(microseconds=1)) if moment.is_by_time else moment


def _state(past: AsOfView, installation_id: str, moment: Moment, policy: Policy) -> _State:
    move_slowly(past, moment)
    view = read_installation(past.connection, installation_id, policy, moment.at, is_past=True)
    return _State(_facts(view), read_days(past.connection, installation_id, from_day=""))


def _facts(view: InstallationView) -> Settings:
    evaluation, app = view.evaluation, view.app
    facts = {
        "state": view.installation.state,
        "disabled by": view.disabling.by if view.disabling else None,
        "evaluation": "broken" if evaluation.is_broken else "not broken",
        "progress": f"{evaluation.progress:.0%}",
        "nearest rule": f"{evaluation.rule}: {evaluation.explanation}" if evaluation.rule else None,
        "warned": f"at {view.installation.warned_level}%" if view.installation.warned_level else None,
        "breaker": breaker_text(view.breaker) or view.breaker.state,
        "paused until": short_time(view.hold_until or ""),
        "missed deliveries": str(view.deliveries["missed"]),
        "dead deliveries": str(view.deliveries["dead"]),
        "being recovered": str(view.missed.recovering),
        "automatic disabling": "frozen" if view.outage.is_frozen else "on",
        "app": f"{app.slug} ({app.name}), {app.status}",
        "webhook url": app.webhook_url,
        "events": ", ".join(app.events),
        "custom headers": ", ".join(app.header_names),
        "secret version": str(app.secret_version),
        "headers version": str(app.headers_version),
        "time-outs in s": _timeouts(app),
        "organization": f"{view.organization.slug} ({view.organization.name}), {view.organization.url}",
        "owners": ", ".join(view.organization.owners),
    }
    return {name: value for name, value in facts.items() if value}


def _timeouts(app: App) -> str:
    given = {"connect": app.connect_s, "read": app.read_s, "total": app.total_s}
    return ", ".join(f"{name} {seconds:g}" for name, seconds in given.items() if seconds is not None)


def _document(found: _Difference) -> dict[str, object]:
    return {
        "installation_id": found.installation_id,
        "from": moment_row(found.first),
        "to": moment_row(found.last),
        "changes": found.changes,
        "counters": found.counters,
        "entries": found.entries,
    }


def _print(found: _Difference) -> None:
    print_facts(
        {
            "installation": found.installation_id,
            "from": moment_text(found.first),
            "to": moment_text(found.last),
        }
    )
    print_line()
    if not (found.changes or found.counters or found.entries):
        print_line("nothing has changed")
        return
    print_line("changes")
    if found.changes:
        print_facts({one.name: f"{one.before or 'none'} → {one.after or 'none'}" for one in found.changes})
    else:
        print_line("none: everything is as it was")
    print_line()
    _print_counters(found.counters)
    print_line()
    print_story(found.entries, title="in between", empty="no decision, and nothing else beside the traffic")


def _print_counters(counters: Sequence[CounterChange]) -> None:
    days = list(dict.fromkeys(one.day for one in counters))
    kept = [day for day in days if any(one.after for one in counters if one.day == day)]
    names = [name for name in COUNTED_CLASSES if any(one.counted == name and one.day in kept for one in counters)]
    changed = {(one.day, one.counted): f"{one.before} → {one.after}" for one in counters}
    columns = [Column("day", is_whole=True), *(Column(name, is_number=True) for name in names)]
    rows = [[day, *(changed.get((day, name), " ") for name in names)] for day in kept[-_DAYS_SHOWN:]]
    print_table(columns, rows, title="counters", empty="none has changed" if not days else "none is left")
    if len(kept) > _DAYS_SHOWN:
        print_line(f"and {grouped(len(kept) - _DAYS_SHOWN, 'day')} before: see --json")
    if len(days) > len(kept):
        print_line(f"emptied by an enabling: {grouped(len(days) - len(kept), 'day')}, {days[0]} the first")
