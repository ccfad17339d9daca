"""`hookfuse disable` and `hookfuse enable`: a person's decision about one installation."""

import math
from datetime import timedelta

import click

from console.commands.probe_test import print_run, run_probe, timeout_option
from console.output.tables import print_json, print_line
from console.output.times import age_text, short_time
from console.shell.exit_codes import ExitCode
from console.shell.lookup import resolve_installation
from console.shell.options import by_option, json_option, person, reason_option
from console.shell.session import Session
from eventstore.common.plural import counted
from eventstore.decisions.decision import Decision
from eventstore.decisions.disable import DisableRequest
from eventstore.decisions.disable import disable as disable_installation
from eventstore.decisions.disable import enable as enable_installation
from eventstore.deliveries.recover import start_recovery
from eventstore.events.catalogue import RecoveryStarted
from eventstore.projections.registry import find_installation
from eventstore.queue.missed import Ledger, missed_ledger

__all__ = ["disable", "enable"]


@click.command()
@click.argument("installation")
@reason_option()
@by_option
@click.option("--no-mail", is_flag=True, help="Do not mail the organization's owners.")
@json_option
@click.pass_obj
def disable(session: Session, installation: str, *, reason: str, by: str, no_mail: bool, is_json: bool) -> None:
    """Stop sending to INSTALLATION (its UUID, or at least its first 6 characters).

    What arrives for it is kept as missed. The decision, who took it and why are recorded, and the owners are
    mailed.

    \b
    Example:
      hookfuse disable 7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10 --reason "moving to a new endpoint"
    """  # noqa: D301 - \b is click's
    configuration = session.configuration()
    with session.writing() as store, store.transaction() as transaction:
        installation_id = resolve_installation(transaction.connection, installation)
        decision = disable_installation(
            transaction,
            DisableRequest(
                installation_id=installation_id,
                by=person(by),
                reason=reason,
                policy=session.policy(),
                mail_domain=configuration.mail.sender.rpartition("@")[2],
                is_mailed=not no_mail,
            ),
        )
    if is_json:
        print_json(_document(installation_id, decision) | {"mails": decision.mail_count})
        return
    if not decision.is_changed:
        print_line(f"installation {installation_id}: {decision.why}")
        return
    mails = {0: "no mail", 1: "1 mail"}.get(decision.mail_count, f"{decision.mail_count} mails")
    print_line(f"disabled installation {installation_id} ({mails} to send, event {decision.position})")


@click.command()
@click.argument("installation")
@reason_option()
@by_option
@click.option("--probe", is_flag=True, help="Send a test delivery first, and enable only if it succeeds.")
@timeout_option
@click.option("--recover", is_flag=True, help="Send what it missed, paced and in the order of queueing.")
@json_option
@click.pass_obj
def enable(
    session: Session,
    installation: str,
    *,
    reason: str,
    by: str,
    probe: bool,
    timeout_s: float,
    recover: bool,
    is_json: bool,
) -> ExitCode:
    """Send to a disabled INSTALLATION again; its broken-state buffer starts empty.

    What it missed stays listed unless --recover sends it, [missed] recover_per_s of it a second; with
    an installation that is active already it only does that. With --probe the command exits with 9, and changes
    nothing, when the test delivery does not succeed.

    \b
    Example:
      hookfuse enable 7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10 --reason "the endpoint is fixed"
      hookfuse enable 7c1f0a52 --probe --recover --reason "the endpoint is fixed"
    """  # noqa: D301 - \b is click's
    per_s = session.configuration().missed.recover_per_s
    if probe and not _has_succeeded_probe(session, installation, by=person(by), timeout_s=timeout_s, is_json=is_json):
        return ExitCode.PROBE_FAILED
    with session.writing() as store, store.transaction() as transaction:
        installation_id = resolve_installation(transaction.connection, installation)
        decision = enable_installation(transaction, installation_id, by=person(by), reason=reason)
        recovery = start_recovery(transaction, installation_id, by=person(by), per_s=per_s) if recover else None
        ledger = missed_ledger(transaction.connection, installation_id)
    if is_json:
        recovering = recovery.deliveries if recovery else 0
        print_json(_document(installation_id, decision) | {"recovering": recovering, "missed": ledger.count})
        return ExitCode.OK
    if decision.is_changed:
        print_line(f"enabled installation {installation_id} (event {decision.position})")
    else:
        print_line(f"installation {installation_id}: {decision.why}")
    if recovery is not None:
        print_line(_recovery_text(recovery, per_s))
    elif recover:
        print_line(_nothing_to_recover(ledger))
    if ledger.count and (recover or decision.is_changed):
        print_line(_missed_text(installation_id, ledger))
    return ExitCode.OK


def _document(installation_id: str, decision: Decision) -> dict[str, object]:
    return {
        "installation_id": installation_id,
        "is_changed": decision.is_changed,
        "position": decision.position or None,
    }


def _has_succeeded_probe(session: Session, installation: str, *, by: str, timeout_s: float, is_json: bool) -> bool:
    run = run_probe(session, installation, by=by, timeout_s=timeout_s)
    if is_json:  # a good one is followed by the document of what it allowed
        if not run.is_success:
            print_json({"installation_id": run.installation_id, "is_changed": False, "position": None})
        return run.is_success
    print_run(run)
    if not run.is_success:
        with session.reading() as connection:
            state = find_installation(connection, run.installation_id).state
        print_line(f"installation {run.installation_id} stays {state}: the test delivery did not succeed")
    return run.is_success


def _recovery_text(recovery: RecoveryStarted, per_s: float) -> str:
    count = recovery.deliveries
    what = counted(count, "missed delivery", "missed deliveries")
    first, last = short_time(recovery.first_enqueued_at), short_time(recovery.last_enqueued_at)
    whole = age_text(timedelta(seconds=math.ceil(count / per_s)))
    return f"recovering {what}, queued from {first} to {last}, {per_s:g} a second: about {whole}"


def _nothing_to_recover(ledger: Ledger) -> str:
    if ledger.recovering:
        return f"its recovery is under way: {ledger.recovering} of what it missed still wait to be sent"
    return "there is nothing to recover"


def _missed_text(installation_id: str, ledger: Ledger) -> str:
    """Return what of the missed stays missed, and what can be done about it."""
    sendable_count = ledger.count - ledger.without_payload
    if sendable_count:
        return (
            f"it has missed deliveries ({ledger.count}); to send them:"
            f" hookfuse enable {installation_id} --recover --reason TEXT"
        )
    return (
        f"it has missed deliveries whose payload is gone ({ledger.without_payload}); to see them:"
        f" hookfuse deliveries --installation {installation_id} --state missed"
    )
