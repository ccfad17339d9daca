"""`hookfuse replay what-if`: the recorded history, evaluated by another policy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from console.output.progress import SlowProgress
from console.output.tables import Column, print_facts, print_json, print_line, print_table, shown_id
from console.output.times import short_time
from console.shell.filters import period
from console.shell.lookup import resolve_installation
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.clock import time_text
from eventstore.common.plural import counted, noun
from eventstore.log.event_log import last_position
from eventstore.policies.lint import out_of_reach
from eventstore.policies.policy_file import given_policy
from eventstore.projections.registry import app_slugs
from replay.timeline.episode import Ending, Episode, InstallationOutcome, Notice
from replay.what_if.what_if import Supposition, what_if

__all__ = ["suppose"]

_COLUMNS = (
    Column("installation", is_whole=True),
    Column("app", is_extra=True),
    Column("would have been"),
    Column("actually was"),
    Column("missed", is_number=True),
    Column("avoided", is_number=True),
    Column("delivered", is_number=True, is_extra=True),
    Column("saved", is_number=True, is_extra=True),
    Column("because", is_extra=True),
)
_COUNTS = ("missed", "avoided", "delivered", "attempts_saved")


@click.command("what-if")
@click.argument("installations", nargs=-1, metavar="[INSTALLATION]...")
@click.option("--policy", "policy_name", required=True, metavar="NAME|FILE", help="The policy to evaluate by.")
@click.option(
    "--since",
    metavar="TIME",
    help="Suppose it from this moment on, such as 2025-02-01 or 7d, else from the beginning.",
)
@click.option("--until", metavar="TIME", help="Leave out what was recorded later, in the same forms.")
@json_option
@click.pass_obj
def suppose(
    session: Session,
    installations: Sequence[str],
    *,
    policy_name: str,
    since: str | None,
    until: str | None,
    is_json: bool,
) -> None:
    """Evaluate what was recorded by another policy: who would have been disabled or warned, and when.

    It is compared with what actually happened: deliveries that would have been missed, or would not have been missed,
    and attempts that would have been saved. Nothing is changed. Its assumptions are in docs/what-if.md.

    \b
    Example:
      hookfuse replay what-if --policy sentry-2024 --since 30d
      hookfuse replay what-if --policy my-policy.toml 7c1f0a52
    """  # noqa: D301 - \b is click's
    policy, (begin, end) = given_policy(policy_name), period(since, until, session.now())
    configuration = session.configuration()
    supposition = Supposition(
        policy,
        scope=configuration.disabling.apps,
        is_warned=configuration.warnings.enabled,
        since=time_text(begin) if begin else "",
        until=time_text(end) if end else "",
    )
    with session.reading_on() as connection:
        only = [resolve_installation(connection, one) for one in installations]
        events = last_position(connection)
        with SlowProgress("evaluating", total=events) as progress:
            outcomes = what_if(connection, supposition, only=only, advance=progress.advance)
        slugs = app_slugs(connection)
    told = _Told(supposition, events, outcomes, slugs, out_of_reach(policy, session.breaker_rule()))
    if is_json:
        print_json(_document(told))
    else:
        _print(told)


@dataclass(frozen=True, slots=True)
class _Told:
    supposition: Supposition
    events: int
    outcomes: Sequence[InstallationOutcome]
    slugs: Mapping[int, str]
    notes: Sequence[tuple[str, str]]

    def summary(self) -> dict[str, int]:
        """Count installations, and add up what would have come of it."""
        episodes = [[*outcome.episodes] for outcome in self.outcomes]
        return {
            "evaluated": len(self.outcomes),
            "different": sum(outcome.is_different for outcome in self.outcomes),
            "disabled": sum(any(one.disabled for one in some) for some in episodes),
            "actually_disabled": sum(any(one.was_actually_disabled for one in some) for some in episodes),
            "warned": sum(any(one.warned for one in some) for some in episodes),
            "actually_warned": sum(any(one.actually_warned for one in some) for some in episodes),
            **{name: sum(outcome.total(name) for outcome in self.outcomes) for name in _COUNTS},
        }


def _document(told: _Told) -> dict[str, object]:
    policy = told.supposition.policy
    return {
        "policy": policy.name,
        "policy_version": policy.version,
        "since": told.supposition.since or None,
        "until": told.supposition.until or None,
        "events": told.events,
        "summary": told.summary(),
        "notes": [{"rule": rule, "note": note} for rule, note in told.notes],
        "installations": [
            {
                "installation_id": outcome.installation_id,
                "app": {"id": outcome.app_id, "slug": told.slugs.get(outcome.app_id)},
                "is_different": outcome.is_different,
                "episodes": outcome.episodes,
            }
            for outcome in told.outcomes
        ],
    }


def _print(told: _Told) -> None:
    policy, counts = told.supposition.policy, told.summary()
    avoided = counted(counts["avoided"], "delivery", "deliveries")
    print_facts(
        {
            "policy": f"{policy.name} (version {policy.version})",
            "since": short_time(told.supposition.since),
            "until": short_time(told.supposition.until),
            "events": told.events,
            "installations": f"{counts['evaluated']}, of which {counts['different']} would have gone differently",
            "disabled": _would_and_was(counts["disabled"], counts["actually_disabled"]),
            "warned": _would_and_was(counts["warned"], counts["actually_warned"]),
            "missed": f"{counted(counts['missed'], 'delivery', 'deliveries')} more",
            "avoided": f"{avoided} that {noun(counts['avoided'], 'was', 'were')} actually missed",
            "attempts saved": f"{counts['attempts_saved']}, of which {counts['delivered']} actually succeeded",
        }
    )
    print_line()
    rows = [
        _row(outcome, episode, told.slugs)
        for outcome in told.outcomes
        for episode in outcome.episodes
        if episode.is_different
    ]
    empty = "nothing: everything would have gone as it did" if told.outcomes else "there is nothing to evaluate"
    print_table(_COLUMNS, rows, title="what differs", empty=empty)
    for rule, note in told.notes:
        click.echo(f"hookfuse: note on rule {rule}: {note}", err=True)


def _would_and_was(supposed: int, actually: int) -> str:
    return f"{supposed} would have been, {actually} actually {noun(actually, 'was', 'were')}"


def _row(outcome: InstallationOutcome, episode: Episode, slugs: Mapping[int, str]) -> tuple[object, ...]:
    because = episode.disabled or (episode.warned[-1] if episode.warned else None)
    return (
        shown_id(outcome.installation_id),
        f"{outcome.app_id} {slugs.get(outcome.app_id, '')}".strip(),
        _fate(episode.disabled, episode.warned),
        _fate(episode.actually_disabled, episode.actually_warned),
        *(getattr(episode, name) for name in _COUNTS),
        because.explanation if because else "",
    )


def _fate(ending: Ending | None, warnings: Sequence[Notice]) -> str:
    levels = Counter(one.level for one in warnings)
    parts = ["warned " + ", ".join(_times(count, level) for level, count in sorted(levels.items()))] if levels else []
    if ending is not None:
        by = ending.rule if ending.cause == "policy" else f"a {ending.cause}"
        parts.append(f"disabled {short_time(ending.at)} by {by}")
    return ", ".join(parts)


def _times(count: int, level: int) -> str:
    return f"{level}%" if count == 1 else f"{count} x {level}%"
