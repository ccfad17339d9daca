"""Disabling and enabling one installation: with evidence, audit entry and mails, all or none."""

from dataclasses import dataclass

from eventstore.common.identifiers import installation_stream
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.owner_mails import mails_about
from eventstore.errors import RejectedError
from eventstore.events.catalogue import (
    AuditRecorded,
    InstallationDisabled,
    InstallationEnabled,
    MailRequested,
)
from eventstore.log.event_log import NewEvent, last_position
from eventstore.policies.evaluation import Evaluation
from eventstore.policies.policy import Policy
from eventstore.projections.outbox import DISABLED
from eventstore.projections.registry import App, Installation, find_app, find_installation
from eventstore.unit_of_work import Transaction
from eventstore.views.evaluation import read_evaluation, read_evidence

__all__ = [
    "SYSTEM",
    "DisableRequest",
    "Disabling",
    "audit_entry",
    "disable",
    "enable",
    "record_disabling",
]

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class DisableRequest:
    """A person's wish to disable; `by`: person:NAME. The machine's way is the review."""

    installation_id: str
    by: str
    reason: str
    policy: Policy
    mail_domain: str = "hookfuse.invalid"
    is_mailed: bool = True


@dataclass(frozen=True, slots=True)
class Disabling:
    """What was decided, to be recorded. `cause`: policy, receiver or person; `by`: system or person:NAME."""

    cause: str
    by: str
    reason: str
    policy: Policy
    mail_domain: str
    is_mailed: bool = True


def disable(transaction: Transaction, request: DisableRequest) -> Decision:
    """Disable as a person wishes, whatever the installation's health, within one transaction.

    Whoever comes second finds it done. Raises NotFoundError; RejectedError when the installation is removed.
    """
    installation = find_installation(transaction.connection, request.installation_id)
    if installation.state == "disabled":
        return Decision.declined("it is disabled already")
    if installation.state == "removed":
        raise RejectedError(f"installation {request.installation_id} is removed")
    app = find_app(transaction.connection, installation.app_id)
    # A person's word is not an evaluation, but gets the counts beside it too.
    now = transaction.now
    evaluation = read_evaluation(transaction.connection, request.installation_id, request.policy, now)
    disabling = Disabling("person", request.by, request.reason, request.policy, request.mail_domain, request.is_mailed)
    return record_disabling(transaction, installation, app, evaluation, disabling)


def enable(transaction: Transaction, installation_id: str, *, by: str, reason: str) -> Decision:
    """Enable a disabled installation; the broken-state buffer starts empty. Raises NotFoundError, RejectedError."""
    installation = find_installation(transaction.connection, installation_id)
    if installation.state == "active":
        return Decision.declined("it is active already")
    if installation.state == "removed":
        raise RejectedError(f"installation {installation_id} is removed")
    app = find_app(transaction.connection, installation.app_id)
    stream = installation_stream(installation_id)
    stored = transaction.append(
        NewEvent(stream, InstallationEnabled(installation_id, by, reason)),
        NewEvent(stream, audit_entry(app, installation, by, "enable", reason)),
    )
    return Decision(Change.ENABLED, position=stored[0].position)


def record_disabling(
    transaction: Transaction, installation: Installation, app: App, evaluation: Evaluation, disabling: Disabling
) -> Decision:
    """Append the disabling of an active installation, its audit entry and a mail for each owner."""
    is_by_policy = disabling.cause == "policy"
    evidence = read_evidence(
        transaction.connection,
        disabling.policy,
        evaluation,
        transaction.now,
        rule=evaluation.rule if is_by_policy else disabling.cause,
        explanation=evaluation.explanation if is_by_policy else disabling.reason,
    )
    stream = installation_stream(installation.installation_id)
    disabled = InstallationDisabled(
        installation_id=installation.installation_id,
        app_id=app.app_id,
        organization_id=installation.organization_id,
        webhook_url=app.webhook_url,
        cause=disabling.cause,
        by=disabling.by,
        reason=disabling.reason or evidence.explanation,
        evidence=evidence,
    )
    reason = disabling.reason if disabling.cause == "person" else ""
    audit = audit_entry(app, installation, disabling.by, "disable", reason)
    position = last_position(transaction.connection) + 1
    mails: list[MailRequested] = []
    if disabling.is_mailed:
        mails = mails_about(transaction, installation, position, kind=DISABLED, mail_domain=disabling.mail_domain)
    stored = transaction.append(*(NewEvent(stream, event) for event in (disabled, audit, *mails)))
    return Decision(
        Change.DISABLED,
        position=stored[0].position,
        mail_count=len(mails),
        evidence=evidence,
        cause=disabling.cause,
    )


def audit_entry(app: App, installation: Installation, by: str, verb: str, reason: str) -> AuditRecorded:
    """Return the entry of a decision about an installation (docs/original.md, section 6)."""
    subject = "internal-integration" if app.status == "internal" else "sentry-app-installation"
    return AuditRecorded(
        event=f"{subject}.{verb}",
        actor=by,
        target=f"organization:{installation.organization_id}",
        data={"name": app.name} | ({"reason": reason} if reason else {}),
    )
