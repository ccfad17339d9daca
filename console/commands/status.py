"""`hookfuse status`: how things stand."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from msgspec import Struct, structs

from console.output.clock_text import clock_text
from console.output.installation_text import ledger_text, outage_row
from console.output.redis_state import RedisState, redis_state, stream_depth
from console.output.tables import Column, is_terminal, print_facts, print_json, print_line, print_table, shown_id
from console.output.times import age_text, short_time
from console.shell.options import json_option, limit_option
from console.shell.running import pending_settings_text
from console.shell.session import Session
from eventstore.projections.health import Outage
from eventstore.views.status import Disabled, InTrouble, StatusView, read_status

if TYPE_CHECKING:
    from eventstore.redis.stream_depth import StreamDepth

__all__ = ["status"]

_NEAREST = 10
_DISABLED_SHOWN = 20

Row = dict[str, object]


class _Status(Struct, frozen=True):
    """What the database says, and beside it what only the home and Redis do."""

    view: StatusView
    home: str
    daemon_pid: int | None
    worker_pids: tuple[int, ...]
    is_running: bool
    policy: str
    policy_version: int
    pending_settings: str
    redis: RedisState | None
    stream: "StreamDepth | None"


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
    found = _read(session, limit)
    if is_json:
        print_json(_document(found))
    else:
        _print(found)


def _read(session: Session, limit: int) -> _Status:
    configuration, policy = session.configuration(), session.policy()
    pid = session.home.ownership.daemon_pid()
    with session.reading() as connection:
        view = read_status(
            connection,
            policy,
            session.now(),
            limit=limit,
            longest_retry_s=max(configuration.retry.schedule, default=0.0),
        )
        redis = redis_state(connection, configuration.redis)
    return _Status(
        view=view,
        home=str(session.home.path.absolute()),
        daemon_pid=pid or None,
        worker_pids=session.home.ownership.worker_pids(),
        is_running=pid is not None,
        policy=policy.name,
        policy_version=policy.version,
        pending_settings=pending_settings_text(session),
        redis=redis,
        stream=stream_depth(configuration),
    )


def _document(found: _Status) -> Row:
    view = found.view
    overview = view.overview
    document = structs.asdict(found) | structs.asdict(view)
    del document["view"], document["overview"]
    return document | {
        "last_position": overview.last_position,
        "installations": _installations(view),
        "deliveries": overview.deliveries,
        "oldest_waiting_s": overview.oldest_waiting_s,
        "mails": overview.mails,
        "disabled_count": overview.installations["disabled"],
        "outage": outage_row(view.outage),
        "open_breakers": overview.breakers["open"] + overview.breakers["half_open"],
        "breakers": overview.breakers,
        "paused": overview.paused,
        "warned_count": sum(overview.warned.values()),
    }


def _installations(view: StatusView) -> dict[str, int]:
    return {state: count for state, count in view.overview.installations.items() if state != "removed"}


def _print(found: _Status) -> None:
    view = found.view
    if view.outage.is_frozen:
        _print_frozen(view.outage, view.frozen_by)
    print_facts(_facts(found))
    if view.in_trouble:
        print_line()
        _print_in_trouble(view.in_trouble)
        if view.in_trouble_count > len(view.in_trouble):
            others = view.in_trouble_count - len(view.in_trouble)
            print_line(f"and {others} more: hookfuse status --limit {view.in_trouble_count}")
    if view.disabled:
        print_line()
        _print_disabled(view.disabled, view.overview.installations["disabled"])
    if (view.in_trouble or view.disabled) and not is_terminal():
        print_line()
        print_line("the reasons: hookfuse why INSTALLATION")


def _print_frozen(outage: Outage, hosts: Sequence[str]) -> None:
    print_line("AUTOMATIC DISABLING IS FROZEN: so many have begun to fail at once that the")
    print_line(f"fault may be here: {outage.failing} of {outage.active} active at {short_time(outage.changed_at)}.")
    if hosts:
        print_line(f"It began at {', '.join(hosts)}.")
    print_line("Until it has passed the machine disables nothing, and counts no failure.")
    print_line()


def _facts(found: _Status) -> Row:
    view, overview = found.view, found.view.overview
    return {
        "home": found.home,
        "daemon": _daemon(found),
        "policy": f"{found.policy} (version {found.policy_version})",
        "settings": found.pending_settings,
        "installations": _counts(_installations(view)),
        "deliveries": _counts(overview.deliveries),
        "oldest waiting": None if overview.oldest_waiting_s is None else f"{_age(overview.oldest_waiting_s)} old",
        "missed": ledger_text(view.missed),
        "failures": _failures(view.failures),
        "mails": _counts(overview.mails),
        "breakers": ", ".join(f"{count} {_STATE[state]}" for state, count in overview.breakers.items() if count),
        "paused": f"{overview.paused}, as their endpoints asked" if overview.paused else "",
        "warned": ", ".join(f"{count} at {level}%" for level, count in overview.warned.items() if count),
        "no secret": _without_secret(view),
        "clock": clock_text(view.clock),
        "last event": overview.last_position,
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


def _without_secret(view: StatusView) -> str:
    if not view.apps_without_secret:
        return ""
    more = " and more" if view.apps_without_secret_count > _NEAREST else ""
    named = ", ".join(map(str, view.apps_without_secret[:_NEAREST])) + more
    return f"app {named}: nothing is sent before hookfuse apply, or hookfuse app rotate-secret"


_STATE = {"open": "open", "half_open": "half open", "recovering": "recovering"}


def _age(seconds: float) -> str:
    return age_text(timedelta(seconds=seconds))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _print_in_trouble(troubled: Sequence[InTrouble]) -> None:
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
            shown_id(one.installation_id),
            one.app_slug,
            f"{one.progress:.0%}",
            f"{one.warned_level}%" if one.warned_level else "",
            _STATE.get(one.breaker, ""),
            one.rule,
        )
        for one in troubled
    ]
    _print_with_reasons(columns, rows, "because", (one.explanation for one in troubled), title="in trouble")


def _print_disabled(disabled: Sequence[Disabled], count: int) -> None:
    columns = (
        Column("installation", is_whole=True),
        Column("app"),
        Column("since", is_whole=True),
        Column("cause"),
    )
    shown = disabled[:_DISABLED_SHOWN]
    rows = [
        (
            shown_id(one.installation_id),
            one.app_slug,
            short_time(one.since),
            one.by if one.cause == "person" else one.cause,
        )
        for one in shown
    ]
    _print_with_reasons(columns, rows, "reason", (one.reason for one in shown), title="disabled")
    if count > len(shown):
        print_line(f"and {count - len(shown)} more: hookfuse installations --state disabled")


def _print_with_reasons(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], name: str, reasons: Iterable[object], *, title: str
) -> None:
    """Print each row with its reason where that can be folded into a column; in a pipe it is too wide for 80."""
    if is_terminal():
        rows = [(*row, reason) for row, reason in zip(rows, reasons, strict=True)]
        print_table((*columns, Column(name)), rows, title=title)
        return
    print_table(columns, rows, title=title)
