"""`hookfuse policy`: reading and checking what an integration is evaluated by."""

import click

from console.output.tables import Column, print_facts, print_json, print_line, print_table
from console.shell.exit_codes import ExitCode
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.plural import counted
from eventstore.policies.lint import PolicyFault, check_policy, out_of_reach
from eventstore.policies.policy import DayRule, Policy, Rule, StreakRule
from eventstore.policies.policy_file import given_policy, policy_text

__all__ = ["policy"]

_COLUMNS = (Column("rule", is_whole=True), Column("fires", is_whole=True), Column("when"))
Notes = tuple[tuple[str, str], ...]

_FIRES = {"never": "never", "imported": "by imported counts only", "in part": "in part"}


@click.group()
def policy() -> None:
    """Read and check policies: by which rules an integration is broken.

    \b
    Example:
      hookfuse policy show balanced > my-policy.toml
      hookfuse policy check my-policy.toml
    """  # noqa: D301 - \b is click's


@policy.command("show")
@click.argument("name", metavar="[NAME|FILE]", required=False)
@click.pass_obj
def show(session: Session, name: str | None) -> None:
    """Print a policy as a file to be edited: one that ships with hookfuse, or that of the home.

    Give the edited policy another name. The daemon uses it with `[policy] file` in hookfuse.toml.

    \b
    Example:
      hookfuse policy show balanced > my-policy.toml
    """  # noqa: D301 - \b is click's
    found = given_policy(name) if name is not None else session.configured_policy()
    for line in policy_text(found).splitlines():
        print_line(line)


@policy.command("check")
@click.argument("name", metavar="NAME|FILE")
@json_option
@click.pass_obj
def check(session: Session, name: str, is_json: bool) -> ExitCode:
    """Check a policy, and point out rules that can never fire and limits that change nothing.

    What the home's breaker puts out of reach is noted as well. It ends with 11 when there is any fault. A file
    that is not a policy at all ends with 3, and the place is named.

    \b
    Example:
      hookfuse policy check my-policy.toml
    """  # noqa: D301 - \b is click's
    found = given_policy(name)
    faults = check_policy(found)
    notes = out_of_reach(found, session.breaker_rule())
    if is_json:
        print_json(_document(found, faults, notes))
    else:
        _print(found, faults, notes)
    return ExitCode.FAULT_FOUND if faults else ExitCode.OK


def _document(found: Policy, faults: tuple[PolicyFault, ...], notes: Notes) -> dict[str, object]:
    return {
        "policy": found.name,
        "policy_version": found.version,
        "window_days": found.window_days,
        "errors": found.errors,
        "gone_disables": found.gone_disables,
        "rules": [{"name": rule.name, "kind": _kind(rule), "fires": _fires(rule, faults)} for rule in found.rules],
        "faults": [{"rule": fault.rule or None, "fires": fault.fires, "reason": fault.reason} for fault in faults],
        "notes": [{"rule": rule, "note": note} for rule, note in notes],
    }


def _kind(rule: Rule) -> str:
    return str(rule.__struct_config__.tag)


def _fires(rule: Rule, faults: tuple[PolicyFault, ...]) -> str:
    return next((fault.fires for fault in faults if fault.rule == rule.name), "yes")


def _print(found: Policy, faults: tuple[PolicyFault, ...], notes: Notes) -> None:
    print_facts(
        {
            "policy": f"{found.name} (version {found.version})",
            "window": "today"
            if found.window_days == 1
            else f"today and the {counted(found.window_days - 1, 'day')} before",
            "errors": ", ".join(found.errors) or "none",
            "410 Gone": "disables at once" if found.gone_disables else "is an answer like any other",
        }
    )
    print_line()
    rows = [(rule.name, _FIRES.get(_fires(rule, faults), "yes"), _sentence(rule, found)) for rule in found.rules]
    print_table(_COLUMNS, rows, empty="no rules")
    print_line()
    if not faults:
        print_line("every rule can fire, and every limit counts")
    for fault in faults:
        print_line(f"{f'rule {fault.rule}' if fault.rule else 'the policy'}: {fault.reason}")
    for rule_name, note in notes:
        print_line(f"note on rule {rule_name}: {note}")


def _sentence(rule: Rule, found: Policy) -> str:
    """Return in words when a rule fires."""
    if isinstance(rule, StreakRule):
        return f"{counted(rule.days, 'day')} in a row, today the last, have errors and no success"
    if not isinstance(rule, DayRule):
        return (
            f"no success within the window, at least {counted(rule.failures_min, 'failure')}"
            f" over at least {counted(rule.failing_days_min, 'day')}"
        )
    parts = []
    if rule.fatal_min is not None:
        parts.append(f"at least {counted(rule.fatal_min, 'fatal outcome')}")
    if rule.timeout_min is not None:
        share = (
            f", more than {100 * rule.timeout_share_above:g}% of its attempts" if rule.timeout_share_above >= 0 else ""
        )
        parts.append(f"at least {counted(rule.timeout_min, 'time-out')}{share}")
    day = "today has" if found.window_days == 1 else "a day of the window has"
    return f"{day} {' or '.join(parts)}" if parts else "no limit is set"
