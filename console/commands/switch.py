"""`hookfuse disable` and `hookfuse enable`: a person's decision about one installation."""

import click

from console.lookup import resolve_installation
from console.options import by_option, person, reason_option
from console.output import print_line
from console.session import Session
from eventstore.disabling import DisableRequest
from eventstore.disabling import disable as disable_installation
from eventstore.disabling import enable as enable_installation
from eventstore.policy import policy_named
from eventstore.work_queue import count_deliveries

__all__ = ["disable", "enable"]


@click.command()
@click.argument("installation")
@reason_option()
@by_option
@click.option("--no-mail", is_flag=True, help="Do not mail the organization's owners.")
@click.pass_obj
def disable(session: Session, installation: str, reason: str, by: str, no_mail: bool) -> None:
    """Stop sending to INSTALLATION (its UUID, or the first 6 or more characters).

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
                cause="person",
                by=person(by),
                reason=reason,
                policy=policy_named(configuration.policy.name),
                mail_domain=configuration.mail.sender.rpartition("@")[2],
                is_mailed=not no_mail,
            ),
        )
    if not decision.is_changed:
        print_line(f"installation {installation_id}: {decision.why}")
        return
    mails = {0: "no mail", 1: "1 mail"}.get(decision.mail_count, f"{decision.mail_count} mails")
    print_line(f"disabled installation {installation_id} ({mails} to send, event {decision.position})")


@click.command()
@click.argument("installation")
@reason_option()
@by_option
@click.pass_obj
def enable(session: Session, installation: str, reason: str, by: str) -> None:
    """Send to a disabled INSTALLATION again; its broken-state buffer starts empty.

    What it missed stays listed: see `hookfuse deliveries resend`.

    \b
    Example:
      hookfuse enable 7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10 --reason "the endpoint is mended"
    """  # noqa: D301 - \b is click's
    with session.writing() as store, store.transaction() as transaction:
        installation_id = resolve_installation(transaction.connection, installation)
        decision = enable_installation(transaction, installation_id, by=person(by), reason=reason)
        missed_count = count_deliveries(transaction.connection, installation_id)["missed"]
    if not decision.is_changed:
        print_line(f"installation {installation_id}: {decision.why}")
        return
    print_line(f"enabled installation {installation_id} (event {decision.position})")
    if missed_count:
        print_line(
            f"it has missed deliveries ({missed_count}); to send them:"
            f" hookfuse deliveries resend --installation {installation_id} --state missed"
        )
