"""`hookfuse status`: how things stand."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from console.clock_text import clock_text
from console.installation_view import breaker_of, disabling_of, fleet_row, hold_of, ledger_text, verdict_of
from console.options import json_option
from console.output import Column, is_terminal, print_facts, print_json, print_line, print_table, shown_id
from console.redis_state import RedisState, redis_state, stream_depth
from console.session import Session
from console.times import age_text, short_time
from eventstore.clock import parse_time
from eventstore.clock_survey import ClockSurvey, survey_clock
from eventstore.health import read_fleet
from eventstore.log import last_position
from eventstore.outbox import count_mails
from eventstore.policy import Policy
from eventstore.queue_view import count_deliveries, oldest_waiting
from eventstore.recovery import Ledger, missed_totals
from eventstore.registry import Installation, apps_without_secret, find_app, read_installations
from eventstore.request_log import count_error_classes

if TYPE_CHECKING:
    from eventstore.configuration import Configuration
    from eventstore.stream_depth import StreamDepth

__all__ = ["status"]

_NEAREST = 10
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
    last_position: int
    installations: dict[str, int]
    deliveries: dict[str, int]
    oldest_waiting_s: float | None
    mails: dict[str, int]
    nearest: list[Row]
    disabled: list[Row]
    fleet: Row
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
@json_option
@click.pass_obj
def status(session: Session, is_json: bool) -> None:
    """Show whether the daemon runs, what waits, and which installations are disabled or near to it.

    \b
    Example:
      hookfuse status
    """  # noqa: D301 - \b is click's
    configuration, policy = session.configuration(), session.policy()
    with session.reading() as connection:
        found = _read(session, connection, policy, configuration)
    if is_json:
        print_json(found)
    else:
        _print(found)


def _read(session: Session, connection: sqlite3.Connection, policy: Policy, configuration: "Configuration") -> _Status:
    installations = read_installations(connection)
    pid = session.home.daemon_pid()
    now = session.now()
    fleet = read_fleet(connection)
    breakers = Counter(breaker_of(one, now).state for one in installations if one.is_active)
    states = {"active": 0, "disabled": 0} | Counter(one.state for one in installations)
    return _Status(
        home=str(session.home.path.absolute()),
        daemon_pid=pid or None,
        worker_pids=session.home.worker_pids(),
        is_running=pid is not None,
        policy=policy.name,
        policy_version=policy.version,
        last_position=last_position(connection),
        installations=states,
        deliveries=count_deliveries(connection),
        oldest_waiting_s=_oldest_waiting_s(connection, now),
        mails=count_mails(connection),
        nearest=_nearest(connection, installations, policy, now),
        disabled=[_disabled_row(connection, one) for one in installations if one.state == "disabled"],
        fleet=fleet_row(fleet),
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


def _nearest(
    connection: sqlite3.Connection, installations: Sequence[Installation], policy: Policy, now: datetime
) -> list[Row]:
    active = [one for one in installations if one.is_active]
    verdicts = [(verdict_of(connection, one.installation_id, policy, now), one) for one in active]
    near = sorted((pair for pair in verdicts if pair[0].nearness > 0), key=lambda pair: -pair[0].nearness)
    return [
        _identity(connection, one)
        | {"nearness": verdict.nearness, "rule": verdict.rule, "explanation": verdict.explanation}
        | {"warned_level": one.warned_level, "breaker": breaker_of(one, now).state}
        for verdict, one in near[:_NEAREST]
    ]


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
    if found.fleet["is_frozen"]:
        _print_frozen(found.fleet)
    print_facts(_facts(found))
    if found.nearest:
        print_line()
        _print_nearest(found.nearest)
    if found.disabled:
        print_line()
        _print_disabled(found.disabled)
    if (found.nearest or found.disabled) and not is_terminal():
        print_line()
        print_line("the reasons: hookfuse why INSTALLATION")


def _print_frozen(fleet: Row) -> None:
    print_line("AUTOMATIC DISABLING IS FROZEN: so many have begun to fail at once that the")
    print_line(
        f"fault may be here: {fleet['failing']} of {fleet['active']} active ones at {short_time(str(fleet['since']))}."
    )
    print_line("Until it has passed the machine disables nothing, and counts no failure.")
    print_line()


def _facts(found: _Status) -> Row:
    return {
        "home": found.home,
        "daemon": _daemon(found),
        "policy": f"{found.policy} (version {found.policy_version})",
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
            f"{row['nearness']:.0%}",
            f"{row['warned_level']}%" if row["warned_level"] else "",
            _STATE.get(str(row["breaker"]), ""),
            row["rule"],
        )
        for row in nearest
    ]
    reasons = [row["explanation"] for row in nearest]
    _print_with_reasons(columns, rows, "because", reasons, title="nearest to their limit")


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
        print_line(f"and {len(disabled) - _DISABLED_SHOWN} more: see status --json")


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
