"""Decisions about one installation: disabled or enabled, with evidence, audit entry and mails, all or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from eventstore.buffer import read_days, window_start
from eventstore.clock import parse_time
from eventstore.codec import decode_event
from eventstore.errors import RejectedError
from eventstore.events import (
    AttemptEvent,
    AuditRecorded,
    DisableEvidence,
    Event,
    FailureRecord,
    InstallationDisabled,
    InstallationEnabled,
    MailRequested,
)
from eventstore.identifiers import installation_stream, new_id
from eventstore.log import NewEvent, last_position
from eventstore.policy import Policy
from eventstore.registry import App, Installation, find_app, find_installation, find_organization
from eventstore.store import Transaction
from eventstore.verdict import Verdict, judge

__all__ = ["Decision", "DisableRequest", "disable", "enable", "may_be_disabled"]

SYSTEM = "system"
_EXCERPT_CHARACTERS = 200


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


def may_be_disabled(app: App, scope: str) -> bool:
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
    evidence = _evidence(transaction, request)
    if request.cause == "policy" and evidence is None:
        return Decision(False, f"policy {request.policy.name} no longer finds it broken")
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
        NewEvent(stream, _audit_entry(app, installation, by, "enable", reason)),
    )
    return Decision(True, "enabled", position=stored[0].position)


def _append_disabling(
    transaction: Transaction,
    request: DisableRequest,
    installation: Installation,
    app: App,
    evidence: DisableEvidence | None,
) -> Decision:
    stream = installation_stream(installation.installation_id)
    disabled = InstallationDisabled(
        installation_id=installation.installation_id,
        app_id=app.app_id,
        organization_id=installation.organization_id,
        webhook_url=app.webhook_url,
        cause=request.cause,
        by=request.by,
        reason=request.reason or (evidence.explanation if evidence else ""),
        evidence=evidence,
    )
    audit = _audit_entry(app, installation, request.by, "disable", request.reason if request.cause == "person" else "")
    position = last_position(transaction.connection) + 1
    mails = _mails(transaction, request, installation, position) if request.is_mailed else ()
    stored = transaction.append(*(NewEvent(stream, event) for event in (disabled, audit, *mails)))
    return Decision(True, "disabled", stored[0].position, len(mails), evidence)


def _audit_entry(app: App, installation: Installation, by: str, verb: str, reason: str) -> AuditRecorded:
    subject = "internal-integration" if app.status == "internal" else "sentry-app-installation"
    return AuditRecorded(
        event=f"{subject}.{verb}",
        actor=by,
        target=f"organization:{installation.organization_id}",
        data={"name": app.name} | ({"reason": reason} if reason else {}),
    )


def _mails(
    transaction: Transaction, request: DisableRequest, installation: Installation, position: int
) -> Sequence[Event]:
    # An address that stands there twice is one owner.
    owners = tuple(dict.fromkeys(find_organization(transaction.connection, installation.organization_id).owners))
    mail_ids = [new_id() for _ in owners]
    return [
        MailRequested(
            mail_id=mail_id,
            message_id=f"<{mail_id}@{request.mail_domain}>",
            recipient=owner,
            kind="integration-disabled",
            about_position=position,
        )
        for mail_id, owner in zip(mail_ids, owners, strict=True)
    ]


def _evidence(transaction: Transaction, request: DisableRequest) -> DisableEvidence | None:
    """Judge what the database holds now; a person's or a receiver's word is no verdict, but gets the counts too."""
    now = parse_time(transaction.recorded_at)
    verdict = _verdict(transaction, request, now)
    if request.cause == "policy" and not verdict.is_broken:
        return None
    positions = [position for day in verdict.days for position in (day.first_failure, day.last_failure) if position]
    return DisableEvidence(
        policy=verdict.policy,
        policy_version=verdict.policy_version,
        rule=verdict.rule if request.cause == "policy" else request.cause,
        explanation=verdict.explanation if request.cause == "policy" else request.reason,
        days=tuple(day.record() for day in verdict.days),
        up_to_position=last_position(transaction.connection),
        first_failure=_failure(transaction, min(positions)) if positions else None,
        last_failure=_failure(transaction, max(positions)) if positions else None,
    )


def _verdict(transaction: Transaction, request: DisableRequest, now: datetime) -> Verdict:
    from_day = window_start(now, request.policy.window_days)
    days = read_days(transaction.connection, request.installation_id, from_day)
    return judge(request.policy, days, now.date())


def _failure(transaction: Transaction, position: int) -> FailureRecord | None:
    row = transaction.connection.execute(
        "SELECT type, schema, data, recorded_at FROM events WHERE position = ?", (position,)
    ).fetchone()
    event = decode_event(*row[:3]) if row else None
    if not isinstance(event, AttemptEvent):
        return None
    excerpt = (event.response_body or event.detail)[:_EXCERPT_CHARACTERS]
    return FailureRecord(position, row[3], event.status_code, event.error_class, excerpt)
