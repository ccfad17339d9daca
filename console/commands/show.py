"""`hookfuse show`: all about one installation."""

import click
from msgspec.structs import asdict

from console.output.event_text import failure_text
from console.output.installation_text import breaker_text, disabling_row, ledger_text, outage_row
from console.output.request_row import request_row, shown_class
from console.output.tables import Column, print_facts, print_json, print_line, print_table
from console.output.times import short_time
from console.shell.as_of import as_of_option, moment_row, seeing
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.projections.registry import App
from eventstore.projections.request_log import LoggedRequest
from eventstore.views.installation import Disabling, InstallationView, read_installation
from replay.reading.moment import Moment, moment_text

__all__ = ["show", "show_document"]

# All are of this installation, and 80 characters have to do: the rest is in `hookfuse requests`.
_REQUEST_COLUMNS = (
    Column("date", is_whole=True),
    Column("event", is_whole=True),
    Column("try", is_number=True),
    Column("code", is_number=True),
    Column("ms", is_number=True),
    Column("what"),
)


@click.command()
@click.argument("installation")
@as_of_option
@json_option
@click.pass_obj
def show(session: Session, installation: str, as_of: str | None, is_json: bool) -> None:
    """Show everything about INSTALLATION (its UUID, or at least its first 6 characters), except secrets.

    The buffer has the days of the policy's window on which there was traffic. With --as-of all is as it was
    then, evaluated on that day by the policy that is configured now; how many deliveries waited is not known.

    \b
    Example:
      hookfuse show 7c1f0a52
      hookfuse show 7c1f0a52 --as-of 2025-02-01T10:00
    """  # noqa: D301 - \b is click's
    policy = session.policy()
    with seeing(session, installation, as_of) as sight:
        view = read_installation(
            sight.connection, sight.installation_id, policy, sight.now, is_past=sight.moment is not None
        )
    if is_json:
        print_json(show_document(view, sight.moment))
    else:
        _print(view, sight.moment)


def show_document(view: InstallationView, moment: Moment | None) -> dict[str, object]:
    """Return a view of a moment (None = now) as `show --json` has it."""
    evaluation = view.evaluation
    return {
        "installation_id": view.installation.installation_id,
        "as_of": moment_row(moment),
        "app": _app(view.app),
        "organization": view.organization,
        "state": view.installation.state,
        "since": view.installation.changed_at,
        "disabled": disabling_row(view.disabling) if view.disabling else None,
        "buffer": view.buffer,
        "evaluation": {
            "is_broken": evaluation.is_broken,
            "rule": evaluation.rule,
            "explanation": evaluation.explanation,
            "progress": evaluation.progress,
            "policy": evaluation.policy,
            "policy_version": evaluation.policy_version,
        },
        "deliveries": view.deliveries,
        "requests": [request_row(request) for request in view.requests],
        "warned_level": view.installation.warned_level,
        "breaker": view.breaker,
        "hold_until": view.hold_until,
        "failures": view.failures,
        "outage": outage_row(view.outage),
        "missed": view.missed,
    }


def _app(app: App) -> dict[str, object]:
    fields = asdict(app)
    return {"id": fields.pop("app_id"), **fields}


def _print(view: InstallationView, moment: Moment | None) -> None:
    print_facts(_facts(view, moment) | _disabled_facts(view.disabling))
    print_line()
    _print_buffer(view)
    print_line()
    cells = [_request_cells(request) for request in view.requests]
    print_table(_REQUEST_COLUMNS, cells, title="last requests", empty="none yet")


def _request_cells(request: LoggedRequest) -> tuple[object, ...]:
    attempt = request.attempt
    return (
        short_time(request.date),
        attempt.event_name,
        attempt.attempt,
        attempt.status_code,
        f"{attempt.duration_ms:.0f}",
        shown_class(attempt),
    )


def _facts(view: InstallationView, moment: Moment | None) -> dict[str, object]:
    app, organization, evaluation, deliveries = view.app, view.organization, view.evaluation, view.deliveries
    # Beside the reason of a disabling, what the days say today could pass for it.
    now = ("then: " if moment else "now: ") if view.disabling else ""
    return {
        "installation": view.installation.installation_id,
        "as of": moment_text(moment) if moment else "",
        "state": f"{view.installation.state} since {short_time(view.installation.changed_at)}",
        "app": f"{app.app_id} {app.slug} ({app.name}), {app.status}",
        "webhook url": app.webhook_url,
        "events": ", ".join(app.events),
        "custom headers": ", ".join(app.header_names),
        "organization": f"{organization.organization_id} {organization.slug} ({organization.name})",
        "owners": ", ".join(organization.owners) or "none: nobody is mailed",
        "deliveries": ", ".join(f"{count} {state}" for state, count in deliveries.items() if count is not None)
        + ("; how many waited is not recorded" if moment else ""),
        "missed": ledger_text(view.missed),
        "evaluation": f"{now}{'broken' if evaluation.is_broken else 'not broken'} by policy {evaluation.policy},"
        f" {evaluation.progress:.0%} of the way",
        "nearest rule": f"{now}{evaluation.rule}: {evaluation.explanation}" if evaluation.rule else "",
    } | _health_facts(view)


def _health_facts(view: InstallationView) -> dict[str, object]:
    level, failures = view.installation.warned_level, view.failures
    latest = [f"{one.count} {one.error_class}" for one in failures.latest]
    return {
        "warned": f"the owners were warned at {level}%" if level else "",
        "breaker": breaker_text(view.breaker),
        "paused": f"until {short_time(view.hold_until)}, as its endpoint asked" if view.hold_until else "",
        "failures": ", ".join(f"{count} {name}" for name, count in failures.by_class.items())
        + (f" in {failures.days} days" if failures.by_class else ""),
        "of the latest": ", ".join(latest),
        "outage": "automatic disabling is frozen: see `hookfuse status`" if view.outage.is_frozen else "",
    }


def _disabled_facts(disabling: Disabling | None) -> dict[str, object]:
    if disabling is None:
        return {}
    evidence = disabling.evidence
    return {
        "disabled": f"by {disabling.by}, cause {disabling.cause}, event {disabling.position}",
        "reason": disabling.reason,
        "decided by": f"rule {evidence.rule} of policy {evidence.policy}, version {evidence.policy_version}"
        if evidence and disabling.cause != "person"
        else "",
        "last failure": failure_text(evidence.last_failure) if evidence else "",
    }


def _print_buffer(view: InstallationView) -> None:
    names = [name for name in (view.buffer[0] if view.buffer else {}) if _is_shown(view, name)]
    columns = [Column(name, is_number=name != "day", is_whole=True) for name in names]
    rows = [[day[name] for name in names] for day in view.buffer]
    print_table(columns, rows, title="buffer", empty="no traffic in the window")


def _is_shown(view: InstallationView, name: str) -> bool:
    return name in ("day", "success", "error", "timeout") or any(day[name] for day in view.buffer)
