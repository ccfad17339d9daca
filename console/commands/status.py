"""`hookfuse status`: how things stand."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from console.output.clock_text import clock_text
from console.output.redis_state import RedisState, redis_state, stream_depth
from console.output.tables import Column, is_terminal, print_facts, print_json, print_line, print_table, shown_id
from console.output.times import age_text, short_time
from console.shell.installation_view import (
    breaker_of,
    disabling_of,
    evaluation_of,
    hold_of,
    last_opening,
    ledger_text,
    outage_row,
)
from console.shell.options import json_option, limit_option
from console.shell.running import unheeded_text
from console.shell.session import Session
from eventstore.common.clock import parse_time
from eventstore.common.identifiers import FLEET_STREAM
from eventstore.events.catalogue import DisablingFrozen
from eventstore.log.event_log import last_position, read_events
from eventstore.policies.evaluation import Evaluation
from eventstore.policies.policy import Policy
from eventstore.projections.health import read_outage
from eventstore.projections.outbox import count_mails
from eventstore.projections.registry import Installation, apps_without_secret, find_app, read_installations
from eventstore.projections.request_log import count_error_classes
from eventstore.queue.missed import Ledger, missed_totals
from eventstore.queue.queries import count_deliveries, oldest_waiting
from eventstore.wall_clock.survey import ClockSurvey, survey_clock

if TYPE_CHECKING:
    from eventstore.redis.stream_depth import StreamDepth
    from eventstore.settings.configuration import Configuration

__all__ = ["status"]

_NEAREST = 10
# Below half a percent of the way nothing is wrong yet.
_WORTH_A_LINE = 0.005
_DISABLED_SHOWN = 20

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Status:
    """What `status --json` holds."""

    home: str
    daemon_pid: int | None
    worker_pids: tuple[int, ...]
    is_running: bool
    policy: str
    policy_version: int
    unheeded_settings: str
    last_position: int
    installations: dict[str, int]
    deliveries: dict[str, int]
    oldest_waiting_s: float | None
    mails: dict[str, int]
    nearest: list[Row]
    in_trouble: int
    disabled: list[Row]
    outage: Row
    frozen_by: list[str]
    open_breakers: int
    breakers: dict[str, int]
    paused: int
    warned: list[Row]
    missed: Ledger
    failures: dict[str, int]
    redis: RedisState | None
    stream: "StreamDepth | None"
    apps_without_secret: list[int]
    clock: ClockSurvey


@click.command()
@limit_option(_NEAREST)
@json_option
@click.pass_obj
def status(session: Session, limit: int, is_json: bool) -> None:
    """Show whether the daemon runs, what waits, and which installations are in trouble or disabled.

    In trouble are those whose breaker is open, which come first, and those that are on the way to being disabled.
    --limit says how many of them are shown.

    \b
    Example:
      hookfuse status
      hookfuse status --limit 50
    """  # noqa: D301 - \b is click's
    configuration, policy = session.configuration(), session.policy()
    with session.reading() as connection:
        found = _read(session, connection, policy, configuration, limit)
    if is_json:
        print_json(found)
    else:
        _print(found)


def _read(
    session: Session, connection: sqlite3.Connection, policy: Policy, configuration: "Configuration", limit: int
) -> _Status:
    installations = read_installations(connection)
    pid = session.home.daemon_pid()
    now = session.now()
    outage = read_outage(connection)
    breakers = Counter(breaker_of(one, now).state for one in installations if one.is_active)
    troubled = _in_trouble(connection, installations, policy, now)
    states = {"active": 0, "disabled": 0} | Counter(one.state for one in installations)
    return _Status(
        home=str(session.home.path.absolute()),
        daemon_pid=pid or None,
        worker_pids=session.home.worker_pids(),
        is_running=pid is not None,
        policy=policy.name,
        policy_version=policy.version,
        unheeded_settings=unheeded_text(session),
        last_position=last_position(connection),
        installations=states,
        deliveries=count_deliveries(connection),
        oldest_waiting_s=_oldest_waiting_s(connection, now),
        mails=count_mails(connection),
        nearest=[_trouble_row(connection, one, evaluation, now) for evaluation, one in troubled[:limit]],
        in_trouble=len(troubled),
        disabled=[_disabled_row(connection, one) for one in installations if one.state == "disabled"],
        outage=outage_row(outage),
        frozen_by=_begun_by(connection) if outage.is_frozen else [],
        open_breakers=breakers["open"] + breakers["half_open"],
        breakers={state: breakers[state] for state in ("open", "half_open", "recovering")},
        paused=sum(1 for one in installations if hold_of(one, now)),
        warned=[_identity(connection, one) | {"level": one.warned_level} for one in installations if one.warned_level],
        missed=missed_totals(connection),
        failures=count_error_classes(connection, since=now - timedelta(days=1), until=now),
        redis=redis_state(connection, configuration.redis),
        stream=stream_depth(configuration),
        apps_without_secret=[app.app_id for app in apps_without_secret(connection)],
        clock=survey_clock(connection, now, longest_retry_s=max(configuration.retry.schedule, default=0.0)),
    )


def _oldest_waiting_s(connection: sqlite3.Connection, now: datetime) -> float | None:
    oldest = oldest_waiting(connection)
    return max(0.0, (now - parse_time(oldest)).total_seconds()) if oldest else None


def _in_trouble(
    connection: sqlite3.Connection, installations: Sequence[Installation], policy: Policy, now: datetime
) -> list[tuple[Evaluation, Installation]]:
    """Give those whose breaker is open now, whatever it was before, and then those nearest to their limit."""
    evaluations = [
        (evaluation_of(connection, one.installation_id, policy, now), one) for one in installations if one.is_active
    ]
    troubled = [pair for pair in evaluations if pair[0].progress >= _WORTH_A_LINE or _is_down(pair[1], now)]
    return sorted(troubled, key=lambda pair: (not _is_down(pair[1], now), -pair[0].progress))


def _is_down(installation: Installation, now: datetime) -> bool:
    return breaker_of(installation, now).state in ("open", "half_open")


def _trouble_row(
    connection: sqlite3.Connection, installation: Installation, evaluation: Evaluation, now: datetime
) -> Row:
    explanation = evaluation.explanation
    if _is_down(installation, now) and (opening := last_opening(connection, installation.installation_id)):
        explanation = "; ".join(part for part in (f"breaker: {opening[1].explanation}", explanation) if part)
    return _identity(connection, installation) | {
        "progress": evaluation.progress,
        "rule": evaluation.rule,
        "explanation": explanation,
        "warned_level": installation.warned_level,
        "breaker": breaker_of(installation, now).state,
    }


def _disabled_row(connection: sqlite3.Connection, installation: Installation) -> Row:
    disabling = disabling_of(connection, installation)
    return _identity(connection, installation) | {
        "since": installation.changed_at,
        "cause": disabling.cause if disabling else None,
        "by": disabling.by if disabling else None,
        "reason": disabling.reason if disabling else None,
    }


def _identity(connection: sqlite3.Connection, installation: Installation) -> Row:
    return {
        "installation_id": installation.installation_id,
        "app_id": installation.app_id,
        "app_slug": find_app(connection, installation.app_id).slug,
        "organization_id": installation.organization_id,
    }


def _print(found: _Status) -> None:
    if found.outage["is_frozen"]:
        _print_frozen(found.outage, found.frozen_by)
    print_facts(_facts(found))
    if found.nearest:
        print_line()
        _print_nearest(found.nearest)
        if found.in_trouble > len(found.nearest):
            print_line(f"and {found.in_trouble - len(found.nearest)} more: hookfuse status --limit {found.in_trouble}")
    if found.disabled:
        print_line()
        _print_disabled(found.disabled)
    if (found.nearest or found.disabled) and not is_terminal():
        print_line()
        print_line("the reasons: hookfuse why INSTALLATION")


def _print_frozen(outage: Row, hosts: Sequence[str]) -> None:
    print_line("AUTOMATIC DISABLING IS FROZEN: so many have begun to fail at once that the")
    print_line(
        f"fault may be here: {outage['failing']} of {outage['active']} active at {short_time(str(outage['since']))}."
    )
    if hosts:
        print_line(f"It began at {', '.join(hosts)}.")
    print_line("Until it has passed the machine disables nothing, and counts no failure.")
    print_line()


def _begun_by(connection: sqlite3.Connection) -> list[str]:
    """Name the hosts whose endpoints had begun to fail when disabling was frozen."""
    frozen = read_events(
        connection, stream=FLEET_STREAM, type_names=(DisablingFrozen.type_name,), is_newest_first=True, limit=1
    )
    return [host for stored in frozen if isinstance(stored.event, DisablingFrozen) for host in stored.event.hosts]


def _facts(found: _Status) -> Row:
    return {
        "home": found.home,
        "daemon": _daemon(found),
        "policy": f"{found.policy} (version {found.policy_version})",
        "settings": found.unheeded_settings,
        "installations": _counts(found.installations),
        "deliveries": _counts(found.deliveries),
        "oldest waiting": None if found.oldest_waiting_s is None else f"{_age(found.oldest_waiting_s)} old",
        "missed": ledger_text(found.missed),
        "failures": _failures(found.failures),
        "mails": _counts(found.mails),
        "breakers": ", ".join(f"{count} {_STATE[state]}" for state, count in found.breakers.items() if count),
        "paused": f"{found.paused}, as their endpoints asked" if found.paused else "",
        "warned": ", ".join(f"{count} at {level}%" for level, count in _levels(found.warned)),
        "no secret": _without_secret(found.apps_without_secret),
        "clock": clock_text(found.clock),
        "last event": found.last_position,
        "redis": found.redis.text if found.redis else "",
        "stream": found.stream.text if found.stream else "",
    }


def _daemon(found: _Status) -> str:
    if not found.is_running:
        return "not running"
    workers = f", workers {', '.join(map(str, found.worker_pids))}" if found.worker_pids else ""
    return f"running (process {found.daemon_pid or 'unknown'}{workers})"


def _failures(counts: dict[str, int]) -> str:
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{told} within 24 h" if told else ""


def _without_secret(app_ids: list[int]) -> str:
    if not app_ids:
        return ""
    named = ", ".join(map(str, app_ids[:_NEAREST])) + (" and more" if len(app_ids) > _NEAREST else "")
    return f"app {named}: nothing is sent before hookfuse apply, or hookfuse app rotate-secret"


_STATE = {"open": "open", "half_open": "half open", "recovering": "recovering"}


def _levels(warned: list[Row]) -> list[tuple[object, int]]:
    return sorted(Counter(row["level"] for row in warned).items(), key=str)


def _age(seconds: float) -> str:
    return age_text(timedelta(seconds=seconds))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _print_nearest(nearest: list[Row]) -> None:
    columns = (
        Column("installation", is_whole=True),
        Column("app"),
        Column("near", is_number=True),
        Column("warned", is_number=True),
        Column("breaker"),
        Column("rule"),
    )
    rows = [
        (
            shown_id(str(row["installation_id"])),
            row["app_slug"],
            f"{row['progress']:.0%}",
            f"{row['warned_level']}%" if row["warned_level"] else "",
            _STATE.get(str(row["breaker"]), ""),
            row["rule"],
        )
        for row in nearest
    ]
    reasons = [row["explanation"] for row in nearest]
    _print_with_reasons(columns, rows, "because", reasons, title="in trouble")


def _print_disabled(disabled: list[Row]) -> None:
    columns = (
        Column("installation", is_whole=True),
        Column("app"),
        Column("since", is_whole=True),
        Column("cause"),
    )
    shown = disabled[:_DISABLED_SHOWN]
    rows = [
        (shown_id(str(row["installation_id"])), row["app_slug"], short_time(str(row["since"])), _cause(row))
        for row in shown
    ]
    _print_with_reasons(columns, rows, "reason", [row["reason"] for row in shown], title="disabled")
    if len(disabled) > _DISABLED_SHOWN:
        print_line(f"and {len(disabled) - _DISABLED_SHOWN} more: hookfuse installations --state disabled")


def _cause(row: Row) -> object:
    return row["by"] if row["cause"] == "person" else row["cause"]


def _print_with_reasons(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], name: str, reasons: Sequence[object], *, title: str
) -> None:
    """Give each row its reason where it can be folded into a column; in a pipe that would be too wide for 80."""
    if is_terminal():
        rows = [(*row, reason) for row, reason in zip(rows, reasons, strict=True)]
        print_table((*columns, Column(name)), rows, title=title)
        return
    print_table(columns, rows, title=title)
