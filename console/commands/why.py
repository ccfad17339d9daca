"""`hookfuse why`: on which evidence an installation was disabled, or how near it is and what would stop it."""

import sqlite3
from dataclasses import dataclass

import click

from console.output.event_text import failure_text, full_fields
from console.output.tables import Column, print_facts, print_json, print_line, print_table
from console.output.times import short_time
from console.shell.as_of import PointInTimeView, as_of_option, moment_row, seeing
from console.shell.installation_view import (
    Breaker,
    Disabling,
    breaker_of,
    breaker_text,
    disabling_of,
    disabling_row,
    evaluation_of,
    failure_of,
    hold_of,
    last_opening,
    outage_row,
)
from console.shell.options import json_option
from console.shell.running import unheeded_text
from console.shell.session import Session
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.disable import may_be_disabled
from eventstore.events.catalogue import DayRecord, FailureRecord
from eventstore.log.event_log import last_position, read_events
from eventstore.policies.day_counts import JUDGED_CLASSES
from eventstore.policies.evaluation import Evaluation
from eventstore.policies.policy import Policy
from eventstore.policies.remediation import suggest_remediation
from eventstore.projections.health import Outage, read_outage
from eventstore.projections.registry import App, Installation, find_app, find_installation
from replay.reading.moment import Moment, moment_text

__all__ = ["why"]

# Below half a percent of the way there is nothing to be stopped: it is shown as 0%.
_WORTH_A_WORD = 0.005


@dataclass(frozen=True, slots=True)
class _Account:
    """Why an installation is as it is; `rule` and what follows it are of the decision or, while active, of now."""

    installation: Installation
    app: App
    disabling: Disabling | None
    evaluation: Evaluation
    policy: str
    policy_version: int
    rule: str
    explanation: str
    days: tuple[DayRecord, ...]
    first_failure: FailureRecord | None
    last_failure: FailureRecord | None
    remediation: str
    can_end: bool
    breaker: Breaker
    breaker_explanation: str
    hold_until: str | None
    outage: Outage
    positions: dict[str, int | None]
    moment: Moment | None


@click.command()
@click.argument("installation")
@as_of_option
@json_option
@click.pass_obj
def why(session: Session, installation: str, as_of: str | None, is_json: bool) -> None:
    """Show on which evidence INSTALLATION was disabled, or how near to it it is, and what would help.

    It is named by its UUID, or the first 6 or more characters. The counts are those that were judged: of a
    disabled one those of the decision, of an active one those of now. With --as-of all is as it was then, judged
    on that day by what is configured now.

    \b
    Example:
      hookfuse why 7c1f0a52
      hookfuse why 7c1f0a52 --as-of 3d
    """  # noqa: D301 - \b is click's
    configuration = session.configuration()
    policy = session.policy()
    with seeing(session, installation, as_of) as sight:
        running = session.running()
        scope = (running and running.disable_scope) or configuration.disabling.apps
        account = _read(sight, policy, scope)
    if is_json:
        print_json(_document(account))
    else:
        _print(account)
        if (note := unheeded_text(session)) and not account.disabling:
            print_line()
            print_line(note)


def _read(sight: PointInTimeView, policy: Policy, scope: str) -> _Account:
    connection, now = sight.connection, sight.now
    installation = find_installation(connection, sight.installation_id)
    app = find_app(connection, installation.app_id)
    disabling = disabling_of(connection, installation)
    evidence = disabling.evidence if disabling else None
    evaluation = evaluation_of(connection, installation.installation_id, policy, now)
    positions = [position for day in evaluation.days for position in (day.first_failure, day.last_failure) if position]
    first, last = (failure_of(connection, pick(positions)) if positions else None for pick in (min, max))
    remediation = suggest_remediation(policy, evaluation.days, evaluation.rule, now.date()).sentence
    if disabling and evidence:
        first, last = evidence.first_failure, evidence.last_failure
        remediation = evidence.remediation
    opening = last_opening(connection, installation.installation_id)
    breaker = breaker_of(installation, now)
    can_end = disabling is not None or (installation.is_active and may_be_disabled(app, scope))
    is_tripped = opening is not None and breaker.state != "closed"
    return _Account(
        installation=installation,
        app=app,
        disabling=disabling,
        evaluation=evaluation,
        policy=evidence.policy if evidence else evaluation.policy,
        policy_version=evidence.policy_version if evidence else evaluation.policy_version,
        rule=evidence.rule if evidence else evaluation.rule,
        explanation=evidence.explanation if evidence else evaluation.explanation,
        days=evidence.days if evidence else tuple(day.record() for day in evaluation.days),
        first_failure=first,
        last_failure=last,
        remediation=remediation if can_end and (disabling or evaluation.progress >= _WORTH_A_WORD) else "",
        can_end=can_end,
        breaker=breaker,
        breaker_explanation=opening[1].explanation if opening and is_tripped else "",
        hold_until=hold_of(installation, now),
        outage=read_outage(connection),
        positions={
            "decision": disabling.position if disabling else None,
            "first_failure": first.position if first else None,
            "last_failure": last.position if last else None,
            "warning": _warning_position(connection, installation),
            "breaker_opened": opening[0].position if opening and is_tripped else None,
            "up_to": evidence.up_to_position if evidence else _last_position(sight),
        },
        moment=sight.moment,
    )


def _last_position(sight: PointInTimeView) -> int:
    return sight.moment.position if sight.moment else last_position(sight.connection)


