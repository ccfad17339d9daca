"""`hookfuse why`: on which evidence an installation was disabled, or how close it is and what would stop it."""

import click

from console.output.event_text import failure_text, full_fields
from console.output.installation_text import breaker_text, disabling_row, outage_row
from console.output.tables import Column, print_facts, print_json, print_line, print_table
from console.output.times import short_time
from console.shell.as_of import as_of_option, moment_row, seeing
from console.shell.options import json_option
from console.shell.running import pending_settings_text
from console.shell.session import Session
from eventstore.events.catalogue import DayRecord
from eventstore.policies.day_counts import EVALUATED_CLASSES
from eventstore.views.account import WORTH_A_WORD, Account, read_account
from eventstore.views.installation import Disabling
from replay.reading.moment import Moment, moment_text

__all__ = ["why"]


@click.command()
@click.argument("installation")
@as_of_option
@json_option
@click.pass_obj
def why(session: Session, installation: str, as_of: str | None, is_json: bool) -> None:
    """Show the evidence on which INSTALLATION was disabled, or how close it is to that, and what would help.

    It is named by its UUID, or at least its first 6 characters. The counts are those that were evaluated: of a
    disabled one those of the decision, of an active one those of now. With --as-of all is as it was then, evaluated
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
        account = read_account(
            sight.connection,
            sight.installation_id,
            policy,
            sight.now,
            scope=scope,
            up_to_position=sight.moment.position if sight.moment else None,
        )
    if is_json:
        print_json(_document(account, sight.moment))
    else:
        _print(account, sight.moment)
        if (note := pending_settings_text(session)) and not account.disabling:
            print_line()
            print_line(note)


def _document(account: Account, moment: Moment | None) -> dict[str, object]:
    evidence = account.evidence
    return {
        "installation_id": account.installation.installation_id,
        "as_of": moment_row(moment),
        "app": {"id": account.app.app_id, "slug": account.app.slug, "name": account.app.name},
        "webhook_url": account.app.webhook_url,
        "state": account.installation.state,
        "since": account.installation.changed_at,
        "disabled": disabling_row(account.disabling) if account.disabling else None,
        "policy": evidence.policy,
        "policy_version": evidence.policy_version,
        "rule": evidence.rule,
        "explanation": evidence.explanation,
        "progress": account.evaluation.progress,
        "days": [full_fields(day) for day in evidence.days],
        "first_failure": full_fields(evidence.first_failure),
        "last_failure": full_fields(evidence.last_failure),
        "remediation": account.remediation,
        "warned_level": account.installation.warned_level,
        "breaker": {
            "state": account.breaker.state,
            "open_until": account.breaker.open_until,
            "strict_until": account.breaker.strict_until,
            "explanation": account.opening.explanation if account.opening else "",
        },
        "hold_until": account.hold_until,
        "outage": outage_row(account.outage),
        "positions": account.positions,
    }


def _print(account: Account, moment: Moment | None) -> None:
    installation, app = account.installation, account.app
    print_facts(
        {
            "installation": installation.installation_id,
            "as of": moment_text(moment) if moment else "",
            "app": f"{app.app_id} {app.slug} ({app.name}), {app.status}",
            "webhook url": app.webhook_url,
            "state": f"{installation.state} since {short_time(installation.changed_at)}",
        }
    )
    print_line()
    print_facts(_decision(account, account.disabling) if account.disabling else _progress(account))
    _print_days(account.evidence.days)
    if account.remediation:
        print_line()
        print_line(account.remediation)
    print_line()
    print_facts(_positions(account, moment))


def _decision(account: Account, disabling: Disabling) -> dict[str, object]:
    policy = f"{account.evidence.policy}, version {account.evidence.policy_version}"
    facts: dict[str, object] = {
        "decided at": short_time(disabling.at),
        "decided by": disabling.by,
        "cause": _CAUSES.get(disabling.cause, disabling.cause),
    }
    if disabling.cause == "policy":
        facts |= {"policy": policy, "rule": account.evidence.rule, "because": account.evidence.explanation}
    else:
        facts |= {"reason": disabling.reason}
    return facts | _failures(account)


_CAUSES = {
    "policy": "the policy: it was broken",
    "receiver": "the receiver: it answered 410 Gone",
    "person": "a person's decision",
}


def _progress(account: Account) -> dict[str, object]:
    evaluation, level = account.evaluation, account.installation.warned_level
    breaker = breaker_text(account.breaker)
    return {
        "progress": f"{evaluation.progress:.0%} of the way to being disabled"
        if evaluation.progress >= WORTH_A_WORD
        else "nothing points to a breakage",
        "policy": f"{account.evidence.policy}, version {account.evidence.policy_version}",
        "rule": account.evidence.rule,
        "because": account.evidence.explanation,
        "warned": f"the owners were warned at {level}%" if level else "",
        "breaker": f"{breaker} ({account.opening.explanation})" if account.opening else breaker,
        "paused": f"until {short_time(account.hold_until)}, as its endpoint asked" if account.hold_until else "",
        "disabling": _exemption(account),
    } | _failures(account)


def _exemption(account: Account) -> str:
    """Return why the machine would not disable it, however close to it it is."""
    outage = account.outage
    if not account.installation.is_active:
        return f"it is {account.installation.state}: nothing is sent to it"
    if not account.can_end:
        return f"not by the machine: the app is {account.app.status}, see disabling.apps of the configuration"
    if outage.is_frozen:
        return f"frozen since {short_time(outage.changed_at)}: {outage.failing} of {outage.active} were failing"
    return ""


def _failures(account: Account) -> dict[str, object]:
    return {
        "first failure": failure_text(account.evidence.first_failure),
        "last failure": failure_text(account.evidence.last_failure),
    }


def _print_days(days: tuple[DayRecord, ...]) -> None:
    print_line()
    names = [name for name in EVALUATED_CLASSES if name == "success" or any(getattr(day, name) for day in days)]
    columns = [Column("day", is_whole=True), *(Column(name, is_number=True) for name in names)]
    rows = [[day.day, *(getattr(day, name) for name in names)] for day in days]
    print_table(columns, rows, title="what was evaluated", empty="no traffic in the window")


def _positions(account: Account, moment: Moment | None) -> dict[str, object]:
    named = {name: position for name, position in account.positions.items() if position and name != "up_to"}
    decision = account.positions["decision"]
    return {
        "events": ", ".join(f"{name.replace('_', ' ')} {position}" for name, position in named.items()),
        "evaluated up to": account.positions["up_to"],
        "to read them": _to_read(account, decision, moment),
    }


def _to_read(account: Account, decision: int | None, moment: Moment | None) -> str:
    if moment and not decision:
        return ""  # the newest ones are not those that were evaluated
    command = f"hookfuse events --installation {account.installation.installation_id[:8]} --json"
    return command + (f" --after {decision - 1} --limit 1" if decision else " --newest --limit 20")
