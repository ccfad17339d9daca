"""Decisions about one installation: disabled or enabled, with evidence, audit entry and mails, all or none."""

from dataclasses import dataclass

from eventstore.common.identifiers import installation_stream
from eventstore.decisions.evidence import evidence_of, verdict_of
from eventstore.decisions.owner_mails import mails_about
from eventstore.errors import RejectedError
from eventstore.events.catalogue import (
    AppRegistered,
    AuditRecorded,
    DisableEvidence,
    InstallationDisabled,
    InstallationEnabled,
    MailRequested,
)
from eventstore.log.event_log import NewEvent, last_position
from eventstore.policies.policy import Policy
from eventstore.projections.health import read_fleet
from eventstore.projections.outbox import DISABLED
from eventstore.projections.registry import App, Installation, find_app, find_installation
from eventstore.unit_of_work import Transaction

__all__ = [
    "Decision",
    "DisableRequest",
    "audit_entry",
    "disable",
    "enable",
    "may_be_disabled",
]

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class DisableRequest:
    """A wish to disable. `cause`: policy, receiver or person; `by`: system or person:NAME.

    `scope` says which apps a machine may disable: internal (the original's rule) or all; a person may all.
    """

    installation_id: str
    cause: str
    by: str
    reason: str
    policy: Policy
    scope: str = "internal"
    mail_domain: str = "hookfuse.invalid"
    is_mailed: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a wish; `why` says so in words. `position` is that of the deciding event, 0 = none."""

    is_changed: bool
    why: str
    position: int = 0
    mail_count: int = 0
    evidence: DisableEvidence | None = None


def may_be_disabled(app: App | AppRegistered, scope: str) -> bool:
    """Say whether a machine may disable installations of the app."""
    return scope == "all" or app.status == "internal"


def disable(transaction: Transaction, request: DisableRequest) -> Decision:
    """Disable within one transaction, when what the database says now still bears it out.

    Whoever comes second, in a thread or a process, finds it done: one disabling, one audit entry, one mail for
    each owner. Raises NotFoundError; RejectedError when the installation is removed.
    """
    connection = transaction.connection
    installation = find_installation(connection, request.installation_id)
    if installation.state == "disabled":
        return Decision(False, "it is disabled already")
    if installation.state == "removed":
        raise RejectedError(f"installation {request.installation_id} is removed")
    app = find_app(connection, installation.app_id)
    if request.cause != "person" and not may_be_disabled(app, request.scope):
        return Decision(False, f"app {app.slug} is {app.status}, and only internal apps may be disabled")
    verdict = verdict_of(transaction, request.installation_id, request.policy)
    if request.cause == "policy" and not verdict.is_broken:
        return Decision(False, f"policy {request.policy.name} no longer finds it broken")
    if request.cause == "policy" and read_fleet(connection).is_frozen:
        return Decision(False, "automatic disabling is frozen: too many installations have begun to fail at once")
    # A person's or a receiver's word is no verdict, but gets the counts beside it too.
    is_verdict = request.cause == "policy"
    evidence = evidence_of(
        transaction,
        verdict,
        rule=verdict.rule if is_verdict else request.cause,
        explanation=verdict.explanation if is_verdict else request.reason,
    )
    return _append_disabling(transaction, request, installation, app, evidence)


def enable(transaction: Transaction, installation_id: str, *, by: str, reason: str) -> Decision:
    """Enable a disabled installation; the broken-state buffer starts empty. Raises NotFoundError, RejectedError."""
    installation = find_installation(transaction.connection, installation_id)
    if installation.state == "active":
        return Decision(False, "it is active already")
    if installation.state == "removed":
        raise RejectedError(f"installation {installation_id} is removed")
    app = find_app(transaction.connection, installation.app_id)
    stream = installation_stream(installation_id)
    stored = transaction.append(
        NewEvent(stream, InstallationEnabled(installation_id, by, reason)),
        NewEvent(stream, audit_entry(app, installation, by, "enable", reason)),
    )
    return Decision(True, "enabled", position=stored[0].position)


def _append_disabling(
    transaction: Transaction,
    request: DisableRequest,
    installation: Installation,
    app: App,
    evidence: DisableEvidence,
) -> Decision:
    stream = installation_stream(installation.installation_id)
    disabled = InstallationDisabled(
        installation_id=installation.installation_id,
        app_id=app.app_id,
        organization_id=installation.organization_id,
        webhook_url=app.webhook_url,
        cause=request.cause,
        by=request.by,
        reason=request.reason or evidence.explanation,
        evidence=evidence,
    )
    audit = audit_entry(app, installation, request.by, "disable", request.reason if request.cause == "person" else "")
    position = last_position(transaction.connection) + 1
    mails: list[MailRequested] = []
    if request.is_mailed:
        mails = mails_about(transaction, installation, position, kind=DISABLED, mail_domain=request.mail_domain)
    stored = transaction.append(*(NewEvent(stream, event) for event in (disabled, audit, *mails)))
    return Decision(True, "disabled", stored[0].position, len(mails), evidence)


def audit_entry(app: App, installation: Installation, by: str, verb: str, reason: str) -> AuditRecorded:
    """Give the entry of a decision about an installation (docs/original.md, section 6)."""
    subject = "internal-integration" if app.status == "internal" else "sentry-app-installation"
    return AuditRecorded(
        event=f"{subject}.{verb}",
        actor=by,
        target=f"organization:{installation.organization_id}",
        data={"name": app.name} | ({"reason": reason} if reason else {}),
    )