def _warning_position(connection: sqlite3.Connection, installation: Installation) -> int | None:
    """Find the last warning before the decision or, while active, that of this episode."""
    if installation.disabled_position is None and not installation.warned_level:
        return None
    warnings = read_events(
        connection,
        stream=installation_stream(installation.installation_id),
        type_names=("installation.warned", "installation.calmed", "installation.enabled"),
        is_newest_first=True,
        limit=1,
    )
    return next((stored.position for stored in warnings if stored.type == "installation.warned"), None)


def _document(account: _Account) -> dict[str, object]:
    return {
        "installation_id": account.installation.installation_id,
        "as_of": moment_row(account.moment),
        "app": {"id": account.app.app_id, "slug": account.app.slug, "name": account.app.name},
        "webhook_url": account.app.webhook_url,
        "state": account.installation.state,
        "since": account.installation.changed_at,
        "disabled": disabling_row(account.disabling) if account.disabling else None,
        "policy": account.policy,
        "policy_version": account.policy_version,
        "rule": account.rule,
        "explanation": account.explanation,
        "progress": account.evaluation.progress,
        "days": [full_fields(day) for day in account.days],
        "first_failure": full_fields(account.first_failure),
        "last_failure": full_fields(account.last_failure),
        "remediation": account.remediation,
        "warned_level": account.installation.warned_level,
        "breaker": {
            "state": account.breaker.state,
            "open_until": account.breaker.open_until,
            "strict_until": account.breaker.strict_until,
            "explanation": account.breaker_explanation,
        },
        "hold_until": account.hold_until,
        "outage": outage_row(account.outage),
        "positions": account.positions,
    }


def _print(account: _Account) -> None:
    installation, app = account.installation, account.app
    print_facts(
        {
            "installation": installation.installation_id,
            "as of": moment_text(account.moment) if account.moment else "",
            "app": f"{app.app_id} {app.slug} ({app.name}), {app.status}",
            "webhook url": app.webhook_url,
            "state": f"{installation.state} since {short_time(installation.changed_at)}",
        }
    )
    print_line()
    print_facts(_decision(account, account.disabling) if account.disabling else _progress(account))
    _print_days(account.days)
    if account.remediation:
        print_line()
        print_line(account.remediation)
    print_line()
    print_facts(_positions(account))


def _decision(account: _Account, disabling: Disabling) -> dict[str, object]:
    policy = f"{account.policy}, version {account.policy_version}"
    facts: dict[str, object] = {
        "decided at": short_time(disabling.at),
        "decided by": disabling.by,
        "cause": _CAUSES.get(disabling.cause, disabling.cause),
    }
    if disabling.cause == "policy":
        facts |= {"policy": policy, "rule": account.rule, "because": account.explanation}
    else:
        facts |= {"reason": disabling.reason}
    return facts | _failures(account)


_CAUSES = {
    "policy": "the policy: it was broken",
    "receiver": "the receiver: it answered 410 Gone",
    "person": "a person's decision",
}


def _progress(account: _Account) -> dict[str, object]:
    evaluation, level = account.evaluation, account.installation.warned_level
    breaker = breaker_text(account.breaker)
    return {
        "progress": f"{evaluation.progress:.0%} of the way to being disabled"
        if evaluation.progress >= _WORTH_A_WORD
        else "nothing points to a breakage",
        "policy": f"{account.policy}, version {account.policy_version}",
        "rule": account.rule,
        "because": account.explanation,
        "warned": f"the owners were told at {level}%" if level else "",
        "breaker": f"{breaker} ({account.breaker_explanation})" if account.breaker_explanation else breaker,
        "paused": f"until {short_time(account.hold_until)}, as its endpoint asked" if account.hold_until else "",
        "disabling": _exemption(account),
    } | _failures(account)


def _exemption(account: _Account) -> str:
    """Say why the machine would not disable it, however near it is."""
    outage = account.outage
    if not account.installation.is_active:
        return f"it is {account.installation.state}: nothing is sent to it"
    if not account.can_end:
        return f"not by the machine: the app is {account.app.status}, see disabling.apps of the configuration"
    if outage.is_frozen:
        return f"frozen since {short_time(outage.changed_at)}: {outage.failing} of {outage.active} were failing"
    return ""


def _failures(account: _Account) -> dict[str, object]:
    return {
        "first failure": failure_text(account.first_failure),
        "last failure": failure_text(account.last_failure),
    }


def _print_days(days: tuple[DayRecord, ...]) -> None:
    print_line()
    names = [name for name in JUDGED_CLASSES if name == "success" or any(getattr(day, name) for day in days)]
    columns = [Column("day", is_whole=True), *(Column(name, is_number=True) for name in names)]
    rows = [[day.day, *(getattr(day, name) for name in names)] for day in days]
    print_table(columns, rows, title="what was judged", empty="no traffic in the window")


def _positions(account: _Account) -> dict[str, object]:
    named = {name: position for name, position in account.positions.items() if position and name != "up_to"}
    decision = account.positions["decision"]
    return {
        "events": ", ".join(f"{name.replace('_', ' ')} {position}" for name, position in named.items()),
        "judged up to": account.positions["up_to"],
        "to read them": _to_read(account, decision),
    }


def _to_read(account: _Account, decision: int | None) -> str:
    if account.moment and not decision:
        return ""  # the newest ones are not those that were judged
    command = f"hookfuse events --installation {account.installation.installation_id[:8]} --json"
    return command + (f" --after {decision - 1} --limit 1" if decision else " --newest --limit 20")
